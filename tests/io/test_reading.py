"""Files of others: order of the axes, choice of the array, white level, wavelengths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import scipy.io
import tifffile

from hsr_tf.io import load

HEIGHT, WIDTH, BANDS = 3, 5, 4
CUBE = np.arange(HEIGHT * WIDTH * BANDS, dtype=np.uint16).reshape(HEIGHT, WIDTH, BANDS) * 1000
AXES = {"row": 0, "col": 1, "band": 2}
LAYOUTS = ["band,row,col", "row,col,band", "col,row,band", "band,col,row", "row,band,col", "col,band,row"]


def laid_out(layout: str) -> np.ndarray:
    return CUBE.transpose([AXES[axis] for axis in layout.split(",")])


def write_h5(path: Path, attributes: dict[str, Any] | None = None, **arrays: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
        if "cube" in arrays:
            file["cube"].attrs.update(attributes or {})
    return path


def write_matlab_73(path: Path, **arrays: np.ndarray) -> Path:
    """As MATLAB does: a 512-byte text header, then HDF5 with every array's axes reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = array.T
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_hdf5_axes_follow_the_attribute(layout: str, tmp_path: Path) -> None:
    path = write_h5(tmp_path / "a.h5", {"layout": layout, "white_level": 1}, cube=laid_out(layout))
    np.testing.assert_array_equal(load(path).cube, CUBE)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["a.h5", "a.mat", "73.mat", "a.npz", "a.tif"])
def test_a_layout_given_by_the_caller_counts_in_every_format(name: str, layout: str, tmp_path: Path) -> None:
    path, array = tmp_path / name, np.ascontiguousarray(laid_out(layout))
    if name == "a.h5":
        write_h5(path, {"layout": "row,col,band"}, cube=array)
    elif name == "a.mat":
        scipy.io.savemat(path, {"cube": array})
    elif name == "73.mat":
        write_matlab_73(path, cube=array)
    elif name == "a.npz":
        np.savez(path, cube=array)
    else:
        tifffile.imwrite(path, array, photometric="minisblack")
    np.testing.assert_array_equal(load(path, layout=layout, white_level=1).cube, CUBE)


def test_without_a_layout_each_format_has_its_own_order(tmp_path: Path) -> None:
    write_h5(tmp_path / "a.h5", cube=laid_out("band,row,col"))
    scipy.io.savemat(tmp_path / "a.mat", {"x": CUBE})
    write_matlab_73(tmp_path / "73.mat", x=CUBE)
    np.savez(tmp_path / "a.npz", x=CUBE)
    tifffile.imwrite(tmp_path / "a.tif", laid_out("band,row,col"), photometric="minisblack")
    tifffile.imwrite(
        tmp_path / "z.tif", laid_out("band,row,col"), photometric="minisblack", compression="zlib"
    )
    for name in ("a.h5", "a.mat", "73.mat", "a.npz", "a.tif", "z.tif"):
        np.testing.assert_array_equal(load(tmp_path / name, white_level=1).cube, CUBE, err_msg=name)


@pytest.mark.parametrize(
    "key", ["ref", "rad", "pavia", "paviaU", "chikusei", "indian_pines_corrected", "msi", "hsi"]
)
@pytest.mark.parametrize("write", [scipy.io.savemat, None])
def test_known_keys_are_found_among_other_cubes(
    key: str, write: Callable[..., None] | None, tmp_path: Path
) -> None:
    arrays = {"another": np.zeros((2, 2, 2)), key: CUBE / 60000.0}
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, arrays) if write else write_matlab_73(path, **arrays)
    np.testing.assert_allclose(load(path).cube, CUBE / 60000.0, rtol=1e-6)


