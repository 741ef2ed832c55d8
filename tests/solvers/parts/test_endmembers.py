"""Corners are found, projections are the nearest points, constrained rows reach the minimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize, nnls

from hsr_tf.solvers.parts.endmembers import (
    Descent,
    constrained_rows,
    fit_endmembers,
    multiplicative_rows,
    project_nonnegative,
    project_simplex,
    vertex_components,
)


@pytest.fixture
def mixed(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spectra, abundances with pure pixels, endmembers."""
    endmembers = rng.uniform(0, 1, (4, 9)).astype(np.float32)
    abundances = rng.dirichlet(np.full(4, 0.4), 300).astype(np.float32)
    abundances[[7, 80, 190, 250]] = np.eye(4)
    return abundances @ endmembers, abundances, endmembers


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pure_pixels_are_the_corners(mixed: tuple[np.ndarray, ...], seed: int) -> None:
    spectra, _, endmembers = mixed
    found = vertex_components(spectra, 4, seed=seed)
    apart = np.linalg.norm(found[:, None] - endmembers, axis=-1)
    assert sorted(apart.argmin(1)) == [0, 1, 2, 3]
    assert apart.min(1).max() < 1e-5


def test_corners_repeat(mixed: tuple[np.ndarray, ...]) -> None:
    first, second = (vertex_components(mixed[0], 12, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (12, 9)


def test_dark_spectra_have_finite_corners() -> None:
    assert np.isfinite(vertex_components(np.zeros((20, 5), np.float32), 3, seed=0)).all()


def test_no_endmember_is_refused() -> None:
    with pytest.raises(ValueError, match="num_endmembers: expected a positive number"):
        vertex_components(np.ones((4, 3), np.float32), 0, seed=0)


def test_simplex_projection_is_the_nearest_point(rng: np.random.Generator) -> None:
    rows = rng.normal(0, 1, (5000, 5)).astype(np.float32)
    found = project_simplex(rows)
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    for row, point in zip(rows[:8], found[:8], strict=True):
        best = minimize(
            lambda a, row=row: np.sum((a - row) ** 2),
            np.full(5, 0.2),
            bounds=[(0, 1)] * 5,
            constraints={"type": "eq", "fun": lambda a: a.sum() - 1},
            tol=1e-12,
        )
        np.testing.assert_allclose(point, best.x, atol=1e-4)


def test_points_of_the_simplex_stay(rng: np.random.Generator) -> None:
    inside = rng.dirichlet(np.ones(6), 50).astype(np.float32)
    np.testing.assert_allclose(project_simplex(inside), inside, atol=1e-6)


@pytest.mark.parametrize("accelerated", [True, False])
def test_abundances_of_a_mixture_are_found(mixed: tuple[np.ndarray, ...], accelerated: bool) -> None:
    spectra, abundances, endmembers = mixed
    even = np.full_like(abundances, 0.25)
    descent = Descent(4000, 0.0, accelerated)
    found = constrained_rows(spectra, endmembers, even, project=project_simplex, descent=descent)
    np.testing.assert_allclose(found, abundances, atol=5e-3)


def test_nonnegative_rows_agree_with_scipy(rng: np.random.Generator) -> None:
    design, targets = (rng.uniform(-0.3, 1, (n, 7)).astype(np.float32) for n in (4, 30))
    found = constrained_rows(
        targets,
        design,
        np.zeros((30, 4), np.float32),
        project=project_nonnegative,
        descent=Descent(3000, 0.0),
    )
    expected = [nnls(design.T.astype(float), target.astype(float))[0] for target in targets]
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_multiplicative_updates_agree_with_scipy(rng: np.random.Generator) -> None:
    design, targets = (rng.uniform(0, 1, (n, 7)).astype(np.float32) for n in (3, 20))
    start = np.full((20, 3), 0.3, np.float32)
    found = multiplicative_rows(targets, design, start, descent=Descent(20000, 0.0))
    expected = [nnls(design.T.astype(float), target.astype(float))[0] for target in targets]
    np.testing.assert_allclose(found, expected, atol=2e-2)


def test_endmembers_of_a_mixture_are_found_in_their_box(mixed: tuple[np.ndarray, ...]) -> None:
    spectra, abundances, endmembers = mixed
    start = np.full_like(endmembers, 0.5)
    found = fit_endmembers(spectra, abundances, start, upper=1.0, descent=Descent(2000, 0.0))
    np.testing.assert_allclose(found, endmembers, atol=2e-3)
    low = fit_endmembers(spectra, abundances, start, upper=0.6, descent=Descent(200, 0.0))
    assert low.min() >= 0
    assert low.max() == pytest.approx(0.6)


def test_plain_steps_never_raise_the_residual(mixed: tuple[np.ndarray, ...]) -> None:
    spectra, abundances, endmembers = mixed
    even = np.full_like(abundances, 0.25)
    sizes = []
    for num_steps in range(0, 30, 3):
        rows = constrained_rows(
            spectra, endmembers, even, project=project_simplex, descent=Descent(num_steps, 0.0, False)
        )
        sizes.append(np.linalg.norm(spectra - rows @ endmembers))
    assert np.all(np.diff(sizes) <= 1e-6)
    assert sizes[-1] < 0.5 * sizes[0]


def test_a_stop_leaves_the_rows(mixed: tuple[np.ndarray, ...]) -> None:
    spectra, abundances, endmembers = mixed
    even = np.full_like(abundances, 0.25)
    found = constrained_rows(
        spectra, endmembers, even, project=project_simplex, descent=Descent(9, 0.0), stop=lambda: True
    )
    np.testing.assert_allclose(found, even, atol=1e-6)
