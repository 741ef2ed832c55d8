"""An image on another grid, whole or window by window, resampled by GDAL.

Cubic convolution by rasterio, wider where pixels become larger. GDAL takes the width of its kernel from the
part of the image that it is given, and interpolates the map along the rows of that part, up to an eighth of a
pixel off. Here the width is that of the middle of the grid for every part, and parts are fixed blocks of the
target: a window joins those that it lies on, so that it is what the whole has there. Along 128 pixels the map
of one UTM zone to the next is straight to 3e-4 of a pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
from numpy.typing import NDArray

from hsr_tf import checks
from hsr_tf.geo.coordinates import coordinate_systems, pixel_map
from hsr_tf.geo.georeference import Georeference
from hsr_tf.imports import deferred
from hsr_tf.tiling.region import Region, TileGrid
from hsr_tf.typing import Cube, Mask

warp = deferred("rasterio.warp")
transform = deferred("rasterio.transform")
enums = deferred("rasterio.enums")

PartReader = Callable[[slice, slice], tuple[Cube, Mask | None]]
BLOCK, STEPS, BANDS_AT_ONCE = 128, 8, 32
REACH, SPARE_PIXELS = 2, 3
LARGEST_SPREAD, SMALL_PART = 16, 2**18


@dataclass(frozen=True)
class Reprojection:
    """One grid onto another.

    Attributes:
        source, source_size: the grid of the image, and its (rows, columns).
        target, target_size: the other one.
    """

    source: Georeference
    source_size: tuple[int, int]
    target: Georeference
    target_size: tuple[int, int]

    def window(self, read: PartReader, rows: slice, cols: slice, *, num_bands: int) -> tuple[Cube, Mask]:
        """A window of the target.

        Args:
            read: gives the pixels (h, w, C) of rows and columns of the image, and where they hold no data, or
                None.
            rows, cols: of the target.
            num_bands: C.

        Returns:
            Values (H, W, C), zero where there are none, and where that is.
        """
        window = Region.of(rows, cols)
        cube, hole = np.zeros((*window.size, num_bands), np.float32), np.ones(window.size, bool)
        for block in self._blocks(window):
            seen, part = self._seen(block), block.intersection(window)
            if seen is None or part is None:
                continue
            values, missing = self._onto(*read(*seen.slices), seen, block)
            inner, place = part.inside(block).slices, part.inside(window).slices
            cube[place], hole[place] = values[inner], missing[inner]
        return cube, hole

    def seen(self, rows: slice, cols: slice, *, name: str) -> tuple[slice, slice] | None:
        """Rows and columns of the image `name` that `window` reads, None for nothing.

        Raises:
            ValueError: a window that is torn over the image, as at the edge of a projection: from its first
                to its last pixel are many times as many as its blocks cover.
        """
        blocks = self._blocks(Region.of(rows, cols))
        found = [seen for seen in map(self._seen, blocks) if seen is not None]
        if not found:
            return None
        joined = reduce(Region.union, found)
        wanted = round(len(blocks) * BLOCK**2 / float(np.prod(self._density())))
        checks.require(
            joined.num_pixels <= max(SMALL_PART, LARGEST_SPREAD * wanted),
            name,
            expected="a grid of which a part lies on a part of the other image's",
            received=f"{wanted} pixels spread over {joined.height}x{joined.width}",
            remedy="reproject one of the files first",
        )
        return joined.slices

    def _blocks(self, window: Region) -> list[Region]:
        """The blocks that a window lies on."""
        grid = TileGrid(self.target_size, BLOCK, 1)
        return [grid.region(index) for index in grid.overlapping(window)]

    def _seen(self, block: Region) -> Region | None:
        """The part of the image that a block depends on."""
        # Places of the image under a mesh over a block, those that have one.
        down, right = (np.linspace(part.start, part.stop, STEPS + 1) for part in block.slices)
        mesh = np.stack(np.meshgrid(down, right, indexing="ij"), -1).reshape(-1, 2)
        places = pixel_map(self.target, self.source).to_sharp(mesh)
        near = np.asarray(places[np.isfinite(places).all(1)])
        if not len(near):
            return None
        step = (near.max(0) - near.min(0)) / STEPS
        margin = np.ceil(REACH / np.minimum(1, self._density())) + SPARE_PIXELS + np.ceil(step)
        first = np.maximum(0, np.floor(near.min(0) - margin)).astype(int)
        last = np.minimum(self.source_size, np.ceil(near.max(0) + margin)).astype(int)
        if (last <= first).any():
            return None
        return Region(int(first[0]), int(first[1]), *(int(n) for n in last - first))

    def _onto(self, part: Cube, mask: Mask | None, seen: Region, block: Region) -> tuple[Cube, Mask]:
        """A block of the target from what it looks at, and where it holds no data."""
        size = block.size
        cube, hole = np.zeros((*size, part.shape[-1]), np.float32), np.zeros(size, bool)
        grids = self.source.window(seen.row, seen.column), self.target.window(block.row, block.column)
        for start in range(0, part.shape[-1], BANDS_AT_ONCE):
            bands = np.array(
                np.moveaxis(part[..., start : start + BANDS_AT_ONCE], -1, 0), np.float32, order="C"
            )
            if mask is not None:
                bands[:, mask] = np.nan
            # (C, H, W) on the second grid of (C, h, w) on the first; NaN for no data.
            systems = coordinate_systems(self.source, self.target)
            down, right = self._density()
            found = np.full((len(bands), *size), np.nan, np.float32)
            warp.reproject(
                bands,
                found,
                src_transform=transform.Affine(*grids[0].transform),
                src_crs=systems[0],
                src_nodata=np.nan,
                dst_transform=transform.Affine(*grids[1].transform),
                dst_crs=systems[1],
                dst_nodata=np.nan,
                resampling=enums.Resampling.cubic,
                XSCALE=repr(float(right)),
                YSCALE=repr(float(down)),
                SOURCE_EXTRA=SPARE_PIXELS,
            )
            missing = np.isnan(found)
            hole |= missing.any(0)
            cube[..., start : start + len(bands)] = np.moveaxis(
                np.where(missing, np.float32(0), found), 0, -1
            )
        cube[hole] = 0
        return cube, hole

    def _density(self) -> NDArray[np.float64]:
        """Pixels of the target a row and a column of the image, in the middle of the target."""
        return _density(self.source, self.target, self.target_size)


@lru_cache(maxsize=16)
def _density(source: Georeference, target: Georeference, size: tuple[int, int]) -> NDArray[np.float64]:
    slope = pixel_map(target, source).slope(size)
    return np.asarray(np.linalg.norm(np.linalg.inv(slope), axis=0))
