"""Parts of cubes: what a reader gives is what `load` gives there, what a writer was given comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsr_tf.geo.georeference import Georeference
from hsr_tf.io import CubeHeader, create_cube, load, open_cube, save
from hsr_tf.scene import Scene

SHAPE = (13, 7, 5)
GRID = Georeference((10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0), "EPSG:32631")


def _scene(rng: np.random.Generator) -> Scene:
    mask = np.zeros(SHAPE[:2], bool)
    mask[3, 2:5] = True
    return Scene(
        cube=np.where(mask[..., None], 0, rng.random(SHAPE)),
        wavelengths_nm=np.linspace(400, 700, 5),
        name="part",
        metadata={"instrument": "a camera", "gain": 1.5},
        nodata_mask=mask,
        fwhm_nm=np.full(5, 9.5),
        band_names=("a", "b", "c", "d", "e"),
        good_bands=np.array([True, True, False, True, True]),
        georeference=GRID,
        nodata=-9999.0,
    )


@pytest.mark.parametrize("name", ["a.h5", "a.mat", "a.npz", "a.img", "a.tif", "a.nc", "a.zarr"])
def test_a_part_is_that_part_of_the_whole(name: str, tmp_path: Path) -> None:
    path = save(_scene(np.random.default_rng(0)), tmp_path / name)
    whole = load(path)
    rows, cols = slice(2, 9), slice(1, 6)
    with open_cube(path) as reader:
        part, mask = reader.read_with_mask(rows, cols)
    np.testing.assert_array_equal(part, whole.cube[rows, cols])
    assert mask is not None
    assert whole.nodata_mask is not None
    np.testing.assert_array_equal(mask, whole.nodata_mask[rows, cols])


def test_parts_written_in_any_order_make_the_whole(tmp_path: Path) -> None:
    scene = _scene(np.random.default_rng(1))
    stored = (scene.cube * 4000).astype(np.uint16)
    header = CubeHeader(
        shape=SHAPE,
        dtype=stored.dtype,
        name="part",
        wavelengths_nm=scene.wavelengths_nm,
        fwhm_nm=scene.fwhm_nm,
        band_names=scene.band_names,
        good_bands=scene.good_bands,
        georeference=GRID,
        nodata=65535,
        white_level=4000.0,
        metadata=scene.metadata,
    )
    stored[1, 1] = 65535
    with create_cube(tmp_path / "a.h5", header) as writer:
        for rows in (slice(8, 13), slice(0, 8)):
            for cols in (slice(4, 7), slice(0, 4)):
                writer.write(rows, cols, stored[rows, cols])
    with open_cube(tmp_path / "a.h5") as reader:
        np.testing.assert_array_equal(reader.stored(slice(None), slice(None)), stored)
    found = load(tmp_path / "a.h5")
    assert found.nodata_mask is not None
    assert np.argwhere(found.nodata_mask).tolist() == [[1, 1]]
    kept = ~found.nodata_mask
    np.testing.assert_array_equal(found.cube[kept], stored[kept] / np.float32(4000))
    assert (found.georeference, found.band_names, found.nodata) == (GRID, scene.band_names, 65535)
    np.testing.assert_array_equal(found.fwhm_nm, scene.fwhm_nm)
    np.testing.assert_array_equal(found.good_bands, scene.good_bands)


def test_a_gain_and_an_offset_a_band_are_applied(tmp_path: Path) -> None:
    stored = np.arange(2 * 3 * 5, dtype=np.int16).reshape(2, 3, 5)
    gain, offset = np.linspace(0.1, 0.5, 5), np.linspace(-1, 1, 5)
    header = CubeHeader(shape=stored.shape, dtype=stored.dtype, gain=gain, offset=offset)
    with create_cube(tmp_path / "a.h5", header) as writer:
        writer.write(slice(0, 2), slice(0, 3), stored)
    np.testing.assert_allclose(load(tmp_path / "a.h5").cube, stored * gain + offset, rtol=1e-6)


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), create_cube(tmp_path / "a.h5", CubeHeader(shape=SHAPE)):
        raise RuntimeError("stopped")
    assert list(tmp_path.iterdir()) == []


def test_a_format_that_is_written_at_once_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="cannot be written part by part"),
        create_cube(tmp_path / "a.mat", CubeHeader(shape=SHAPE)),
    ):
        pass
