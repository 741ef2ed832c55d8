"""Pixels without data count nowhere: away from a hole everything is as it would be without the hole."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hsr_tf import io
from hsr_tf.closed_forms.spectral_ls import SceneMap
from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.fusion.error_maps import Spread, sigma_map
from hsr_tf.fusion.quality import assess, wald
from hsr_tf.metrics.full_reference import scorecard
from hsr_tf.physics.cameras import choose_cameras
from hsr_tf.physics.nodata import Holes, is_enough
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.report.html.quality_maps import quality
from hsr_tf.report.scene_report import scene_report, shown_cameras
from hsr_tf.scene import Observation, Scene, Solution
from hsr_tf.streaming import plan
from hsr_tf.streaming.request import StreamRequest
from hsr_tf.streaming.streamed import fuse_files
from hsr_tf.tiling.stages import run_stages
from tests.streaming.pairs import smooth_scene

SCALE, CELLS = 8, (26, 22)
FAR = 7  # coarse pixels from a hole
COARSE_HOLE, SHARP_HOLE = (slice(4, 6), slice(6, 9)), (slice(160, 177), slice(120, 145))


@cache
def whole() -> Observation:
    """A noise-free pair with textured ground, so that neighbouring pixels differ."""
    scene = smooth_scene((SCALE * CELLS[0], SCALE * CELLS[1], 31))
    texture = 0.7 + 0.6 * np.random.default_rng(3).random((*scene.shape[:2], 1))
    return simulate(replace(scene, cube=scene.cube * texture), scale=SCALE)


def with_holes(pair: Observation, *, coarse: bool = True, sharp: bool = False) -> Observation:
    """Pixels without data; what stands there is far from anything that a camera saw."""
    images = []
    for image, hole, wanted in ((pair.lr_hsi, COARSE_HOLE, coarse), (pair.hr_msi, SHARP_HOLE, sharp)):
        mask = np.zeros(image.shape[:2], bool)
        mask[hole] = wanted
        images.append(replace(image, cube=np.where(mask[..., None], 0, image.cube), nodata_mask=mask))
    return Observation(*images, pair.scale)


def far_from_holes(pair: Observation) -> np.ndarray:
    """(H, W), True where neither image has a hole within `FAR` coarse pixels."""
    near = np.zeros(CELLS, bool)
    for mask, cell in ((pair.lr_hsi.nodata_mask, 1), (pair.hr_msi.nodata_mask, SCALE)):
        assert mask is not None
        for row, col in np.argwhere(mask) // cell:
            near[max(0, row - FAR) : row + FAR + 1, max(0, col - FAR) : col + FAR + 1] = True
    return ~near.repeat(SCALE, 0).repeat(SCALE, 1)


def quietly(pair: Observation, method: str = "spectral_ls", **given: object) -> Solution:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fuse(pair, method, **given)  # type: ignore[arg-type]


@cache
def solved(method: str) -> Solution:
    return quietly(whole(), method)


@pytest.mark.parametrize("sharp", [False, True])
@pytest.mark.parametrize("method", ["spectral_ls", "sylvester", "ms_ssfnet"])
def test_the_estimate_far_from_a_hole_is_that_without_the_hole(method: str, sharp: bool) -> None:
    pair = with_holes(whole(), coarse=not sharp, sharp=sharp)
    found, expected = quietly(pair, method), solved(method)
    far = far_from_holes(pair)
    assert far.mean() > 0.2
    # a map that is fitted to fewer pixels is another one, by a little
    assert np.sqrt(np.square(found.estimate.cube - expected.estimate.cube)[far].mean()) < 1e-3
    for name in ("lr_hsi_residual", "hr_msi_residual"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=0.05, abs=1e-6)


@pytest.mark.parametrize("sharp", [False, True])
def test_trust_and_disagreement_are_those_without_the_hole(sharp: bool) -> None:
    found = quietly(with_holes(whole(), coarse=not sharp, sharp=sharp)).estimate.metadata
    expected = solved("spectral_ls").estimate.metadata
    assert found["trust"] == pytest.approx(expected["trust"], abs=1e-3)
    assert expected["trust"] > 0.999
    assert found["disagreement"] == pytest.approx(expected["disagreement"], abs=1e-6)


def test_nothing_is_suspected_of_a_hole() -> None:
    for pair in (with_holes(whole()), with_holes(whole(), coarse=False, sharp=True)):
        with pytest.warns(UserWarning, match="without data") as told:
            fuse(pair)
        assert len(told) == 1


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles and windows of 8 coarse pixels, whose seams run through the holes and beside them."""
    monkeypatch.setattr(plan, "LARGEST_TILE", 8 * SCALE)
    monkeypatch.setattr(plan, "LARGEST_SIDE", 8 * SCALE)


