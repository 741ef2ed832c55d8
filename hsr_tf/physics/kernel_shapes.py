"""Blur kernels of given parameters, a batch at a time: Gaussians, and motion along an arc.

Kernels are (B, k, k), k odd, non-negative, of sum 1, centred on the middle tap; rows are image rows, angles
turn from the horizontal towards the vertical, clockwise on the screen, as in `hsr_tf.physics.psf`.
"""

from __future__ import annotations

import numpy as np

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.typing import Tensor

KERNEL_SIZE = 21
PATH_POINTS = 65


def gaussian_kernels(sigma: Tensor, size: int = KERNEL_SIZE) -> Tensor:
    """Isotropic Gaussians of deviation sigma (B,) in pixels, sampled at pixel centres: (B, k, k)."""
    return anisotropic_kernels(sigma, sigma, ops.zeros_like(sigma), size)


def anisotropic_kernels(along: Tensor, across: Tensor, angle: Tensor, size: int = KERNEL_SIZE) -> Tensor:
    """Gaussians of deviations `along` and `across` (B,) in pixels, the first axis at `angle` (B,) in radians.

    Returns:
        (B, k, k).
    """
    checks.require(
        size >= 1 and size % 2 == 1,
        "size",
        expected="an odd number of taps",
        received=str(size),
        remedy="use 21",
    )
    offsets = ops.convert_to_tensor(np.arange(size) - (size - 1) / 2, dtype=along.dtype)
    rows, columns = offsets[None, :, None], offsets[None, None, :]
    cosine, sine = ops.cos(angle)[:, None, None], ops.sin(angle)[:, None, None]
    first = (columns * cosine + rows * sine) / along[:, None, None]
    second = (rows * cosine - columns * sine) / across[:, None, None]
    return _normalised(ops.exp(-0.5 * (ops.square(first) + ops.square(second))))


def motion_kernels(length: Tensor, angle: Tensor, bend: Tensor, size: int = KERNEL_SIZE) -> Tensor:
    """Uniform motion along an arc, each of whose points is drawn bilinearly.

    Args:
        length: length of the path in pixels, (B,), non-negative; 0 is no blur.
        angle: direction at the middle of the path in radians, (B,).
        bend: by how much the direction turns from one end to the other in radians, (B,); 0 is straight.
        size: k. What lies outside is lost; the path's mean lies on the middle tap.

    Returns:
        (B, k, k).
    """
    steps = ops.convert_to_tensor(np.linspace(-0.5, 0.5, PATH_POINTS), dtype=length.dtype)[None]
    between = (steps[:, 1:] + steps[:, :-1]) / 2
    direction = angle[:, None] + bend[:, None] * between
    stride = length[:, None] / (PATH_POINTS - 1)
    places = []
    for component in (ops.sin(direction), ops.cos(direction)):
        path = ops.pad(ops.cumsum(component * stride, axis=1), [(0, 0), (1, 0)])
        places.append(path - ops.mean(path, axis=1, keepdims=True))
    rows, columns = (_hats(place, size) for place in places)
    return _normalised(ops.einsum("bnr,bnc->brc", rows, columns))


def _hats(place: Tensor, size: int) -> Tensor:
    """The two bilinear weights of each place (B, n) along an axis of the kernel: (B, n, k)."""
    taps = ops.convert_to_tensor(np.arange(size) - (size - 1) / 2, dtype=place.dtype)
    return ops.relu(1 - ops.abs(place[:, :, None] - taps))


def _normalised(kernels: Tensor) -> Tensor:
    return kernels / ops.sum(kernels, axis=(1, 2), keepdims=True)
