"""The indices agree with hand-worked numbers and hypercomplex arithmetic; the QNR family is invariant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage, stats

from hsr_tf.fusion import api as fusion
from hsr_tf.io import load
from hsr_tf.metrics.full_reference import psnr_cube
from hsr_tf.metrics.no_reference import NoReference, no_reference
from hsr_tf.metrics.q_index import band_pairs_index, blocks, q2n, same_band_index
from hsr_tf.physics.cameras import choose_cameras
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import identity_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.scene import Observation, Scene


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of two hypercomplex numbers of 2^n parts, by halves: (p, q)(r, s) = (p r - s* q, s p + q r*)."""
    if len(a) == 1:
        return a * b
    (p, q), (r, s) = np.split(a, 2), np.split(b, 2)
    halves = (product(p, r) - product(conjugate(s), q), product(s, p) + product(q, conjugate(r)))
    return np.concatenate(halves)


def conjugate(a: np.ndarray) -> np.ndarray:
    return np.concatenate([a[:1], -a[1:]])


@pytest.fixture(scope="module")
def truth() -> Scene:
    """A smooth cube of 96 x 64 x 6 in [0, 1], nothing symmetric about it."""
    rng = np.random.default_rng(5)
    cube = ndimage.gaussian_filter(rng.random((96, 64, 6)), (2, 3, 1))
    return Scene((cube - cube.min()) / np.ptp(cube), np.linspace(420, 680, 6), "smooth")


@pytest.fixture(scope="module")
def observation(truth: Scene) -> Observation:
    return fusion.simulate(truth, scale=4)


def model_of(observation: Observation) -> ObservationModel:
    return choose_cameras(observation, psf=None, srf=None, srf_needed=True).model


def figures(observation: Observation, cube: np.ndarray) -> NoReference:
    return no_reference(observation, Scene(cube), model_of(observation))


def test_q_is_the_number_worked_by_hand() -> None:
    x, y = np.array([[1.0], [3.0]]), np.array([[2.0], [6.0]])
    # means 2 and 4, variances 1 and 4, covariance 2: (4 / 5) (16 / 20)
    assert same_band_index(x, y)[0] == pytest.approx(0.64)
    assert band_pairs_index(x, y)[0, 0] == pytest.approx(0.64)
    assert q2n(x, y) == pytest.approx(0.64)


def test_q_of_constants_compares_their_means() -> None:
    flat = np.full((9, 1), 0.1, np.float32).astype(float)
    assert same_band_index(flat, flat)[0] == pytest.approx(1.0)
    assert same_band_index(flat, 3 * flat)[0] == pytest.approx(0.6)
    assert same_band_index(0 * flat, 0 * flat)[0] == 1.0
    assert same_band_index(flat, np.arange(9.0)[:, None])[0] == pytest.approx(0.0, abs=1e-12)


def test_q2n_of_two_bands_is_that_of_complex_numbers() -> None:
    x, y = np.random.default_rng(0).normal(1.0, 1.0, (2, 50, 2))
    a, b = x @ [1, 1j], y @ [1, 1j]
    covariance = abs(np.mean(a * b.conj()) - a.mean() * b.mean().conj())
    means = 2 * abs(a.mean() * b.mean()) / (abs(a.mean()) ** 2 + abs(b.mean()) ** 2)
    assert q2n(x, y) == pytest.approx(2 * covariance / (a.var() + b.var()) * means)


@pytest.mark.parametrize("num_bands", [3, 4, 8, 13])
def test_q2n_is_that_of_hypercomplex_numbers(num_bands: int) -> None:
    x, y = np.random.default_rng(num_bands).normal(0.5, 1.0, (2, 20, num_bands))
    size = 1 << (num_bands - 1).bit_length()
    a, b = (np.pad(z, [(0, 0), (0, size - num_bands)]) for z in (x, y))
    mean_a, mean_b = a.mean(0), b.mean(0)
    products = np.mean([product(u, conjugate(v)) for u, v in zip(a, b, strict=True)], 0)
    covariance = np.linalg.norm(products - product(mean_a, conjugate(mean_b)))
    powers = (mean_a @ mean_a, mean_b @ mean_b)
    expected = 2 * covariance / (a.var(0).sum() + b.var(0).sum())
    expected *= 2 * np.sqrt(powers[0] * powers[1]) / sum(powers)
    assert q2n(x, y) == pytest.approx(expected)
    assert q2n(x, x) == pytest.approx(1.0)


@pytest.mark.parametrize(("size", "scale", "side"), [((17, 8), 4, 8), ((5, 30), 3, 8), ((16, 16), 2, 4)])
def test_blocks_cover_every_pixel_on_both_grids(size: tuple[int, int], scale: int, side: int) -> None:
    coarse, sharp = np.zeros(size), np.zeros((scale * size[0], scale * size[1]))
    for block in blocks(size, side):
        coarse[block.slices] += 1
        sharp[block.scaled(scale).slices] += 1
    assert coarse.min() == 1
    np.testing.assert_array_equal(sharp, np.kron(coarse, np.ones((scale, scale))))
    if all(n % side == 0 for n in size):
        assert coarse.max() == 1


def test_the_truth_explains_both_images(truth: Scene, observation: Observation) -> None:
    found = figures(observation, truth.cube)
    assert found.consistency.lr_hsi_residual < 1e-6
    assert found.consistency.hr_msi_residual is not None
    assert found.consistency.hr_msi_residual < 1e-6
    assert found.consistency.sam_degrees < 1e-3
    assert found.qnr.d_lambda_khan < 1e-9
    assert min(found.consistency.lr_hsi_psnr) > 100


