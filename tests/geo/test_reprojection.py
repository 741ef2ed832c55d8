"""A window of an image on another grid is what the whole has there; what it reads stays as large as it is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from rasterio import warp
from rasterio.crs import CRS

from hsr_tf.geo import reprojection
from hsr_tf.geo.coordinates import pixel_map
from hsr_tf.geo.georeference import Georeference
from hsr_tf.geo.reprojection import PartReader, Reprojection

ZONE_31, ZONE_32 = (CRS.from_epsg(code) for code in (32631, 32632))
EAST, NORTH = 280_000.0, 5_320_000.0


def grid(pixel: float, *, east: float = EAST, north: float = NORTH, system: CRS = ZONE_32) -> Georeference:
    return Georeference((pixel, 0, east, 0, -pixel, north), system.to_wkt())


def turned(pixel: float, degrees: float) -> Georeference:
    a, b = pixel * np.cos(np.radians(degrees)), pixel * np.sin(np.radians(degrees))
    return Georeference((a, b, EAST + 300, b, -a, NORTH - 300), ZONE_32.to_wkt())


def in_zone_31(pixel: float) -> Georeference:
    (x,), (y,) = warp.transform(ZONE_32, ZONE_31, [EAST - 200.0], [NORTH + 150.0])
    return grid(pixel, east=x, north=y, system=ZONE_31)


SOURCES = {
    "finer": (grid(7.0, east=EAST - 20, north=NORTH + 9), (160, 190)),
    "coarser": (grid(11.3, east=EAST + 31, north=NORTH - 23), (90, 110)),
    "turned": (turned(10.0, 20), (110, 140)),
    "zone": (in_zone_31(9.5), (150, 130)),
}
TARGET, SIZE = grid(10.0), (96, 112)


def image(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Noise without any symmetry, with a hole."""
    generator = np.random.default_rng(7)
    hole = np.zeros(size, bool)
    hole[40:47, 50:58] = True
    return generator.random((*size, 35)).astype(np.float32), hole


def parts_of(cube: np.ndarray, hole: np.ndarray) -> PartReader:
    return lambda *part: (cube[part], hole[part])


def whole_of(onto: Reprojection, cube: np.ndarray, hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, cols = (slice(0, length) for length in onto.target_size)
    return onto.window(parts_of(cube, hole), rows, cols, num_bands=cube.shape[-1])


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("side", [32, 41])
def test_windows_are_what_the_whole_has_there(monkeypatch: pytest.MonkeyPatch, name: str, side: int) -> None:
    monkeypatch.setattr(reprojection, "BLOCK", 48)
    source, size = SOURCES[name]
    cube, hole = image(size)
    onto = Reprojection(source, size, TARGET, SIZE)
    whole, without = whole_of(onto, cube, hole)
    assert 20 < without.sum() < without.size / 2
    for top, left in product(range(0, SIZE[0], side), range(0, SIZE[1], side)):
        window = slice(top, min(top + side, SIZE[0])), slice(left, min(left + side, SIZE[1]))
        seen = onto.seen(*window, name="lr_hsi")
        part = np.full_like(cube, np.nan)
        if seen is not None:
            part[seen] = cube[seen]
        found, missing = onto.window(parts_of(part, hole), *window, num_bands=35)
        np.testing.assert_array_equal(missing, without[window])
        np.testing.assert_array_equal(found, whole[window])


@pytest.mark.parametrize("name", SOURCES)
def test_blocks_join_without_a_seam(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    source, size = SOURCES[name]
    onto = Reprojection(source, size, TARGET, SIZE)
    cube, hole = image(size)
    monkeypatch.setattr(reprojection, "BLOCK", 512)
    whole, without = whole_of(onto, cube, hole)
    monkeypatch.setattr(reprojection, "BLOCK", 16)
    blocks, missing = whole_of(onto, cube, hole)
    np.testing.assert_array_equal(missing, without)
    # noise of one pixel to the next, moved by what the map bends along a row
    np.testing.assert_allclose(blocks, whole, atol=5e-4 if name == "zone" else 1e-6)


def test_places_are_those_of_the_exact_map() -> None:
    source, size = SOURCES["zone"]
    ramp = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1).astype(np.float32)
    onto = Reprojection(source, size, grid(10.0, system=ZONE_32), SIZE)
    found, missing = whole_of(onto, ramp, np.zeros(size, bool))
    centres = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), -1).reshape(-1, 2) + 0.5
    exact = pixel_map(TARGET, source).to_sharp(centres).reshape(*SIZE, 2) - 0.5
    inner = (exact > 3).all(-1) & (exact < np.array(size) - 4).all(-1)
    assert not missing[inner].any()
    assert np.abs(found - exact)[inner].max() < 0.01


def test_a_window_reads_little_more_than_itself() -> None:
    onto = Reprojection(in_zone_31(9.5), (20_000, 20_000), TARGET, (18_000, 18_000))
    seen = onto.seen(slice(9000, 9512), slice(8000, 8512), name="lr_hsi")
    assert seen is not None
    assert all(512 < part.stop - part.start < 850 for part in seen)


def test_a_window_beside_the_image_reads_nothing() -> None:
    onto = Reprojection(grid(10.0, east=EAST + 50_000), (90, 90), TARGET, SIZE)
    assert onto.seen(slice(0, 30), slice(0, 30), name="lr_hsi") is None


def test_a_window_that_is_torn_over_the_image_is_refused() -> None:
    degrees = Georeference((0.01, 0, -180.0, 0, -0.01, 5.0), "EPSG:4326")
    metres = Georeference((1000.0, 0, 0.0, 0, -1000.0, 500_000.0), "EPSG:32601")
    onto = Reprojection(degrees, (1000, 36_000), metres, (400, 400))
    with pytest.raises(ValueError, match=r"spread over .*; reproject one of the files first"):
        onto.seen(slice(0, 400), slice(0, 400), name="hr_msi")


@pytest.mark.parametrize("degrees", [3, 12, 45])
@pytest.mark.parametrize("rows", [2, 24])
def test_thin_tiles_of_turned_grids_are_read(degrees: float, rows: int) -> None:
    """The last row of tiles may be of a few pixels, and as wide as all others."""
    onto = Reprojection(turned(8.0, degrees), (9000, 9000), TARGET, (3000, 3000))
    seen = onto.seen(slice(1024, 1024 + rows), slice(512, 2560), name="lr_hsi")
    assert seen is not None
