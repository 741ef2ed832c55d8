"""Cubes that are not in [0, 1] are brought there where their numbers show how, otherwise refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from hsr_tf.data.white_level import in_unit_range
from hsr_tf.io import load
from hsr_tf.scene import Scene


def numbers(peak: float, *, seed: int = 0) -> np.ndarray:
    """Whole numbers up to `peak`, (6, 5, 4)."""
    found = np.rint(np.random.default_rng(seed).uniform(0, peak, (6, 5, 4)))
    found[0, 0, 0] = peak
    return found


def stored(folder: Path, values: np.ndarray, name: str = "a") -> Scene:
    """Values in a MATLAB 7.3 file as ICVL has them: a variable `rad`, bands first."""
    path = folder / f"{name}.mat"
    with h5py.File(path, "w") as file:
        file["rad"] = values.transpose(2, 1, 0)
    return load(path)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint16, np.int16])
def test_numbers_of_a_12_bit_camera_are_divided_by_4095(dtype: type, tmp_path: Path) -> None:
    bright, dark = numbers(4095), numbers(300, seed=1)
    scenes = [stored(tmp_path, bright.astype(dtype)), stored(tmp_path, dark.astype(dtype), "b")]
    found = in_unit_range(scenes)
    assert found.white_level == 4095
    for scene, values in zip(found.scenes, (bright, dark), strict=True):
        np.testing.assert_allclose(np.sort(scene.cube.ravel()), np.sort(values.ravel() / 4095), atol=1e-6)


def test_scenes_in_unit_range_stay_as_they_are(tmp_path: Path) -> None:
    scene = stored(tmp_path, numbers(1000) / 900 - 0.05)
    found = in_unit_range([scene])
    assert found.white_level is None and found.scenes[0] is scene
    sixteen = stored(tmp_path, numbers(60000).astype(np.uint16), "b")
    assert in_unit_range([sixteen]).scenes[0] is sixteen


@pytest.mark.parametrize("values", [numbers(10000), numbers(4095) + 0.5, numbers(255), numbers(4095) - 100])
def test_other_ranges_are_refused_with_file_range_and_remedy(values: np.ndarray, tmp_path: Path) -> None:
    said = r"data_dir: expected cubes with values in \[0, 1\], got a.mat with values from .*--white_level"
    with pytest.raises(ValueError, match=said):
        in_unit_range([stored(tmp_path, values)])


def test_a_white_level_that_is_given_counts_before_all_else(tmp_path: Path) -> None:
    floats, integers = numbers(10000), numbers(4000).astype(np.uint16)
    scenes = [stored(tmp_path, floats), stored(tmp_path, integers, "b")]
    found = in_unit_range(scenes, 10000.0)
    assert found.white_level == 10000
    for scene, peak in zip(found.scenes, (1.0, 0.4), strict=True):
        assert float(scene.cube.max()) == pytest.approx(peak, rel=1e-6)
    with pytest.raises(ValueError, match="correct --white_level=100"):
        in_unit_range(scenes, 100.0)
