"""A sharp image under the pixels of a coarse one, and an estimate back on the sharp image's own pixels.

A fusion needs s x s sharp pixels per coarse pixel. The coarse cube stays as it is, as interpolating it
would mix its noise and its aliased detail; the sharp image is resampled by splines onto s x s cells of the
coarse pixels (s is the ratio, rounded up unless it is nearly whole). What that loses of its finest detail
is put back on the way out: the estimate is resampled onto the sharp image's pixels, and the detail of the
sharp image that two resamplings have lost is added, mapped from channels to bands by the regression of the
estimate's detail on the sharp image's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hsr_tf import checks
from hsr_tf.imports import deferred
from hsr_tf.physics.nodata import filled
from hsr_tf.registration.transform import Transform
from hsr_tf.scene import Scene
from hsr_tf.typing import Array, Cube, Mask

ndimage = deferred("scipy.ndimage")

ORDER, ROWS_AT_ONCE = 3, 256
NEARLY_WHOLE, SMALLEST_RATIO = 0.01, 1.5
OUTSIDE, LEAST_INSIDE, CROPPED_BELOW = 1.0, 0.5, 0.5
DETAIL_SIGMA, DETAIL_RIDGE, MOST_SAMPLES = 1.0, 1e-3, 2**18


@dataclass(frozen=True, eq=False)
class Nesting:
    """How the sharp image is brought under coarse pixels.

    Args:
        transform: from coarse to sharp pixels.

    Raises:
        ValueError: coarse pixels that are no larger than the sharp ones, or no ground in common.
    """

    transform: Transform

    def __post_init__(self) -> None:
        ratio = self.transform.ratio
        checks.require(
            ratio >= SMALLEST_RATIO,
            "hr_msi",
            expected=f"pixels at least {SMALLEST_RATIO:g} times smaller than those of lr_hsi",
            received=f"a ratio of {ratio:.3g}",
            remedy="check that the two files are not swapped" if ratio < 1 else "there is little to sharpen",
        )
        checks.require(
            bool(self._covered.any()),
            "transform",
            expected="one that maps some pixels of lr_hsi into hr_msi",
            received="one that maps all of them outside",
            remedy="register these two images (hsr register)",
        )

    @cached_property
    def scale(self) -> int:
        """s."""
        ratio = self.transform.ratio
        whole = max(2, round(ratio))
        return whole if abs(ratio / whole - 1) <= NEARLY_WHOLE else max(2, int(np.ceil(ratio)))

    @cached_property
    def _covered(self) -> Mask:
        """(h, w), the coarse pixels of which at least half lies in the sharp image."""
        height, width = self.transform.lr_size
        parts = (np.arange(4) + 0.5) / 4
        rows = (np.arange(height)[:, None] + parts).ravel()
        cols = (np.arange(width)[:, None] + parts).ravel()
        mesh = np.stack(np.meshgrid(rows, cols, indexing="ij"), -1).reshape(-1, 2)
        inside = _inside(self.transform.to_sharp(mesh), self.transform.hr_size, 0.0)
        return np.asarray(inside.reshape(height, 4, width, 4).mean((1, 3)) >= LEAST_INSIDE)

    @cached_property
    def coarse(self) -> tuple[slice, slice]:
        """Rows and columns of the coarse pixels that are kept: the box around those that are covered."""
        rows, cols = (np.flatnonzero(self._covered.any(axis)) for axis in (1, 0))
        return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of the resampled sharp image."""
        rows, cols = (self.scale * (part.stop - part.start) for part in self.coarse)
        return rows, cols

    @property
    def keeps_pixels(self) -> bool:
        """Whether pixels are only rearranged: turned, mirrored, cropped."""
        probe = np.array([(0.5, 0.5), (0.5, 1.5), (1.5, 0.5)]) / self.scale
        ends = self.transform.to_sharp(probe) - 0.5
        slope = np.abs(self.transform.slope) / self.scale
        straight = self.transform.pixel_map.straight and np.abs(slope - np.round(slope)).max() < 1e-9
        return bool(straight and np.abs(ends - np.round(ends)).max() < 1e-6)

    def sharp(self, hr_msi: Scene) -> Scene:
        """The sharp image on s x s cells of the kept coarse pixels; masked where it has no data.

        Its grid on the ground, if it had one, is that of other pixels and is left out.
        """
        cube = filled(hr_msi.cube, hr_msi.nodata_mask)
        rows, cols = self.size
        found = np.empty((rows, cols, cube.shape[2]), np.float32)
        hole = np.zeros((rows, cols), bool)
        first = np.array([part.start for part in self.coarse])

        def where(start: int, stop: int) -> Array:
            mesh = _middles(start, stop, cols)
            return self.transform.to_sharp(mesh / self.scale + first)

        self._resample(cube, where, found, hole, hr_msi.nodata_mask)
        hole_mask = hole if hole.any() else None
        return replace(hr_msi, cube=found, nodata_mask=hole_mask, georeference=None, sensor_model=None)

    def estimate(self, estimate: Scene, nested: Scene, hr_msi: Scene) -> Scene:
        """An estimate on the sharp image's own pixels.

        Args:
            estimate: (s h, s w, C), on the pixels of `sharp`.
            nested: what `sharp` gives of `hr_msi`.
            hr_msi: the sharp image.

        Returns:
            (H, W, C) with the grid of `hr_msi`; without data where the coarse image shows nothing. Where
            that is more than half of the sharp image it is cropped.
        """
        box = self._box()
        rows, cols = (part.stop - part.start for part in box)
        first = np.array([part.start for part in self.coarse])
        corner = np.array([part.start for part in box])

        def where(start: int, stop: int) -> Array:
            return (self.transform.to_coarse(_middles(start, stop, cols) + corner) - first) * self.scale

        cube = np.empty((rows, cols, estimate.num_bands), np.float32)
        hole = np.zeros((rows, cols), bool)
        self._resample(filled(estimate.cube, estimate.nodata_mask), where, cube, hole, estimate.nodata_mask)
        target = hr_msi.cropped(*box)
        if not self.keeps_pixels:
            again = np.empty(target.shape, np.float32)
            self._resample(filled(nested.cube, nested.nodata_mask), where, again, np.zeros_like(hole), None)
            mixing = _detail_mixing(nested, estimate)
            for start in range(0, rows, ROWS_AT_ONCE):
                part = slice(start, start + ROWS_AT_ONCE)
                cube[part] += (filled(target.cube, target.nodata_mask)[part] - again[part]) @ mixing
        if target.nodata_mask is not None:
            hole |= target.nodata_mask
        cube[hole] = 0
        return replace(
            estimate,
            cube=cube,
            nodata_mask=hole if hole.any() else None,
            georeference=target.georeference,
            sensor_model=target.sensor_model,
        )

    def _box(self) -> tuple[slice, slice]:
        """Rows and columns of the sharp image of the estimate: all, or the covered part of under half."""
        height, width = self.transform.hr_size
        rows, cols = (np.array([part.start, part.stop], float) for part in self.coarse)
        along = np.linspace(0, 1, 17)
        edge = np.array([(a, b) for a in along for b in along]) * [np.ptp(rows), np.ptp(cols)] + [
            rows[0],
            cols[0],
        ]
        places = self.transform.to_sharp(edge)
        low = np.maximum(0, np.floor(places.min(0))).astype(int)
        high = np.minimum((height, width), np.ceil(places.max(0))).astype(int)
        if np.prod(high - low) >= CROPPED_BELOW * height * width:
            return slice(0, height), slice(0, width)
        return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))

    def _resample(
        self, cube: Cube, where: Callable[[int, int], Array], found: Cube, hole: Mask, missing: Mask | None
    ) -> None:
        """Fill `found` and `hole` with samples of a cube at places that `where(first row, last)` gives."""
        order = 0 if self.keeps_pixels else ORDER
        rows, cols, _ = found.shape
        blocks = [(start, min(start + ROWS_AT_ONCE, rows)) for start in range(0, rows, ROWS_AT_ONCE)]
        places = [where(*block) for block in blocks]
        for block, place in zip(blocks, places, strict=True):
            part = slice(*block)
            outside = ~_inside(place, cube.shape[:2], OUTSIDE)
            if missing is not None:
                near = np.clip(np.floor(place).astype(int), 0, np.array(cube.shape[:2]) - 1)
                outside |= missing[near[:, 0], near[:, 1]]
            hole[part] = outside.reshape(-1, cols)
        for band in range(cube.shape[2]):
            plane = cube[..., band].astype(np.float64)
            if order:
                plane = ndimage.spline_filter(plane, order=order, mode="mirror")
            for block, place in zip(blocks, places, strict=True):
                values = ndimage.map_coordinates(
                    plane, place.T - 0.5, order=order, mode="mirror", prefilter=False
                )
                found[slice(*block), :, band] = values.reshape(-1, cols)


