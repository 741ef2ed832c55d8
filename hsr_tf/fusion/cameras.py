"""The cameras of a fusion, chosen once: for scenes in memory and in files, and to judge an estimate.

Each is the one that is given, else the one recorded in the files, else (for networks) the one that the
weights were trained for, else a default; one that nobody knows is estimated from the two images where a user
asks for it with the word "estimate".
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsr_tf import methods
from hsr_tf.closed_forms.agreement import ADVICE, suspicion
from hsr_tf.findings import WARNING, Finding
from hsr_tf.fusion.repair import Repaired
from hsr_tf.fusion.valid_region import whole_part
from hsr_tf.physics.cameras import (
    DEFAULT,
    ESTIMATED,
    GIVEN,
    TOLD,
    CameraChoice,
    PsfLike,
    SrfLike,
    choose_cameras,
)
from hsr_tf.physics.nodata import Holes
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.psf_shift import shifted_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.radiometry import LINEAR, Radiometry, channel_values
from hsr_tf.scene import Observation
from hsr_tf.solvers.solver import Controls, Outcome

if TYPE_CHECKING:
    from hsr_tf.networks.cards import ModelCard

ESTIMATE = "estimate"
SMALLEST_SIDE, CLEARLY_LESS = 3, 0.7


@dataclass(frozen=True, eq=False)
class Asked:
    """The cameras as a user gives them: None for what is not given, "estimate" for what is to be found.

    Attributes:
        psf, srf: as `hsr_tf.fuse` takes them.
    """

    psf: PsfLike | None = None
    srf: SrfLike | None = None

    @property
    def estimates(self) -> dict[str, bool]:
        """Whether the PSF, and the response, are to be estimated."""
        return {n: isinstance(v, str) and v == ESTIMATE for n, v in (("psf", self.psf), ("srf", self.srf))}


@dataclass(frozen=True, eq=False)
class Sample:
    """The images from which cameras are estimated and judged: the scene, or the middle of a large one.

    Attributes:
        images: X and Y as the method is given them, Y as recorded.
        holes: where they hold no data.
    """

    images: Observation
    holes: Holes = Holes()

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        height, width, _ = self.images.lr_hsi.shape
        return height, width


@dataclass(frozen=True, eq=False)
class Cameras:
    """The cameras that a method is given, and what of them was estimated before.

    Attributes:
        choice: the cameras, a shift within the PSF.
        psf: centred, where it was estimated.
        srf: (C, c), where it was estimated.
        shift: (rows, columns) in sharp pixels, where it was estimated with the PSF.
        seconds: that the estimation took.
        findings: what does not fit the images.
    """

    choice: CameraChoice
    psf: Psf | None = None
    srf: NDArray[np.float64] | None = None
    shift: tuple[float, float] | None = None
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()

    def remaining(self, controls: Controls) -> Controls:
        """The controls with the time that the estimation has left of theirs, a second at least."""
        if controls.max_seconds is None or not self.seconds:
            return controls
        return replace(controls, max_seconds=max(1.0, controls.max_seconds - self.seconds))

    def complete(self, outcome: Outcome) -> Outcome:
        """The outcome with these estimates where it brings none of its own."""
        return replace(
            outcome,
            psf=outcome.psf or self.psf,
            srf=self.srf if outcome.srf is None else outcome.srf,
            shift=self.shift if outcome.shift is None else outcome.shift,
        )

    def radiometry_line(self) -> str | None:
        """The estimated tone curve, gains and offsets in words; None where no response was estimated."""
        return None if self.srf is None else self.choice.radiometry.line(self.srf.sum(0))


def fusion_cameras(
    sample: Sample,
    observation: Observation,
    repaired: Repaired,
    asked: Asked,
    *,
    method: methods.Method,
    controls: Controls,
) -> Cameras:
    """The cameras that a method is given, with a finding for each that does not fit the images.

    Args:
        sample: the images as the method is given them.
        observation: the images as they came, with their metadata; their pixels are not used.
        repaired: bands and channels that the method is given.
        asked: what the user gives.
        method: that is run.
        controls: seed, and the time limit.

    Raises:
        ValueError, OSError: cameras that do not fit the images.
    """
    found = chosen_cameras(
        sample,
        observation,
        asked,
        srf_needed="srf" in method.needs,
        repaired=repaired,
        controls=controls,
    )
    if method.kind == "closed_form" and method.attribute("finds_psf"):
        found = with_found_psf(found, sample)
    if method.kind != "network" and {"psf", "srf"} <= set(method.needs):
        found = replace(found, choice=with_border(found.choice, sample))
    findings = list(found.findings)
    if {"psf", "srf"} <= set(method.needs) and not all(asked.estimates.values()):
        model, images = found.choice.model, sample.images.linear(found.choice.radiometry)
        clean = sample.holes.clean(model.spatial, sample.size)
        suspected = suspicion(model, images.lr_hsi.cube, images.hr_msi.cube, trusted=clean)
        if suspected is not None:
            findings.append(Finding(WARNING, "cameras", suspected.found, ADVICE))
    return replace(found, findings=tuple(findings))


def with_found_psf(cameras: Cameras, sample: Sample) -> Cameras:
    """The cameras with a PSF that is estimated from the images where none is known and the response is."""
    choice, start = cameras.choice, time.perf_counter()
    if choice.psf_origin != DEFAULT or choice.srf_origin not in (GIVEN, TOLD, ESTIMATED):
        return cameras
    from hsr_tf.solvers.cameras.psf_fit import fit_psf

    images = sample.images.linear(choice.radiometry)
    cells = sample.holes.full_cells(images.scale, sample.size)
    whole, response = whole_part(images, cells), choice.model.spectral.matrix
    found = fit_psf(whole.lr_hsi.cube, whole.hr_msi.cube, response, images.scale)
    if found is None:
        return cameras
    spatial = SpatialDegradation(found.psf, images.scale, border=choice.model.spatial.border)
    return replace(
        cameras,
        choice=replace(choice, model=ObservationModel(spatial, choice.model.spectral), psf_origin=ESTIMATED),
        psf=found.psf,
        shift=found.shift,
        seconds=cameras.seconds + time.perf_counter() - start,
    )


def with_border(choice: CameraChoice, sample: Sample) -> CameraChoice:
    """The cameras with zeros outside the scene where these explain the coarse pixels along its edges.

    Some programs that simulate pairs blur so. X R - D Y is compared along the edges with both borders.
    """
    model, images = choice.model, sample.images.linear(choice.radiometry)
    spatial, height, width = model.spatial, *sample.size
    if not spatial.reach_cells or min(height, width) < SMALLEST_SIDE or spatial.border != "mirrored":
        return choice
    zero = SpatialDegradation(spatial.psf, spatial.scale, border="zero")
    edge = np.ones(sample.size, bool)
    edge[1:-1, 1:-1] = False
    edge &= sample.holes.clean(spatial, sample.size)
    seen = images.lr_hsi.cube @ model.spectral.matrix
    found = []
    for one in (spatial, zero):
        gap = np.square(seen - np.asarray(one.forward(images.hr_msi.cube[None]))[0]).sum(-1)
        found.append(float(gap[edge].sum()))
    if found[1] >= CLEARLY_LESS * found[0]:
        return choice
    return replace(choice, model=replace(model, spatial=zero))


def with_weights(cameras: Cameras, observation: Observation, card: ModelCard) -> Cameras:
    """The cameras for a network: those that the weights were trained for where nothing better is known."""
    from hsr_tf.networks.selection import cameras_with, training_differences

    differences = [
        Finding(WARNING, "weights", line) for line in training_differences(card, observation, cameras.choice)
    ]
    choice = cameras_with(card, cameras.choice)
    return replace(cameras, choice=choice, findings=(*cameras.findings, *differences))


def chosen_cameras(
    sample: Sample,
    observation: Observation,
    asked: Asked,
    *,
    srf_needed: bool,
    repaired: Repaired | None = None,
    controls: Controls = Controls(),
) -> Cameras:
    """The cameras: given, recorded, by default, or estimated from the images.

    Tone curve and offsets of Y are looked for where either camera is estimated. With an estimated response
    they are part of the choice, to be undone before the fusion; a response that is given is taken to fit the
    recorded values.
    """
    psf, srf = asked.estimates.values()
    choice = choose_cameras(
        observation,
        psf=None if psf else asked.psf,
        srf=None if srf else asked.srf,
        srf_needed=srf_needed and not srf,
    )
    if repaired is not None:
        choice = replace(choice, model=repaired.cameras(choice.model))
    if not (psf or srf):
        return Cameras(choice)
    from hsr_tf.solvers.cameras.psf_srf import PsfSrfConfig, estimate_psf_srf

    start = time.perf_counter()
    images = whole_part(sample.images, sample.holes.full_cells(sample.images.scale, sample.size))
    quiet = replace(controls, callback=None, checkpoint=None)
    cubes = images.lr_hsi.cube, images.hr_msi.cube
    found = estimate_psf_srf(*cubes, images.scale, PsfSrfConfig(radiometry=True), quiet)
    choice = CameraChoice(
        ObservationModel(
            found.model.spatial if psf else choice.model.spatial,
            found.model.spectral if srf else choice.model.spectral,
        ),
        ESTIMATED if psf else choice.psf_origin,
        ESTIMATED if srf else choice.srf_origin,
        found.radiometry if srf else choice.radiometry,
    )
    left_in = None if srf else radiometry_finding(found.radiometry)
    return Cameras(
        choice,
        psf=found.psf if psf else None,
        srf=np.asarray(found.srf) if srf else None,
        shift=found.shift if psf else None,
        seconds=time.perf_counter() - start,
        findings=() if left_in is None else (left_in,),
    )


def radiometry_finding(radiometry: Radiometry) -> Finding | None:
    """The finding of a radiometry that is left in Y; None where there is nothing to undo."""
    if radiometry.is_identity:
        return None
    words = [] if radiometry.curve == LINEAR else [f"{radiometry.curve} curve"]
    words += [f"offset {channel_values(radiometry.offset)}"] if any(radiometry.offset) else []
    found = f"hr_msi is not linear in light ({', '.join(words)})"
    return Finding(WARNING, "radiometry", found, 'estimate the response to undo it (srf="estimate")')


def explaining_cameras(choice: CameraChoice, outcome: Outcome) -> CameraChoice:
    """The cameras that the outcome is to be compared with: its own where the method estimated them."""
    spatial, spectral = choice.model.spatial, choice.model.spectral
    psf_origin, srf_origin = choice.psf_origin, choice.srf_origin
    if outcome.psf is not None and choice.psf_origin != ESTIMATED:
        shifted = shifted_psf(outcome.psf, outcome.shift or (0.0, 0.0))
        spatial, psf_origin = SpatialDegradation(shifted, spatial.scale, border=spatial.border), ESTIMATED
    if outcome.srf is not None and choice.srf_origin != ESTIMATED:
        spectral, srf_origin = SpectralResponse(outcome.srf, name=ESTIMATED), ESTIMATED
    return CameraChoice(ObservationModel(spatial, spectral), psf_origin, srf_origin, choice.radiometry)
