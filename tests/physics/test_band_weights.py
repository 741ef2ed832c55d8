"""Weighted sums of bands are the channels of a camera: exact to 1 % on instruments' bands, and no noisier."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.physics.band_weights import Bands, band_weights
from hsr_tf.physics.response_library import find_table
from hsr_tf.physics.spectral import channel_spread, load_srf

CENTRES = np.arange(400.0, 901.0, 10.0)
GRID = np.arange(380.0, 921.0)
BOX = ((GRID >= 520) & (GRID <= 600)).astype(float)[:, None]


def test_a_straight_spectrum_has_the_value_at_the_centre_of_a_symmetric_channel() -> None:
    weights = band_weights(Bands.of(CENTRES), GRID, BOX).matrix[:, 0]
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert weights @ (0.3 + 0.002 * (CENTRES - 560)) == pytest.approx(0.3, abs=1e-4)


def test_the_width_of_the_bands_is_undone() -> None:
    # sin(a t) under a Gaussian of deviation s is exp(-(a s)^2 / 2) sin(a t). Between the points of the grid
    # the channel is linear: it is as wide as 81 nm, from 519.5 nm on.
    sigma, a = 12.0 / (2 * (2 * np.log(2)) ** 0.5), 2 * np.pi / 70
    bands = 1 + np.exp(-((a * sigma) ** 2) / 2) * np.sin(a * (CENTRES - 520))
    expected = 1 + (np.cos(a / 2) - np.cos(a * 80.5)) / (a * 81)
    wide, unknown = (Bands.of(CENTRES, fwhm) for fwhm in (np.full(51, 12.0), np.full(51, 1e-3)))
    assert bands @ band_weights(wide, GRID, BOX).matrix[:, 0] == pytest.approx(expected, rel=1e-3)
    assert bands @ band_weights(unknown, GRID, BOX).matrix[:, 0] != pytest.approx(expected, rel=1e-3)


def test_bands_of_impossible_widths_are_taken_as_wide_as_their_spacing() -> None:
    known, broad = Bands.of(CENTRES), Bands.of(CENTRES, np.full(51, 5000.0))
    expected = band_weights(known, GRID, BOX).matrix
    np.testing.assert_array_equal(band_weights(broad, GRID, BOX).matrix, expected)


def test_bands_far_from_a_channel_take_no_part_and_doubled_ones_share_a_weight() -> None:
    far = (CENTRES < 500) | (CENTRES > 620)
    assert not band_weights(Bands.of(CENTRES), GRID, BOX).matrix[far].any()
    doubled = band_weights(Bands.of(np.repeat(CENTRES, 2)), GRID, BOX).matrix[:, 0]
    np.testing.assert_allclose(doubled[::2], doubled[1::2], atol=1e-9)


def test_a_channel_that_no_band_sees_has_no_weights() -> None:
    found = band_weights(Bands.of(CENTRES[30:]), GRID, BOX)
    assert not found.matrix.any()
    assert np.isinf(found.spread).all()


def test_the_spread_grows_with_the_width_of_the_bands_and_is_reported_by_channel() -> None:
    table = find_table("sentinel2a:B04,B05")
    spreads = [channel_spread(table, np.arange(400.0, 1000.0, step)).max() for step in (5, 10, 20, 40)]
    assert spreads == sorted(spreads)
    assert spreads[1] < 0.01 < 0.05 < spreads[3]
    assert channel_spread(find_table("nikon_d700"), np.arange(400.0, 701.0, 10.0)).tolist() == [0, 0, 0]


def test_widths_of_a_cube_reach_the_response() -> None:
    plain = load_srf("sentinel2a:B05", CENTRES, outside="zero").matrix
    wide = load_srf("sentinel2a:B05", CENTRES, fwhm_nm=np.full(51, 20.0), outside="zero").matrix
    assert np.abs(plain - wide).max() > 0.05
