"""Scenes beyond the limit of memory lie in files: the same values, read again only where a file changed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hsr_tf.data.storage import (
    ArrayStore,
    StoredScenes,
    cubes_of,
    named,
    names_of,
    read_training_scenes,
)
from hsr_tf.io import load, save
from hsr_tf.scene import Scene

WAVELENGTHS_NM = np.array([450.0, 550, 650])


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Three scenes of 12 bits, in floating point as ICVL has them."""
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    cubes = [np.rint(rng.random((9, 7, 3)) * peak) for peak in (4095, 900, 4000)]
    scenes = [Scene(cube, WAVELENGTHS_NM, f"s{index}") for index, cube in enumerate(cubes)]
    return [save(scene, tmp_path / "in" / f"{scene.name}.mat") for scene in scenes]


def test_scenes_beyond_the_limit_are_those_within_it(paths: list[Path], tmp_path: Path) -> None:
    whole = read_training_scenes(paths, load, cache=tmp_path / "cache")
    stored = read_training_scenes(paths, load, cache=tmp_path / "cache", memory_limit=1000)
    assert isinstance(stored.scenes, StoredScenes) and not isinstance(whole.scenes, StoredScenes)
    assert stored.white_level == whole.white_level == 4095
    assert names_of(stored.scenes) == names_of(whole.scenes) == ["s0", "s1", "s2"]
    for found, expected in zip(stored.scenes, whole.scenes, strict=True):
        np.testing.assert_array_equal(found.cube, expected.cube)
        np.testing.assert_array_equal(found.wavelengths_nm, WAVELENGTHS_NM)
    assert all(isinstance(cube, np.memmap) for cube in cubes_of(stored.scenes))
    for scenes in (stored.scenes, whole.scenes):
        assert names_of(named(scenes, ["s2", "s0"])) == ["s0", "s2"]
    assert names_of(stored.scenes[1:]) == ["s1", "s2"]


def test_a_cache_is_used_again_until_a_file_changes(paths: list[Path], tmp_path: Path) -> None:
    calls: list[str] = []

    def read(path: Path) -> Scene:
        calls.append(path.stem)
        return load(path)

    def again(level: float | None = None) -> int:
        calls.clear()
        read_training_scenes(paths, read, white_level=level, cache=tmp_path / "cache", memory_limit=1000)
        return len(calls)

    assert again() == 6  # twice each: the white level is found first
    assert again() == again(4095.0) == 0
    assert again(5000.0) == 5  # until the limit is passed, then each once
    os.utime(paths[1], (1, 1))
    assert again(5000.0) == 5


def test_values_that_no_white_level_explains_are_refused_before_the_cache_is_written(
    paths: list[Path], tmp_path: Path
) -> None:
    save(Scene(np.full((9, 7, 3), 70000.5), WAVELENGTHS_NM, "s3"), tmp_path / "in" / "s3.mat")
    with pytest.raises(ValueError, match=r"with values from .*; give --white_level"):
        read_training_scenes(
            [*paths, tmp_path / "in" / "s3.mat"], load, cache=tmp_path / "cache", memory_limit=1000
        )
    assert not (tmp_path / "cache").exists()


def test_arrays_are_in_memory_up_to_the_limit(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path / "cache", 100)
    arrays = [np.full((5, 8, 1), value, np.uint8) for value in range(4)]
    for index, array in enumerate(arrays):
        store.add(array, f"a{index}")
    assert [isinstance(array, np.memmap) for array in store.arrays] == [False, False, True, True]
    for found, expected in zip(store.arrays, arrays, strict=True):
        np.testing.assert_array_equal(found, expected)
