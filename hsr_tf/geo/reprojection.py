"""An image on another grid, whole or window by window, resampled by GDAL.

Cubic convolution by rasterio, wider where pixels become larger. GDAL takes the width of its kernel from the
part of the image that it is given, and interpolates the map along the rows of that part, up to an eighth of a
pixel off. Here the width is that of the middle of the grid for every part, and parts are fixed blocks of the
target: a window joins those that it lies on, so that it is what the whole has there. Along 128 pixels the map
of one UTM zone to the next is straight to 3e-4 of a pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from rasterio import warp
from rasterio.enums import Resampling
from rasterio.transform import Affine

from hsr_tf import checks
from hsr_tf.geo.coordinates import coordinate_systems, pixel_map
from hsr_tf.geo.georeference import Georeference
from hsr_tf.geo.nesting import Places

Cube = NDArray[np.float32]
Mask = NDArray[np.bool_]
Block = tuple[slice, slice]
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
        size = rows.stop - rows.start, cols.stop - cols.start
        cube, hole = np.zeros((*size, num_bands), np.float32), np.ones(size, bool)
        for block in self._blocks(rows, cols):
            seen = self._seen(block)
            if seen is None:
                continue
            values, missing = self._onto(*read(*seen), seen, block)
            inner, place = _shared(block[0], rows), _shared(block[1], cols)
            cube[inner[1], place[1]] = values[inner[0], place[0]]
            hole[inner[1], place[1]] = missing[inner[0], place[0]]
        return cube, hole

    def seen(self, rows: slice, cols: slice, *, name: str) -> tuple[slice, slice] | None:
        """Rows and columns of the image `name` that `window` reads, None for nothing.

        Raises:
            ValueError: a window that is torn over the image, as at the edge of a projection: from its first
                to its last pixel are many times as many as its blocks cover.
        """
        blocks = list(self._blocks(rows, cols))
        found = [seen for seen in map(self._seen, blocks) if seen is not None]
        if not found:
            return None
        joined = [
            slice(min(one[axis].start for one in found), max(one[axis].stop for one in found))
            for axis in (0, 1)
        ]
        held = _length(joined[0]) * _length(joined[1])
        wanted = round(len(blocks) * BLOCK**2 / float(np.prod(self._density())))
        checks.require(
            held <= max(SMALL_PART, LARGEST_SPREAD * wanted),
            name,
            expected="a grid of which a part lies on a part of the other image's",
            received=f"{wanted} pixels spread over {_length(joined[0])}x{_length(joined[1])}",
            remedy="reproject one of the files first",
        )
        return joined[0], joined[1]

    def _blocks(self, rows: slice, cols: slice) -> Iterator[Block]:
        """The blocks that a window lies on."""
        for row, col in product(*(range(p.start // BLOCK, -(-p.stop // BLOCK)) for p in (rows, cols))):
            firsts = zip((row * BLOCK, col * BLOCK), self.target_size, strict=True)
            down, right = (slice(first, min(first + BLOCK, length)) for first, length in firsts)
            yield down, right

    def _seen(self, block: Block) -> tuple[slice, slice] | None:
        """Rows and columns of the image that a block looks at."""
        near = self._near(block)
        if not len(near):
            return None
        step = (near.max(0) - near.min(0)) / STEPS
        margin = np.ceil(REACH / np.minimum(1, self._density())) + SPARE_PIXELS + np.ceil(step)
        first = np.maximum(0, np.floor(near.min(0) - margin)).astype(int)
        last = np.minimum(self.source_size, np.ceil(near.max(0) + margin)).astype(int)
        if (last <= first).any():
            return None
        return slice(int(first[0]), int(last[0])), slice(int(first[1]), int(last[1]))

    def _onto(self, part: Cube, mask: Mask | None, seen: Block, block: Block) -> tuple[Cube, Mask]:
        """A block of the target from what it looks at, and where it holds no data."""
        size = _length(block[0]), _length(block[1])
        cube, hole = np.zeros((*size, part.shape[-1]), np.float32), np.zeros(size, bool)
        grids = (
            self.source.window(seen[0].start, seen[1].start),
            self.target.window(block[0].start, block[1].start),
        )
        for start in range(0, part.shape[-1], BANDS_AT_ONCE):
            bands = np.array(
                np.moveaxis(part[..., start : start + BANDS_AT_ONCE], -1, 0), np.float32, order="C"
            )
            if mask is not None:
                bands[:, mask] = np.nan
            found = self._warped(bands, grids, size)
            missing = np.isnan(found)
            hole |= missing.any(0)
            cube[..., start : start + len(bands)] = np.moveaxis(
                np.where(missing, np.float32(0), found), 0, -1
            )
        cube[hole] = 0
        return cube, hole

    def _warped(
        self, bands: NDArray[np.float32], grids: tuple[Georeference, Georeference], size: tuple[int, int]
    ) -> NDArray[np.float32]:
        """(C, H, W) on the second grid of (C, h, w) on the first; NaN for no data."""
        systems = coordinate_systems(self.source, self.target)
        down, right = self._density()
        found = np.full((len(bands), *size), np.nan, np.float32)
        warp.reproject(
            bands,
            found,
            src_transform=Affine(*grids[0].transform),
            src_crs=systems[0],
            src_nodata=np.nan,
            dst_transform=Affine(*grids[1].transform),
            dst_crs=systems[1],
            dst_nodata=np.nan,
            resampling=Resampling.cubic,
            XSCALE=repr(float(right)),
            YSCALE=repr(float(down)),
            SOURCE_EXTRA=SPARE_PIXELS,
        )
        return found

    def _density(self) -> NDArray[np.float64]:
        """Pixels of the target a row and a column of the image, in the middle of the target."""
        return _density(self.source, self.target, self.target_size)

    def _near(self, block: Block) -> Places:
        """Places of the image under a mesh over a block, those that have one."""
        down, right = (np.linspace(part.start, part.stop, STEPS + 1) for part in block)
        mesh = np.stack(np.meshgrid(down, right, indexing="ij"), -1).reshape(-1, 2)
        places = pixel_map(self.target, self.source).to_sharp(mesh)
        return np.asarray(places[np.isfinite(places).all(1)])


@lru_cache(maxsize=16)
def _density(source: Georeference, target: Georeference, size: tuple[int, int]) -> NDArray[np.float64]:
    slope = pixel_map(target, source).slope(size)
    return np.asarray(np.linalg.norm(np.linalg.inv(slope), axis=0))


def _shared(block: slice, window: slice) -> tuple[slice, slice]:
    """What a block and a window have in common, counted from the first of each."""
    first, last = max(block.start, window.start), min(block.stop, window.stop)
    inner, outer = (slice(first - part.start, last - part.start) for part in (block, window))
    return inner, outer


def _length(part: slice) -> int:
    return int(part.stop - part.start)
