"""Reducing and enlarging pictures: imresize's numbers for any factor, and nothing moves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import center_of_mass

from hsr_tf.physics.reduction import enlarge_picture, reduce_picture
from hsr_tf.physics.resize import BicubicResize


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).random((2, height, width, 1)).astype(np.float32)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 1.5, 2.5, 3.7])
def test_both_ways_are_imresize_s_by_exactly_this_factor(scale: float) -> None:
    sharp = picture(24, 36)
    small = reduce_picture(sharp, scale)
    assert tuple(small.shape[1:3]) == (int(np.ceil(24 / scale)), int(np.ceil(36 / scale)))
    np.testing.assert_allclose(small, BicubicResize((24, 36), 1 / scale).forward(sharp), atol=2e-6)
    large = enlarge_picture(small, scale, (24, 36))
    whole = BicubicResize(tuple(small.shape[1:3]), float(scale)).forward(np.asarray(small))
    assert tuple(large.shape) == (2, 24, 36, 1)
    np.testing.assert_allclose(large, whole[:, :24, :36], atol=2e-6)


@pytest.mark.parametrize("scale", [2, 2.5, 3, 3.7, 4])
def test_a_spot_stays_where_it_is_and_keeps_its_light(scale: float) -> None:
    rows, columns = np.mgrid[:60, :72]
    spot = np.exp(-((rows - 25.3) ** 2 + (columns - 40.9) ** 2) / 60.0).astype(np.float32)[None, ..., None]
    back = np.asarray(enlarge_picture(reduce_picture(spot, scale), scale, (60, 72)))[0, ..., 0]
    np.testing.assert_allclose(center_of_mass(back), center_of_mass(spot[0, ..., 0]), atol=0.02)
    assert back.sum() == pytest.approx(spot.sum(), rel=2e-3)


def test_sizes_that_the_factor_does_not_divide_are_rounded_up() -> None:
    small = reduce_picture(picture(11, 14), 4)
    assert tuple(small.shape[1:3]) == (3, 4)
    assert tuple(enlarge_picture(small, 4).shape[1:3]) == (12, 16)
    assert tuple(enlarge_picture(picture(1, 3), 2).shape[1:3]) == (2, 6)


@pytest.mark.parametrize("scale", [0, 0.5, -2, float("nan"), float("inf")])
def test_factors_below_one_are_refused(scale: float) -> None:
    for resize in (reduce_picture, enlarge_picture):
        with pytest.raises(ValueError, match="scale: expected a factor of at least 1"):
            resize(picture(8, 8), scale)
