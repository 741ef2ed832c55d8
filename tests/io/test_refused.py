"""Bad files get one clear line, an OSError or a ValueError, and are never half read."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import scipy.io
import tifffile

from hsr_tf.io import describe, load, save, writer_for
from hsr_tf.scene import Scene

FORMATS = [
    "a.h5",
    "a.mat",
    "a73.mat",
    "a.npz",
    "a.png",
    "a.tif",
    "pages.tif",
    "zipped.tif",
    "plain.tif",
    "folder",
]
PAGES = {"pages.tif": {}, "zipped.tif": {"compression": "zlib"}, "plain.tif": {"metadata": None}}


def refusal(action: Callable[[], object], *, kind: type[Exception] = OSError) -> str:
    with pytest.raises(kind) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    return message


def whole_file(folder: Path, name: str) -> Path:
    """A good file of each format, with wavelengths where it can hold them; the path of the file to damage."""
    rng = np.random.default_rng(0)
    cube = rng.random((20, 24, 3), dtype=np.float32)
    scene, path = Scene(cube, wavelengths_nm=[400, 500, 600], metadata={"note": "n"}), folder / name
    if name in PAGES:
        pages = rng.integers(0, 65535, (7, 20, 24)).astype(np.uint16)
        tifffile.imwrite(path, pages, photometric="minisblack", **PAGES[name])
    elif name == "a73.mat":
        with h5py.File(path, "w", userblock_size=512) as file:
            file["cube"] = cube.T
        with open(path, "r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file")
    else:
        save(scene, path)
    return path / "band_02.png" if name == "folder" else path


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.0, 0.002, 0.02, 0.1, 0.3, 0.5, 0.8, 0.97, 0.999])
def test_a_file_cut_short_is_refused_wherever_it_is_cut(name: str, share: float, tmp_path: Path) -> None:
    damaged = whole_file(tmp_path, name)
    target = tmp_path / name
    before = load(target)
    data = damaged.read_bytes()
    damaged.write_bytes(data[: int(len(data) * share)])
    if (
        name in ("plain.tif", "pages.tif") and share == 0.999
    ):  # all pixels are there, only the last link is gone
        np.testing.assert_array_equal(load(target).cube, before.cube)
        return
    message = refusal(lambda: load(target))
    assert message.startswith(str(damaged)), message
    assert refusal(lambda: describe(target)).startswith(str(damaged))


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_of_noise_is_refused(name: str, tmp_path: Path) -> None:
    damaged = whole_file(tmp_path, name)
    damaged.write_bytes(np.random.default_rng(1).bytes(5000))
    assert refusal(lambda: load(tmp_path / name)).startswith(str(damaged))


@pytest.mark.parametrize("name", ["a.h5", "a.npz", "a.png", "a.tif", "zipped.tif", "folder"])
def test_changed_bytes_never_change_the_values_unnoticed(name: str, tmp_path: Path) -> None:
    damaged = whole_file(tmp_path, name)
    good, data, num_refused = load(tmp_path / name).cube, damaged.read_bytes(), 0
    for start in range(0, len(data) - 8, len(data) // 20):
        changed = bytes(255 - byte for byte in data[start : start + 8])
        damaged.write_bytes(data[:start] + changed + data[start + 8 :])
        try:
            np.testing.assert_array_equal(load(tmp_path / name).cube, good)
        except OSError:
            num_refused += 1
    assert num_refused >= 5


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "balloons.h5").touch()
    assert "did you mean balloons.h5?" in refusal(lambda: load(tmp_path / "baloons.h5"))
    assert "no such file" in refusal(lambda: load(tmp_path / "x.h5"))
    assert "does not exist either" in refusal(lambda: load(tmp_path / "no" / "x.h5"))


def test_an_unknown_suffix_lists_the_known_ones(tmp_path: Path) -> None:
    for name in ("a.xyz", "a"):
        (tmp_path / name).write_bytes(b"x")
        assert ".h5, .hdf5, .he5, .mat, .npz, .png, .jpg, .jpeg, .tif" in refusal(
            lambda name=name: load(tmp_path / name)
        )
    scene = Scene(np.zeros((2, 2, 3)))
    assert "unknown suffix '.xyz'; use one of .h5" in refusal(lambda: save(scene, tmp_path / "b.xyz"))
    assert "unknown suffix" in refusal(lambda: writer_for(tmp_path / "b.jpg"))


@pytest.mark.parametrize(
    "arrays", [{}, {"a": np.zeros((3, 4))}, {"a": np.zeros((2, 2, 3, 4))}, {"t": "text"}]
)
@pytest.mark.parametrize("name", ["a.h5", "a.mat", "a.npz"])
def test_a_file_without_a_cube_lists_what_it_holds(name: str, arrays: dict[str, Any], tmp_path: Path) -> None:
    write_arrays(tmp_path / name, arrays)
    message = refusal(lambda: load(tmp_path / name))
    assert "no 3-D array" in message
    assert all(f"a {array.shape}" in message for key, array in arrays.items() if key == "a")
    if "a" in arrays and arrays["a"].ndim == 4:
        assert "has 4 dimensions" in refusal(lambda: load(tmp_path / name, key="a"))


@pytest.mark.parametrize("name", ["a.h5", "a.mat", "a.npz"])
def test_complex_values_are_refused(name: str, tmp_path: Path) -> None:
    write_arrays(tmp_path / name, {"cube": np.ones((2, 3, 4), np.complex64) * 1j})
    assert "complex64, not real numbers" in refusal(lambda: load(tmp_path / name))


def test_text_objects_and_truth_values_are_refused(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", {"cube": np.zeros((2, 3, 4), "U3")})
    assert "not real numbers" in refusal(lambda: load(tmp_path / "a.npz"))
    write_arrays(tmp_path / "b.npz", {"cube": np.zeros((2, 3, 4), bool)})
    assert "bool, not real numbers" in refusal(lambda: load(tmp_path / "b.npz"))
    cell = np.empty((2, 3, 4), object)
    cell[...] = 1.0
    write_arrays(tmp_path / "c.mat", {"cube": cell})
    assert "'cube' is a cell" in refusal(lambda: load(tmp_path / "c.mat", key="cube"))


class Explosive:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.trace,)


def test_pickles_are_refused_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "exploded"
    cube = np.empty((1, 1, 1), object)
    cube[0, 0, 0] = Explosive(trace)
    np.savez(tmp_path / "a.npz", cube=cube)
    assert "object, not real numbers" in refusal(lambda: load(tmp_path / "a.npz"))
    np.savez(tmp_path / "b.npz", cube=np.zeros((1, 1, 1)), name=cube, metadata=cube)
    assert load(tmp_path / "b.npz").name == "b"
    assert not trace.exists()


@pytest.mark.parametrize("name", ["a.h5", "a.mat", "a.npz", "a.tif"])
def test_infinite_values_are_refused_and_only_counted_by_describe(name: str, tmp_path: Path) -> None:
    cube = np.ones((4, 3, 5), np.float32)
    cube[1, 2, 3] = np.inf
    path = tmp_path / name
    tifffile.imwrite(path, cube, photometric="minisblack") if name == "a.tif" else write_arrays(
        path, {"cube": cube}
    )
    message = refusal(lambda: load(path), kind=ValueError)
    assert message.startswith(f"{path}: cube: expected finite values, got 1 NaN or infinite")
    assert "--nodata=VALUE" in message
    summary = describe(path)
    assert summary.num_not_finite == 1 and summary.maximum == 1.0


def test_wavelengths_that_do_not_match_the_bands_are_refused(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.h5", {"cube": np.ones((4, 3, 5)), "wavelength_nm": np.arange(400.0, 406.0)})
    message = refusal(lambda: load(tmp_path / "a.h5"), kind=ValueError)
    assert "one value for each of the 4 bands" in message and str(tmp_path) in message


def test_a_cube_beyond_the_limit_is_refused_from_its_header(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("cube", (200, 10**5, 10**5), np.float32, chunks=(1, 1000, 1000))
    assert "7450.6 GiB" in refusal(lambda: load(tmp_path / "a.h5"))
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000, 100000, 200), }"
    member = np.lib.format.magic(1, 0) + struct.pack("<H", len(header)) + header
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("cube.npy", member)
    assert "GiB" in refusal(lambda: load(tmp_path / "a.npz"))
    (tmp_path / "a.png").write_bytes(png_claiming(100_000, 100_000))
    assert "GiB" in refusal(lambda: load(tmp_path / "a.png"))
    save(Scene(np.zeros((64, 64, 3))), tmp_path / "a.mat")
    assert "more than the limit of 1e-06 GiB" in refusal(lambda: load(tmp_path / "a.mat", max_gib=1e-6))


def test_an_empty_cube_is_refused(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.h5", {"cube": np.zeros((0, 4, 4))})
    assert "its cube is empty" in refusal(lambda: load(tmp_path / "a.h5"))


@pytest.mark.parametrize("level", [0, -1, "bright", [1, 2]])
def test_a_white_level_that_is_no_positive_number_is_refused(level: object, tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.h5", {"cube": np.ones((4, 3, 5), np.uint16)})
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["cube"].attrs["white_level"] = level
    assert "white_level is" in refusal(lambda: load(tmp_path / "a.h5"))
    assert "white_level:" in refusal(lambda: load(tmp_path / "a.h5", white_level=0.0), kind=ValueError)
    assert load(tmp_path / "a.h5", white_level=2.0).cube.max() == 0.5


@pytest.mark.parametrize("layout", ["hwc", "row,col", "row,col,row", "row,col,band,time", ""])
def test_a_layout_that_is_not_understood_is_refused(layout: str, tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.h5", {"cube": np.ones((4, 3, 5))})
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["cube"].attrs["layout"] = layout
    assert "layout: expected the words band, row and col" in refusal(
        lambda: load(tmp_path / "a.h5"), kind=ValueError
    )


def test_options_that_mean_nothing_for_a_picture_are_refused(tmp_path: Path) -> None:
    path = save(Scene(np.zeros((2, 2, 3))), tmp_path / "a.png")
    assert refusal(lambda: load(path, key="x"), kind=ValueError).startswith("key: expected nothing for PNG")
    assert refusal(lambda: load(path, layout="row,col,band"), kind=ValueError).startswith("layout:")


def test_folders_without_bands_or_with_bands_of_other_sizes_or_colours_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    (folder / "inner").mkdir(parents=True)
    assert "holds no PNG files; give a folder with one PNG per band" in refusal(lambda: load(folder))
    write_png(folder / "inner" / "1.png", np.zeros((3, 4), np.uint8))
    assert f"give {folder / 'inner'}" in refusal(lambda: load(folder))
    write_png(folder / "1.png", np.zeros((3, 4), np.uint8))
    write_png(folder / "2.png", np.zeros((3, 5), np.uint8))
    assert "2.png: is 3x5 pixels, the first band (1.png) 3x4" in refusal(lambda: load(folder))
    write_png(folder / "2.png", np.arange(36, dtype=np.uint8).reshape(3, 4, 3))
    assert "2.png: is a colour picture" in refusal(lambda: load(folder))


def test_tiff_files_that_are_no_cube_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((3, 4), np.uint8))
        writer.write(np.zeros((5, 4), np.uint8))
    assert "2 pictures of different kinds (3x4, 5x4)" in refusal(lambda: load(path))


def test_a_tiff_whose_pages_are_cut_off_is_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((3, 20, 24), np.uint16), photometric="minisblack", byteorder="<")
    data = path.read_bytes()
    path.write_bytes(data[:4] + struct.pack("<I", len(data) + 100) + data[8:])
    assert "damaged or cut short" in refusal(lambda: load(path))


def test_a_page_that_claims_another_width_than_the_first_is_refused_before_it_takes_memory(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((3, 20, 24), np.uint16), photometric="minisblack")
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[2].tags["ImageWidth"].overwrite(2_000_000_000, dtype="I")
    tracemalloc.start()
    assert "its pages have different sizes (20x24, 20x2000000000)" in refusal(lambda: load(path))
    assert tracemalloc.get_traced_memory()[1] < 10**8
    tracemalloc.stop()


def test_a_geotiff_with_several_numbers_for_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    scale = [(33550, "d", 3, (1.0, 1.0, 0.0), True)]
    tifffile.imwrite(path, np.ones((20, 24), np.uint16), photometric="minisblack", extratags=scale)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["RowsPerStrip"].overwrite((20, 7), dtype="H")
    assert "cannot be read as GeoTIFF" in refusal(lambda: load(path))
    tifffile.imwrite(path, np.zeros((2, 3, 4, 5), np.uint8), photometric="minisblack")
    assert "4 dimensions" in refusal(lambda: load(path))


def test_a_cube_of_many_bands_is_no_picture(tmp_path: Path) -> None:
    message = refusal(lambda: save(Scene(np.zeros((2, 2, 31))), tmp_path / "a.png"), kind=ValueError)
    assert "1 or 3 bands" in message and "got 31 bands" in message
    assert not list(tmp_path.iterdir())


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    if path.suffix == ".mat":
        scipy.io.savemat(path, arrays)
    elif path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for key, array in arrays.items():
                file[key] = array


def write_png(path: Path, values: np.ndarray) -> None:
    path.write_bytes(imagecodecs.png_encode(values))


def png_claiming(height: int, width: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_matlab_file_that_claims_more_than_it_holds_takes_no_memory(
    compressed: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"cube": np.ones((5, 6, 7))}, do_compression=compressed)
    assert load(path).shape == (5, 6, 7)
    data = path.read_bytes()
    if compressed:
        inner = bytearray(zlib.decompress(data[136:]))
        inner[4:8] = struct.pack("<I", 2**31)
        packed = zlib.compress(bytes(inner))
        path.write_bytes(data[:132] + struct.pack("<I", len(packed)) + packed)
    else:
        place = data.index(struct.pack("<II", 9, 5 * 6 * 7 * 8))
        path.write_bytes(data[: place + 4] + struct.pack("<I", 2**31) + data[place + 8 :])
    tracemalloc.start()
    message = refusal(lambda: load(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "bytes in" in message and peak < 10**7
