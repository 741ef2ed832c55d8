"""From Python in two calls: `simulate` an observation of a sharp scene, `fuse` one into a sharp cube."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hsr_tf import checks, methods
from hsr_tf.arrays import ops
from hsr_tf.closed_forms.gap_beside_holes import completion_noise
from hsr_tf.findings import FindingWarning
from hsr_tf.fusion.cameras import (
    Asked,
    Cameras,
    Sample,
    explaining_cameras,
    fusion_cameras,
    radiometry_line,
    with_weights,
)
from hsr_tf.fusion.fill_values import fill_findings
from hsr_tf.fusion.pipeline import result_facts, staged_method, weights_facts
from hsr_tf.fusion.repair import Repaired, repair
from hsr_tf.fusion.residuals import ResidualWarning, measured_residuals
from hsr_tf.io.account import scene_pair_findings
from hsr_tf.physics.cameras import (
    DEFAULT_PSF,
    DEFAULT_SRF,
    UNKNOWN,
    PsfLike,
    SnrDb,
    SrfLike,
    make_cameras,
    simulation_metadata,
)
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.scene import Observation, Scene, Solution
from hsr_tf.solvers.parts.in_windows import SolverTiles
from hsr_tf.solvers.solver import Controls, Outcome
from hsr_tf.tiling.stages import run_stages
from hsr_tf.wording import percent

if TYPE_CHECKING:
    from hsr_tf.networks.cards import ModelCard


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
    num_missing = 0 if scene.nodata_mask is None else int(scene.nodata_mask.sum())
    checks.require(
        num_missing == 0,
        "scene",
        expected="data in every pixel, as a blur mixes neighbours",
        received=f"{num_missing} pixels without data",
        remedy="crop it to the part that holds data",
    )
    pair = cameras.simulate(ops.convert_to_tensor(scene.cube[None]), seed)
    lr_cube, hr_cube = (np.asarray(ops.convert_to_numpy(image))[0] for image in pair)
    lr_told, hr_told = simulation_metadata(cameras, psf=psf, snr_db=snr_db, seed=seed)
    lr_hsi = Scene(lr_cube, **scene.inherited(lr_told).at_scale(cameras.scale).facts())
    kept = scene.inherited(hr_told)
    hr_msi = Scene(
        hr_cube,
        None,
        kept.name,
        kept.metadata,
        georeference=kept.georeference,
        sensor_model=kept.sensor_model,
    )
    return Observation(lr_hsi, hr_msi, cameras.scale)


def fuse(  # noqa: PLR0913 (what is known of the two images, in one call)
    observation: Observation,
    method: str | methods.Method = "auto",
    *,
    psf: PsfLike | None = None,
    srf: SrfLike | None = None,
    linearize: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    controls: Controls | None = None,
) -> Solution:
    """The sharp cube of an observation.

    Args:
        observation: X and Y, from `Observation.from_pair` or `simulate`; pixels without data are allowed.
        method: a name of the registry (`hsr_tf.methods.names()`), or a method of it with options
            (`hsr_tf.options.with_options`); "auto" finds out which suit the scene (`hsr_tf.fusion.auto`).
        psf: blur of the hyperspectral camera, as in `simulate`, or "estimate" to find it from the images; by
            default the one recorded in `lr_hsi`, else "gaussian"; "auto" estimates it then if the response is
            known.
        srf: response of the colour camera, likewise, else "nikon_d700".
        linearize: the tone curve of Y to undo before the fusion: "none", "srgb", "gamma:2.2" (any number), or
            "auto" to find out whether there is one; by default what the observation says, which is "auto".
            Gains and offsets of the channels are found and undone as well, unless it is "none"; an estimated
            response contains the gains.
        weights: folder of a trained model, for networks; by default the shipped one for these sizes.
        controls: seed, time limit, callback, checkpoint and progress of solvers; others need none of them.

    Returns:
        The estimate, not clipped, on the wavelengths of X, and what it leaves of both images. Its metadata
        tell `method`, `psf`, `srf`, `seconds`, the `verdict`, with an estimated response or where something
        was undone `radiometry` (tone curve, gains and offsets of Y); a network's tell `weights`, those of
        spectral_ls how far the images were followed (`trust`, 0 to 1, see `DataConsistency.trust`) and their
        `disagreement`, those of a solver its details. Where an image has no data the estimate is zero and its
        mask says so.

    Warns:
        FindingWarning: fill values (`hsr_tf.fusion.fill_values`); dead bands, saturated samples or pixels
            without data (`hsr_tf.fusion.repair`); images that do not fit the cameras
            (`hsr_tf.closed_forms.agreement`); weights that were trained for other cameras or wavelengths.
        ResidualWarning: an estimate that leaves more of an image than noise explains
            (`hsr_tf.fusion.residuals`). `Solution.findings` has all of these, after what the readers of the
            two files say (`hsr_tf.io.account`), `Solution.verdict` the outcome.

    Raises:
        ValueError: an unknown method (the message lists the known ones), weights that do not fit or are not
            shipped for these sizes, cameras that do not fit the images, an image without any data.
        OSError: a file of weights, PSF or response that is missing or damaged.
    """
    if linearize is not None:
        observation = replace(observation, linearize=linearize)
    known = methods.get(method, methods.FUSION_KINDS) if isinstance(method, str) else method
    checks.require_choice("kind of method", known.kind, methods.FUSION_KINDS)
    require_useful_weights(known, weights)
    controls = controls or Controls()
    repaired = repair(observation, keep_bands=known.keeps_bands)
    images = repaired.observation
    card = None
    if known.kind == "network":
        from hsr_tf.networks.selection import select_weights

        card = select_weights(known.name, images, weights)
    fills = fill_findings(observation.lr_hsi, observation.hr_msi)
    defects = (*fills, *(defect.finding for defect in repaired.findings))
    for finding in defects:
        warnings.warn(FindingWarning.of(finding), stacklevel=2)
    sample, asked = Sample(images, repaired.holes), Asked(psf, srf, observation.linearize)
    cameras = fusion_cameras(sample, observation, repaired, asked, method=known, controls=controls)
    if card is not None:
        cameras = with_weights(cameras, observation, card, sample=sample, asked=asked)
    for finding in cameras.findings:
        warnings.warn(FindingWarning.of(finding), stacklevel=2)
    solution = _solved(repaired, known, cameras, controls, card, given=weights is not None)
    for finding in solution.findings:
        warnings.warn(ResidualWarning.of(finding), stacklevel=2)
    read = scene_pair_findings(observation.lr_hsi.metadata, observation.hr_msi.metadata)
    return solution.with_findings((*read, *defects, *cameras.findings, *solution.findings))


def _solved(
    repaired: Repaired,
    method: methods.Method,
    cameras: Cameras,
    controls: Controls,
    card: ModelCard | None,
    *,
    given: bool,
) -> Solution:
    """Run the method over the whole scene as one tile, and compare the result with both images."""
    choice = cameras.choice
    images = repaired.observation.linear(choice.radiometry)
    pair = ArrayPair(
        (images.lr_hsi.cube, images.hr_msi.cube),
        choice.model,
        repaired.holes,
        wavelengths_nm=images.lr_hsi.wavelengths_nm,
    )
    if choice.srf_origin != UNKNOWN and repaired.holes.sharp is not None:
        pair = pair.completed(completion_noise(pair))
    start = time.perf_counter()
    staged = staged_method(
        pair,
        method,
        weights=None if card is None else card.folder,
        controls=cameras.remaining(controls),
    )
    run_stages(staged.stages(), show=controls.progress)
    cube = staged.finish(0)
    if isinstance(staged, SolverTiles):
        outcome = staged.outcome(cube)
    else:
        details = weights_facts(card, given=given) | staged.details()
        outcome = Outcome(cube, iterations=0, converged=True, details=details)
    outcome = cameras.complete(outcome)
    seconds = time.perf_counter() - start + cameras.seconds
    choice = explaining_cameras(choice, outcome)
    radiometry = choice.radiometry if outcome.radiometry.is_identity else outcome.radiometry
    images = images.linear(outcome.radiometry)
    if outcome.srf is not None:  # in the recorded units, which networks are not given
        images = images.linear(radiometry.divisor_undone())
    left = measured_residuals(
        replace(pair, cubes=(images.lr_hsi.cube, images.hr_msi.cube)),
        cube,
        pair.grid.whole,
        model=choice.model,
        srf_known=choice.srf_origin != UNKNOWN,
        radiometry=radiometry,
    )
    facts = result_facts(method, choice, radiometry=radiometry_line(radiometry, outcome.srf))
    if cameras.changed_ground:
        facts["changed_ground"] = percent(cameras.changed_ground)
    metadata = {**facts, "seconds": round(seconds, 3), **outcome.details}
    if "trust" in metadata:
        metadata |= left.facts
    iterates = method.kind == "solver"
    return Solution(
        estimate=repaired.whole_scene(outcome.estimate, metadata),
        lr_hsi_residual=left.lr_hsi,
        hr_msi_residual=left.hr_msi,
        seconds=seconds,
        psf=None if outcome.psf is None else outcome.psf.kernel,
        srf=None if outcome.srf is None else repaired.full_response(outcome.srf),
        iterations=outcome.iterations if iterates else None,
        converged=outcome.converged if iterates else None,
        shift_pixels=outcome.shift,
        findings=left.findings,
        radiometry=repaired.full_radiometry(radiometry),
    )


def require_useful_weights(method: methods.Method, weights: str | os.PathLike[str] | None) -> None:
    """Refuse weights for a method that has none.

    Raises:
        ValueError: in one line.
    """
    checks.require(
        weights is None or method.kind == "network",
        "weights",
        expected=f"none for {method.name}, which is not trained",
        received=str(weights),
        remedy="leave them out, or choose a network",
    )


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