@pytest.mark.parametrize("version", [5, 73])
def test_the_wavelengths_of_icvl_are_read_from_bands(version: int, tmp_path: Path) -> None:
    bands = np.array([[400.0, 410.0, 420.0, 430.0]])
    arrays = {"rad": CUBE / 1.0, "bands": bands}
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, arrays) if version == 5 else write_matlab_73(path, **arrays)
    scene = load(path, white_level=4095)
    np.testing.assert_array_equal(scene.wavelengths_nm, bands[0])
    np.testing.assert_allclose(scene.cube, CUBE / 4095.0, rtol=1e-6)


def test_bands_that_are_indices_are_not_taken_for_wavelengths(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"rad": CUBE / 1.0, "bands": np.arange(1, 5)})
    assert load(tmp_path / "a.mat").wavelengths_nm is None


@pytest.mark.parametrize("name", ["a.h5", "a.mat", "73.mat", "a.npz"])
def test_a_key_chooses_and_a_plane_is_one_band(name: str, tmp_path: Path) -> None:
    path, arrays = (
        tmp_path / name,
        {"one": np.zeros((2, 2, 2)), "two": CUBE / 1.0, "plane": CUBE[..., 1] / 1.0},
    )
    writers: dict[str, Callable[[], object]] = {
        "a.h5": lambda: write_h5(path, **arrays),
        "a.mat": lambda: scipy.io.savemat(path, arrays),
        "73.mat": lambda: write_matlab_73(path, **arrays),
        "a.npz": lambda: np.savez(path, **arrays),
    }
    writers[name]()
    np.testing.assert_array_equal(load(path, key="two", layout="row,col,band").cube, CUBE)
    np.testing.assert_array_equal(load(path, key="plane").cube, CUBE[..., 1:2])
    with pytest.raises(OSError, match=r"holds 2 3-D arrays; .*one \(2, 2, 2\).*plane"):
        load(path)
    with pytest.raises(OSError, match=r"has no array .three.; .*two"):
        load(path, key="three")


@pytest.mark.parametrize(
    ("attributes", "divisor"),
    [
        ({"white_level": 4095}, 4095),
        ({"reflectance_scale": 5000}, 5000),
        ({"scale": 1402}, 1402),
        ({"scale": 8}, 65535),
        ({"white_level": 4095, "scale": 1402}, 4095),
        ({}, 65535),
    ],
)
def test_integers_are_divided_by_the_white_level(
    attributes: dict[str, int], divisor: int, tmp_path: Path
) -> None:
    path = write_h5(tmp_path / "a.h5", attributes, cube=laid_out("band,row,col"))
    scene = load(path)
    np.testing.assert_array_equal(scene.cube, CUBE.astype(np.float32) / np.float32(divisor))
    assert scene.metadata["white_level"] == divisor
    assert load(path, white_level=2.0).metadata["white_level_origin"] == "argument"


def test_floating_point_values_are_taken_as_they_are(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "a.h5", {"white_level": 4095}, cube=laid_out("band,row,col") / 7.0)
    np.testing.assert_allclose(load(path).cube, CUBE / 7.0, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["u1", "i2", ">u2", "i4", "u8", "<f4", ">f8"])
@pytest.mark.parametrize("name", ["a.h5", "a.mat", "a.npz"])
def test_every_type_of_real_number_is_read(name: str, dtype: str, tmp_path: Path) -> None:
    array, path = (CUBE // 1000).astype(dtype), tmp_path / name
    if name == "a.h5":
        write_h5(path, {"layout": "row,col,band"}, cube=array)
    elif name == "a.mat":
        scipy.io.savemat(path, {"cube": array})
    else:
        np.savez(path, cube=array)
    np.testing.assert_array_equal(load(path, white_level=1).cube, CUBE // 1000)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((3, 5), "u1"), ((3, 5, 3), "u1"), ((3, 5), "u2"), ((3, 5, 3), "u2")]
)
def test_png_keeps_its_channels_and_all_its_bits(shape: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, endpoint=True).astype(dtype)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(stored))
    expected = stored.reshape(3, 5, -1) / np.iinfo(dtype).max
    np.testing.assert_allclose(load(tmp_path / "a.png").cube, expected, atol=1e-7)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
