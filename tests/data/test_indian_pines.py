"""Indian Pines: the parts are apart, the scale is the published one, the colour bands see what they say."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

from hsr_tf.data.indian_pines import REGIONS, SENTINEL2_NM, cut, load_indian_pines, sentinel2_response
from hsr_tf.scene import Scene
from hsr_tf.tiling.region import Region


@pytest.fixture(scope="module")
def whole() -> Scene:
    pytest.importorskip("tensorly", reason="the scene comes with tensorly: install the extra demo")
    return load_indian_pines()


def gap(a: Region, b: Region) -> int:
    """Pixels between two regions along the axis that keeps them further apart; negative where they meet."""
    covered = a.union(b)
    return max(covered.height - a.height - b.height, covered.width - a.width - b.width)


@pytest.mark.parametrize("pair", list(itertools.combinations(REGIONS, 2)))
def test_parts_lie_more_than_two_coarse_pixels_apart(pair: tuple[str, str]) -> None:
    assert gap(REGIONS[pair[0]], REGIONS[pair[1]]) > 2 * 4


def test_parts_are_what_their_regions_say_of_the_scene(whole: Scene) -> None:
    parts = cut(whole)
    assert parts.test.shape == (72, 72, 200)
    np.testing.assert_array_equal(parts.test.cube[3, 5], whole.cube[76, 78])
    np.testing.assert_array_equal(parts.validation.cube[3, 5], whole.cube[3, 78])
    np.testing.assert_array_equal(parts.training.cube[3, 5], whole.cube[3, 5])
    for part in (parts.training, parts.validation, parts.test):
        assert [side % 8 for side in part.shape[:2]] == [0, 0]


def test_values_are_radiances_over_twenty_without_the_stored_offset(whole: Scene) -> None:
    from tensorly.datasets import load_indian_pines as stored

    radiance = (np.asarray(stored()["tensor"], np.float64) - 1000) / 500
    np.testing.assert_allclose(whole.cube, radiance / 20, atol=1e-6)
    assert whole.cube.max() < 1


def test_wavelengths_rise_but_where_two_spectrometers_overlap(whole: Scene) -> None:
    wavelengths_nm = np.asarray(whole.wavelengths_nm)
    falls = wavelengths_nm[1:][np.diff(wavelengths_nm) < 0]
    np.testing.assert_allclose(falls, [686.91, 1273.0], atol=0.01)
    assert (wavelengths_nm.min(), wavelengths_nm.max()) == pytest.approx((400.02, 2498.96))


def test_each_colour_band_is_the_mean_of_the_bands_inside_its_limits() -> None:
    wavelengths_nm = np.arange(400.0, 1000.0, 10.0)
    scene = Scene(np.ones((1, 1, 60), np.float32), wavelengths_nm)
    response = sentinel2_response(scene)
    assert response.channels == tuple(SENTINEL2_NM)
    for column, (centre, width) in zip(response.matrix.T, SENTINEL2_NM.values(), strict=True):
        seen = wavelengths_nm[column > 0]
        assert seen.min() >= centre - width / 2
        assert seen.max() <= centre + width / 2
        np.testing.assert_allclose(column[column > 0], 1 / len(seen))


@pytest.mark.parametrize("wavelengths_nm", [None, np.linspace(400, 700, 31)])
def test_a_sensor_without_the_infrared_band_is_refused(wavelengths_nm: np.ndarray | None) -> None:
    with pytest.raises(ValueError, match="wavelengths_nm: expected bands inside each of B2 blue"):
        sentinel2_response(Scene(np.ones((1, 1, 31), np.float32), wavelengths_nm))


def test_without_tensorly_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorly.datasets", None)
    with pytest.raises(ValueError, match=r"tensorly.*\[demo\]"):
        load_indian_pines()
