"""Bicubic resizing as MATLAB's imresize: Keys' kernel with a = -0.5, widened when the image shrinks.

Convention. Pixels are cells, so output sample i (from 0) has its centre at (i + 0.5) / factor - 0.5 in input
samples: nothing shifts. Past the edge the image goes on mirrored. When it shrinks, the kernel is stretched by
1 / factor so that it also filters (antialiasing); its weights always sum to one.
Source: R. Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 29(6), 1981,
eq. 15.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from keras import ops
from scipy.sparse import coo_matrix, csr_matrix

from hsr_tf import checks
from hsr_tf.ops import decimate_axis, enlarge_axis, phase_matrix
from hsr_tf.physics.operator import LinearOperator

Tensor = Any


class BicubicResize(LinearOperator):
    """Bicubic resizing (B, H, W, C) -> (B, H', W', C) with H' = ceil(H * factor), as MATLAB's imresize.

    Args:
        size: (H, W) of the input.
        factor: enlargement, any positive number; below one it reduces.
        output_size: (H', W') instead of the rounded-up default; the factor an axis is then H'/H and W'/W.
        antialias: widen the kernel when reducing.

    Raises:
        ValueError: for a factor or sizes that are not positive, or for neither of the two.
    """

    def __init__(
        self,
        size: tuple[int, int],
        factor: float | None = None,
        *,
        output_size: tuple[int, int] | None = None,
        antialias: bool = True,
    ) -> None:
        out = _output_size(size, factor, output_size)
        self.size, self.output_size = tuple(size), out
        scales = [factor or m / n for n, m in zip(size, out, strict=True)]
        tables = [_weights(n, m, f, antialias) for n, m, f in zip(size, out, scales, strict=True)]
        self._forward = [_gather_table(t) for t in tables]
        self._adjoint = [_gather_table(t.T.tocsr()) for t in tables]

    def forward(self, x: Tensor) -> Tensor:
        """Resize (B, H, W, C) to (B, H', W', C)."""
        self._check(x, self.size)
        return _resample(_resample(x, 1, *self._forward[0]), 2, *self._forward[1])

    def adjoint(self, y: Tensor) -> Tensor:
        """The adjoint, (B, H', W', C) -> (B, H, W, C)."""
        self._check(y, self.output_size)
        return _resample(_resample(y, 2, *self._adjoint[1]), 1, *self._adjoint[0])

    def _check(self, x: Tensor, size: tuple[int, ...]) -> None:
        checks.require(
            tuple(x.shape[1:3]) == tuple(size),
            "image",
            expected=f"height and width {size}",
            received=str(tuple(x.shape[1:3])),
            remedy="build the operator for this size",
        )


class AxisResize:
    """Parts of one axis of `BicubicResize`, for pictures that are resized a tile at a time.

    Args:
        size: samples of the input.
        output_size: samples of the output; those past `size * factor` go on in the mirrored border.
        factor: enlargement, any positive number, exactly.

    Raises:
        ValueError: for a factor or sizes that are not positive.
    """

    def __init__(self, size: int, output_size: int, factor: float) -> None:
        _output_size((size, output_size), factor, None)
        self.size, self.output_size = size, output_size
        self._matrix = _weights(size, output_size, factor, antialias=True)

    def source(self, part: slice) -> slice:
        """The input samples that the output samples `part` look at."""
        looked_at = self._matrix[part].indices
        return slice(int(looked_at.min()), int(looked_at.max()) + 1)

    def forward(self, window: Tensor, axis: int, part: slice) -> Tensor:
        """The output samples `part` along axis 1 or 2 of the window `source(part)` of (B, H, W, C)."""
        table = _gather_table(self._matrix[part, self.source(part)].tocsr())
        return _resample(window, axis, *table)


def bicubic_enlarge(y: Tensor, scale: int) -> Tensor:
    """Enlarge (B, h, w, C) by an integer, for sizes not known in advance.

    The same numbers as `BicubicResize`, written as one matrix product a cell, so that it runs inside exported
    models; h and w must be at least 2.
    """
    if scale == 1:
        return y
    phases, before = _enlarging_phases(scale)
    for axis in (1, 2):
        y = enlarge_axis(y, axis, phases, before, "mirrored")
    return y


def bicubic_enlarge_by(y: Tensor, factor: Tensor) -> Tensor:
    """Enlarge (B, h, w, C) by a factor of at least 1 that is a tensor, for sizes not known in advance.

    The same numbers as `BicubicResize` to float32's last digits, (B, ceil(factor h), ceil(factor w), C), for
    exported models that are told the factor with the picture.
    """
    for axis in (1, 2):
        y = _resample(y, axis, *_enlarging_table(ops.shape(y)[axis], ops.cast(factor, "float64")))
    return y


def bicubic_reduce(x: Tensor, factor: int) -> Tensor:
    """Reduce (B, H, W, C) by an integer, antialiased, for sizes not known in advance.

    The same numbers as `BicubicResize`; H and W must be multiples of the factor, and at least twice as large.
    """
    if factor == 1:
        return x
    num_taps = 4 * factor + factor % 2
    taps = keys_cubic((np.arange(num_taps) - (num_taps - 1) / 2) / factor)
    phases, before = phase_matrix(taps / taps.sum(), factor, (factor - num_taps) // 2)
    for axis in (1, 2):
        x = decimate_axis(x, axis, phases, before, "mirrored")
    return x


def keys_cubic(x: Any, numbers: Any = np) -> Any:
    """Keys' cubic convolution kernel with a = -0.5 (his eq. 15); of tensors with `keras.ops`."""
    x = numbers.abs(x)
    inner = 1.5 * x**3 - 2.5 * x**2 + 1
    outer = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return numbers.where(x <= 1, inner, numbers.where(x <= 2, outer, 0.0))


