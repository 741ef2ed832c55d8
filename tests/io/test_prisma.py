"""HDF5 as sensors' products have it: two cubes joined, bands in the middle axis, scales, bad bands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hsr_tf.io import describe, load, open_cube

ROWS, COLS = 6, 5
VNIR_NM = np.array([1010.0, 900.0, 500.0, 0.0])  # longest first, the last one not measured
SWIR_NM = np.array([2500.0, 1500.0, 950.0, 0.0, 0.0])


def write_prisma(
    path: Path, *, level: str = "L2D", swir: bool = True, corners: str = "centres"
) -> dict[str, Any]:
    """A small product with the names and attributes of the real ones."""
    rng = np.random.default_rng(0)
    cubes = {
        "VNIR": rng.integers(1, 65535, (ROWS, len(VNIR_NM), COLS)).astype(np.uint16),
        "SWIR": rng.integers(1, 65535, (ROWS, len(SWIR_NM), COLS)).astype(np.uint16),
    }
    for cube in cubes.values():
        cube[0, :, 0] = 0
    with h5py.File(path, "w") as file:
        fields = file.create_group(f"HDFEOS/SWATHS/PRS_{level}_HCO/Data Fields")
        for name, cube in cubes.items():
            if name == "VNIR" or swir:
                fields[f"{name}_Cube"] = cube
                fields[f"{name}_PIXEL_L2_ERR_MATRIX"] = np.zeros(cube.shape, np.uint8)
        for name, centres in (("Vnir", VNIR_NM), ("Swir", SWIR_NM)):
            file.attrs[f"List_Cw_{name}"] = centres.astype(np.float32)
            file.attrs[f"List_Fwhm_{name}"] = np.where(centres > 0, 10 + centres / 1000, 0).astype(np.float32)
            file.attrs[f"List_Cw_{name}_Flags"] = (centres > 0).astype(np.int8)
        law = {"L2ScaleVnirMin": 0.1, "L2ScaleVnirMax": 0.9, "L2ScaleSwirMin": 0.0, "L2ScaleSwirMax": 0.5}
        if level == "L1":
            law = {
                "ScaleFactor_Vnir": 100.0,
                "Offset_Vnir": 2.0,
                "ScaleFactor_Swir": 500.0,
                "Offset_Swir": 0.0,
            }
        file.attrs.update(law)
        if level == "L2D":
            last = (COLS - 1, ROWS - 1) if corners == "centres" else (COLS, ROWS)
            file.attrs.update(
                {
                    "Epsg_Code": np.int64(32632),
                    "Product_ULcorner_easting": 600_015.0,
                    "Product_ULcorner_northing": 4_999_985.0,
                    "Product_LRcorner_easting": 600_015.0 + 30 * last[0],
                    "Product_LRcorner_northing": 4_999_985.0 - 30 * last[1],
                }
            )
        file.attrs["Product_Name"] = np.bytes_(b"PRS_TEST")
    return cubes


def test_both_cubes_are_joined_in_the_order_of_the_wavelengths(tmp_path: Path) -> None:
    cubes = write_prisma(tmp_path / "a.he5")
    scene = load(tmp_path / "a.he5")
    assert scene.wavelengths_nm is not None and scene.fwhm_nm is not None
    assert scene.wavelengths_nm.tolist() == [500, 900, 950, 1010, 1500, 2500]
    np.testing.assert_allclose(scene.fwhm_nm, 10 + scene.wavelengths_nm / 1000)
    assert scene.band_names == ("VNIR 3", "VNIR 2", "SWIR 3", "VNIR 1", "SWIR 2", "SWIR 1")
    vnir, swir = 0.1 + cubes["VNIR"] * 0.8 / 65535, cubes["SWIR"] * 0.5 / 65535
    expected = np.stack([vnir[:, 2], vnir[:, 1], swir[:, 2], vnir[:, 0], swir[:, 1], swir[:, 0]], axis=-1)
    assert scene.nodata_mask is not None and np.argwhere(scene.nodata_mask).tolist() == [[0, 0]]
    kept = ~scene.nodata_mask
    np.testing.assert_allclose(scene.cube[kept], expected[kept], rtol=1e-6)
    assert scene.metadata["bands_left_out"] == 3 and scene.metadata["Product_Name"] == "PRS_TEST"


@pytest.mark.parametrize(("corners", "left"), [("centres", 600_000.0), ("edges", 600_015.0)])
def test_the_corners_are_centres_or_edges_as_the_spacing_says(
    corners: str, left: float, tmp_path: Path
) -> None:
    write_prisma(tmp_path / "a.he5", corners=corners)
    grid = load(tmp_path / "a.he5").georeference
    assert grid is not None and grid.crs == "EPSG:32632"
    np.testing.assert_allclose(grid.pixel_size, (30, 30))
    np.testing.assert_allclose(grid.at(0, 0)[0], left)


def test_level_1_is_radiance(tmp_path: Path) -> None:
    cubes = write_prisma(tmp_path / "a.he5", level="L1")
    scene = load(tmp_path / "a.he5")
    np.testing.assert_allclose(scene.cube[1:, :, 0], cubes["VNIR"][1:, 2] / 100 - 2, rtol=1e-5, atol=1e-5)
    assert scene.georeference is None


def test_windows_and_stored_values_of_the_joined_cube(tmp_path: Path) -> None:
    cubes = write_prisma(tmp_path / "a.he5")
    with open_cube(tmp_path / "a.he5") as reader:
        part = reader.stored(slice(2, 5), slice(1, 4))
        assert part.dtype == np.uint16 and part.shape == (3, 3, 6)
        np.testing.assert_array_equal(part[..., 2], cubes["SWIR"][2:5, 2, 1:4])
        np.testing.assert_array_equal(
            reader.source.read(slice(3, 5), slice(0, 2), slice(0, 5))[0], cubes["VNIR"][:2, 0]
        )


def test_one_cube_alone_and_a_key(tmp_path: Path) -> None:
    cubes = write_prisma(tmp_path / "a.he5", swir=False)
    assert load(tmp_path / "a.he5").shape == (ROWS, COLS, 3)
    key = "HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields/VNIR_Cube"
    scene = load(tmp_path / "a.he5", key=key, layout="row,band,col", white_level=1)
    np.testing.assert_array_equal(scene.cube, np.moveaxis(cubes["VNIR"], 1, 2))


@pytest.mark.parametrize("missing", ["List_Cw_Vnir", "L2ScaleVnirMax"])
def test_a_product_without_its_attributes_is_refused(missing: str, tmp_path: Path) -> None:
    write_prisma(tmp_path / "a.he5")
    with h5py.File(tmp_path / "a.he5", "a") as file:
        del file.attrs[missing]
    with pytest.raises(OSError, match=r"has no scale|has not 4 wavelengths"):
        load(tmp_path / "a.he5")


def write_enmap_like(path: Path, cube: np.ndarray, *, names: str = "attributes") -> None:
    """One cube (row, band, col) of integers with a factor, a fill value and its bands' description."""
    centres = np.linspace(418.4, 2445.5, cube.shape[1])
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("L2A/reflectance", data=cube, chunks=(1, *cube.shape[1:]))
        dataset.attrs.update({"scale_factor": 1e-4, "add_offset": 0.0, "_FillValue": np.int16(-32768)})
        if names == "attributes":
            dataset.attrs.update({"wavelength": centres / 1000, "wavelength_units": "micrometers"})
            dataset.attrs["fwhm"] = np.full(cube.shape[1], 0.008)
        else:
            file["L2A/spectral/Wavelength"] = centres
            file["L2A/spectral/Wavelength"].attrs["Units"] = "nanometers"
            file["L2A/spectral/FWHM"] = np.full(cube.shape[1], 8.0)
            file["L2A/spectral/FWHM"].attrs["Units"] = "nanometers"


