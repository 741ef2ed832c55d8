"""EnMAP and DESIS products in the layout that DLR distributes, made here at a small size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from hsr_tf.geo.crs import same_crs
from hsr_tf.io import describe, load
from hsr_tf.io.convert import convert

ENMAP = "ENMAP01-____L2A-DT0000001867_20220724T104526Z_008_V010302_20230628T165614Z"
DESIS = "DESIS-HSI-L2A-DT1203190212_025-20191203T021128-V0210"
CENTRES, WIDTHS = np.array([418.4, 700.2, 1390.0, 2400.1]), np.array([7.0, 8.1, 11.2, 10.3])
COUNTS = np.random.default_rng(0).integers(100, 6000, (4, 5, 6)).astype(np.int16)
EXPECTED = (1, 2, 4)


def image(path: Path) -> Path:
    counts = COUNTS.copy()
    counts[:, 0, 0] = -32768
    counts[2] = -32768  # a band that the processor does not fill
    profile = {"driver": "GTiff", "count": 4, "height": 5, "width": 6, "dtype": "int16", "crs": "EPSG:32633"}
    transform = rasterio.Affine(30, 0, 363_000, 0, -30, 5_812_000)
    with rasterio.open(path, "w", transform=transform, nodata=-32768, **profile) as file:
        file.write(counts)
    return path


def enmap(folder: Path, *, bands: int = 4) -> Path:
    entries = "".join(
        f'<bandID number="{i + 1}"><wavelengthCenterOfBand>{centre}</wavelengthCenterOfBand>'
        f"<FWHMOfBand>{width}</FWHMOfBand><GainOfBand>0.0001</GainOfBand><OffsetOfBand>0</OffsetOfBand></bandID>"
        for i, (centre, width) in list(enumerate(zip(CENTRES, WIDTHS, strict=True)))[:bands]
    )
    quality = (
        "<vnirProductQuality><expectedChannelsList>1,2</expectedChannelsList></vnirProductQuality>"
        "<swirProductQuality><expectedChannelsList>4</expectedChannelsList></swirProductQuality>"
    )
    text = (
        "<level_X><specific><backgroundValue>-32768</backgroundValue><bandCharacterisation>"
        f"{entries}</bandCharacterisation>{quality}</specific></level_X>"
    )
    (folder / f"{ENMAP}-METADATA.XML").write_text(text, encoding="utf-8")
    return image(folder / f"{ENMAP}-SPECTRAL_IMAGE.TIF")


def desis(folder: Path) -> Path:
    lists = {
        "wavelength": CENTRES,
        "fwhm": WIDTHS,
        "data gain values": np.full(4, 0.0001),
        "data offset values": np.zeros(4),
    }
    lines = ["ENVI", "samples = 6", "lines = 5", "bands = 4", "data type = 2", "interleave = bip"]
    lines += [f"{name} = {{{', '.join(map(str, values))}}}" for name, values in lists.items()]
    lines += ["wavelength units = nanometers", "data ignore value = -32768"]
    (folder / f"{DESIS}-SPECTRAL_IMAGE.hdr").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / f"{DESIS}-METADATA.xml").write_text("<hsi_doc/>", encoding="utf-8")
    return image(folder / f"{DESIS}-SPECTRAL_IMAGE.tif")


@pytest.mark.parametrize("product", [enmap, desis])
@pytest.mark.parametrize("by", ["image", "metadata"])
def test_values_bands_and_grid_are_those_of_the_product(product, by: str, tmp_path: Path) -> None:
    path = product(tmp_path)
    if by == "metadata":
        (path,) = tmp_path.glob("*METADATA*")
    for one in (path, convert(path, tmp_path / "a.h5")):
        scene = load(one)
        assert scene.nodata_mask is not None and np.argwhere(scene.nodata_mask).tolist() == [[0, 0]]
        counted, bands = ~scene.nodata_mask, [0, 1, 3]
        expected = COUNTS.transpose(1, 2, 0)[counted][:, bands] / 1e4
        np.testing.assert_allclose(scene.cube[counted][:, bands], expected, rtol=1e-6)
        np.testing.assert_allclose(scene.wavelengths_nm, CENTRES)
        np.testing.assert_allclose(scene.fwhm_nm, WIDTHS)
        assert scene.georeference is not None and same_crs(scene.georeference.crs, "EPSG:32633")
        if product is enmap:
            assert scene.good_bands is not None and scene.good_bands.tolist() == [True, True, False, True]


def test_the_account_names_the_metadata_and_a_list_of_another_length(tmp_path: Path) -> None:
    summary = describe(enmap(tmp_path))
    assert f"{ENMAP}-METADATA.XML" in summary.used and not summary.findings
    found = [one.found for one in describe(enmap(tmp_path, bands=3)).findings]
    assert "wavelengthCenterOfBand: 3 values where 4 are needed" in found


def test_metadata_that_are_no_xml_or_define_entities_are_refused(tmp_path: Path) -> None:
    path = enmap(tmp_path)
    metadata = tmp_path / f"{ENMAP}-METADATA.XML"
    for text in ("<level_X>", '<!DOCTYPE a [<!ENTITY b "c">]><level_X/>'):
        metadata.write_text(text)
        with pytest.raises(OSError, match=r"METADATA\.XML"):
            load(path)


def test_an_image_without_its_metadata_is_a_plain_geotiff(tmp_path: Path) -> None:
    path = image(tmp_path / f"{ENMAP}-SPECTRAL_IMAGE.TIF")
    assert describe(path).format == "GeoTIFF" and load(path).wavelengths_nm is None


def test_the_images_of_both_detectors_of_level_1b_have_their_own_bands(tmp_path: Path) -> None:
    enmap(tmp_path)
    stem = ENMAP.replace("L2A", "L1B")
    (tmp_path / f"{ENMAP}-METADATA.XML").rename(tmp_path / f"{stem}-METADATA.XML")
    (tmp_path / f"{ENMAP}-SPECTRAL_IMAGE.TIF").unlink()
    parts = {"VNIR": slice(0, 2), "SWIR": slice(2, 4)}
    for name, part in parts.items():
        profile = {"driver": "GTiff", "count": 2, "height": 5, "width": 6, "dtype": "int16"}
        with rasterio.open(tmp_path / f"{stem}-SPECTRAL_IMAGE_{name}.TIF", "w", **profile) as file:
            file.write(COUNTS[part])
    for name, part in parts.items():
        scene = load(tmp_path / f"{stem}-SPECTRAL_IMAGE_{name}.TIF")
        np.testing.assert_allclose(scene.cube, COUNTS[part].transpose(1, 2, 0) * 1e-4, rtol=1e-6)
        assert scene.wavelengths_nm is not None and scene.fwhm_nm is not None
        np.testing.assert_array_equal(scene.wavelengths_nm, CENTRES[part])
        np.testing.assert_array_equal(scene.fwhm_nm, WIDTHS[part])
        assert scene.good_bands is not None
        assert scene.good_bands.tolist() == [index + 1 in EXPECTED for index in range(4)][part]
    with pytest.raises(OSError, match=r"describes 2 images.*name .*VNIR.TIF or .*SWIR.TIF"):
        load(tmp_path / f"{stem}-METADATA.XML")
