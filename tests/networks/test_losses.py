"""Losses: numbers worked by hand, levels against the reduced truth, names."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from hsr_tf.networks import losses
from hsr_tf.networks.losses import l1, log_mse, mse, multi_level
from hsr_tf.physics.resize import BicubicResize


def pair() -> tuple[np.ndarray, np.ndarray]:
    """One image of two pixels and two bands, its errors 0.1 and -0.3 in one band, 0.2 and 0 in the other."""
    reference = np.array([[[[0.5, 0.5], [0.5, 0.5]]]], np.float32)
    return reference, reference + np.array([[[[0.1, 0.2], [-0.3, 0.0]]]], np.float32)


def test_errors_are_those_worked_by_hand() -> None:
    assert float(mse(*pair())) == pytest.approx((0.01 + 0.09 + 0.04) / 4, rel=1e-5)
    assert float(l1(*pair())) == pytest.approx((0.1 + 0.3 + 0.2) / 4, rel=1e-5)
    expected = (math.log(0.05 + 1e-6) + math.log(0.02 + 1e-6)) / 2
    assert float(log_mse(*pair())) == pytest.approx(expected, rel=1e-5)


def test_the_logarithmic_loss_is_the_psnr_of_the_bands_up_to_a_factor() -> None:
    rng = np.random.default_rng(0)
    reference = rng.random((2, 8, 8, 3)).astype(np.float32)
    estimate = reference + 0.05 * rng.standard_normal(reference.shape).astype(np.float32)
    psnr = -10 * np.log10(((estimate - reference) ** 2).mean((1, 2)))
    assert float(log_mse(reference, estimate, floor=0.0)) == pytest.approx(
        -psnr.mean() * math.log(10) / 10, rel=1e-5
    )


@pytest.mark.parametrize("name", losses.LOSSES)
def test_no_error_is_the_least_loss_and_has_a_finite_gradient(name: str) -> None:
    reference, estimate = pair()
    loss = losses.get(name)
    assert float(loss(reference, reference)) < float(loss(reference, estimate))
    guess = tf.Variable(reference)
    with tf.GradientTape() as tape:
        value = loss(reference, guess)
    assert np.isfinite(tape.gradient(value, guess)).all()


def test_levels_are_added_each_against_the_truth_of_its_size() -> None:
    rng = np.random.default_rng(0)
    reference = rng.random((1, 16, 24, 3)).astype(np.float32)
    estimates = {
        "estimate_4": rng.random((1, 4, 6, 3)).astype(np.float32),
        "estimate_2": rng.random((1, 8, 12, 3)).astype(np.float32),
        "estimate": rng.random((1, 16, 24, 3)).astype(np.float32),
    }
    half = np.asarray(BicubicResize((16, 24), 1 / 2)(reference))
    reduced = {2: half, 4: np.asarray(BicubicResize((8, 12), 1 / 2)(half))}
    expected = (
        ((estimates["estimate"] - reference) ** 2).mean()
        + ((estimates["estimate_2"] - reduced[2]) ** 2).mean()
        + ((estimates["estimate_4"] - reduced[4]) ** 2).mean()
    )
    assert float(multi_level(reference, estimates, mse)) == pytest.approx(expected, rel=1e-5)


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    assert losses.get("l1") is l1
    with pytest.raises(
        ValueError, match=r"loss: expected one of half_sse, l1, log_mse, mse, got 'log_mae'; did you mean"
    ):
        losses.get("log_mae")


def test_sums_of_squares_count_a_level_by_its_pixels_and_means_do_not() -> None:
    truth = np.zeros((2, 8, 8, 3), np.float32)
    errors = {"estimate": 0.1, "estimate_4": 0.2}
    levels = {"estimate": truth + 0.1, "estimate_4": truth[:, :2, :2] + 0.2}
    squares = {name: error**2 for name, error in errors.items()}
    summed = 0.5 * 3 * (64 * squares["estimate"] + 4 * squares["estimate_4"])
    assert float(multi_level(truth, levels, losses.half_sse)) == pytest.approx(summed, rel=1e-5)
    assert float(multi_level(truth, levels, mse)) == pytest.approx(sum(squares.values()), rel=1e-5)


def test_each_level_is_compared_with_the_truth_reduced_from_the_next_finer_one() -> None:
    truth = np.random.default_rng(0).random((1, 32, 16, 2)).astype(np.float32)

    def half(image: np.ndarray) -> np.ndarray:
        bands = [Image.fromarray(np.pad(image[0, ..., i], 4, mode="symmetric")) for i in range(2)]
        size = (bands[0].width // 2, bands[0].height // 2)
        reduced = [np.asarray(band.resize(size, Image.Resampling.BICUBIC)) for band in bands]
        return np.stack(reduced, -1)[None, 2:-2, 2:-2]

    levels = {"estimate": truth, "estimate_4": half(half(truth)), "estimate_2": half(truth)}
    assert float(multi_level(truth, levels, mse)) < 1e-11
    at_once = np.asarray(BicubicResize((32, 16), 0.25).forward(truth))
    assert float(multi_level(truth, {**levels, "estimate_4": at_once}, mse)) > 1e-6
