"""Noise: the ratio that is asked for, Poisson's mean and variance, and seeds that decide everything."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from hsr_tf.physics.noise import GaussianNoise, PoissonNoise

SHAPE = (2, 160, 120, 3)


def image(seed: int = 0) -> np.ndarray:
    """Two images, the second ten times darker, with bands of very different brightness."""
    x = np.random.default_rng(seed).random(SHAPE) * np.array([1.0, 0.1, 0.01])
    x[1] *= 0.1
    return x.astype(np.float32)


@pytest.mark.parametrize("snr_db", [10.0, 35.0, 40.0])
def test_every_band_of_every_image_has_the_ratio_asked_for(snr_db: float) -> None:
    x = image()
    noise = np.asarray(GaussianNoise(snr_db)(x, 0)) - x
    measured = 10 * np.log10((x.astype(float) ** 2).mean((1, 2)) / noise.astype(float).var((1, 2)))
    np.testing.assert_allclose(measured, snr_db, atol=0.2)
    assert np.abs(noise.mean((1, 2)) / noise.std((1, 2))).max() < 0.03


def test_one_variance_a_cube_gives_every_band_the_same_noise() -> None:
    x = image()
    noise = (np.asarray(GaussianNoise(20.0, per_band=False)(x, 0)) - x).astype(float)
    power = (x.astype(float) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(10 * np.log10(power / noise.var((1, 2, 3))), 20, atol=0.1)
    np.testing.assert_allclose(noise[0].std((0, 1)) / noise[0].std(), 1, atol=0.03)


def test_gaussian_noise_is_normal_and_white() -> None:
    noise = np.asarray(GaussianNoise(0.0)(np.ones((1, 400, 400, 1), np.float32), 3))[0, :, :, 0] - 1
    assert (np.abs(noise) < 1).mean() == pytest.approx(0.6827, abs=0.004)
    assert abs((noise[1:] * noise[:-1]).mean()) < 0.01
    assert abs((noise[:, 1:] * noise[:, :-1]).mean()) < 0.01


@pytest.mark.parametrize("photons", [1.0, 5.0, 100.0, 10_000.0])
@pytest.mark.parametrize("value", [0.05, 0.5, 1.0])
def test_counts_have_poissons_mean_and_variance(photons: float, value: float) -> None:
    counts = np.asarray(PoissonNoise(photons)(np.full((1, 200, 200, 1), value, np.float32), 1)) * photons
    rate, number = value * photons, 200 * 200
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-2)
    assert counts.mean() == pytest.approx(rate, abs=5 * np.sqrt(rate / number))
    spread = np.sqrt((rate + 2 * rate**2) / number)
    assert counts.var() == pytest.approx(rate, abs=5 * spread)


def test_no_light_gives_no_counts() -> None:
    x = np.array([0.0, -0.5], np.float32).reshape(1, 1, 2, 1)
    assert not np.asarray(PoissonNoise(1000.0)(x, 0)).any()


@pytest.mark.parametrize("noise", [GaussianNoise(20.0), PoissonNoise(50.0)])
def test_the_seed_decides_the_noise(noise) -> None:
    x = np.random.default_rng(1).random((1, 16, 16, 2)).astype(np.float32)
    first, again, other = (np.asarray(noise(x, seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5


@pytest.mark.parametrize("noise", [GaussianNoise(20.0), PoissonNoise(50.0)])
def test_a_generator_moves_on_inside_a_compiled_function_and_repeats_from_its_state(noise) -> None:
    generator = keras.random.SeedGenerator(5)
    x = tf.ones((1, 8, 8, 2))
    compiled = tf.function(lambda image: noise(image, generator))
    start = np.array(generator.state)
    first, second = np.asarray(compiled(x)), np.asarray(compiled(x))
    assert (first != second).any()
    generator.state.assign(start)
    np.testing.assert_array_equal(compiled(x), first)


@pytest.mark.parametrize("photons", [0.0, -1.0, 2.0**21, float("nan")])
def test_impossible_numbers_of_photons_are_refused(photons: float) -> None:
    with pytest.raises(ValueError, match=r"photons: expected a number in \(0, 2\^20\]"):
        PoissonNoise(photons)


@pytest.mark.parametrize("snr_db", [float("nan"), float("-inf")])
def test_a_ratio_that_is_no_number_is_refused(snr_db: float) -> None:
    with pytest.raises(ValueError, match="snr_db: expected"):
        GaussianNoise(snr_db)
