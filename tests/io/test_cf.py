"""NetCDF files of other makers: variables in groups, latitudes and longitudes without a grid mapping."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray

from hsr_tf.geo.crs import same_crs
from hsr_tf.io import describe, load, open_cube
from hsr_tf.io.convert import convert

CENTRES = np.linspace(381.0, 2493.0, 8)


def emit_like(path: Path, *, located: bool = False) -> np.ndarray:
    """The layout of an EMIT level 2A file: the cube, and groups of what is known of bands and places."""
    rng = np.random.default_rng(0)
    cube = rng.random((6, 5, 8), np.float32)
    swath = ("downtrack", "crosstrack")
    root = xarray.Dataset({"reflectance": ((*swath, "bands"), cube, {"units": "unitless"})})
    root["reflectance"].encoding["_FillValue"] = np.float32(-9999)
    root.attrs = {"spatial_ref": "not used", "geotransform": np.array([10.0, 0.5, 0, 45.0, 0, -0.5])}
    root.to_netcdf(path, engine="h5netcdf")
    good = np.array([1, 1, 1, 0, 0, 1, 1, 1.0], np.float32)
    bands = {
        "wavelengths": ("bands", CENTRES, {"units": "nm"}),
        "fwhm": ("bands", np.full(8, 8.5), {"units": "nm"}),
        "good_wavelengths": ("bands", good),
    }
    xarray.Dataset(bands).to_netcdf(path, "a", group="sensor_band_parameters", engine="h5netcdf")
    if located:
        places = {name: (swath, rng.random((6, 5))) for name in ("lon", "lat", "elev")}
        xarray.Dataset(places).to_netcdf(path, "a", group="location", engine="h5netcdf")
    return cube


def test_what_groups_say_of_the_bands_is_read_and_goes_along(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    cube = emit_like(path)
    scene = load(path)
    np.testing.assert_array_equal(scene.cube, cube)
    for one in (scene, load(convert(path, tmp_path / "a.h5"))):
        np.testing.assert_allclose(one.wavelengths_nm, CENTRES)
        np.testing.assert_allclose(one.fwhm_nm, 8.5)
        assert one.good_bands is not None and (~one.good_bands).nonzero()[0].tolist() == [3, 4]
    used = describe(path).used
    assert "reflectance" in used and "sensor_band_parameters/wavelengths" in used


def test_places_of_every_pixel_are_reported_as_not_used(tmp_path: Path) -> None:
    emit_like(tmp_path / "a.nc", located=True)
    found = [finding.found for finding in describe(tmp_path / "a.nc").findings]
    assert any(one.startswith("location/lon, location/lat: places of every pixel") for one in found)
    assert "variables: location/elev" in found


@pytest.mark.parametrize("names", [("lat", "lon"), ("latitude", "longitude"), ("y", "x")])
def test_axes_of_latitudes_and_longitudes_without_a_mapping_are_wgs_84(
    names: tuple[str, str], tmp_path: Path
) -> None:
    units = ({}, {}) if names[0] != "y" else ({"units": "degrees_north"}, {"units": "degrees_east"})
    axes = {names[0]: (names[0], 48 - 0.01 * np.arange(5), units[0])}
    axes[names[1]] = (names[1], 2 + 0.01 * np.arange(6), units[1])
    data = xarray.Dataset({"cube": (("band", *names), np.ones((4, 5, 6), np.float32)), **axes})
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    summary = describe(tmp_path / "a.nc")
    grid = summary.georeference
    assert grid is not None and same_crs(grid.crs, "EPSG:4326")
    np.testing.assert_allclose(grid.transform, (0.01, 0, 1.995, 0, -0.01, 48.005))
    assert any("EPSG:4326" in finding.found for finding in summary.findings)


def test_axes_in_metres_without_a_mapping_are_of_no_known_system(tmp_path: Path) -> None:
    axes = {"y": ("y", 40.0 - np.arange(5), {"units": "m"}), "x": ("x", np.arange(6.0), {"units": "m"})}
    data = xarray.Dataset({"cube": (("band", "y", "x"), np.ones((4, 5, 6), np.float32)), **axes})
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    grid = describe(tmp_path / "a.nc").georeference
    assert grid is not None and grid.crs is None


def test_a_key_names_a_variable_in_a_group(tmp_path: Path) -> None:
    cube = np.random.default_rng(0).random((4, 5, 6), np.float32)
    xarray.Dataset({"a": (("p", "q", "r"), cube + 1)}).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    inner = xarray.Dataset({"b": (("band", "y", "x"), cube)})
    inner.to_netcdf(tmp_path / "a.nc", "a", group="more", engine="h5netcdf")
    with pytest.raises(OSError, match="more/b"):
        load(tmp_path / "a.nc")
    with open_cube(tmp_path / "a.nc", key="more/b") as reader:
        np.testing.assert_array_equal(reader.read(slice(None), slice(None)), cube.transpose(1, 2, 0))
