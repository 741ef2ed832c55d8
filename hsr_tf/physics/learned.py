"""Both cameras with weights that are tensors, so that gradients reach the PSF and the response.

`degrade` is `SpatialDegradation.forward` with its kernel as an argument, and `Y = Z R` needs no function of
its own; `LearnedCameras` holds what is learnt: a softmax over the PSF's support and a response that a
softplus keeps non-negative.
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


class LearnedCameras:
    """PSF and response as variables near a start.

    The variables start at zero; with step 1 they move the logarithms of the taps, and the response before its
    softplus, by as much. A smaller `rate` makes the same optimiser move the cameras less than a network.

    Args:
        psf: to start from; zeros start at 1e-7 of the largest tap.
        srf: R to start from, (C, c), non-negative.
        rate: change of the parameters per change of the variables.
    """

    def __init__(self, psf: Psf, srf: np.ndarray, *, rate: float = 1.0) -> None:
        relative = np.maximum(psf.kernel / psf.kernel.max(), SMALLEST_TAP)
        self._scale = float(np.max(srf))
        positive = np.maximum(np.asarray(srf, np.float64) / self._scale, SMALLEST_RESPONSE)
        self._logits = np.log(relative).astype(np.float32)
        self._raw = (np.log(np.expm1(positive))).astype(np.float32)
        self._rate = rate
        self._psf_change = keras.Variable(np.zeros_like(self._logits), name="psf")
        self._srf_change = keras.Variable(np.zeros_like(self._raw), name="srf")

    @property
    def variables(self) -> list[keras.Variable]:
        """What is learnt."""
        return [self._psf_change, self._srf_change]

    def kernel(self) -> Tensor:
        """k, (n, p), sums to one."""
        logits = self._logits + self._rate * ops.convert_to_tensor(self._psf_change)
        return ops.reshape(ops.softmax(ops.reshape(logits, (-1,))), self._logits.shape)

    def response(self) -> Tensor:
        """R, (C, c)."""
        return self._scale * ops.softplus(self._raw + self._rate * ops.convert_to_tensor(self._srf_change))

    def model(self, scale: int) -> ObservationModel:
        """The cameras as they are now."""
        psf = Psf(np.asarray(ops.convert_to_numpy(self.kernel()), np.float64), "learnt")
        response = SpectralResponse(np.asarray(ops.convert_to_numpy(self.response())), name="learnt")
        return ObservationModel(SpatialDegradation(psf, scale), response)


def _cells(taps: int, scale: int) -> tuple[int, int, tuple[int, int]]:
    """Cells before and after its own that the taps fall on, and the zeros that fill the outer ones."""
    offset = (scale - taps) // 2
    before = max(0, -(offset // scale))
    start = before * scale + offset
    after = max(0, -(-(start + taps) // scale) - before - 1)
    return before, after, (start, (before + 1 + after) * scale - start - taps)
