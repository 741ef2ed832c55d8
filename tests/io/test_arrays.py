"""Axes of arrays that state no order, and axes of length one beside the three."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
import xarray

from hsr_tf.io import describe, load
from hsr_tf.io.arrays import Squeezed, kept_axes, likely_layout

FIRST, LAST = "band,row,col", "row,col,band"


@pytest.mark.parametrize(
    ("shape", "default", "expected"),
    [
        ((60, 64, 8), FIRST, LAST),  # eight bands of 60 x 64, not 60 of 64 x 8
        ((24, 24, 31), FIRST, LAST),  # a square image
        ((31, 24, 24), FIRST, FIRST),
        ((31, 512, 512), LAST, FIRST),
        ((103, 610, 340), FIRST, FIRST),
        ((610, 340, 103), FIRST, LAST),
        ((145, 145, 200), LAST, LAST),
        ((200, 145, 145), LAST, FIRST),
        ((31, 20, 26), FIRST, FIRST),  # no order is more likely: the default stays
        ((1, 500, 4), FIRST, FIRST),
        ((5, 7, 4), LAST, LAST),
    ],
)
def test_the_order_follows_from_the_lengths_where_they_speak_clearly(
    shape: tuple[int, ...], default: str, expected: str
) -> None:
    assert likely_layout(shape, default) == expected


def write(path: Path, array: np.ndarray) -> Path:
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["data"] = array
    elif path.suffix == ".mat":
        scipy.io.savemat(path, {"data": array})
    elif path.suffix == ".npz":
        np.savez(path, data=array)
    else:
        tifffile.imwrite(path, array, photometric="minisblack")
    return path


@pytest.mark.parametrize("name", ["a.h5", "a.mat", "a.npz", "a.tif"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_every_format_of_arrays_recognises_its_axes_and_says_so(
    name: str, order: tuple[int, ...], tmp_path: Path
) -> None:
    cube = np.random.default_rng(0).random((60, 64, 8), np.float32)
    path = write(tmp_path / name, cube.transpose(order))
    np.testing.assert_array_equal(load(path).cube, cube)
    is_default = (name in ("a.mat", "a.npz")) == (order == (0, 1, 2))
    assert len([one for one in describe(path).findings if "--layout" in one.advice]) == (not is_default)
    stated = describe(path, layout=LAST if order == (0, 1, 2) else FIRST)
    assert stated.shape == cube.shape and not stated.findings


@pytest.mark.parametrize("name", ["a.mat", "a.npz"])
def test_wavelengths_decide_the_order_where_there_are_any(name: str, tmp_path: Path) -> None:
    array, listed = np.random.default_rng(0).random((5, 7, 9)), np.linspace(400.0, 700.0, 5)
    path = tmp_path / name
    if name == "a.mat":
        scipy.io.savemat(path, {"cube": array, "wavelengths": listed})
    else:
        np.savez(path, cube=array, wavelengths=listed)
    scene = load(path)
    np.testing.assert_array_equal(scene.cube, array.transpose(1, 2, 0).astype(np.float32))
    assert scene.wavelengths_nm is not None and scene.wavelengths_nm.tolist() == listed.tolist()


def test_wavelengths_in_micrometres_beside_an_array_are_recognised_and_indices_are_not(
    tmp_path: Path,
) -> None:
    cube, centres = np.random.default_rng(0).random((6, 7, 4)), np.array([0.45, 0.55, 0.66, 0.85])
    np.savez(tmp_path / "a.npz", cube=cube, wavelengths=centres)
    np.testing.assert_allclose(load(tmp_path / "a.npz").wavelengths_nm, 1000 * centres)
    assert any("micrometres" in one.found for one in describe(tmp_path / "a.npz").findings)
    np.savez(tmp_path / "b.npz", cube=cube, wavelengths=np.arange(4))
    assert load(tmp_path / "b.npz").wavelengths_nm is None
    assert any("taken as no nanometres" in one.found for one in describe(tmp_path / "b.npz").findings)


@pytest.mark.parametrize("name", ["a.h5", "a.mat", "a.npz", "a.nc"])
def test_a_time_axis_of_one_is_dropped(name: str, tmp_path: Path) -> None:
    cube, path = np.random.default_rng(0).random((1, 4, 5, 6), np.float32), tmp_path / name
    expected = cube[0] if name in ("a.mat", "a.npz") else cube[0].transpose(1, 2, 0)
    if name == "a.nc":
        data = xarray.Dataset({"cube": (("time", "band", "y", "x"), cube), "time": ("time", [0.5])})
        data.to_netcdf(path, engine="h5netcdf")
        (finding,) = describe(path).findings
        assert "the axis time of length one is dropped" in finding.found
    else:
        write(path, cube)
    np.testing.assert_array_equal(load(path).cube, expected)


def test_windows_of_a_squeezed_array_are_those_of_the_array() -> None:
    array = np.random.default_rng(0).random((1, 3, 1, 4, 5))
    assert kept_axes(array.shape) == (1, 3, 4) and kept_axes((1, 4, 5)) == (0, 1, 2)
    window = (slice(1, 3), slice(None), slice(2, 4))
    np.testing.assert_array_equal(Squeezed(array)[window], array[0, 1:3, 0, :, 2:4])
