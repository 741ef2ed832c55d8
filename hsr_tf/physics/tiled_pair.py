"""The two images of a scene by regions, with their cameras and the store of the tiles: what methods work on.

All regions are in coarse pixels: a region of X and the sharp pixels of Y on the same ground. An `ArrayPair`
holds both images in memory and is one tile; `hsr_tf.streaming` reads them from files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hsr_tf.physics.completed_holes import blocks, completed, seen_around
from hsr_tf.physics.nodata import Holes
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.tiling.region import Region, TileGrid
from hsr_tf.tiling.stages import MemoryStore, TileStore
from hsr_tf.typing import Cube, Mask


class TiledPair(ABC):
    """Two images of one scene, as a method is given them.

    Attributes:
        grid: the tiles.
        store: where the parts of the method are kept.
        model: the two cameras.
        wavelengths_nm: (C,) band centres of X, or None.
    """

    grid: TileGrid
    store: TileStore
    model: ObservationModel
    wavelengths_nm: NDArray[np.floating] | None = None

    @property
    @abstractmethod
    def num_bands(self) -> int:
        """C of X."""

    @property
    @abstractmethod
    def has_holes(self) -> bool:
        """Whether some pixels hold no data."""

    @property
    @abstractmethod
    def is_completed(self) -> bool:
        """Whether the missing pixels of Y hold what X says of them (`hsr_tf.physics.completed_holes`)."""

    @abstractmethod
    def lr_hsi(self, region: Region) -> Cube:
        """X of a region, (h, w, C), filled where there is no data."""

    @abstractmethod
    def hr_msi(self, region: Region) -> Cube:
        """Y of a region, (s h, s w, c), filled where there is no data, linear in light."""

    @abstractmethod
    def missing(self, region: Region) -> Holes:
        """Where X (h, w) and Y (s h, s w) of a region hold no data."""

    def clean(self, region: Region) -> Mask:
        """(h, w), True for coarse pixels with data into which the PSF mixes no sharp pixel without."""
        around = region.grown(self.model.spatial.reach_cells, self.grid.whole)
        clean = self.missing(around).clean(self.model.spatial, around.size)
        return clean[region.inside(around).slices]

    def mixed(self, region: Region) -> Cube:
        """(h, w), the share of the weight of the PSF that lies on sharp pixels without data."""
        around = region.grown(self.model.spatial.reach_cells, self.grid.whole)
        mixed = self.missing(around).mixed(self.model.spatial, around.size)
        return mixed[region.inside(around).slices]

    def completed_block(self, block: Region, noise: float) -> Cube:
        """Y of a block (`hsr_tf.physics.completed_holes.blocks`) of a pair that is not completed, completed.

        Args:
            block: in coarse pixels.
            noise: see `hsr_tf.physics.completed_holes.completed`.
        """
        sharp = self.missing(block).sharp
        if sharp is None or not sharp.any():
            return self.hr_msi(block)
        around = seen_around(block, self.model.spatial, self.grid.whole)
        holes, colours = self.missing(around), self.lr_hsi(around) @ self.model.spectral.matrix
        seen = np.ones(around.size, bool) if holes.coarse is None else ~holes.coarse
        assert holes.sharp is not None
        filled = completed(
            self.model.spatial,
            self.hr_msi(around),
            holes.sharp,
            colours.astype(np.float32),
            seen,
            noise=noise,
        )
        return filled[block.inside(around).scaled(self.grid.scale).slices]

    def usable(self, region: Region) -> Mask:
        """(h, w), True for coarse pixels whose spectra are used: those with data where Y is completed."""
        if not self.is_completed:
            return self.clean(region)
        coarse = self.missing(region).coarse
        return np.ones(region.size, bool) if coarse is None else ~coarse


@dataclass(frozen=True, eq=False)
class ArrayPair(TiledPair):
    """Two images in memory, as one tile or as several.

    Attributes:
        cubes: X (h, w, C) and Y (s h, s w, c), float32.
        model: the two cameras.
        holes: where the images hold no data.
        counted: (h, w), False for the coarse pixels that are to be left out; by default what `holes` says.
        tile: side of the tiles in coarse pixels; None for one tile.
        store: where the parts of the method are kept.
        is_completed: see `TiledPair.is_completed`.
        wavelengths_nm: (C,) band centres, or None.
    """

    cubes: tuple[Cube, Cube]
    model: ObservationModel
    holes: Holes = Holes()
    counted: Mask | None = None
    tile: int | None = None
    store: TileStore = field(default_factory=MemoryStore)
    is_completed: bool = False
    wavelengths_nm: NDArray[np.floating] | None = None

    def completed(self, noise: float) -> ArrayPair:
        """The pair with the missing pixels of Y completed from X; R has to be that of the camera of Y.

        Args:
            noise: see `hsr_tf.physics.completed_holes.completed`.
        """
        sharp = self.holes.sharp
        if sharp is None or not sharp.any():
            return self
        filled, scale = self.cubes[1].copy(), self.model.scale
        grid = blocks(self.grid.size, scale)
        for index in range(len(grid)):
            block = grid.region(index)
            filled[block.scaled(scale).slices] = self.completed_block(block, noise)
        return replace(self, cubes=(self.cubes[0], filled), is_completed=True)

    @property
    def grid(self) -> TileGrid:  # type: ignore[override]
        """The tiles."""
        height, width = self.cubes[0].shape[:2]
        return TileGrid((height, width), self.tile or max(height, width), self.model.scale)

    @property
    def num_bands(self) -> int:
        """See `TiledPair.num_bands`."""
        return int(self.cubes[0].shape[2])

    @property
    def has_holes(self) -> bool:
        """See `TiledPair.has_holes`."""
        return self.holes.any or (self.counted is not None and not self.counted.all())

    def lr_hsi(self, region: Region) -> Cube:
        """See `TiledPair.lr_hsi`."""
        return self.cubes[0][region.slices]

    def hr_msi(self, region: Region) -> Cube:
        """See `TiledPair.hr_msi`."""
        return self.cubes[1][region.scaled(self.model.scale).slices]

    def missing(self, region: Region) -> Holes:
        """See `TiledPair.missing`."""
        coarse, sharp = self.holes.coarse, self.holes.sharp
        return Holes(
            None if coarse is None else coarse[region.slices],
            None if sharp is None else sharp[region.scaled(self.model.scale).slices],
        )

    def clean(self, region: Region) -> Mask:
        """See `TiledPair.clean`."""
        return super().clean(region) if self.counted is None else self.counted[region.slices]

    def usable(self, region: Region) -> Mask:
        """See `TiledPair.usable`."""
        return super().usable(region) if self.counted is None else self.counted[region.slices]


class StoredPair(TiledPair):
    """The images of another pair, whose parts are kept elsewhere.

    Args:
        pair: the images, tiles and cameras.
        store: where the parts of the method are kept.
    """

    def __init__(self, pair: TiledPair, store: TileStore) -> None:
        self._pair = pair
        self.grid, self.store, self.model = pair.grid, store, pair.model
        self.wavelengths_nm = pair.wavelengths_nm

    @property
    def num_bands(self) -> int:
        """See `TiledPair.num_bands`."""
        return self._pair.num_bands

    @property
    def has_holes(self) -> bool:
        """See `TiledPair.has_holes`."""
        return self._pair.has_holes

    @property
    def is_completed(self) -> bool:
        """See `TiledPair.is_completed`."""
        return self._pair.is_completed

    def lr_hsi(self, region: Region) -> Cube:
        """See `TiledPair.lr_hsi`."""
        return self._pair.lr_hsi(region)

    def hr_msi(self, region: Region) -> Cube:
        """See `TiledPair.hr_msi`."""
        return self._pair.hr_msi(region)

    def missing(self, region: Region) -> Holes:
        """See `TiledPair.missing`."""
        return self._pair.missing(region)

    def clean(self, region: Region) -> Mask:
        """See `TiledPair.clean`."""
        return self._pair.clean(region)

    def usable(self, region: Region) -> Mask:
        """See `TiledPair.usable`."""
        return self._pair.usable(region)
