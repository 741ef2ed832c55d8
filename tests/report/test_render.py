"""Display colours, stretch and the choice of points."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.report.render import Stretch, choose_points, display_bands, display_channels


def test_visible_bands_are_the_nearest_ones():
    bands = display_bands(31, np.arange(400.0, 701.0, 10.0))
    assert bands.indices == (24, 15, 6) and bands.true_colour


@pytest.mark.parametrize("wavelengths", [None, np.linspace(1000, 2500, 12)])
def test_without_visible_bands_three_spread_evenly_are_shown(wavelengths):
    bands = display_bands(12, wavelengths)
    assert bands.indices == (10, 6, 2) and not bands.true_colour


def test_false_colours_show_the_longest_wavelength_as_red_in_any_band_order():
    assert display_bands(12, np.linspace(2500, 1000, 12)).indices == (1, 5, 9)


def test_three_bands_without_wavelengths_are_red_green_and_blue():
    bands = display_bands(3, None)
    assert bands.indices == (0, 1, 2) and bands.true_colour
    assert display_bands(3, np.array([460.0, 550.0, 640.0])).indices == (2, 1, 0)
    assert display_bands(4, None).indices == (3, 2, 0)


def test_display_channels_follow_the_number_of_channels():
    image = np.arange(10.0) * np.ones((2, 3, 1))
    assert display_channels(image[..., :1], None)[0, 0].tolist() == [0, 0, 0]
    assert display_channels(image[..., :2], None)[0, 0].tolist() == [0.5, 0.5, 0.5]
    assert display_channels(image[..., :3], None)[0, 0].tolist() == [0, 1, 2]
    assert display_channels(image, None)[0, 0].tolist() == [2, 1, 0]
    assert display_channels(image, (7, 4, 1))[0, 0].tolist() == [7, 4, 1]


def test_stretch_is_not_moved_by_a_few_wild_pixels_and_stays_in_range():
    rng = np.random.default_rng(0)
    channels = rng.random((40, 50, 3))
    wild = channels.copy()
    wild[0, :4] = 1e4
    calm, disturbed = (Stretch.of(values, balanced=True).apply(channels) for values in (channels, wild))
    assert calm.min() == 0 and calm.max() == 1
    assert np.abs(disturbed - calm).mean() < 0.01


def test_stretch_of_a_constant_image_is_finite():
    flat = np.full((5, 6, 3), 0.3)
    assert np.isfinite(Stretch.of(flat, balanced=False).apply(flat)).all()


def test_points_are_where_the_error_is_and_differ_in_spectrum():
    # Three patches of three materials carry the error; everything else is a fourth material without any.
    reference = np.full((64, 96, 4), 0.5)
    error = np.zeros((64, 96))
    patches = [slice(8, 24), slice(26, 40), slice(42, 56)]
    for band, rows in enumerate(patches):
        reference[rows, 20 * band + 20 : 20 * band + 32] = np.eye(4)[band]
        error[rows, 20 * band + 20 : 20 * band + 32] = 1.0 + band
    points = choose_points(reference, [error, 0.01 * error])
    assert points == choose_points(reference, [error, 0.01 * error])
    assert all(error[point] > 0 for point in points)
    assert sorted(int(reference[point].argmax()) for point in points) == [0, 1, 2]
    assert error[points[0]] == error.max()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 7, 3), (4, 4, 3)])
def test_points_exist_in_tiny_and_black_scenes(shape):
    points = choose_points(np.zeros(shape), [np.zeros(shape[:2])])
    assert 1 <= len(points) <= 3 and len(set(points)) == len(points)
    assert all(0 <= row < shape[0] and 0 <= column < shape[1] for row, column in points)
