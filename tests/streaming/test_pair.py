"""Grids that differ: fused tile by tile as whole, be it cropped, shifted, resampled or reprojected."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rasterio import warp
from rasterio.crs import CRS

from hsr_tf import io
from hsr_tf.fusion.alignment import Aligned, align
from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.geo import reprojection
from hsr_tf.geo.georeference import Georeference
from hsr_tf.geo.sensor_model import GroundPoint, SensorModel
from hsr_tf.registration.transform import Transform
from hsr_tf.scene import Scene
from hsr_tf.streaming import plan
from hsr_tf.streaming.files import Image
from hsr_tf.streaming.pair import paired
from hsr_tf.streaming.request import StreamRequest
from hsr_tf.streaming.streamed import fuse_files
from tests.registered_for_tests import placed_pair, similarity
from tests.streaming.pairs import smooth_scene
from tests.streaming.runs import AsWorkers, DyingAfter

ZONE_32, ZONE_31 = (CRS.from_epsg(code) for code in (32632, 32631))
EAST, NORTH, SCALE = 280_000.0, 5_320_000.0, 4
Pair = tuple[Scene, Scene]
POINTS = SensorModel((GroundPoint(3.0, 5.0, 280_100.0, 5_319_000.0), GroundPoint(11.5, 2.0, 1.0, 2.0)))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 8 coarse pixels and blocks that divide neither them nor the images."""
    monkeypatch.setattr(plan, "LARGEST_TILE", 8 * SCALE)
    monkeypatch.setattr(plan, "SMALLEST_TILE", 4)
    monkeypatch.setattr(reprojection, "BLOCK", 20)


def north_up(pixel: float, right: float = 0.0, down: float = 0.0) -> Georeference:
    return Georeference((pixel, 0, EAST + right, 0, -pixel, NORTH - down), ZONE_32.to_wkt())


def on(lr_grid: Georeference, hr_grid: Georeference, shape: tuple[int, int] = (84, 124)) -> Pair:
    """A coarse and a sharp image on these grids, of one content where the grids nest."""
    pair = simulate(smooth_scene((*shape, 31)), scale=SCALE)
    lr_hsi = replace(pair.lr_hsi, georeference=lr_grid, sensor_model=POINTS)
    return lr_hsi, replace(pair.hr_msi, georeference=hr_grid)


def whole_pixels() -> Pair:
    """Sharp pixels that begin 5 rows and 7 columns inside the coarse cube, and end before it."""
    lr_hsi, hr_msi = on(north_up(40.0), north_up(10.0))
    return lr_hsi, replace(hr_msi, cube=hr_msi.cube[5:78, 7:113], georeference=north_up(10.0, 70, 50))


def a_fraction() -> Pair:
    return on(north_up(40.0, 3.1, -43.9), north_up(10.0))


def finer_pixels() -> Pair:
    """A ratio that is not whole: the sharp image is resampled."""
    return on(north_up(40.0, 61.0, 83.0), north_up(10.7))


def holed() -> Pair:
    lr_hsi, hr_msi = finer_pixels()
    hole = np.zeros(hr_msi.shape[:2], bool)
    hole[33:39, 50:61] = True
    return lr_hsi, replace(hr_msi, nodata_mask=hole, cube=np.where(hole[..., None], 7e6, hr_msi.cube))


def another_zone() -> Pair:
    """The coarse cube is reprojected; it covers the sharp image in part."""
    (x,), (y,) = warp.transform(ZONE_32, ZONE_31, [EAST + 90.0], [NORTH - 130.0])
    return on(Georeference((40.0, 0, x, 0, -40.0, y), ZONE_31.to_wkt()), north_up(10.0))


def another_way() -> Pair:
    """Rows of the coarse cube run from south to north."""
    lr_hsi, hr_msi = whole_pixels()
    grid = Georeference((40.0, 0, EAST, 0, 40.0, NORTH - 84 * 10.0), ZONE_32.to_wkt())
    return replace(lr_hsi, cube=lr_hsi.cube[::-1], georeference=grid), hr_msi


CASES = {
    "none": whole_pixels,
    "a fraction": a_fraction,
    "hr_msi": finer_pixels,
    "holes": holed,
    "lr_hsi": another_zone,
    "turned": another_way,
}
QUICK = ("a fraction", "holes", "lr_hsi")


def write(folder: Path, case: str) -> Aligned:
    """x.h5 and y.h5 of a case, and what the whole-scene path makes of them."""
    for scene, name in zip(CASES[case](), ("x.h5", "y.h5"), strict=True):
        io.save(scene, folder / name)
    return align(io.load(folder / "x.h5"), io.load(folder / "y.h5"))


