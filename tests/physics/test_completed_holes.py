"""Missing sharp pixels are given what explains the coarse cube; those with data stay as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import hsr_tf
from benchmarks.holes import discs, psnr
from hsr_tf.physics.completed_holes import completed
from hsr_tf.physics.nodata import filled
from hsr_tf.physics.psf_spec import parse_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.scene import Scene

SPATIAL = SpatialDegradation(parse_psf("gaussian:fwhm=4,support=16", 4), 4)
SHARP = ndimage.gaussian_filter(np.random.default_rng(0).random((64, 56, 2)), (1, 1, 0)).astype(np.float32)
HOLE = np.zeros((64, 56), bool)
HOLE[20:31, 15:33] = HOLE[:, 50] = True
COARSE = np.asarray(SPATIAL.forward(SHARP[None]))[0]
SEEN = np.ones(COARSE.shape[:2], bool)


def gap(sharp: np.ndarray) -> float:
    """How far D Y is from what was seen."""
    return float(np.abs(np.asarray(SPATIAL.forward(sharp[None]))[0] - COARSE).max())


def test_the_coarse_image_is_explained_and_no_other_pixel_changes() -> None:
    nearest = filled(SHARP, HOLE)
    found = completed(SPATIAL, nearest, HOLE, COARSE, SEEN)
    np.testing.assert_array_equal(found[~HOLE], SHARP[~HOLE])
    assert gap(found) < 0.03 * gap(nearest)
    error, before = (np.abs(one - SHARP)[HOLE].mean() for one in (found, nearest))
    assert error < 0.7 * before


def test_it_is_the_minimum_of_its_objective() -> None:
    start = filled(SHARP, HOLE).astype(np.float64)
    found = completed(SPATIAL, start.astype(np.float32), HOLE, COARSE, SEEN)
    base = np.asarray(SPATIAL.forward(start[None]))[0]
    columns = []
    for row, col in np.argwhere(HOLE):
        unit = np.zeros((1, 64, 56, 1))
        unit[0, row, col] = 1
        columns.append(np.asarray(SPATIAL.forward(unit)).ravel())
    matrix = np.stack(columns, 1)
    normal = matrix.T @ matrix + 3e-3 / 16 * np.eye(len(columns))
    right = matrix.T @ (COARSE - base).reshape(-1, 2)
    changes = (found[HOLE] - start[HOLE], np.linalg.solve(normal, right), np.zeros_like(start[HOLE]))
    value, least, before = (float((one * (normal @ one - 2 * right)).sum()) for one in changes)
    assert least <= value <= least + 1e-3 * (before - least)


def test_coarse_pixels_without_data_say_nothing() -> None:
    seen, wrong = SEEN.copy(), COARSE.copy()
    seen[5:7, 4:6] = False
    wrong[5:7, 4:6] = 99
    nearest = filled(SHARP, HOLE)
    found, expected = (completed(SPATIAL, nearest, HOLE, one, seen) for one in (wrong, COARSE))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("hole", [np.zeros_like(HOLE), np.ones_like(HOLE)])
def test_no_hole_and_nothing_but_a_hole_do_no_harm(hole: np.ndarray) -> None:
    found = completed(SPATIAL, SHARP, hole, COARSE, SEEN)
    assert np.isfinite(found).all()
    assert gap(found) < 1e-5


def test_the_less_noise_the_more_closely_is_the_coarse_image_explained() -> None:
    nearest = filled(SHARP, HOLE)
    gaps = [gap(completed(SPATIAL, nearest, HOLE, COARSE, SEEN, noise=noise)) for noise in (1.0, 1e-5, 0.0)]
    assert gaps[2] < 0.5 * gaps[1] < 0.5 * gaps[0]
    changes = []
    for noise in (np.inf, 0.0):
        noisy = COARSE + np.float32(0.01) * np.random.default_rng(1).standard_normal(COARSE.shape).astype(
            "f4"
        )
        found = completed(SPATIAL, nearest, HOLE, noisy.astype("f4"), SEEN, noise=noise)
        changes.append(float(np.square(found - nearest)[HOLE].mean()))
    assert changes[0] < 0.5 * changes[1]


@pytest.mark.parametrize(("method", "share", "cost"), [("spectral_ls", 0.01, 0.2), ("ms_ssfnet", 0.05, 0.3)])
def test_a_few_missing_sharp_pixels_cost_next_to_nothing(
    shared_data: Path, method: str, share: float, cost: float
) -> None:
    scene = hsr_tf.load(shared_data / "hsi" / "cave_train" / "thread_spools.h5")
    truth = Scene(scene.cube[192:320, 192:320], scene.wavelengths_nm)
    pair = hsr_tf.simulate(truth, scale=8)
    hole = discs(128, share, np.random.default_rng(0))
    holed = replace(pair, hr_msi=replace(pair.hr_msi, nodata_mask=hole))
    scores = [psnr(truth.cube, hsr_tf.fuse(one, method).estimate.cube, ~hole) for one in (pair, holed)]
    assert scores[1] > scores[0] - cost
