"""The cameras of a fusion, chosen once: for scenes in memory and in files, and to judge an estimate.

Each is the one that is given, else the one recorded in the files, else (for networks) the one that the
weights were trained for, else a default; one that nobody knows is estimated from the two images where a user
asks for it with the word "estimate". For methods that say so (`finds_psf`) a PSF that nobody knows is
estimated anyway where the response is known.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsr_tf import methods
from hsr_tf.closed_forms.agreement import ADVICE, agreement_of
from hsr_tf.findings import WARNING, Finding
from hsr_tf.fusion.repair import Repaired
from hsr_tf.fusion.spatial_choice import found_psf, with_border, with_psf
from hsr_tf.fusion.valid_region import estimable_part
from hsr_tf.physics.cameras import DEFAULT, ESTIMATED, UNKNOWN, CameraChoice, PsfLike, SrfLike, choose_cameras
from hsr_tf.physics.nodata import Holes
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.psf_shift import shifted_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.radiometry import AUTO, LINEAR, Radiometry, parse_linearize
from hsr_tf.scene import Observation
from hsr_tf.solvers.solver import Controls, Outcome

if TYPE_CHECKING:
    from hsr_tf.networks.cards import ModelCard

ESTIMATE = "estimate"


@dataclass(frozen=True, eq=False)
class Asked:
    """The cameras as a user gives them: None for what is not given, "estimate" for what is to be found.

    Attributes:
        psf, srf, linearize: as `hsr_tf.fuse` takes them.
    """

    psf: PsfLike | None = None
    srf: SrfLike | None = None
    linearize: str = AUTO

    @property
    def curve(self) -> str | None:
        """The tone curve of Y that the user names, "linear" for none, None to look for it."""
        return parse_linearize(self.linearize)

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
        changed_ground: the share of the ground that the images show differently.
    """

    choice: CameraChoice
    psf: Psf | None = None
    srf: NDArray[np.float64] | None = None
    shift: tuple[float, float] | None = None
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()
    changed_ground: float = 0.0

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
        """Tone curve, gains and offsets in words; None for a response that is known and fits as it is."""
        return radiometry_line(self.choice.radiometry, self.srf)


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
    if method.kind == "network" or "srf" in method.needs:
        found = with_known_radiometry(found, sample, asked)
    if method.kind in ("closed_form", "solver") and method.attribute("finds_psf"):
        found = with_found_psf(found, sample)
    if {"psf", "srf"} <= set(method.needs):
        if method.kind != "network":
            images = sample.images.linear(found.choice.radiometry)
            found = replace(found, choice=with_border(found.choice, images, sample.holes))
        known = all(asked.estimates.values()) or found.psf is not None
        found = compared(found, sample, judged=not known)
    return found


def with_found_psf(cameras: Cameras, sample: Sample) -> Cameras:
    """The cameras with a PSF that is estimated from the images where none is known and the response is."""
    start = time.perf_counter()
    found = found_psf(cameras.choice, sample.images.linear(cameras.choice.radiometry), sample.holes)
    if found is None:
        return cameras
    return replace(
        cameras,
        choice=with_psf(cameras.choice, found),
        psf=found.psf,
        shift=found.shift,
        seconds=cameras.seconds + time.perf_counter() - start,
    )


def compared(cameras: Cameras, sample: Sample, *, judged: bool) -> Cameras:
    """The cameras with what the two images say about them and about each other.

    Args:
        cameras: as they were chosen.
        sample: the images.
        judged: whether the cameras may be wrong; estimated ones are as good as the images allow.
    """
    model, images = cameras.choice.model, sample.images.linear(cameras.choice.radiometry)
    clean = sample.holes.clean(model.spatial, sample.size)
    found = agreement_of(model, images.lr_hsi.cube, images.hr_msi.cube, trusted=clean)
    findings = list(cameras.findings)
    if judged and found.suspicion is not None:
        findings.append(Finding(WARNING, "cameras", found.suspicion.found, ADVICE))
    return replace(cameras, findings=tuple(findings), changed_ground=found.changed_share)


def with_weights(
    cameras: Cameras, observation: Observation, card: ModelCard, *, sample: Sample, asked: Asked
) -> Cameras:
    """The cameras for a network: those that the weights were trained for where nothing better is known.

    Weights that fit any cameras leave them as they are, and say only which bands they do not know.

    Args:
        cameras: as `fusion_cameras` found them.
        observation: the images as they came, with their metadata.
        card: of the weights.
        sample, asked: as for `fusion_cameras`.
    """
    from hsr_tf.networks.selection import cameras_with, training_differences

    differences = [
        Finding(WARNING, "weights", line) for line in training_differences(card, observation, cameras.choice)
    ]
    own = methods.get(card.config.method).keeps_bands
    choice = cameras_with(card, cameras.choice) if own else cameras.choice
    found = replace(cameras, choice=choice, findings=(*cameras.findings, *differences))
    if cameras.choice.srf_origin in (DEFAULT, UNKNOWN) and choice.srf_origin != UNKNOWN:
        found = with_known_radiometry(found, sample, asked)
    return found


def with_known_radiometry(cameras: Cameras, sample: Sample, asked: Asked) -> Cameras:
    """The cameras with tone curve, gains and offsets of Y that a known response needs, to be undone.

    An estimated response comes with its own; an unknown one says nothing.
    """
    choice, curve = cameras.choice, asked.curve
    if cameras.srf is not None or choice.srf_origin == UNKNOWN:
        return cameras
    if curve == LINEAR:
        return cameras
    from hsr_tf.solvers.cameras.known_response import known_radiometry

    trusted = sample.holes.clean(choice.model.spatial, sample.size)
    found = known_radiometry(choice.model, sample.images, trusted, curve=curve)
    return replace(cameras, choice=replace(choice, radiometry=found))


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
    they are part of the choice, to be undone before the fusion; those that a known response needs are found
    by `with_known_radiometry`.
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
    images, counted = estimable_part(sample.images, sample.holes.full_cells(sample.images.scale, sample.size))
    quiet = replace(controls, callback=None, checkpoint=None)
    cubes = images.lr_hsi.cube, images.hr_msi.cube
    options = PsfSrfConfig(radiometry=asked.curve != LINEAR, curve=asked.curve)
    found = estimate_psf_srf(*cubes, images.scale, options, quiet, counted)
    choice = CameraChoice(
        ObservationModel(
            found.model.spatial if psf else choice.model.spatial,
            found.model.spectral if srf else choice.model.spectral,
        ),
        ESTIMATED if psf else choice.psf_origin,
        ESTIMATED if srf else choice.srf_origin,
        found.radiometry if srf else choice.radiometry,
    )
    return Cameras(
        choice,
        psf=found.psf if psf else None,
        srf=np.asarray(found.srf) if srf else None,
        shift=found.shift if psf else None,
        seconds=time.perf_counter() - start,
    )


def radiometry_line(radiometry: Radiometry, srf: NDArray[np.float64] | None) -> str | None:
    """A radiometry in words, with the gains of an estimated response (C, c), or those that were divided out.

    None for a response that is known and fits the recorded values.
    """
    if srf is not None:
        return radiometry.line(srf.sum(0))
    return None if radiometry.is_identity else radiometry.line(radiometry.divisor or None)


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