def _middles(start: int, stop: int, cols: int) -> Array:
    """(n, 2) middles of the pixels of rows from start to stop."""
    mesh = np.meshgrid(np.arange(start, stop) + 0.5, np.arange(cols) + 0.5, indexing="ij")
    return np.stack(mesh, -1).reshape(-1, 2)


def _inside(places: Array, size: tuple[int, ...], beyond: float) -> Mask:
    return np.asarray(((places >= -beyond) & (places <= np.array(size[:2]) + beyond)).all(1))


def _detail_mixing(nested: Scene, estimate: Scene) -> Array:
    """(c, C), the regression of the estimate's detail on the sharp image's."""
    sides = [_detail(scene.cube) for scene in (nested, estimate)]
    known = np.ones(nested.shape[:2], bool)
    for scene in (nested, estimate):
        if scene.nodata_mask is not None:
            known &= ~scene.nodata_mask
    index = np.flatnonzero(known)
    index = index[:: max(1, len(index) // MOST_SAMPLES)]
    source, target = (side.reshape(-1, side.shape[2])[index].astype(np.float64) for side in sides)
    normal = source.T @ source
    ridge = DETAIL_RIDGE * np.trace(normal) / len(normal) * np.eye(len(normal))
    return np.asarray(np.linalg.solve(normal + ridge, source.T @ target), np.float32)


def _detail(cube: Cube) -> Cube:
    return np.asarray(cube - ndimage.gaussian_filter(cube, (DETAIL_SIGMA, DETAIL_SIGMA, 0)))
