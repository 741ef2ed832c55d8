"""What is wrong with a scene that no memory holds: dead bands and holes, found in one pass over its tiles.

The smallest and largest value of every band over all pixels with data decide, as `hsr_tf.fusion.repair` has
it; the repair itself is asked about two pixels that hold these values. Saturated samples are not looked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.fusion.repair import Defect, Repaired, repair
from hsr_tf.io.header import CubeHeader
from hsr_tf.physics.nodata import require_data
from hsr_tf.scene import Observation, Scene
from hsr_tf.streaming.files import Image
from hsr_tf.tiling.region import Region

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Extent:
    """What a pass over an image finds.

    Attributes:
        low, high: (C,) of the pixels with data; infinite where there are none.
        num_pixels, num_holes: all pixels, and those without data.
        box: first row, last row, first column, last column of the holes.
    """

    low: Numbers
    high: Numbers
    num_pixels: int
    num_holes: int
    box: tuple[int, int, int, int]

    @classmethod
    def of(cls, image: Image, region: Region) -> Extent:
        """That of a part of an image."""
        cube, mask = image.with_mask(*region.slices)
        pixels = cube.reshape(-1, cube.shape[-1]) if mask is None else cube[~mask]
        num_holes, box = (0, EMPTY_BOX) if mask is None else (int(mask.sum()), _box(mask, region))
        num_pixels = cube.shape[0] * cube.shape[1]
        if not len(pixels):
            nothing = np.full(cube.shape[-1], np.inf)
            return cls(nothing, -nothing, num_pixels, num_holes, box)
        low, high = pixels.min(0).astype(np.float64), pixels.max(0).astype(np.float64)
        return cls(low, high, num_pixels, num_holes, box)

    def numbers(self) -> Numbers:
        """Everything in one row."""
        return np.concatenate([self.low, self.high, [self.num_pixels, self.num_holes, *self.box]])

    @classmethod
    def joined(cls, rows: Iterable[Numbers]) -> Extent:
        """That of a whole image, from the `numbers` of its parts."""
        table = np.stack(list(rows))
        num_bands = (table.shape[1] - 6) // 2
        box = table[:, -4:]
        return cls(
            low=table[:, :num_bands].min(0),
            high=table[:, num_bands : 2 * num_bands].max(0),
            num_pixels=int(table[:, -6].sum()),
            num_holes=int(table[:, -5].sum()),
            box=(
                int(box[:, 0].min()),
                int(box[:, 1].max()),
                int(box[:, 2].min()),
                int(box[:, 3].max()),
            ),
        )


EMPTY_BOX = (2**53, -1, 2**53, -1)


def surveyed(
    headers: tuple[CubeHeader, CubeHeader], extents: tuple[Extent, Extent], scale: int, *, keep_bands: bool
) -> Repaired:
    """The repair of the whole scene, with two coarse pixels in place of its images.

    Args:
        headers: of X and Y.
        extents: of X and Y.
        scale: s.
        keep_bands: see `hsr_tf.fusion.repair.repair`.

    Raises:
        ValueError: an image without any data.
    """
    for name, extent in zip(("lr_hsi", "hr_msi"), extents, strict=True):
        require_data(extent.num_holes < extent.num_pixels, name)
    return repair(probe(headers, extents, scale), keep_bands=keep_bands)


def holes_in(extents: tuple[Extent, Extent]) -> list[Defect]:
    """The pixels without data of each image that has any."""
    return [
        Defect.holes(name, extent.num_holes, extent.box)
        for name, extent in zip(("lr_hsi", "hr_msi"), extents, strict=True)
        if extent.num_holes
    ]


def probe(headers: tuple[CubeHeader, CubeHeader], extents: tuple[Extent, Extent], scale: int) -> Observation:
    """Two coarse pixels with the smallest and largest values of the scene, and all that its files tell."""
    lr_hsi, hr_msi = (
        scene_of(header, np.stack([extent.low, extent.high])[:, None].astype(np.float32))
        for header, extent in zip(headers, extents, strict=True)
    )
    sharp = hr_msi.cube.repeat(scale, 0).repeat(scale, 1)
    return Observation(lr_hsi, scene_of(headers[1], sharp), scale)


def scene_of(header: CubeHeader, cube: NDArray[np.float32]) -> Scene:
    """A scene of these values with all that a file tells of the whole."""
    return Scene(cube, **header.facts())


def _box(mask: NDArray[Any], region: Region) -> tuple[int, int, int, int]:
    """First and last row, first and last column of the pixels that are marked in a region of an image."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    row, column = region.row, region.column
    return row + int(rows[0]), row + int(rows[-1]), column + int(columns[0]), column + int(columns[-1])
