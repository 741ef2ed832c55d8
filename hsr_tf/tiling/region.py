"""Rectangles of pixels, and the ways to cut an image into them.

A `Region` is the one rectangle of the project: a tile, the window around it, a block of samples. Rows come
first. Coordinates are whole pixels of one grid;
`scaled` gives the same ground on a grid that is finer by a whole factor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product

from hsr_tf import checks
from hsr_tf.typing import Size

FILE_CHUNK = 64


@dataclass(frozen=True)
class Region:
    """A rectangle of pixels.

    Attributes:
        row, column: the first ones.
        height, width: numbers of rows and columns.
    """

    row: int
    column: int
    height: int
    width: int

    @classmethod
    def of(cls, rows: slice, columns: slice) -> Region:
        """The region of two slices with start and stop."""
        return cls(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)

    @classmethod
    def whole(cls, size: Size) -> Region:
        """All of an image of (rows, columns)."""
        return cls(0, 0, *size)

    @classmethod
    def middle(cls, size: Size, side: int) -> Region:
        """The middle of an image of (rows, columns): at most `side` pixels along each axis."""
        height, width = (min(length, side) for length in size)
        return cls((size[0] - height) // 2, (size[1] - width) // 2, height, width)

    @property
    def rows(self) -> slice:
        """Its rows."""
        return slice(self.row, self.row + self.height)

    @property
    def columns(self) -> slice:
        """Its columns."""
        return slice(self.column, self.column + self.width)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index an image with."""
        return self.rows, self.columns

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.height, self.width

    @property
    def num_pixels(self) -> int:
        """Height times width."""
        return self.height * self.width

    def scaled(self, scale: int) -> Region:
        """The same ground on a grid of `scale` times as many rows and columns."""
        return Region(scale * self.row, scale * self.column, scale * self.height, scale * self.width)

    def grown(self, margin: int, within: Region) -> Region:
        """The region and `margin` pixels on each side of it, cut at the borders of `within`."""
        around = Region(
            self.row - margin, self.column - margin, self.height + 2 * margin, self.width + 2 * margin
        )
        return around.intersection(within) or Region(self.row, self.column, 0, 0)

    def aligned(self, unit: int, within: Region) -> Region:
        """The smallest region around it whose ends are multiples of `unit`, or where `within` ends."""
        start = Region(self.row // unit * unit, self.column // unit * unit, 0, 0)
        ends = [-(-span.stop // unit) * unit for span in self.slices]
        around = Region(start.row, start.column, ends[0] - start.row, ends[1] - start.column)
        return around.intersection(within) or self

    def inside(self, outer: Region) -> Region:
        """Where it lies in the array of `outer`: the same region, counted from the first pixel of `outer`."""
        return Region(self.row - outer.row, self.column - outer.column, self.height, self.width)

    def margins(self, outer: Region) -> tuple[Size, Size]:
        """Pixels of `outer` above and below it, and left and right of it."""
        rows, columns = (
            (own.start - wide.start, wide.stop - own.stop)
            for own, wide in zip(self.slices, outer.slices, strict=True)
        )
        return rows, columns

    def intersection(self, other: Region) -> Region | None:
        """The pixels that both cover; None where there are none."""
        rows, columns = (
            slice(max(a.start, b.start), min(a.stop, b.stop))
            for a, b in zip(self.slices, other.slices, strict=True)
        )
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return None
        return Region.of(rows, columns)

    def union(self, other: Region) -> Region:
        """The smallest region that covers both."""
        rows, columns = (
            slice(min(a.start, b.start), max(a.stop, b.stop))
            for a, b in zip(self.slices, other.slices, strict=True)
        )
        return Region.of(rows, columns)


def regions(rows: Iterable[slice], columns: Iterable[slice]) -> list[Region]:
    """Every pair of a part of the rows and a part of the columns, row by row."""
    return [Region.of(*parts) for parts in product(rows, columns)]


def even_parts(length: int, largest: int) -> list[slice]:
    """0 ... length in as few parts of at most `largest` samples as possible, of nearly equal lengths.

    Raises:
        ValueError: for a length or a largest part that is not positive.
    """
    for name, value in (("tile", largest), ("length", length)):
        checks.require(
            value >= 1, name, expected="a positive whole number", received=str(value), remedy="give e.g. 512"
        )
    num_parts = -(-length // largest)
    edges = [i * length // num_parts for i in range(num_parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def overlapping_parts(length: int, side: int, overlap: int) -> list[slice]:
    """0 ... length in nearly equal parts of at most `side`; neighbours share `overlap` samples.

    A length of up to one and a half sides is one part.
    """
    if length <= side + side // 2:
        return [slice(0, length)]
    num_parts = math.ceil((length - overlap) / (side - overlap))
    edges = [round(i * (length - overlap) / num_parts) for i in range(num_parts + 1)]
    return [slice(start, stop + overlap) for start, stop in pairwise(edges)]


def equal_parts(length: int, side: int) -> list[slice]:
    """0 ... length in parts of `side` samples, overlapping where they must; a shorter length is one part."""
    num_parts = -(-length // side)
    if num_parts == 1:
        return [slice(0, length)]
    starts = [round(i * (length - side) / (num_parts - 1)) for i in range(num_parts)]
    return [slice(start, start + side) for start in starts]


@dataclass(frozen=True)
class TileGrid:
    """A scene cut into square tiles, which are smaller at the last row and column only.

    Attributes:
        size: (h, w) in coarse pixels.
        tile: side of a tile in coarse pixels.
        scale: sharp pixels per coarse pixel along one side.
    """

    size: Size
    tile: int
    scale: int

    @property
    def whole(self) -> Region:
        """The scene."""
        return Region.whole(self.size)

    @property
    def counts(self) -> Size:
        """Tiles along rows and columns."""
        rows, columns = (-(-n // self.tile) for n in self.size)
        return rows, columns

    def __len__(self) -> int:
        return self.counts[0] * self.counts[1]

    def region(self, index: int) -> Region:
        """The tile of a number, counted row by row."""
        row, column = (self.tile * i for i in divmod(index, self.counts[1]))
        return Region(row, column, min(self.tile, self.size[0] - row), min(self.tile, self.size[1] - column))

    def overlapping(self, region: Region) -> Iterator[int]:
        """The numbers of the tiles that share pixels with a region."""
        rows, columns = (range(p.start // self.tile, -(-p.stop // self.tile)) for p in region.slices)
        return (row * self.counts[1] + column for row in rows for column in columns)


def best_tile(size: Size, scale: int, most: int) -> int:
    """The side, in coarse pixels, of as few tiles as possible with sides of at most `most`.

    Where sides allow it, a multiple of the 64 sharp pixels that files are chunked by.
    """
    step = math.lcm(scale, FILE_CHUNK) // scale
    step = step if most >= 2 * step else 1
    largest = max(1, min(most // step * step, math.ceil(max(size) / step) * step))
    count = math.ceil(max(size) / largest)
    return math.ceil(math.ceil(max(size) / count) / step) * step
