"""The pixels of the output: those of the tiles, or those of the sharp image's file where that was resampled.

The finished tiles of a pair that a transform brings together lie on cells of the coarse pixels. They are kept
in the draft, and parts of the output are sampled from them; see `hsr_tf.registration.resampling.Nesting`.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsr_tf.physics.nodata import filled
from hsr_tf.registration.resampling import DETAIL_MARGIN, Detail
from hsr_tf.registration.sampling import Source
from hsr_tf.streaming.files import Cube, Image, Mask
from hsr_tf.streaming.job import FilesPair
from hsr_tf.streaming.pair import image_source
from hsr_tf.streaming.steps import finished_tile
from hsr_tf.tiling.region import Region, TileGrid
from hsr_tf.tiling.stages import Stage, StagedMethod, TileStore

NESTED, HOLES, DETAIL = "nested", "nested_holes", "detail"


class OutputTiles:
    """The parts of the output of a job, once all stages of its method are done.

    Args:
        pair: the images of the job.
        method: that was run.
    """

    def __init__(self, pair: FilesPair, method: StagedMethod) -> None:
        self._pair, self._method = pair, method
        side, box = pair.grid.tile * pair.grid.scale, Region.whole(_sharp_grid(pair).size)
        if pair.nesting is not None:
            box = Region.of(*pair.nesting.box)
            side = max(1, side // 2)  # what a part is sampled from is larger than the part
        self._box, self._grid = box, TileGrid(box.size, side, 1)

    def __len__(self) -> int:
        return len(self._grid)

    @property
    def side(self) -> int:
        """Of a part, in pixels of the output."""
        return self._grid.tile

    def region(self, index: int) -> Region:
        """The pixels of a part."""
        return self._grid.region(index)

    def stages(self) -> list[Stage]:
        """What has to be known of the finished tiles before the first part."""
        pair = self._pair
        if pair.nesting is None:
            return []
        count = len(pair.grid)
        kept = Stage(NESTED, count, self._keep)
        return [kept] if pair.nesting.keeps_pixels else [kept, Stage(DETAIL, count, self._compare)]

    def values(self, index: int, nodata: float | None) -> NDArray[np.float32]:
        """The values of a part, (h, w, C); `nodata` where one of the images has no data."""
        pair, nesting, region = self._pair, self._pair.nesting, self._grid.region(index)
        if nesting is None or pair.hr_file is None:
            return finished_tile(pair, self._method, index, nodata)
        place = Region(region.row + self._box.row, region.column + self._box.column, *region.size)
        sources = kept_estimate(pair), image_source(_looked_at(pair.images[1])), image_source(pair.hr_file)
        cube, hole = nesting.returned(*sources, place, self._mixing)
        cube[hole] = np.float32(0.0 if nodata is None else nodata)
        return cube

    @cached_property
    def _mixing(self) -> NDArray[np.float64] | None:
        pair = self._pair
        if pair.nesting is None or pair.nesting.keeps_pixels:
            return None
        sums = np.sum([pair.store.load(DETAIL, index) for index in range(len(pair.grid))], axis=0)
        number = len(sums)
        return Detail(sums[:, :number], sums[:, number:]).mixing

    def _keep(self, index: int) -> None:
        """A finished tile, and where it has no data."""
        pair = self._pair
        hole = pair.missing(pair.grid.region(index)).of_estimate(pair.grid.scale)
        values = finished_tile(pair, self._method, index, None)
        hole = np.zeros(values.shape[:2], bool) if hole is None else hole
        pair.store.save(HOLES, index, hole[..., None])
        pair.store.save(NESTED, index, values)

    def _compare(self, index: int) -> None:
        """Sums of the detail of a tile."""
        pair = self._pair
        sources = kept_estimate(pair), image_source(_looked_at(pair.images[1]))
        sums = Detail.of(*sources, _sharp_grid(pair).region(index), pair.grid.scale)
        pair.store.save(DETAIL, index, np.hstack([sums.normal, sums.cross]))


def kept_estimate(pair: FilesPair) -> Source:
    """The finished tiles that were kept, as one image."""
    grid, store = _sharp_grid(pair), pair.store

    def read(region: Region) -> tuple[Cube, Mask | None]:
        around = region.grown(DETAIL_MARGIN, grid.whole)
        hole = store.read(HOLES, grid, around)[..., 0]
        inner = region.inside(around).slices
        if not hole.any():
            return _read(store, grid, region), None
        values = _read(store, grid, around)
        if not hole.all():
            values = filled(values, hole)
        return values[inner], hole[inner]

    num_bands = store.load(NESTED, 0).shape[2]
    return Source((grid.size[0], grid.size[1]), num_bands, read)


def _read(store: TileStore, grid: TileGrid, region: Region) -> Cube:
    values: Cube = store.read(NESTED, grid, region)
    return values


def _sharp_grid(pair: FilesPair) -> TileGrid:
    """The tiles in sharp pixels."""
    rows, cols = (pair.grid.scale * n for n in pair.grid.size)
    return TileGrid((rows, cols), pair.grid.tile * pair.grid.scale, 1)


def _looked_at(image: Image) -> Image:
    """The image, whose holes are looked for."""
    return Image(image.name, image.reader, holes=True)
