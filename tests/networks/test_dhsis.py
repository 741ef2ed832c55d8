"""DHSIS: two closed-form fits with a plain residual CNN between them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy import ndimage

from hsr_tf.closed_forms.sylvester import SylvesterBase
from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.networks.dhsis import DHSIS
from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.networks.layers import NetworkSpec
from hsr_tf.networks.pretrained import save_model
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import anisotropic_gaussian_psf, gaussian_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.scene import Observation
from tests.streaming.pairs import smooth_scene

NUM_BANDS = 5
OPTIONS = (("features", 8), ("num_layers", 4))


def cameras(scale: int = 2, *, psf=None) -> ObservationModel:
    weights = np.random.default_rng(3).random((NUM_BANDS, 3))
    spatial = SpatialDegradation(psf or gaussian_psf(scale), scale)
    return ObservationModel(spatial, SpectralResponse(weights / weights.sum(0)))


def views(model: ObservationModel, seed: int = 0) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    size = (2, 6 * model.scale, 7 * model.scale, NUM_BANDS)
    cube = tf.random.stateless_uniform(size, (seed, 1))
    return cube, dict(zip(("lr_hsi", "hr_msi"), model.simulate(cube), strict=True))


def dhsis(own: ObservationModel, *, consistent: bool = True) -> FusionModel:
    config = FusionConfig("dhsis", own.scale, NUM_BANDS, 3, "sylvester", consistent, OPTIONS)
    return FusionModel(config, own)


def stir(model: FusionModel, deviation: float = 0.05) -> FusionModel:
    rng = np.random.default_rng(0)
    for weight in model.network.weights:
        weight.assign(weight + rng.normal(0, deviation, weight.shape))
    return model


def test_it_has_sixteen_plain_layers() -> None:
    network = DHSIS(NetworkSpec(8, 31, 31, 34, zero_head=True))
    convolutions = [layer for layer in network.layers if isinstance(layer, layers.Conv2D)]
    assert len(convolutions) == 16
    assert [layer.filters for layer in convolutions] == [64] * 15 + [31]
    assert [layer.activation.__name__ for layer in convolutions] == ["relu"] * 15 + ["linear"]
    assert convolutions[0].kernel.shape[2] == 31
    with_msi = DHSIS(NetworkSpec(8, 31, 31, 34, zero_head=True), sees_msi=True)
    assert with_msi.get_layer("conv1").kernel.shape[2] == 34
    with pytest.raises(ValueError, match="num_layers: expected at least 2"):
        DHSIS(NetworkSpec(8, 31, 31), num_layers=1)


def test_untrained_it_is_the_closed_form_taken_twice() -> None:
    own = cameras()
    _, seen = views(own)
    base = SylvesterBase(own)
    start = base(seen["lr_hsi"], seen["hr_msi"])
    np.testing.assert_allclose(dhsis(own, consistent=False)(seen), start, atol=1e-6)
    twice = base.refine(start, seen["lr_hsi"], seen["hr_msi"])
    np.testing.assert_allclose(dhsis(own)(seen), twice, atol=1e-6)


def test_its_steps_are_the_first_fit_the_network_on_it_alone_and_the_last_fit() -> None:
    own = cameras()
    _, seen = views(own)
    model = stir(dhsis(own))
    steps, base = model.steps(seen), SylvesterBase(own)
    np.testing.assert_allclose(steps["base"], base(seen["lr_hsi"], seen["hr_msi"]), atol=1e-6)
    for other in (seen["hr_msi"], 1.0 - seen["hr_msi"]):  # what it is given of Y has no part in its answer
        sharp = tf.concat([other, steps["base"]], -1)
        residual = model.network({"lr_hsi": 0.0 * seen["lr_hsi"], "hr_msi": sharp})["estimate"]
        np.testing.assert_allclose(steps["network"], steps["base"] + residual, atol=1e-5)
    last = base.refine(steps["network"], seen["lr_hsi"], seen["hr_msi"])
    np.testing.assert_allclose(steps["estimate"], last, atol=1e-5)


@pytest.mark.parametrize("psf", [None, anisotropic_gaussian_psf(2, sigmas=(1.3, 0.6), angle_degrees=30)])
def test_the_last_step_fits_both_images_whatever_the_network_says(psf) -> None:
    own = cameras(psf=psf)
    _, seen = views(own)

    def misfit(model: FusionModel) -> float:
        again = own.simulate(model(seen))
        return max(float(tf.reduce_max(abs(a - b))) for a, b in zip(again, seen.values(), strict=True))

    assert misfit(stir(dhsis(own))) < 0.1 * misfit(stir(dhsis(own, consistent=False)))


def test_the_gradient_passes_through_the_last_step() -> None:
    own = cameras()
    cube, seen = views(own)
    model = stir(dhsis(own))
    weight = model.network.get_layer("head").kernel
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model(seen) - cube))
    gradient = tape.gradient(loss, weight.value).numpy()
    step = np.zeros(weight.shape, np.float32)
    step[1, 1, 2, 3] = 0.02
    at = weight.numpy()
    values = []
    for sign in (1, -1):
        weight.assign(at + sign * step)
        values.append(float(tf.reduce_sum(tf.square(model(seen) - cube))))
    assert (values[0] - values[1]) / 0.04 == pytest.approx(gradient[1, 1, 2, 3], rel=0.02)


def test_a_configuration_of_dhsis_is_its_three_steps_unless_it_says_otherwise() -> None:
    config = FusionConfig("dhsis", 2, NUM_BANDS, options=OPTIONS)
    assert (config.base, config.consistent) == ("sylvester", True)
    assert FusionConfig.from_json(config.to_json()) == config
    own = cameras()
    _, seen = views(own)
    np.testing.assert_array_equal(FusionModel(config, own)(seen), dhsis(own)(seen))
    with pytest.raises(ValueError, match="cameras: expected an ObservationModel of scale 2"):
        FusionModel(config)
    other = replace(config, base="none", consistent=None)
    assert (other.base, other.consistent) == ("none", False)
    plain = FusionConfig("ssf_resnet", 2, NUM_BANDS)
    assert (plain.base, plain.consistent) == ("none", False)


def test_coarse_pixels_without_data_cost_nothing_beside_them(tmp_path: Path) -> None:
    scene = smooth_scene((64, 72, NUM_BANDS))
    own = cameras(4)
    pair = simulate(scene, scale=4, srf=own.spectral)
    model = stir(dhsis(own), 0.01)
    save_model(model, tmp_path / "model", {})
    mask = np.zeros(pair.lr_hsi.shape[:2], bool)
    mask[6:9, 5:10] = True
    holed = replace(pair, lr_hsi=replace(pair.lr_hsi, nodata_mask=mask))
    fine = np.kron(mask, np.ones((4, 4), bool))
    beside = ndimage.binary_dilation(fine, iterations=4) & ~fine

    def error(observation: Observation) -> float:
        estimate = fuse(observation, "dhsis", weights=tmp_path / "model").estimate.cube
        return float(np.square(estimate - scene.cube)[beside].mean())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert error(holed) < 1.06 * error(pair)  # 0.25 dB


def test_the_base_needs_the_cameras() -> None:
    config = FusionConfig("dhsis", 2, NUM_BANDS, 3, "sylvester", options=OPTIONS)
    with pytest.raises(ValueError, match="cameras: expected an ObservationModel of scale 2"):
        FusionModel(config)
    with pytest.raises(ValueError, match="got scale 3"):
        FusionModel(replace(config, scale=2), cameras(3))
