"""What is saved comes back, and other programs read the same numbers from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import imagecodecs
import numpy as np
import pytest
import scipy.io
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from hsr_tf.io import load, save
from hsr_tf.scene import Scene

LOSSLESS = ["a.h5", "a.HDF5", "a.mat", "a.npz"]
MakeScene = Callable[..., Scene]


@pytest.mark.parametrize("name", LOSSLESS)
def test_everything_about_a_scene_survives(name: str, make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene()
    returned = load(save(scene, tmp_path / name))
    np.testing.assert_array_equal(returned.cube, scene.cube)
    np.testing.assert_array_equal(returned.wavelengths_nm, scene.wavelengths_nm)
    assert returned.name == "small scene"
    assert {key: returned.metadata[key] for key in scene.metadata} == scene.metadata


@pytest.mark.parametrize("name", LOSSLESS)
def test_pixels_without_data_survive(name: str, tmp_path: Path) -> None:
    cube = np.ones((3, 4, 2), np.float32)
    cube[2, 1] = np.nan
    mask = np.isnan(cube[..., 0])
    returned = load(save(Scene(cube, nodata_mask=mask), tmp_path / name))
    np.testing.assert_array_equal(returned.nodata_mask, mask)
    np.testing.assert_array_equal(returned.cube, cube)


@settings(max_examples=25, deadline=None)
@given(
    cube=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=6),
        elements=st.floats(-10, 10, width=32),
    ),
    name=st.sampled_from(LOSSLESS),
)
def test_any_float_cube_comes_back_bit_for_bit(
    cube: np.ndarray, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / name
    np.testing.assert_array_equal(load(save(Scene(cube), path)).cube, cube)


@settings(max_examples=25, deadline=None)
@given(
    stored=hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)),
    bands=st.sampled_from([1, 3]),
    name=st.sampled_from(["a.png", "a.tif", "folder"]),
)
def test_sixteen_bit_values_come_back_exactly(
    stored: np.ndarray, bands: int, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    levels = np.stack([np.roll(stored, band, axis=0) for band in range(bands)], axis=-1)
    scene = Scene(levels.astype(np.float32) / np.float32(65535))
    returned = load(save(scene, tmp_path_factory.mktemp("bits") / name))
    np.testing.assert_array_equal(returned.cube, scene.cube)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 4, 3), (4, 1, 3), (1, 1, 1)])
def test_bands_one_sample_wide_go_into_a_folder(shape: tuple[int, int, int], tmp_path: Path) -> None:
    cube = np.linspace(0, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    returned = load(save(Scene(cube), tmp_path / "folder"))
    np.testing.assert_allclose(returned.cube, cube, rtol=0, atol=1e-5)


def test_h5py_reads_the_layout_the_values_and_the_wavelengths(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene()
    with h5py.File(save(scene, tmp_path / "a.h5")) as file:
        assert file["cube"].attrs["layout"] == "band,row,col"
        assert file["cube"].dtype == np.float32 and file["cube"].chunks == (1, 5, 7)
        assert "white_level" not in file["cube"].attrs and "white_level" not in file.attrs
        np.testing.assert_array_equal(file["cube"][2], scene.cube[..., 2])
        np.testing.assert_array_equal(file["wavelength_nm"][...], scene.wavelengths_nm)


def test_scipy_and_numpy_read_what_was_written(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene()
    held = scipy.io.loadmat(save(scene, tmp_path / "a.mat"))
    np.testing.assert_array_equal(held["cube"], scene.cube)
    assert json.loads(held["metadata"][0])["gain"] == 1.5
    with np.load(save(scene, tmp_path / "a.npz"), allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["cube"], scene.cube)


def test_other_readers_see_sixteen_bits_of_colour(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene(3)
    expected = np.rint(scene.cube.astype(np.float64) * 65535)
    seen = imagecodecs.imread(str(save(scene, tmp_path / "a.png")))
    np.testing.assert_array_equal(seen, expected)
    np.testing.assert_array_equal(tifffile.imread(save(scene, tmp_path / "a.tif")), expected)


def test_pillow_reads_the_bands_of_a_folder(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene(12)
    folder = save(scene, tmp_path / "bands")
    assert sorted(path.name for path in folder.iterdir())[:2] == ["band_01.png", "band_02.png"]
    with Image.open(folder / "band_11.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), np.rint(scene.cube[..., 10].astype(float) * 65535))
    np.testing.assert_array_equal(load(folder).wavelengths_nm, scene.wavelengths_nm)


def test_pictures_are_clipped_and_the_clipping_is_announced(tmp_path: Path) -> None:
    scene = Scene(np.array([[[-0.5], [0.25], [1.5]]]))
    with pytest.warns(UserWarning, match=r"values from -0.5 to 1.5 were clipped to \[0, 1\]"):
        path = save(scene, tmp_path / "a.png")
    np.testing.assert_allclose(load(path).cube[0, :, 0], [0, 0.25, 1], atol=1 / 65535)


def test_metadata_of_other_kinds_is_kept_as_text_and_too_much_is_refused(tmp_path: Path) -> None:
    cube = np.zeros((2, 2, 2))
    returned = load(save(Scene(cube, metadata={"list": ["a", 1], "none": None}), tmp_path / "a.h5"))
    assert json.loads(returned.metadata["list"]) == ["a", 1] and returned.metadata["none"] == "null"
    with pytest.raises(ValueError, match=r"metadata\['long'\]: expected at most"):
        save(Scene(cube, metadata={"long": "x" * 70_000}), tmp_path / "b.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_a_second_round_trip_changes_nothing(make_scene: MakeScene, tmp_path: Path) -> None:
    once = load(save(make_scene(), tmp_path / "a.h5"))
    twice = load(save(once, tmp_path / "b.h5"))
    np.testing.assert_array_equal(once.cube, twice.cube)
    assert once.metadata == twice.metadata
