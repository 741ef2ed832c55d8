"""Whether what an estimate leaves of the two images is more than their noise.

A cube that explains both images leaves their noise, or less where it follows the noise: |X - D Z| / |X| and
|Y - Z R| / |Y| are then at most the relative noise of X and Y, which `hsr_tf.closed_forms.noise_level`
estimates from the images themselves. More says that the cameras are not those of the images, that the images
do not show the same, or that the method does not follow an image.

A method may also follow both images where these contradict each other: `hsr_tf.fusion.agreement` compares
them directly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.arrays import ops
from hsr_tf.closed_forms.noise_level import relative_noise
from hsr_tf.closed_forms.spectral_ls import enlarged
from hsr_tf.findings import ERROR, WARNING, Finding, FindingWarning
from hsr_tf.fusion.agreement import AGREEMENT, CHANGES, EDGES, ImageGap, gap_findings, measured_gap
from hsr_tf.physics.nodata import Holes
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.tiled_pair import TiledPair
from hsr_tf.radiometry import AS_RECORDED, Radiometry
from hsr_tf.scene import Observation, Scene
from hsr_tf.tiling.region import Region
from hsr_tf.typing import Mask
from hsr_tf.wording import percent

LARGEST, TIMES_NOISE = 0.05, 2.0
BAD, BAD_TIMES_NOISE = 0.15, 6.0
ADVICE = "run hsr check on the pair, or choose another method"


TOPICS = ("lr_hsi residual", "hr_msi residual", AGREEMENT, CHANGES, EDGES)


def is_about_residuals(finding: Finding) -> bool:
    """Whether a finding is one of `measured_residuals`."""
    return finding.topic in TOPICS


class ResidualWarning(FindingWarning):
    """An estimate does not explain the images that it was made from."""


@dataclass(frozen=True)
class Residuals:
    """Relative residuals of an estimate, and what noise does not explain of them.

    Attributes:
        lr_hsi: |X - D Z| / |X|, None where no coarse pixel counts.
        hr_msi: |Y - Z R| / |Y|, None where R is not known, or no pixel counts.
        findings: see `residual_findings` and `gap_findings`.
        gap: how far the images differ, and by what; None where that is not known.
    """

    lr_hsi: float | None = None
    hr_msi: float | None = None
    findings: tuple[Finding, ...] = ()
    gap: ImageGap | None = None

    @property
    def facts(self) -> dict[str, float]:
        """What an estimate records of the gap: what noise, and rounding as a part of it, explain."""
        if self.gap is None:
            return {}
        return {"noise_explains": round(self.gap.noise, 8), "rounding_explains": round(self.gap.rounding, 8)}


def measured_residuals(
    pair: TiledPair,
    estimate: NDArray[np.float32],
    region: Region,
    *,
    model: ObservationModel,
    srf_known: bool,
    radiometry: Radiometry = AS_RECORDED,
) -> Residuals:
    """Compare a part of an estimate with the two images.

    Coarse pixels without data, those into which D mixes sharp pixels without, or pixels outside of the
    region, do not count, nor does the ground of any of them; edges that see past the image, and ground that
    the images show differently, count for the figures, not for the findings.

    Args:
        pair: the images.
        estimate: Z of the region, (s h, s w, C).
        region: in coarse pixels.
        model: D and R.
        srf_known: whether R is known.
        radiometry: what was undone in Y.
    """
    # (h, w), the coarse pixels of a region that see nothing but data of it.
    missing, sharp = pair.missing(region), pair.missing(region).of_estimate(model.scale)
    counted = Holes(missing.coarse, sharp).clean(model.spatial, region.size)
    margin = model.spatial.reach_cells
    for axis, (part, length) in enumerate(zip(region.slices, pair.grid.size, strict=True)):
        numbers = np.arange(part.start, part.stop)
        inside = (numbers >= part.start + margin) | (part.start == 0)
        inside &= (numbers < part.stop - margin) | (part.stop == length)
        counted &= inside[:, None] if axis == 0 else inside
    if not counted.any():
        return Residuals()
    lr_hsi, hr_msi = pair.lr_hsi(region), pair.hr_msi(region)
    coarse = np.asarray(ops.convert_to_numpy(model.spatial.forward(ops.convert_to_tensor(estimate[None]))))[0]
    colours = estimate @ model.spectral.matrix.astype(np.float32) if srf_known else None

    def left(where: Mask) -> tuple[float, float | None]:
        fine = enlarged(where, model.scale)
        return _ratio(lr_hsi, coarse, where), None if colours is None else _ratio(hr_msi, colours, fine)

    gap = measured_gap(model, lr_hsi, hr_msi, counted=counted) if srf_known else None
    findings: tuple[Finding, ...] = ()
    alike = counted
    if gap is not None and gap.agreeing is not None:
        findings, alike = gap_findings(gap, radiometry), counted & gap.agreeing
    masks = [None if mask.all() else ~mask for mask in (alike, enlarged(alike, model.scale))]
    images = Observation(
        Scene(lr_hsi, nodata_mask=masks[0]), Scene(hr_msi, nodata_mask=masks[1]), model.scale
    )
    return Residuals(*left(counted), (*findings, *residual_findings(images, *left(alike))), gap)


def residual_findings(
    observation: Observation, lr_hsi_residual: float | None, hr_msi_residual: float | None
) -> tuple[Finding, ...]:
    """Compare the relative residuals of an estimate with the noise of the images.

    Args:
        observation: X and Y.
        lr_hsi_residual: |X - D Z| / |X|, None where it is not known.
        hr_msi_residual: |Y - Z R| / |Y|, likewise.

    Returns:
        A warning per image whose residual is over 5 % and over twice its relative noise; an error where it is
        over 15 % and over six times the noise.
    """
    images = {
        "lr_hsi": (observation.lr_hsi, lr_hsi_residual),
        "hr_msi": (observation.hr_msi, hr_msi_residual),
    }
    findings = []
    for name, (scene, residual) in images.items():
        if residual is None or residual <= LARGEST:
            continue
        noise = relative_noise(scene.cube, scene.nodata_mask)
        if residual > TIMES_NOISE * noise:
            said = (
                f"the estimate does not explain {name}: residual {percent(residual)}, noise {percent(noise)}"
            )
            bad = residual > BAD and residual > BAD_TIMES_NOISE * noise
            findings.append(Finding(ERROR if bad else WARNING, f"{name} residual", said, ADVICE))
    return tuple(findings)


def _ratio(image: NDArray[Any], explained: NDArray[Any], counted: NDArray[np.bool_]) -> float:
    """|image - explained| / |image| over the pixels that count."""
    gap, wanted = image - explained, image
    if not counted.all():
        gap, wanted = gap[counted], image[counted]
    energy, total = (float(np.square(x, dtype=np.float64).sum()) for x in (gap, wanted))
    return (energy / max(total, 1e-60)) ** 0.5
