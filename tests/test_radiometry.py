"""Tone curves are undone exactly, offsets and gains reported in words that a reader knows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hsr_tf.radiometry import AS_RECORDED, Radiometry, channel_values, white_level
from tests.pairs_for_tests import srgb

LIGHT = np.linspace(0, 1, 300, dtype=np.float32).reshape(10, 10, 3)


@pytest.mark.parametrize(
    ("curve", "coded"),
    [("sRGB", srgb(LIGHT)), ("gamma 1.8", LIGHT ** (1 / 1.8)), ("gamma 2.2", LIGHT ** (1 / 2.2))],
)
@pytest.mark.parametrize("white", [1.0, 255.0])
def test_a_curve_and_what_was_added_are_undone(curve: str, coded: np.ndarray, white: float) -> None:
    found = Radiometry(curve, white, offset=(0.1, 0.0, -0.1), divisor=(1.0, 2.0, 0.5))
    expected = (white * LIGHT - np.array([0.1, 0.0, -0.1])) / [1.0, 2.0, 0.5]
    linear = found.linear((white * coded).astype(np.float32))
    assert linear.dtype == np.float32
    np.testing.assert_allclose(linear, expected, atol=2e-5 * white)
    assert Radiometry.from_dict(json.loads(json.dumps(found.as_dict()))) == found


def test_recorded_values_that_are_linear_are_not_copied() -> None:
    assert AS_RECORDED.is_identity
    assert AS_RECORDED.linear(LIGHT) is LIGHT
    assert not Radiometry(offset=(0.0, 0.1)).is_identity


def test_values_of_channels_are_named_once_where_they_agree() -> None:
    assert channel_values([0.08, 0.0801]) == "0.080"
    assert channel_values([0.08, -0.1, -1e-9]) == "0.080, -0.100, 0.000"
    assert channel_values([4.9e32]).isdigit()
    found = Radiometry("sRGB", offset=(0.08,) * 3)
    assert found.line([0.55] * 3) == "sRGB curve undone, gain 0.550, offset 0.080"
    assert AS_RECORDED.line() == "offset 0"


def test_unknown_curves_and_empty_divisors_are_refused() -> None:
    with pytest.raises(ValueError, match="curve"):
        Radiometry("log")
    with pytest.raises(ValueError, match="divisor: expected positive"):
        Radiometry(divisor=(0.0,))


@pytest.mark.parametrize(("largest", "white"), [(0.7, 1.0), (1.01, 1.0), (255.0, 255.0), (60000.0, 65535.0)])
def test_the_white_level_is_the_next_common_one(largest: float, white: float) -> None:
    assert white_level(np.float32(largest) * LIGHT) == white
