"""Folders of Sentinel-2 and Landsat bands, in the layout of the products, made here at a small size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling

from hsr_tf.geo.crs import same_crs
from hsr_tf.io import describe, load, open_cube
from hsr_tf.io.satellite_folder import finer_window

SAFE = "S2B_MSIL2A_20220724T101559_N0400_R065_T33UUU_20220724T150000.SAFE"
TILE = "T33UUU_20220724T101559"
TEN, TWENTY = ("B02", "B03", "B04", "B08"), ("B05", "B06", "B07", "B8A", "B11", "B12")
LANDSAT = "LC08_L2SP_193023_20220724_20220802_02_T1"
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def write(path: Path, values: np.ndarray, pixel: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"count": 1, "height": values.shape[0], "width": values.shape[1], "dtype": "uint16"}
    transform = rasterio.Affine(pixel, 0, 300_000, 0, -pixel, 5_900_040)
    more = {"driver": "GTiff"}
    if path.suffix == ".jp2":  # without loss
        more = {"driver": "JP2OpenJPEG", "quality": 100, "reversible": "yes"}
    with rasterio.open(path, "w", crs="EPSG:32633", transform=transform, **profile, **more) as file:
        file.write(values, 1)


def sentinel(folder: Path, *, offsets: bool = True, suffix: str = ".jp2") -> dict[str, np.ndarray]:
    """A SAFE folder; the last two rows of all bands hold no data."""
    rng, stored = np.random.default_rng(0), {}
    for names, size, pixel in ((TEN, 24, 10), (TWENTY, 12, 20), (("B01",), 4, 60)):
        for name in names:
            values = rng.integers(1000, 9000, (size, size)).astype(np.uint16)
            values[-2 * size // 24 :] = 0
            stored[name] = values
            place = folder / SAFE / "GRANULE" / "L2A_T33UUU" / "IMG_DATA" / f"R{pixel}m"
            write(place / f"{TILE}_{name}_{pixel}m{suffix}", values, pixel)
    # Level 2A has every band of 10 m in pixels of 20 m as well.
    place = folder / SAFE / "GRANULE" / "L2A_T33UUU" / "IMG_DATA" / "R20m"
    write(place / f"{TILE}_B02_20m{suffix}", stored["B02"][::2, ::2], 20)
    lines = "".join(f'<BOA_ADD_OFFSET band_id="{i}">-1000</BOA_ADD_OFFSET>' for i in range(13))
    text = (
        '<?xml version="1.0"?><n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/">'
        "<n1:General_Info><Product_Image_Characteristics><QUANTIFICATION_VALUES_LIST>"
        '<BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE></QUANTIFICATION_VALUES_LIST>'
        f"<BOA_ADD_OFFSET_VALUES_LIST>{lines}</BOA_ADD_OFFSET_VALUES_LIST>"
        "</Product_Image_Characteristics></n1:General_Info></n1:Level-2A_User_Product>"
    )
    if offsets:
        (folder / SAFE / "MTD_MSIL2A.xml").write_text(text, encoding="utf-8")
    return stored


def test_a_safe_folder_is_one_image_of_ten_metres(tmp_path: Path) -> None:
    stored = sentinel(tmp_path)
    scene, summary = load(tmp_path / SAFE), describe(tmp_path / SAFE)
    assert scene.band_names == ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
    assert scene.shape == (24, 24, 10) and scene.nodata_mask is not None
    assert scene.nodata_mask[-2:].all() and not scene.nodata_mask[:-2].any()
    for name in TEN:
        band = scene.cube[:-2, :, scene.band_names.index(name)]
        np.testing.assert_allclose(band, (stored[name][:-2] - 1000.0) / 10_000, atol=1e-6)
    assert scene.georeference is not None and same_crs(scene.georeference.crs, "EPSG:32633")
    np.testing.assert_allclose(scene.georeference.transform, (10, 0, 300_000, 0, -10, 5_900_040))
    assert scene.wavelengths_nm is not None and scene.metadata["sensor"] == "sentinel2b"
    assert "MTD_MSIL2A.xml" in summary.used and f"{TILE}_B02_10m.jp2" in summary.used
    said = [finding.found for finding in summary.findings]
    assert said[0] == "bands: B01" and "resampled (bilinear)" in said[1] and len(said) == 2


def test_coarse_bands_are_those_that_gdal_interpolates(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(1000, 9000, (12, 10)).astype(np.uint16)
    write(tmp_path / "a.tif", values, 20)
    with rasterio.open(tmp_path / "a.tif") as file:
        expected = file.read(1, out_shape=(24, 20), resampling=Resampling.bilinear)
    found = finer_window(lambda rows, cols: values[rows, cols], values.shape, 2)
    whole = found(slice(0, 24), slice(0, 20))
    np.testing.assert_allclose(whole.astype(int), expected.astype(int), atol=1)
    np.testing.assert_array_equal(found(slice(5, 18), slice(3, 20)), whole[5:18, 3:20])


def test_parts_are_those_of_the_whole_and_a_key_chooses_bands(tmp_path: Path) -> None:
    sentinel(tmp_path, suffix=".tif")
    path, rows, cols = tmp_path / SAFE, slice(7, 20), slice(3, 18)
    whole = load(path)
    with open_cube(path) as reader:
        np.testing.assert_array_equal(reader.read(rows, cols), whole.cube[rows, cols])
    assert load(path, key="B02,B03,B04,B08").band_names == TEN
    with pytest.raises(ValueError, match="key: expected bands of"):
        load(path, key="B99")


def test_without_metadata_the_offset_follows_from_the_baseline_and_is_reported(tmp_path: Path) -> None:
    stored = sentinel(tmp_path, offsets=False)
    scene = load(tmp_path / SAFE, key="B02,B03")
    np.testing.assert_allclose(scene.cube[:-2, :, 0], (stored["B02"][:-2] - 1000.0) / 10_000, atol=1e-6)
    said = [one.found for one in describe(tmp_path / SAFE).findings if one.severity == "warning"]
    assert len(said) == 1 and "offset -1000 is that of baseline 0400" in said[0]


def landsat(folder: Path, *, text: bool = True) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    stored = {f"B{i}": rng.integers(7000, 30_000, (8, 9)).astype(np.uint16) for i in range(1, 8)}
    for name, values in stored.items():
        values[0, 0] = 0
        write(folder / f"{LANDSAT}_SR_{name}.TIF", values, 30)
    write(folder / f"{LANDSAT}_ST_B10.TIF", stored["B1"], 30)
    groups = (
        ("LEVEL2_SURFACE_REFLECTANCE_PARAMETERS", 2.75e-05, -0.2),
        ("LEVEL1_RADIOMETRIC_RESCALING", 2e-5, -0.1),
    )
    lines = ["GROUP = LANDSAT_METADATA_FILE"]
    for group, gain, offset in groups:
        lines.append(f"  GROUP = {group}")
        lines += [f"    REFLECTANCE_MULT_BAND_{i} = {gain}" for i in range(1, 8)]
        lines += [f"    REFLECTANCE_ADD_BAND_{i} = {offset}" for i in range(1, 8)]
        lines.append(f"  END_GROUP = {group}")
    if text:
        (folder / f"{LANDSAT}_MTL.txt").write_text("\n".join([*lines, "END_GROUP = LANDSAT_METADATA_FILE"]))
    return stored


@pytest.mark.parametrize("text", [True, False])
def test_bands_of_landsat_are_one_image_with_its_scale(text: bool, tmp_path: Path) -> None:
    stored = landsat(tmp_path, text=text)
    scene, summary = load(tmp_path), describe(tmp_path)
    assert scene.band_names == tuple(stored) and scene.metadata["sensor"] == "landsat8"
    assert scene.nodata_mask is not None and np.argwhere(scene.nodata_mask).tolist() == [[0, 0]]
    expected = 2.75e-5 * np.stack(list(stored.values()), -1) - 0.2
    counted = ~scene.nodata_mask
    np.testing.assert_allclose(scene.cube[counted], expected[counted], atol=1e-6)
    assert (f"{LANDSAT}_MTL.txt" in summary.used) == text
    assert any("as collection 2 has it" in one.found for one in summary.findings) == (not text)


def test_bands_that_do_not_lie_on_one_grid_are_refused(tmp_path: Path) -> None:
    for name, size in (("B02", 24), ("B03", 17)):
        write(tmp_path / f"{TILE}_{name}.tif", np.ones((size, size), np.uint16), 10)
    with pytest.raises(OSError, match="its band B03 does not lie on the grid of the finest"):
        load(tmp_path)
