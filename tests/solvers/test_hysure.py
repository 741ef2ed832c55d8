"""HySure: its pieces are adjoint and inverse, ADMM reaches the minimum, and the solver keeps the contract."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import anisotropic_gaussian_psf, gaussian_psf
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.solvers.hysure import Hysure, HysureConfig
from hsr_tf.solvers.parts.gradients import Gradients, lengths, shrink
from hsr_tf.solvers.solver import Controls, Step
from tests.solvers import scenes

NUM_BANDS = 5


def scene(scale: int, num_channels: int, *, psf=None, border: str = "mirrored"):
    """Cameras, a cube of flat patches of three materials, X and Y."""
    rng = np.random.default_rng(num_channels)
    weights = rng.random((NUM_BANDS, num_channels))
    spatial = SpatialDegradation(psf or gaussian_psf(scale), scale, border=border)
    model = ObservationModel(spatial, SpectralResponse(weights / weights.sum(0)))
    materials = rng.integers(0, 3, (4, 5)).repeat(2 * scale, 0).repeat(2 * scale, 1)
    cube = rng.random((3, NUM_BANDS)).astype(np.float32)[materials]
    lr_hsi, hr_msi = (np.asarray(image)[0] for image in model.simulate(cube[None]))
    return model, cube, lr_hsi, hr_msi


@pytest.mark.parametrize("border", ["mirrored", "circular"])
def test_gradients_have_their_adjoint_and_inverse(border: str) -> None:
    rng, gradients = np.random.default_rng(0), Gradients((7, 9), border)
    image, slopes = rng.standard_normal((7, 9, 2)), rng.standard_normal((2, 7, 9, 2))
    assert np.vdot(gradients.forward(image), slopes) == pytest.approx(
        np.vdot(image, gradients.adjoint(slopes))
    )
    normal = image + gradients.adjoint(gradients.forward(image))
    np.testing.assert_allclose(gradients.invert(normal), image, atol=1e-5)


def test_shrinking_is_the_proximal_map_of_the_length() -> None:
    slopes = np.random.default_rng(0).standard_normal((2, 3, 4, 2)).astype(np.float32)
    found = shrink(slopes, 1.5)
    np.testing.assert_allclose(lengths(found), np.maximum(lengths(slopes) - 1.5, 0), atol=1e-6)
    assert (lengths(slopes) < 1.5).any()


def test_it_reaches_the_minimum_from_which_no_step_leads_down() -> None:
    model, _, lr_hsi, hr_msi = scene(2, 3)
    config = HysureConfig(
        rank=NUM_BANDS,
        tv_weight=1e-3,
        edge=0.0,
        num_iterations=200,
        tolerance=0.0,
        ground="nothing",
        consistent=False,
    )
    cube = Hysure(model, config).solve(lr_hsi, hr_msi).estimate.astype(np.float64)

    def objective(z: np.ndarray) -> float:
        seen = model.simulate(z[None])
        misfit = sum(
            np.square(np.asarray(a)[0] - b).sum() for a, b in zip(seen, (lr_hsi, hr_msi), strict=True)
        )
        return 0.5 * misfit + 1e-3 * lengths(Gradients(z.shape[:2], "mirrored").forward(z)).sum()

    least, rng = objective(cube), np.random.default_rng(1)
    for size in (1e-3, 1e-2):
        for _ in range(5):
            step = size * rng.standard_normal(cube.shape)
            assert objective(cube + step) > least
        assert objective(cube * (1 + size)) > least
        assert objective(cube * (1 - size)) > least


@pytest.mark.parametrize(("scale", "num_channels"), [(2, 1), (3, 3), (4, 4)])
def test_it_beats_the_enlarged_cube_and_repeats_bit_for_bit(scale: int, num_channels: int) -> None:
    model, cube, lr_hsi, hr_msi = scene(scale, num_channels)
    found, again = (Hysure(model).solve(lr_hsi, hr_msi) for _ in range(2))
    np.testing.assert_array_equal(found.estimate, again.estimate)
    assert found.estimate.dtype == np.float32
    plain = np.asarray(bicubic_enlarge(lr_hsi[None], scale))[0]
    assert np.square(found.estimate - cube).mean() < 0.3 * np.square(plain - cube).mean()
    assert 3 <= found.details["rank"] <= min(NUM_BANDS, 10)


@pytest.mark.parametrize("border", ["mirrored", "circular"])
def test_turned_blurs_and_both_borders_are_fitted(border: str) -> None:
    psf = anisotropic_gaussian_psf(3, sigmas=(1.6, 0.7), angle_degrees=35)
    model, _, lr_hsi, hr_msi = scene(3, 3, psf=psf, border=border)
    found = Hysure(model).solve(lr_hsi, hr_msi).estimate
    for seen, expected in zip(model.simulate(found[None]), (lr_hsi, hr_msi), strict=True):
        np.testing.assert_allclose(np.asarray(seen)[0], expected, atol=0.01)


def test_the_objective_falls_and_every_iteration_calls_back() -> None:
    model, _, lr_hsi, hr_msi = scene(2, 3)
    steps: list[Step] = []
    found = Hysure(model, HysureConfig(num_iterations=25, tolerance=0.0, ground="nothing")).solve(
        lr_hsi, hr_msi, Controls(callback=steps.append)
    )
    assert [step.iteration for step in steps] == list(range(1, 26))
    assert found.iterations == 25
    assert not found.converged
    objectives = [step.objective for step in steps]
    assert objectives[-1] == min(objectives) < 0.9 * objectives[0]
    assert steps[-1].estimate().shape == (*hr_msi.shape[:2], NUM_BANDS)


def test_its_own_criterion_and_the_time_limit_end_it() -> None:
    model, _, lr_hsi, hr_msi = scene(2, 3)
    assert Hysure(model, HysureConfig(tolerance=0.1)).solve(lr_hsi, hr_msi).converged
    short = Hysure(model, HysureConfig(num_iterations=10**6, tolerance=0.0))
    found = short.solve(lr_hsi, hr_msi, Controls(max_seconds=0.5))
    assert 1 <= found.iterations < 10**6
    assert np.isfinite(found.estimate).all()


def test_the_published_options_are_the_papers() -> None:
    config = HysureConfig.published()
    assert (config.rank, config.msi_weight, config.tv_weight, config.penalty) == (10, 1.0, 5e-4, 0.05)
    assert (config.edge, config.num_iterations, config.consistent) == (0.0, 200, False)
    assert config.ground == "nothing"


def test_the_closed_form_ground_gains_where_the_scene_is_not_smooth() -> None:
    rng = np.random.default_rng(0)
    cube, model = scenes.mixture(24, 32, 13, edge=0.3), scenes.cameras(13, 3)
    cube *= rng.uniform(0.5, 1, (24, 32, 1)).astype(np.float32)
    images = scenes.pair(cube, model)
    scores = [
        scenes.psnr(
            cube, Hysure(model, HysureConfig(ground=ground, num_iterations=20)).solve(*images).estimate
        )
        for ground in ("nothing", "spectral_ls")
    ]
    assert scores[1] > scores[0] + 0.3


def test_what_does_not_fit_is_refused() -> None:
    model, _, lr_hsi, hr_msi = scene(2, 3)
    for x, y, said in (
        (lr_hsi, hr_msi[:-1], "hr_msi: expected"),
        (lr_hsi[..., :-1], hr_msi, "lr_hsi: expected"),
        (lr_hsi[None], hr_msi, r"lr_hsi: expected \(rows, columns, bands\)"),
        (lr_hsi * np.nan, hr_msi, "finite"),
    ):
        with pytest.raises(ValueError, match=said) as error:
            Hysure(model).solve(x, y)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="tv_weight: expected a positive number"):
        HysureConfig(tv_weight=0.0)
