"""Widths of bands: in their own unit, else in that of the wavelengths, whatever the format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
import xarray

from hsr_tf.fusion.check.values import wavelength_findings
from hsr_tf.io import describe, load, save
from hsr_tf.scene import Scene

CENTRES_NM = np.array([450.0, 550.0, 650.0, 800.0])
FACTORS = {"": 1.0, "Nanometers": 1.0, "Micrometers": 1000.0}
CUBE = np.random.default_rng(0).random((4, 5, 6), dtype=np.float32)


def hdf5(path: Path, centres: np.ndarray, widths: np.ndarray, unit: str) -> Path:
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["cube"], file["wavelength"], file["fwhm"] = CUBE, centres, widths
        if unit:
            file["wavelength"].attrs["units"] = unit
    return path.with_suffix(".h5")


def netcdf(path: Path, centres: np.ndarray, widths: np.ndarray, unit: str) -> Path:
    known = {"units": unit} if unit else {}
    lists = {"wavelength": ("band", centres, known), "fwhm": ("band", widths)}
    data = xarray.Dataset({"cube": (("band", "y", "x"), CUBE), **lists})
    data.to_netcdf(path.with_suffix(".nc"), engine="h5netcdf")
    return path.with_suffix(".nc")


def zarr(path: Path, centres: np.ndarray, widths: np.ndarray, unit: str) -> Path:
    known = {"units": unit} if unit else {}
    lists = {"wavelength": ("band", centres, known), "fwhm": ("band", widths)}
    data = xarray.Dataset({"cube": (("band", "y", "x"), CUBE), **lists})
    data.to_zarr(path.with_suffix(".zarr"), zarr_format=3, consolidated=False)
    return path.with_suffix(".zarr")


def envi(path: Path, centres: np.ndarray, widths: np.ndarray, unit: str) -> Path:
    lines = ["ENVI", "samples = 6", "lines = 5", "bands = 4", "data type = 4", "interleave = bsq"]
    lines += [f"wavelength units = {unit}"] if unit else []
    for name, values in (("wavelength", centres), ("fwhm", widths)):
        lines.append(f"{name} = {{{', '.join(map(repr, values.tolist()))}}}")
    path.with_suffix(".hdr").write_text("\n".join(lines) + "\n", encoding="utf-8")
    CUBE.tofile(path.with_suffix(".img"))
    return path.with_suffix(".hdr")


def geotiff(path: Path, centres: np.ndarray, widths: np.ndarray, unit: str) -> Path:
    profile = {"driver": "GTiff", "count": 4, "height": 5, "width": 6, "dtype": "float32"}
    with rasterio.open(path.with_suffix(".tif"), "w", **profile) as file:
        file.write(CUBE)
        for band in range(4):
            known = {"wavelength": centres[band], "fwhm": widths[band]}
            file.update_tags(band + 1, **known, **({"wavelength_units": unit} if unit else {}))
    return path.with_suffix(".tif")


def geotiff_lists(path: Path, centres: np.ndarray, widths: np.ndarray, unit: str) -> Path:
    profile = {"driver": "GTiff", "count": 4, "height": 5, "width": 6, "dtype": "float32"}
    with rasterio.open(path.with_suffix(".tif"), "w", **profile) as file:
        file.write(CUBE)
        lists = {"wavelength": centres, "fwhm": widths}
        texts = {name: "{" + ",".join(map(str, values)) + "}" for name, values in lists.items()}
        file.update_tags(**texts, **({"wavelength_units": unit} if unit else {}))
    return path.with_suffix(".tif")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("unit", FACTORS)
@pytest.mark.parametrize("write", [hdf5, netcdf, zarr, envi, geotiff, geotiff_lists])
def test_widths_without_a_unit_have_that_of_the_wavelengths(
    write: Callable[..., Path], unit: str, tmp_path: Path
) -> None:
    factor = FACTORS[unit]
    scene = load(write(tmp_path / "a", CENTRES_NM / factor, np.full(4, 5.0) / factor, unit))
    np.testing.assert_allclose(scene.wavelengths_nm, CENTRES_NM)
    np.testing.assert_allclose(scene.fwhm_nm, 5.0)


@pytest.mark.parametrize("write", [hdf5, netcdf, envi])
def test_without_any_unit_micrometres_are_known_by_the_wavelengths(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    scene = load(write(tmp_path / "a", CENTRES_NM / 1000, np.full(4, 0.005), ""))
    np.testing.assert_allclose(scene.fwhm_nm, 5.0)


def test_a_unit_of_their_own_counts(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "a", CENTRES_NM, np.full(4, 0.005), "nm")
    with h5py.File(path, "a") as file:
        file["fwhm"].attrs["units"] = "um"
    np.testing.assert_allclose(load(path).fwhm_nm, 5.0)


def test_widths_beyond_the_range_of_all_bands_are_reported(tmp_path: Path) -> None:
    scene = Scene(CUBE.transpose(1, 2, 0), wavelengths_nm=CENTRES_NM, fwhm_nm=np.full(4, 5000.0))
    (line,) = describe(save(scene, tmp_path / "a.h5")).doubts
    assert "5000 nm" in line and "350 nm" in line and "unit" in line
    found = wavelength_findings(scene, Scene(CUBE.transpose(1, 2, 0)))
    assert [finding.severity for finding in found] == ["ok", "warning"] and "5000 nm" in found[1].found
    right = Scene(CUBE.transpose(1, 2, 0), wavelengths_nm=CENTRES_NM, fwhm_nm=np.full(4, 5.0))
    assert describe(save(right, tmp_path / "b.h5")).doubts == ()
