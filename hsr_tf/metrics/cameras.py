"""Figures of merit of estimated cameras: a kernel against the true PSF, a response against the true one.

Kernels are laid on one centred grid and sum to one; where their numbers of taps differ in parity the estimate
is moved by half a pixel, by the mean of neighbours, to both sides. The columns of responses sum to one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from hsr_tf.checks import require, require_finite
from hsr_tf.metrics.scores import plain
from hsr_tf.typing import Array

SMALLEST_WEIGHT = 1e-6


@dataclass(frozen=True)
class CameraScores:
    """How near estimated cameras are to the true ones; None where either is not known.

    Attributes:
        kernel_psnr: dB, see `kernel_psnr`.
        kernel_l1: sum of the absolute differences, 0 to 2.
        response_sam_degrees: mean angle over the channels.
        response_l1: mean over the channels of the sum of absolute differences, 0 to 2.
    """

    kernel_psnr: float | None = None
    kernel_l1: float | None = None
    response_sam_degrees: float | None = None
    response_l1: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        """The scores by name, for JSON: an infinite one becomes None."""
        return {name: plain(value) for name, value in vars(self).items()}


def camera_scores(
    true_psf: Array | None, true_srf: Array | None, psf: Array | None, srf: Array | None
) -> CameraScores:
    """The scores of what was estimated and is known, without channels that one of them lacks."""
    scores = CameraScores()
    if true_psf is not None and psf is not None:
        scores = replace(scores, kernel_psnr=kernel_psnr(true_psf, psf), kernel_l1=kernel_l1(true_psf, psf))
    seen = np.zeros(0) if true_srf is None or srf is None else np.minimum(true_srf.sum(0), srf.sum(0))
    if true_srf is not None and srf is not None and (seen > 0).any():
        true_srf, srf = true_srf[:, seen > 0], srf[:, seen > 0]
        angle, apart = response_sam_degrees(true_srf, srf), response_l1(true_srf, srf)
        scores = replace(scores, response_sam_degrees=angle, response_l1=apart)
    return scores


def common_grid(reference: Array, estimate: Array) -> tuple[Array, Array]:
    """Both kernels with their centres in the middle of one grid of the reference's parity, each of sum 1.

    Raises:
        ValueError: a kernel that is not 2-D, not finite, or whose sum is not positive.
    """
    reference, estimate = _kernel("reference", reference), _kernel("estimate", estimate)
    for axis in (0, 1):
        if (reference.shape[axis] - estimate.shape[axis]) % 2:
            padding = [(0, 0), (0, 0)]
            padding[axis] = (1, 1)
            wider = np.pad(estimate, padding)
            low, high = np.delete(wider, -1, axis), np.delete(wider, 0, axis)
            estimate = (low + high) / 2
    size = np.maximum(reference.shape, estimate.shape)
    first, second = (
        np.pad(k, [((n - m) // 2,) * 2 for n, m in zip(size, k.shape, strict=True)])
        for k in (reference, estimate)
    )
    return first, second


def without_margin(*kernels: Array) -> tuple[Array, ...]:
    """Kernels of one size without the border on which all are below a millionth of the largest weight.

    As much is cut off on opposite sides, so that their centres stay in the middle.
    """
    magnitudes = np.max([np.abs(kernel) for kernel in kernels], 0)
    cuts = []
    for axis in (0, 1):
        seen = np.flatnonzero(magnitudes.max(1 - axis) > SMALLEST_WEIGHT * magnitudes.max())
        size = magnitudes.shape[axis]
        margin = int(min(seen[0], size - 1 - seen[-1]))
        cuts.append(slice(margin, size - margin))
    return tuple(kernel[cuts[0], cuts[1]] for kernel in kernels)


def kernel_l1(reference: Array, estimate: Array) -> float:
    """Sum of |k - k'| over the common grid: 0 where they are equal, 2 where they do not meet."""
    first, second = common_grid(reference, estimate)
    return float(np.abs(first - second).sum())


def kernel_psnr(reference: Array, estimate: Array) -> float:
    """PSNR in dB over the common grid, with the reference's largest weight as the peak; infinite if equal.

    Borders of the grid on which both are below a millionth of the peak do not count, so that zeros around a
    kernel change nothing.
    """
    first, second = without_margin(*common_grid(reference, estimate))
    return grid_psnr(first, second)


def grid_psnr(reference: Array, estimate: Array) -> float:
    """PSNR in dB of kernels of one size over all of it, for several that are compared with one reference."""
    mse = float(np.square(np.subtract(reference, estimate, dtype=np.float64)).mean())
    return math.inf if mse == 0 else 10 * math.log10(float(reference.max()) ** 2 / mse)


def response_sam_degrees(reference: Array, estimate: Array) -> float:
    """Mean over the channels of the angle between the columns (C,) of two responses (C, c)."""
    first, second = _responses(reference, estimate)
    first, second = (matrix / np.linalg.norm(matrix, axis=0) for matrix in (first, second))
    apart, together = (np.linalg.norm(matrix, axis=0) for matrix in (first - second, first + second))
    return float(np.degrees(2 * np.arctan2(apart, together)).mean())


def response_l1(reference: Array, estimate: Array) -> float:
    """Mean over the channels of sum_b |r_b - r'_b|, columns of sum 1."""
    first, second = _responses(reference, estimate)
    return float(np.abs(first / first.sum(0) - second / second.sum(0)).sum(0).mean())


def _kernel(name: str, kernel: Array) -> Array:
    values = np.asarray(kernel, np.float64)
    require_finite(name, values)
    require(
        values.ndim == 2 and values.size > 0 and values.sum() > 0,
        name,
        expected="a 2-D kernel with a positive sum",
        received=f"shape {values.shape}, sum {values.sum():.3g}",
        remedy="give rows and columns of weights",
    )
    return values / values.sum()


def _responses(reference: Array, estimate: Array) -> tuple[Array, Array]:
    first, second = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    require(
        first.ndim == 2 and first.shape == second.shape,
        "estimate",
        expected=f"a response (bands, channels) of the reference's shape {first.shape}",
        received=f"shape {second.shape}",
        remedy="bring both to the same bands",
    )
    for name, matrix in (("reference", first), ("estimate", second)):
        require_finite(name, matrix)
        require(
            bool((matrix.sum(0) > 0).all()),
            name,
            expected="channels that see some of the bands",
            received="a column whose sum is not positive",
            remedy="leave that channel out",
        )
    return first, second
