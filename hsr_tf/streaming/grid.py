"""Names of `hsr_tf.tiling.region` as the stages of tiled methods use them."""

from __future__ import annotations

from hsr_tf.tiling import region
from hsr_tf.tiling.region import Region, best_tile

__all__ = ["Place", "TileGrid", "best_tile"]


class Place(Region):
    """A region of coarse pixels, made from slices."""

    def __init__(self, rows: slice, cols: slice) -> None:
        super().__init__(rows.start, cols.start, rows.stop - rows.start, cols.stop - cols.start)

    @property
    def cols(self) -> slice:
        """Its columns."""
        return self.columns

    def within(self, outer: Region, scale: int = 1) -> tuple[slice, slice]:
        """Where it lies in the array of `outer`, in pixels `scale` times finer."""
        return self.inside(outer).scaled(scale).slices

    def finer(self, scale: int) -> tuple[slice, slice]:
        """Rows and columns of the sharp pixels."""
        return self.scaled(scale).slices

    def shared(self, other: Region) -> Place | None:
        """What both cover, None for nothing."""
        found = self.intersection(other)
        return None if found is None else Place(*found.slices)


class TileGrid(region.TileGrid):
    """How a scene is cut."""

    def place(self, index: int) -> Place:
        """The tile of a number, counted row by row."""
        return Place(*self.region(index).slices)

    def widened(self, place: Region, margin: int) -> Place:
        """The place and so many coarse pixels around it, within the scene."""
        return Place(*place.grown(margin, self.whole).slices)