@pytest.mark.parametrize("names", ["attributes", "data sets"])
def test_bands_in_the_middle_axis_are_found_by_their_wavelengths(names: str, tmp_path: Path) -> None:
    cube = np.random.default_rng(1).integers(0, 10_000, (4, 9, 6)).astype(np.int16)
    cube[3, :, 5] = -32768
    write_enmap_like(tmp_path / "a.h5", cube, names=names)
    scene = load(tmp_path / "a.h5")
    assert scene.shape == (4, 6, 9) and scene.nodata == -32768
    assert scene.nodata_mask is not None and np.argwhere(scene.nodata_mask).tolist() == [[3, 5]]
    kept = ~scene.nodata_mask
    np.testing.assert_allclose(scene.cube[kept], np.moveaxis(cube, 1, 2)[kept] * 1e-4, rtol=1e-6)
    np.testing.assert_allclose(scene.wavelengths_nm, np.linspace(418.4, 2445.5, 9), rtol=1e-9)
    np.testing.assert_allclose(scene.fwhm_nm, 8.0)
    summary = describe(tmp_path / "a.h5")
    assert summary.has_gain and summary.num_nodata == 1 and summary.chunks == (9, 1, 6)


def test_a_factor_above_one_divides_and_pixels_last_are_found(tmp_path: Path) -> None:
    cube = np.random.default_rng(1).integers(0, 10_000, (4, 6, 9)).astype(np.int16)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["SITE/Reflectance/Reflectance_Data"] = cube
        told = {"Scale_Factor": 10_000.0, "Data_Ignore_Value": -9999.0}
        file["SITE/Reflectance/Reflectance_Data"].attrs.update(told)
        file["SITE/Reflectance/Metadata/Spectral_Data/Wavelength"] = np.linspace(400, 2500, 9)
    scene = load(tmp_path / "a.h5")
    np.testing.assert_allclose(scene.cube, cube / 10_000, rtol=1e-6)
    assert scene.nodata == -9999 and scene.wavelengths_nm is not None


def test_the_panchromatic_image_of_the_same_file_has_a_key(tmp_path: Path) -> None:
    write_prisma(tmp_path / "a.he5")
    pan = np.random.default_rng(1).integers(1, 65535, (6 * ROWS, 6 * COLS)).astype(np.uint16)
    with h5py.File(tmp_path / "a.he5", "r+") as file:
        file["HDFEOS/SWATHS/PRS_L2D_PCO/Data Fields/Cube"] = pan
        file.attrs.update({"L2ScalePanMin": 0.05, "L2ScalePanMax": 0.75})
    cube, scene = load(tmp_path / "a.he5"), load(tmp_path / "a.he5", key="PAN")
    np.testing.assert_allclose(scene.cube[..., 0], 0.05 + pan * 0.7 / 65535, rtol=1e-6)
    assert scene.georeference is not None and cube.georeference is not None
    assert scene.georeference.at(0, 0) == cube.georeference.at(0, 0)
    assert scene.georeference.pixel_size == (5, 5)
    summary = describe(tmp_path / "a.he5")
    said = [finding.found for finding in summary.findings]
    assert any("VNIR_PIXEL_L2_ERR_MATRIX" in one for one in said) and any('key "PAN"' in one for one in said)


def test_a_product_without_a_panchromatic_image_says_so(tmp_path: Path) -> None:
    write_prisma(tmp_path / "a.he5")
    with pytest.raises(OSError, match="holds no panchromatic image"):
        load(tmp_path / "a.he5", key="PAN")
