"""A sharp image under the pixels of a coarse one, and an estimate back on the sharp image's own pixels.

A fusion needs s x s sharp pixels per coarse pixel. The coarse cube stays as it is, as interpolating it
would mix its noise and its aliased detail; the sharp image is resampled by splines onto s x s cells of the
coarse pixels (s is the ratio, rounded up unless it is nearly whole). What that loses of its finest detail
is put back on the way out: the estimate is resampled onto the sharp image's pixels, and the detail of the
sharp image that two resamplings have lost is added, mapped from channels to bands by the regression of the
estimate's detail on the sharp image's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hsr_tf import checks
from hsr_tf.geo.nesting import PixelMap, Places, moved_model
from hsr_tf.geo.sensor_model import SensorModel
from hsr_tf.imports import deferred
from hsr_tf.registration.sampling import ORDER, ROWS_AT_ONCE, Source, is_inside, middles, sampled
from hsr_tf.registration.transform import Transform
from hsr_tf.scene import Scene
from hsr_tf.tiling.region import Region
from hsr_tf.typing import Array, Cube, Mask

ndimage = deferred("scipy.ndimage")

NEARLY_WHOLE, SMALLEST_RATIO = 0.01, 1.5
LEAST_INSIDE, CROPPED_BELOW = 0.5, 0.5
DETAIL_SIGMA, DETAIL_MARGIN, DETAIL_RIDGE, MOST_SAMPLES = 1.0, 16, 1e-3, 2**18


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
        ends = self.transform.to_sharp(mesh)
        inside = ((ends >= 0) & (ends <= np.array(self.transform.hr_size))).all(1)
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

    def to_sharp(self, places: Places) -> Places:
        """Places (n, 2) of the resampled sharp image on the sharp image's own pixels."""
        return self.transform.to_sharp(places / self.scale + self._first)

    def to_cells(self, places: Places) -> Places:
        """The inverse of `to_sharp`."""
        return np.asarray((self.transform.to_coarse(places) - self._first) * self.scale)

    @property
    def order(self) -> int:
        """Of the splines; 0 where pixels are only rearranged."""
        return 0 if self.keeps_pixels else ORDER

    def sharp(self, scene: Scene) -> Scene:
        """The sharp image on s x s cells of the kept coarse pixels; masked where it has no data.

        Its grid on the ground, if it had one, is that of other pixels and is left out.

        Args:
            scene: the sharp image, or another scene on its pixels or on those of `box`.
        """
        whole = scene.shape[:2] == self.transform.hr_size
        corner = np.zeros(2) if whole else np.array([part.start for part in self.box])

        def where(places: Places) -> Places:
            return self.to_sharp(places) - corner

        cube, hole = sampled(Source.of(scene), Region.whole(self.size), where, order=self.order)
        hole_mask = hole if hole.any() else None
        return replace(scene, cube=cube, nodata_mask=hole_mask, georeference=None, sensor_model=None)

    def estimate(self, estimate: Scene, nested: Scene, hr_msi: Scene) -> Scene:
        """An estimate on the sharp image's own pixels.

        Args:
            estimate: (s h, s w, C), on the pixels of `sharp`.
            nested: what `sharp` gives of `hr_msi`.
            hr_msi: the sharp image.

        Returns:
            (H, W, C) on the pixels of `box`, with the grid and sensor model of `hr_msi`; without data where
            the coarse image shows nothing.
        """
        target = hr_msi.cropped(*self.box)
        sources = Source.of(estimate), Source.of(nested)
        mixing = None
        if not self.keeps_pixels:
            mixing = Detail.of(*sources, Region.whole(self.size), self.scale).mixing
        cube, hole = self.returned(*sources, Source.of(hr_msi), Region.of(*self.box), mixing)
        return replace(
            estimate,
            cube=cube,
            nodata_mask=hole if hole.any() else None,
            georeference=target.georeference,
            sensor_model=self.model_on_box(estimate.sensor_model, target.sensor_model),
        )

    def model_on_box(self, cells: SensorModel | None, sharp: SensorModel | None) -> SensorModel | None:
        """The sensor model of an estimate on the pixels of `box`.

        Args:
            cells: that of the coarse image on the pixels of `Nesting.sharp`; used where there is no other and
                they lie along the rows and columns of the sharp image.
            sharp: that of the sharp image on the pixels of `box`.
        """
        corner, size = np.array([part.start for part in self.box]), Region.of(*self.box).size
        straight = self.transform.pixel_map.straight
        onto = PixelMap(lambda places: self.to_cells(places + corner), straight)
        return moved_model(cells, onto, size) if sharp is None else sharp

    def returned(
        self, estimate: Source, nested: Source, hr_msi: Source, region: Region, mixing: Array | None
    ) -> tuple[Cube, Mask]:
        """A region of the sharp image's own pixels of an estimate, and where it holds no data.

        Args:
            estimate, nested: on the pixels of `sharp`.
            hr_msi: the sharp image.
            region: of its pixels.
            mixing: (c, C), see `Detail`; None where pixels are only rearranged.
        """
        cube, hole = sampled(estimate, region, self.to_cells, order=self.order)
        values, missing = hr_msi.read(region)
        if mixing is not None:
            again, _ = sampled(nested, region, self.to_cells, order=self.order)
            for start in range(0, region.height, ROWS_AT_ONCE):
                part = slice(start, start + ROWS_AT_ONCE)
                cube[part] += (values[part] - again[part]) @ mixing.astype(np.float32)
        if missing is not None:
            hole |= missing
        cube[hole] = 0
        return cube, hole

    @cached_property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the sharp image of an estimate: all, or the covered part of under half."""
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

    @cached_property
    def covers_box(self) -> bool:
        """Whether the coarse pixels show all of `box`; of a local displacement that is not known."""
        if self.transform.displacement is not None:
            return False
        box = Region.of(*self.box)
        parts = [Region(row, box.column, 1, box.width) for row in (box.row, box.row + box.height - 1)] + [
            Region(box.row, col, box.height, 1) for col in (box.column, box.column + box.width - 1)
        ]
        return all(bool(is_inside(self.to_cells(middles(part)), self.size).all()) for part in parts)

    @property
    def _first(self) -> Array:
        return np.array([part.start for part in self.coarse], float)


@dataclass(frozen=True, eq=False)
class Detail:
    """Sums for the regression of an estimate's detail on the sharp image's, over some pixels with data.

    Attributes:
        normal: (c, c).
        cross: (c, C).
    """

    normal: Array
    cross: Array

    @classmethod
    def of(cls, estimate: Source, nested: Source, region: Region, scale: int) -> Detail:
        """The sums over a region of the pixels of `Nesting.sharp`; of a large image evenly fewer pixels."""
        around = region.grown(DETAIL_MARGIN, Region.whole(nested.size))
        inner, known, sides = region.inside(around).slices, np.ones(region.size, bool), []
        for source in (nested, estimate):
            cube, mask = source.read(around)
            sides.append((cube - ndimage.gaussian_filter(cube, (DETAIL_SIGMA, DETAIL_SIGMA, 0)))[inner])
            if mask is not None:
                known &= ~mask[inner]
        step = max(1, int(np.ceil(np.sqrt(np.prod(nested.size) / MOST_SAMPLES))))
        while np.gcd(step, scale) > 1:  # every place in a cell is to be seen
            step += 1
        taken = np.s_[-region.row % step :: step, -region.column % step :: step]
        source_side, target = (side[taken][known[taken]].astype(np.float64) for side in sides)
        return cls(source_side.T @ source_side, source_side.T @ target)

    def __add__(self, other: Detail) -> Detail:
        return Detail(self.normal + other.normal, self.cross + other.cross)

    @property
    def mixing(self) -> Array:
        """(c, C)."""
        ridge = DETAIL_RIDGE * np.trace(self.normal) / len(self.normal) * np.eye(len(self.normal))
        return np.asarray(np.linalg.lstsq(self.normal + ridge, self.cross, rcond=None)[0])
