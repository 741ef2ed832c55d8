"""The closed form `sylvester` as it is built here, and with one departure from FUSE undone at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from hsr_tf.metrics.full_reference import psnr_bands
from hsr_tf.physics.noise import GaussianNoise
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.scene import Scene
from hsr_tf.solvers.sylvester import DETAIL, SylvesterConfig, SylvesterSolver
from hsr_tf.typing import Cube

BORDER = 64  # of a scene, seen by the PSF, not by the solver
HSI_SNR_DB, MSI_SNR_DB = 35.0, 40.0


@dataclass(frozen=True, eq=False)
class CutPair:
    """X (h, w, C), Y (s h, s w, c) and the truth of a part of a scene, with what lies around it in X."""

    lr_hsi: Cube
    hr_msi: Cube
    truth: Cube


def cut_pair(scene: Scene, cameras: ObservationModel, side: int, *, noisy: bool) -> CutPair:
    """Simulate the scene and cut the `side` x `side` pixels from row and column `BORDER`."""
    noises = (GaussianNoise(HSI_SNR_DB), GaussianNoise(MSI_SNR_DB)) if noisy else (None, None)
    model = ObservationModel(cameras.spatial, cameras.spectral, *noises)
    sharp, coarse = (slice(BORDER // n, (BORDER + side) // n) for n in (1, cameras.scale))
    lr_hsi, hr_msi = (np.asarray(image)[0] for image in model.simulate(tf.constant(scene.cube[None])))
    return CutPair(lr_hsi[coarse, coarse], hr_msi[sharp, sharp], scene.cube[sharp, sharp])


def plain(model: ObservationModel, pair: CutPair) -> Cube:
    """The solver itself."""
    return SylvesterSolver(model).solve(pair.lr_hsi, pair.hr_msi).estimate


def centred(model: ObservationModel, pair: CutPair) -> Cube:
    """The subspace of X less its mean spectrum."""
    mean = pair.lr_hsi.mean((0, 1))
    moved = (pair.lr_hsi - mean, pair.hr_msi - (mean @ model.spectral.matrix).astype(np.float32))
    return SylvesterSolver(model).solve(*moved).estimate + mean


def circular(model: ObservationModel, pair: CutPair) -> Cube:
    """The circular border that FUSE needs."""
    spatial = SpatialDegradation(model.spatial.psf, model.scale, border="circular")
    return plain(ObservationModel(spatial, model.spectral), pair)


def with_covariance(model: ObservationModel, pair: CutPair) -> Cube:
    """The prior's covariance is that of the detail of X."""
    config = SylvesterConfig(covariance=DETAIL)
    return SylvesterSolver(model, config).solve(pair.lr_hsi, pair.hr_msi).estimate


FORMS: dict[str, Callable[[ObservationModel, CutPair], Cube]] = {
    "as built here": plain,
    "covariance=detail": with_covariance,
    "subspace of X less its mean": centred,
    "circular border": circular,
}


def scores(scene: Scene, cameras: ObservationModel, side: int, *, noisy: bool) -> dict[str, float]:
    """PSNR (bands) of every form."""
    pair = cut_pair(scene, cameras, side, noisy=noisy)
    model = ObservationModel(cameras.spatial, cameras.spectral)
    return {
        name: float(psnr_bands(pair.truth, np.clip(form(model, pair), 0, 1))) for name, form in FORMS.items()
    }