def request_for(folder: Path, name: str = "z.h5", **changes: object) -> StreamRequest:
    asked = StreamRequest(folder / "x.h5", folder / "y.h5", folder / name, 64 * 10**9, method="spectral_ls")
    return replace(asked, **changes)  # type: ignore[arg-type]


# Of the other cases the parts are those of the whole (below), which is what tiles are made of.
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] * (case not in QUICK)) for case in CASES],
)
def test_tiles_of_other_grids_make_the_whole(tmp_path: Path, case: str) -> None:
    aligned = write(tmp_path, case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = fuse_files(request_for(tmp_path, method="bicubic"))
        whole = fuse(aligned.observation, "bicubic").estimate
        maps = fuse(aligned.observation, "spectral_ls").estimate
        fuse_files(request_for(tmp_path, "map.h5"))
    assert done.num_tiles > 4
    assert done.grids == aligned.lines
    found = io.load(tmp_path / "z.h5")
    assert found.georeference == whole.georeference
    assert found.sensor_model == whole.sensor_model
    assert (found.nodata_mask is None) == (whole.nodata_mask is None)
    if whole.nodata_mask is not None:
        np.testing.assert_array_equal(found.nodata_mask, whole.nodata_mask)
    assert np.abs(found.cube - whole.cube).max() < 1e-5
    # images that differ are fitted in float32 by the whole, and its rounding shows
    assert np.abs(io.load(tmp_path / "map.h5").cube - maps.cube).max() < 2e-4


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(2))
def test_any_part_of_either_image_is_that_of_the_whole(tmp_path: Path, case: str, seed: int) -> None:
    images = write(tmp_path, case).observation
    generator = np.random.default_rng(seed)
    with io.open_cube(tmp_path / "x.h5") as coarse, io.open_cube(tmp_path / "y.h5") as sharp:
        pair = paired(Image("lr_hsi", coarse), Image("hr_msi", sharp))
        for image, scene in ((pair.lr_hsi, images.lr_hsi), (pair.hr_msi, images.hr_msi)):
            assert image.header.shape == scene.shape
            assert image.header.georeference == scene.georeference
            assert image.header.sensor_model == scene.sensor_model
            for _ in range(4):
                rows, cols = (slice(*sorted(generator.choice(n + 1, 2, False))) for n in scene.shape[:2])
                values, mask = image.with_mask(rows, cols)
                np.testing.assert_array_equal(values, scene.cube[rows, cols])
                holes = np.zeros(values.shape[:2], bool) if mask is None else mask
                whole = scene.nodata_mask
                np.testing.assert_array_equal(holes, 0 if whole is None else whole[rows, cols])


