"""The mean over the turns of a scene: equivariant, exact for one turn, the same in windows."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.solvers.parts import turned
from hsr_tf.solvers.parts.turned import ALL_TURNS, NO_TURN, OfScene, turned_estimate
from tests.solvers.scenes import cameras, mixture, pair

SCALE, BANDS = 4, 5


@pytest.fixture(scope="module")
def network() -> FusionModel:
    options = (("features", 8), ("num_levels", 1))
    model = FusionModel(
        FusionConfig("ms_ssfnet", SCALE, BANDS, base="spectral_ls", options=options), cameras(BANDS)
    )
    rng = np.random.default_rng(0)
    for weight in model.network.trainable_weights:
        weight.assign(weight.numpy() + 0.02 * rng.standard_normal(weight.shape))
    return model


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    return pair(mixture(32, 44, BANDS), cameras(BANDS))


def test_every_turn_is_undone() -> None:
    image = np.arange(24.0).reshape(3, 4, 2)
    seen = {turn.apply(image).tobytes() + bytes(turn.apply(image).shape) for turn in ALL_TURNS}
    assert len(seen) == 8
    for turn in ALL_TURNS:
        np.testing.assert_array_equal(turn.undo(turn.apply(image)), image)


def test_without_turns_it_is_the_model_itself(network: FusionModel, images: tuple) -> None:
    lr_hsi, hr_msi = images
    own = network.predict_on_batch({"lr_hsi": lr_hsi[None], "hr_msi": hr_msi[None]})[0]
    found = turned_estimate(network, lr_hsi, hr_msi, turns=NO_TURN)
    np.testing.assert_allclose(found, own, atol=1e-5)


def test_a_network_that_fits_any_cameras_is_turned_as_it_sees_the_pair() -> None:
    own = cameras(BANDS, scale=3)
    options = (("features", 8), ("members", 1))
    model = FusionModel(FusionConfig("prior", 3, BANDS, base="spectral_ls", options=options), own)
    rng = np.random.default_rng(0)
    for weight in model.network.trainable_weights:
        weight.assign(weight.numpy() + 0.02 * rng.standard_normal(weight.shape))
    lr_hsi, hr_msi = pair(mixture(33, 42, BANDS), own)
    whole = model.predict_on_batch({"lr_hsi": lr_hsi[None], "hr_msi": hr_msi[None]})[0]
    once = turned_estimate(model, lr_hsi, hr_msi, turns=NO_TURN)
    np.testing.assert_allclose(once, whole, atol=5e-5)
    assert np.abs(turned_estimate(model, lr_hsi, hr_msi) - whole).max() > 1e-3


def test_a_turned_scene_has_the_turned_estimate(network: FusionModel, images: tuple) -> None:
    spectral_map = network.fit(images[0][None], images[1][None])
    still = turned_estimate(network, *images, scene=OfScene(spectral_map))
    for turn in (ALL_TURNS[1], ALL_TURNS[6]):
        other = turned_estimate(network, *map(turn.apply, images), scene=OfScene(spectral_map))
        np.testing.assert_allclose(turn.undo(other), still, atol=2e-5)
    once = turned_estimate(
        network, *map(ALL_TURNS[1].apply, images), scene=OfScene(spectral_map), turns=NO_TURN
    )
    assert np.abs(ALL_TURNS[1].undo(once) - still).max() > 1e-3


def test_windows_give_the_whole(network: FusionModel, images: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    spectral_map = network.fit(images[0][None], images[1][None])
    whole = turned_estimate(network, *images, scene=OfScene(spectral_map), turns=NO_TURN)
    monkeypatch.setattr(turned, "SIDE", 24)
    parts = turned_estimate(network, *images, scene=OfScene(spectral_map), turns=NO_TURN)
    assert np.abs(parts - whole).mean() < 0.1 * np.abs(whole - images[1].mean()).mean()
    assert parts.dtype == np.float32


def test_without_time_for_all_turns_it_is_the_mean_of_those_done(network: FusionModel, images: tuple) -> None:
    once = turned_estimate(network, *images, turns=NO_TURN)
    hurried = turned_estimate(network, *images, max_seconds=1e-6)
    np.testing.assert_allclose(hurried, once, atol=1e-6)
    calm = turned_estimate(network, *images, max_seconds=600.0)
    np.testing.assert_array_equal(calm, turned_estimate(network, *images))


def test_it_adds_to_another_estimate_what_it_adds_to_the_map_where_that_leaves_nothing(
    network: FusionModel, images: tuple[np.ndarray, np.ndarray]
) -> None:
    start = network.start(images[0][None], images[1][None])
    base = np.asarray(start.base)[0]
    silent = [np.array(image) for image in network.given(start).values()]
    silent[0][..., images[0].shape[-1] :] = 0  # the residual that the map left
    given = dict(zip(network.given(start), silent, strict=True))
    expected = base + np.asarray(network.network.predict_on_batch(given)["estimate"])[0]
    found = turned_estimate(network, *images, scene=OfScene(base=base), turns=NO_TURN)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    other = turned_estimate(network, *images, scene=OfScene(base=0.5 * base), turns=NO_TURN)
    assert np.abs(other - found).max() > 0.01
