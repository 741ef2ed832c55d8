"""Whether two images can be fused, and how: `check_pair` looks at everything that a user would have to.

Grids and sizes, orientation, values and units, wavelengths, dead and saturated samples, noise, the cameras.
Nothing is changed and nothing raised for a bad pair: each matter is a `Finding` that says what to do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hsr_tf.findings import (
    ERROR,
    NOTE,
    OK,
    SEVERITIES,
    WARNING,
    Finding,
    Verdict,
    error_finding,
    is_fusable,
)
from hsr_tf.fusion.alignment import CROPPED, REGISTERED, SCALED, Aligned, align, require_fusable_sizes
from hsr_tf.fusion.check.cameras import ESTIMATE, CameraFacts, camera_facts, response_findings
from hsr_tf.fusion.check.orientation import likenesses, orientation_findings, other_orientation
from hsr_tf.fusion.check.values import noise_findings, scaling_findings, value_findings, wavelength_findings
from hsr_tf.fusion.check.verdict import verdict_on
from hsr_tf.fusion.fill_values import fill_findings
from hsr_tf.fusion.registered import align_registered
from hsr_tf.fusion.repair import repair
from hsr_tf.io.account import scene_pair_findings
from hsr_tf.radiometry import AUTO
from hsr_tf.registration.transform import Transform
from hsr_tf.scene import Observation, Scene

__all__ = ["ERROR", "NOTE", "OK", "SEVERITIES", "WARNING", "Finding", "PairCheck", "Verdict", "check_pair"]

NODATA_ADVICE = "check its nodata value, and that it is the right file"


@dataclass(frozen=True, eq=False)
class PairCheck:
    """The outcome of a check.

    Attributes:
        findings: in the order in which things were looked at.
        aligned: the pair on common ground, or None where it could not be made.
        cameras: what is known of them, or None.
        flags: (name, value) that a fusion should be given, e.g. ("psf", "estimate").
    """

    findings: tuple[Finding, ...]
    aligned: Aligned | None = None
    cameras: CameraFacts | None = None
    flags: tuple[tuple[str, str], ...] = ()

    @property
    def fusable(self) -> bool:
        """Whether no finding is an error."""
        return is_fusable(self.findings)

    @property
    def verdict(self) -> Verdict:
        """What follows from the findings."""
        return verdict_on(self.findings)


def check_pair(  # noqa: PLR0913 (as `hsr_tf.fuse`)
    lr_hsi: Scene,
    hr_msi: Scene,
    *,
    psf: str | None = None,
    srf: str | None = None,
    linearize: str = AUTO,
    estimate: bool = True,
    registration: str | Transform = "auto",
) -> PairCheck:
    """Look at a pair from all sides.

    Args:
        lr_hsi: the coarse hyperspectral cube.
        hr_msi: the sharp image.
        psf: the blur that a fusion is to be given, or None.
        srf: the name or file of the response that it is to be given, or None.
        linearize: the tone curve of the sharp image, as `hsr_tf.fuse` takes it.
        estimate: whether to estimate the cameras, which takes seconds to a minute.
        registration: "auto" to look for a transform where the images do not match as they are, "off" to name
            another orientation only, or a transform.

    Raises:
        ValueError, OSError: a response that is not known; what is wrong with the images is a finding.
    """
    unusable = [*_swapped(lr_hsi, hr_msi), *_empty(lr_hsi, hr_msi)]
    read = scene_pair_findings(lr_hsi.metadata, hr_msi.metadata)
    if unusable:
        return PairCheck((*unusable, *read))
    try:
        aligned, likely = _brought_together(lr_hsi, hr_msi, registration, psf=psf or ESTIMATE)
    except ValueError as error:
        return PairCheck((error_finding("grids", error), *_other_way_round(lr_hsi, hr_msi), *read))
    aligned = replace(aligned, observation=replace(aligned.observation, linearize=linearize))
    observation = aligned.observation
    findings = [*_grid_findings(aligned), *likely, *read]
    findings += _image_findings(observation)
    if srf is not None and srf != ESTIMATE:
        findings += response_findings(srf, observation)
    if not is_fusable(findings):
        return PairCheck(tuple(findings), aligned)
    # The check with the cameras and the flags of a fusion.
    given = {"psf": psf, "srf": srf}
    observation = aligned.observation
    facts = camera_facts(repair(observation), observation, given, estimate=estimate)
    every = (*findings, *facts.findings)
    if not is_fusable(every):
        return PairCheck(every, aligned, facts)
    flags = _flags(every, given, known=facts.known is not None)
    flags += [("linearize", linearize)] if linearize != AUTO else []
    return PairCheck(every, aligned, facts, tuple(flags))


def _brought_together(
    lr_hsi: Scene, hr_msi: Scene, registration: str | Transform, *, psf: str
) -> tuple[Aligned, list[Finding]]:
    """The pair on nested grids, and the findings on where the images lie."""
    if registration == "auto":
        found = align_registered(lr_hsi, hr_msi, psf=psf)
        return found.aligned, [] if found.finding is None else [found.finding]
    known = None if isinstance(registration, str) else registration
    aligned = align(lr_hsi, hr_msi, transform=known)
    images = aligned.observation
    return aligned, orientation_findings(likenesses(images.lr_hsi, images.hr_msi))


def _other_way_round(lr_hsi: Scene, hr_msi: Scene) -> list[Finding]:
    """The finding on images of which one is turned, where the sizes fit in no other way."""
    alike = likenesses(lr_hsi, hr_msi)
    return orientation_findings(alike) if other_orientation(alike) else []


def _flags(
    findings: tuple[Finding, ...], given: dict[str, str | None], *, known: bool
) -> list[tuple[str, str]]:
    """The flags of a fusion: the cameras as given, else as the findings advise, estimated if not known."""
    advised = dict(flag for finding in findings for flag in finding.flags)
    words = {
        name: advised.get(name) or given[name] or (None if known else ESTIMATE) for name in ("psf", "srf")
    }
    flags = [(name, word) for name, word in words.items() if word is not None]
    named = words["srf"] not in (None, ESTIMATE)
    return flags + [flag for flag in advised.items() if flag[0] == "srf_outside" and named]


def _swapped(lr_hsi: Scene, hr_msi: Scene) -> list[Finding]:
    """An error where the coarse file has the more pixels and the fewer bands."""
    sizes = [scene.shape[0] * scene.shape[1] for scene in (lr_hsi, hr_msi)]
    if sizes[0] <= sizes[1] or lr_hsi.num_bands >= hr_msi.num_bands:
        return []
    words = ["x".join(map(str, scene.shape)) for scene in (lr_hsi, hr_msi)]
    said = f"lr_hsi is the sharper one with fewer bands ({words[0]} against {words[1]}): they look swapped"
    return [Finding(ERROR, "files", said, "exchange lr_hsi and hr_msi")]


def _empty(lr_hsi: Scene, hr_msi: Scene) -> list[Finding]:
    """An error for an image without any data."""
    images = (("lr_hsi", lr_hsi), ("hr_msi", hr_msi))
    names = [name for name, image in images if image.nodata_mask is not None and image.nodata_mask.all()]
    return [Finding(ERROR, "nodata", f"{name} has no pixel with data", NODATA_ADVICE) for name in names]


def _grid_findings(aligned: Aligned) -> list[Finding]:
    observation, plan = aligned.observation, aligned.plan
    sizes = ["x".join(map(str, scene.shape)) for scene in (observation.lr_hsi, observation.hr_msi)]
    said = f"{sizes[0]} and {sizes[1]}, scale {observation.scale}"
    if observation.scale < 2:
        advice = "fusion needs a sharper second image"
        return [Finding(ERROR, "grids", f"{said}: both have pixels of one size", advice)]
    findings = [Finding(OK, "grids", said)]
    for step in aligned.steps:
        severity = OK if step.kind in (SCALED, CROPPED, REGISTERED) else NOTE
        findings.append(Finding(severity, "grids", step.line))
    try:
        require_fusable_sizes(observation.lr_hsi.shape[:2], observation.scale)
    except ValueError as error:
        findings.append(error_finding("grids", error))
    if plan is None and not aligned.steps:
        findings.append(Finding(OK, "ground", "no coordinates: taken to show the same ground, edge to edge"))
    return findings


def _image_findings(observation: Observation) -> list[Finding]:
    """Values, wavelengths, dead and saturated samples, noise."""
    lr_hsi, hr_msi = observation.lr_hsi, observation.hr_msi
    findings = [*value_findings(lr_hsi, hr_msi), *scaling_findings(lr_hsi, hr_msi)]
    findings += [*wavelength_findings(lr_hsi, hr_msi), *fill_findings(lr_hsi, hr_msi)]
    try:
        repaired = repair(observation)
    except ValueError as error:
        return [*findings, error_finding("samples", error)]
    if hr_msi.num_bands > lr_hsi.num_bands:
        said = f"hr_msi has {hr_msi.num_bands} channels, more than the {lr_hsi.num_bands} bands of lr_hsi"
        findings.append(Finding(WARNING, "files", said, "check that the files are the right ones"))
    for defect in repaired.findings:
        findings.append(replace(defect.finding, advice=f"a fusion goes on with them {defect.done}"))
    if not repaired.findings:
        findings.append(Finding(OK, "samples", "no dead bands, saturated samples or pixels without data"))
    images = repaired.observation
    return [*findings, *noise_findings(images.lr_hsi, images.hr_msi)]
