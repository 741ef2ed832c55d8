"""Figures of calibration are right for errors of known law; maps of sigma are made as they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, special

from hsr_tf.fusion import api as fusion
from hsr_tf.fusion.error_maps import (
    FACTOR,
    KERNELS,
    LateIterates,
    Members,
    Moments,
    Spread,
    UncertainFusion,
    UncertainSolution,
    sigma_map,
)
from hsr_tf.metrics.calibration import (
    ONE_SIGMA,
    calibration,
    calibration_error,
    calibration_factor,
    coverage,
    spearman,
)
from hsr_tf.scene import Observation, Scene
from hsr_tf.solvers.solver import Step


@pytest.fixture
def gaussian() -> tuple[np.ndarray, np.ndarray]:
    """Errors |e| of 200 x 150 x 3 that are Gaussian, and their true sigma, which varies by a factor of 20."""
    rng = np.random.default_rng(3)
    sigma = np.exp(rng.uniform(0, 3, (200, 150, 3)))
    return np.abs(rng.normal(0, sigma)), sigma


def step(iteration: int, most: int, cube: np.ndarray) -> Step:
    return Step("any", iteration, most, 0.0, None, lambda: cube.astype(np.float32))


def test_coverage_counts_by_hand() -> None:
    assert coverage([1.0, 2.0, 3.0, 0.0], [1.0, 1.0, 2.0, 0.0], 1.0) == 0.5
    assert coverage([1.0, 2.0, 3.0, 0.0], [1.0, 1.0, 2.0, 0.0], 2.0) == 1.0


def test_gaussian_errors_are_calibrated(gaussian: tuple[np.ndarray, np.ndarray]) -> None:
    found = calibration(*gaussian)
    assert found.coverage_1 == pytest.approx(special.erf(1 / np.sqrt(2)), abs=0.005)
    assert found.coverage_2 == pytest.approx(special.erf(2 / np.sqrt(2)), abs=0.005)
    assert found.calibration_error < 0.005
    assert 0.5 < found.rank_samples < 0.9


def test_a_sigma_that_says_too_little_or_too_much_is_found_out(
    gaussian: tuple[np.ndarray, np.ndarray],
) -> None:
    error, sigma = gaussian
    right = calibration_error(error, sigma)
    assert calibration_error(error, 2 * sigma) > 10 * right
    assert calibration_error(error, sigma / 2) > 10 * right
    assert calibration_error(error, np.zeros_like(sigma)) == pytest.approx(0.5)


@given(factor=st.floats(0.01, 100), seed=st.integers(0, 1000))
def test_the_factor_makes_the_coverage_right_whatever_the_unit(factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    error, spread = rng.exponential(size=(2, 500)) + 1e-6
    found = calibration_factor(error, factor * spread)
    assert coverage(error, found * (1 + 1e-9) * factor * spread, 1.0) == pytest.approx(ONE_SIGMA, abs=2 / 500)
    assert found * factor == pytest.approx(calibration_factor(error, spread))


def test_rank_correlation_sees_order_alone() -> None:
    sigma = np.random.default_rng(0).random((7, 5, 2))
    assert spearman(np.exp(5 * sigma), sigma) == pytest.approx(1.0)
    assert spearman(1 - sigma, sigma) == pytest.approx(-1.0)
    assert np.isnan(spearman(np.ones_like(sigma), sigma))


@pytest.mark.parametrize(
    ("error", "sigma", "said"),
    [
        (np.ones((2, 3)), np.ones((3, 2)), "the shape of the errors"),
        (np.ones(0), np.ones(0), "not empty"),
        (-np.ones(3), np.ones(3), "error: expected values of zero or more"),
        (np.ones(3), np.full(3, np.nan), "sigma: expected values of zero or more"),
    ],
)
def test_what_is_no_pair_of_errors_and_sigmas_is_refused(
    error: np.ndarray, sigma: np.ndarray, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        coverage(error, sigma, 1.0)


def test_running_moments_are_those_of_the_stack() -> None:
    cubes = np.random.default_rng(1).random((9, 4, 6, 3)).astype(np.float32) + 10
    moments = Moments()
    for cube in cubes:
        moments.add(cube)
    found = moments.spread()
    np.testing.assert_allclose(found.mean, cubes.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.std, cubes.std(0, ddof=1), rtol=1e-3)


def test_members_are_told_from_their_running_means() -> None:
    cubes = np.random.default_rng(2).random((10, 4, 6, 3))
    members = Members()
    for number in range(10):
        mean = cubes[: number + 1].mean(0)
        members(step(3 * number + 1, 30, np.full_like(mean, np.nan)))  # in the middle of a member's windows
        members(step(3 * number + 3, 30, mean))
    found = members.spread()
    np.testing.assert_allclose(found.mean, cubes.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.std, cubes.std(0, ddof=1), rtol=1e-4)


def test_late_iterates_forget_the_early_ones_and_see_what_still_moves() -> None:
    rng, looks = np.random.default_rng(4), LateIterates()
    for number in range(1, 61):
        cube = np.zeros((4, 5, 2))
        cube[0] = 100.0 if number == 1 else 0.0
        cube[1] = rng.normal(size=(5, 2))
        looks(step(number, 24, cube))
    std = looks.spread().std
    assert std[0].max() < 0.1
    assert std[1].min() > 0.3
    assert (std[2:] == 0).all()


def test_one_estimate_has_no_spread() -> None:
    with pytest.raises(ValueError, match="at least two estimates"):
        Moments().spread()


def test_the_map_joins_spread_and_distance_and_keeps_the_mask() -> None:
    estimate = np.zeros((6, 8, 2), np.float32)
    mask = np.zeros((6, 8), bool)
    mask[0, 1] = True
    scene = Scene(estimate, nodata_mask=mask)
    spread = Spread(np.full_like(estimate, 4.0), np.full_like(estimate, 1.5))
    near = sigma_map(scene, spread, 2.0, distance=False)
    far = sigma_map(scene, spread, 2.0, distance=True)
    np.testing.assert_allclose(near.cube[~mask], 3.0, rtol=1e-6)
    np.testing.assert_allclose(far.cube[~mask], 5.0, rtol=1e-6)
    assert (far.cube[mask] == 0).all()
    np.testing.assert_array_equal(far.nodata_mask, mask)


@dataclass(frozen=True)
class Case:
    """A truth, its observation, and `spectral_ls` with its map: the one run of the kernels of these tests."""

    truth: Scene
    observation: Observation
    found: UncertainSolution


@pytest.fixture(scope="module")
def case() -> Case:
    """48 x 32 x 8 at x4: texture that colours do not determine, stronger from left to right."""
    rng = np.random.default_rng(0)
    texture = ndimage.gaussian_filter(rng.normal(size=(48, 32, 8)), (1.5, 1.5, 0.5))
    smooth = ndimage.gaussian_filter(rng.normal(size=(48, 32, 8)), (6, 6, 3))
    cube = smooth / smooth.std() + np.linspace(0.05, 1.5, 32)[:, None] * texture / texture.std()
    cube = (cube - cube.min()) / np.ptp(cube)
    truth = Scene(cube, np.linspace(420, 680, 8), "texture")
    observation = fusion.simulate(truth, scale=4)
    return Case(truth, observation, UncertainFusion()(observation, "spectral_ls"))


def test_the_map_leaves_the_estimate_as_it_is(case: Case) -> None:
    plain = fusion.fuse(case.observation, "spectral_ls").estimate
    np.testing.assert_array_equal(case.found.solution.estimate.cube, plain.cube)
    assert case.found.sigma.shape == case.truth.shape
    assert case.found.sigma.metadata["uncertainty_form"] == KERNELS
    np.testing.assert_array_equal(case.found.sigma.wavelengths_nm, case.truth.wavelengths_nm)


def test_sigma_is_larger_where_the_errors_are(case: Case) -> None:
    error = np.abs(case.found.solution.estimate.cube - case.truth.cube)
    assert spearman(error, case.found.sigma.cube) > 0.3


def test_the_worse_estimate_has_the_larger_sigma(case: Case) -> None:
    bicubic = fusion.fuse(case.observation, "bicubic").estimate
    worse = sigma_map(bicubic, case.found.spread, FACTOR[KERNELS], distance=True)
    assert worse.cube.mean() > 1.2 * case.found.sigma.cube.mean()


def test_forms_that_a_method_has_not_are_refused(case: Case) -> None:
    with pytest.raises(ValueError, match="a network for the form turns, got spectral_ls, a closed form"):
        UncertainFusion("turns")(case.observation, "spectral_ls")
    with pytest.raises(ValueError, match="did you mean 'turns'"):
        UncertainFusion("turn")
