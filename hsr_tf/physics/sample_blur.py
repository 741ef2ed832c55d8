"""Blur with a kernel a sample or a kernel a cell, and the degradation of blind super-resolution that it is
part of.

    X = (Z * k) reduced by s with antialiased bicubic interpolation (+ noise)

a true convolution with kernels of odd size, centred on their middle tap; past the edge the image goes on
mirrored (edge sample repeated), as often as a small image needs. Kernels are tensors, so gradients reach
them.

A kernel a sample is applied as a matrix product: the image in blocks of 8 x 8 pixels, each with the samples
that its block sees, times the banded matrix of the kernel. On two CPU cores, for sixteen 96 x 96 images and
21 x 21 taps, value and both gradients took 58 ms, and 98 ms as one depthwise convolution with the batch
folded into its channels; for one 512 x 512 image 76 and 754 ms. A kernel a cell is a weighted sum over the
cell's window, one pixel of the cell at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.arrays.axis import fold_axis, pad_axis
from hsr_tf.physics.operator import LinearOperator
from hsr_tf.physics.resize import BicubicResize, bicubic_reduce
from hsr_tf.typing import Tensor

BLOCK = 8


class SampleBlur(LinearOperator):
    """Blur of each image of a batch by its own kernel, (B, H, W, C) -> (B, H, W, C).

    Args:
        kernels: (B, k, k), or (1, k, k) for one that all share; k odd. Sums are not touched.

    Raises:
        ValueError: for kernels of another shape.
    """

    def __init__(self, kernels: Tensor) -> None:
        self._kernels = _odd_square(kernels, rank=3)
        self._reach = self._kernels.shape[-1] // 2

    def forward(self, x: Tensor) -> Tensor:
        """Blur."""
        for axis in (1, 2):
            x = _mirror(x, axis, self._reach)
        return _correlate(x, ops.flip(self._kernels, (1, 2)))

    def adjoint(self, y: Tensor) -> Tensor:
        """The adjoint: correlation of the zero-extended image, and the border folded back."""
        margin = (2 * self._reach, 2 * self._reach)
        full = _correlate(ops.pad(y, [(0, 0), margin, margin, (0, 0)]), self._kernels)
        return _fold_both(full, tuple(y.shape[1:3]), self._reach)


class CellBlur(LinearOperator):
    """Blur with a kernel for each cell of r x r pixels, (B, r h, r w, C) -> (B, r h, r w, C).

    A sample of the result is a sum with the kernel of the cell that it lies in; r = 1 is a kernel a pixel.
    Needs (r k)^2 / r^2 numbers a pixel while a pixel of the cell is summed: 441 for 21 x 21 taps.

    Args:
        kernels: (B, h, w, k, k), k odd. Sums are not touched.
        cell: r.

    Raises:
        ValueError: for kernels of another shape.
    """

    def __init__(self, kernels: Tensor, cell: int = 1) -> None:
        self._kernels = _odd_square(kernels, rank=5)
        self._cell, self._reach = cell, self._kernels.shape[-1] // 2
        self._span = -(-(cell + 2 * self._reach) // cell)

    def forward(self, x: Tensor) -> Tensor:
        """Blur; H and W must be the kernels' h and w times r."""
        cell, taps = self._cell, 2 * self._reach + 1
        for axis in (1, 2):
            # Samples behind the last window that only fill its last cell.
            x = _mirror(x, axis, self._reach, more=self._span * self._cell - (self._cell + 2 * self._reach))
        windows = _windows(_windows(ops.transpose(x, (0, 3, 1, 2)), 3, cell, self._span), 2, cell, self._span)
        flipped = ops.expand_dims(ops.transpose(ops.flip(self._kernels, (3, 4)), (0, 1, 3, 2, 4)), 1)
        rows = []
        for p in range(cell):
            row = [windows[:, :, :, p : p + taps, :, q : q + taps] * flipped for q in range(cell)]
            rows.append(ops.stack([ops.sum(product, (3, 5)) for product in row], 4))
        cells = ops.stack(rows, 3)
        shape = ops.shape(cells)
        full = ops.reshape(cells, (-1, shape[1], shape[2] * cell, shape[4] * cell))
        return ops.transpose(full, (0, 2, 3, 1))

    def adjoint(self, y: Tensor) -> Tensor:
        """The adjoint: every sample spreads its cell's kernel, and the border is folded back."""
        cell, taps = self._cell, 2 * self._reach + 1
        height, width, channels = y.shape[1:4]
        cells = ops.reshape(y, (-1, height // cell, cell, width // cell, cell, channels))
        cells = ops.transpose(cells, (0, 5, 1, 2, 3, 4))
        flipped = ops.flip(self._kernels, (3, 4))
        side = self._span * cell
        total: Any = 0.0
        for p in range(cell):
            for q in range(cell):
                spread = ops.einsum("bchw,bhwtu->bchtwu", cells[:, :, :, p, :, q], flipped)
                margins = [(p, side - p - taps), (0, 0), (q, side - q - taps)]
                total = total + ops.pad(spread, [(0, 0)] * 3 + margins)
        full = _spread_windows(_spread_windows(total, 2, cell, self._span), 3, cell, self._span)
        full = full[:, :, : height + 2 * self._reach, : width + 2 * self._reach]
        return _fold_both(ops.transpose(full, (0, 2, 3, 1)), (height, width), self._reach)


class BlindDegradation(LinearOperator):
    """Blur by given kernels, then bicubic reduction, (B, s h, s w, C) -> (B, h, w, C).

    Args:
        kernels: (B, k, k), a kernel a sample; or (B, h, w, k, k), a kernel for each pixel of the reduced
            image, which blurs the s x s sharp pixels of its cell.
        scale: s, a positive integer.

    Raises:
        ValueError: for kernels of another shape, or a scale that is not a positive integer.
    """

    def __init__(self, kernels: Tensor, scale: int) -> None:
        checks.require_positive_integers(scale=scale, remedy="resize to another factor afterwards")
        self.scale = scale
        many = len(kernels.shape) == 5
        self._blur: LinearOperator = CellBlur(kernels, scale) if many else SampleBlur(kernels)

    def forward(self, x: Tensor) -> Tensor:
        """Blur and reduce; H and W must be multiples of s and at least 2 s."""
        return bicubic_reduce(self._blur(x), self.scale)

    def adjoint(self, y: Tensor) -> Tensor:
        """The adjoint, for static sizes."""
        height, width = y.shape[1:3]
        resize = BicubicResize((height * self.scale, width * self.scale), 1 / self.scale)
        return self._blur.adjoint(resize.adjoint(y))

    def simulate(self, x: Tensor, *, noise: Callable[[Tensor, Any], Tensor] | None, seed: Any) -> Tensor:
        """`forward`, then noise such as `hsr_tf.physics.noise.GaussianNoise`, drawn with `seed`."""
        reduced = self.forward(x)
        return reduced if noise is None else noise(reduced, seed)


def _odd_square(kernels: Tensor, *, rank: int) -> Tensor:
    shape = tuple(kernels.shape)
    checks.require(
        len(shape) == rank and shape[-1] == shape[-2] and shape[-1] is not None and shape[-1] % 2 == 1,
        "kernels",
        expected="(B, k, k) with an odd k" if rank == 3 else "(B, h, w, k, k) with an odd k",
        received=str(shape),
        remedy="pad them to an odd square",
    )
    return ops.convert_to_tensor(kernels)


def _mirror(x: Tensor, axis: int, reach: int, more: int = 0) -> Tensor:
    """`reach` mirrored samples on both sides, then `more` zeros behind."""
    if x.shape[axis] is None:
        size = ops.shape(x)[axis]
        period = (ops.arange(-reach, size + reach)) % (2 * size)
        x = ops.take(x, ops.where(period < size, period, 2 * size - 1 - period), axis=axis)
    else:
        while reach > 0:
            part = min(reach, x.shape[axis])
            x, reach = pad_axis(x, axis, part, part, "mirrored"), reach - part
    widths = [(0, 0)] * len(x.shape)
    widths[axis] = (0, more)
    return ops.pad(x, widths) if more else x


def _fold_both(full: Tensor, size: tuple[int, int], reach: int) -> Tensor:
    """Adjoint of `_mirror` without zeros, along both axes."""
    for axis, inner in zip((1, 2), size, strict=True):
        parts: list[int] = []
        while sum(parts) < reach:
            parts.append(min(reach - sum(parts), inner + 2 * sum(parts)))
        for part in reversed(parts):
            full = fold_axis(full, axis, part, part, "mirrored")
    return full


def _correlate(x: Tensor, kernels: Tensor) -> Tensor:
    """Correlation of (B, H + k - 1, W + k - 1, C) with (B, k, k), where they overlap: (B, H, W, C)."""
    taps, channels = kernels.shape[-1], x.shape[3]
    span = -(-(BLOCK + taps - 1) // BLOCK)
    height, width = ops.shape(x)[1] - taps + 1, ops.shape(x)[2] - taps + 1
    tall, wide = -(-height // BLOCK), -(-width // BLOCK)
    long = [
        (count + span - 1) * BLOCK - size for count, size in zip((tall, wide), ops.shape(x)[1:3], strict=True)
    ]
    x = ops.pad(x, [(0, 0), (0, long[0]), (0, long[1]), (0, 0)])
    blocks = ops.reshape(x, (-1, tall + span - 1, BLOCK, wide + span - 1, BLOCK, channels))
    blocks = ops.transpose(blocks, (0, 5, 1, 3, 2, 4))
    blocks = ops.reshape(blocks, (-1, channels, tall + span - 1, wide + span - 1, BLOCK**2))
    seen = [blocks[:, :, i : i + tall, j : j + wide] for i in range(span) for j in range(span)]
    flat = ops.reshape(ops.concatenate(seen, -1), (-1, channels * tall * wide, (span * BLOCK) ** 2))
    out = ops.reshape(ops.matmul(flat, _banded(kernels, span)), (-1, channels, tall, wide, BLOCK, BLOCK))
    out = ops.reshape(ops.transpose(out, (0, 2, 4, 3, 5, 1)), (-1, tall * BLOCK, wide * BLOCK, channels))
    return out[:, :height, :width]


def _banded(kernels: Tensor, span: int) -> Tensor:
    """The matrix (B, span^2 64, 64) that takes what a block sees to the block's samples."""
    side = span * BLOCK
    columns = _toeplitz(kernels, side)
    both = _toeplitz(ops.transpose(columns, (0, 2, 3, 1)), side)
    cells = ops.reshape(both, (-1, BLOCK, span, BLOCK**2, span, BLOCK))  # six axes: LiteRT turns no more
    return ops.reshape(ops.transpose(cells, (0, 4, 2, 5, 3, 1)), (-1, side**2, BLOCK**2))


def _toeplitz(v: Tensor, side: int) -> Tensor:
    """(..., n) -> (..., 8, side) with v delayed by p samples in row p.

    A row of `side` + 1 samples, repeated and cut at every `side`-th, moves on by one sample a row.
    """
    lead = tuple(v.shape[1:-1])
    v = ops.pad(v, [(0, 0)] * (len(v.shape) - 1) + [(0, side + 1 - v.shape[-1])])
    rows = ops.concatenate([v] * BLOCK, -1)[..., : BLOCK * side]
    return ops.reshape(rows, (-1, *lead, BLOCK, side))


def _windows(x: Tensor, axis: int, cell: int, span: int) -> Tensor:
    """Cut an axis of n + span - 1 cells into n overlapping windows of `span` cells: (..., n, span r, ...)."""
    shape = list(ops.shape(x))
    count = shape[axis] // cell - span + 1
    cells = ops.reshape(x, (*shape[:axis], shape[axis] // cell, cell, *shape[axis + 1 :]))
    before = (slice(None),) * axis
    parts = [cells[(*before, slice(j, j + count))] for j in range(span)]
    return ops.reshape(ops.stack(parts, axis + 1), (*shape[:axis], count, span * cell, *shape[axis + 1 :]))


def _spread_windows(y: Tensor, axis: int, cell: int, span: int) -> Tensor:
    """Adjoint of `_windows`: overlapping windows are added up."""
    shape = list(y.shape)
    cells = ops.reshape(y, (*shape[: axis + 1], span, cell, *shape[axis + 2 :]))
    total = 0.0
    for j in range(span):
        part = cells[(*(slice(None),) * (axis + 1), j)]
        widths = [(0, 0)] * len(part.shape)
        widths[axis] = (j, span - 1 - j)
        total = total + ops.pad(part, widths)
    return ops.reshape(total, (*shape[:axis], (shape[axis] + span - 1) * cell, *shape[axis + 2 :]))
