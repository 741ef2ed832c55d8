"""GeoTIFF: values, grid and bands as rasterio sees them, and no way from a file to another driver."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine

from hsr_tf.geo.georeference import Georeference
from hsr_tf.io import CubeHeader, create_cube, describe, load, open_cube, save
from hsr_tf.io.geotiff import create_geotiff
from hsr_tf.scene import Scene

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
GRID = Georeference((10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0), "EPSG:32631")
TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]


def cube_of(dtype: str, shape: tuple[int, int, int] = (19, 21, 5)) -> np.ndarray:
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    bounds = np.iinfo(dtype)
    return rng.integers(bounds.min, bounds.max, shape, dtype=dtype, endpoint=True)


def full_scene(bands: int = 5) -> Scene:
    mask = np.zeros((19, 21), bool)
    mask[2, 3:9] = True
    return Scene(
        cube=np.where(mask[..., None], 0, cube_of("f4", (19, 21, bands))),
        wavelengths_nm=np.linspace(400.1, 2500.7, bands),
        name="a scene",
        metadata={"sensor": "Prüfstand", "list": [1, 2], "count": 3},
        nodata_mask=mask,
        fwhm_nm=np.linspace(9.5, 12.3, bands),
        band_names=tuple(f"Band <{i}>, ä" for i in range(bands)),
        good_bands=np.arange(bands) != 2,
        georeference=GRID,
        nodata=-9999.0,
    )


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 6)),
    dtype=st.sampled_from(TYPES),
    cog=st.booleans(),
)
def test_values_of_every_type_are_what_rasterio_reads(
    shape: tuple[int, int, int], dtype: str, cog: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cube, path = cube_of(dtype, shape), tmp_path_factory.mktemp("any") / "a.tif"
    half = shape[0] // 2
    with create_geotiff(path, CubeHeader(shape=shape, dtype=cube.dtype), cog=cog) as writer:
        for rows in (slice(half, shape[0]), slice(0, half)):
            if rows.stop > rows.start:
                writer.write(rows, slice(None), cube[rows])
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(np.moveaxis(dataset.read(), 0, -1), cube)
    with open_cube(path) as reader:
        assert reader.header.dtype == cube.dtype
        np.testing.assert_array_equal(reader.stored(slice(None), slice(None)), cube)
    assert [one.name for one in path.parent.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("bands", [1, 2, 4, 31])
def test_everything_about_a_scene_survives(bands: int, tmp_path: Path) -> None:
    scene = full_scene(bands)
    found = load(save(scene, tmp_path / "a.tif"))
    np.testing.assert_array_equal(found.cube, scene.cube)
    np.testing.assert_array_equal(found.nodata_mask, scene.nodata_mask)
    for field in ("wavelengths_nm", "fwhm_nm", "good_bands"):
        np.testing.assert_array_equal(getattr(found, field), getattr(scene, field))
    assert (found.name, found.band_names) == (scene.name, scene.band_names)
    assert (found.georeference, found.nodata) == (scene.georeference, scene.nodata)
    assert scene.metadata.items() <= found.metadata.items()


@pytest.mark.parametrize("cog", [False, True])
def test_rasterio_sees_the_place_the_bands_and_the_law(cog: bool, tmp_path: Path) -> None:
    stored = cube_of("u2")
    header = CubeHeader(
        shape=stored.shape,
        dtype=stored.dtype,
        wavelengths_nm=np.array([400, 500, 600, 700, 2500.5]),
        fwhm_nm=np.full(5, 9.5),
        band_names=("a", "b", "c", "d", "e"),
        georeference=GRID,
        nodata=65535,
        gain=np.linspace(0.1, 0.5, 5),
        offset=np.linspace(-1, 1, 5),
    )
    with create_geotiff(tmp_path / "a.tif", header, cog=cog) as writer:
        writer.write(slice(None), slice(None), stored)
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert dataset.bounds == (500_000, 4_599_810, 500_210, 4_600_000)
        assert dataset.xy(0, 0) == (500_005.0, 4_599_995.0)
        assert dataset.crs.to_epsg() == 32631 and dataset.nodata == 65535
        assert dataset.descriptions == ("a", "b", "c", "d", "e")
        assert dataset.tags(5, ns="IMAGERY") == {"CENTRAL_WAVELENGTH_UM": "2.500500", "FWHM_UM": "0.009500"}
        np.testing.assert_array_equal(dataset.scales, header.gain)
        np.testing.assert_array_equal(dataset.offsets, header.offset)
        assert (dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG") == cog
    scene = load(tmp_path / "a.tif")
    kept = (stored != 65535).all(axis=-1)
    np.testing.assert_allclose(scene.cube[kept], (stored * header.gain + header.offset)[kept], rtol=1e-6)


def test_integers_keep_their_white_level(tmp_path: Path) -> None:
    header = CubeHeader(shape=(2, 3, 1), dtype=np.dtype("i2"), white_level=10000.0)
    with create_cube(tmp_path / "a.tif", header) as writer:
        writer.write(slice(None), slice(None), np.full((2, 3, 1), 2500, np.int16))
    scene = load(tmp_path / "a.tif")
    assert scene.cube.max() == 0.25 and scene.metadata["white_level"] == 10000
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert dataset.scales == (1e-4,)


def test_a_turned_grid_comes_back(tmp_path: Path) -> None:
    grid = Georeference((8.0, 3.0, 100.0, 3.0, -8.0, 200.0), "EPSG:2154")
    save(replace(full_scene(), georeference=grid), tmp_path / "a.tif")
    assert load(tmp_path / "a.tif").georeference == grid
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert tuple(dataset.transform)[:6] == grid.transform


def foreign(path: Path, **tags: str) -> Path:
    """A GeoTIFF of another program."""
    profile = {
        "driver": "GTiff",
        "height": 6,
        "width": 7,
        "count": 3,
        "dtype": "int16",
        "interleave": "pixel",
    }
    with rasterio.open(
        path, "w", **profile, crs="EPSG:4326", transform=Affine(0.1, 0, 5, 0, -0.1, 50), nodata=-1
    ) as dataset:
        dataset.write(np.arange(126, dtype=np.int16).reshape(3, 6, 7))
        dataset.update_tags(**tags)
    return path


@pytest.mark.parametrize(
    "tags",
    [
        {"wavelength": "{400, 500, 600}", "wavelength_units": "Nanometers", "bbl": "{1,0,1}"},
        {"Wavelengths": "0.4 0.5 0.6", "FWHM": "0.01 0.01 0.01", "bbl": "1 0 1"},
        {"WAVELENGTH": "400,500,600", "bbl": "1,0,1", "AUTHOR": "somebody"},
    ],
)
def test_wavelengths_in_the_tags_of_other_programs_are_read(tags: dict[str, str], tmp_path: Path) -> None:
    scene = load(foreign(tmp_path / "a.tif", **tags))
    np.testing.assert_allclose(scene.wavelengths_nm, [400, 500, 600])
    assert scene.good_bands is not None and scene.good_bands.tolist() == [True, False, True]
    assert scene.georeference is not None and scene.georeference.at(0, 0) == (5, 50)
    assert scene.metadata.get("AUTHOR") == tags.get("AUTHOR")


def test_wavelengths_of_the_imagery_domain_are_read(tmp_path: Path) -> None:
    foreign(tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif", "r+") as dataset:
        for band, micrometres in enumerate(("0.400", "0.500", "2.2"), 1):
            dataset.update_tags(band, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=micrometres, FWHM_UM="0.01")
    scene = load(tmp_path / "a.tif")
    np.testing.assert_allclose(scene.wavelengths_nm, [400, 500, 2200])
    np.testing.assert_allclose(scene.fwhm_nm, [10, 10, 10])


def test_a_picture_stays_a_picture(tmp_path: Path) -> None:
    save(Scene(np.full((4, 5, 3), 0.5), name="x", wavelengths_nm=[1.0, 2, 3]), tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].dtype == np.uint16 and not file.is_bigtiff
    assert describe(tmp_path / "a.tif").format == "TIFF"


def test_a_window_of_a_large_file_takes_no_more_than_its_share(tmp_path: Path) -> None:
    import resource

    header = CubeHeader(shape=(2048, 2048, 8), dtype=np.dtype("u2"))
    with create_cube(tmp_path / "a.tif", header) as writer:
        for top in range(0, 2048, 256):
            writer.write(slice(top, top + 256), slice(None), np.full((256, 2048, 8), top, np.uint16))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open_cube(tmp_path / "a.tif") as reader:
        part = reader.stored(slice(300, 310), slice(5, 15))
    assert part.min() == part.max() == 256
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


VRT = """<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>
<SourceFilename>%s</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"""


def test_no_other_driver_is_reached_by_what_a_file_holds(tmp_path: Path) -> None:
    secret = save(full_scene(), tmp_path / "secret.tif")
    for text in (VRT % secret, "/vsicurl/http://127.0.0.1:9/a.tif", f"GTIFF_DIR:1:{secret}"):
        (tmp_path / "a.tif").write_text(text)
        with pytest.raises(OSError, match="cannot be read as"):
            load(tmp_path / "a.tif")
    with pytest.raises(OSError, match="only opened where that is allowed"):
        load("/vsicurl/http://127.0.0.1:9/a.tif")
    with pytest.raises(OSError, match="no such file"):
        load(f"GTIFF_DIR:1:{secret}")


def test_files_beside_the_image_are_not_opened(tmp_path: Path) -> None:
    path = foreign(tmp_path / "a.tif")
    pam = '<PAMDataset><Metadata><MDI key="planted">yes</MDI></Metadata></PAMDataset>'
    (tmp_path / "a.tif.aux.xml").write_text(pam)
    assert "planted" not in load(path).metadata


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.99])
def test_a_file_cut_short_is_refused(share: float, tmp_path: Path) -> None:
    path = save(full_scene(), tmp_path / "a.tif")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(OSError) as caught:
        load(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_half_precision_and_a_bad_crs_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    for header, said in (
        (CubeHeader(shape=(2, 2, 2), dtype=np.dtype("f2")), "dtype: expected integers"),
        (CubeHeader(shape=(2, 2, 2), georeference=replace(GRID, crs="nonsense")), "georeference: expected a"),
    ):
        with pytest.raises(ValueError, match=said), create_cube(tmp_path / "a.tif", header):
            pass
    assert list(tmp_path.iterdir()) == []
