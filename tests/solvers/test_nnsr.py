"""NNSR: dictionary and neighbours are what they say, the codes explain, and the solver keeps the contract."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import anisotropic_gaussian_psf, gaussian_psf
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.solvers.nnsr import Nnsr, NnsrConfig
from hsr_tf.solvers.parts.dictionary import learn_dictionary, sparse_codes
from hsr_tf.solvers.parts.neighbours import neighbour_means
from hsr_tf.solvers.solver import Controls, Step
from tests.solvers import scenes

NUM_BANDS = 5
SMALL = NnsrConfig(num_atoms=8, dictionary_rounds=3)


def scene(scale: int, num_channels: int, *, psf=None):
    """Cameras, a cube of four materials in smooth mixtures, X and Y."""
    rng = np.random.default_rng(num_channels)
    weights = rng.random((NUM_BANDS, num_channels))
    spatial = SpatialDegradation(psf or gaussian_psf(scale), scale)
    model = ObservationModel(spatial, SpectralResponse(weights / weights.sum(0)))
    shares = rng.dirichlet(np.full(4, 0.3), (4, 5)).repeat(2 * scale, 0).repeat(2 * scale, 1)
    cube = (shares @ rng.random((4, NUM_BANDS))).astype(np.float32)
    lr_hsi, hr_msi = (np.asarray(image)[0] for image in model.simulate(cube[None]))
    return model, cube, lr_hsi, hr_msi


def test_the_dictionary_is_non_negative_of_unit_rows_and_explains() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((4, 9)).astype(np.float32)
    spectra = (rng.random((60, 4)) * (rng.random((60, 4)) < 0.5)).astype(np.float32) @ truth
    atoms, codes = learn_dictionary(spectra, 6, sparsity=1e-4, num_rounds=15, seed=0)
    assert atoms.min() >= 0
    assert codes.min() >= 0
    np.testing.assert_allclose(np.linalg.norm(atoms, axis=1), 1, atol=1e-5)
    assert np.linalg.norm(spectra - codes @ atoms) < 0.1 * np.linalg.norm(spectra)
    again, _ = learn_dictionary(spectra, 6, sparsity=1e-4, num_rounds=15, seed=0)
    np.testing.assert_array_equal(atoms, again)
    assert len(learn_dictionary(spectra[:3], 6, sparsity=1e-4, num_rounds=1, seed=0)[0]) <= 3


def test_sparse_codes_meet_the_conditions_of_the_minimum() -> None:
    rng = np.random.default_rng(0)
    atoms, spectra = (rng.random(shape).astype(np.float32) for shape in ((4, 9), (7, 9)))
    codes = np.zeros((7, 4), np.float32)
    for _ in range(60):
        codes = sparse_codes(spectra, atoms, codes, sparsity=0.2)
    slope = 2 * (codes @ atoms - spectra) @ atoms.T + 0.2
    assert slope[codes > 0] == pytest.approx(0, abs=2e-3)
    assert slope[codes == 0].min() > -2e-3
    assert (codes == 0).any()
    assert (codes > 0).any()


def test_neighbours_are_the_pixels_that_look_alike() -> None:
    image = np.zeros((8, 10, 1), np.float32)
    image[:, 5:] = 1.0
    means = neighbour_means(image, 5, bandwidth=1e-3)
    np.testing.assert_allclose(means.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(means @ image.reshape(-1), image.reshape(-1), atol=1e-5)
    assert means.min() >= 0
    assert neighbour_means(image[:1, :2], 5, bandwidth=1e-3).shape == (2, 2)


@pytest.mark.parametrize(("scale", "num_channels"), [(2, 1), (3, 3), (4, 4)])
def test_it_beats_the_enlarged_cube_and_repeats_bit_for_bit(scale: int, num_channels: int) -> None:
    model, cube, lr_hsi, hr_msi = scene(scale, num_channels)
    found, again = (Nnsr(model, SMALL).solve(lr_hsi, hr_msi) for _ in range(2))
    np.testing.assert_array_equal(found.estimate, again.estimate)
    assert found.estimate.dtype == np.float32
    plain = np.asarray(bicubic_enlarge(lr_hsi[None], scale))[0]
    assert np.square(found.estimate - cube).mean() < 0.8 * np.square(plain - cube).mean()


@pytest.mark.slow
def test_both_images_are_explained_for_a_turned_blur_too() -> None:
    model, _, lr_hsi, hr_msi = scene(
        3, 3, psf=anisotropic_gaussian_psf(3, sigmas=(1.6, 0.7), angle_degrees=35)
    )
    found = Nnsr(model, SMALL).solve(lr_hsi, hr_msi).estimate
    for seen, expected in zip(model.simulate(found[None]), (lr_hsi, hr_msi), strict=True):
        np.testing.assert_allclose(np.asarray(seen)[0], expected, atol=0.01)


def test_the_objective_falls_and_every_iteration_calls_back() -> None:
    model, _, lr_hsi, hr_msi = scene(2, 3)
    steps: list[Step] = []
    config = replace(SMALL, num_iterations=10, growth=1.0, start="bicubic", ground="nothing")
    found = Nnsr(model, config).solve(lr_hsi, hr_msi, Controls(callback=steps.append))
    assert [step.iteration for step in steps] == list(range(1, 11))
    assert found.iterations == 10
    objectives = [step.objective for step in steps]
    assert objectives[-1] < 0.9 * objectives[0]
    first, last = steps[0].estimate(), steps[-1].estimate()
    assert first.shape == last.shape == (*hr_msi.shape[:2], NUM_BANDS)
    assert (first != last).any()


def test_its_own_criterion_and_the_time_limit_end_it() -> None:
    model, _, lr_hsi, hr_msi = scene(2, 3)
    assert Nnsr(model, replace(SMALL, tolerance=0.5)).solve(lr_hsi, hr_msi).converged
    short = Nnsr(model, replace(SMALL, num_iterations=10**6, growth=1.0))
    found = short.solve(lr_hsi, hr_msi, Controls(max_seconds=0.5))
    assert 1 <= found.iterations < 10**6
    assert np.isfinite(found.estimate).all()


def test_the_published_options_are_the_authors() -> None:
    config = NnsrConfig.published()
    assert (config.num_atoms, config.structure, config.sparsity) == (80, 0.015, 6e-5)
    assert (config.penalty, config.growth, config.num_iterations) == (2e-4, 1.1, 26)
    assert (config.start, config.ground, config.consistent) == ("bicubic", "nothing", False)


def test_the_closed_form_ground_gains_where_nothing_looks_alike() -> None:
    rng = np.random.default_rng(0)
    cube, model = scenes.mixture(24, 32, 13, edge=0.3), scenes.cameras(13, 3)
    cube *= rng.uniform(0.5, 1, (24, 32, 1)).astype(np.float32)
    images = scenes.pair(cube, model)
    scores = [
        scenes.psnr(cube, Nnsr(model, replace(SMALL, ground=ground)).solve(*images).estimate)
        for ground in ("nothing", "spectral_ls")
    ]
    assert scores[1] > scores[0] + 0.3


def test_what_does_not_fit_is_refused() -> None:
    model, _, lr_hsi, hr_msi = scene(2, 3)
    for x, y, said in (
        (lr_hsi, hr_msi[:-1], "hr_msi: expected"),
        (lr_hsi[..., :-1], hr_msi, "lr_hsi: expected"),
        (lr_hsi, hr_msi + np.inf, "finite"),
    ):
        with pytest.raises(ValueError, match=said) as error:
            Nnsr(model).solve(x, y)
        assert "\n" not in str(error.value)
    for change in ({"growth": 0.9}, {"num_atoms": 0}, {"start": "zeros"}, {"ground": "zeros"}):
        with pytest.raises(ValueError, match=next(iter(change))):
            NnsrConfig(**change)
