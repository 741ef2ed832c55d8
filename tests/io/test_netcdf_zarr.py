"""NetCDF and Zarr: CF attributes that xarray and GDAL understand, and many writers of one store."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
import xarray
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from hsr_tf.geo.georeference import Georeference
from hsr_tf.io import CubeHeader, create_cube, load, new_zarr_store, open_cube, open_zarr_tiles, save
from hsr_tf.io.zarr_store import ALL_CHUNKS
from hsr_tf.scene import Scene

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
GRID = Georeference((10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0), "EPSG:32631")
TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
NAMES = ["a.nc", "a.zarr"]


def opened(path: Path, **options: bool) -> xarray.Dataset:
    """As another program opens it."""
    if path.suffix == ".nc":
        return xarray.open_dataset(path, engine="h5netcdf", **options)
    return xarray.open_zarr(path, chunks=None, consolidated=False, **options)


def cube_of(dtype: str, shape: tuple[int, int, int] = (9, 7, 5)) -> np.ndarray:
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    bounds = np.iinfo(dtype)
    return rng.integers(bounds.min, bounds.max, shape, dtype=dtype, endpoint=True)


def full_scene() -> Scene:
    mask = np.zeros((9, 7), bool)
    mask[2, 3:5] = True
    return Scene(
        cube=np.where(mask[..., None], 0, cube_of("f4")),
        wavelengths_nm=np.linspace(400.1, 2500.7, 5),
        name="a scene",
        metadata={"sensor": "Prüfstand", "list": [1, 2], "count": 3},
        nodata_mask=mask,
        fwhm_nm=np.linspace(9.5, 12.3, 5),
        band_names=("blue", "green, ä", "red", "edge", "infrared"),
        good_bands=np.arange(5) != 2,
        georeference=GRID,
        nodata=-9999.0,
    )


@pytest.mark.parametrize("name", NAMES)
def test_everything_about_a_scene_survives(name: str, tmp_path: Path) -> None:
    scene = full_scene()
    for times in (1, 2):  # a store is replaced as a file is
        found = load(save(scene, tmp_path / name))
        np.testing.assert_array_equal(found.cube, scene.cube)
        np.testing.assert_array_equal(found.nodata_mask, scene.nodata_mask)
        for field in ("wavelengths_nm", "fwhm_nm", "good_bands"):
            np.testing.assert_array_equal(getattr(found, field), getattr(scene, field))
        assert (found.name, found.band_names) == (scene.name, scene.band_names)
        assert (found.georeference, found.nodata) == (scene.georeference, scene.nodata)
        assert scene.metadata.items() <= found.metadata.items()
        assert [one.name for one in tmp_path.iterdir()] == [name], times


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(shape=st.tuples(*[st.integers(1, 70)] * 2, st.integers(1, 4)), dtype=st.sampled_from(TYPES))
def test_values_of_every_type_are_what_xarray_reads(
    name: str, shape: tuple[int, int, int], dtype: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cube, path = cube_of(dtype, shape), tmp_path_factory.mktemp("any") / name
    half = shape[1] // 2
    with create_cube(path, CubeHeader(shape=shape, dtype=cube.dtype)) as writer:
        for cols in (slice(half, shape[1]), slice(0, half)):
            if cols.stop > cols.start:
                writer.write(slice(0, shape[0]), cols, cube[:, cols])
    with opened(path, decode_cf=False) as theirs:
        np.testing.assert_array_equal(np.moveaxis(theirs["cube"].values, 0, -1), cube)
    with open_cube(path) as reader:
        assert reader.header.dtype == cube.dtype
        np.testing.assert_array_equal(reader.stored(slice(None), slice(None)), cube)


@pytest.mark.parametrize("name", NAMES)
def test_cf_attributes_mean_to_others_what_they_mean_here(name: str, tmp_path: Path) -> None:
    stored = cube_of("i2")
    stored[1, 2] = -9999
    header = CubeHeader(
        shape=stored.shape,
        dtype=stored.dtype,
        wavelengths_nm=np.linspace(400, 800, 5),
        fwhm_nm=np.full(5, 9.5),
        georeference=GRID,
        nodata=-9999,
        gain=0.001,
        offset=-1.5,
    )
    with create_cube(tmp_path / name, header) as writer:
        writer.write(slice(None), slice(None), stored)
    with opened(tmp_path / name) as theirs:
        assert theirs["cube"].dims == ("band", "y", "x")
        assert theirs["wavelength"].attrs["standard_name"] == "radiation_wavelength"
        assert theirs["wavelength"].attrs["units"] == "nm"
        np.testing.assert_array_equal(theirs["x"], 500_005 + 10 * np.arange(7))
        np.testing.assert_array_equal(theirs["y"], 4_599_995 - 10 * np.arange(9))
        assert theirs.attrs["Conventions"] == "CF-1.11"
        values = np.moveaxis(theirs["cube"].values, 0, -1)
        mapping = theirs["spatial_ref"].attrs
    assert mapping["grid_mapping_name"] == "transverse_mercator"
    assert rasterio.crs.CRS.from_wkt(mapping["crs_wkt"]).to_epsg() == 32631
    assert np.isnan(values[1, 2]).all()
    scene = load(tmp_path / name)
    assert scene.nodata_mask is not None
    np.testing.assert_allclose(scene.cube[~scene.nodata_mask], values[~scene.nodata_mask], rtol=1e-5)


def test_gdal_puts_a_netcdf_file_at_its_place(tmp_path: Path) -> None:
    save(full_scene(), tmp_path / "a.nc")
    with rasterio.open(f"netcdf:{tmp_path / 'a.nc'}:cube") as dataset:
        assert dataset.bounds == (500_000, 4_599_910, 500_070, 4_600_000)
        assert dataset.crs.to_epsg() == 32631 and dataset.nodata == -9999
        np.testing.assert_array_equal(np.moveaxis(dataset.read(), 0, -1), full_scene().cube)


@pytest.mark.parametrize("name", NAMES)
def test_a_white_level_and_a_gain_a_band_come_back(name: str, tmp_path: Path) -> None:
    stored = cube_of("u2")
    for header in (
        CubeHeader(shape=stored.shape, dtype=stored.dtype, white_level=4095.0),
        CubeHeader(shape=stored.shape, dtype=stored.dtype, gain=np.arange(1.0, 6), offset=np.arange(5.0)),
    ):
        with create_cube(tmp_path / name, header) as writer:
            writer.write(slice(None), slice(None), stored)
        with open_cube(tmp_path / name) as reader:
            assert reader.header.white_level == header.white_level
            np.testing.assert_array_equal(reader.header.gain, header.gain)
            np.testing.assert_array_equal(reader.header.offset, header.offset)


def write_foreign(path: Path, dataset: xarray.Dataset) -> Path:
    if path.suffix == ".nc":
        dataset.to_netcdf(path, engine="h5netcdf")
    else:
        dataset.to_zarr(path, zarr_format=3, consolidated=False)
    return path


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("dims", "order"),
    [
        (("y", "x", "wavelength"), (0, 1, 2)),
        (("bands", "lat", "lon"), (2, 0, 1)),
        (("line", "band", "sample"), (0, 2, 1)),
    ],
)
def test_files_of_other_makers_are_understood(
    name: str, dims: tuple[str, ...], order: tuple[int, ...], tmp_path: Path
) -> None:
    cube = cube_of("f4")
    band = next(dim for dim in dims if dim in ("wavelength", "bands", "band"))
    row, col = [dim for dim in dims if dim != band]
    micrometres = (
        [0.4, 0.5, 0.6, 0.7, 0.8],
        {"units": "micrometers", "standard_name": "radiation_wavelength"},
    )
    dataset = xarray.Dataset(
        {"reflectance": (dims, cube.transpose(order)), "quality": ((row, col), np.zeros((9, 7), np.int8))},
        coords={
            "wavelength": (band, *micrometres),
            row: 50 - 0.1 * np.arange(9),
            col: 5 + 0.1 * np.arange(7),
        },
    )
    scene = load(write_foreign(tmp_path / name, dataset))
    np.testing.assert_array_equal(scene.cube, cube)
    np.testing.assert_allclose(scene.wavelengths_nm, [400, 500, 600, 700, 800])
    assert scene.georeference is not None
    np.testing.assert_allclose(scene.georeference.transform, (0.1, 0, 4.95, 0, -0.1, 50.05))


WRITE_COLUMN = """
import sys, numpy as np
from hsr_tf.io import open_zarr_tiles
folder, left = sys.argv[1], int(sys.argv[2])
writer = open_zarr_tiles(folder)
for top in range(0, 50, 16):
    rows, cols = slice(top, min(top + 16, 50)), slice(left, min(left + 8, 16))
    values = np.arange(50)[rows, None, None] * 1000.0 + np.arange(16)[None, cols, None] + np.zeros(3)
    writer.write(rows, cols, values.astype(np.float32))
