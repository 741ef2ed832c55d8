"""The closed-form ground: a cube is averaged with it by what explains X, and both ends are what they say."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from keras import ops

from hsr_tf.closed_forms.quadratic_map import SpectralLS
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import gaussian_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse, read_response_csv, resample_response
from hsr_tf.solvers.cnmf import CnmfSolver
from hsr_tf.solvers.csu import CsuSolver
from hsr_tf.solvers.hysure import Hysure
from hsr_tf.solvers.nnsr import Nnsr
from hsr_tf.solvers.parts.colour_map import ColourMap, until
from hsr_tf.solvers.solver import Controls, Cube, Iterations, Solver
from tests.solvers import scenes


@pytest.fixture
def scene() -> tuple[ObservationModel, Cube, Cube, Cube]:
    cube, model = scenes.mixture(24, 32, 9), scenes.cameras(9, 3)
    return (model, cube, *scenes.pair(cube, model))


def test_a_cube_that_explains_x_keeps_all_its_weight(scene: tuple) -> None:
    model, cube, lr_hsi, hr_msi = scene
    found = cube.copy()
    np.testing.assert_allclose(ColourMap(model, lr_hsi, hr_msi).average(found), 1, atol=1e-3)
    np.testing.assert_allclose(found, cube, atol=1e-4)


def test_a_cube_that_is_wrong_gets_none_band_by_band(scene: tuple) -> None:
    model, cube, lr_hsi, hr_msi = scene
    ground = ColourMap(model, lr_hsi, hr_msi)
    found = cube.copy()
    found[..., :4] = 2 * ground.cube()[..., :4] - cube[..., :4]
    weights = ground.average(found)
    np.testing.assert_allclose(weights, [0] * 4 + [1] * 5, atol=1e-3)
    np.testing.assert_allclose(found[..., :4], ground.cube()[..., :4], atol=1e-6)


def test_the_average_explains_x_no_worse_than_either(scene: tuple) -> None:
    model, cube, lr_hsi, hr_msi = scene
    ground = ColourMap(model, lr_hsi, hr_msi)
    noise = np.random.default_rng(0).standard_normal((6, 8, 9)).repeat(4, 0).repeat(4, 1)
    cubes = [cube + (ground.residual.std((0, 1)) * noise).astype(np.float32)]
    cubes += [ground.cube(), cubes[0].copy()]
    weights = ground.average(cubes[2])
    assert 0 < weights.min() <= weights.max() < 1
    misfits = [np.square(lr_hsi - model.spatial.forward(z[None])[0]).sum((0, 1)) for z in cubes]
    assert np.all(misfits[2] <= np.minimum(misfits[0], misfits[1]) * (1 + 1e-4))


def test_the_trusted_cube_is_consistent_without_noise_and_the_map_with_it(scene: tuple) -> None:
    model, _, lr_hsi, hr_msi = scene
    clean = ColourMap(model, lr_hsi, hr_msi).trusted()
    for seen, expected in zip(model.simulate(clean[None]), (lr_hsi, hr_msi), strict=True):
        np.testing.assert_allclose(np.asarray(seen)[0], expected, atol=1e-3)
    noise = 0.1 * np.random.default_rng(0).standard_normal(lr_hsi.shape).astype(np.float32)
    noisy = ColourMap(model, lr_hsi + noise, hr_msi)
    np.testing.assert_allclose(noisy.trusted(), noisy.cube(), atol=1e-2)


def test_a_limit_is_asked_for_a_share_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.0]
    monkeypatch.setattr("hsr_tf.solvers.solver.time.perf_counter", lambda: seconds[0])
    late = until(Iterations("any", 3, Controls(max_seconds=10)), 0.5)
    never = until(Iterations("any", 3, Controls()), 0.5)
    assert not late()
    seconds[0] = 5.5
    assert late()
    assert not never()


@pytest.mark.slow
@pytest.mark.parametrize("solver", [CnmfSolver, CsuSolver, Hysure, Nnsr])
def test_above_least_squares_for_many_bands_and_four_channels(
    solver: type[Solver], shared_data: Path
) -> None:
    """Jasper Ridge, 198 bands, seen by the 10 m bands of Sentinel-2A at a quarter of the resolution."""
    with h5py.File(shared_data / "hsi" / "remote" / "jasperRidge2_R198.h5") as file:
        cube = np.ascontiguousarray(file["cube"][()].transpose(1, 2, 0), np.float32) / 5000
        wavelengths_nm = file["wavelength_nm"][()]
    table = read_response_csv(shared_data / "srf" / "satellite" / "sentinel2a_srf_1nm.csv")
    matrix = resample_response(table, wavelengths_nm, outside="zero")
    matrix = matrix[:, [table.channels.index(band) for band in ("B02", "B03", "B04", "B08")]]
    model = ObservationModel(SpatialDegradation(gaussian_psf(4), 4), SpectralResponse(matrix / matrix.sum(0)))
    images = scenes.pair(cube, model)
    floor = np.asarray(SpectralLS(model)(*(ops.convert_to_tensor(image[None]) for image in images)))[0]
    found = solver(model).solve(*images).estimate
    assert scenes.psnr(cube, found) > scenes.psnr(cube, floor) + 0.05
