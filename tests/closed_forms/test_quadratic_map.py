"""Closed-form bases: least squares like LAPACK's, exact on what they model, true to both observations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from hsr_tf import io, methods
from hsr_tf.closed_forms.bicubic import Bicubic
from hsr_tf.closed_forms.consistency import DataConsistency, _conjugate_gradients
from hsr_tf.closed_forms.quadratic_map import SpectralLS, least_squares, quadratic_features
from hsr_tf.metrics.full_reference import psnr_bands
from hsr_tf.physics.noise import GaussianNoise
from hsr_tf.physics.observation import ObservationModel, standard_model
from hsr_tf.physics.psf import Psf, anisotropic_gaussian_psf, box_psf, gaussian_psf
from hsr_tf.physics.resize import BicubicResize
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse, load_srf

CAVE_NM = np.arange(400.0, 701.0, 10.0)
SCENES = ("balloons", "chart_and_stuffed_toy", "fake_and_real_food", "oil_painting")
FLOOR_DB = {8: 47.4, 16: 45.3, 32: 42.4}
PSFS = {
    "gaussian": gaussian_psf(4),
    "box": box_psf(4),
    "narrow": gaussian_psf(4, sigma=0.6),
    "separable, two widths": anisotropic_gaussian_psf(4, sigmas=(1.4, 2.2)),
    "turned": anisotropic_gaussian_psf(4, sigmas=(2.2, 1.0), angle_degrees=30.0),
    "asymmetric": Psf(np.outer([1.0, 4.0, 3.0, 2.0], [2.0, 5.0, 3.0, 1.0])),
    "other parity": gaussian_psf(4, support=9),
}


def response(num_bands: int, seed: int = 0) -> SpectralResponse:
    """Three overlapping smooth channels whose columns sum to one."""
    centres = np.array([0.2, 0.5, 0.8]) + np.random.default_rng(seed).uniform(-0.05, 0.05, 3)
    curves = np.exp(-(((np.linspace(0, 1, num_bands)[:, None] - centres) / 0.18) ** 2))
    return SpectralResponse(curves / curves.sum(0))


def smooth_image(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Random blocks and gradients in [0.05, 0.95]."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((shape[0], shape[1] // 4, shape[2] // 4, shape[3]))
    return (0.05 + 0.9 * coarse.repeat(4, 1).repeat(4, 2) * rng.uniform(0.9, 1, shape)).astype(np.float32)


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Relative error in the Euclidean norm."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@given(num_rows=st.integers(20, 200), num_columns=st.integers(1, 10), seed=st.integers(0, 999))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_least_squares_finds_the_coefficients_of_lapack(num_rows: int, num_columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((2, num_rows, num_columns)) * np.logspace(-2, 2, num_columns)
    targets = rng.standard_normal((2, num_rows, 3))
    found = np.asarray(least_squares(tf.constant(features), tf.constant(targets)))
    for i in range(2):
        expected = np.linalg.lstsq(features[i], targets[i], rcond=None)[0]
        np.testing.assert_allclose(found[i], expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("contrast", [0.3, 0.05, 0.01])
def test_ill_conditioned_features_in_float32_fit_as_well_as_in_float64(contrast: float) -> None:
    rng = np.random.default_rng(0)
    colours = tf.constant(0.5 + contrast * rng.standard_normal((1, 40, 40, 3)), tf.float32)
    features = np.reshape(quadratic_features(colours), (1, 1600, 10))
    # Condition numbers from 1e3 to 1e7: the last is beyond what float32 can resolve.
    targets = features @ rng.standard_normal((10, 5)) + 0.01 * rng.standard_normal((1, 1600, 5))
    weights = np.asarray(least_squares(tf.constant(features), tf.constant(targets, tf.float32)), float)
    best = np.linalg.lstsq(features[0].astype(float), targets[0], rcond=None)[0]
    left, least = (np.linalg.norm(features[0].astype(float) @ w - targets[0]) for w in (weights[0], best))
    assert left < 1.002 * least


@pytest.mark.parametrize("kind", ["copied", "sum", "grey", "zero", "constant", "black"])
def test_columns_that_say_nothing_new_do_no_harm(kind: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.random((1, 400, 4)).astype(np.float32)
    if kind == "copied":
        features = np.concatenate([x, x[..., :2]], -1)
    elif kind == "sum":
        features = np.concatenate([x, x[..., :1] + 0.3 * x[..., 1:2] - 2 * x[..., 2:3]], -1)
    elif kind == "zero":
        features = np.concatenate([x[..., :2], np.zeros((1, 400, 2), np.float32), x[..., 2:]], -1)
    else:
        base = {"grey": x[..., :1], "constant": 0.4 * np.ones_like(x[..., :1]), "black": 0 * x[..., :1]}[kind]
        image = np.repeat(base, 3, -1).reshape(1, 20, 20, 3)
        features = np.reshape(quadratic_features(tf.constant(image)), (1, 400, 10))
    targets = (0.4 + 0.5 * x + 0.05 * rng.standard_normal(x.shape)).astype(np.float32)
    weights = np.asarray(least_squares(tf.constant(features), tf.constant(targets)))
    expected = features[0] @ np.linalg.lstsq(features[0].astype(float), targets[0], rcond=1e-6)[0]
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(features[0] @ weights[0], expected, atol=2e-3)


def test_quadratic_features_are_one_every_channel_and_every_product() -> None:
    found = np.asarray(quadratic_features(tf.constant([[[[2.0, 3.0, 5.0]]]])))[0, 0, 0]
    assert sorted(found) == sorted([1, 2, 3, 5, 4, 6, 10, 9, 15, 25])
    assert quadratic_features(tf.zeros((1, 1, 1, 1))).shape[-1] == 3
    assert quadratic_features(tf.zeros((1, 1, 1, 4))).shape[-1] == 15


@pytest.mark.parametrize("consistent", [True, False])
def test_spectra_that_are_a_quadratic_function_of_colour_come_back(consistent: bool) -> None:
    srf, rng = response(12), np.random.default_rng(0)
    hr_msi = smooth_image((2, 48, 64, 3), 1)
    # Any such map whose channels are the colours themselves: the part along R is set, the rest is free.
    inverse = srf.pseudo_inverse()
    free = rng.standard_normal((2, 10, 12)) * 0.3
    colours = np.zeros((10, 3))
    colours[1:4] = np.eye(3)
    truth_map = colours @ inverse + free @ (np.eye(12) - srf.matrix @ inverse)
    features = np.reshape(quadratic_features(tf.constant(hr_msi)), (2, -1, 10))
    truth = (features @ truth_map).reshape(2, 48, 64, 12).astype(np.float32)
    model = ObservationModel(SpatialDegradation(gaussian_psf(4), 4), srf)
    lr_hsi, again = model.simulate(truth)
    np.testing.assert_allclose(again, hr_msi, atol=1e-5)
    assert relative(SpectralLS(model, consistent=consistent)(lr_hsi, hr_msi), truth) < 2e-5


@pytest.mark.parametrize("border", ["mirrored", "circular"])
@pytest.mark.parametrize("name", PSFS)
def test_the_projection_agrees_with_both_observations(name: str, border: str) -> None:
    srf = response(9)
    model = ObservationModel(SpatialDegradation(PSFS[name], 4, border=border), srf)
    truth, start = smooth_image((2, 32, 48, 9), 1), smooth_image((2, 32, 48, 9), 2)
    lr_hsi, hr_msi = model.simulate(truth)
    project = DataConsistency(model)
    once = project(start, lr_hsi, hr_msi)
    assert relative(model.spatial(once), lr_hsi) < 1e-5
    assert relative(model.spectral(once), hr_msi) < 1e-5
    assert relative(project(once, lr_hsi, hr_msi), once) < 1e-5
    assert relative(once, truth) < relative(start, truth)


def test_both_ways_of_inverting_are_met() -> None:
    paths = {name: SpatialDegradation(psf, 4).gram_taps() is None for name, psf in PSFS.items()}
    assert sum(paths.values()) == 3
    assert SpatialDegradation(PSFS["asymmetric"], 4, border="circular").gram_taps() is not None


def test_a_large_scene_is_inverted_some_bands_at_a_time_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = ObservationModel(SpatialDegradation(PSFS["turned"], 4), response(7))
    lr_hsi, _ = model.simulate(smooth_image((1, 16, 24, 7), 1))
    whole = DataConsistency(model).solve(lr_hsi)
    widths = []
    spread = model.spatial.adjoint
    monkeypatch.setattr(model.spatial, "adjoint", lambda y: widths.append(y.shape[-1]) or spread(y))
    monkeypatch.setattr("hsr_tf.closed_forms.consistency.FLOATS_AT_ONCE", 3 * 16 * 24)
    assert relative(DataConsistency(model).solve(lr_hsi), whole) < 1e-4
    assert set(widths) == {3, 1}


@pytest.mark.parametrize("name", ["gaussian", "turned"])
def test_the_projection_is_the_nearest_consistent_cube(name: str) -> None:
    model = ObservationModel(SpatialDegradation(PSFS[name], 4), response(5))
    truth, start = smooth_image((1, 16, 16, 5), 1), smooth_image((1, 16, 16, 5), 2)
    projected = np.asarray(DataConsistency(model)(start, *model.simulate(truth)), float)
    # The step is at right angles to every direction that both cameras miss; truth - projected is one of them.
    step, blind = projected - start, truth - projected
    assert abs((step * blind).sum()) < 1e-4 * np.linalg.norm(step) * np.linalg.norm(blind)


@pytest.mark.parametrize("name", ["gaussian", "turned"])
def test_training_through_the_projection_has_the_gradient_of_the_projection(name: str) -> None:
    model = ObservationModel(SpatialDegradation(PSFS[name], 4), response(5))
    truth = smooth_image((1, 16, 24, 5), 1)
    lr_hsi, hr_msi = model.simulate(truth)
    start, project = tf.Variable(smooth_image((1, 16, 24, 5), 2)), DataConsistency(model)
    gradients = []
    for apply in (project, project.project):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(apply(start, lr_hsi, hr_msi) - truth))
        gradients.append(np.asarray(tape.gradient(loss, start)))
    assert relative(gradients[1], gradients[0]) < 1e-4


def test_damping_leaves_noise_of_the_coarse_cube_unsharpened() -> None:
    model = ObservationModel(SpatialDegradation(gaussian_psf(4), 4), response(6))
    noise = np.random.default_rng(0).standard_normal((1, 8, 8, 6)).astype(np.float32)
    start = np.zeros((1, 32, 32, 6), np.float32)
    sharp, damped = (DataConsistency(model, damping=d).explain(start, noise) for d in (0.0, 0.1))
    assert np.linalg.norm(damped) < 0.9 * np.linalg.norm(sharp)


def test_a_batch_gives_what_its_images_give_alone() -> None:
    model = ObservationModel(SpatialDegradation(gaussian_psf(4), 4), response(7))
    lr_hsi, hr_msi = model.simulate(smooth_image((3, 32, 24, 7), 0))
    for name in ("bicubic", "spectral_ls"):
        method = methods.get(name).build(model)
        together = np.asarray(method(lr_hsi, hr_msi))
        singles = [np.asarray(method(lr_hsi[i : i + 1], hr_msi[i : i + 1])) for i in range(3)]
        np.testing.assert_allclose(together, np.concatenate(singles), atol=2e-5)


@pytest.mark.parametrize("name", [pytest.param("gaussian", marks=pytest.mark.slow), "turned"])
def test_it_runs_compiled_for_sizes_not_known_in_advance(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Three steps of conjugate gradients are compiled as twenty-four are, in a fifth of the time.
    monkeypatch.setitem(_conjugate_gradients.__kwdefaults__, "num_steps", 3)
    model = ObservationModel(SpatialDegradation(PSFS[name], 4), response(6))
    method = SpectralLS(model)
    unknown = [tf.TensorSpec((None, None, None, 6)), tf.TensorSpec((None, None, None, 3))]
    compiled = tf.function(method, input_signature=unknown, autograph=False)
    for shape in ((1, 16, 24, 6), (2, 32, 16, 6)):
        lr_hsi, hr_msi = model.simulate(smooth_image(shape, 3))
        np.testing.assert_allclose(compiled(lr_hsi, hr_msi), method(lr_hsi, hr_msi), atol=2e-5)


def test_bicubic_is_the_enlargement_of_the_coarse_cube() -> None:
    model = ObservationModel(SpatialDegradation(gaussian_psf(4), 4), response(6))
    lr_hsi, hr_msi = model.simulate(smooth_image((1, 16, 24, 6), 0))
    expected = BicubicResize((4, 6), 4.0)(lr_hsi)
    np.testing.assert_allclose(Bicubic(model)(lr_hsi, hr_msi), expected, atol=1e-6)


def test_one_map_serves_every_part_of_the_scene() -> None:
    model = ObservationModel(SpatialDegradation(box_psf(4), 4), response(6))
    lr_hsi, hr_msi = model.simulate(smooth_image((1, 32, 32, 6), 0))
    method = SpectralLS(model, consistent=False)
    spectral_map = method.fit(lr_hsi, hr_msi)
    whole = np.asarray(method.predict(spectral_map, hr_msi))
    part = np.asarray(method.predict(spectral_map, hr_msi[:, 8:24, 4:20]))
    np.testing.assert_allclose(part, whole[:, 8:24, 4:20], atol=1e-6)


def test_observations_are_believed_when_they_agree_and_not_when_they_are_noisy() -> None:
    spatial = SpatialDegradation(gaussian_psf(4), 4)
    clean = ObservationModel(spatial, response(6))
    noisy = ObservationModel(spatial, response(6), GaussianNoise(20.0), GaussianNoise(25.0))
    truth, method = smooth_image((1, 32, 48, 6), 0), SpectralLS(clean)
    believed = []
    for model in (clean, noisy):
        lr_hsi, hr_msi = model.simulate(truth)
        explained = method.explained(method.fit(lr_hsi, hr_msi), lr_hsi, hr_msi)
        believed.append(float(np.squeeze(explained.trust)))
    assert believed[0] > 0.99
    assert believed[1] < 0.9


def grey_scene(model: ObservationModel) -> np.ndarray:
    """A scene without colour: every spectrum is flat, so all channels are alike."""
    return np.repeat(smooth_image((1, 32, 32, 1), 5), model.spectral.matrix.shape[0], -1)


@pytest.mark.parametrize("value", [None, 0.0, 0.4])
def test_scenes_without_colour_or_light_are_reconstructed(value: float | None) -> None:
    model = ObservationModel(SpatialDegradation(gaussian_psf(4), 4), response(6))
    truth = grey_scene(model) if value is None else np.full((1, 32, 32, 6), value, np.float32)
    estimate = np.asarray(SpectralLS(model)(*model.simulate(truth)))
    np.testing.assert_allclose(estimate, truth, atol=1e-3)


def score(folder: Path, name: str, scale: int) -> float:
    scene = io.load(folder / "hsi" / "cave_test" / f"{name}.h5")
    model = standard_model(load_srf("nikon_d700", scene.wavelengths_nm), scale)
    estimate = tf.function(SpectralLS(model))(*model.simulate(scene.cube[None]))
    return float(np.squeeze(psnr_bands(scene.cube, np.clip(estimate[0], 0, 1))))


def test_balloons_gains_by_the_projection(shared_data: Path) -> None:
    assert score(shared_data, "balloons", 16) > 48.35  # what the plain map with its residual reaches


@pytest.mark.slow
@pytest.mark.parametrize("scale", FLOOR_DB)
def test_the_test_scenes_reach_the_floor(shared_data: Path, scale: int) -> None:
    assert np.mean([score(shared_data, name, scale) for name in SCENES]) >= FLOOR_DB[scale]
