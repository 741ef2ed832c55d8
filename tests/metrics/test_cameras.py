"""Scores of estimated cameras, against numbers worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hsr_tf.metrics.cameras import (
    CameraScores,
    camera_scores,
    common_grid,
    kernel_l1,
    kernel_psnr,
    response_l1,
    response_sam_degrees,
    without_margin,
)
from hsr_tf.physics.psf import box_psf, gaussian_psf

ONE = np.ones((1, 1))


def test_l1_by_hand() -> None:
    """A point against the mean of three: |1 - 1/3| + 2/3 = 4/3; of a 3 x 1 column, not of a row."""
    column = np.ones((3, 1))
    assert kernel_l1(ONE, column) == pytest.approx(4 / 3)
    assert kernel_l1(np.ones((1, 3)), column) == pytest.approx(4 / 3)
    left, right = np.array([[1.0, 0, 0]]), np.array([[0, 0, 1.0]])
    assert kernel_l1(left, right) == 2.0 and kernel_l1(left, 5 * left) == 0.0


def test_psnr_by_hand() -> None:
    """A point against the mean of three: mse = (4/9 + 1/9 + 1/9) / 3 on three taps, peak 1."""
    mse = ((2 / 3) ** 2 + 2 * (1 / 3) ** 2) / 3
    assert kernel_psnr(ONE, np.ones((3, 1))) == pytest.approx(-10 * math.log10(mse))
    half = np.full((1, 2), 0.5)
    assert kernel_psnr(half, np.array([[0.75, 0.25]])) == pytest.approx(10 * math.log10(0.25 / 0.0625))
    assert kernel_psnr(half, 2 * half) == math.inf


def test_zeros_around_kernels_change_no_psnr_and_are_cut_off_evenly() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((4, 6)), rng.random((6, 6))
    second[[0, -1]] = 0
    padded = np.pad(first, ((2, 2), (1, 1)))
    assert kernel_psnr(padded, np.pad(second, 4)) == pytest.approx(kernel_psnr(first, second))
    assert [kernel.shape for kernel in without_margin(np.pad(second, 4), np.zeros((14, 14)))] == [(4, 6)] * 2
    np.testing.assert_array_equal(without_margin(np.eye(5)[:, :3])[0], np.eye(5)[:, :3])


def test_kernels_of_other_parity_are_moved_by_half_a_pixel_to_both_sides() -> None:
    first, second = common_grid(np.ones((1, 2)), ONE)
    np.testing.assert_allclose(first, [[0.5, 0.5]])
    np.testing.assert_allclose(second, [[0.5, 0.5]])
    even, odd = gaussian_psf(8).kernel, gaussian_psf(9, fwhm=8.0).kernel
    assert even.shape[0] % 2 == 0 and odd.shape[0] % 2 == 1
    assert kernel_l1(even, odd) < 0.07 < kernel_l1(even, box_psf(8).kernel)


def test_padding_does_not_move_the_centre() -> None:
    kernel = np.arange(12.0).reshape(3, 4)
    assert kernel_l1(kernel, np.pad(kernel, [(2, 2), (1, 1)])) == pytest.approx(0, abs=1e-15)
    assert kernel_l1(kernel, kernel[::-1]) > 0.3


def test_response_scores_by_hand() -> None:
    """Columns (1, 0) and (1, 1) against (1, 1) and (1, 1): 45 and 0 degrees, L1 1 and 0."""
    reference, estimate = np.array([[1.0, 1.0], [0.0, 1.0]]), np.ones((2, 2))
    assert response_sam_degrees(reference, estimate) == pytest.approx(22.5)
    assert response_l1(reference, estimate) == pytest.approx(0.5)
    assert response_sam_degrees(reference, 7 * reference) == pytest.approx(0, abs=1e-6)
    assert response_l1(reference, 7 * reference) == 0


def test_what_is_not_known_has_no_score() -> None:
    kernel, response = np.ones((2, 2)), np.ones((4, 3))
    assert camera_scores(kernel, None, kernel, response) == CameraScores(math.inf, 0.0, None, None)
    assert camera_scores(None, response, kernel, response).response_l1 == 0
    assert camera_scores(None, None, kernel, None) == CameraScores()
    assert camera_scores(kernel, None, kernel, None).as_dict()["kernel_psnr"] is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernel_l1(ONE, np.zeros((2, 2))), "estimate: expected a 2-D kernel with a positive sum"),
        (lambda: kernel_l1(np.ones(3), ONE), "reference: expected a 2-D kernel"),
        (lambda: kernel_psnr(ONE, np.full((1, 1), np.nan)), "estimate: expected finite values"),
        (lambda: response_l1(np.ones((4, 3)), np.ones((4, 2))), r"the reference's shape \(4, 3\)"),
        (lambda: response_sam_degrees(np.ones((4, 1)), np.zeros((4, 1))), "channels that see some"),
    ],
)
def test_what_cannot_be_scored_is_refused(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()
