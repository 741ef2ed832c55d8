"""How each kind of method is run: closed forms, networks and solvers alike give an `Outcome`.

Cameras that nobody knows are estimated first, from the two images themselves, where a user asks for it with
the word "estimate".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf import methods
from hsr_tf.arrays import ops
from hsr_tf.closed_forms.band_groups import spectral_ls_by_bands
from hsr_tf.closed_forms.bases import SpectralLS
from hsr_tf.closed_forms.filling import filled_by_base, filled_by_fit
from hsr_tf.physics.cameras import ESTIMATED, CameraChoice
from hsr_tf.physics.nodata import Holes, Mask, pixel_weights
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.psf_shift import shifted_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.radiometry import LINEAR, Radiometry, channel_values
from hsr_tf.scene import Observation
from hsr_tf.solvers.solver import Controls, Cube, Outcome, Solver

if TYPE_CHECKING:
    from hsr_tf.networks.cards import ModelCard
    from hsr_tf.networks.fusion_model import FusionModel

Tensor = Any
Estimator = Callable[[Cube, Cube], Outcome]
ESTIMATE = "estimate"


@dataclass(frozen=True, eq=False)
class Cameras:
    """The cameras that a method is given, and what of them was estimated before.

    Attributes:
        choice: the cameras, a shift within the PSF.
        psf: centred, where it was estimated.
        srf: (C, c), where it was estimated.
        shift: (rows, columns) in sharp pixels, where it was estimated with the PSF.
        seconds: that the estimation took.
        notice: one line for the user where Y has a tone curve or offsets that are left in it.
    """

    choice: CameraChoice
    psf: Psf | None = None
    srf: NDArray[np.float64] | None = None
    shift: tuple[float, float] | None = None
    seconds: float = 0.0
    notice: str | None = None

    def remaining(self, controls: Controls) -> Controls:
        """The controls with the time that the estimation has left of theirs, a second at least."""
        if controls.max_seconds is None or not self.seconds:
            return controls
        return replace(controls, max_seconds=max(1.0, controls.max_seconds - self.seconds))

    def tell(self, outcome: Outcome) -> Outcome:
        """The outcome with these estimates where it brings none of its own."""
        return replace(
            outcome,
            psf=outcome.psf or self.psf,
            srf=self.srf if outcome.srf is None else outcome.srf,
            shift=self.shift if outcome.shift is None else outcome.shift,
        )


def estimate_cameras(
    observation: Observation, choice: CameraChoice, controls: Controls, *, psf: bool, srf: bool
) -> Cameras:
    """The choice with the PSF, the response or both replaced by estimates from the two images.

    Tone curve and offsets of Y are looked for in either case. With an estimated response they are part of the
    choice, to be undone before the fusion; a response that is given is taken to fit the recorded values.
    """
    if not (psf or srf):
        return Cameras(choice)
    from hsr_tf.solvers.cameras.psf_srf import PsfSrfConfig, estimate_psf_srf

    start = time.perf_counter()
    images = (observation.lr_hsi.cube, observation.hr_msi.cube)
    quiet = replace(controls, callback=None, checkpoint=None)
    found = estimate_psf_srf(*images, observation.scale, PsfSrfConfig(radiometry=True), quiet)
    model = ObservationModel(
        found.model.spatial if psf else choice.model.spatial,
        found.model.spectral if srf else choice.model.spectral,
    )
    psf_origin = ESTIMATED if psf else choice.psf_origin
    srf_origin = ESTIMATED if srf else choice.srf_origin
    return Cameras(
        CameraChoice(model, psf_origin, srf_origin, found.radiometry if srf else choice.radiometry),
        psf=found.psf if psf else None,
        srf=np.asarray(found.srf) if srf else None,
        shift=found.shift if psf else None,
        seconds=time.perf_counter() - start,
        notice=None if srf else radiometry_notice(found.radiometry),
    )


def radiometry_notice(radiometry: Radiometry) -> str | None:
    """A line about a radiometry that is left in Y; None where there is nothing to undo."""
    if radiometry.is_identity:
        return None
    words = [] if radiometry.curve == LINEAR else [f"{radiometry.curve} curve"]
    words += [f"offset {channel_values(radiometry.offset)}"] if any(radiometry.offset) else []
    return (
        f"hr_msi is not linear in light ({', '.join(words)}); "
        'estimate the response to undo it (srf="estimate")'
    )


def explaining_cameras(choice: CameraChoice, outcome: Outcome) -> CameraChoice:
    """The cameras that the outcome is to be held against: its own where the method estimated them."""
    spatial, spectral = choice.model.spatial, choice.model.spectral
    psf_origin, srf_origin = choice.psf_origin, choice.srf_origin
    if outcome.psf is not None and choice.psf_origin != ESTIMATED:
        shifted = shifted_psf(outcome.psf, outcome.shift or (0.0, 0.0))
        spatial, psf_origin = SpatialDegradation(shifted, spatial.scale, border=spatial.border), ESTIMATED
    if outcome.srf is not None and choice.srf_origin != ESTIMATED:
        spectral, srf_origin = SpectralResponse(outcome.srf, name=ESTIMATED), ESTIMATED
    return CameraChoice(ObservationModel(spatial, spectral), psf_origin, srf_origin, choice.radiometry)


def closed_form(method: methods.Method, model: ObservationModel, holes: Holes | None = None) -> Estimator:
    """A closed form on arrays; pixels without data do not count where it uses the cameras."""
    built = method.build(model)

    def estimate(lr_hsi: Cube, hr_msi: Cube) -> Outcome:
        counted = _counted(holes, model, lr_hsi) if method.needs else None
        if method.build is SpectralLS:
            return _least_squares(model, (lr_hsi, hr_msi), counted)
        lr_hsi = filled_by_fit(model, lr_hsi, hr_msi, counted)
        return _outcome(built(_batch(lr_hsi), _batch(hr_msi)))

    return estimate


def network(card: ModelCard, *, given: bool, holes: Holes | None = None) -> Estimator:
    """A trained network on arrays; its base "spectral_ls" leaves pixels without data out."""
    stamps = tuple(path.stat().st_mtime_ns for path in sorted(card.folder.iterdir()))
    model = _loaded(card.folder, stamps)
    details = {"weights": card.folder.name, "weights_origin": "given" if given else "shipped"}

    def estimate(lr_hsi: Cube, hr_msi: Cube) -> Outcome:
        lr_hsi, shared = network_inputs(model, lr_hsi, hr_msi, holes)
        pair = {"lr_hsi": _batch(lr_hsi), "hr_msi": _batch(hr_msi), **shared}
        return _outcome(model.predict_on_batch(pair), details)

    return estimate


def network_inputs(
    model: FusionModel, lr_hsi: Cube, hr_msi: Cube, holes: Holes | None
) -> tuple[Cube, dict[str, Tensor]]:
    """X as a network is given it, and map and trust of the pixels that count where some do not."""
    if holes is None or model.config.base != "spectral_ls" or model.cameras is None:
        return lr_hsi, {}
    counted = _counted(holes, model.cameras, lr_hsi)
    if counted is None:
        return lr_hsi, {}
    lr_hsi = filled_by_base(model.cameras, lr_hsi, hr_msi, counted)
    return lr_hsi, model.shared(_batch(lr_hsi), _batch(hr_msi), pixel_weights(counted))


def solver(
    method: methods.Method, model: ObservationModel, controls: Controls, holes: Holes | None = None
) -> Estimator:
    """A solver on arrays, run as the controls say, in windows where the scene is too large for it."""
    built: Solver = method.build(model)

    def estimate(lr_hsi: Cube, hr_msi: Cube) -> Outcome:
        lr_hsi = filled_by_fit(model, lr_hsi, hr_msi, _counted(holes, model, lr_hsi))
        if built.largest_side:
            from hsr_tf.solvers.parts.in_windows import InWindows

            parts = InWindows(built, model, built.largest_side)
            if parts.needed(lr_hsi):
                return parts.solve(lr_hsi, hr_msi, controls)
        return built.solve(lr_hsi, hr_msi, controls)

    return estimate


def _counted(holes: Holes | None, model: ObservationModel, lr_hsi: Cube) -> Mask | None:
    """The coarse pixels that count, None for all."""
    return None if holes is None else holes.counted(model.spatial, (lr_hsi.shape[0], lr_hsi.shape[1]))


def _least_squares(model: ObservationModel, images: tuple[Cube, Cube], counted: Mask | None) -> Outcome:
    """Spectral least squares, and how far it believed the two images."""
    found = spectral_ls_by_bands(model, *images, counted=counted)
    fit = found.fit
    details = {
        "disagreement": fit.disagreement,
        "trust": round(fit.trust, 4),
        "spectral_map": "linear" if np.isinf(fit.penalty) else f"quadratic, penalty {fit.penalty:g}",
        "outliers": round(float((fit.weights < 0.5).mean()), 4),
    }
    return Outcome(found.estimate, iterations=0, converged=True, details=details)


@lru_cache(maxsize=4)
def _loaded(folder: Path, stamps: tuple[int, ...]) -> FusionModel:
    """The model of a folder, kept with its compiled function as long as the files stay as they are."""
    from hsr_tf.networks.pretrained import load_model

    del stamps
    return load_model(folder)


def _batch(cube: Cube) -> Tensor:
    return ops.convert_to_tensor(cube[None])


def _outcome(estimate: Tensor, details: dict[str, Any] | None = None) -> Outcome:
    cube = np.asarray(ops.convert_to_numpy(estimate))[0]
    return Outcome(cube, iterations=0, converged=True, details=details or {})
