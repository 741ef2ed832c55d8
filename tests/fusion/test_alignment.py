"""Georeferenced pairs come onto nested grids with sub-pixel accuracy, measured on a ground that is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio import warp
from rasterio.crs import CRS
from scipy import ndimage

from hsr_tf.fusion.alignment import MODEL_LOST, align
from hsr_tf.geo.georeference import Georeference
from hsr_tf.geo.sensor_model import GroundPoint, SensorModel
from hsr_tf.registration.transform import Transform
from hsr_tf.scene import Observation, Scene
from tests.registered_for_tests import similarity

Array = NDArray[Any]
ZONE_31, ZONE_32, DEGREES = (CRS.from_epsg(code) for code in (32631, 32632, 4326))
EAST, NORTH = 280_000.0, 5_320_000.0  # in zone 32, at 6 degrees east: the border of the two zones
OVERSAMPLED = 6


def ground(x: Array, y: Array) -> Array:
    """(..., 3) a pattern without symmetry, no detail finer than about 480 m; x, y in metres of zone 32."""
    u, v = (x - EAST) / 200, (y - NORTH) / 200
    first = np.sin(1.9 * u + 0.4 * v) + 0.7 * np.cos(0.3 * u * np.ones_like(v) - 2.2 * v + 1.0)
    second = np.sin(0.9 * u - 0.5 * v + 2.0) + 0.5 * np.sin(2.6 * v + 0.3 * u)
    return np.stack([0.5 + 0.1 * first, 0.5 + 0.15 * second, 0.5 + 0.1 * first * second], -1)


def seen(grid: Georeference, size: tuple[int, int], system: CRS, *, name: str = "") -> Scene:
    """What a camera with square detector elements sees of the ground on a grid."""
    steps = (np.arange(OVERSAMPLED) + 0.5) / OVERSAMPLED
    rows, cols = ((np.arange(n)[:, None] + steps).ravel() for n in size)
    row, col = np.meshgrid(rows, cols, indexing="ij")
    x, y = grid.at(row.ravel(), col.ravel())  # type: ignore[arg-type]
    if system != ZONE_32:
        x, y = (np.asarray(part) for part in warp.transform(system, ZONE_32, x, y))
    fine = ground(np.asarray(x), np.asarray(y)).reshape(size[0], OVERSAMPLED, size[1], OVERSAMPLED, 3)
    placed = Georeference(grid.transform, system.to_wkt())
    return Scene(fine.mean((1, 3)), name=name, georeference=placed)


def north_up(pixel: float, *, east: float = EAST, north: float = NORTH) -> Georeference:
    return Georeference((pixel, 0, east, 0, -pixel, north))


def misplacement(observation: Observation, shift: tuple[float, float] = (0, 0)) -> tuple[float, float]:
    """(rows, columns) in sharp pixels between the coarse cube and the sharp image's means over cells."""
    scale, (height, width, _) = observation.scale, observation.lr_hsi.shape
    cells = observation.hr_msi.cube.astype(np.float64).reshape(height, scale, width, scale, -1).mean((1, 3))
    slopes = np.stack([np.gradient(cells, axis=axis) for axis in (0, 1)], -1)
    inner = np.zeros((height, width), bool)
    inner[2:-2, 2:-2] = True
    for scene, side in ((observation.lr_hsi, 1), (observation.hr_msi, scale)):
        if scene.nodata_mask is not None:
            inner &= ~scene.nodata_mask.reshape(height, side, width, side).any((1, 3))
    gap = (observation.lr_hsi.cube - cells)[inner].ravel()
    found = np.linalg.lstsq(slopes[inner].reshape(-1, 2), gap, rcond=None)[0] * scale
    return float(found[0] - shift[0]), float(found[1] - shift[1])


def test_grids_that_nest_are_cropped_and_no_value_changes() -> None:
    lr_hsi = seen(north_up(30, east=EAST - 60, north=NORTH + 90), (20, 17), ZONE_32)
    hr_msi = seen(north_up(10, east=EAST, north=NORTH), (47, 50), ZONE_32)
    aligned = align(lr_hsi, hr_msi)
    images = aligned.observation
    assert (images.scale, images.lr_hsi.shape[:2], images.hr_msi.shape[:2]) == (3, (15, 15), (45, 45))
    np.testing.assert_array_equal(images.lr_hsi.cube, lr_hsi.cube[3:18, 2:17])
    np.testing.assert_array_equal(images.hr_msi.cube, hr_msi.cube[:45, :45])
    assert max(map(abs, misplacement(images))) < 1e-3
    assert [line.split()[0] for line in aligned.lines] == ["scale", "cropped"]
    grid = images.sharp_grid()
    assert grid is not None
    assert grid.at(0, 0) == (EAST, NORTH)


