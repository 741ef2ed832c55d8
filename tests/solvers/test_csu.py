"""Coupled unmixing: constraints hold, the objective falls, mixtures are recovered, the contract is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from hsr_tf import io, methods, metrics
from hsr_tf.bases import Bicubic, DataConsistency, SpectralLS
from hsr_tf.physics.observation import standard_model
from hsr_tf.physics.spectral import load_srf
from hsr_tf.solvers.csu import CsuConfig, CsuSolver
from hsr_tf.solvers.solver import Controls, Step
from tests.solvers import scenes

FORMS = {"published": replace(CsuConfig.published(), num_iterations=8), "default": CsuConfig()}


@pytest.fixture(params=list(FORMS))
def config(request: pytest.FixtureRequest) -> CsuConfig:
    return FORMS[request.param]


def test_a_scene_of_few_materials_is_recovered() -> None:
    rng = np.random.default_rng(0)
    patches = np.kron(rng.integers(0, 3, (6, 8)), np.ones((4, 4), int))
    cube = rng.uniform(0.05, 0.95, (3, 13)).astype(np.float32)[patches]
    model = scenes.cameras(13, 3, scale=2)
    images = scenes.pair(cube, model)
    found = CsuSolver(model, CsuConfig(num_endmembers=3, num_iterations=60, num_fit=60)).solve(*images)
    assert scenes.psnr(cube, found.estimate) > 40


def test_better_than_bicubic_and_the_options_better_still() -> None:
    cube, model = scenes.mixture(40, 32, 13), scenes.cameras(13, 3)
    images = scenes.pair(cube, model)
    floor = np.asarray(Bicubic(model)(*(ops.convert_to_tensor(image[None]) for image in images)))[0]
    plain = CsuSolver(model, FORMS["published"]).solve(*images)
    improved = CsuSolver(model).solve(*images)
    assert scenes.psnr(cube, plain.estimate) > scenes.psnr(cube, floor) + 2
    assert scenes.psnr(cube, improved.estimate) > scenes.psnr(cube, plain.estimate) + 2


def test_the_published_estimate_is_a_mixture_within_the_box() -> None:
    model = scenes.cameras(13, 3)
    images = scenes.pair(scenes.mixture(24, 32, 13), model)
    found = CsuSolver(model, replace(FORMS["published"], num_endmembers=3)).solve(*images).estimate
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-5
    assert np.linalg.matrix_rank(found.reshape(-1, 13).astype(float), tol=1e-3) <= 3


@pytest.mark.parametrize("num_channels", [1, 3, 4])
def test_the_objective_falls_and_every_iteration_calls_back(config: CsuConfig, num_channels: int) -> None:
    steps: list[Step] = []
    model = scenes.cameras(13, num_channels)
    images = scenes.pair(scenes.mixture(24, 32, 13), model)
    found = CsuSolver(model, config).solve(*images, Controls(callback=steps.append))
    objectives = np.array([step.objective for step in steps])
    assert [step.iteration for step in steps] == list(range(1, found.iterations + 1))
    assert np.all(np.diff(objectives) <= 1e-3 * objectives[:-1])
    assert objectives[-1] < objectives[0]
    np.testing.assert_array_equal(steps[-1].estimate(), found.estimate)


@pytest.mark.parametrize(
    ("scale", "num_channels", "num_bands"), [(2, 1, 7), (3, 3, 11), (4, 4, 5), (5, 10, 17)]
)
def test_any_sizes(config: CsuConfig, scale: int, num_channels: int, num_bands: int) -> None:
    model = scenes.cameras(num_bands, num_channels, scale=scale)
    cube = scenes.mixture(6 * scale, 8 * scale, num_bands)
    found = CsuSolver(model, config).solve(*scenes.pair(cube, model)).estimate
    assert found.shape == cube.shape
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_two_runs_are_equal_and_seeds_matter(config: CsuConfig) -> None:
    model = scenes.cameras(13, 3)
    images = scenes.pair(scenes.mixture(24, 32, 13), model)
    first, second, other = (
        CsuSolver(model, config).solve(*images, Controls(seed=seed)).estimate for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_time_limit_ends_early(config: CsuConfig) -> None:
    model = scenes.cameras(13, 3)
    images = scenes.pair(scenes.mixture(24, 32, 13), model)
    long = replace(config, num_iterations=10_000, tolerance=0.0)
    found = CsuSolver(model, long).solve(*images, Controls(max_seconds=0.3))
    assert 1 <= found.iterations < 10_000
    assert not found.converged
    assert np.isfinite(found.estimate).all()


def test_noise_is_not_sharpened() -> None:
    cube, model = scenes.mixture(40, 32, 13), scenes.cameras(13, 3)
    lr_hsi, hr_msi = scenes.pair(cube, model)
    rng = np.random.default_rng(1)
    lr_hsi, hr_msi = (
        (x + rng.normal(0, s * x.std(), x.shape)).astype(np.float32)
        for x, s in ((lr_hsi, 0.05), (hr_msi, 0.02))
    )
    careful, mixed = (
        CsuSolver(model, CsuConfig(consistent=on)).solve(lr_hsi, hr_msi).estimate for on in (True, False)
    )
    batch = [ops.convert_to_tensor(image[None]) for image in (mixed, lr_hsi, hr_msi)]
    projected = np.asarray(DataConsistency(model)(*batch))[0]
    assert scenes.psnr(cube, careful) > scenes.psnr(cube, projected) + 1


def test_images_that_do_not_fit_are_refused_in_one_line() -> None:
    model = scenes.cameras(13, 3)
    lr_hsi, hr_msi = scenes.pair(scenes.mixture(24, 32, 13), model)
    for images in ((lr_hsi[:-1], hr_msi), (lr_hsi, hr_msi[..., :2]), (lr_hsi[0], hr_msi)):
        with pytest.raises(ValueError, match=r"(lr_hsi|hr_msi): expected") as refused:
            CsuSolver(model).solve(*images)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("option", [{"num_endmembers": 0}, {"num_iterations": 0}, {"start": "cubic"}])
def test_options_that_make_no_sense_are_refused(option: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        CsuConfig(**option)


def test_it_is_registered() -> None:
    assert methods.get("csu").needs == ("psf", "srf")


@pytest.mark.slow
def test_a_real_scene_is_better_than_least_squares(shared_data: Path) -> None:
    scene = io.load(shared_data / "hsi" / "cave_train" / "pompoms.h5")
    cube = np.ascontiguousarray(scene.cube[:256, :256])
    model = standard_model(load_srf("nikon_d700", scene.wavelengths_nm), 8)
    images = scenes.pair(cube, model)
    floor = np.asarray(SpectralLS(model)(*(ops.convert_to_tensor(image[None]) for image in images)))[0]
    found = np.clip(CsuSolver(model).solve(*images).estimate, 0, 1)
    gain = metrics.psnr_bands(cube, found) - metrics.psnr_bands(cube, np.clip(floor, 0, 1))
    assert float(gain) > 0.3