def test_whole_pixels_are_cropped_and_no_value_changes(tmp_path: Path) -> None:
    aligned = write(tmp_path, "none")
    done = fuse_files(request_for(tmp_path))
    assert [line.split()[0] for line in done.grids] == ["scale", "cropped"]
    assert done.lr_shape == aligned.observation.lr_hsi.shape == (17, 26, 31)
    with io.open_cube(tmp_path / "x.h5") as coarse, io.open_cube(tmp_path / "y.h5") as sharp:
        pair = paired(Image("lr_hsi", coarse), Image("hr_msi", sharp))
        found = pair.hr_msi.reader.read(slice(0, 5), slice(2, 9))
        np.testing.assert_array_equal(found, sharp.read(slice(3, 8), slice(3, 10)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [pytest.param("hr_msi", marks=pytest.mark.slow), "lr_hsi"])
def test_a_resampled_run_goes_on_to_the_same_bytes_and_so_do_workers(tmp_path: Path, case: str) -> None:
    write(tmp_path, case)
    fuse_files(request_for(tmp_path))
    expected = (tmp_path / "z.h5").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        fuse_files(request_for(tmp_path, "k.h5"), workers=DyingAfter(19, KeyboardInterrupt()))
    assert fuse_files(request_for(tmp_path, "k.h5")).kept > 0
    assert (tmp_path / "k.h5").read_bytes() == expected
    fuse_files(request_for(tmp_path, "w.h5"), workers=AsWorkers())
    assert (tmp_path / "w.h5").read_bytes() == expected


def test_a_grid_that_was_moved_is_another_request(tmp_path: Path) -> None:
    """ENVI tells its grid in a file beside the values."""
    lr_hsi, hr_msi = whole_pixels()
    io.save(lr_hsi, tmp_path / "x.hdr")
    io.save(hr_msi, tmp_path / "y.h5")
    asked = request_for(tmp_path, lr_hsi=tmp_path / "x.img")
    with pytest.raises(KeyboardInterrupt):
        fuse_files(asked, workers=DyingAfter(3, KeyboardInterrupt()))
    header = tmp_path / "x.hdr"
    header.write_text(header.read_text().replace("280000", "280040"))
    with pytest.raises(ValueError, match="other lr_hsi"):
        fuse_files(asked)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda grid: replace(grid, transform=north_up(10.0, 90_000).transform), "no coarse pixel in common"),
        (lambda grid: replace(grid, crs=ZONE_31.to_wkt()), "no coarse pixel in common"),
        (lambda grid: replace(grid, transform=north_up(35.0).transform), "a ratio of 1.14"),
        (lambda grid: replace(grid, crs="nowhere"), "crs: expected a coordinate system"),
    ],
)
def test_what_cannot_be_aligned_is_refused_before_the_work(
    tmp_path: Path, change: Callable[[Georeference], Georeference], said: str
) -> None:
    lr_hsi, hr_msi = whole_pixels()
    grid = hr_msi.georeference
    assert grid is not None
    io.save(lr_hsi, tmp_path / "x.h5")
    io.save(replace(hr_msi, georeference=change(grid)), tmp_path / "y.h5")
    with pytest.raises(ValueError, match=said) as told:
        fuse_files(request_for(tmp_path))
    assert "\n" not in str(told.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.h5", "y.h5"]


def askew(folder: Path, *, degrees: float, ratio: float) -> Transform:
    """x.h5 and y.h5 of a pair whose sharp image lies askew, with a grid and pixels without data."""
    matrix = similarity(degrees, ratio, (2.0, -5.0), sizes=(24, 104))
    pair = placed_pair(matrix, side=24, sharp_side=104)
    hole = np.zeros((104, 104), bool)
    hole[40:47, 60:66] = True
    io.save(pair.lr_hsi, folder / "x.h5")
    damaged = np.where(hole[..., None], 7e6, pair.hr_msi.cube)
    grid = Georeference((1.0, 0, EAST, 0, -1.0, NORTH), ZONE_32.to_wkt())
    io.save(Scene(damaged, nodata_mask=hole, georeference=grid, sensor_model=POINTS), folder / "y.h5")
    return Transform(matrix, (24, 24), (104, 104))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("degrees", "ratio", "method"),
    [
        (7.0, 4.3, "bicubic"),
        pytest.param(90.0, 4.0, "bicubic", marks=pytest.mark.slow),
        pytest.param(-25.0, 4.0, "spectral_ls", marks=pytest.mark.slow),
        pytest.param(2.0, 3.0, "bicubic", marks=pytest.mark.slow),
    ],
)
def test_tiles_of_a_pair_that_lies_askew_make_the_whole(
    tmp_path: Path, degrees: float, ratio: float, method: str
) -> None:
    transform = askew(tmp_path, degrees=degrees, ratio=ratio)
    aligned = align(io.load(tmp_path / "x.h5"), io.load(tmp_path / "y.h5"), transform=transform)
    whole = aligned.on_sharp_pixels(fuse(aligned.observation, method, psf="gaussian").estimate)
    asked = request_for(tmp_path, method=method, transform=transform, psf="gaussian")
    done = fuse_files(asked)
    assert done.num_tiles > 4
    assert done.grids == aligned.lines
    found = io.load(tmp_path / "z.h5")
    assert found.georeference == whole.georeference
    assert found.sensor_model == whole.sensor_model == POINTS
    assert found.nodata_mask is not None and whole.nodata_mask is not None
    np.testing.assert_array_equal(found.nodata_mask, whole.nodata_mask)
    assert np.abs(found.cube - whole.cube)[~found.nodata_mask].max() < 2e-5
    again = replace(asked, output=tmp_path / "w.h5")  # ended on the way, and continued by workers
    with pytest.raises(OSError, match="gone"):
        fuse_files(again, workers=DyingAfter(3, OSError("gone")))
    fuse_files(again, workers=AsWorkers())
    assert (tmp_path / "w.h5").read_bytes() == (tmp_path / "z.h5").read_bytes()


def test_a_transform_of_other_images_is_refused_before_the_work(tmp_path: Path) -> None:
    transform = askew(tmp_path, degrees=0.0, ratio=4.0)
    with pytest.raises(ValueError, match="one between images of 24x24 and 104x104 pixels"):
        fuse_files(request_for(tmp_path, transform=replace(transform, lr_size=(20, 24))))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.h5", "y.h5"]
