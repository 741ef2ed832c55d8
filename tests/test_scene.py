"""Scene and Observation: what they keep, what they refuse, and in which words."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from hsr_tf.scene import Observation, Scene


def scene_of(height: int, width: int, bands: int = 3) -> Scene:
    return Scene(np.zeros((height, width, bands), np.float32))


def test_cube_is_kept_as_contiguous_float32_with_the_same_values() -> None:
    stored = np.arange(2 * 3 * 4, dtype=np.uint16).reshape(4, 2, 3)
    scene = Scene(np.moveaxis(stored, 0, -1))
    assert scene.cube.dtype == np.float32
    assert scene.cube.flags["C_CONTIGUOUS"]
    assert scene.shape == (2, 3, 4) and scene.num_bands == 4
    assert scene.cube[1, 2, 3] == stored[3, 1, 2]


def test_wavelengths_become_float64_and_metadata_a_copy() -> None:
    metadata = {"white_level": 4095.0}
    scene = Scene(np.zeros((2, 2, 2)), wavelengths_nm=[400, 410], metadata=metadata)
    metadata["white_level"] = 1.0
    assert scene.wavelengths_nm is not None and scene.wavelengths_nm.dtype == np.float64
    assert scene.metadata == {"white_level": 4095.0}


def test_a_scene_can_be_copied_and_pickled() -> None:
    scene = Scene(np.ones((2, 3, 2)), name="a", metadata={"k": 1})
    for twin in (copy.deepcopy(scene), pickle.loads(pickle.dumps(scene))):
        assert twin.name == "a" and twin.metadata == {"k": 1} and np.array_equal(twin.cube, scene.cube)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted_and_located(bad: float) -> None:
    cube = np.zeros((3, 4, 2))
    cube[1, 2, 1] = bad
    with pytest.raises(ValueError, match=r"cube: expected finite values, got 1 NaN.*\(1, 2, 1\)"):
        Scene(cube)


def test_values_under_the_nodata_mask_may_be_nan_and_others_may_not() -> None:
    cube = np.zeros((3, 4, 2))
    cube[1, 2] = np.nan
    mask = np.zeros((3, 4), bool)
    mask[1, 2] = True
    assert Scene(cube, nodata_mask=mask).nodata_mask is not None
    cube[0, 0, 0] = np.inf
    with pytest.raises(ValueError, match=r"1 NaN or infinite values .*\(0, 0, 0\)"):
        Scene(cube, nodata_mask=mask)


def test_opposite_infinities_do_not_cancel_in_the_check() -> None:
    with pytest.raises(ValueError, match="2 NaN or infinite"):
        Scene(np.array([[[np.inf, -np.inf, 0.0]]]))


def test_a_double_beyond_float32_is_refused_as_infinite() -> None:
    with pytest.raises(ValueError, match="finite"):
        Scene(np.full((1, 1, 1), 1e300))


@pytest.mark.parametrize(
    "cube", [np.zeros((3, 4)), np.zeros((1, 2, 3, 4)), np.zeros((0, 4, 3)), np.float32(1)]
)
def test_a_cube_of_other_dimensions_or_without_values_is_refused(cube: np.ndarray) -> None:
    with pytest.raises(ValueError, match="cube: expected a 3-D array"):
        Scene(cube)


@pytest.mark.parametrize("dtype", [complex, bool, object, "U4", "M8[s]"])
def test_a_cube_that_is_not_of_real_numbers_is_refused(dtype: object) -> None:
    with pytest.raises(ValueError, match="cube: expected real numbers"):
        Scene(np.zeros((1, 2, 3), dtype=dtype))


@pytest.mark.parametrize("wavelengths", [[400.0], [400.0, np.nan], [400.0, -1.0], [[400.0, 410.0]]])
def test_wavelengths_that_do_not_fit_are_refused(wavelengths: list[float]) -> None:
    with pytest.raises(ValueError, match="wavelengths_nm: expected"):
        Scene(np.zeros((2, 2, 2)), wavelengths_nm=wavelengths)


@pytest.mark.parametrize("mask", [np.zeros((4, 3), bool), np.zeros((3, 4), float)])
def test_a_mask_of_another_size_or_type_is_refused(mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match="nodata_mask: expected a boolean array of shape"):
        Scene(np.zeros((3, 4, 2)), nodata_mask=mask)


@pytest.mark.parametrize("scale", [1, 3, 8])
def test_a_pair_finds_its_scale(scale: int) -> None:
    observation = Observation.from_pair(scene_of(4, 5, 31), scene_of(4 * scale, 5 * scale))
    assert observation.scale == scale


@pytest.mark.parametrize(
    ("hr_size", "words"),
    [
        ((17, 20), "4x5 pixels.*17x20 pixels"),
        ((16, 21), "16x21 pixels"),
        ((3, 5), "swapped"),
        ((16, 15), "4 times the rows and 3 times the columns"),
    ],
)
def test_a_pair_of_sizes_that_do_not_divide_is_refused_with_both_sizes(
    hr_size: tuple[int, int], words: str
) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        Observation.from_pair(scene_of(4, 5, 31), scene_of(*hr_size))
    assert str(caught.value).startswith("hr_msi:") and "\n" not in str(caught.value)


def test_an_observation_with_a_wrong_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 8x10 pixels"):
        Observation(lr_hsi=scene_of(4, 5), hr_msi=scene_of(16, 20), scale=2)
