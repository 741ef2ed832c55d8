"""What every fusion network of the registry must do, over every base."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from hsr_tf import methods
from hsr_tf.closed_forms.quadratic_map import BASES, SpectralLS
from hsr_tf.closed_forms.sylvester import SylvesterBase
from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.networks.pretrained import load_model, save_model
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import box_psf, gaussian_psf
from hsr_tf.physics.resize import bicubic_enlarge, bicubic_reduce
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse

NETWORKS = methods.names("network")
SMALL: dict[str, dict[str, Any]] = {
    "dhsis": {"features": 8, "num_layers": 4},
    "ms_ssfnet": {"features": 8},
    "prior": {"features": 8},
    "ssf_resnet": {"features": 8, "num_blocks": 2},
    "spectral_resnet": {"features": 8, "num_blocks": 2},
}
DOUBLING_ONLY = {"ms_ssfnet"}
NUM_BANDS = 5
every_network = pytest.mark.parametrize("method", NETWORKS)
# A network and a base are joined by addition: one network over all bases, and all over one, is quick to test.
QUICK_BASE, QUICK_NETWORK = "spectral_ls", "ssf_resnet"
QUICK_TRAINED = {"dhsis", "ssf_cnn", "ssf_resnet"}


def pairs(*quick_bases: str) -> list[Any]:
    """Every network over every base, marked as slow but for all over these and one over all."""
    quick = {(method, base) for method in NETWORKS for base in quick_bases}
    quick |= {(QUICK_NETWORK, base) for base in BASES}
    quick -= {("prior", "none")}
    cases = [(method, base) for base in BASES for method in NETWORKS]
    return [pytest.param(*case, marks=[] if case in quick else [pytest.mark.slow]) for case in cases]


every_pair = pytest.mark.parametrize(("method", "base"), pairs("none", QUICK_BASE))
# Every network is compiled for unknown sizes by its export too: tests/export/test_saved_model.py.
compiled_pair = pytest.mark.parametrize(("method", "base"), pairs())


def cameras(scale: int, num_channels: int = 3) -> ObservationModel:
    """A box PSF, whose inverse is short, and channels of random weights."""
    weights = np.random.default_rng(num_channels).random((NUM_BANDS, num_channels))
    return ObservationModel(
        SpatialDegradation(box_psf(scale), scale), SpectralResponse(weights / weights.sum(0))
    )


def small_config(method: str, base: str, *, scale: int = 4, num_channels: int = 3) -> FusionConfig:
    options = tuple(sorted(SMALL.get(method, {}).items()))
    return FusionConfig(method, scale, NUM_BANDS, num_channels, base, False, options, dtype="float32")


def observe(model_cameras: ObservationModel, cells: tuple[int, int], batch: int = 2) -> dict[str, tf.Tensor]:
    """Both images of a random scene of so many coarse rows and columns."""
    scale = model_cameras.scale
    rng = np.random.default_rng(sum(cells))
    coarse = rng.random((batch, 2 * cells[0], 2 * cells[1], NUM_BANDS)).astype(np.float32)
    cube = coarse.repeat(-(-scale // 2), 1).repeat(-(-scale // 2), 2)
    cube = cube[:, : scale * cells[0], : scale * cells[1]]
    lr_hsi, hr_msi = model_cameras.simulate(tf.constant(cube))
    return {"lr_hsi": lr_hsi, "hr_msi": hr_msi}


def stir(model: FusionModel) -> FusionModel:
    """Give every weight a little noise, so that a head that starts at zero lets the rest be seen."""
    rng = np.random.default_rng(0)
    for weight in model.network.weights:
        weight.assign(weight + rng.normal(0, 0.02, weight.shape))
    return model


@lru_cache(maxsize=32)
def stirred(method: str, base: str) -> FusionModel:
    """A small stirred model of scale 4, shared by the tests that do not change it."""
    return stir(FusionModel(small_config(method, base), cameras(4)))


@every_pair
def test_the_estimate_has_the_size_of_the_sharp_image(method: str, base: str) -> None:
    estimate = stirred(method, base)(observe(cameras(4), (3, 5)))
    assert tuple(estimate.shape) == (2, 12, 20, NUM_BANDS)
    assert estimate.dtype == tf.float32


@compiled_pair
def test_compiled_for_any_size_it_estimates_the_same(method: str, base: str) -> None:
    model = stirred(method, base)
    signature = {
        "lr_hsi": tf.TensorSpec((None, None, None, NUM_BANDS)),
        "hr_msi": tf.TensorSpec((None, None, None, 3)),
    }
    compiled = tf.function(model, input_signature=[signature], autograph=False)
    for cells, batch in (((3, 5), 2), ((4, 2), 1)):
        views = observe(cameras(4), cells, batch)
        np.testing.assert_allclose(compiled(views), model(views), atol=1e-4)


@every_pair
def test_the_loss_of_all_levels_has_a_gradient_in_every_weight(method: str, base: str) -> None:
    model, views = stirred(method, base), observe(cameras(4), (3, 4))
    with tf.GradientTape() as tape:
        levels = model.levels(views)
        loss = sum(tf.reduce_mean(tf.square(level - 0.3)) for level in levels.values())
    variables = [weight.value for weight in model.trainable_weights]
    assert len(variables) == len(model.weights) > 0
    for weight, gradient in zip(model.trainable_weights, tape.gradient(loss, variables), strict=True):
        assert gradient is not None, weight.path
        assert np.isfinite(gradient).all(), weight.path
        assert np.abs(gradient).max() > 0, weight.path


@every_pair
def test_a_saved_model_comes_back_with_equal_outputs(method: str, base: str, tmp_path: Path) -> None:
    model, views = stirred(method, base), observe(cameras(4), (3, 4))
    save_model(model, tmp_path / "model", {"seed": 0})
    loaded = load_model(tmp_path / "model")
    assert loaded.config == model.config
    np.testing.assert_array_equal(loaded(views), model(views))


@every_pair
def test_an_untrained_network_starts_from_its_base(method: str, base: str) -> None:
    model, views = FusionModel(small_config(method, base), cameras(4)), observe(cameras(4), (3, 4))
    levels = {name: np.asarray(level) for name, level in model.levels(views).items()}
    if base == "none":
        assert all(level.std() > 0 for level in levels.values())
        return
    expected = bicubic_enlarge(views["lr_hsi"], 4)
    if base == "spectral_ls":
        expected = SpectralLS(cameras(4))(views["lr_hsi"], views["hr_msi"])
    if base == "sylvester":
        expected = SylvesterBase(cameras(4))(views["lr_hsi"], views["hr_msi"])
    np.testing.assert_array_equal(levels.pop("estimate"), expected)
    for name, level in levels.items():
        np.testing.assert_array_equal(level, bicubic_reduce(expected, int(name.split("_")[1])))


@every_network
def test_the_seed_decides_the_weights(method: str) -> None:
    config = small_config(method, "none")
    first, again, other = (
        FusionModel(replace(config, seed=seed)).network.get_weights() for seed in (0, 0, 1)
    )
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert all((a != b).any() for a, b in zip(first, other, strict=True) if a.std() > 0)
    kernels = [a for a in first if a.ndim == 4]
    assert all(a.std() > 0 for a in kernels)
    same = [(a.shape == b.shape) and (a == b).all() for i, a in enumerate(kernels) for b in kernels[:i]]
    assert not any(same)


@every_pair
def test_mixed_precision_stays_close_to_float32(method: str, base: str) -> None:
    config, views = small_config(method, base), observe(cameras(4), (3, 4))
    model = stirred(method, base)
    mixed = FusionModel(replace(config, dtype="mixed_bfloat16"), cameras(4))
    mixed.network.set_weights(model.network.get_weights())
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    found, expected = np.asarray(mixed(views)), np.asarray(model(views))
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected).max() < 0.03 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("num_channels", [1, 3, 4])
@every_network
def test_any_number_of_channels_is_taken(method: str, num_channels: int) -> None:
    own = cameras(2, num_channels)
    for base in BASES if method == QUICK_NETWORK else ["none"]:
        model = FusionModel(small_config(method, base, scale=2, num_channels=num_channels), own)
        assert tuple(model(observe(own, (3, 4))).shape) == (2, 6, 8, NUM_BANDS)


@pytest.mark.parametrize("scale", [2, 3, 5, 8, 16])
@every_network
def test_every_scale_works_or_is_refused_with_a_way_out(method: str, scale: int) -> None:
    config = small_config(method, "bicubic", scale=scale)
    if method in DOUBLING_ONLY and scale & (scale - 1):
        with pytest.raises(
            ValueError, match=f"scale: expected a power of two .* got {scale}; use ssf_resnet"
        ):
            FusionModel(config)
        return
    views = observe(cameras(scale), (2, 3), batch=1)
    assert tuple(FusionModel(config)(views).shape) == (1, 2 * scale, 3 * scale, NUM_BANDS)


@every_pair
def test_configuration_and_cameras_survive_json(method: str, base: str) -> None:
    model, views = FusionModel(small_config(method, base), cameras(4)), observe(cameras(4), (3, 4))
    assert FusionConfig.from_json(json.loads(json.dumps(model.config.to_json()))) == model.config
    again = FusionModel.from_config(json.loads(json.dumps(model.get_config())))
    np.testing.assert_array_equal(again(views), model(views))


@every_network
def test_the_bare_network_is_rebuilt_from_its_configuration(method: str) -> None:
    model = stirred(method, "none")
    network = model.network
    again = type(network).from_config(json.loads(json.dumps(network.get_config())))
    assert again.spec == network.spec
    assert [w.path for w in again.weights] == [w.path for w in network.weights]
    again.set_weights(network.get_weights())
    views = observe(cameras(4), (2, 3))
    if model.view is not None:
        enlarged = bicubic_enlarge(views["lr_hsi"], 4)
        views = model.view.images(enlarged, enlarged)
    np.testing.assert_array_equal(again(views)["estimate"], network(views)["estimate"])


# The gradient in every weight is tested for each of them, and the trainer trains ms_ssfnet.
@pytest.mark.parametrize(
    "method",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK_TRAINED)) for name in NETWORKS],
)
def test_training_a_few_steps_lowers_the_loss(method: str) -> None:
    own = cameras(4)
    rng = np.random.default_rng(0)
    cube = tf.constant(rng.random((2, 16, 16, 3)) @ rng.random((3, NUM_BANDS)) / 2, tf.float32)
    lr_hsi, hr_msi = own.simulate(cube)
    base = "sylvester" if method == "dhsis" else "bicubic"  # dhsis sees its base alone
    model, optimizer = FusionModel(small_config(method, base), own), keras.optimizers.Adam(1e-3)

    @tf.function(autograph=False)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model({"lr_hsi": lr_hsi, "hr_msi": hr_msi}) - cube))
        variables = model.trainable_weights
        gradients = tape.gradient(loss, [v.value for v in variables])
        pairs = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
        optimizer.apply_gradients(pairs)
        return loss

    losses = [float(step()) for _ in range(40)]
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize("base", ["none", "bicubic"])
def test_projection_makes_any_network_agree_with_both_images(base: str) -> None:
    own = ObservationModel(SpatialDegradation(gaussian_psf(4), 4), cameras(4).spectral)
    model = stir(FusionModel(replace(small_config("ssf_resnet", base), consistent=True), own))
    views = observe(own, (4, 5))
    estimate = model(views)
    for seen, expected in zip(own.simulate(estimate), views.values(), strict=True):
        np.testing.assert_allclose(seen, expected, atol=2e-4)


def test_a_map_of_the_whole_scene_serves_its_parts() -> None:
    model, views = stirred("ssf_resnet", "spectral_ls"), observe(cameras(4), (5, 6))
    spectral_map = model.fit(views["lr_hsi"], views["hr_msi"])
    np.testing.assert_allclose(model({**views, "spectral_map": spectral_map}), model(views), atol=1e-6)
    assert stirred("ssf_resnet", "bicubic").fit(views["lr_hsi"], views["hr_msi"]) is None


@pytest.mark.parametrize(
    ("change", "own", "said"),
    [
        ({"base": "cubic"}, cameras(4), "did you mean 'bicubic'"),
        ({"base": "spectral_ls"}, None, "cameras: expected an ObservationModel of scale 4"),
        ({"consistent": True}, None, "cameras: expected an ObservationModel of scale 4"),
        ({"base": "spectral_ls"}, cameras(2), "got scale 2"),
        ({"method": "ms_ssfnets"}, None, "did you mean 'ms_ssfnet'"),
        ({"init": "xavier"}, None, r"one of gaussian_0\.001, he"),
        ({"num_bands": 0}, None, "num_bands: expected a positive integer"),
    ],
)
def test_impossible_models_are_refused(change: dict, own: ObservationModel | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FusionModel(replace(small_config("ms_ssfnet", "none"), **change), own)