"""


def test_several_processes_write_the_tiles_of_one_store(tmp_path: Path) -> None:
    header = CubeHeader(shape=(50, 16, 3), georeference=GRID)
    folder = new_zarr_store(tmp_path / "a.zarr", header, tile=(16, 8))
    with pytest.raises(OSError, match="8 of 8 chunks are missing"):
        load(folder)
    command = [sys.executable, "-c", WRITE_COLUMN, str(folder)]
    workers = [subprocess.Popen([*command, left]) for left in ("0", "8")]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    scene = load(folder)
    np.testing.assert_array_equal(scene.cube[..., 1], np.arange(50)[:, None] * 1000.0 + np.arange(16))
    assert scene.georeference == GRID


@pytest.mark.parametrize(("rows", "cols"), [((0, 10), (0, 8)), ((8, 16), (0, 8)), ((0, 16), (3, 8))])
def test_a_tile_that_cuts_a_chunk_is_refused(
    rows: tuple[int, int], cols: tuple[int, int], tmp_path: Path
) -> None:
    folder = new_zarr_store(tmp_path / "a.zarr", CubeHeader(shape=(50, 20, 3)), tile=(16, 8))
    part = np.zeros((rows[1] - rows[0], cols[1] - cols[0], 3), np.float32)
    with pytest.raises(ValueError, match="multiples of"):
        open_zarr_tiles(folder).write(slice(*rows), slice(*cols), part)


def test_a_writer_that_fails_leaves_the_old_store(tmp_path: Path) -> None:
    path = save(full_scene(), tmp_path / "a.zarr")
    with pytest.raises(RuntimeError), create_cube(path, CubeHeader(shape=(2, 2, 2))):
        raise RuntimeError("stopped")
    assert load(path).shape == (9, 7, 5) and [one.name for one in tmp_path.iterdir()] == ["a.zarr"]


def test_a_folder_that_is_no_store_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "thesis.txt").write_text("x")
    with pytest.raises(OSError, match="is a folder that is no Zarr store"):
        save(full_scene(), tmp_path / "a.zarr")


def changed_metadata(path: Path, change: Callable[[dict], object]) -> None:
    file = path / "cube" / "zarr.json"
    told = json.loads(file.read_text())
    change(told)
    file.write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda told: told["codecs"].append({"name": "numcodecs.pickle"}), "codec 'numcodecs.pickle'"),
        (lambda told: told["chunk_grid"]["configuration"].update(chunk_shape=[10**6] * 3), "larger"),
        (lambda told: told.update(shape=[-1, 2, 3]), "of an array"),
        (lambda told: told.update(zarr_format=2), "no array of version 3"),
        (lambda told: told.pop("codecs"), "codecs"),
        (lambda told: told.update(data_type="complex64"), "cannot be read as Zarr"),
    ],
)
def test_harmful_metadata_are_refused_before_zarr_sees_them(
    change: Callable[[dict], object], said: str, tmp_path: Path
) -> None:
    path = save(full_scene(), tmp_path / "a.zarr")
    changed_metadata(path, change)
    with pytest.raises(OSError, match=said) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_a_missing_or_damaged_chunk_is_an_error(tmp_path: Path) -> None:
    path = save(full_scene(), tmp_path / "a.zarr")
    assert json.loads((path / "cube" / "zarr.json").read_text())["attributes"][ALL_CHUNKS] is True
    chunk = next(one for one in (path / "cube" / "c").rglob("*") if one.is_file())
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 255
    chunk.write_bytes(data)
    with pytest.raises(OSError, match="cannot be read as Zarr"):
        load(path)
    chunk.unlink()
    with pytest.raises(OSError, match="1 of 1 chunks are missing"):
        load(path)


def test_zarr_2_and_netcdf_3_are_refused_with_what_to_do(tmp_path: Path) -> None:
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    with pytest.raises(OSError, match="is Zarr version 2; give a store of version 3"):
        load(tmp_path / "a.zarr")
    (tmp_path / "a.nc").write_bytes(b"CDF\x01" + bytes(100))
    with pytest.raises(OSError, match="is NetCDF 3; turn it into NetCDF 4"):
        load(tmp_path / "a.nc")


@pytest.mark.parametrize("name", ["a.nc", "a.h5"])
def test_values_in_other_files_are_not_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(2 * 3 * 4))
    with h5py.File(tmp_path / name, "w") as file:
        file.create_dataset("cube", (2, 3, 4), np.uint8, external=[(str(tmp_path / "secret"), 0, 24)])
    with pytest.raises(OSError, match="cube lies in other files"):
        load(tmp_path / name)


def test_an_ungeoreferenced_scene_without_anything_else_is_plain(tmp_path: Path) -> None:
    scene = replace(
        full_scene(), georeference=None, nodata=None, good_bands=None, band_names=None, fwhm_nm=None
    )
    for name in NAMES:
        found = load(save(scene, tmp_path / name))
        assert (
            found.georeference
            is found.nodata
            is found.good_bands
            is found.band_names
            is found.fwhm_nm
            is None
        )
        np.testing.assert_array_equal(found.nodata_mask, scene.nodata_mask)
