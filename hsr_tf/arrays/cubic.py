"""Bicubic resizing along one axis with NumPy alone: Keys' kernel with a = -0.5, as MATLAB's imresize uses it.

Convention. Pixels are cells, so output sample i (from 0) has its centre at (i + 0.5) / factor - 0.5 in input
samples: nothing shifts. Past the edge the image goes on mirrored. When it shrinks, the kernel is stretched by
1 / factor so that it also filters (antialiasing); its weights always sum to one.
Source: R. Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 29(6), 1981,
eq. 15. `hsr_tf.physics.resize` builds its operators on tensors of the same tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hsr_tf import checks


@dataclass(frozen=True, eq=False)
class AxisTable:
    """Which input samples an output sample is made of.

    Attributes:
        indices: (rows, taps) int32, within the axis; a sample that the mirrored border repeats may be named
            more than once.
        weights: (rows, taps) float64, zero where a row has fewer taps.
    """

    indices: np.ndarray
    weights: np.ndarray


class AxisResize:
    """One axis of a bicubic resize, for pictures that are resized a tile at a time.

    Args:
        size: samples of the input.
        output_size: samples of the output; those past `size * factor` go on in the mirrored border.
        factor: enlargement, any positive number, exactly.

    Raises:
        ValueError: for a factor or sizes that are not positive.
    """

    def __init__(self, size: int, output_size: int, factor: float) -> None:
        require_factor(factor)
        require_sizes((size,), (output_size,))
        self.size, self.output_size = size, output_size
        self._table = axis_table(size, output_size, factor)

    def source(self, part: slice) -> slice:
        """The input samples that the output samples `part` look at."""
        looked_at = self._table.indices[part]
        return slice(int(looked_at.min()), int(looked_at.max()) + 1)

    def forward(self, window: np.ndarray, axis: int, part: slice) -> np.ndarray:
        """The output samples `part` along `axis` of the window `source(part)` of an array, in its type."""
        indices = self._table.indices[part] - self.source(part).start
        weights = self._table.weights[part].astype(window.dtype)
        shape = [-1 if i == axis else 1 for i in range(window.ndim)]
        total = np.take(window, indices[:, 0], axis) * weights[:, 0].reshape(shape)
        for j in range(1, indices.shape[1]):
            tap = np.take(window, indices[:, j], axis)
            tap *= weights[:, j].reshape(shape)
            total += tap
        return total


def axis_table(size: int, output_size: int, factor: float, *, antialias: bool = True) -> AxisTable:
    """The table of one axis.

    Args:
        size: samples of the input.
        output_size: samples of the output.
        factor: enlargement, positive.
        antialias: widen the kernel when reducing.
    """
    stretch = min(factor, 1.0) if antialias else 1.0
    centre = (np.arange(output_size) + 0.5) / factor - 0.5
    taps = np.floor(centre - 2 / stretch).astype(np.int64)[:, None] + np.arange(math.ceil(4 / stretch) + 2)
    weights = keys_cubic((centre[:, None] - taps) * stretch)
    weights /= weights.sum(1, keepdims=True)
    return _without_zeros(mirrored(taps, size), weights)


def keys_cubic(x: Any, numbers: Any = np) -> Any:
    """Keys' cubic convolution kernel with a = -0.5 (his eq. 15); of tensors with `keras.ops`."""
    x = numbers.abs(x)
    inner = 1.5 * x**3 - 2.5 * x**2 + 1
    outer = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return numbers.where(x <= 1, inner, numbers.where(x <= 2, outer, 0.0))


def mirrored(taps: Any, size: Any, numbers: Any = np) -> Any:
    """Samples within the axis that the mirrored ones past its ends repeat."""
    period = taps % (2 * size)
    return numbers.where(period < size, period, 2 * size - 1 - period)


def enlarged_length(length: int, scale: float) -> int:
    """Samples of an enlarged axis, rounded up as MATLAB's imresize does."""
    return math.ceil(length * scale - 1e-9)


def require_factor(factor: float) -> None:
    """Refuse what is no enlargement or reduction.

    Raises:
        ValueError: a factor that is not finite and positive.
    """
    checks.require(
        math.isfinite(factor) and factor > 0,
        "factor",
        expected="a positive number",
        received=str(factor),
        remedy="use 1 to keep the size",
    )


def require_sizes(size: tuple[int, ...], output_size: tuple[int, ...]) -> None:
    """Refuse empty images.

    Raises:
        ValueError: a length below 1.
    """
    checks.require(
        min(*size, *output_size) >= 1,
        "size",
        expected="positive sizes",
        received=f"{size} to {output_size}",
        remedy="give rows and columns",
    )


def _without_zeros(indices: np.ndarray, weights: np.ndarray) -> AxisTable:
    """Taps of weight zero dropped: moved behind the others, and cut off where no row has others there."""
    num_taps = max(int((weights != 0).sum(1).max()), 1)
    order = np.argsort(weights == 0, axis=1, kind="stable")[:, :num_taps]
    indices, weights = (np.take_along_axis(values, order, 1) for values in (indices, weights))
    filled = np.where(weights == 0, indices[:, :1], indices)
    return AxisTable(filled.astype(np.int32), weights)
