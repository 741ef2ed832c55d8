"""Bicubic resizing of tensors as MATLAB's imresize, with the kernel, phase and border of `arrays.cubic`."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.arrays.axis import decimate_axis, enlarge_axis, phase_matrix
from hsr_tf.arrays.cubic import (
    AxisTable,
    axis_table,
    enlarged_length,
    keys_cubic,
    mirrored,
    require_factor,
    require_sizes,
)
from hsr_tf.imports import deferred
from hsr_tf.physics.operator import LinearOperator
from hsr_tf.typing import Tensor

if TYPE_CHECKING:
    from scipy import sparse
else:
    sparse = deferred("scipy.sparse")


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
        checks.require(
            (factor is None) != (output_size is None),
            "factor, output_size",
            expected="one of the two",
            received=f"{factor}, {output_size}",
            remedy="give the other as None",
        )
        if factor is not None:
            require_factor(factor)
        out = tuple(output_size or (enlarged_length(n, factor or 1.0) for n in size))
        require_sizes(size, out)
        self.size, self.output_size = tuple(size), out
        scales = [factor or m / n for n, m in zip(size, out, strict=True)]
        self._forward = [
            axis_table(n, m, f, antialias=antialias) for n, m, f in zip(size, out, scales, strict=True)
        ]
        self._adjoint = [_transposed(table, n) for table, n in zip(self._forward, size, strict=True)]

    def forward(self, x: Tensor) -> Tensor:
        """Resize (B, H, W, C) to (B, H', W', C)."""
        self._check(x, self.size)
        return self._resampled(x, (1, 2), self._forward)

    def adjoint(self, y: Tensor) -> Tensor:
        """The adjoint, (B, H', W', C) -> (B, H, W, C)."""
        self._check(y, self.output_size)
        return self._resampled(y, (2, 1), self._adjoint)

    def _resampled(self, x: Tensor, axes: tuple[int, int], tables: list[AxisTable]) -> Tensor:
        for axis in axes:
            x = _resample(x, axis, tables[axis - 1].indices, tables[axis - 1].weights)
        return x

    def _check(self, x: Tensor, size: tuple[int, ...]) -> None:
        checks.require(
            tuple(x.shape[1:3]) == tuple(size),
            "image",
            expected=f"height and width {size}",
            received=str(tuple(x.shape[1:3])),
            remedy="build the operator for this size",
        )


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


def bicubic_enlarge_by(y: Tensor, factor: Tensor | float) -> Tensor:
    """Enlarge (B, h, w, C) by a factor of at least 1 that is a tensor, for sizes not known in advance.

    The same numbers as `BicubicResize` to float32's last digits, (B, ceil(factor h), ceil(factor w), C), for
    exported models that are given the factor with the picture.
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


def bicubic_levels(x: Tensor, factors: Collection[int]) -> dict[int, Tensor]:
    """Reduce (B, H, W, C) again and again: each size is made from the next finer one, not from `x` at once.

    Args:
        x: the finest size; H and W must be multiples of the largest factor, and at least twice as large.
        factors: reductions of `x`, each a multiple of the one before it; 1 is `x` itself.

    Returns:
        The reduced images by their factor.
    """
    found, done = {}, 1
    for factor in sorted(factors):
        x, done = bicubic_reduce(x, factor // done), factor
        found[factor] = x
    return found


def _transposed(table: AxisTable, size: int) -> AxisTable:
    """The table of the adjoint, from which `size` samples come back."""
    num_rows, num_taps = table.indices.shape
    rows = np.repeat(np.arange(num_rows), num_taps)
    entries = (table.weights.ravel(), (table.indices.ravel(), rows))
    matrix = sparse.coo_matrix(entries, shape=(size, num_rows)).tocsr()
    matrix.eliminate_zeros()
    # Indices and weights, both (rows, taps), of a sparse matrix; short rows are filled with weight zero.
    counts = np.diff(matrix.indptr)
    taps = max(int(counts.max()), 1)
    indices = np.zeros((matrix.shape[0], taps), np.int32)
    weights = np.zeros((matrix.shape[0], taps))
    filled = np.arange(taps) < counts[:, None]
    indices[filled], weights[filled] = matrix.indices, matrix.data
    return AxisTable(indices, weights)


def _enlarging_table(size: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """Indices and weights, both (ceil(factor size), 4), of one axis."""
    length = ops.cast(ops.ceil(ops.cast(size, "float64") * factor - 1e-9), "int32")
    centre = (ops.cast(ops.arange(length), "float64") + 0.5) / factor - 0.5
    first = ops.floor(centre) - 1.0
    weights = keys_cubic(centre[:, None] - first[:, None] - ops.arange(4, dtype="float64"), ops)
    taps = ops.cast(first, "int32")[:, None] + ops.arange(4, dtype="int32")
    return mirrored(taps, size, ops), weights


def _resample(x: Tensor, axis: int, indices: Any, weights: Any) -> Tensor:
    shape = [1, -1, 1, 1] if axis == 1 else [1, 1, -1, 1]
    total: Any = 0.0
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