@settings(max_examples=8, deadline=None)
@given(
    st.sampled_from([(30, 10), (20, 10), (12, 2.4), (40, 10)]),
    st.floats(-200, 200),
    st.floats(-200, 200),
)
def test_a_fraction_of_a_pixel_is_kept_as_a_shift_of_the_grids(
    pixels: tuple[float, float], right: float, up: float
) -> None:
    coarse, sharp = pixels
    lr_hsi = seen(north_up(coarse, east=EAST + right, north=NORTH + up), (24, 22), ZONE_32)
    hr_msi = seen(north_up(sharp), (int(24 * coarse / sharp), int(26 * coarse / sharp)), ZONE_32)
    if max(abs(right), abs(up)) > 12 * coarse:
        return
    aligned = align(lr_hsi, hr_msi)
    shift = aligned.observation.grid_shift()
    assert aligned.plan is not None
    assert aligned.plan.resampled == "none"
    np.testing.assert_allclose(shift, aligned.plan.shift, atol=1e-6)
    assert max(map(abs, shift)) <= 0.5 + 1e-6
    if min(aligned.observation.lr_hsi.shape[:2]) >= 10:
        # A coarse cube that lies `shift` to the right shows what is there: its value moves by the slope.
        assert max(map(abs, misplacement(aligned.observation, shift))) < 0.04


@pytest.mark.parametrize(("system", "pixel"), [(ZONE_31, 30.0), (DEGREES, 0.00035)])
def test_another_coordinate_system_is_reprojected_to_a_twentieth_of_a_sharp_pixel(
    system: CRS, pixel: float
) -> None:
    hr_msi = seen(north_up(10), (240, 270), ZONE_32, name="sharp")
    (x,), (y,) = warp.transform(ZONE_32, system, [EAST + 101.0], [NORTH - 233.0])
    lr_hsi = seen(north_up(pixel, east=x, north=y), (62, 66), system, name="coarse")
    aligned = align(lr_hsi, hr_msi)
    images = aligned.observation
    assert any("reprojected" in line and "EPSG:32632" in line for line in aligned.lines)
    coarse, sharp = images.lr_hsi.georeference, images.hr_msi.georeference
    assert coarse is not None
    assert sharp is not None
    np.testing.assert_allclose(coarse.at(0, 0), sharp.at(0, 0))
    np.testing.assert_allclose(coarse.pixel_size, images.scale * np.array(sharp.pixel_size))
    mask = images.lr_hsi.nodata_mask
    assert mask is None or mask.mean() < 0.35
    assert max(map(abs, misplacement(images))) < 0.05


def test_a_turned_grid_is_resampled_in_its_place() -> None:
    hr_msi = seen(north_up(10), (200, 200), ZONE_32)
    angle = np.radians(20)
    a, b = 40 * np.cos(angle), 40 * np.sin(angle)
    turned = Georeference((a, b, EAST + 300, b, -a, NORTH - 700))
    aligned = align(seen(turned, (30, 36), ZONE_32), hr_msi)
    assert aligned.observation.scale == 4
    assert max(map(abs, misplacement(aligned.observation))) < 0.1


@pytest.mark.parametrize(("sharp", "scale"), [(7.0, 4), (8.0, 4), (13.0, 2), (11.2, 3)])
def test_a_ratio_that_is_not_whole_resamples_the_sharp_image(sharp: float, scale: int) -> None:
    lr_hsi = seen(north_up(30, east=EAST + 3, north=NORTH - 4), (30, 28), ZONE_32)
    size = int(1100 / sharp)
    aligned = align(lr_hsi, seen(north_up(sharp), (size, size), ZONE_32))
    images = aligned.observation
    assert images.scale == scale
    assert any("hr_msi resampled" in line for line in aligned.lines)
    np.testing.assert_array_equal(images.lr_hsi.cube[:20, :20], lr_hsi.cube[:20, :20])
    assert max(map(abs, misplacement(images))) < 0.05


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_rows_and_columns_that_run_the_other_way_are_turned_round(axes: tuple[int, ...]) -> None:
    lr_hsi, hr_msi = seen(north_up(30), (12, 17), ZONE_32), seen(north_up(10), (36, 51), ZONE_32)
    a, _, _, _, e, _ = north_up(30).transform
    down, right = (-1 if 0 in axes else 1), (-1 if 1 in axes else 1)
    x, y = north_up(30).at(12 if 0 in axes else 0, 17 if 1 in axes else 0)
    grid = Georeference((a * right, 0, x, 0, e * down, y), ZONE_32.to_wkt())
    other_way = Scene(np.flip(lr_hsi.cube, axes), georeference=grid)
    images = align(other_way, hr_msi).observation
    np.testing.assert_array_equal(images.lr_hsi.cube, lr_hsi.cube)
    assert images.lr_hsi.georeference == lr_hsi.georeference


