"""A swath with a lookup table in the layout of EMIT's files, put on its grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray

from hsr_tf.geo.crs import crs_object, same_crs
from hsr_tf.io import ReadRequest, describe, load, open_reader, save
from hsr_tf.io.convert import ConvertOptions, convert
from hsr_tf.scene import Scene

SIZE, GRID_SIZE = (6, 5, 4), (8, 9)


def emit(path: Path, *, largest: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cube of a file, and the rows and columns of it that each pixel of the grid takes, -1 for none."""
    rng = np.random.default_rng(0)
    cube = rng.random(SIZE, np.float32)
    cube[3, 2] = -9999
    columns = rng.integers(0, largest + 1, GRID_SIZE).astype(np.int32)
    rows = np.where(columns > 0, rng.integers(1, 7, GRID_SIZE), 0).astype(np.int32)
    columns[0, 0], rows[0, 0] = 3, 4  # the pixel without data
    root = xarray.Dataset({"reflectance": (("downtrack", "crosstrack", "bands"), cube)})
    root["reflectance"].encoding["_FillValue"] = np.float32(-9999)
    wkt = crs_object("EPSG:4326").to_wkt()
    root.attrs = {"spatial_ref": wkt, "geotransform": np.array([10.0, 0.0005, 0, 45.0, 0, -0.0005])}
    root.to_netcdf(path, engine="h5netcdf")
    ortho = ("ortho_y", "ortho_x")
    location = {"glt_x": (ortho, columns), "glt_y": (ortho, rows)}
    location |= {name: (("downtrack", "crosstrack"), rng.random(SIZE[:2])) for name in ("lon", "lat")}
    xarray.Dataset(location).to_netcdf(path, "a", group="location", engine="h5netcdf")
    return cube, rows - 1, columns - 1


def test_every_pixel_of_the_grid_takes_one_of_the_swath(tmp_path: Path) -> None:
    cube, rows, columns = emit(tmp_path / "a.nc")
    seen = (rows >= 0) & (columns >= 0)
    with open_reader(tmp_path / "a.nc", ReadRequest(ortho=True)) as reader:
        scene = reader.scene()
        part, mask = reader.read_with_mask(slice(2, 6), slice(3, 8))
    assert scene.shape == (*GRID_SIZE, 4) and scene.nodata_mask is not None
    counted = ~scene.nodata_mask
    holes = ~seen | ((rows == 3) & (columns == 2))
    np.testing.assert_array_equal(scene.nodata_mask, holes)
    np.testing.assert_array_equal(scene.cube[counted], cube[rows[counted], columns[counted]])
    np.testing.assert_array_equal(part, scene.cube[2:6, 3:8])
    np.testing.assert_array_equal(mask, holes[2:6, 3:8])
    grid = scene.georeference
    assert grid is not None and same_crs(grid.crs, "EPSG:4326")
    np.testing.assert_allclose(grid.transform, (0.0005, 0, 10, 0, -0.0005, 45))


def test_convert_puts_it_on_the_grid_on_request_only(tmp_path: Path) -> None:
    emit(tmp_path / "a.nc")
    assert load(convert(tmp_path / "a.nc", tmp_path / "swath.tif")).shape == SIZE
    made = load(convert(tmp_path / "a.nc", tmp_path / "b.tif", ConvertOptions(ortho=True)))
    assert made.shape == (*GRID_SIZE, 4) and made.georeference is not None
    assert made.nodata_mask is not None and made.nodata_mask.any()
    (finding,) = [one for one in describe(tmp_path / "a.nc").findings if "places of every" in one.found]
    assert "--ortho" in finding.advice


def test_a_file_without_a_table_and_a_table_out_of_the_swath_are_refused(tmp_path: Path) -> None:
    for name in ("a.h5", "a.nc"):
        save(Scene(np.ones((3, 4, 5))), tmp_path / name)
        with (
            pytest.raises(ValueError, match=r"ortho: expected .* lookup table"),
            open_reader(tmp_path / name, ReadRequest(ortho=True)),
        ):
            pass
    emit(tmp_path / "b.nc", largest=9)
    with (
        pytest.raises(ValueError, match="columns up to"),
        open_reader(tmp_path / "b.nc", ReadRequest(ortho=True)),
    ):
        pass
