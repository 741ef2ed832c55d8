"""HDF5 files in the layout of NEON: groups, a grid in the words of ENVI, windows of bad bands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hsr_tf.geo.crs import same_crs
from hsr_tf.io import describe, load
from hsr_tf.io.convert import convert

CENTRES = np.linspace(1300.0, 2000.0, 8)
MAP_INFO = "UTM, 1.000, 1.000, 257000.0, 4112000.0, 1.0, 1.0, 11, North, WGS-84, units=Meters, 0"


def neon_like(path: Path, **more: Any) -> np.ndarray:
    """An L3 reflectance tile: (row, col, band) integers, although `Interleave` says BSQ."""
    counts = np.random.default_rng(0).integers(0, 10_000, (6, 5, 8)).astype(np.int16)
    counts[1, 2] = -9999
    with h5py.File(path, "w") as file:
        refl = file.create_group("SOAP/Reflectance")
        refl.attrs["Band_Window_1_Nanometers"] = more.get("window", np.array([1340, 1445]))
        data = refl.create_dataset("Reflectance_Data", data=counts)
        data.attrs.update({"Data_Ignore_Value": -9999.0, "Scale_Factor": 10_000.0, "Interleave": "BSQ"})
        about = refl.create_group("Metadata")
        for name, values in (("Wavelength", CENTRES), ("FWHM", np.full(8, 5.8))):
            about.create_dataset(f"Spectral_Data/{name}", data=values).attrs["Units"] = "nanometers"
        about["Coordinate_System/Map_Info"] = more.get("map_info", MAP_INFO)
        about["Ancillary_Imagery/Slope"] = np.zeros((6, 5))
    return counts


def test_values_bands_and_grid_of_such_a_file_are_read_and_go_along(tmp_path: Path) -> None:
    counts = neon_like(tmp_path / "a.h5")
    for path in (tmp_path / "a.h5", convert(tmp_path / "a.h5", tmp_path / "a.tif")):
        scene = load(path)
        assert scene.nodata_mask is not None and np.argwhere(scene.nodata_mask).tolist() == [[1, 2]]
        counted = ~scene.nodata_mask
        np.testing.assert_allclose(scene.cube[counted], counts[counted] / 1e4, rtol=1e-6)
        np.testing.assert_allclose(scene.wavelengths_nm, CENTRES)
        np.testing.assert_allclose(scene.fwhm_nm, 5.8)
        assert scene.good_bands is not None and (~scene.good_bands).nonzero()[0].tolist() == [1]
        grid = scene.georeference
        assert grid is not None and same_crs(grid.crs, "EPSG:32611")
        np.testing.assert_allclose(grid.transform, (1, 0, 257_000, 0, -1, 4_112_000))


def test_what_is_used_and_left_of_such_a_file_is_said(tmp_path: Path) -> None:
    neon_like(tmp_path / "a.h5")
    summary = describe(tmp_path / "a.h5")
    for name in ("Reflectance_Data", "Wavelength", "FWHM", "Map_Info", "Band_Window_1_Nanometers"):
        assert any(one.endswith(name) for one in summary.used), name
    (left,) = summary.findings
    assert left.found == "data sets: SOAP/Reflectance/Metadata/Ancillary_Imagery/Slope"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"map_info": "UTM, 1, 1"}, "Map_Info: not understood, no grid is known"),
        ({"window": np.array([1340])}, "Band_Window_1_Nanometers: 1 value where 2 are needed"),
    ],
)
def test_what_is_not_understood_is_named(more: dict[str, Any], said: str, tmp_path: Path) -> None:
    neon_like(tmp_path / "a.h5", **more)
    assert any(said in finding.found for finding in describe(tmp_path / "a.h5").findings)


def test_a_list_as_long_as_no_axis_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"], file["wavelength"] = np.ones((4, 5, 6)), np.arange(400.0, 407.0)
    (finding,) = describe(tmp_path / "a.h5").findings
    assert finding.found == "wavelength: 7 values, but no axis of (4, 5, 6) is as long"
