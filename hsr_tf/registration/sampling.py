"""Samples of an image between its pixels, from the part of it that they need.

Cubic splines, mirrored at the border of the image. The spline of a part differs from that of the whole near
the part's edges only, by 0.27 to the power of the distance in pixels (Unser, Aldroubi and Eden, IEEE Trans.
Signal Processing 41(2), 1993): with `MARGIN` pixels around it by less than 1e-7 of the contrast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hsr_tf.geo.nesting import Places
from hsr_tf.imports import deferred
from hsr_tf.physics.nodata import filled
from hsr_tf.scene import Scene
from hsr_tf.tiling.region import Region
from hsr_tf.typing import Array, Cube, Mask

ndimage = deferred("scipy.ndimage")

ORDER, MARGIN, ROWS_AT_ONCE = 3, 12, 256
OUTSIDE, NEARLY = 1.0, 1e-9


@dataclass(frozen=True, eq=False)
class Source:
    """An image of which parts are read.

    Attributes:
        size: (rows, columns).
        num_bands: C.
        read: the values (h, w, C) of a region, those of the nearest pixel with data where there is none, and
            where that is, (h, w), or None for nowhere.
    """

    size: tuple[int, int]
    num_bands: int
    read: Callable[[Region], tuple[Cube, Mask | None]]

    @classmethod
    def of(cls, scene: Scene) -> Source:
        """A scene in memory."""
        cube, mask = filled(scene.cube, scene.nodata_mask), scene.nodata_mask

        def read(region: Region) -> tuple[Cube, Mask | None]:
            return cube[region.slices], None if mask is None else mask[region.slices]

        return cls(scene.shape[:2], scene.num_bands, read)


def sampled(
    source: Source, region: Region, where: Callable[[Places], Places], *, order: int = ORDER
) -> tuple[Cube, Mask]:
    """A region of an image whose pixels lie anywhere on another one.

    Args:
        source: the other image.
        region: pixels of the first one.
        where: maps places (n, 2) of the first image to places of the other, both (row, column) counted in
            pixels from the outer corner of the first pixel.
        order: 3 for splines, 0 where pixels lie on pixels.

    Returns:
        Values (h, w, C), zero where there are none, and where that is, (h, w): more than a pixel outside of
        the other image, and where that holds no data.
    """
    cube, hole = np.zeros((*region.size, source.num_bands), np.float32), np.ones(region.size, bool)
    starts = range(0, region.height, ROWS_AT_ONCE)
    blocks = [slice(start, min(start + ROWS_AT_ONCE, region.height)) for start in starts]
    places = [where(middles(region, block)) for block in blocks]
    inside = [is_inside(part, source.size) for part in places]
    seen = _seen(np.concatenate([part[kept] for part, kept in zip(places, inside, strict=True)]), source.size)
    if seen is None:
        return cube, hole
    values, missing = source.read(seen)
    corner, last = np.array([seen.row, seen.column]), np.array(seen.size) - 1
    places = [part - corner for part in places]
    for block, part, kept in zip(blocks, places, inside, strict=True):
        outside = ~kept
        if missing is not None:
            near = np.clip(np.floor(part + NEARLY).astype(int), 0, last)
            outside |= missing[near[:, 0], near[:, 1]]
        hole[block] = outside.reshape(-1, region.width)
    for band in range(source.num_bands):
        plane = values[..., band].astype(np.float64)
        if order:
            plane = ndimage.spline_filter(plane, order=order, mode="mirror")
        for block, part in zip(blocks, places, strict=True):
            found = ndimage.map_coordinates(plane, part.T - 0.5, order=order, mode="mirror", prefilter=False)
            cube[block, :, band] = found.reshape(-1, region.width)
    cube[hole] = 0
    return cube, hole


def middles(region: Region, rows: slice = slice(None)) -> Places:
    """(n, 2) middles of the pixels of a region, or of some of its rows."""
    down = region.row + np.arange(region.height)[rows] + 0.5
    across = region.column + np.arange(region.width) + 0.5
    return np.stack(np.meshgrid(down, across, indexing="ij"), -1).reshape(-1, 2)


def is_inside(places: Places, size: tuple[int, int]) -> Mask:
    """Which places (n, 2) lie in an image, or at most a pixel outside."""
    beyond = OUTSIDE + NEARLY
    return np.asarray(((places >= -beyond) & (places <= np.array(size) + beyond)).all(1))


def _seen(places: Array, size: tuple[int, int]) -> Region | None:
    """The part of an image that samples at these places need; None without any."""
    if not len(places):
        return None
    first = np.clip(np.floor(places.min(0)).astype(int) - MARGIN, 0, np.array(size) - 1)
    last = np.clip(np.ceil(places.max(0)).astype(int) + MARGIN, first + 1, size)
    return Region(int(first[0]), int(first[1]), *(int(n) for n in last - first))
