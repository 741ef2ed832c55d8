"""Both cameras at once: the frozen protocol in plain NumPy, seeds, unknown sizes, refusals."""

from __future__ import annotations

import csv
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from hsr_tf.physics.noise import GaussianNoise
from hsr_tf.physics.observation import ObservationModel, standard_model
from hsr_tf.physics.psf import box_psf, gaussian_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse, load_srf

CAVE_NM = np.arange(400.0, 701.0, 10.0)


def protocol(cube: np.ndarray, scale: int, response: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The written protocol: Gaussian of FWHM s over 2 s taps (one more for an odd s), one sample a cell."""
    taps = 2 * scale + scale % 2
    weights = np.exp(-0.5 * ((np.arange(taps) - (taps - 1) / 2) * 2.35482 / scale) ** 2)
    weights /= weights.sum()
    image = cube.astype(np.float64)
    for axis in (0, 1):
        margin = (taps - scale) // 2
        padded = np.pad(image, [(margin, margin) if a == axis else (0, 0) for a in range(3)], "symmetric")
        rows = [
            np.tensordot(weights, np.take(padded, range(start, start + taps), axis), (0, axis))
            for start in range(0, image.shape[axis], scale)
        ]
        image = np.stack(rows, axis)
    return image, cube.astype(np.float64) @ response


@pytest.mark.parametrize("scale", [2, 3, 4, 8, 16, 32])
def test_the_standard_model_is_the_written_protocol(scale: int) -> None:
    cube = np.random.default_rng(scale).random((2 * scale, 3 * scale, 31)).astype(np.float32)
    srf = load_srf("nikon_d700", CAVE_NM)
    lr_hsi, hr_msi = standard_model(srf, scale).simulate(cube[None])
    expected = protocol(cube, scale, srf.matrix)
    np.testing.assert_allclose(lr_hsi[0], expected[0], atol=2e-6)
    np.testing.assert_allclose(hr_msi[0], expected[1], atol=2e-6)


@pytest.mark.parametrize("scale", [8, 16, 32])
def test_a_real_scene_agrees_with_the_protocol(shared_data: Path, scale: int) -> None:
    with h5py.File(shared_data / "hsi" / "cave_test" / "balloons.h5") as file:
        stored = file["cube"][:, 128:384, 64:448]
        cube = np.moveaxis(stored / float(file["cube"].attrs.get("white_level", 65535)), 0, -1)
    path = shared_data / "srf" / "nikon_d700_hsi_papers_31.csv"
    rows = [row for row in csv.reader(path.read_text().splitlines()) if not row[0].startswith("#")]
    expected = protocol(cube, scale, np.array(rows[1:], float)[:, 1:])
    found = standard_model(load_srf("nikon_d700", CAVE_NM), scale).simulate(cube[None].astype(np.float32))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a[0], b, atol=1e-5)


def test_the_noisy_case_has_35_and_40_decibels() -> None:
    cube = np.random.default_rng(0).random((1, 256, 256, 31)).astype(np.float32)
    srf = load_srf("nikon_d700", CAVE_NM)
    clean, noisy = (standard_model(srf, 4, noisy=n).simulate(cube, 0) for n in (False, True))
    for a, b, expected in zip(clean, noisy, (35.0, 40.0), strict=True):
        a, b = np.asarray(a, float), np.asarray(b, float)
        ratio = 10 * np.log10((a**2).mean((0, 1, 2)) / (b - a).var((0, 1, 2)))
        np.testing.assert_allclose(ratio, expected, atol=0.5)


def noisy_model() -> ObservationModel:
    """Four bands in, four channels out, no blur: both observations have one shape."""
    spatial = SpatialDegradation(box_psf(1), 1)
    return ObservationModel(spatial, SpectralResponse(np.eye(4)), GaussianNoise(10.0), GaussianNoise(10.0))


def test_seeds_decide_the_noise_and_the_two_cameras_differ() -> None:
    cube = np.ones((1, 8, 8, 4), np.float32)
    first, again, other = (noisy_model().simulate(cube, seed) for seed in (3, 3, 9))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (np.asarray(first[0]) != np.asarray(other[0])).any()
    correlation = np.corrcoef(np.ravel(first[0]), np.ravel(first[1]))[0, 1]
    assert abs(correlation) < 0.25


def test_whole_numbers_of_numpy_are_seeds_too() -> None:
    cube = np.ones((1, 8, 8, 4), np.float32)
    plain, numpy = (noisy_model().simulate(cube, seed) for seed in (3, np.int64(3)))
    np.testing.assert_array_equal(plain[0], numpy[0])
    np.testing.assert_array_equal(plain[1], numpy[1])


def test_a_generator_gives_the_two_cameras_different_noise() -> None:
    lr_hsi, hr_msi = noisy_model().simulate(np.ones((1, 8, 8, 4), np.float32), keras.random.SeedGenerator(0))
    assert (np.asarray(lr_hsi) != np.asarray(hr_msi)).any()


def test_it_runs_compiled_for_sizes_not_known_in_advance() -> None:
    model = standard_model(load_srf("nikon_d700", CAVE_NM), 8)
    compiled = tf.function(model.simulate, input_signature=[tf.TensorSpec((None, None, None, 31))])
    for shape in ((1, 16, 24, 31), (2, 32, 16, 31)):
        cube = tf.random.stateless_uniform(shape, (1, 1))
        for a, b in zip(compiled(cube), model.simulate(cube), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_cubes_that_do_not_fit_are_refused() -> None:
    model = standard_model(load_srf("nikon_d700", CAVE_NM), 8)
    with pytest.raises(ValueError, match="multiples of the scale 8, got 20 x 16"):
        model.simulate(np.zeros((1, 20, 16, 31), np.float32))
    with pytest.raises(ValueError, match="31 bands, as the response nikon_d700 has, got 30"):
        model.simulate(np.zeros((1, 16, 16, 30), np.float32))


@pytest.mark.parametrize("scale", [0, 1.5])
def test_an_impossible_scale_is_refused(scale) -> None:
    with pytest.raises(ValueError, match="scale: expected a positive integer"):
        standard_model(load_srf("nikon_d700", CAVE_NM), scale)


def test_the_scale_is_that_of_the_spatial_operator() -> None:
    model = ObservationModel(SpatialDegradation(gaussian_psf(5), 5), SpectralResponse(np.ones((2, 1))))
    assert model.scale == 5
