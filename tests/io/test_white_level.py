"""White levels that files do not record: one rule for every type, whole and in parts, pairs that agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import imagecodecs
import numpy as np
import pytest
import rasterio
import tifffile

from hsr_tf.fusion.check.values import scaling_findings
from hsr_tf.io import describe, load, open_cube, save
from hsr_tf.io.convert import convert
from hsr_tf.io.pair_reading import PairReading, load_pair
from hsr_tf.io.white_level import WhiteLevel, agreed_levels, guessed_level, level_in_metadata
from hsr_tf.scene import Scene
from hsr_tf.streaming.pair import opened_pair

REFLECTANCE = np.random.default_rng(0).random((6, 8, 5)) ** 2 * 0.7
WHOLE = slice(None), slice(None)


def stored(factor: float, dtype: str) -> np.ndarray:
    """The cube as integers, (band, row, col)."""
    return np.rint(np.moveaxis(REFLECTANCE, -1, 0) * factor).astype(dtype)


def hdf5(path: Path, values: np.ndarray) -> Path:
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["cube"] = values
    return path.with_suffix(".h5")


def geotiff(path: Path, values: np.ndarray) -> Path:
    count, height, width = values.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "nodata": -9999.0}
    if values.dtype.kind == "u":
        profile["nodata"] = 0
    with rasterio.open(path.with_suffix(".tif"), "w", **profile, dtype=values.dtype.name) as file:
        file.write(values)
    return path.with_suffix(".tif")


def tiff(path: Path, values: np.ndarray) -> Path:
    tifffile.imwrite(path.with_suffix(".tif"), np.moveaxis(values[:3], 0, -1), photometric="rgb")
    return path.with_suffix(".tif")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("dtype", ["i2", "u2", "i4", "u4"])
@pytest.mark.parametrize("write", [hdf5, geotiff, tiff])
def test_reflectance_times_10000_is_read_the_same_from_every_type(write, dtype: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a", stored(10_000, dtype))
    scene, summary = load(path), describe(path)
    np.testing.assert_allclose(scene.cube, REFLECTANCE[..., : scene.num_bands], atol=6e-5)
    assert (scene.metadata["white_level"], scene.metadata["white_level_origin"]) == (10_000, "guessed")
    assert (summary.white_level, summary.white_level_origin) == (10_000, "guessed")
    with open_cube(path) as reader:  # the dark parts alone would look like less
        part = slice(2, 4), slice(0, 3)
        np.testing.assert_array_equal(reader.read(*part), scene.cube[part])


@pytest.mark.parametrize(
    ("values", "level"),
    [
        ([0, 30, 255], 255),
        ([5, 900, 4095], 4095),
        ([5, 900, 1023], 1023),
        ([5, 900, 3900], 10_000),
        ([5, 9_000, 15_000], 10_000),
        ([5, 900, 16_383], 16_383),
        ([5, 21_000, 27_000], 65_535),
    ],
)
@pytest.mark.parametrize("dtype", ["i2", "u2", "i4"])
def test_the_values_say_the_level_in_one_way_for_all_types(
    values: list[int], level: float, dtype: str
) -> None:
    found = guessed_level(np.array(values, dtype), np.dtype(dtype))
    assert (found.level, found.is_guess, found.largest) == (level, True, values[-1])


def test_few_bright_values_and_unmarked_fill_values_do_not_change_a_guess() -> None:
    values = np.full(5000, 3000, np.uint16)
    values[:3] = 30_000
    assert guessed_level(values, values.dtype).level == 10_000
    values[:2000] = 65_535
    assert guessed_level(values[3:], values.dtype).level == 10_000


def test_a_level_in_the_metadata_counts_before_the_values() -> None:
    assert level_in_metadata({"QUANTIFICATION_VALUE": "10000"}) == 10_000
    assert level_in_metadata({"bit_depth": 12}) == 4095
    assert level_in_metadata({"units": "reflectance * 10000"}) == 10_000
    assert level_in_metadata({"units": "W/m2/sr/um", "bits": "many"}) is None


def test_a_number_of_bits_in_a_geotiff_is_its_white_level(tmp_path: Path) -> None:
    values = stored(3000, "u2")
    profile = {"driver": "GTiff", "count": 5, "height": 6, "width": 8, "dtype": "uint16", "nbits": 12}
    with rasterio.open(tmp_path / "a.tif", "w", **profile, nodata=0) as file:
        file.write(values)
    assert load(tmp_path / "a.tif").metadata["white_level"] == 4095


def test_dark_pictures_keep_the_white_of_their_format_also_once_converted(tmp_path: Path) -> None:
    dark = stored(9_000, "u2")[:3]
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(np.moveaxis(dark, 0, -1))))
    expected = np.moveaxis(dark, 0, -1) / 65_535
    for path in (tmp_path / "a.png", convert(tmp_path / "a.png", tmp_path / "b.h5")):
        np.testing.assert_allclose(load(path).cube, expected, atol=1e-7)
    for name in ("c.tif", "folder"):
        path = save(Scene(expected), tmp_path / name)
        np.testing.assert_allclose(load(path).cube, expected, atol=1e-5)


def test_a_large_cube_is_judged_by_a_sample_and_read_alike_in_parts(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 9000, (9, 700, 700)).astype(np.int16)
    values[:, :500, :500] //= 100
    path = hdf5(tmp_path / "a", values)
    with open_cube(path) as reader:
        assert reader.white_level.level == 10_000 == describe(path).white_level
        found = reader.read(slice(0, 4), slice(0, 4))
    np.testing.assert_array_equal(found, np.moveaxis(values[:, :4, :4], 0, -1) / np.float32(10_000))


def test_two_guesses_agree_where_one_image_is_saturated_or_the_values_are_alike() -> None:
    def guess(level: float, largest: float) -> WhiteLevel:
        return WhiteLevel(level, "guessed", largest)

    twelve = agreed_levels(guess(10_000, 3500), guess(4095, 4095))
    assert [one.level for one in twelve] == [4095, 4095]
    bright = agreed_levels(guess(10_000, 14_000), guess(65_535, 24_000))
    assert [one.level for one in bright] == [65_535, 65_535]
    for apart in (
        (guess(10_000, 7000), guess(4095, 4095)),
        (guess(255, 255), guess(10_000, 300)),
        (guess(10_000, 8700), guess(65_535, 65_535)),
        (guess(10_000, 3500), WhiteLevel(4095, "file")),
    ):
        assert agreed_levels(*apart) == apart


def pair(folder: Path, level: int) -> tuple[Path, Path]:
    """A coarse cube that does not reach the white of its camera and a sharp image that does."""
    sharp = np.random.default_rng(0).integers(1, level, (3, 12, 16)).astype(np.uint16)
    sharp[0, 0, 0] = level
    coarse = sharp.reshape(3, 6, 2, 8, 2).mean((2, 4)).astype(np.int16)
    return hdf5(folder / "lr", coarse), hdf5(folder / "hr", sharp)


def test_a_pair_is_read_alike_whole_and_streamed(tmp_path: Path) -> None:
    files = pair(tmp_path, 4095)
    whole = load_pair(*files)
    assert [one.metadata["white_level"] for one in (whole.lr_hsi, whole.hr_msi)] == [4095, 4095]
    assert len(whole.guesses) == 2 and all("/ 4095" in line for line in whole.guesses)
    findings = scaling_findings(whole.lr_hsi, whole.hr_msi)
    assert [finding.severity for finding in findings] == ["note", "note"]
    assert "--lr_white_level" in findings[0].advice
    with opened_pair(*files, 2**33) as streamed:
        assert streamed.guesses == whole.guesses
        for image, scene in ((streamed.lr_hsi, whole.lr_hsi), (streamed.hr_msi, whole.hr_msi)):
            cube = image.filled(*(slice(0, length) for length in scene.shape[:2]))
            np.testing.assert_array_equal(cube, scene.cube)


def test_given_levels_and_wavelengths_count_for_both_ways_of_reading(tmp_path: Path) -> None:
    files = pair(tmp_path, 4095)
    reading = PairReading(lr_white_level=2000.0, hr_white_level=5000.0, wavelengths_nm=(450.0, 550.0, 650.0))
    whole = load_pair(*files, reading)
    assert whole.guesses == () and scaling_findings(whole.lr_hsi, whole.hr_msi) == []
    assert whole.lr_hsi.wavelengths_nm.tolist() == [450, 550, 650] and whole.hr_msi.wavelengths_nm is None
    with opened_pair(*files, 2**33, reading) as streamed:
        assert streamed.headers[0].wavelengths_nm.tolist() == [450, 550, 650]
        np.testing.assert_array_equal(streamed.hr_msi.filled(slice(0, 4), slice(0, 4)),
                                      whole.hr_msi.cube[:4, :4])  # fmt: skip


def test_two_levels_that_are_guessed_apart_are_a_warning(tmp_path: Path) -> None:
    scene = load(hdf5(tmp_path / "a", stored(10_000, "u2")))
    other = {"white_level": 4095.0, "white_level_origin": "guessed", "white_level_sample": 4095.0}
    findings = scaling_findings(scene, replace(scene, metadata=other))
    assert findings[-1].severity == "warning" and "10000 and 4095" in findings[-1].found