def test_all_distortions_are_zero_where_nothing_was_degraded(truth: Scene, observation: Observation) -> None:
    sharp = ObservationModel(SpatialDegradation(identity_psf(), 1), model_of(observation).spectral)
    same = Observation(truth, Scene(truth.cube @ sharp.spectral.matrix), 1)
    found = no_reference(same, truth, sharp).qnr
    assert (found.d_lambda, found.d_lambda_khan, found.d_s) == pytest.approx((0, 0, 0), abs=1e-6)
    assert (found.qnr, found.hqnr) == pytest.approx((1, 1), abs=1e-6)


def test_figures_grow_with_noise_and_blur(truth: Scene, observation: Observation) -> None:
    noise = np.random.default_rng(1).normal(size=truth.shape).astype(np.float32)
    blurs = [ndimage.gaussian_filter(truth.cube, (sigma, sigma, 0)) for sigma in (0.0, 1.0, 2.0, 4.0)]
    for worse in ([truth.cube + level * noise for level in (0.0, 0.02, 0.06, 0.2)], blurs):
        found = [figures(observation, cube) for cube in worse]
        for name in ("lr_hsi_residual", "hr_msi_residual", "sam_degrees"):
            assert np.all(np.diff([getattr(f.consistency, name) for f in found]) > 0), name
        assert np.all(np.diff([f.qnr.d_lambda_khan for f in found]) > 0)
        assert np.all(np.diff([f.qnr.d_s for f in found]) > 0)
        assert np.all(np.diff([f.qnr.hqnr for f in found]) < 0)


def test_figures_do_not_depend_on_the_unit(truth: Scene, observation: Observation) -> None:
    guess = ndimage.gaussian_filter(truth.cube, (1, 1, 0))
    told = figures(observation, guess)
    scaled = Observation(
        replace(observation.lr_hsi, cube=1000 * observation.lr_hsi.cube),
        replace(observation.hr_msi, cube=1000 * observation.hr_msi.cube),
        4,
    )
    found = no_reference(scaled, Scene(1000 * guess), model_of(observation), data_range=1000.0)
    assert found.qnr.d_s == pytest.approx(told.qnr.d_s, rel=1e-4)
    assert found.qnr.d_lambda == pytest.approx(told.qnr.d_lambda, rel=1e-4)
    assert found.consistency.lr_hsi_residual == pytest.approx(told.consistency.lr_hsi_residual, rel=1e-4)
    np.testing.assert_allclose(found.consistency.hr_msi_psnr, told.consistency.hr_msi_psnr, rtol=1e-4)


def test_psnr_of_the_blurred_estimate_is_worked_by_hand(truth: Scene, observation: Observation) -> None:
    moved = truth.cube + np.float32(0.1) * (np.arange(6) == 2)
    found = figures(observation, moved).consistency
    assert found.lr_hsi_psnr[2] == pytest.approx(20.0, abs=1e-3)
    assert min(found.lr_hsi_psnr[:2] + found.lr_hsi_psnr[3:]) > 100


def test_pixels_without_data_do_not_count(truth: Scene, observation: Observation) -> None:
    cube, mask = truth.cube.copy(), np.zeros((96, 64), bool)
    cube[8:11, 40:44], mask[8:11, 40:44] = np.nan, True
    found = no_reference(observation, Scene(cube, nodata_mask=mask), model_of(observation))
    assert found.consistency.lr_hsi_residual < 1e-3
    assert found.consistency.hr_msi_residual is not None
    assert found.consistency.hr_msi_residual < 1e-6
    assert np.isfinite(found.qnr.hqnr)


def test_without_a_response_what_depends_on_it_is_unknown(truth: Scene, observation: Observation) -> None:
    found = no_reference(observation, truth, model_of(observation), srf_known=False)
    assert found.consistency.hr_msi_residual is None
    assert found.as_dict()["hr_msi_psnr"] is None


def test_what_does_not_fit_is_refused(truth: Scene, observation: Observation) -> None:
    with pytest.raises(ValueError, match="estimate: expected 96x64x6, the pixels of hr_msi"):
        figures(observation, truth.cube[:, :-4])
    with pytest.raises(ValueError, match="block_side: expected at least 2"):
        no_reference(observation, truth, model_of(observation), block_side=1)
    other = ObservationModel(SpatialDegradation(identity_psf(2), 2), model_of(observation).spectral)
    with pytest.raises(ValueError, match="cameras of scale 4, 6 bands and 3 channels"):
        no_reference(observation, truth, other)


def test_figures_rank_estimates_of_a_training_scene(shared_data: Path) -> None:
    whole = load(shared_data / "hsi" / "cave_train" / "flowers.h5")
    truth = Scene(whole.cube[192:288, 192:272], whole.wavelengths_nm, whole.name)
    seen = fusion.simulate(truth, scale=8)
    cubes = [fusion.fuse(seen, name).estimate.cube for name in ("bicubic", "spectral_ls")]
    mixed = [share * cubes[0] + (1 - share) * cubes[1] for share in (1.0, 0.6, 0.3, 0.1, 0.0)]
    quality = [float(psnr_cube(truth.cube, cube)) for cube in mixed]
    found = [figures(seen, cube) for cube in mixed]
    neighbours_swapped = 0.89  # two of five that are 0.3 dB apart
    assert stats.spearmanr(quality, [f.qnr.hqnr for f in found]).statistic > neighbours_swapped
    residuals = [f.consistency.lr_hsi_residual for f in found]
    assert stats.spearmanr(quality, residuals).statistic < -neighbours_swapped