def test_colour_tiff_is_read_in_either_plane_order(planarconfig: str, dtype: str, tmp_path: Path) -> None:
    stored = (np.random.default_rng(0).random((6, 5, 3)) * {"u2": 65000}.get(dtype, 200)).astype(dtype)
    written = stored if planarconfig == "contig" else np.moveaxis(stored, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", written, photometric="rgb", planarconfig=planarconfig)
    expected = stored if dtype == "f4" else stored / np.iinfo(dtype).max
    np.testing.assert_allclose(load(tmp_path / "a.tif").cube, expected, atol=1e-7)


def write_bands(folder: Path, names: list[str], bands: list[np.ndarray]) -> Path:
    folder.mkdir()
    for name, band in zip(names, bands, strict=True):
        (folder / name).write_bytes(imagecodecs.png_encode(np.ascontiguousarray(band)))
    return folder


def test_a_folder_is_read_in_natural_order_and_other_files_are_left_aside(tmp_path: Path) -> None:
    names = [f"b{number}.png" for number in (10, 9, 100, 1)]
    folder = write_bands(tmp_path / "f", names, [CUBE[..., band] for band in (2, 1, 3, 0)])
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "scene_RGB.bmp").write_bytes(b"x")
    scene = load(folder, white_level=1)
    np.testing.assert_array_equal(scene.cube, CUBE)
    assert scene.wavelengths_nm is None and scene.name == "f"


def test_a_cave_folder_has_its_wavelengths(tmp_path: Path) -> None:
    names = [f"balloons_ms_{number:02d}.png" for number in range(1, 32)]
    folder = write_bands(tmp_path / "balloons_ms", names, [CUBE[..., 0] + band for band in range(31)])
    np.testing.assert_array_equal(load(folder).wavelengths_nm, np.arange(400, 701, 10))


def test_colour_bands_with_equal_channels_are_gray_and_eight_bits_mix_with_sixteen(tmp_path: Path) -> None:
    gray = (CUBE[..., 1] // 256).astype(np.uint8)
    alpha = np.full_like(gray, 255)
    bands = [CUBE[..., 0], np.stack([gray, gray, gray, alpha], axis=-1)]
    scene = load(write_bands(tmp_path / "f", ["1.png", "2.png"], bands))
    np.testing.assert_allclose(scene.cube[..., 0], CUBE[..., 0] / 65535, atol=1e-7)
    np.testing.assert_allclose(scene.cube[..., 1], gray / 255, atol=1e-7)


def test_real_cave_scenes_are_the_stored_value_over_the_white_level(shared_data: Path) -> None:
    for name, level in (("hsi/cave_test/balloons.h5", 65535), ("hsi/cave_train/cd.h5", 4095)):
        scene = load(shared_data / name)
        with h5py.File(shared_data / name) as file:
            stored = file["cube"][...]
        assert scene.shape == (512, 512, 31) and scene.metadata["white_level"] == level
        expected = np.moveaxis(stored, 0, -1).astype(np.float64) / level
        np.testing.assert_allclose(scene.cube, expected, atol=6e-8)
        np.testing.assert_array_equal(scene.wavelengths_nm, np.arange(400, 701, 10))


def test_real_remote_scenes_and_the_second_image_of_a_pair_are_read(shared_data: Path) -> None:
    folder = shared_data / "hsi" / "remote"
    for path in sorted(folder.glob("*.h5")):
        scene = load(path)
        assert scene.num_bands >= 100 and scene.name == path.stem
        assert np.percentile(scene.cube, 99.9) <= 1  # reflectance, a few noisy values beyond
    assert load(folder / "samson_1.h5").cube.max() == 1.0
    assert load(folder / "paris_hyperion_pan.h5", key="pan").shape == (216, 174, 1)
    assert load(folder / "paris_hyperion_hs.h5", key="ms_ali").shape == (72, 72, 9)
