"""The noise of a band is what the other bands do not tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from hsr_tf.closed_forms.noise_level import band_noise, colour_noise, rounding_noise


def mixtures(height: int, width: int, num_bands: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(3)
    abundances = rng.dirichlet(np.ones(4), (height, width))
    spectra = 0.2 + rng.random((4, num_bands))
    return (abundances @ spectra).astype(np.float32)


@pytest.mark.parametrize(("height", "width", "num_bands"), [(40, 31, 20), (9, 8, 30)])
def test_noise_of_each_band_is_found(height: int, width: int, num_bands: int) -> None:
    deviations = np.linspace(0.01, 0.05, num_bands)
    noise = deviations * np.random.default_rng(4).standard_normal((height, width, num_bands))
    found = band_noise(mixtures(height, width, num_bands) + noise.astype(np.float32))
    few = height * width < 4 * num_bands
    np.testing.assert_allclose(found, deviations, rtol=0.6 if few else 0.4)
    assert np.corrcoef(found, deviations)[0, 1] > (0.8 if few else 0.98)


def test_mixtures_without_noise_have_none() -> None:
    cube = mixtures(20, 17, 12)
    assert np.all(band_noise(cube) < 1e-4 * cube.std((0, 1)))


def test_scaling_the_cube_scales_its_noise() -> None:
    cube = mixtures(12, 11, 6) + 0.01 * np.random.default_rng(0).standard_normal((12, 11, 6)).astype(
        np.float32
    )
    np.testing.assert_allclose(band_noise(1000 * cube), 1000 * band_noise(cube), rtol=1e-4)


@pytest.mark.parametrize("shape", [(5, 6, 1), (1, 3, 4)])
def test_with_nothing_to_compare_all_of_a_band_counts(shape: tuple[int, ...]) -> None:
    cube = np.random.default_rng(1).random(shape).astype(np.float32)
    np.testing.assert_allclose(band_noise(cube), cube.std((0, 1)), rtol=1e-5)


def test_a_band_that_is_another_twice_is_finite() -> None:
    cube = mixtures(10, 9, 3)
    assert np.isfinite(band_noise(np.concatenate([cube, cube, 0 * cube], -1))).all()


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_a_flat_cube_has_no_noise(value: float) -> None:
    np.testing.assert_allclose(band_noise(np.full((8, 9, 5), value, np.float32)), 0, atol=1e-12)


def test_noise_of_colours_is_relative_and_of_pixels_with_data() -> None:
    clean, rng = mixtures(30, 25, 20), np.random.default_rng(5)
    noisy = clean + 0.02 * rng.standard_normal(clean.shape).astype(np.float32)
    response = np.full((20, 1), 1 / 20)
    hole = np.zeros((30, 25), bool)
    hole[3:9, 4:20] = True
    noisy[hole] = 7
    expected = 0.02**2 / 20 / np.square(clean[~hole] @ response).mean()
    assert colour_noise(noisy, response, hole) == pytest.approx(expected, rel=0.2)
    assert colour_noise(noisy, response, np.ones((30, 25), bool)) == np.inf


@pytest.mark.parametrize("gamma", [1.0, 2.2])
def test_the_rounding_of_an_eight_bit_file_is_found_whatever_was_undone_since(
    tmp_path: Path, gamma: float
) -> None:
    """Pillow writes and reads the file; the error is that against the image before."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).random((120, 130, 3)), (3, 3, 0))
    image = np.clip(0.5 + 4 * (smooth - 0.5), 0.02, 0.98)
    Image.fromarray(np.round(255 * image).astype(np.uint8)).save(tmp_path / "y.png")
    stored = np.asarray(Image.open(tmp_path / "y.png")) / 255
    read = 1.3 * stored**gamma + 0.1
    error = np.square(read - (1.3 * image**gamma + 0.1)).mean((0, 1)) ** 0.5
    hole = np.zeros((120, 130), bool)
    hole[:40] = True
    np.testing.assert_allclose(rounding_noise(read.astype(np.float32), hole), error, rtol=0.15)


def test_images_without_levels_of_a_file_have_no_rounding() -> None:
    rng = np.random.default_rng(0)
    few = rng.choice(rng.random(40), (90, 80, 1))  # a scene of flat patches
    assert not rounding_noise(np.concatenate([rng.random((90, 80, 2)), few], -1)).any()
