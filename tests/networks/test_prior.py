"""`prior`: the same weights for any bands, channels, cameras and scales."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.networks.layers import NetworkSpec
from hsr_tf.networks.pretrained import save_model
from hsr_tf.networks.tiles import network_tiles
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import gaussian_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.scene import Scene
from hsr_tf.tiling.stages import join, run_stages

OPTIONS = (("features", 16), ("num_blocks", 1))
CONFIG = FusionConfig("prior", 4, 6, 3, "spectral_ls", True, OPTIONS)


def cameras(scale: int, num_bands: int, num_channels: int) -> ObservationModel:
    """A Gaussian PSF, and smooth channels."""
    places = (np.arange(num_channels) + 0.5) * num_bands / num_channels
    curves = np.exp(-np.square((np.arange(num_bands)[:, None] - places) * num_channels / num_bands))
    return ObservationModel(
        SpatialDegradation(gaussian_psf(scale), scale), SpectralResponse(curves / curves.sum(0))
    )


@lru_cache
def stirred() -> FusionModel:
    """A small model with weights other than at the start."""
    model, rng = FusionModel(CONFIG, cameras(4, 6, 3)), np.random.default_rng(0)
    for weight in model.network.weights:
        weight.assign(weight + rng.normal(0, 0.05, weight.shape))
    return model


@pytest.mark.parametrize(
    ("scale", "num_bands", "num_channels"),
    [(3, 4, 1), *(pytest.param(*sizes, marks=pytest.mark.slow) for sizes in ((2, 9, 16), (5, 7, 2)))],
)
def test_the_same_weights_take_other_bands_channels_and_scales(
    scale: int, num_bands: int, num_channels: int
) -> None:
    own = cameras(scale, num_bands, num_channels)
    model = stirred().for_cameras(own, np.linspace(400, 2400, num_bands).tolist())
    rng = np.random.default_rng(1)
    cube = rng.random((1, 5 * scale, 6 * scale, 3)) @ rng.random((3, num_bands)) / 3
    lr_hsi, hr_msi = (np.asarray(x, np.float32) for x in own.simulate(cube.astype(np.float32)))
    pair = ArrayPair((lr_hsi[0], hr_msi[0]), own)
    staged = network_tiles(pair, model)
    run_stages(staged.stages())
    estimate = join(staged, pair.grid)
    assert estimate.shape == cube.shape[1:]
    assert np.isfinite(estimate).all()
    for a, b in zip(model.network.get_weights(), stirred().network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_twice_as_bright_images_get_twice_the_change() -> None:
    """But for the level of the bands, which is described too."""
    rng, network = np.random.default_rng(2), stirred().network
    lr_hsi = rng.random((1, 4, 5, 12)).astype(np.float32)
    hr_msi = rng.random((1, 16, 20, 9)).astype(np.float32)

    def change(factor: float) -> np.ndarray:
        given = {"lr_hsi": factor * lr_hsi, "hr_msi": factor * hr_msi}
        return np.asarray(network(given)["estimate"]) / factor

    once, twice = change(1.0), change(2.0)
    assert 0 < np.abs(twice - once).max() < 0.3 * np.abs(once).max()


def test_descriptions_of_other_images_are_refused() -> None:
    network = FusionModel(CONFIG, cameras(4, 6, 3)).network
    with pytest.raises(ValueError, match="wavelengths_nm: expected 6, as the images have, got 2"):
        type(network)(NetworkSpec(4, 6, 12, 9, True), cameras={"wavelengths_nm": [400.0, 500.0]})
    ms_ssfnet = FusionModel(FusionConfig("ssf_cnn", 4, 6), None)
    with pytest.raises(ValueError, match=r"fit any cameras \(prior\)"):
        ms_ssfnet.for_cameras(cameras(4, 6, 3), None)


def test_saved_weights_fuse_a_pair_of_other_sizes(tmp_path: Path) -> None:
    folder = save_model(stirred(), tmp_path / "prior", {})
    own, rng = cameras(3, 7, 2), np.random.default_rng(4)
    cube = (rng.random((18, 21, 3)) @ rng.random((3, 7)) / 3).astype(np.float32)
    sharp = Scene(cube, np.linspace(420, 900, 7), "other")
    observation = simulate(sharp, scale=3, srf=own.spectral)
    found = fuse(observation, "prior", weights=folder, srf=own.spectral)
    assert found.estimate.cube.shape == cube.shape
    assert found.estimate.metadata["weights"] == "prior"
    assert found.lr_hsi_residual < 0.01


@pytest.mark.slow
def test_a_training_step_runs_on_jax() -> None:
    pytest.importorskip("jax", reason="JAX is not installed")
    code = """
import jax, keras, numpy as np
from hsr_tf.networks.layers import NetworkSpec
from hsr_tf.networks.pretrained import save_model
from hsr_tf.networks.prior_scene import Prior
from hsr_tf.physics.psf import gaussian_psf
from hsr_tf.physics.sample_degradation import SampleCameras, inverse_taps, psf_cells
network = Prior(NetworkSpec(4, 6, 12, 9, True), features=16, num_blocks=1)
rng = np.random.default_rng(0)
lr_hsi, hr_msi = rng.random((2, 6, 6, 12), "f"), rng.random((2, 24, 24, 9), "f")
response, psf = rng.random((1, 6, 3), "f"), gaussian_psf(4)
cells, solver = psf_cells(psf, 4, 2)[None], inverse_taps(psf, 4)[None]
own = SampleCameras(response, np.linalg.pinv(response), cells, solver)
weights = [v.value for v in network.trainable_variables]
def loss(weights):
    found, _ = network.stateless_call(weights, [], {"lr_hsi": lr_hsi, "hr_msi": hr_msi})
    return keras.ops.mean((hr_msi[..., 3:] + own.free(found["estimate"], 4) - 0.3) ** 2)
step = jax.jit(jax.value_and_grad(loss))
losses = []
for _ in range(5):
    value, gradient = step(weights)
    losses.append(float(value))
    weights = [w - 0.1 * g for w, g in zip(weights, gradient)]
assert losses[-1] < losses[0], losses
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "KERAS_BACKEND": "jax"})
