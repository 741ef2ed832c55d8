"""The maps of a report: errors and angles where the truth is known, else what is left of the images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hsr_tf.arrays import ops
from hsr_tf.physics.nodata import Holes
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.psf_shift import shifted_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.report.content import Result
from hsr_tf.report.html.report_data import ReportData

TOP_PERCENT = 99.0
ERROR, ANGLE, LR_RESIDUAL, HR_RESIDUAL = "error", "angle", "lr_residual", "hr_residual"
LABELS = {
    ERROR: "mean |error| over the bands × 255",
    ANGLE: "spectral angle, degrees",
    LR_RESIDUAL: "|X − D Z|, mean over the bands × 255",
    HR_RESIDUAL: "|Y − Z R|, mean over the channels × 255",
}
TITLES = {
    ERROR: "error",
    ANGLE: "spectral angle",
    LR_RESIDUAL: "LR-HSI residual",
    HR_RESIDUAL: "HR-MSI residual",
}


@dataclass(frozen=True, eq=False)
class QualityMap:
    """One map.

    Attributes:
        method: whose estimate.
        kind: a key of `LABELS`; maps of one kind share their scale of colours.
        values: (H, W), or (h, w) for the coarse residual; NaN where there is none.
    """

    method: str
    kind: str
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Quality:
    """The maps of every estimate, and each band's PSNR (C,) where the truth is known."""

    maps: tuple[QualityMap, ...]
    psnr: dict[str, np.ndarray]

    def top(self, kind: str) -> float:
        """The value at which the scale of colours of this kind ends: 99 % of the values are below it."""
        values = np.concatenate([m.values[np.isfinite(m.values)] for m in self.maps if m.kind == kind])
        return max(float(np.percentile(values, TOP_PERCENT)) if values.size else 0.0, 1e-6)


def quality(data: ReportData) -> Quality:
    """Error and angle maps where the reference is known, else residuals as far as the cameras are."""
    if data.reference is None:
        return Quality(tuple(_residuals(data)), {})
    truth, peak, hole = data.reference, data.data_range, data.nodata_mask
    cubes = data.estimates
    if hole is not None:  # no error there, and none in the means over the other pixels
        cubes = {name: np.where(hole[..., None], truth, cube) for name, cube in cubes.items()}
    more = 0.0 if hole is None or hole.all() else -10.0 * np.log10(hole.size / (~hole).sum())
    results = [Result.of(n, cube, reference=truth, data_range=peak) for n, cube in cubes.items()]
    maps = [
        QualityMap(result.name, kind, values if hole is None else np.where(hole, np.nan, values))
        for result in results
        for kind, values in ((ERROR, result.error), (ANGLE, result.angle))
    ]
    return Quality(tuple(maps), {result.name: np.asarray(result.psnr) + more for result in results})


def _residuals(data: ReportData) -> Iterator[QualityMap]:
    """What every estimate leaves of X and Y; NaN at pixels without data and where the blur mixes them in."""
    cameras, times = data.cameras, 255.0 / data.data_range
    hole = data.nodata_mask
    for name, estimate in data.estimates.items():
        if cameras is not None and cameras.psf is not None and data.lr_hsi is not None and data.scale:
            kernel = shifted_psf(
                Psf(np.asarray(cameras.psf), signed=True), cameras.shift_pixels or (0.0, 0.0)
            )
            spatial = SpatialDegradation(kernel, data.scale)
            seen = spatial.forward(ops.convert_to_tensor(estimate[None]))
            gap = np.abs(data.lr_hsi.cube - np.asarray(ops.convert_to_numpy(seen))[0]).mean(-1)
            clean = Holes(data.lr_hsi.nodata_mask, hole).clean(spatial, data.lr_hsi.shape[:2])
            yield QualityMap(name, LR_RESIDUAL, np.where(clean, gap * times, np.nan))
        if cameras is not None and cameras.srf is not None and data.hr_msi is not None:
            gap = np.abs(data.hr_msi.cube - estimate @ np.asarray(cameras.srf, np.float32)).mean(-1)
            yield QualityMap(
                name, HR_RESIDUAL, gap * times if hole is None else np.where(hole, np.nan, gap * times)
            )