def _output_size(
    size: tuple[int, int], factor: float | None, output_size: tuple[int, int] | None
) -> tuple[int, ...]:
    checks.require(
        (factor is None) != (output_size is None),
        "factor, output_size",
        expected="one of the two",
        received=f"{factor}, {output_size}",
        remedy="give the other as None",
    )
    checks.require(
        factor is None or (math.isfinite(factor) and factor > 0),
        "factor",
        expected="a positive number",
        received=str(factor),
        remedy="use 1 to keep the size",
    )
    out = output_size or tuple(math.ceil(n * (factor or 1.0) - 1e-9) for n in size)
    checks.require(
        min(*size, *out) >= 1,
        "size",
        expected="positive sizes",
        received=f"{size} to {out}",
        remedy="give rows and columns",
    )
    return tuple(out)


def _weights(size: int, out_size: int, factor: float, antialias: bool) -> csr_matrix:
    """The sparse (out_size, size) matrix of one axis."""
    stretch = min(factor, 1.0) if antialias else 1.0
    centre = (np.arange(out_size) + 0.5) / factor - 0.5
    num_taps = math.ceil(4 / stretch) + 2
    taps = np.floor(centre - 2 / stretch).astype(np.int64)[:, None] + np.arange(num_taps)
    weights = keys_cubic((centre[:, None] - taps) * stretch)
    weights /= weights.sum(1, keepdims=True)
    mirrored = _mirrored(taps, size)
    rows = np.repeat(np.arange(out_size), num_taps)
    keep = weights.ravel() != 0
    entries = (weights.ravel()[keep], (rows[keep], mirrored.ravel()[keep]))
    return coo_matrix(entries, shape=(out_size, size)).tocsr()


def _mirrored(taps: Any, size: Any, numbers: Any = np) -> Any:
    """Samples within the axis that the mirrored ones past its ends repeat."""
    period = taps % (2 * size)
    return numbers.where(period < size, period, 2 * size - 1 - period)


def _gather_table(matrix: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Indices and weights, both (rows, taps), of a sparse matrix; short rows are filled with weight zero."""
    counts = np.diff(matrix.indptr)
    taps = max(int(counts.max()), 1)
    indices = np.zeros((matrix.shape[0], taps), np.int32)
    weights = np.zeros((matrix.shape[0], taps))
    filled = np.arange(taps) < counts[:, None]
    indices[filled], weights[filled] = matrix.indices, matrix.data
    return indices, weights


def _enlarging_table(size: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """Indices and weights, both (ceil(factor size), 4), of one axis."""
    length = ops.cast(ops.ceil(ops.cast(size, "float64") * factor - 1e-9), "int32")
    centre = (ops.cast(ops.arange(length), "float64") + 0.5) / factor - 0.5
    first = ops.floor(centre) - 1.0
    weights = keys_cubic(centre[:, None] - first[:, None] - ops.arange(4, dtype="float64"), ops)
    taps = ops.cast(first, "int32")[:, None] + ops.arange(4, dtype="int32")
    return _mirrored(taps, size, ops), weights


def _resample(x: Tensor, axis: int, indices: Any, weights: Any) -> Tensor:
    shape = [1, -1, 1, 1] if axis == 1 else [1, 1, -1, 1]
    total = 0.0
    for j in range(indices.shape[1]):
        weight = ops.reshape(ops.cast(weights[:, j], x.dtype), shape)
        total = total + weight * ops.take(x, indices[:, j], axis=axis)
    return total


@lru_cache
def _enlarging_phases(scale: int) -> tuple[np.ndarray, int]:
    centre = (np.arange(scale) + 0.5) / scale - 0.5
    taps = np.arange(-2, 3)
    phases = keys_cubic(centre[None, :] - taps[:, None])
    return phases / phases.sum(0), 2
