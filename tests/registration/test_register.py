"""The transform between two images is found to a tenth of a sharp pixel; that of another place is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import hsr_tf
from benchmarks._misfit_pairs import Ground, Simulator
from hsr_tf.geo.georeference import Georeference
from hsr_tf.registration.motion import PERSPECTIVE
from hsr_tf.registration.refinement import Fit, Refinement
from hsr_tf.registration.register import register, snapped
from hsr_tf.registration.transform import Transform
from hsr_tf.scene import Scene
from tests.registered_for_tests import placed_pair, similarity

PRECISION = 0.1


def flat(rows: int, cols: int) -> Scene:
    return Scene(np.ones((rows, cols, 4), np.float32))


def smooth_image(seed: int) -> Scene:
    """Materials in smooth maps: an image that correlates with any other by chance."""
    rng = np.random.default_rng(seed)
    maps = ndimage.gaussian_filter(rng.random((64, 64, 6)), (4, 4, 0))
    maps = (maps - maps.min((0, 1))) / np.ptp(maps, axis=(0, 1))
    return Scene((maps @ rng.random((6, 3))).astype(np.float32))


@pytest.mark.parametrize(
    ("degrees", "ratio", "shift", "side"),
    [
        pytest.param(0.3, 4.0, (0.0, 0.0), 32, marks=pytest.mark.slow),
        pytest.param(5.0, 4.0, (1.5, -2.0), 32, marks=pytest.mark.slow),
        pytest.param(0.0, 4.0, (5.5, 5.5), 32, marks=pytest.mark.slow),
        (2.0, 5.3, (0.0, 1.0), 24),
    ],
)
def test_what_lies_near_is_found(degrees: float, ratio: float, shift: tuple[float, float], side: int) -> None:
    pair = placed_pair(similarity(degrees, ratio, shift, sizes=(side, 128)), side=side, snr_db=40)
    found = register(pair.lr_hsi, pair.hr_msi)
    assert found.accepted
    assert found.moved
    assert pair.error(found.transform.matrix) < PRECISION


@pytest.mark.parametrize(
    ("degrees", "mirrored"),
    [(90, False), (180, False), (0, True), (90, True)]
    + [pytest.param(270, mirrored, marks=pytest.mark.slow) for mirrored in (False, True)],
)
def test_the_other_orientations_are_found_to_the_pixel(degrees: float, mirrored: bool) -> None:
    matrix = similarity(degrees, 4.0, (0.0, 0.0), mirrored=mirrored, sizes=(16, 64))
    pair = placed_pair(matrix, side=16, sharp_side=64, snr_db=40)
    found = register(pair.lr_hsi, pair.hr_msi)
    assert found.accepted
    np.testing.assert_allclose(found.transform.matrix, matrix, atol=1e-9)


def test_a_part_of_the_sharp_image_is_found_turned_and_mirrored_at_another_ratio() -> None:
    matrix = similarity(127.0, 4.4, (6.0, -9.0), mirrored=True, sizes=(20, 128))
    pair = placed_pair(matrix, side=20, snr_db=35)
    found = register(pair.lr_hsi, pair.hr_msi)
    assert found.accepted
    assert pair.error(found.transform.matrix) < PRECISION


def test_a_perspective_is_found() -> None:
    matrix = similarity(1.0, 4.0, (0.0, 0.0), sizes=(28, 128))
    matrix[2, :2] = 2e-3, -1e-3
    pair = placed_pair(matrix, side=28)
    found = register(pair.lr_hsi, pair.hr_msi)
    assert found.transform.bend > 1
    assert pair.error(found.transform.matrix) < PRECISION


def test_a_perspective_that_folds_the_coarse_image_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Refinement.fit

    def folding(self: Refinement, matrix: np.ndarray, model: str, **options: Any) -> Fit | None:
        fit = original(self, matrix, model, **options)
        bent = np.array([[4.0, 0, 0], [0, 4, 0], [0.1, -0.1, 1]])
        return replace(fit, matrix=bent, share=0.0) if fit is not None and model == PERSPECTIVE else fit

    monkeypatch.setattr(Refinement, "fit", folding)
    pair = placed_pair(similarity(0.0, 4.0, (1.0, 0.0), sizes=(16, 64)), side=16, sharp_side=64, snr_db=40)
    found = register(pair.lr_hsi, pair.hr_msi)
    assert found.accepted
    assert pair.error(found.transform.matrix) < PRECISION


def test_changed_ground_does_not_move_the_transform() -> None:
    pair = placed_pair(similarity(1.0, 4.0, (2.0, -1.0), sizes=(32, 128)), side=32, snr_db=40)
    changed = pair.hr_msi.cube.copy()
    changed[20:60, 70:100] = changed[20:60, 70:100][::-1, ::-1, ::-1]
    found = register(pair.lr_hsi, replace(pair.hr_msi, cube=changed))
    assert pair.error(found.transform.matrix) < PRECISION


# Those without noise are in tests/fusion/test_registered.py too.
@pytest.mark.parametrize("snr_db", [pytest.param(None, marks=pytest.mark.slow), 30])
def test_aligned_images_stay_as_they_are(snr_db: float | None) -> None:
    matrix = similarity(0.0, 4.0, (0.0, 0.0), sizes=(24, 96))
    pair = placed_pair(matrix, side=24, sharp_side=96, snr_db=snr_db)
    found = register(pair.lr_hsi, pair.hr_msi)
    assert found.accepted
    assert not found.moved
    np.testing.assert_array_equal(found.transform.matrix, np.diag([4, 4, 1]))


def test_the_image_of_another_place_is_refused() -> None:
    for seed in (1, 4):
        pair = placed_pair(similarity(0.0, 4.0, (0.0, 0.0), sizes=(16, 64)), side=16, sharp_side=64)
        found = register(pair.lr_hsi, smooth_image(seed))
        assert not found.accepted
        assert "beyond chance" in found.line


def test_pixels_without_data_do_not_count() -> None:
    pair = placed_pair(similarity(2.0, 4.0, (1.0, 0.0), sizes=(32, 128)), side=32)
    hole = np.zeros(pair.hr_msi.shape[:2], bool)
    hole[:40, 50:] = True
    damaged = np.where(hole[..., None], np.float32(7), pair.hr_msi.cube)
    found = register(pair.lr_hsi, Scene(damaged, nodata_mask=hole))
    assert pair.error(found.transform.matrix) < PRECISION


def test_the_grids_of_the_files_are_the_start() -> None:
    matrix = similarity(0.0, 4.0, (13.0, -17.0), sizes=(20, 128))
    pair = placed_pair(matrix, side=20, snr_db=40)
    off = 1.3  # sharp pixels by which the grids are wrong
    coarse = Georeference((4, 0, matrix[1, 2] + off, 0, -4, -matrix[0, 2]))
    lr_hsi = replace(pair.lr_hsi, georeference=coarse)
    hr_msi = replace(pair.hr_msi, georeference=Georeference((1, 0, 0, 0, -1, 0)))
    found = register(lr_hsi, hr_msi, search=False)
    assert found.gap == pytest.approx(off, abs=PRECISION)
    assert pair.error(found.transform.matrix) < PRECISION


@pytest.mark.slow
def test_a_local_displacement_is_found_where_there_is_one() -> None:
    pair = placed_pair(similarity(0.0, 4.0, (0.0, 0.0), sizes=(32, 128)), side=32)
    assert register(pair.lr_hsi, pair.hr_msi, displacement=True).transform.displacement is None
    rows, cols = np.meshgrid(np.arange(128) + 0.0, np.arange(128) + 0.0, indexing="ij")
    wave = 1.5 * np.sin(rows / 20) * np.cos(cols / 25)
    bent = np.stack(
        [
            ndimage.map_coordinates(c, (rows + wave, cols), order=3, mode="reflect")
            for c in np.moveaxis(pair.hr_msi.cube, -1, 0)
        ],
        -1,
    )
    found = register(pair.lr_hsi, Scene(bent), displacement=True).transform
    places = np.stack(np.meshgrid(np.arange(3, 29) + 0.5, np.arange(3, 29) + 0.5, indexing="ij"), -1).reshape(
        -1, 2
    )
    ends = found.to_sharp(places) - 0.5
    there = ends[:, 0] + 1.5 * np.sin(ends[:, 0] / 20) * np.cos(ends[:, 1] / 25)
    apart = np.stack([there, ends[:, 1]], 1) - (4 * places - 0.5)
    assert np.sqrt(np.square(apart).sum(1).mean()) < 0.2
    np.testing.assert_allclose(found.to_coarse(found.to_sharp(places)), places, atol=1e-5)


def test_small_and_flat_images_are_not_registered() -> None:
    assert not register(flat(1, 30), flat(4, 120)).accepted
    assert not register(flat(16, 16), flat(64, 64)).accepted


def test_only_what_is_next_to_whole_pixels_is_snapped() -> None:
    sizes = (16, 16), (64, 64)
    near = similarity(90.02, 4.0, (0.02, 0.0), sizes=(16, 64))
    assert snapped(Transform(near, *sizes)).rotation_degrees == 90
    far = Transform(similarity(90.3, 4.0, (0.0, 0.0), sizes=(16, 64)), *sizes)
    assert snapped(far) is far


def scene_pairs(shared_data: Path, name: str) -> Simulator:
    scene = hsr_tf.load(shared_data / "hsi" / "cave_train" / f"{name}.h5")
    cube, bands = scene.cube.astype(np.float64), np.asarray(scene.wavelengths_nm, float)
    table = bands, np.exp(-np.square((bands[:, None] - [450, 550, 620]) / 40))
    return Simulator(Ground(cube, 128, bands, table, cube[:128, :128]), 4)


def test_zeros_outside_are_no_stretch(shared_data: Path) -> None:
    pair = scene_pairs(shared_data, "thread_spools").zero_border().misfit
    found = register(Scene(pair.lr_hsi.astype(np.float32)), Scene(pair.hr_msi.astype(np.float32)))
    assert found.accepted
    assert not found.moved


@pytest.mark.parametrize("name", ["paints", "egyptian_statue"])
def test_a_tone_curve_is_no_stretch(shared_data: Path, name: str) -> None:
    pair = scene_pairs(shared_data, name).photograph().misfit
    found = register(Scene(pair.lr_hsi.astype(np.float32)), Scene(pair.hr_msi.astype(np.float32)))
    assert found.accepted
    assert found.gap < 0.2
