"""The spectral map of a scene: noise, complexity and outliers are decided by the scene itself.

Pairs are simulated by SciPy, with borders, noise and responses of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.holes import discs, frame
from hsr_tf.closed_forms.coarse_pair import CoarsePair
from hsr_tf.closed_forms.map_fit import Complexity, FitRule, SharpStatistics, fit_map, signal_share
from hsr_tf.closed_forms.noise_level import channel_noise, feature_noise
from hsr_tf.closed_forms.quadratic_map import SpectralLS, quadratic_features
from hsr_tf.closed_forms.spectral_ls import SceneMap, fit_scene, fuse_scene
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.tiling.region import Region
from hsr_tf.tiling.stages import run_stages

SCALE, NUM_BANDS = 4, 24
Hole = Callable[[int, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True, eq=False)
class Simulated:
    """A scene, its two images, and the cameras."""

    truth: np.ndarray
    lr_hsi: np.ndarray
    hr_msi: np.ndarray
    model: ObservationModel

    def psnr(self, estimate: np.ndarray, part: tuple[slice, slice] = (slice(None), slice(None))) -> float:
        """Of the cube in dB, for a peak of 1."""
        return float(-10 * np.log10(np.mean(np.square(estimate[part] - self.truth[part]))))


def simulated(
    num_channels: int,
    *,
    snr_db: tuple[float | None, float | None] = (None, None),
    border: str = "reflect",
    curved: bool = False,
    num_spectra: int = 5,
    side: int = 96,
) -> Simulated:
    """Mixtures of smooth spectra under shading; Gaussian channels that overlap; a Gaussian PSF."""
    rng = np.random.default_rng(num_channels)
    place = np.linspace(0, 1, NUM_BANDS)
    centres = np.linspace(0.1, 0.9, num_spectra)
    spectra = np.exp(-np.square((place - centres[:, None]) / 0.25)) * rng.uniform(0.5, 1, (num_spectra, 1))
    fields = ndimage.gaussian_filter(rng.standard_normal((side, side + 16, num_spectra)), (2, 2, 0))
    abundances = np.exp(6 * fields / fields.std())
    abundances /= abundances.sum(-1, keepdims=True)
    shading = 0.6 + 0.4 * np.sin(np.arange(side) / 9)[:, None, None]
    truth = abundances @ spectra * shading * 0.8
    if curved:
        truth = truth + 0.6 * truth[..., ::-1] * truth
    wide = np.exp(-np.square((place[:, None] - np.linspace(0.1, 0.9, num_channels)) / 0.2))
    response = wide / wide.sum(0)
    kernel = np.exp(-np.square(np.arange(2 * SCALE) - SCALE + 0.5) / (2 * (SCALE / 2.355) ** 2))
    psf = np.outer(kernel, kernel) / kernel.sum() ** 2
    blurred = ndimage.correlate(truth, psf[..., None], mode=border, origin=(-1, -1, 0))
    start = SCALE // 2 - 1  # the even kernel's centre lies half a pixel after this one
    lr_hsi, hr_msi = blurred[start::SCALE, start::SCALE], truth @ response
    images = []
    for image, snr in ((lr_hsi, snr_db[0]), (hr_msi, snr_db[1])):
        sigma = 0.0 if snr is None else np.sqrt(np.square(image).mean((0, 1))) * 10 ** (-snr / 20)
        images.append((image + sigma * rng.standard_normal(image.shape)).astype("f4"))
    model = ObservationModel(SpatialDegradation(Psf(psf), SCALE), SpectralResponse(response))
    return Simulated(truth.astype("f4"), images[0], images[1], model)


def test_the_simulation_of_scipy_is_that_of_the_operators() -> None:
    pair = simulated(3)
    np.testing.assert_allclose(
        np.asarray(pair.model.spatial.forward(pair.truth[None]))[0], pair.lr_hsi, atol=1e-5
    )


@pytest.mark.parametrize(("num_channels", "gain_db"), [(4, 0.3), (8, 4)])
def test_nearly_collinear_channels_do_not_amplify_noise(num_channels: int, gain_db: float) -> None:
    pair = simulated(num_channels, snr_db=(30, 40))
    found = fuse_scene(pair.model, pair.lr_hsi, pair.hr_msi)
    plain = np.asarray(SpectralLS(pair.model)(pair.lr_hsi[None], pair.hr_msi[None]))[0]
    assert pair.psnr(found.estimate) > pair.psnr(plain) + gain_db
    assert pair.psnr(found.estimate) > 43


def test_more_channels_do_not_make_it_worse() -> None:
    few, many = (simulated(number, snr_db=(30, 40)) for number in (4, 8))
    estimates = [fuse_scene(p.model, p.lr_hsi, p.hr_msi).estimate for p in (few, many)]
    assert many.psnr(estimates[1]) > few.psnr(estimates[0]) - 0.5


def test_the_map_is_as_complex_as_the_scene() -> None:
    snr_db = (35, 45)
    linear, curved = simulated(4, snr_db=snr_db, num_spectra=3), simulated(3, snr_db=snr_db, curved=True)
    penalties = [fit_scene(p.model, p.lr_hsi, p.hr_msi).penalty for p in (linear, curved)]
    assert penalties[0] >= 1 > penalties[1]


@pytest.mark.parametrize("side", [96, 48])
def test_a_wrong_border_spoils_the_border_alone(side: int) -> None:
    right, wrong = (
        simulated(4, snr_db=(35, 40), border=border, side=side) for border in ("reflect", "constant")
    )
    estimates = [fuse_scene(p.model, p.lr_hsi, p.hr_msi) for p in (right, wrong)]
    inner = slice(8, -8), slice(8, -8)
    assert wrong.psnr(estimates[1].estimate, inner) > right.psnr(estimates[0].estimate, inner) - 0.3
    assert wrong.psnr(estimates[1].estimate) > right.psnr(estimates[0].estimate) - 1.5
    assert estimates[1].fit.usable[0].min() < 0.2
    assert estimates[1].fit.usable[3:-3, 3:-3].min() == 1
    assert estimates[0].fit.usable.min() == 1


@pytest.mark.parametrize("num_channels", [3, 8])
def test_a_psf_of_another_width_spoils_no_differences(num_channels: int) -> None:
    """Differences between neighbours are then not what the map is fitted to; a shift leaves them alone."""
    pair = simulated(num_channels, side=144)
    wider = ndimage.gaussian_filter(pair.lr_hsi, (0.5, 0.5, 0), mode="reflect")
    moved = ndimage.shift(pair.hr_msi, (0.3, 0.2, 0), order=3, mode="nearest")
    blurred = fuse_scene(pair.model, wider, pair.hr_msi)
    shifted = fit_scene(pair.model, pair.lr_hsi, moved)
    assert blurred.fit.trust < 0.01 and shifted.trust < 0.01
    assert blurred.fit.mixture is not None and np.isinf(blurred.fit.mixture[:, 0]).all()
    assert shifted.mixture is not None and not np.isinf(shifted.mixture[:, 0]).all()


def test_few_pixels_do_not_tell_a_wrong_width() -> None:
    pair = simulated(3, side=32)
    wider = ndimage.gaussian_filter(pair.lr_hsi, (0.5, 0.5, 0), mode="reflect")
    found = fit_scene(pair.model, wider, pair.hr_msi)
    assert found.trust < 0.01
    assert found.mixture is not None and not np.isinf(found.mixture[:, 0]).all()


def test_changed_ground_keeps_to_the_coarse_cube_and_harms_nothing_else() -> None:
    pair = simulated(3)
    changed = pair.hr_msi.copy()
    changed[20:44, 40:64] = changed[60:84, 4:28]
    found = fuse_scene(pair.model, pair.lr_hsi, changed)
    whole = fuse_scene(pair.model, pair.lr_hsi, pair.hr_msi)
    assert found.fit.weights[6:10, 11:15].max() < 0.5
    below = slice(60, None), slice(None)
    assert pair.psnr(found.estimate, below) > pair.psnr(whole.estimate, below) - 1
    coarse = np.asarray(pair.model.spatial.forward(found.estimate[None]))[0]
    gap = np.abs(coarse - pair.lr_hsi)[6:10, 11:15].mean()
    raw = np.asarray(pair.model.spatial.forward(changed[None]))[0] - pair.lr_hsi @ pair.model.spectral.matrix
    assert gap < 0.3 * np.abs(raw)[6:10, 11:15].mean()


def test_changed_ground_keeps_to_the_coarse_cube_under_noise_too() -> None:
    pair = simulated(3, snr_db=(30, 40))
    pair.hr_msi[20:44, 40:64] = pair.hr_msi[60:84, 4:28]
    found = fuse_scene(pair.model, pair.lr_hsi, pair.hr_msi)
    place = slice(6, 10), slice(11, 15)
    assert found.fit.weights[place].max() < 0.5
    assert found.fit.shares.mean() < 0.9
    assert found.fit.shares is not None
    assert signal_share(found.fit.weights[..., None], found.fit.shares[:2])[place].min() > 0.5
    coarse = np.asarray(pair.model.spatial.forward(found.estimate[None]))[0]
    colours = np.asarray(pair.model.spatial.forward(pair.hr_msi[None]))[0]
    raw = colours - pair.lr_hsi @ pair.model.spectral.matrix
    assert np.abs(coarse - pair.lr_hsi)[place].mean() < 0.4 * np.abs(raw)[place].mean()


def test_of_a_wrong_edge_is_kept_what_is_no_worse_than_usual() -> None:
    pair = simulated(4, border="wrap", curved=True, side=48)
    fit = fit_scene(pair.model, pair.lr_hsi, pair.hr_msi)
    wrong = fit.usable < 1
    assert wrong.any()
    assert not wrong[3:-3, 3:-3].any()
    features = np.asarray(quadratic_features(pair.hr_msi[None]))
    blurred = np.asarray(pair.model.spatial.forward(features))[0]
    energy = np.square(pair.lr_hsi - blurred @ fit.spectral_map).sum(-1)
    usual = (fit.weights * energy).sum() / fit.weights.sum()
    np.testing.assert_allclose(fit.usable[wrong], np.minimum(1, usual / energy[wrong]), rtol=0.02)


def test_without_noise_the_images_are_believed_and_every_pixel_counts() -> None:
    fit = fit_scene(*(lambda p: (p.model, p.lr_hsi, p.hr_msi))(simulated(3)))
    assert fit.trust > 0.99
    assert fit.weights.min() == 1
    assert fit.usable.min() == 1


def test_rows_at_a_time_give_the_map_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = simulated(3, snr_db=(30, 40))
    whole = fit_scene(pair.model, pair.lr_hsi, pair.hr_msi)
    monkeypatch.setattr("hsr_tf.closed_forms.coarse_pair.FLOATS_AT_ONCE", 3 * 28 * 34)
    parts = fit_scene(pair.model, pair.lr_hsi, pair.hr_msi)
    assert parts.penalty == whole.penalty
    np.testing.assert_allclose(parts.spectral_map, whole.spectral_map, atol=1e-4)
    assert parts.trust == pytest.approx(whole.trust, abs=1e-6)


def test_pixels_that_do_not_count_do_not_matter() -> None:
    pair = simulated(3)
    counted = np.ones(pair.lr_hsi.shape[:2], bool)
    counted[3:6, 8:11] = False
    broken = np.where(counted[..., None], pair.lr_hsi, 7.0).astype("f4")
    clean, holed = (
        fit_scene(pair.model, lr_hsi, pair.hr_msi, counted=counted) for lr_hsi in (pair.lr_hsi, broken)
    )
    np.testing.assert_allclose(clean.spectral_map, holed.spectral_map, atol=1e-6)
    assert clean.trust == holed.trust


def test_sharp_pixels_that_do_not_count_do_not_matter() -> None:
    pair = simulated(8, snr_db=(30, 40))
    counted = np.ones(pair.lr_hsi.shape[:2], bool)
    counted[:, :18] = False
    filled = pair.hr_msi.copy()
    filled[:, : 17 * SCALE] = filled[:, 17 * SCALE, None]
    fits = [fit_scene(pair.model, pair.lr_hsi, hr_msi, counted=counted) for hr_msi in (pair.hr_msi, filled)]
    np.testing.assert_allclose(fits[0].spectral_map, fits[1].spectral_map, atol=1e-4)


def test_one_pixel_is_enough() -> None:
    model = simulated(3).model
    pixel = np.full((1, 1, NUM_BANDS), 0.5, "f4")
    found = fit_scene(model, pixel, np.full((SCALE, SCALE, 3), 0.5, "f4"))
    assert np.isfinite(found.spectral_map).all()


@pytest.mark.parametrize("value", [0.0, 0.003])
def test_flat_images_are_fused(value: float) -> None:
    model = simulated(3).model
    lr_hsi = np.full((12, 10, NUM_BANDS), value, "f4")
    hr_msi = np.full((12 * SCALE, 10 * SCALE, 3), value, "f4")
    np.testing.assert_allclose(fuse_scene(model, lr_hsi, hr_msi).estimate, value, atol=1e-5)


@pytest.mark.parametrize("num_channels", [1, 3, 5])
def test_noise_of_channels_is_found_below_texture(num_channels: int) -> None:
    rng = np.random.default_rng(num_channels)
    smooth = ndimage.gaussian_filter(rng.random((160, 140, num_channels)), (6, 6, 0))
    noisy = (smooth + 0.01 * rng.standard_normal(smooth.shape)).astype("f4")
    windows = [noisy[:64, :70], noisy[64:128, 20:90], noisy[:2]]
    np.testing.assert_allclose(channel_noise(windows), 0.01, rtol=0.1)


def test_noise_of_products_is_that_of_a_simulation() -> None:
    rng = np.random.default_rng(0)
    clean = rng.random((4000, 3)) + np.array([0.2, 0.0, 0.5])
    sigma = np.array([0.1, 0.05, 0.2])
    i, j = np.triu_indices(3)

    def features(y: np.ndarray) -> np.ndarray:
        return np.concatenate([np.ones_like(y[:, :1]), y, y[:, i] * y[:, j]], -1)

    draws = [features(clean + sigma * rng.standard_normal(clean.shape)) for _ in range(200)]
    mean = np.mean(draws, 0)
    expected = np.mean([(d - mean).T @ (d - mean) / len(d) for d in draws], 0) * 200 / 199
    moments = np.mean([d.T @ d / len(d) for d in draws], 0)
    np.testing.assert_allclose(feature_noise(moments, sigma**2), expected, atol=0.02 * np.abs(expected).max())


def test_a_map_is_linear_where_pixels_are_few_and_noisy() -> None:
    rng = np.random.default_rng(1)
    pair = simulated(8, snr_db=(15, 40), side=48)
    features = rng.random((12, 16, 45)).astype("f4")
    features[..., 0] = 1
    statistics = SharpStatistics(np.eye(45), np.zeros(8))
    lr_hsi = rng.random((12, 16, NUM_BANDS)).astype("f4")
    fit = fit_map(CoarsePair((12, 16), lambda rows: (features[rows], lr_hsi[rows])), statistics, pair.model)
    assert fit.penalty >= 1


def test_a_map_of_the_differences_of_pixels_keeps_detail_that_levels_mislead() -> None:
    """Materials differ by a smooth field that no channel sees; within each, detail is shading alone."""
    rng = np.random.default_rng(3)
    pair = simulated(3)
    smooth = ndimage.gaussian_filter(rng.standard_normal((96, 112)), 16)[..., None]
    unseen = np.linalg.svd(pair.model.spectral.matrix.T)[2][3:6].sum(0)
    truth = (pair.truth + 0.3 * smooth / smooth.std() * unseen * pair.truth.mean()).astype("f4")
    lr_hsi = np.asarray(pair.model.spatial.forward(truth[None]))[0]
    hr_msi = (truth @ pair.model.spectral.matrix).astype("f4")
    errors = []
    for levels in (np.inf, 0.01):
        rule = FitRule((Complexity(levels, 0.3),))
        scene = SceneMap(ArrayPair((lr_hsi, hr_msi), pair.model))
        scene.rule = rule  # type: ignore[misc]
        run_stages([scene.survey()])
        estimate = scene.part(Region.whole(lr_hsi.shape[:2])).estimate
        errors.append(float(np.square(estimate - truth).mean()))
    chosen = fuse_scene(pair.model, lr_hsi, hr_msi).estimate
    assert errors[1] < 0.9 * errors[0]
    assert np.square(chosen - truth).mean() < errors[0]


def test_a_fit_that_repeats_the_choices_of_another_gives_its_map() -> None:
    pair = simulated(4, snr_db=(30, 40))
    scene = SceneMap(ArrayPair((pair.lr_hsi, pair.hr_msi), pair.model))
    run_stages([scene.survey()])
    first = scene.found()
    assert first.mixture is not None
    assert first.mixture[:, 2].sum() == pytest.approx(1)
    scene.rule = scene.rule.repeating(first.mixture)  # type: ignore[misc]
    run_stages([scene.survey()])
    np.testing.assert_allclose(scene.found().spectral_map, first.spectral_map, atol=1e-5)
    assert scene.found().penalty == first.penalty


@pytest.mark.parametrize("kind", [discs, frame])
def test_missing_pixels_change_the_estimate_elsewhere_little(kind: Hole) -> None:
    pair = simulated(3, side=128)
    hole = kind(32, 0.3, np.random.default_rng(0))[:, :36]
    hole = np.pad(hole, ((0, 0), (0, 36 - hole.shape[1])))
    kept = np.kron(~ndimage.binary_dilation(hole), np.ones((SCALE, SCALE), bool))
    whole, holed = (
        fuse_scene(pair.model, pair.lr_hsi, pair.hr_msi, counted=counted) for counted in (None, ~hole)
    )
    errors = [np.square(one.estimate - pair.truth)[kept].mean() for one in (whole, holed)]
    assert errors[1] < 1.1 * errors[0]
