"""Both cameras with weights that are tensors, so that gradients reach the PSF and the response.

`degrade` is `SpatialDegradation.forward` with its kernel as an argument, and `Y = Z R` needs no function of
its own; `LearnedCameras` holds what is learnt: a softmax over the PSF's support and a response that a
softplus keeps non-negative, each at one resolution or, so that gradients find their outline first, as a sum
over several (`pyramid_bases`, `bell_bases`).
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from hsr_tf.arrays import ops
from hsr_tf.arrays.axis import pad_axis
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.typing import Tensor

SMALLEST_TAP, SMALLEST_RESPONSE = 1e-7, 1e-6
MOST_BELLS = 3
Matrix = NDArray[np.float32]


def degrade(x: Tensor, kernel: Tensor, scale: int, *, border: str = "mirrored") -> Tensor:
    """Blur by a kernel tensor and keep one sample a cell: the convolution of `SpatialDegradation`.

    Polyphase form: cells of s x s pixels times the taps that fall on each of m x m neighbouring cells, one
    matrix product, then m x m shifted additions.

    Args:
        x: (B, H, W, C) of static sizes that are multiples of the scale.
        kernel: (n, p), rows are image rows.
        scale: s.
        border: "mirrored", "circular" or "zero".

    Returns:
        (B, H/s, W/s, C).
    """
    grids = [_cells(taps, scale) for taps in kernel.shape]
    for axis, (before, after, _) in zip((1, 2), grids, strict=True):
        x = pad_axis(x, axis, before * scale, after * scale, border)
    num_rows, num_columns = x.shape[1] // scale, x.shape[2] // scale
    cells = ops.reshape(x, (-1, num_rows, scale, num_columns, scale, x.shape[3]))
    cells = ops.reshape(
        ops.transpose(cells, (0, 1, 3, 2, 4, 5)), (-1, num_rows, num_columns, scale**2, x.shape[3])
    )
    tall, wide = (before + 1 + after for before, after, _ in grids)
    padded = ops.pad(ops.flip(kernel, (0, 1)), [margins for _, _, margins in grids])
    taps = ops.transpose(ops.reshape(padded, (tall, scale, wide, scale)), (0, 2, 1, 3))
    partial = ops.matmul(ops.reshape(taps, (tall * wide, scale**2)), cells)
    height, width = num_rows - tall + 1, num_columns - wide + 1
    return sum(
        partial[:, i : i + height, j : j + width, i * wide + j] for i in range(tall) for j in range(wide)
    )


def reach(taps: int, scale: int) -> tuple[int, int]:
    """Neighbouring cells before and after its own that a PSF of this many taps sees."""
    before, after, _ = _cells(taps, scale)
    return before, after


def interior(size: tuple[int, int], taps: Sequence[int], scale: int) -> NDArray[np.float32]:
    """1 where a cell of a tile of `size` (rows, columns) sees nothing beyond it by a PSF of so many taps."""
    inside = np.ones(size, np.float32)
    for axis, num_taps in enumerate(taps):
        before, after = reach(num_taps, scale)
        lines = np.moveaxis(inside, axis, 0)
        lines[:before] = 0
        lines[len(lines) - after :] = 0
    return inside


def pyramid_bases(taps: int, num_scales: int) -> list[Matrix]:
    """Linear interpolation along one side of a kernel from grids of all, half, a quarter, ... of its taps.

    Args:
        taps: n.
        num_scales: number of grids; one of a single point is constant, which changes no softmax.

    Returns:
        Matrices (n, m) for m = n, n / 2, n / 4, ..., rounded up; rows sum to one.
    """
    bases = []
    for level in range(num_scales):
        size = -(-taps // 2**level)
        points = np.clip((np.arange(taps) + 0.5) * size / taps - 0.5, 0, size - 1)
        distances = np.abs(points[:, None] - np.arange(size))
        bases.append(np.maximum(0.0, 1.0 - distances).astype(np.float32))
    return bases


def bell_bases(num_bands: int, num_scales: int) -> list[Matrix]:
    """Bells along the bands, of standard deviation C / 32, C / 16, ...: (C, C) each, rows sum to one.

    A single scale has no bells: every band by itself.
    """
    if num_scales == 1:
        return [np.eye(num_bands, dtype=np.float32)]
    distances = np.subtract.outer(np.arange(num_bands), np.arange(num_bands))
    bases = []
    for level in range(min(num_scales, MOST_BELLS)):
        bells = np.exp(-0.5 * np.square(distances / (num_bands / 32 * 2**level)))
        bases.append((bells / bells.sum(1, keepdims=True)).astype(np.float32))
    return bases


class LearnedCameras:
    """PSF and response as variables near a start.

    The variables start at zero; with step 1 they move the logarithms of the taps, and the response before its
    softplus, by as much. A smaller `rate` makes the same optimiser move the cameras less than a network.

    Args:
        psf: to start from; zeros start at 1e-7 of the largest tap.
        srf: R to start from, (C, c), non-negative.
        rate: change of the parameters per change of the variables.
        num_scales: resolutions whose sum both are, see `pyramid_bases` and `bell_bases`; 1 for every tap and
            band by itself.
    """

    def __init__(self, psf: Psf, srf: np.ndarray, *, rate: float = 1.0, num_scales: int = 1) -> None:
        relative = np.maximum(psf.kernel / psf.kernel.max(), SMALLEST_TAP)
        self._scale = float(np.max(srf))
        positive = np.maximum(np.asarray(srf, np.float64) / self._scale, SMALLEST_RESPONSE)
        self._logits = np.log(relative).astype(np.float32)
        self._raw = (np.log(np.expm1(positive))).astype(np.float32)
        self._rate = rate
        sides = [pyramid_bases(taps, num_scales) for taps in self._logits.shape]
        self._grids = list(zip(*sides, strict=True))
        self._bells = bell_bases(len(self._raw), num_scales)
        self._psf_changes = [_zeros("psf", rows.shape[1], columns.shape[1]) for rows, columns in self._grids]
        self._srf_changes = [_zeros("srf", *self._raw.shape) for _ in self._bells]

    @property
    def variables(self) -> list[keras.Variable]:
        """What is learnt."""
        return [*self._psf_changes, *self._srf_changes]

    def kernel(self) -> Tensor:
        """k, (n, p), sums to one."""
        change = sum(
            ops.matmul(ops.matmul(rows, ops.convert_to_tensor(variable)), columns.T)
            for (rows, columns), variable in zip(self._grids, self._psf_changes, strict=True)
        )
        logits = self._logits + self._rate * change
        return ops.reshape(ops.softmax(ops.reshape(logits, (-1,))), self._logits.shape)

    def response(self) -> Tensor:
        """R, (C, c)."""
        change = sum(
            ops.matmul(bells, ops.convert_to_tensor(variable))
            for bells, variable in zip(self._bells, self._srf_changes, strict=True)
        )
        return self._scale * ops.softplus(self._raw + self._rate * change)

    def model(self, scale: int) -> ObservationModel:
        """The cameras as they are now."""
        psf = Psf(np.asarray(ops.convert_to_numpy(self.kernel()), np.float64), "learnt")
        response = SpectralResponse(np.asarray(ops.convert_to_numpy(self.response())), name="learnt")
        return ObservationModel(SpatialDegradation(psf, scale), response)


def _zeros(name: str, *shape: int) -> keras.Variable:
    return keras.Variable(np.zeros(shape, np.float32), name=name)


def _cells(taps: int, scale: int) -> tuple[int, int, tuple[int, int]]:
    """Cells before and after its own that the taps fall on, and the zeros that fill the outer ones."""
    offset = (scale - taps) // 2
    before = max(0, -(offset // scale))
    start = before * scale + offset
    after = max(0, -(-(start + taps) // scale) - before - 1)
    return before, after, (start, (before + 1 + after) * scale - start - taps)
