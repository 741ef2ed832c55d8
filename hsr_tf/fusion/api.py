"""From Python in two calls: `simulate` an observation of a sharp scene, `fuse` one into a sharp cube."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hsr_tf import checks, methods
from hsr_tf.arrays import ops
from hsr_tf.closed_forms.agreement import suspicion
from hsr_tf.fusion import estimators as solve
from hsr_tf.fusion.estimators import ESTIMATE
from hsr_tf.fusion.repair import Repaired, repair
from hsr_tf.fusion.residuals import ResidualWarning, residual_findings
from hsr_tf.fusion.valid_region import whole_part
from hsr_tf.physics.cameras import (
    DEFAULT_PSF,
    DEFAULT_SRF,
    ESTIMATED,
    UNKNOWN,
    CameraChoice,
    PsfLike,
    SnrDb,
    SrfLike,
    choose_cameras,
    make_cameras,
    simulation_metadata,
)
from hsr_tf.physics.nodata import Holes
from hsr_tf.scene import Observation, Scene, Solution
from hsr_tf.solvers.solver import Controls, Cube

Tensor = Any
NOT_INHERITED = ("source", "white_level", "channels", "simulated_")


def simulate(
    scene: Scene,
    *,
    scale: int,
    srf: SrfLike = DEFAULT_SRF,
    psf: PsfLike = DEFAULT_PSF,
    snr_db: SnrDb = (None, None),
    seed: int = 0,
) -> Observation:
    """What the two cameras see of a sharp scene: X = D Z + n, Y = Z R + n.

    Args:
        scene: Z, (H, W, C) with H and W multiples of the scale and no pixel without data.
        scale: s, a positive integer.
        srf: the colour camera: a name, a CSV file or a `SpectralResponse`.
        psf: the hyperspectral camera's blur: words such as "gaussian:sigma=2.5", a file or a `Psf`.
        snr_db: signal-to-noise ratios of the hyperspectral and of the colour image in dB; None is noise-free.
        seed: of the noise.

    Returns:
        The observation; its scenes keep the wavelengths and name, and tell the cameras in their metadata,
        where `fuse` finds them.

    Raises:
        ValueError: sizes that do not divide (the message tells a crop that would do), wavelengths that the
            response does not cover, a PSF in words that are not understood.
        OSError: a PSF or response file that is missing or damaged.
    """
    cameras = make_cameras(scene, scale, psf=psf, srf=srf, snr_db=snr_db)
    _require_whole_cells(scene, cameras.scale)
    _require_data("scene", scene)
    pair = cameras.simulate(ops.convert_to_tensor(scene.cube[None]), seed)
    lr_cube, hr_cube = (np.asarray(ops.convert_to_numpy(image))[0] for image in pair)
    lr_told, hr_told = simulation_metadata(cameras, psf=psf, snr_db=snr_db, seed=seed)
    inherited = _inherited(scene.metadata)
    grid = scene.georeference
    lr_hsi = replace(
        scene,
        cube=lr_cube,
        metadata={**inherited, **lr_told},
        nodata_mask=None,
        georeference=None if grid is None else grid.coarser(cameras.scale),
    )
    hr_msi = Scene(hr_cube, None, scene.name, {**inherited, **hr_told}, georeference=grid)
    return Observation(lr_hsi, hr_msi, cameras.scale)


def fuse(
    observation: Observation,
    method: str | methods.Method = "spectral_ls",
    *,
    psf: PsfLike | None = None,
    srf: SrfLike | None = None,
    weights: str | os.PathLike[str] | None = None,
    controls: Controls | None = None,
) -> Solution:
    """The sharp cube of an observation.

    Args:
        observation: X and Y, from `Observation.from_pair` or `simulate`; pixels without data are allowed.
        method: a name of the registry (`hsr_tf.methods.names()`), or a method of it with options
            (`hsr_tf.options.with_options`).
        psf: blur of the hyperspectral camera, as in `simulate`, or "estimate" to find it from the images; by
            default what `lr_hsi` tells of its own simulation, else "gaussian".
        srf: response of the colour camera, likewise, else "nikon_d700". With "estimate" a tone curve of Y
            (sRGB, gamma) and offsets of its channels are found as well and undone before the fusion.
        weights: folder of a trained model, for networks; by default the shipped one for these sizes.
        controls: seed, time limit, callback, checkpoint and progress of solvers; others need none of them.

    Returns:
        The estimate, not clipped, on the wavelengths of X, and what it leaves of both images. Its metadata
        tell `method`, `psf`, `srf`, `seconds`, with an estimated response `radiometry` (tone curve, gains and
        offsets of Y); a network's tell `weights`, those of spectral_ls how far the
        images were followed (`trust`, 0 to 1, see `DataConsistency.trust`) and their `disagreement`, those of
        a solver its details. Where an image has no data the estimate is zero and its mask says so.

    Warns:
        UserWarning: dead bands, saturated samples or pixels without data (`hsr_tf.fusion.repair`); images
            that do not fit the cameras (`hsr_tf.closed_forms.agreement`); a tone curve or offset of Y that
            stays in it, because the response is not estimated; weights that were trained for other cameras or
            wavelengths than those of the observation.
        ResidualWarning: an estimate that leaves more of an image than noise explains
            (`hsr_tf.fusion.residuals`); the same as `Solution.findings`.

    Raises:
        ValueError: an unknown method (the message lists the known ones), weights that do not fit or are not
            shipped for these sizes, cameras that do not fit the images, an image without any data.
        OSError: a file of weights, PSF or response that is missing or damaged.
    """
    known = methods.get(method, methods.FUSION_KINDS) if isinstance(method, str) else method
    checks.require_choice("kind of method", known.kind, methods.FUSION_KINDS)
    _require_useful(known, weights)
    repaired = repair(observation, keep_bands=known.kind == "network")
    for defect in repaired.findings:
        warnings.warn(defect.line, stacklevel=2)
    controls = controls or Controls()
    cameras = _cameras(repaired, observation, known, {"psf": psf, "srf": srf}, controls)
    plain = _linear(repaired, cameras.choice)
    for line in (cameras.notice, _suspected(plain, known, cameras.choice)):
        if line:
            warnings.warn(line, stacklevel=2)
    if known.kind == "network":
        from hsr_tf.networks.selection import cameras_with, select_weights, training_differences

        card = select_weights(known.name, repaired.observation, weights)
        for difference in training_differences(card, observation, cameras.choice):
            warnings.warn(difference, stacklevel=2)
        cameras = replace(cameras, choice=cameras_with(card, cameras.choice))
        plain = _linear(repaired, cameras.choice)
        estimator = solve.network(card, given=weights is not None, holes=repaired.holes)
    elif known.kind == "solver":
        left = cameras.remaining(controls)
        estimator = solve.solver(known, cameras.choice.model, left, repaired.holes)
    else:
        estimator = solve.closed_form(known, cameras.choice.model, repaired.holes)
    solution = _run(plain, known, cameras, estimator)
    for beyond in solution.findings:
        warnings.warn(beyond.line, ResidualWarning, stacklevel=2)
    return solution


def _cameras(
    repaired: Repaired,
    observation: Observation,
    method: methods.Method,
    told: Mapping[str, Any],
    controls: Controls,
) -> solve.Cameras:
    """The cameras of the bands that are left: given, told, by default, or estimated."""
    wanted = {name: isinstance(value, str) and value == ESTIMATE for name, value in told.items()}
    known = {name: None if wanted[name] else value for name, value in told.items()}
    needed = "srf" in method.needs and not wanted["srf"]
    choice = choose_cameras(observation, **known, srf_needed=needed)
    choice = replace(choice, model=repaired.cameras(choice.model))
    images = whole_part(repaired.observation, repaired.trusted)
    return solve.estimate_cameras(images, choice, controls, **wanted)


def _linear(repaired: Repaired, choice: CameraChoice) -> Repaired:
    """The images with Y linear in light: every method gets them so."""
    return replace(repaired, observation=repaired.observation.linear(choice.radiometry))


def _suspected(repaired: Repaired, method: methods.Method, choice: CameraChoice) -> str | None:
    """A line about cameras that do not fit the images, for methods that depend on both."""
    found_here = (choice.psf_origin, choice.srf_origin) == (ESTIMATED, ESTIMATED)
    if found_here or not {"psf", "srf"} <= set(method.needs):
        return None
    images = repaired.observation
    clean = None
    if repaired.holes is not None:
        clean = repaired.holes.clean(choice.model.spatial, images.lr_hsi.shape[:2])
    found = suspicion(choice.model, images.lr_hsi.cube, images.hr_msi.cube, trusted=clean)
    return None if found is None else found.line


def _run(
    repaired: Repaired, method: methods.Method, cameras: solve.Cameras, estimator: solve.Estimator
) -> Solution:
    """Time the estimator, measure what it leaves of both images, and tell what was used."""
    lr_hsi, hr_msi = repaired.observation.lr_hsi, repaired.observation.hr_msi
    start = time.perf_counter()
    outcome = cameras.tell(estimator(lr_hsi.cube, hr_msi.cube))
    seconds = time.perf_counter() - start + cameras.seconds
    choice = solve.explaining_cameras(cameras.choice, outcome)
    told = {
        "method": method.name,
        "scale_factor": repaired.observation.scale,
        "psf": choice.psf_line,
        "srf": choice.srf_line,
        "seconds": round(seconds, 3),
    }
    radiometry = choice.radiometry if outcome.radiometry.is_identity else outcome.radiometry
    if outcome.srf is not None:
        told["radiometry"] = radiometry.line(outcome.srf.sum(0))
    images = repaired.observation.linear(outcome.radiometry).linear(radiometry.divisor_undone())
    left = _residuals(choice, replace(repaired, observation=images), outcome.estimate)
    iterates = method.kind == "solver"
    return Solution(
        estimate=repaired.whole_scene(
            outcome.estimate, {**_inherited(repaired.source.metadata), **told, **outcome.details}
        ),
        lr_hsi_residual=left[0],
        hr_msi_residual=left[1],
        seconds=seconds,
        psf=None if outcome.psf is None else outcome.psf.kernel,
        srf=None if outcome.srf is None else repaired.full_response(outcome.srf),
        iterations=outcome.iterations if iterates else None,
        converged=outcome.converged if iterates else None,
        shift_pixels=outcome.shift,
        findings=residual_findings(images, *left),
        radiometry=repaired.full_radiometry(radiometry),
    )


def _residuals(choice: CameraChoice, repaired: Repaired, estimate: Cube) -> tuple[float | None, float | None]:
    """|X - D Z| / |X| and |Y - Z R| / |Y| over the pixels with data, None where not known.

    Coarse pixels without data, and those into which D mixes pixels without, do not count, nor does the ground
    of either.
    """
    images, spatial = repaired.observation, choice.model.spatial
    cubes = images.lr_hsi.cube, images.hr_msi.cube, estimate
    lr_hsi, hr_msi, cube = (ops.convert_to_tensor(image[None]) for image in cubes)
    coarse, sharp = lr_hsi - spatial.forward(cube), hr_msi - choice.model.spectral.forward(cube)
    weights: tuple[Any, Any] = (1.0, 1.0)
    if repaired.nodata is not None:
        clean = Holes(repaired.source.nodata_mask, repaired.nodata).clean(spatial, images.lr_hsi.shape[:2])
        if not clean.any():
            return None, None
        enlarged = clean.repeat(images.scale, 0).repeat(images.scale, 1)
        weights = clean[None, ..., None], enlarged[None, ..., None]
    gaps = (coarse * weights[0], lr_hsi * weights[0]), (sharp * weights[1], hr_msi * weights[1])
    shares = [_ratio(*pair) for pair in gaps]
    return shares[0], None if choice.srf_origin == UNKNOWN else shares[1]


def _require_useful(method: methods.Method, weights: str | os.PathLike[str] | None) -> None:
    checks.require(
        weights is None or method.kind == "network",
        "weights",
        expected=f"none for {method.name}, which is not trained",
        received=str(weights),
        remedy="leave them out, or choose a network",
    )


def _ratio(part: Tensor, whole: Tensor) -> float:
    """|part| / |whole|, zero for two zeros."""
    length = [float(ops.sqrt(ops.sum(ops.square(x)))) for x in (part, whole)]
    return length[0] / max(length[1], 1e-30)


def _inherited(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a new scene takes over: not how the old one was stored or simulated."""
    return {name: value for name, value in metadata.items() if not name.startswith(NOT_INHERITED)}


def _require_whole_cells(scene: Scene, scale: int) -> None:
    height, width, _ = scene.shape
    kept = (height // scale * scale, width // scale * scale)
    checks.require(
        kept == (height, width),
        "scale",
        expected=f"a divisor of the {height}x{width} pixels of {scene.name or 'the scene'}",
        received=str(scale),
        remedy=f"crop it to {kept[0]}x{kept[1]} pixels first" if min(kept) else "use a smaller scale",
    )


def _require_data(name: str, scene: Scene) -> None:
    num_missing = 0 if scene.nodata_mask is None else int(scene.nodata_mask.sum())
    checks.require(
        num_missing == 0,
        name,
        expected="data in every pixel, as a blur mixes neighbours",
        received=f"{num_missing} pixels without data",
        remedy="crop it to the part that holds data",
    )
