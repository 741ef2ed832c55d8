"""Tiles of a scene on the coarse grid, and the windows around them that a method looks at.

All tiles are of one size but those at the end of an axis, so that they can be the chunks of a file; windows
end at the borders of the scene, where a method meets the border as it does in the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

CHUNK = 64


@dataclass(frozen=True)
class Place:
    """A rectangle of coarse pixels.

    Attributes:
        rows, cols: slices with start and stop.
    """

    rows: slice
    cols: slice

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.rows.stop - self.rows.start, self.cols.stop - self.cols.start

    def within(self, outer: Place, scale: int = 1) -> tuple[slice, slice]:
        """Where it lies in the array of `outer`, in pixels `scale` times finer."""
        pairs = ((self.rows, outer.rows.start), (self.cols, outer.cols.start))
        rows, cols = (slice(scale * (p.start - o), scale * (p.stop - o)) for p, o in pairs)
        return rows, cols

    def margins(self, outer: Place) -> tuple[tuple[int, int], tuple[int, int]]:
        """Coarse pixels of `outer` above and below it, and left and right of it."""
        rows, cols = (
            (part.start - wide.start, wide.stop - part.stop)
            for part, wide in ((self.rows, outer.rows), (self.cols, outer.cols))
        )
        return rows, cols

    def finer(self, scale: int) -> tuple[slice, slice]:
        """Rows and columns of the sharp pixels."""
        return self.within(Place(slice(0, 0), slice(0, 0)), scale)

    def shared(self, other: Place) -> Place | None:
        """What both cover, None for nothing."""
        rows, cols = (
            slice(max(a.start, b.start), min(a.stop, b.stop))
            for a, b in ((self.rows, other.rows), (self.cols, other.cols))
        )
        return Place(rows, cols) if rows.start < rows.stop and cols.start < cols.stop else None


@dataclass(frozen=True)
class TileGrid:
    """How a scene is cut.

    Attributes:
        size: (h, w) in coarse pixels.
        tile: coarse pixels of a tile's side.
        scale: s.
    """

    size: tuple[int, int]
    tile: int
    scale: int

    @property
    def counts(self) -> tuple[int, int]:
        """Tiles along rows and columns."""
        rows, cols = (-(-n // self.tile) for n in self.size)
        return rows, cols

    def __len__(self) -> int:
        return self.counts[0] * self.counts[1]

    def place(self, index: int) -> Place:
        """The tile of a number, counted row by row."""
        parts = divmod(index, self.counts[1])
        rows, cols = (
            slice(i * self.tile, min((i + 1) * self.tile, n)) for i, n in zip(parts, self.size, strict=True)
        )
        return Place(rows, cols)

    def widened(self, place: Place, margin: int) -> Place:
        """The place and so many coarse pixels around it, within the scene."""
        rows, cols = (
            slice(max(0, part.start - margin), min(n, part.stop + margin))
            for part, n in zip((place.rows, place.cols), self.size, strict=True)
        )
        return Place(rows, cols)

    def overlapping(self, place: Place) -> Iterator[int]:
        """The numbers of the tiles that share pixels with a place."""
        spans = [
            range(part.start // self.tile, -(-part.stop // self.tile)) for part in (place.rows, place.cols)
        ]
        return (row * self.counts[1] + col for row in spans[0] for col in spans[1])


def best_tile(size: tuple[int, int], scale: int, most: int) -> int:
    """The side in coarse pixels of as few tiles as can be with sides of at most `most`.

    Where sides allow it, a multiple of the 64 sharp pixels that files are chunked by.
    """
    step = math.lcm(scale, CHUNK) // scale
    step = step if most >= 2 * step else 1
    largest = max(1, min(most // step * step, math.ceil(max(size) / step) * step))
    count = math.ceil(max(size) / largest)
    return math.ceil(math.ceil(max(size) / count) / step) * step