def with_points(scene: Scene) -> Scene:
    """The image with control points where its grid has them."""
    grid, (height, width) = scene.georeference, scene.shape[:2]
    assert grid is not None
    corners = [(0.0, 0.0), (0.5, width - 0.5), (height / 3, width / 5), (height - 2.0, width / 2)]
    points = tuple(GroundPoint(row, col, *grid.at(row, col)) for row, col in corners)
    return replace(scene, sensor_model=SensorModel(points, grid.crs))


def turned_grid() -> Georeference:
    return Georeference((38, 12, EAST + 300, 12, -38, NORTH - 300))


@pytest.mark.parametrize(
    ("lr_grid", "pixel"),
    [
        (north_up(30, east=EAST + 60, north=NORTH - 30), 10.0),  # cropped
        (Georeference((30, 0, EAST + 60, 0, 30, NORTH - 900)), 10.0),  # turned round, then cropped
        (north_up(30, east=EAST + 3, north=NORTH - 4), 7.0),  # the sharp image is resampled
        (turned_grid(), 10.0),  # the cube is resampled along other rows
    ],
)
def test_control_points_stay_on_their_ground(lr_grid: Georeference, pixel: float) -> None:
    lr_hsi = with_points(seen(lr_grid, (24, 22), ZONE_32))
    hr_msi = with_points(seen(north_up(pixel), (int(1000 / pixel), int(900 / pixel)), ZONE_32))
    aligned = align(lr_hsi, hr_msi)
    assert MODEL_LOST not in {step.kind for step in aligned.steps}  # an estimate has those of hr_msi
    for name, scene in (("lr_hsi", aligned.observation.lr_hsi), ("hr_msi", aligned.observation.hr_msi)):
        model, grid = scene.sensor_model, scene.georeference
        assert grid is not None
        if model is None:
            assert name == "lr_hsi" and lr_grid == turned_grid()
            continue
        np.testing.assert_allclose(
            [grid.at(one.row, one.col) for one in model.points], [(one.x, one.y) for one in model.points]
        )
        assert len(model.points) == 4


def test_control_points_that_an_estimate_loses_are_reported() -> None:
    hr_msi = seen(north_up(10), (100, 90), ZONE_32)
    lr_hsi = with_points(seen(turned_grid(), (15, 14), ZONE_32))
    said = "the 4 ground control points (GCP) of lr_hsi are not kept: the estimate lies on other rows"
    assert [step.line[: len(said)] for step in align(lr_hsi, hr_msi).steps if step.kind == MODEL_LOST] == [
        said
    ]
    bare = [replace(scene, georeference=None) for scene in (lr_hsi, hr_msi)]
    for degrees, lost in ((0.0, False), (3.0, True)):
        matrix = similarity(degrees, 4.3, (2.0, -1.0), sizes=(15, 90))
        transform = Transform(matrix, (15, 14), (100, 90))
        aligned = align(bare[0], bare[1], transform=transform)
        assert (MODEL_LOST in {step.kind for step in aligned.steps}) == lost
        cells = aligned.observation.lr_hsi.at_scale(1 / aligned.observation.scale).sensor_model
        cube = Scene(np.zeros((*aligned.observation.hr_msi.shape[:2], 3), np.float32), sensor_model=cells)
        model = aligned.on_sharp_pixels(cube).sensor_model
        assert (model is None) == lost
        if model is not None and aligned.nesting is not None:
            points = lr_hsi.sensor_model.points if lr_hsi.sensor_model else ()
            corner = [part.start for part in aligned.nesting.box]
            expected = transform.to_sharp(np.array([(one.row, one.col) for one in points])) - corner
            np.testing.assert_allclose([(one.row, one.col) for one in model.points], expected, atol=1e-9)


def test_pixels_without_data_stay_without() -> None:
    hr_msi = seen(north_up(10), (240, 270), ZONE_32)
    (x,), (y,) = warp.transform(ZONE_32, ZONE_31, [EAST - 100.0], [NORTH + 200.0])
    whole = seen(north_up(30, east=x, north=y), (100, 110), ZONE_31)
    hole = np.zeros((100, 110), bool)
    hole[40:50, 30:45] = True
    cube = np.where(hole[..., None], 7e6, whole.cube)
    holed = Scene(cube, nodata_mask=hole, georeference=whole.georeference)
    found = align(holed, hr_msi).observation.lr_hsi
    assert found.nodata_mask is not None
    assert 60 < found.nodata_mask.sum() < 400
    assert found.cube.max() < 2


