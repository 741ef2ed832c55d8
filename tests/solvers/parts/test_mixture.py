"""CNMF and CSU: constraints hold, the objective falls, mixtures are found, time limits are kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from hsr_tf import io, methods
from hsr_tf.closed_forms.bicubic import Bicubic
from hsr_tf.closed_forms.consistency import DataConsistency
from hsr_tf.closed_forms.quadratic_map import SpectralLS
from hsr_tf.metrics import full_reference as metrics
from hsr_tf.physics.observation import ObservationModel, standard_model
from hsr_tf.physics.spectral import load_srf
from hsr_tf.solvers import solver
from hsr_tf.solvers.cnmf import CnmfConfig, CnmfSolver
from hsr_tf.solvers.csu import CsuConfig, CsuSolver
from hsr_tf.solvers.parts import endmembers
from hsr_tf.solvers.solver import Controls, Cube, Solver, Step
from tests.solvers import scenes

SOLVERS = {"cnmf": (CnmfSolver, CnmfConfig), "csu": (CsuSolver, CsuConfig)}
PUBLISHED = {
    "cnmf": replace(CnmfConfig.published(), num_endmembers=8, num_inner=40),
    "csu": replace(CsuConfig.published(), num_iterations=8),
}
DEFAULT = {"cnmf": CnmfConfig(num_iterations=3, tolerance=0.0), "csu": CsuConfig()}
THOROUGH = {
    "cnmf": CnmfConfig(num_endmembers=3, num_inner=300),
    "csu": CsuConfig(num_endmembers=3, num_iterations=40, num_fit=60),
}


@dataclass(frozen=True)
class Pair:
    """A scene and what its cameras saw."""

    model: ObservationModel
    cube: Cube
    images: tuple[Cube, Cube]


@pytest.fixture(params=list(SOLVERS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["published", "default"])
def form(request: pytest.FixtureRequest, name: str) -> CnmfConfig | CsuConfig:
    return {"published": PUBLISHED, "default": DEFAULT}[request.param][name]


@pytest.fixture(scope="module")
def pair() -> Pair:
    cube, model = scenes.mixture(24, 32, 13), scenes.cameras(13, 3)
    return Pair(model, cube, scenes.pair(cube, model))


def make(name: str, model: ObservationModel, config: CnmfConfig | CsuConfig | None = None) -> Solver:
    solver_class, config_class = SOLVERS[name]
    return solver_class(model, config or config_class())


def test_a_scene_of_few_materials_is_recovered(name: str) -> None:
    rng = np.random.default_rng(0)
    patches = np.kron(rng.integers(0, 3, (6, 8)), np.ones((4, 4), int))
    cube = rng.uniform(0.05, 0.95, (3, 13)).astype(np.float32)[patches]
    model = scenes.cameras(13, 3, scale=2)
    config = replace(THOROUGH[name], averaged=False)
    found = make(name, model, config).solve(*scenes.pair(cube, model))
    assert scenes.psnr(cube, found.estimate) > 40


def test_better_than_bicubic_and_the_options_better_still(name: str) -> None:
    cube, model = scenes.mixture(40, 32, 13), scenes.cameras(13, 3)
    images = scenes.pair(cube, model)
    floor = np.asarray(Bicubic(model)(*(ops.convert_to_tensor(image[None]) for image in images)))[0]
    plain = make(name, model, PUBLISHED[name]).solve(*images)
    improved = make(name, model).solve(*images)
    assert scenes.psnr(cube, plain.estimate) > scenes.psnr(cube, floor) + 2
    assert scenes.psnr(cube, improved.estimate) > scenes.psnr(cube, plain.estimate) + 2


def test_the_published_estimate_is_a_mixture_within_its_bounds(name: str, pair: Pair) -> None:
    config = replace(PUBLISHED[name], num_endmembers=3)
    found = make(name, pair.model, config).solve(*pair.images).estimate
    assert found.min() >= 0
    assert name == "cnmf" or found.max() <= 1 + 1e-5
    assert np.linalg.matrix_rank(found.reshape(-1, 13).astype(float), tol=1e-3) <= 3


@pytest.mark.parametrize("num_channels", [1, 3, 4])
def test_every_iteration_calls_back(name: str, num_channels: int) -> None:
    steps: list[Step] = []
    model = scenes.cameras(13, num_channels)
    images = scenes.pair(scenes.mixture(24, 32, 13), model)
    found = make(name, model, DEFAULT[name]).solve(*images, Controls(callback=steps.append))
    assert [step.iteration for step in steps] == list(range(1, found.iterations + 1))
    np.testing.assert_array_equal(steps[-1].estimate(), found.estimate)


@pytest.mark.parametrize("num_channels", [1, 3, 4])
def test_the_objective_of_csu_falls(num_channels: int) -> None:
    steps: list[Step] = []
    model = scenes.cameras(13, num_channels)
    images = scenes.pair(scenes.mixture(24, 32, 13), model)
    CsuSolver(model, PUBLISHED["csu"]).solve(*images, Controls(callback=steps.append))
    objectives = np.array([step.objective for step in steps])
    assert np.all(np.diff(objectives) <= 1e-3 * objectives[:-1])
    assert objectives[-1] < objectives[0]


@pytest.mark.parametrize("num_channels", [1, 3, 4])
def test_more_updates_of_cnmf_explain_both_images_better(num_channels: int) -> None:
    model, objectives = scenes.cameras(13, num_channels), []
    images = scenes.pair(scenes.mixture(24, 32, 13), model)
    for num_inner in (2, 20, 200):
        steps: list[Step] = []
        form = replace(PUBLISHED["cnmf"], num_iterations=1, num_inner=num_inner)
        CnmfSolver(model, form).solve(*images, Controls(callback=steps.append))
        objectives.append(steps[-1].objective)
    assert objectives[2] < objectives[1] < objectives[0]


@pytest.mark.parametrize(
    ("scale", "num_channels", "num_bands"), [(2, 1, 7), (3, 3, 11), (4, 4, 5), (5, 10, 17)]
)
def test_any_sizes(name: str, scale: int, num_channels: int, num_bands: int) -> None:
    model = scenes.cameras(num_bands, num_channels, scale=scale)
    cube = scenes.mixture(4 * scale, 6 * scale, num_bands)
    found = make(name, model).solve(*scenes.pair(cube, model)).estimate
    assert found.shape == cube.shape
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_two_runs_are_equal_and_seeds_matter(name: str, form: CnmfConfig | CsuConfig, pair: Pair) -> None:
    first, second, other = (
        make(name, pair.model, form).solve(*pair.images, Controls(seed=seed)).estimate for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_time_limit_cuts_every_fit_the_first_ones_too(
    name: str, form: CnmfConfig | CsuConfig, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock that moves by one second with every step of a fit."""
    seconds, size_of = [0.0], endmembers._size

    def slow(left: np.ndarray) -> float:
        seconds[0] += 1.0
        return size_of(left)

    monkeypatch.setattr(endmembers, "_size", slow)
    monkeypatch.setattr(solver.time, "perf_counter", lambda: seconds[0])
    long = replace(form, num_iterations=10_000, num_inner=200, inner_tolerance=1e-8)
    found = make(name, pair.model, long).solve(*pair.images, Controls(max_seconds=40))
    assert 20 < seconds[0] <= 50
    assert not found.converged
    assert np.isfinite(found.estimate).all()
    seconds[0] = 0.0
    make(name, pair.model, replace(long, num_iterations=1)).solve(*pair.images)
    assert seconds[0] > 150


