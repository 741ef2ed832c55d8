"""FUSE as a solver: exact in its subspace, deterministic, and with the contract of every solver."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import gaussian_psf
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.solvers.parts.subspace import SpectralSubspace
from hsr_tf.solvers.solver import Controls
from hsr_tf.solvers.sylvester import COVARIANCES, SylvesterConfig, SylvesterSolver, detail_covariance


def scene(scale: int, num_channels: int):
    """Cameras, a cube of three materials, X and Y."""
    rng = np.random.default_rng(num_channels)
    weights = rng.random((6, num_channels))
    model = ObservationModel(
        SpatialDegradation(gaussian_psf(scale), scale), SpectralResponse(weights / weights.sum(0))
    )
    shares = rng.dirichlet(np.ones(3), (4, 5)).repeat(2 * scale, 0).repeat(2 * scale, 1)
    cube = (shares @ rng.random((3, 6))).astype(np.float32)
    return model, cube, *(np.asarray(image)[0] for image in model.simulate(cube[None]))


def test_as_many_channels_as_materials_give_the_cube_itself() -> None:
    model, cube, lr_hsi, hr_msi = scene(3, 3)
    found = SylvesterSolver(model, SylvesterConfig(rank=3, weight=1e-7)).solve(lr_hsi, hr_msi)
    np.testing.assert_allclose(found.estimate, cube, atol=2e-3)
    assert (found.iterations, found.converged) == (1, True)


@pytest.mark.parametrize(("scale", "num_channels"), [(2, 1), (3, 3), (4, 4)])
@pytest.mark.parametrize("start", ["bicubic", "spectral_ls"])
def test_it_beats_the_coarse_cube_repeats_and_calls_back(scale: int, num_channels: int, start: str) -> None:
    model, cube, lr_hsi, hr_msi = scene(scale, num_channels)
    solver, steps = SylvesterSolver(model, SylvesterConfig(start=start)), []
    found = solver.solve(lr_hsi, hr_msi, Controls(callback=steps.append, max_seconds=1e-3)).estimate
    np.testing.assert_array_equal(found, solver.solve(lr_hsi, hr_msi).estimate)
    assert found.dtype == np.float32
    plain = np.asarray(bicubic_enlarge(lr_hsi[None], scale))[0]
    assert np.square(found - cube).mean() < 0.8 * np.square(plain - cube).mean()
    (step,) = steps
    np.testing.assert_array_equal(step.estimate(), found)


def test_the_covariance_of_the_prior_is_that_of_the_detail_of_the_coarse_cube() -> None:
    rng = np.random.default_rng(0)
    mixing, size = rng.standard_normal((3, 3)), (200, 210)
    codes = (rng.standard_normal((*size, 3)) @ mixing).astype(np.float32)
    codes += np.linspace(0, 50, size[0])[:, None, None].astype(np.float32)  # slow change, no detail
    expected = mixing.T @ mixing
    expected *= 3 / np.trace(expected)
    np.testing.assert_allclose(detail_covariance(codes), expected, atol=0.05)
    np.testing.assert_array_equal(detail_covariance(np.ones((1, 1, 4), np.float32)), np.eye(4))


def test_a_covariance_gains_where_detail_has_few_spectra() -> None:
    rng = np.random.default_rng(1)
    weights, spectra = rng.random((12, 3)), rng.random((2, 12))
    model = ObservationModel(
        SpatialDegradation(gaussian_psf(4), 4), SpectralResponse(weights / weights.sum(0))
    )
    cube = (rng.dirichlet(np.ones(2), (48, 40)) @ spectra).astype(np.float32)
    cube += 0.2 * np.linspace(0, 1, 12, dtype=np.float32) * np.linspace(0, 1, 48)[:, None, None].astype("f4")
    pair = [np.asarray(image)[0] for image in model.simulate(cube[None])]
    plain, better = (
        SylvesterSolver(model, SylvesterConfig(covariance=name)).solve(*pair).estimate for name in COVARIANCES
    )
    assert np.square(better - cube).mean() < 0.5 * np.square(plain - cube).mean()


@pytest.mark.parametrize("size", [(6, 7), (1, 2)])
def test_the_basis_is_orthonormal_and_spans_the_coarse_cube(size: tuple[int, int]) -> None:
    spectra = np.random.default_rng(0).random((*size, 5)).astype(np.float32)
    basis = SpectralSubspace.of(spectra, energy=1.0, most=9).vectors.T
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-5)
    np.testing.assert_allclose(spectra @ basis @ basis.T, spectra, atol=1e-5)
    assert SpectralSubspace.of(spectra, energy=1.0, most=1).vectors.shape == (1, 5)


def test_what_does_not_fit_is_refused() -> None:
    model, _, lr_hsi, hr_msi = scene(2, 3)
    with pytest.raises(ValueError, match=r"hr_msi: expected 16x20x3, .* got 15x20x3"):
        SylvesterSolver(model).solve(lr_hsi, hr_msi[:-1])
    with pytest.raises(ValueError, match="start: expected one of"):
        SylvesterConfig(start="cubic")
    with pytest.raises(ValueError, match="weight: expected a positive number"):
        SylvesterConfig(weight=0.0)
