"""`prior`: the same weights for any bands, channels, cameras and scales."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.networks.pretrained import save_model
from hsr_tf.networks.tiles import network_tiles
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import gaussian_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.scene import Scene
from hsr_tf.tiling.stages import join, run_stages
from hsr_tf.typing import Cube

CONFIG = FusionConfig("prior", 4, 6, 3, "spectral_ls", True, (("features", 8), ("members", 2)))


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


def observed(own: ObservationModel, cells: tuple[int, int], num_bands: int) -> tuple[Cube, Cube]:
    """X and Y of a random mixture of three spectra."""
    rng = np.random.default_rng(1)
    height, width = (own.scale * n for n in cells)
    cube = rng.random((1, height, width, 3)) @ rng.random((3, num_bands)) / 3
    lr_hsi, hr_msi = own.simulate(cube.astype(np.float32))
    return np.asarray(lr_hsi, np.float32)[0], np.asarray(hr_msi, np.float32)[0]


def estimate(
    model: FusionModel, own: ObservationModel, images: tuple[Cube, Cube], tile: int | None = None
) -> Cube:
    pair = ArrayPair(images, own, tile=tile)
    staged = network_tiles(pair, model)
    run_stages(staged.stages())
    return join(staged, pair.grid)


@pytest.mark.parametrize(
    ("scale", "num_bands", "num_channels"),
    [(3, 4, 1), *(pytest.param(*sizes, marks=pytest.mark.slow) for sizes in ((2, 9, 16), (5, 40, 2)))],
)
def test_the_same_weights_take_other_bands_channels_and_scales(
    scale: int, num_bands: int, num_channels: int
) -> None:
    own = cameras(scale, num_bands, num_channels)
    model = stirred().for_cameras(own, np.linspace(400, 690, num_bands).tolist())
    images = observed(own, (5, 6), num_bands)
    found = estimate(model, own, images)
    assert found.shape == (5 * scale, 6 * scale, num_bands)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found @ own.spectral.matrix, images[1], atol=1e-4)
    for a, b in zip(model.network.get_weights(), stirred().network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("scale", "cells"),
    [
        (3, (24, 19)),
        pytest.param(8, (9, 8), marks=pytest.mark.slow),
        pytest.param(12, (7, 6), marks=pytest.mark.slow),
        pytest.param(5, (17, 16), marks=pytest.mark.slow),
    ],
)
def test_tiles_of_any_scale_are_the_whole(scale: int, cells: tuple[int, int]) -> None:
    """Cells of 8 sharp pixels begin where those of the scene do, whatever tiles it is cut into."""
    own = cameras(scale, 6, 3)
    model, images = stirred().for_cameras(own, None), observed(own, cells, 6)
    whole, tiles = (estimate(model, own, images, tile) for tile in (None, 4))
    assert np.abs(whole - images[0].mean((0, 1))).max() > 0.05
    np.testing.assert_allclose(tiles, whole, atol=2e-6)


def test_models_for_other_cameras_share_the_network() -> None:
    model = FusionModel(replace(CONFIG, dtype="float32"), cameras(4, 6, 3))
    assert model.for_cameras(cameras(3, 7, 2), None).network is model.network
    assert stirred().for_cameras(cameras(3, 7, 2), None).network is not stirred().network


@pytest.mark.parametrize("tile", [None, 4])
def test_scenes_of_a_single_cell_are_fused(tile: int | None) -> None:
    own = cameras(4, 6, 3)
    found = estimate(stirred().for_cameras(own, None), own, observed(own, (2, 10), 6), tile)
    assert found.shape == (8, 40, 6) and np.isfinite(found).all()


def test_a_network_of_one_pair_of_cameras_is_not_taken_to_another() -> None:
    ssf_cnn = FusionModel(FusionConfig("ssf_cnn", 4, 6), None)
    with pytest.raises(ValueError, match=r"fit any cameras \(prior\)"):
        ssf_cnn.for_cameras(cameras(4, 6, 3), None)


def test_saved_weights_fuse_a_pair_of_other_sizes(tmp_path: Path) -> None:
    folder = save_model(stirred(), tmp_path / "prior", {})
    own, rng = cameras(3, 7, 2), np.random.default_rng(4)
    cube = (rng.random((18, 21, 3)) @ rng.random((3, 7)) / 3).astype(np.float32)
    sharp = Scene(cube, np.linspace(420, 690, 7), "other")
    observation = simulate(sharp, scale=3, srf=own.spectral)
    found = fuse(observation, "prior", weights=folder, srf=own.spectral)
    assert found.estimate.cube.shape == cube.shape
    assert found.estimate.metadata["weights"] == "prior"
    assert found.lr_hsi_residual < 0.01


@pytest.mark.parametrize(("last_nm", "told"), [(690, False), (2400, True)])
def test_bands_that_the_weights_do_not_know_are_told(last_nm: float, told: bool, tmp_path: Path) -> None:
    folder = save_model(stirred(), tmp_path / "prior", {})
    own, centres = cameras(4, 20, 3), np.linspace(410, last_nm, 20)
    cube = np.random.default_rng(4).random((24, 28, 20), np.float32)
    observation = simulate(Scene(cube, centres, "wide"), scale=4, srf=own.spectral)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fuse(observation, "prior", weights=folder, srf=own.spectral)
    lines = [finding.found for finding in found.findings if finding.topic == "weights"]
    assert bool(lines) is told
    assert not told or "know spectra of 400-700 nm, lr_hsi has 20 bands at 410-2400 nm" in lines[0]


@pytest.mark.slow
def test_a_training_step_runs_on_jax() -> None:
    pytest.importorskip("jax", reason="JAX is not installed")
    code = """
import jax, keras, numpy as np
from hsr_tf.networks.layers import NetworkSpec
from hsr_tf.networks.prior import Prior
from hsr_tf.networks.reference_view import ReferenceView
from hsr_tf.physics.psf import gaussian_psf
from hsr_tf.physics.sample_degradation import SampleCameras, inverse_taps, psf_cells
network, view = Prior(NetworkSpec(4, 6, 12, 9, True), features=8), ReferenceView.of(4, 6, None)
rng = np.random.default_rng(0)
start, residual = rng.random((2, 24, 24, 6), "f"), rng.random((2, 6, 6, 6), "f")
response, psf = rng.random((1, 6, 3), "f"), gaussian_psf(4)
cells, solver = psf_cells(psf, 4, 2)[None], inverse_taps(psf, 4)[None]
own = SampleCameras(response, np.linalg.pinv(response), cells, solver)
weights = [v.value for v in network.trainable_variables]
def loss(weights):
    answer = lambda images: network.stateless_call(weights, [], images)[0]
    change = view.change(answer, start, residual)
    return keras.ops.mean((start + own.free(change, 4) - 0.3) ** 2)
step = jax.jit(jax.value_and_grad(loss))
losses = []
for _ in range(5):
    value, gradient = step(weights)
    losses.append(float(value))
    weights = [w - 0.1 * g for w, g in zip(weights, gradient)]
assert losses[-1] < losses[0], losses
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "KERAS_BACKEND": "jax"})
