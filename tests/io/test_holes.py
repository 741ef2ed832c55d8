"""Pixels without data: NaN, the value that is given, values that mark no data wherever they are found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile

from hsr_tf.io import ReadRequest, create_cube, describe, load, open_cube, open_reader
from hsr_tf.io.account import scene_findings
from hsr_tf.io.convert import ConvertOptions, convert
from hsr_tf.io.header import CubeHeader

HOLES = np.zeros((7, 8), bool)
HOLES[2:4, 5] = HOLES[6, 0] = True


def cube_of(dtype: str) -> np.ndarray:
    """(7, 8, 3) values of which none marks no data."""
    values = np.random.default_rng(0).uniform(0.1, 0.9, (7, 8, 3))
    return (values * (1 if dtype.startswith("f") else 9000)).astype(dtype)


def stored(path: Path, cube: np.ndarray, nodata: float | None = None) -> Path:
    height, width, count = cube.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "nodata": nodata}
    transform = rasterio.Affine(4, 0, 500_000, 0, -4, 4_600_000)
    with rasterio.open(path, "w", dtype=cube.dtype, crs="EPSG:32631", transform=transform, **profile) as file:
        file.write(np.moveaxis(cube, -1, 0))
    return path


@pytest.mark.parametrize("nodata", [None, -5.0])
@pytest.mark.parametrize("bands", [slice(None), slice(1, 2)])
def test_nan_is_no_data_in_one_band_or_in_all(nodata: float | None, bands: slice, tmp_path: Path) -> None:
    cube = cube_of("f4")
    cube[HOLES, bands] = np.nan
    if nodata is not None:
        cube[0, 0] = nodata
    expected = HOLES.copy()
    expected[0, 0] = nodata is not None
    path = stored(tmp_path / "a.tif", cube, nodata)
    scene, summary = load(path), describe(path)
    np.testing.assert_array_equal(scene.nodata_mask, expected)
    assert not scene.cube[expected].any() and (scene.cube[~expected] == cube[~expected]).all()
    assert summary.num_nodata == expected.sum() and summary.num_not_finite == 0
    assert 0.1 <= summary.minimum <= summary.maximum <= 0.9
    with open_cube(path) as reader:
        part, mask = reader.read_with_mask(slice(1, 5), slice(3, 8))
    np.testing.assert_array_equal(mask, expected[1:5, 3:8])
    np.testing.assert_array_equal(part, scene.cube[1:5, 3:8])


def test_a_band_of_nothing_but_nan_takes_no_pixel_away(tmp_path: Path) -> None:
    cube = cube_of("f4")
    cube[..., 1] = np.nan
    cube[HOLES] = np.nan
    scene = load(stored(tmp_path / "a.tif", cube))
    np.testing.assert_array_equal(scene.nodata_mask, HOLES)
    assert not scene.cube[..., 1].any()


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("f4", -9999), ("f4", np.finfo("f4").min), ("i2", -9999), ("i2", -32768), ("u2", 65535), ("f8", -9999)],
)
def test_a_value_that_stands_for_no_data_is_found_and_reported(
    dtype: str, value: float, tmp_path: Path
) -> None:
    cube = cube_of(dtype)
    cube[HOLES] = value
    path = stored(tmp_path / "a.tif", cube)
    scene = load(path)
    np.testing.assert_array_equal(scene.nodata_mask, HOLES)
    assert scene.cube.max() <= 0.91 and scene.cube.min() >= 0
    (finding,) = scene_findings(scene.metadata)
    assert f"{value:g} taken as no data (3 pixels)" in finding.found and "--nodata" in finding.advice
    assert describe(path).num_nodata == 3 and finding in describe(path).findings


def test_a_file_that_states_a_nodata_value_is_taken_at_its_word(tmp_path: Path) -> None:
    cube = cube_of("f4")
    cube[HOLES] = -9999
    cube[0, 0] = -1
    mask = load(stored(tmp_path / "a.tif", cube, nodata=-1)).nodata_mask
    assert mask is not None and mask.sum() == 1 and mask[0, 0]


@pytest.mark.parametrize("name", ["a.tif", "a.h5"])
def test_a_given_value_takes_the_place_of_that_of_the_file_beside_a_mask(name: str, tmp_path: Path) -> None:
    cube, path = cube_of("i2"), tmp_path / name
    cube[HOLES] = 7
    masked = np.zeros_like(HOLES)
    if name == "a.h5":
        masked[0, 0] = True
        header = CubeHeader(shape=cube.shape, dtype=cube.dtype, white_level=1e4, nodata_mask=masked)
        with create_cube(path, header) as writer:
            writer.write(slice(None), slice(None), cube)
    else:
        stored(path, cube)
    with open_reader(path, ReadRequest(nodata=7)) as reader:
        np.testing.assert_array_equal(reader.scene().nodata_mask, HOLES | masked)
    assert describe(path, nodata=7).num_nodata == (HOLES | masked).sum()


@pytest.mark.parametrize("alpha", ["band", "mask", None])
def test_what_is_marked_as_alpha_can_be_a_band(alpha: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    picture = np.random.default_rng(0).integers(1, 255, (5, 6, 4), np.uint8)
    picture[2, 3, 3] = 0
    tifffile.imwrite(path, picture, photometric="rgb", extrasamples=["unassalpha"])
    with open_reader(path, ReadRequest(alpha=alpha)) as reader:
        scene = reader.scene()
    assert scene.num_bands == (4 if alpha == "band" else 3)
    assert (scene.nodata_mask is None) == (alpha == "band")


def test_convert_writes_marked_pixels_as_no_data(tmp_path: Path) -> None:
    cube = cube_of("f4")
    cube[HOLES] = np.nan
    path = stored(tmp_path / "a.tif", cube)
    with pytest.raises(ValueError, match="nodata: expected the uint16 that stands for NaN"):
        convert(path, tmp_path / "b.tif", ConvertOptions(dtype="uint16", white_level=10_000))
    options = ConvertOptions(dtype="uint16", white_level=10_000, nodata=0)
    for name in ("b.tif", "b.h5"):
        np.testing.assert_array_equal(load(convert(path, tmp_path / name, options)).nodata_mask, HOLES)
    counts = cube_of("i2")
    counts[HOLES] = -9999
    marked = convert(stored(tmp_path / "c.tif", counts), tmp_path / "d.tif", ConvertOptions(dtype="float32"))
    np.testing.assert_array_equal(load(marked).nodata_mask, HOLES)
    marked = convert(tmp_path / "c.tif", tmp_path / "e.tif", ConvertOptions(nodata=-9999))
    with rasterio.open(marked) as file:
        assert file.nodata == -9999 and (file.read_masks(1) == 0).sum() == 3