def test_noise_is_not_sharpened_and_not_taken_for_mixtures(name: str) -> None:
    cube, model = scenes.mixture(40, 32, 13), scenes.cameras(13, 3)
    rng = np.random.default_rng(1)
    lr_hsi, hr_msi = (
        (x + rng.normal(0, s * x.std(), x.shape)).astype(np.float32)
        for x, s in zip(scenes.pair(cube, model), (0.05, 0.02), strict=True)
    )
    config = SOLVERS[name][1]
    careful, mixed = (
        make(name, model, config(averaged=on, consistent=on)).solve(lr_hsi, hr_msi).estimate
        for on in (True, False)
    )
    batch = [ops.convert_to_tensor(image[None]) for image in (mixed, lr_hsi, hr_msi)]
    projected = np.asarray(DataConsistency(model)(*batch))[0]
    floor = np.asarray(SpectralLS(model)(*batch[1:]))[0]
    assert scenes.psnr(cube, careful) > scenes.psnr(cube, projected) + 1
    assert scenes.psnr(cube, careful) > scenes.psnr(cube, floor)


def test_images_that_do_not_fit_are_refused_in_one_line(name: str, pair: Pair) -> None:
    lr_hsi, hr_msi = pair.images
    for images in ((lr_hsi[:-1], hr_msi), (lr_hsi, hr_msi[..., :2]), (lr_hsi[0], hr_msi)):
        with pytest.raises(ValueError, match=r"(lr_hsi|hr_msi): expected") as refused:
            make(name, pair.model).solve(*images)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("option", [{"num_endmembers": 0}, {"num_iterations": 0}, {"start": "cubic"}])
def test_options_that_make_no_sense_are_refused(name: str, option: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        SOLVERS[name][1](**option)


def test_both_are_registered(name: str) -> None:
    assert methods.get(name).needs == ("psf", "srf")


@pytest.mark.slow
def test_a_real_scene_is_better_than_least_squares(name: str, shared_data: Path) -> None:
    scene = io.load(shared_data / "hsi" / "cave_train" / "pompoms.h5")
    cube = np.ascontiguousarray(scene.cube[:256, :256])
    model = standard_model(load_srf("nikon_d700", scene.wavelengths_nm), 8)
    images = scenes.pair(cube, model)
    floor = np.asarray(SpectralLS(model)(*(ops.convert_to_tensor(image[None]) for image in images)))[0]
    found = np.clip(make(name, model).solve(*images).estimate, 0, 1)
    gain = metrics.psnr_bands(cube, found) - metrics.psnr_bands(cube, np.clip(floor, 0, 1))
    assert float(gain) > 0.3