def test_without_grids_the_sizes_pair_the_images_as_before() -> None:
    lr_hsi, hr_msi = Scene(np.ones((4, 5, 3))), Scene(np.ones((12, 15, 1)))
    assert align(lr_hsi, hr_msi).lines == ()
    placed = Scene(np.ones((4, 5, 3)), georeference=north_up(30))
    (line,) = align(placed, hr_msi).lines
    assert line == "only lr_hsi tells where it lies; paired by size"
    unplaced = Georeference((1, 0, 0, 0, 1, 0))
    pair = align(Scene(np.ones((4, 5, 3)), georeference=unplaced), Scene(hr_msi.cube, georeference=unplaced))
    assert pair.observation.scale == 3


def far_off(system: CRS) -> Scene:
    """Metres that are said to be something else."""
    return Scene(np.ones((30, 30, 1)), georeference=Georeference(north_up(10).transform, system.to_wkt()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: seen(north_up(10, east=EAST + 9000), (30, 30), ZONE_32), "no coarse pixel in common"),
        (lambda: seen(north_up(10), (30, 30), ZONE_31), "no coarse pixel in common"),
        (lambda: seen(north_up(25), (30, 30), ZONE_32), "a ratio of 1.2"),
        (lambda: seen(north_up(90), (30, 30), ZONE_32), "swapped"),
        (
            lambda: Scene(np.ones((9, 9, 1)), georeference=Georeference(north_up(10).transform, "nowhere")),
            "crs: expected a coordinate system",
        ),
    ],
)
def test_what_cannot_be_aligned_is_refused_in_one_line(change: Callable[[], Scene], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        align(seen(north_up(30), (20, 20), ZONE_32), change())
    assert "\n" not in str(caught.value)


def test_a_system_that_one_file_does_not_tell_is_the_others() -> None:
    hr_msi = seen(north_up(10), (30, 30), ZONE_32)
    lr_hsi = seen(north_up(30), (10, 10), ZONE_32)
    untold = Scene(lr_hsi.cube, georeference=north_up(30))
    aligned = align(untold, hr_msi)
    assert aligned.observation.scale == 3
    assert aligned.lines[0] == "only hr_msi tells its coordinate system; taken for both"


def test_places_that_no_projection_knows_are_refused_in_one_line() -> None:
    beyond = Scene(np.ones((9, 9, 2)), georeference=Georeference((30, 0, 5e9, 0, -30, 5e9), "EPSG:32632"))
    with pytest.raises(ValueError, match="places that both coordinate systems know"):
        align(beyond, far_off(DEGREES))


@pytest.mark.filterwarnings("ignore:where both images show the same")
def test_the_psf_takes_up_half_a_pixel_so_that_the_estimate_gains() -> None:
    """Coarse pixels that begin in the middle of sharp ones, against a fusion that is not told of it."""
    import hsr_tf
    from hsr_tf.physics.spectral import load_srf

    rng = np.random.default_rng(2)
    maps = ndimage.gaussian_filter(rng.random((138, 122, 5)), (3, 3, 0))
    maps = (maps - maps.min((0, 1))) / np.ptp(maps, axis=(0, 1))
    fine = maps @ ndimage.gaussian_filter(rng.random((5, 31)), (0, 4))
    wavelengths_nm = np.arange(400.0, 701.0, 10.0)
    truth = fine[:136, :120].reshape(68, 2, 60, 2, 31).mean((1, 3))
    coarse = fine[1:137, 1:121].reshape(17, 8, 15, 8, 31).mean((1, 3))
    response = load_srf("nikon_d700", wavelengths_nm).matrix
    half = Georeference((4, 0, 0.5, 0, -4, -0.5)), Georeference((1, 0, 0, 0, -1, 0))
    errors = {}
    for name, grids in {"told": half, "untold": (None, None)}.items():
        lr_hsi = Scene(coarse, wavelengths_nm, georeference=grids[0])
        pair = align(lr_hsi, Scene(truth @ response, georeference=grids[1])).observation
        height, width, _ = pair.hr_msi.shape
        found = hsr_tf.fuse(pair, "spectral_ls", psf="box:size=4", srf="nikon_d700").estimate.cube
        errors[name] = float(np.sqrt(np.square(found - truth[:height, :width])[8:-8, 8:-8].mean()))
    assert errors["told"] < 0.6 * errors["untold"]
