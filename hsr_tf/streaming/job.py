"""What a job is (plain data that every process reads from the draft), and what its tiles work with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf import methods, options
from hsr_tf.closed_forms.gap_beside_holes import completion_noise, sample_of
from hsr_tf.io.pair_reading import PairReading
from hsr_tf.networks.fusion_model import cameras_from_dict
from hsr_tf.physics.cameras import UNKNOWN
from hsr_tf.physics.completed_holes import blocks
from hsr_tf.physics.nodata import Holes
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.physics.tiled_pair import TiledPair
from hsr_tf.radiometry import AS_RECORDED, Radiometry
from hsr_tf.registration.resampling import Nesting
from hsr_tf.registration.transform import Transform
from hsr_tf.streaming.draft import Draft
from hsr_tf.streaming.files import Cube, Image
from hsr_tf.streaming.pair import Pair, opened_pair
from hsr_tf.tiling.region import Region, TileGrid

JOB, FOUND = "job", "found"
KEPT_BLOCKS = 8


@dataclass(frozen=True)
class Job:
    """What is to be done, but for what the first pass finds.

    Attributes:
        lr_hsi, hr_msi: names by which any process finds X and Y.
        method: name in the registry.
        options: of a solver, `name=value`.
        weights: folder of the network's model, None for methods without.
        adapt: whether the network is adapted to each window by the solver `adapt`.
        seed: of what a solver draws.
        size: (h, w) of X on the common ground.
        scale: s.
        tile: coarse pixels of a tile's side.
        window: coarse pixels of a solver's window, None for other methods.
        memory_limit: bytes that each process stays below.
        reading: white levels and wavelengths that the caller gives.
        transform: from the pixels of X to those of Y as plain data, None to pair them by grids or sizes.
    """

    lr_hsi: str
    hr_msi: str
    method: str
    options: tuple[str, ...]
    weights: str | None
    adapt: bool
    seed: int
    size: tuple[int, int]
    scale: int
    tile: int
    window: int | None
    memory_limit: int
    reading: PairReading | None = None
    transform: dict[str, Any] | None = None

    @property
    def grid(self) -> TileGrid:
        """Its tiles."""
        return TileGrid(self.size, self.tile, self.scale)

    def chosen(self) -> methods.Method:
        """The method with its options."""
        known = methods.get(self.method, methods.FUSION_KINDS)
        if self.adapt:
            return options.adapted(known, self.weights, self.options)
        return options.with_options(known, self.options)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, data: dict[str, Any]) -> Job:
        """The inverse of `as_dict`."""
        rows, cols = data["size"]
        reading = None if data.get("reading") is None else PairReading.of(data["reading"])
        changed = {"options": tuple(data["options"]), "size": (rows, cols), "reading": reading}
        return cls(**{**data, **changed})


@dataclass(frozen=True, eq=False)
class Found:
    """What the first pass found.

    Attributes:
        bands, channels: those of X and Y that the method is given.
        before: (bands, C), applied to these bands of X before the method, or None.
        after: (bands, C), applied to the estimate, or None.
        cameras: of what the method is given.
        holes: whether X, and Y, have pixels without data.
        radiometry: what is undone in Y before the method.
    """

    bands: tuple[int, ...]
    channels: tuple[int, ...]
    before: NDArray[np.float32] | None
    after: NDArray[np.float32] | None
    cameras: ObservationModel
    holes: tuple[bool, bool]
    radiometry: Radiometry = AS_RECORDED

    @classmethod
    def of(cls, data: dict[str, Any]) -> Found:
        """From plain data."""
        before, after = (
            None if data[name] is None else np.asarray(data[name], np.float32) for name in ("before", "after")
        )
        cameras = cameras_from_dict(data["cameras"])
        assert cameras is not None
        lr_holes, hr_holes = data["holes"]
        return cls(
            tuple(data["bands"]),
            tuple(data["channels"]),
            before,
            after,
            cameras,
            (lr_holes, hr_holes),
            Radiometry.from_dict(data["radiometry"]),
        )

    @property
    def num_bands(self) -> int:
        """Of X as the method is given it."""
        return len(self.bands) if self.before is None else self.before.shape[1]


@dataclass(frozen=True, eq=False)
class FilesPair(TiledPair):
    """The images of a job, part by part as the method is given them, and the tiles that are finished.

    Attributes:
        grid: the tiles.
        store: the draft that keeps them.
        images: X and Y on common ground.
        found: what the first pass found.
        nesting: how Y is brought under the pixels of X by a transform, or None.
        hr_file: Y on its own pixels, None without a transform.
        completes: whether missing pixels of Y are completed where the response is known.
    """

    grid: TileGrid
    store: Draft
    images: tuple[Image, Image]
    found: Found
    nesting: Nesting | None = None
    hr_file: Image | None = None
    completes: bool = True

    @property
    def model(self) -> ObservationModel:  # type: ignore[override]
        """The two cameras."""
        return self.found.cameras

    @property
    def num_bands(self) -> int:
        """See `TiledPair.num_bands`."""
        return self.found.num_bands

    @property
    def wavelengths_nm(self) -> NDArray[np.floating] | None:  # type: ignore[override]
        """Band centres of X, or None where they are not known or its bands were mixed."""
        centres = self.images[0].header.wavelengths_nm
        if centres is None or self.found.before is not None:
            return None
        return centres[list(self.found.bands)]

    @property
    def has_holes(self) -> bool:
        """See `TiledPair.has_holes`."""
        return any(self.found.holes)

    @property
    def sample(self) -> Region:
        """The middle of the scene, from which cameras are estimated and residuals taken."""
        return sample_of(self.grid)

    @property
    def is_completed(self) -> bool:
        """See `TiledPair.is_completed`."""
        spectral = self.found.cameras.spectral
        is_known = len(spectral.matrix) == self.num_bands and spectral.name != UNKNOWN
        return self.completes and self.found.holes[1] and is_known

    def lr_hsi(self, region: Region) -> Cube:
        """See `TiledPair.lr_hsi`."""
        cube = self.images[0].filled(*region.slices)
        if len(self.found.bands) < cube.shape[-1]:
            cube = cube[..., list(self.found.bands)]
        if self.found.before is not None:
            cube = cube @ self.found.before
        return np.ascontiguousarray(cube)

    def hr_msi(self, region: Region) -> Cube:
        """See `TiledPair.hr_msi`."""
        hole = self.missing(region).sharp if self.is_completed else None
        found = self._sharp(region)
        if hole is None or not hole.any():
            return found
        found, grid = np.array(found), blocks(self.grid.size, self.grid.scale)
        for index in grid.overlapping(region):
            block = grid.region(index)
            part = block.intersection(region)
            assert part is not None
            own, inner = (part.inside(one).scaled(grid.scale).slices for one in (region, block))
            if hole[own].any():
                found[own] = np.where(hole[own][..., None], self._completed(index)[inner], found[own])
        return found

    def _completed(self, index: int) -> Cube:
        """A completed block; the last ones are kept, as neighbouring tiles lie on them."""
        kept = self._last_blocks
        if index not in kept:
            while len(kept) >= KEPT_BLOCKS:
                del kept[next(iter(kept))]
            block = blocks(self.grid.size, self.grid.scale).region(index)
            kept[index] = self._filled.completed_block(block, self._noise)
        return kept[index]

    @cached_property
    def _last_blocks(self) -> dict[int, Cube]:
        return {}

    @cached_property
    def _filled(self) -> FilesPair:
        """The pair with the nearest values in the missing pixels of Y."""
        return replace(self, completes=False)

    @cached_property
    def _noise(self) -> float:
        return completion_noise(self._filled)

    def _sharp(self, region: Region) -> Cube:
        """Y of a region with the nearest values where there is no data, linear in light."""
        cube = self.images[1].filled(*region.scaled(self.grid.scale).slices)
        if len(self.found.channels) < cube.shape[-1]:
            cube = np.ascontiguousarray(cube[..., list(self.found.channels)])
        return self.found.radiometry.linear(cube)

    def missing(self, region: Region) -> Holes:
        """See `TiledPair.missing`."""
        lr_hsi, hr_msi = self.images
        sharp = hr_msi.mask(*region.scaled(self.grid.scale).slices)
        return Holes(lr_hsi.mask(*region.slices), sharp)


def nothing_found(job: Job) -> Found:
    """What the first pass works with: images of which nothing is known."""
    spatial = SpatialDegradation(Psf(np.ones((job.scale, job.scale))), job.scale)
    cameras = ObservationModel(spatial, SpectralResponse(np.ones((1, 1))))
    return Found((), (), None, None, cameras, (False, False))


def files_pair(job: Job, draft: Draft, pair: Pair, found: Found | None) -> FilesPair:
    """What the tiles of a job work with; for the first pass nothing is found yet."""
    found = nothing_found(job) if found is None else found
    lr_hsi, hr_msi = (
        replace(image, holes=holes)
        for image, holes in zip((pair.lr_hsi, pair.hr_msi), found.holes, strict=True)
    )
    return FilesPair(job.grid, draft, (lr_hsi, hr_msi), found, pair.nesting, pair.hr_file)


@contextmanager
def opened_files(job: Job, draft: Draft, found: Found | None) -> Iterator[FilesPair]:
    """The same, of the job's own files, in a process that has not opened them."""
    transform = None if job.transform is None else Transform.of(job.transform)
    paths = Path(job.lr_hsi), Path(job.hr_msi)
    with opened_pair(*paths, job.memory_limit, job.reading, transform) as pair:
        yield files_pair(job, draft, pair, found)