def streamed(pair: Observation, folder: Path, method: str = "spectral_ls") -> Scene:
    paths = [folder / name for name in ("x.h5", "y.h5", "z.h5")]
    io.save(pair.lr_hsi, paths[0])
    io.save(pair.hr_msi, paths[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fuse_files(StreamRequest(*paths, memory_limit=64 * 10**9, method=method))
    return io.load(paths[2])


@pytest.mark.parametrize("method", ["spectral_ls", pytest.param("ms_ssfnet", marks=pytest.mark.slow)])
def test_tiles_with_holes_make_the_whole(tmp_path: Path, small_tiles: None, method: str) -> None:
    pair = with_holes(whole(), coarse=True, sharp=True)
    found, expected = streamed(pair, tmp_path, method), quietly(pair, method).estimate
    assert np.abs(found.cube - expected.cube).max() < 2e-4
    for name in ("trust", "disagreement"):
        if name in expected.metadata:
            assert found.metadata[name] == pytest.approx(expected.metadata[name], abs=1e-4)


def test_a_streamed_solver_far_from_a_hole_gives_what_it_gives_without(
    tmp_path: Path, small_tiles: None
) -> None:
    pair = with_holes(whole(), coarse=True, sharp=True)
    found, expected = (streamed(p, tmp_path, "sylvester").cube for p in (pair, whole()))
    far = far_from_holes(pair)
    assert np.sqrt(np.square(found - expected)[far].mean()) < 1e-3


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_where_next_to_nothing_is_clean_everything_counts(share: float) -> None:
    spatial = SpatialDegradation(Psf(np.ones((4, 4))), 4)
    mask = np.random.default_rng(0).random((80, 80)) < share
    clean = Holes(None, mask).clean(spatial, (20, 20))
    assert is_enough(int(clean.sum()), clean.size) == (share < 1)
    assert not Holes(np.ones((20, 20), bool), None).clean(spatial, (20, 20)).any()


def test_a_coarse_pixel_counts_unless_the_psf_mixes_a_hole_into_it() -> None:
    kernel = np.zeros((9, 5))
    kernel[0, :] = kernel[4, 2] = 1.0  # reaches four rows down one way alone
    spatial = SpatialDegradation(Psf(kernel), 2)
    mask = np.zeros((24, 20), bool)
    mask[11:13, 9:11] = True
    weights = np.asarray(spatial.forward(mask[None, ..., None].astype(np.float32)))[0, ..., 0]
    np.testing.assert_array_equal(Holes(None, mask).clean(spatial, (12, 10)), weights == 0)
    assert 0 < (weights != 0).sum() < 12


def test_a_filled_pixel_contradicts_neither_image() -> None:
    pair = with_holes(whole())
    model = choose_cameras(whole(), psf=None, srf=None, srf_needed=True).model
    counted = Holes(pair.lr_hsi.nodata_mask, None).clean(model.spatial, CELLS)
    holed = ArrayPair((pair.lr_hsi.cube, pair.hr_msi.cube), model, counted=counted)
    scene = SceneMap(holed)
    run_stages([scene.survey()])
    cube = scene.lr_hsi(holed.grid.whole)
    np.testing.assert_array_equal(cube[counted], pair.lr_hsi.cube[counted])
    blurred = np.asarray(model.spatial.forward(pair.hr_msi.cube[None]))[0]
    np.testing.assert_allclose(cube @ model.spectral.matrix, blurred, atol=1e-4)
    error = np.abs(cube - whole().lr_hsi.cube)[~counted]
    assert error.mean() < 0.01 < np.abs(pair.lr_hsi.cube - whole().lr_hsi.cube)[~counted].mean()


def test_quality_prints_the_residuals_of_the_fusion(tmp_path: Path) -> None:
    pair = with_holes(whole(), coarse=True, sharp=True)
    found = quietly(pair)
    io.save(found.estimate, tmp_path / "z.h5")
    figures = assess(pair, io.load(tmp_path / "z.h5")).figures.consistency
    expected = assess(whole(), solved("spectral_ls").estimate).figures.consistency
    assert figures.lr_hsi_residual == pytest.approx(found.lr_hsi_residual, rel=0.2, abs=1e-6)
    assert figures.hr_msi_residual == pytest.approx(found.hr_msi_residual, rel=0.2, abs=1e-6)
    assert figures.sam_degrees == pytest.approx(expected.sam_degrees, abs=1e-3)


def test_one_scale_down_a_hole_does_not_count() -> None:
    pair, small = with_holes(whole(), sharp=True), {"psf": "box:size=8"}
    scores = []
    for images in (pair, whole()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = wald(images, "bicubic", **small)  # type: ignore[arg-type]
        scores.append(trial.scores)
    assert scores[0].psnr_bands == pytest.approx(scores[1].psnr_bands, abs=1.0)
    assert scores[0].sam_degrees == pytest.approx(scores[1].sam_degrees, rel=0.2)


def test_scores_with_a_mask_are_those_of_the_part_that_counts() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((40, 90, 4))
    guess = truth + 0.05 * rng.standard_normal(truth.shape)
    counted = np.zeros(truth.shape[:2], bool)
    counted[:, 20:85] = True
    spoiled = np.where(counted[..., None], guess, 7.0)
    part = scorecard(truth[:, 20:85], guess[:, 20:85], scale=4).as_dict()
    assert scorecard(truth, spoiled, scale=4, counted=counted).as_dict() == pytest.approx(part, rel=1e-12)
    with pytest.raises(ValueError, match="counted: expected a boolean array"):
        scorecard(truth, guess, scale=4, counted=np.zeros((40, 90), bool))


def test_a_map_of_uncertainty_does_not_spread_from_a_hole() -> None:
    hole = np.zeros((20, 20), bool)
    hole[8:12, 8:12] = True
    ones = np.ones((20, 20, 2), np.float32)
    estimate = Scene(np.where(hole[..., None], 0, ones), nodata_mask=hole)
    sigma = sigma_map(estimate, Spread(ones, 0.1 * ones), 1.0, distance=True).cube
    np.testing.assert_allclose(sigma[~hole], 0.1, rtol=1e-4)
    assert (sigma[hole] == 0).all()


def test_the_maps_of_a_report_leave_holes_and_their_surroundings_out() -> None:
    pair = with_holes(whole(), sharp=True)
    estimate = quietly(pair).estimate
    data = scene_report(pair, {"spectral_ls": estimate}, cameras=shown_cameras(pair))
    for one in quality(data).maps:
        assert np.isnan(one.values).any()
        assert np.nanmax(one.values) < 1e-2  # of 255
    card = scene_report(pair, {"z": estimate}, reference=solved("spectral_ls").estimate).scores["z"]
    assert card["psnr_bands"] is not None
    assert card["psnr_bands"] > 40
