"""ENVI: every interleave, type and order of bytes, read and written as other programs do."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import spectral.io.envi
from hypothesis import given, settings
from hypothesis import strategies as st

from hsr_tf.geo.georeference import Georeference
from hsr_tf.io import CubeHeader, create_cube, describe, load, open_cube, save
from hsr_tf.io.envi import Envi
from hsr_tf.io.format import WriteOptions
from hsr_tf.scene import Scene

TYPES = {"u1": 1, "i2": 2, "i4": 3, "f4": 4, "f8": 5, "u2": 12, "u4": 13, "i8": 14, "u8": 15}
AXES = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
GRID = Georeference((30.0, 0.0, 500_010.0, 0.0, -30.0, 4_600_020.0), "EPSG:32631")


def write_envi(
    folder: Path, cube: np.ndarray, interleave: str = "bil", *, extra: str = "", **more: Any
) -> Path:
    """A file as another program writes it; `more`: offset, order, encoding, data and header (names)."""
    order = more.get("order", "<")
    height, width, bands = cube.shape
    code = TYPES[cube.dtype.newbyteorder("=").str[1:]]
    data, header = folder / more.get("data", "a.img"), folder / more.get("header", "a.hdr")
    stored = cube.transpose(AXES[interleave]).astype(cube.dtype.newbyteorder(order))
    data.write_bytes(bytes(more.get("offset", 0)) + stored.tobytes())
    lines = [
        "ENVI",
        f"samples = {width}",
        f"lines = {height}",
        f"bands = {bands}",
        f"header offset = {more.get('offset', 0)}",
        f"data type = {code}",
        f"interleave = {interleave}",
        f"byte order = {int(order == '>')}",
    ]
    header.write_bytes(("\n".join(lines) + "\n" + extra).encode(more.get("encoding", "utf-8")))
    return data


def cube_of(dtype: str, shape: tuple[int, int, int] = (4, 3, 5)) -> np.ndarray:
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    bounds = np.iinfo(dtype)
    return rng.integers(bounds.min, bounds.max, shape, dtype=dtype, endpoint=True)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 5)] * 3),
    dtype=st.sampled_from(sorted(TYPES)),
    interleave=st.sampled_from(sorted(AXES)),
    order=st.sampled_from("<>"),
    offset=st.sampled_from([0, 1, 512]),
)
def test_every_kind_of_file_is_read_as_spectral_reads_it(
    shape: tuple[int, int, int],
    dtype: str,
    interleave: str,
    order: str,
    offset: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    cube = cube_of(dtype, shape)
    path = write_envi(tmp_path_factory.mktemp("any"), cube, interleave, order=order, offset=offset)
    with open_cube(path) as reader:
        stored = reader.stored(slice(None), slice(None))
        assert reader.header.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(reader.stored(slice(1, None), slice(0, 2)), cube[1:, :2])
    np.testing.assert_array_equal(stored, cube)
    theirs = spectral.io.envi.open(str(path.with_suffix(".hdr")))
    np.testing.assert_array_equal(theirs.open_memmap(interleave="bip"), cube)


@pytest.mark.parametrize(("interleave", "dtype"), list(itertools.product(sorted(AXES), sorted(TYPES))))
def test_what_is_written_is_what_spectral_and_gdal_read(interleave: str, dtype: str, tmp_path: Path) -> None:
    cube = cube_of(dtype)
    header = CubeHeader(shape=cube.shape, dtype=cube.dtype)
    with Envi().create(tmp_path / "a.img", header, WriteOptions(interleave=interleave)) as writer:
        for rows, cols in itertools.product((slice(3, 4), slice(0, 3)), (slice(1, 3), slice(0, 1))):
            writer.write(rows, cols, cube[rows, cols])
    theirs = spectral.io.envi.open(str(tmp_path / "a.hdr"))
    assert theirs.metadata["interleave"] == interleave
    np.testing.assert_array_equal(theirs.open_memmap(interleave="bip"), cube)
    with rasterio.open(tmp_path / "a.img") as dataset:
        assert dataset.driver == "ENVI"
        np.testing.assert_array_equal(np.moveaxis(dataset.read(), 0, -1), cube)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.hdr", "a.img"]


def full_scene() -> Scene:
    mask = np.zeros((4, 3), bool)
    mask[2, 1] = True
    return Scene(
        cube=np.where(mask[..., None], 0, cube_of("f4")),
        wavelengths_nm=np.array([400.1, 500.25, 600, 700, 2500.7]),
        name="a scene",
        metadata={"sensor type": "Prüfstand, {1}", "gain": 1.5, "list": [1, 2]},
        nodata_mask=mask,
        fwhm_nm=np.array([9.5, 10.1, 10, 11, 12]),
        band_names=("blue", "green, bright", "red {1}", "x=1", "Küste"),
        good_bands=np.array([True, True, False, True, True]),
        georeference=GRID,
        nodata=-9999.0,
    )


@pytest.mark.parametrize("name", ["a.hdr", "a.img", "a.dat", "a.bsq", "a.BIP", "a.raw", "a.bil"])
def test_everything_about_a_scene_survives(name: str, tmp_path: Path) -> None:
    scene = full_scene()
    found = load(save(scene, tmp_path / name))
    np.testing.assert_array_equal(found.cube, scene.cube)
    np.testing.assert_array_equal(found.nodata_mask, scene.nodata_mask)
    for field in ("wavelengths_nm", "fwhm_nm", "good_bands"):
        np.testing.assert_array_equal(getattr(found, field), getattr(scene, field))
    assert (found.name, found.band_names) == (scene.name, scene.band_names)
    assert (found.georeference, found.nodata) == (scene.georeference, scene.nodata)
    assert scene.metadata.items() <= found.metadata.items()


def test_gdal_and_spectral_see_the_same_facts(tmp_path: Path) -> None:
    save(full_scene(), tmp_path / "a.img")
    theirs = spectral.io.envi.open(str(tmp_path / "a.hdr"))
    assert theirs.bands.centers == [400.1, 500.25, 600, 700, 2500.7]
    assert theirs.bands.bandwidths == [9.5, 10.1, 10, 11, 12]
    assert theirs.metadata["bbl"] == [1, 1, 0, 1, 1]
    with rasterio.open(tmp_path / "a.img") as dataset:
        assert tuple(dataset.transform)[:6] == GRID.transform
        assert dataset.crs == rasterio.crs.CRS.from_epsg(32631)
        assert dataset.nodata == -9999


@pytest.mark.parametrize("turn", [0.0, 12.5, -33.0, 90.0, 150.0])
@pytest.mark.parametrize("size", [(30.0, 30.0), (10.0, 20.0)])
def test_a_turned_grid_comes_back_and_lies_where_gdal_puts_it(
    turn: float, size: tuple[float, float], tmp_path: Path
) -> None:
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    width, height = size
    transform = (width * cos, height * sin, 5e5, width * sin, -height * cos, 4.6e6)
    grid = Georeference(tuple(float(term) for term in transform), "EPSG:32731")
    save(replace(full_scene(), georeference=grid), tmp_path / "a.img")
    assert load(tmp_path / "a.img").georeference == grid
    if width == height or turn == 0:  # GDAL mixes width and height where they differ
        with rasterio.open(tmp_path / "a.img") as dataset:
            np.testing.assert_allclose(tuple(dataset.transform)[:6], grid.transform, atol=1e-6)


def test_rows_that_go_north_come_back_and_lie_where_gdal_puts_them(tmp_path: Path) -> None:
    grid = Georeference((10.0, 0.0, 5e5, 0.0, 20.0, 4.6e6), "EPSG:32631")
    save(replace(full_scene(), georeference=grid), tmp_path / "a.img")
    assert load(tmp_path / "a.img").georeference == grid
    with rasterio.open(tmp_path / "a.img") as dataset:
        assert tuple(dataset.transform)[:6] == grid.transform


def test_a_grid_that_map_info_cannot_tell_is_refused(tmp_path: Path) -> None:
    sheared = Georeference((10.0, 3.0, 0.0, 0.0, -10.0, 0.0), None)
    with pytest.raises(ValueError, match="rows and columns at a right angle"):
        save(replace(full_scene(), georeference=sheared), tmp_path / "a.img")
    assert list(tmp_path.iterdir()) == []


HEADERS: dict[str, tuple[str, Callable[[Scene], bool]]] = {
    "micrometres": (
        "wavelength units = Micrometers\nwavelength = {0.4, 0.5, 0.6,\n 0.7,\n 2.5}\n",
        lambda scene: np.allclose(scene.wavelengths_nm, [400, 500, 600, 700, 2500], rtol=1e-12),
    ),
    "no units, small numbers": (
        "Wavelength={.4,.5,.6,.7,2.5}\nfwhm={.01,.01,.01,.01,.02}\n",
        lambda scene: np.allclose(scene.wavelengths_nm[-1], 2500) and np.allclose(scene.fwhm_nm[0], 10),
    ),
    "odd spacing and capitals": (
        "  WAVELENGTH   UNITS=nanometers  \r\nWaveLength =   {  400 ,500,600  ,700, 800 }\r\n; a = 3\r\n",
        lambda scene: scene.wavelengths_nm.tolist() == [400, 500, 600, 700, 800],
    ),
    "wrong number of wavelengths": ("wavelength = {1, 2, 3}\n", lambda scene: scene.wavelengths_nm is None),
    "wave numbers": (
        "wavelength units = Wavenumber\nwavelength = {1,2,3,4,5}\n",
        lambda scene: scene.wavelengths_nm is None,
    ),
    "utm without a coordinate system": (
        "map info = {UTM, 1.5, 2.0, 500000.0, 4600000.0, 10.0, 20.0, 31, South, WGS-84, units=Meters}\n",
        lambda scene: (
            scene.georeference == Georeference((10.0, 0.0, 499_995.0, 0.0, -20.0, 4_600_020.0), "EPSG:32731")
        ),
    ),
    "latitude and longitude": (
        "map info = {Geographic Lat/Lon, 1, 1, -5.5, 48.25, 0.001, 0.002, WGS-84, units=Degrees}\n",
        lambda scene: scene.georeference == Georeference((0.001, 0, -5.5, 0, -0.002, 48.25), "EPSG:4326"),
    ),
    "bad map info": ("map info = {UTM, a, b, c, d, e, f}\n", lambda scene: scene.georeference is None),
    "latin-1": (
        "description = {\n Küste von Málaga}\n",
        lambda scene: "Küste" in scene.metadata["description"],
    ),
    "gain and offset": (
        "data gain values = {1,2,3,4,5}\ndata offset values = {0,0,0,0,-1}\n",
        lambda scene: np.allclose(scene.cube[..., 4], cube_of("i2")[..., 4] * 5.0 - 1),
    ),
    "scale factor": (
        "reflectance scale factor = 10000.000000\n",
        lambda scene: (
            np.allclose(scene.cube, cube_of("i2") / 10000) and scene.metadata["white_level"] == 10000
        ),
    ),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_other_makers_are_understood(name: str, tmp_path: Path) -> None:
    extra, as_it_should = HEADERS[name]
    encoding = "latin-1" if name == "latin-1" else "utf-8"
    assert as_it_should(load(write_envi(tmp_path, cube_of("i2"), extra=extra, encoding=encoding)))


def test_missing_fields_have_the_defaults_of_the_format(tmp_path: Path) -> None:
    cube = cube_of("u2")
    path = write_envi(tmp_path, cube, "bsq")
    header = tmp_path / "a.hdr"
    kept = [
        line for line in header.read_text().splitlines() if not line.startswith(("byte", "header", "inter"))
    ]
    header.write_text("\n".join(kept))
    with open_cube(path) as reader:
        np.testing.assert_array_equal(reader.stored(slice(None), slice(None)), cube)


@pytest.mark.parametrize(
    ("data", "header"),
    [
        ("a", "a.hdr"),
        ("a.img", "a.img.hdr"),
        ("a.DAT", "a.HDR"),
        ("EO1H.L1R", "EO1H.hdr"),
        ("r_img", "r_img.hdr"),
    ],
)
def test_the_two_files_are_found_from_either_name(data: str, header: str, tmp_path: Path) -> None:
    write_envi(tmp_path, cube_of("f4"), data=data, header=header)
    np.testing.assert_array_equal(load(tmp_path / data).cube, cube_of("f4"))
    if not data.endswith(".L1R"):
        np.testing.assert_array_equal(load(tmp_path / header).cube, cube_of("f4"))


BAD = {
    "samples = x": "its samples is 'x'",
    "samples = -3": "its samples is '-3'",
    "samples = 3000000": "it is cut short",
    "samples = 99999999999": "beyond any image",
    "data type = 6": "complex64, not real numbers",
    "data type = 7": "its data type is '7'",
    "byte order = 2": "its byte order is '2'",
    "interleave = bbq": "its interleave is 'bbq'",
    "file type = ENVI Spectral Library": "is a library of spectra",
    "file compression = 1": "its data are compressed",
    "header offset = -1": "its header offset is '-1'",
    "x = {1, 2": "cannot be read as an ENVI header",
}


@pytest.mark.parametrize("line", BAD)
def test_a_bad_header_is_one_clear_line(line: str, tmp_path: Path) -> None:
    path = write_envi(tmp_path, cube_of("f4"), extra=line + "\n")
    with pytest.raises(OSError) as caught:
        load(path)
    assert BAD[line] in str(caught.value) and "\n" not in str(caught.value)


def test_one_file_alone_is_refused(tmp_path: Path) -> None:
    path = write_envi(tmp_path, cube_of("f4"))
    (tmp_path / "b.img").write_bytes(path.read_bytes())
    with pytest.raises(OSError, match="has no ENVI header"):
        load(tmp_path / "b.img")
    path.unlink()
    with pytest.raises(OSError, match="has no ENVI data beside it"):
        load(tmp_path / "a.hdr")


def test_a_writer_that_fails_leaves_the_old_pair(tmp_path: Path) -> None:
    old = full_scene()
    save(old, tmp_path / "a.img")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RuntimeError), create_cube(tmp_path / "a.img", CubeHeader(shape=(2, 2, 2))):
        raise RuntimeError("stopped")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    save(Scene(np.ones((2, 2, 3))), tmp_path / "a.img")
    assert load(tmp_path / "a.img").shape == (2, 2, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.hdr", "a.img"]


def test_the_header_of_another_image_is_not_taken(tmp_path: Path) -> None:
    save(full_scene(), tmp_path / "a.img")
    with pytest.raises(OSError, match=r"a.hdr: is the header of a.img"):
        save(full_scene(), tmp_path / "a.bip")


def test_pixels_without_data_of_integers_need_a_value(tmp_path: Path) -> None:
    header = CubeHeader(shape=(2, 2, 1), dtype=np.dtype("u2"), nodata_mask=np.eye(2, dtype=bool))
    with pytest.raises(ValueError, match="nodata: expected a value"), create_cube(tmp_path / "a.img", header):
        pass
    with create_cube(tmp_path / "a.img", replace(header, nodata=7.0)) as writer:
        writer.write(slice(0, 2), slice(0, 2), np.ones((2, 2, 1), np.uint16))
    assert load(tmp_path / "a.img").nodata_mask.tolist() == [[True, False], [False, True]]


def test_describe_tells_the_interleave_and_the_grid(tmp_path: Path) -> None:
    summary = describe(save(full_scene(), tmp_path / "a.bip"))
    assert summary.storage.startswith("BIP") and summary.georeference == GRID
    assert (summary.num_bad_bands, summary.nodata, summary.num_nodata) == (1, -9999.0, 1)


def test_a_value_without_a_name_is_left_out(tmp_path: Path) -> None:
    header, data = tmp_path / "a.hdr", tmp_path / "a.img"
    lines = ["samples = 3", "lines = 2", "bands = 1", "data type = 4", "interleave = bsq", "byte order = 0"]
    header.write_text("\n".join(["ENVI", *lines, "header offset = 0", "sensor = x", "= nothing"]))
    data.write_bytes(np.arange(6, dtype="<f4").tobytes())
    save(load(data), tmp_path / "a.h5")
    assert load(tmp_path / "a.h5").metadata["sensor"] == "x"
    save(replace(load(data), metadata={"": 1, "y": 2}), tmp_path / "b.h5")
    assert load(tmp_path / "b.h5").metadata["y"] == 2
