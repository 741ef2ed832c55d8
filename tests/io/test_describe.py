"""`describe` gives what `load` would, without holding the cube."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from hsr_tf.io import describe, load, save
from hsr_tf.scene import Scene


@pytest.mark.parametrize("name", ["a.h5", "a.mat", "a.npz", "a.png", "a.tif", "folder"])
def test_numbers_are_those_of_the_loaded_scene(
    name: str, make_scene: Callable[..., Scene], tmp_path: Path
) -> None:
    path = save(make_scene(3), tmp_path / name)
    summary, scene = describe(path), load(path)
    assert summary.shape == scene.shape and summary.name == scene.name
    assert summary.dtype == ("float32" if name in ("a.h5", "a.mat", "a.npz") else "uint16")
    assert summary.minimum == scene.cube.min() and summary.maximum == scene.cube.max()
    assert summary.mean == pytest.approx(scene.cube.mean(dtype=np.float64), rel=1e-12)
    expected = None if scene.wavelengths_nm is None else (400.0, 700.5)
    assert summary.wavelengths_nm == expected


def test_pixels_without_data_are_counted_and_left_out(tmp_path: Path) -> None:
    cube = np.ones((3, 4, 2), np.float32)
    cube[2, 1] = np.nan
    summary = describe(save(Scene(cube, nodata_mask=np.isnan(cube[..., 0])), tmp_path / "a.h5"))
    assert (summary.num_nodata, summary.num_not_finite, summary.mean) == (1, 0, 1.0)


def test_the_white_level_and_its_origin_are_told(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["cube"] = np.full((2, 3, 4), 100, np.uint16)
    guess = describe(tmp_path / "a.h5")
    assert (guess.white_level_origin, guess.white_level, guess.white_level_sample) == ("guessed", 255, 100)
    given = describe(tmp_path / "a.h5", white_level=200)
    assert (given.white_level_origin, given.white_level, given.maximum) == ("argument", 200.0, 0.5)


def test_a_large_file_is_described_in_a_fraction_of_its_size(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset(
            "cube", (160, 256, 256), np.float32, chunks=(1, 256, 256), compression="lzf"
        )
        dataset[5] = 1.0
    tracemalloc.start()
    summary = describe(tmp_path / "a.h5")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert summary.maximum == 1.0
    assert peak < 160 * 256 * 256 * 4 / 4


def test_a_real_scene_is_described(shared_data: Path) -> None:
    summary = describe(shared_data / "hsi" / "cave_test" / "balloons.h5")
    assert summary.shape == (512, 512, 31) and summary.dtype == "uint16" and summary.format == "HDF5"
    assert summary.white_level == 65535 and summary.white_level_origin == "file"
    assert summary.wavelengths_nm == (400.0, 700.0)
