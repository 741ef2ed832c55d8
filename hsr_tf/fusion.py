"""From Python in two calls: `simulate` an observation of a sharp scene, `fuse` one into a sharp cube."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from hsr_tf import checks, methods
from hsr_tf.bases import SpectralLS
from hsr_tf.networks import pretrained
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.networks.selection import cameras_with, select_weights, training_differences
from hsr_tf.physics.cameras import (
    DEFAULT_PSF,
    DEFAULT_SRF,
    UNKNOWN,
    CameraChoice,
    PsfLike,
    SnrDb,
    SrfLike,
    choose_cameras,
    make_cameras,
    simulation_metadata,
)
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.scene import Observation, Scene, Solution

Tensor = Any
Estimator = Callable[[Tensor, Tensor], tuple[Tensor, dict[str, Any]]]
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
    lr_hsi = Scene(lr_cube, scene.wavelengths_nm, scene.name, {**inherited, **lr_told})
    hr_msi = Scene(hr_cube, None, scene.name, {**inherited, **hr_told})
    return Observation(lr_hsi, hr_msi, cameras.scale)


def fuse(
    observation: Observation,
    method: str = "spectral_ls",
    *,
    psf: PsfLike | None = None,
    srf: SrfLike | None = None,
    weights: str | os.PathLike[str] | None = None,
) -> Solution:
    """The sharp cube of an observation.

    Args:
        observation: X and Y, from `Observation.from_pair` or `simulate`.
        method: a name of the registry (`hsr_tf.methods.names()`).
        psf: blur of the hyperspectral camera, as in `simulate`; by default what `lr_hsi` tells of its own
            simulation, else "gaussian".
        srf: response of the colour camera, likewise, else "nikon_d700".
        weights: folder of a trained model, for networks; by default the shipped one for these sizes.

    Returns:
        The estimate, not clipped, on the wavelengths of X, and what it leaves of both images. Its metadata
        tell `method`, `psf`, `srf`, `seconds`; a network's tell `weights`, those of spectral_ls how far the
        images were followed (`trust`, 0 to 1, see `DataConsistency.trust`) and their `disagreement`.

    Warns:
        UserWarning: the weights were trained for other cameras or wavelengths than those of the observation.

    Raises:
        ValueError: an unknown method (the message lists the known ones), weights that do not fit or are not
            shipped for these sizes, cameras that do not fit the images.
        OSError: a file of weights, PSF or response that is missing or damaged.
    """
    known = methods.get(method)
    for name, scene in (("lr_hsi", observation.lr_hsi), ("hr_msi", observation.hr_msi)):
        _require_data(name, scene)
    choice = choose_cameras(observation, psf=psf, srf=srf, srf_needed="srf" in known.needs)
    if known.kind == "network":
        card = select_weights(known.name, observation, weights)
        for difference in training_differences(card, observation, choice):
            warnings.warn(difference, stacklevel=2)
        return _run(observation, known, cameras_with(card, choice), _network(card, given=weights is not None))
    checks.require(
        weights is None,
        "weights",
        expected=f"none for {method}, which is not trained",
        received=str(weights),
        remedy="leave them out, or choose a network",
    )
    return _run(observation, known, choice, _closed_form(known, choice.model))


def disagreement(model: ObservationModel, lr_hsi: Tensor, hr_msi: Tensor) -> float:
    """|X R - D Y| / |X R|: what noise and wrong cameras change in an image that X and Y both determine.

    Args:
        model: R and D.
        lr_hsi: X, (B, h, w, C).
        hr_msi: Y, (B, s h, s w, c).
    """
    seen = model.spectral.forward(lr_hsi)
    return _ratio(seen - model.spatial.forward(hr_msi), seen)


def _run(
    observation: Observation, method: methods.Method, choice: CameraChoice, estimator: Estimator
) -> Solution:
    """Time the estimator, measure what it leaves of both images, and tell what was used."""
    images = (observation.lr_hsi.cube, observation.hr_msi.cube)
    lr_hsi, hr_msi = (ops.convert_to_tensor(cube[None]) for cube in images)
    start = time.perf_counter()
    estimate, details = estimator(lr_hsi, hr_msi)
    cube = np.asarray(ops.convert_to_numpy(estimate))[0]
    seconds = time.perf_counter() - start
    model, source = choice.model, observation.lr_hsi
    told = {
        "method": method.name,
        "scale_factor": observation.scale,
        "psf": f"{model.spatial.psf.name} ({choice.psf_origin})",
        "srf": f"{model.spectral.name} ({choice.srf_origin})",
        "seconds": round(seconds, 3),
    }
    return Solution(
        estimate=Scene(
            cube, source.wavelengths_nm, source.name, {**_inherited(source.metadata), **told, **details}
        ),
        lr_hsi_residual=_ratio(lr_hsi - model.spatial.forward(estimate), lr_hsi),
        hr_msi_residual=None
        if choice.srf_origin == UNKNOWN
        else _ratio(hr_msi - model.spectral.forward(estimate), hr_msi),
        seconds=seconds,
    )


def _closed_form(method: methods.Method, model: ObservationModel) -> Estimator:
    if method.name == "spectral_ls":
        return partial(_least_squares, model)
    solver = method.build(model)
    return lambda lr_hsi, hr_msi: (solver(lr_hsi, hr_msi), {})


def _least_squares(model: ObservationModel, lr_hsi: Tensor, hr_msi: Tensor) -> tuple[Tensor, dict[str, Any]]:
    """Spectral least squares, and how far it believed the two images."""
    method = SpectralLS(model)
    found = method.explained(method.fit(lr_hsi, hr_msi), lr_hsi, hr_msi)
    apart = disagreement(model, lr_hsi, hr_msi)
    return found.estimate, {"disagreement": apart, "trust": round(float(ops.mean(found.trust)), 4)}


@lru_cache(maxsize=4)
def _loaded(folder: Path, stamps: tuple[int, ...]) -> FusionModel:
    """The model of a folder, kept with its compiled function as long as the files stay as they are."""
    del stamps
    return pretrained.load_model(folder)


def _network(card: pretrained.ModelCard, *, given: bool) -> Estimator:
    stamps = tuple(path.stat().st_mtime_ns for path in sorted(card.folder.iterdir()))
    model = _loaded(card.folder, stamps)
    details = {"weights": card.folder.name, "weights_origin": "given" if given else "shipped"}

    def estimate(lr_hsi: Tensor, hr_msi: Tensor) -> tuple[Tensor, dict[str, Any]]:
        return model.predict_on_batch({"lr_hsi": lr_hsi, "hr_msi": hr_msi}), details

    return estimate


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
