"""Which coarse pixels count where parts of the two images hold no data.

A coarse pixel counts if X has data there and the PSF mixes no sharp pixel without data into it. The others
take no part in the trust in the two images (`DataConsistency.trust`), in their disagreement and in residuals.
Where the response is known, the missing sharp pixels are completed (`hsr_tf.physics.completed_holes`), and
all coarse pixels with data take part in fits and in the estimate (`TiledPair.usable`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.imports import deferred
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.typing import Cube, Mask

ndimage = deferred("scipy.ndimage")

MIXED, FEWEST, FEWEST_SHARE, SMOOTHINGS = 1e-5, 32, 0.02, 8


@dataclass(frozen=True, eq=False)
class Holes:
    """Where two images have no data.

    Attributes:
        coarse: (h, w), True where X has none; None for nowhere.
        sharp: (s h, s w), the same of Y or of an estimate.
    """

    coarse: Mask | None = None
    sharp: Mask | None = None

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return any(mask is not None and bool(mask.any()) for mask in (self.coarse, self.sharp))

    def clean(self, spatial: SpatialDegradation, size: tuple[int, int], *, mixed: float = MIXED) -> Mask:
        """(h, w), True for coarse pixels with data into which D mixes no sharp pixel without.

        Args:
            spatial: D.
            size: (h, w).
            mixed: the share of its weight that may lie on pixels without data.
        """
        clean = np.ones(size, bool) if self.coarse is None else ~self.coarse
        return clean & (np.abs(self.mixed(spatial, size)) <= mixed)

    def mixed(self, spatial: SpatialDegradation, size: tuple[int, int]) -> Cube:
        """(h, w), the share of the weight of D that lies on sharp pixels without data."""
        if self.sharp is None or not self.sharp.any():
            return np.zeros(size, np.float32)
        hole = ops.convert_to_tensor(self.sharp[None, ..., None].astype(np.float32))
        return np.asarray(ops.convert_to_numpy(spatial.forward(hole))[0, ..., 0])

    def full_cells(self, scale: int, size: tuple[int, int]) -> Mask:
        """(h, w), True for coarse pixels with data whose s x s sharp pixels all hold data."""
        full = np.ones(size, bool) if self.coarse is None else ~self.coarse
        if self.sharp is not None:
            full &= ~self.sharp.reshape(size[0], scale, size[1], scale).any((1, 3))
        return full

    def of_estimate(self, scale: int) -> Mask | None:
        """(s h, s w), True where an estimate has no data, because either image has none; None for nowhere."""
        if self.coarse is None:
            return self.sharp
        large = self.coarse.repeat(scale, 0).repeat(scale, 1)
        return large if self.sharp is None else large | self.sharp


def require_data(ok: bool, name: str) -> None:
    """Raise an `InputError` about image `name` unless some of its pixels hold data."""
    checks.require(
        ok,
        name,
        expected="data in some pixels",
        received="none: every pixel is marked as without data",
        remedy="check its nodata value",
    )


def filled(cube: Cube, hole: Mask | None) -> Cube:
    """The cube (H, W, C) with the value of the nearest pixel that has data where `hole` (H, W) is True."""
    if hole is None or not hole.any():
        return cube
    nearest = ndimage.distance_transform_edt(hole, return_distances=False, return_indices=True)
    return np.ascontiguousarray(cube[tuple(nearest)])


def smoothly_filled(cube: Cube, hole: Mask) -> Cube:
    """The cube (H, W, C) with a smooth continuation of its neighbours where `hole` (H, W) is True.

    The nearest values, and then a few times the mean of the four neighbours.
    """
    found = filled(cube, hole)
    for _ in range(SMOOTHINGS):
        padded = np.pad(found, ((1, 1), (1, 1), (0, 0)), "edge")
        mean = (padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2]) / 4
        found = np.where(hole[..., None], mean, found)
    return found


def is_enough(num_counted: int, num_pixels: int) -> bool:
    """Whether a fit can rest on the pixels that count: at least 32 of them, and 2 % of all."""
    return num_counted >= max(FEWEST, FEWEST_SHARE * num_pixels)
