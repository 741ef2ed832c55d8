"""Stateless functions of arrays and tensors: borders, polyphase decimation and their adjoints.

Images are (batch, height, width, channels). Every function here is linear in its image and comes with its
adjoint under the inner product <a, b> = sum(a * b). Three borders are known: "mirrored" repeats the edge
sample (MATLAB's and NumPy's `symmetric`), "circular" wraps around, "zero" has zeros outside.

Polyphase form. Decimation by s with n taps touches m neighbouring cells of s samples, so it is one (m, s)
matrix product a cell followed by m shifted additions: no strided convolution, whose TensorFlow kernels are
slow for wide depthwise filters, and nothing that TensorFlow Lite lacks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.typing import Tensor

BORDERS = ("mirrored", "circular", "zero")


def _take(x: Tensor, axis: int, start: int | None, stop: int | None) -> Tensor:
    index: list[slice] = [slice(None)] * len(x.shape)
    index[axis] = slice(start, stop)
    return x[tuple(index)]


def _shape(x: Tensor) -> list[Any]:
    """Static sizes where they are known, tensors where they are not."""
    return [
        static if static is not None else dynamic
        for static, dynamic in zip(x.shape, ops.shape(x), strict=True)
    ]


def pad_axis(x: Tensor, axis: int, before: int, after: int, border: str) -> Tensor:
    """Extend one axis of `x` by `before` and `after` samples.

    Args:
        x: tensor of any rank.
        axis: the axis to extend.
        before: number of samples put in front.
        after: number of samples put behind.
        border: "mirrored", "circular" or "zero".

    Raises:
        ValueError: for an unknown border, or an axis that is shorter than the extension.
    """
    checks.require_choice("border", border, BORDERS)
    if before == 0 and after == 0:
        return x
    if border == "zero":
        widths = [(0, 0)] * len(x.shape)
        widths[axis] = (before, after)
        return ops.pad(x, widths)
    size = x.shape[axis]
    checks.require(
        size is None or size >= max(before, after),
        "image",
        expected=f"at least {max(before, after)} samples along axis {axis}, the reach of the PSF",
        received=str(size),
        remedy="use a larger image, a smaller scale or a narrower PSF",
    )
    head = _take(x, axis, None, before) if border == "mirrored" else _take(x, axis, -before, None)
    tail = _take(x, axis, -after, None) if border == "mirrored" else _take(x, axis, None, after)
    if border == "mirrored":
        head, tail = ops.flip(head, axis), ops.flip(tail, axis)
    parts = ([head] if before else []) + [x] + ([tail] if after else [])
    return ops.concatenate(parts, axis)


def fold_axis(x: Tensor, axis: int, before: int, after: int, border: str) -> Tensor:
    """Adjoint of `pad_axis`: cut the extension off and add it to the samples that it repeats."""
    checks.require_choice("border", border, BORDERS)
    if before == 0 and after == 0:
        return x
    inner = _take(x, axis, before, -after if after else None)
    if border == "zero":
        return inner
    head = _take(x, axis, None, before)
    tail = _take(x, axis, -after, None) if after else _take(x, axis, None, 0)
    if border == "mirrored":
        at_start, at_end = ops.flip(head, axis), ops.flip(tail, axis)
    else:
        at_start, at_end = tail, head
    num_start, num_end = (before, after) if border == "mirrored" else (after, before)
    if num_start:
        rest = _take(inner, axis, num_start, None)
        inner = inner + ops.concatenate([at_start, ops.zeros_like(rest)], axis)
    if num_end:
        rest = _take(inner, axis, None, -num_end)
        inner = inner + ops.concatenate([ops.zeros_like(rest), at_end], axis)
    return inner


def phase_matrix(taps: np.ndarray, scale: int, offset: int) -> tuple[np.ndarray, int]:
    """Arrange the taps of a decimating correlation by cell.

    Output sample i is sum_t taps[t] * x[scale * i + offset + t].

    Args:
        taps: (n,) weights.
        scale: s, samples a cell.
        offset: position of the first tap relative to the first sample of the cell.

    Returns:
        The (m, s) matrix whose row j weighs cell i + j - before, and `before`, the number of cells to the
        left.
    """
    before = max(0, -(offset // scale))
    start = before * scale + offset
    num_cells = max(before + 1, -(-(start + len(taps)) // scale))
    matrix = np.zeros(num_cells * scale)
    matrix[start : start + len(taps)] = taps
    return matrix.reshape(num_cells, scale), before


def decimate_axis(x: Tensor, axis: int, phases: np.ndarray, before: int, border: str) -> Tensor:
    """Correlate and decimate axis 1 or 2 of (B, H, W, C) with a `phase_matrix`.

    Args:
        x: (B, H, W, C); the axis divides by s = phases.shape[1].
        axis: 1 or 2.
        phases: (m, s) from `phase_matrix`.
        before: its number of cells to the left.
        border: "mirrored", "circular" or "zero".
    """
    num_cells, scale = phases.shape
    after = num_cells - 1 - before
    size = ops.shape(x)[axis] // scale if x.shape[axis] is None else x.shape[axis] // scale
    padded = pad_axis(x, axis, before * scale, after * scale, border)
    shape = _shape(padded)
    weights = ops.convert_to_tensor(phases, dtype=x.dtype)
    if axis == 1:
        cells = ops.reshape(padded, (-1, size + num_cells - 1, scale, shape[2] * shape[3]))
    else:
        cells = ops.reshape(padded, (-1, size + num_cells - 1, scale, shape[3]))
    partial = ops.matmul(weights, cells)
    total = partial[:, :size, 0]
    for j in range(1, num_cells):
        total = total + partial[:, j : j + size, j]
    return ops.reshape(total, (-1, size, *shape[2:]) if axis == 1 else (-1, shape[1], size, shape[3]))


def spread_axis(y: Tensor, axis: int, phases: np.ndarray, before: int, border: str) -> Tensor:
    """Adjoint of `decimate_axis`: (B, h, W, C) -> (B, s*h, W, C) for axis 1, likewise for axis 2."""
    num_cells, scale = phases.shape
    after = num_cells - 1 - before
    cells = _shifted_sum_source(y, axis, num_cells)
    shape = _shape(y)
    weights = ops.convert_to_tensor(phases.T.copy(), dtype=y.dtype)
    long = (shape[axis] + num_cells - 1) * scale
    spread = ops.matmul(weights, cells)
    out = (-1, long, *shape[2:]) if axis == 1 else (-1, shape[1], long, shape[3])
    return fold_axis(ops.reshape(spread, out), axis, before * scale, after * scale, border)


def _shifted_sum_source(y: Tensor, axis: int, num_cells: int) -> Tensor:
    """Copies of `y`, the j-th delayed by j samples along `axis`, stacked behind that axis; rows flattened."""
    zeros = ops.zeros_like(_take(y, axis, None, 1))
    copies = [
        ops.concatenate([zeros] * j + [y] + [zeros] * (num_cells - 1 - j), axis) for j in range(num_cells)
    ]
    stacked = ops.stack(copies, axis + 1)
    shape = _shape(stacked)
    if axis == 1:
        return ops.reshape(stacked, (-1, shape[1], num_cells, shape[3] * shape[4]))
    return ops.reshape(stacked, (-1, shape[2], num_cells, shape[4]))


def enlarge_axis(y: Tensor, axis: int, phases: np.ndarray, before: int, border: str) -> Tensor:
    """Interpolate axis 1 or 2 by s: output cell i is sum_j phases[j] * y[i + j - before].

    Args:
        y: (B, h, w, C).
        axis: 1 or 2.
        phases: (m, s) weights of m neighbouring samples for each of the s new ones.
        before: number of neighbours to the left.
        border: how `y` goes on past its edges.
    """
    num_taps, scale = phases.shape
    shape = _shape(y)
    padded = pad_axis(y, axis, before, num_taps - 1 - before, border)
    stop = shape[axis]
    taps = [_take(padded, axis, j, stop + j) for j in range(num_taps)]
    stacked = ops.stack(taps, axis + 1)
    flat = (-1, stop, num_taps, shape[2] * shape[3]) if axis == 1 else (-1, stop, num_taps, shape[3])
    weights = ops.convert_to_tensor(phases.T.copy(), dtype=y.dtype)
    cells = ops.matmul(weights, ops.reshape(stacked, flat))
    out = (-1, stop * scale, *shape[2:]) if axis == 1 else (-1, shape[1], stop * scale, shape[3])
    return ops.reshape(cells, out)


def correlate_axis(x: Tensor, axis: int, taps: np.ndarray, border: str) -> Tensor:
    """Correlate one axis with a centred filter of an odd number of taps; the size stays."""
    reach = len(taps) // 2
    padded = pad_axis(x, axis, reach, reach, border)
    size = _shape(x)[axis]
    return sum(float(taps[j]) * _take(padded, axis, j, size + j) for j in range(len(taps)))


def decimate_2d(x: Tensor, kernel: np.ndarray, scale: int, offsets: tuple[int, int], border: str) -> Tensor:
    """Correlate (B, H, W, C) with one (n, p) kernel for all bands and keep one sample a cell of s x s.

    Output sample (i, j) is sum_tu kernel[t, u] * x[s*i + offsets[0] + t, s*j + offsets[1] + u].
    """
    for axis in (1, 2):
        before, after, first = _margins(kernel.shape[axis - 1], scale, offsets[axis - 1])
        x = _take(pad_axis(x, axis, before, after, border), axis, first, None)
    return ops.depthwise_conv(x, _depthwise(kernel, x), strides=scale, padding="valid")


def spread_2d(y: Tensor, kernel: np.ndarray, scale: int, offsets: tuple[int, int], border: str) -> Tensor:
    """Adjoint of `decimate_2d`: zero-insertion, the flipped kernel, and the border folded back."""
    reach = [(n - 1, n - 1) for n in kernel.shape]
    sparse = ops.pad(zero_insert(y, scale), [(0, 0), *reach, (0, 0)])
    full = ops.depthwise_conv(sparse, _depthwise(kernel[::-1, ::-1], y), padding="valid")
    for axis in (1, 2):
        taps, offset = kernel.shape[axis - 1], offsets[axis - 1]
        before, after, first = _margins(taps, scale, offset)
        widths = [(0, 0)] * 4
        widths[axis] = (first, max(0, scale - offset - taps))
        full = fold_axis(ops.pad(full, widths), axis, before, after, border)
    return full


def zero_insert(y: Tensor, scale: int) -> Tensor:
    """Put s - 1 zeros between neighbouring samples: (B, h, w, C) -> (B, s*(h-1)+1, s*(w-1)+1, C)."""
    shape = _shape(y)
    cells = ops.reshape(y, (-1, shape[1], 1, shape[2], 1, shape[3]))
    cells = ops.pad(cells, [(0, 0), (0, 0), (0, scale - 1), (0, 0), (0, scale - 1), (0, 0)])
    full = ops.reshape(cells, (-1, shape[1] * scale, shape[2] * scale, shape[3]))
    return full[:, : (shape[1] - 1) * scale + 1, : (shape[2] - 1) * scale + 1]


def _margins(taps: int, scale: int, offset: int) -> tuple[int, int, int]:
    """Samples to add before and after an axis, and where in the extended axis the first tap falls."""
    before, after = max(0, -offset), max(0, offset + taps - scale)
    return before, after, before + offset


def _depthwise(kernel: np.ndarray, x: Tensor) -> Tensor:
    tiled = np.repeat(np.ascontiguousarray(kernel)[:, :, None, None], x.shape[-1], axis=2)
    return ops.convert_to_tensor(tiled, dtype=x.dtype)
