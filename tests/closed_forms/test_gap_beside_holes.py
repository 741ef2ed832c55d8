"""How far images agree is found where each coarse pixel sees missing sharp ones, against SciPy's blur."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from hsr_tf.closed_forms.gap_beside_holes import completion_noise, gap_beside_holes, variance_of
from hsr_tf.physics.nodata import Holes, filled
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf_spec import parse_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.physics.tiled_pair import ArrayPair

SCALE, SIZE = 4, 20
SIGMA = SCALE / np.sqrt(8 * np.log(2))
MODEL = ObservationModel(
    SpatialDegradation(parse_psf("gaussian:fwhm=4,support=24", SCALE), SCALE),
    SpectralResponse(np.random.default_rng(3).random((8, 2))),
)


def sharp_scene() -> np.ndarray:
    rough = np.random.default_rng(0).random((SIZE * SCALE, SIZE * SCALE, 3))
    maps = 0.2 + 3 * (ndimage.gaussian_filter(rough, (1.5, 1.5, 0)) - 0.5) ** 2 + rough * 0.2
    return maps @ np.random.default_rng(4).random((3, 8))


def blurred(cube: np.ndarray) -> np.ndarray:
    """SciPy's correlation with a Gaussian of an even number of taps, at the middles of the coarse pixels."""
    fine = np.pad(cube, ((16, 16), (16, 16), (0, 0)), "symmetric")
    places = np.arange(-11.5, 12)
    taps = np.exp(-0.5 * np.square(places / SIGMA))
    for axis in (0, 1):  # from 11 pixels before to 12 after
        fine = ndimage.correlate1d(fine, taps / taps.sum(), axis, mode="nearest", origin=-1)
    return fine[16:-16, 16:-16][SCALE // 2 - 1 :: SCALE, SCALE // 2 - 1 :: SCALE]


def pair_of(wrong: np.ndarray | float = 0.0) -> tuple[ArrayPair, float]:
    """A pair with a gap in every third row of cells of Y, and what D Y differs by from X R."""
    cube = sharp_scene()
    lr_hsi = blurred(cube)
    found = lr_hsi + wrong
    hole = np.zeros(cube.shape[:2], bool)
    hole[:: 2 * SCALE] = hole[1 :: 2 * SCALE] = hole[:, 5:13] = True
    response = MODEL.spectral.matrix
    images = found.astype("f4"), filled((cube @ response).astype("f4"), hole)
    pair = ArrayPair(images, MODEL, Holes(None, hole)).completed(1e-6)
    return pair, float(np.square((found - lr_hsi) @ response).sum(-1).mean())


def test_images_that_agree_have_no_gap() -> None:
    pair, _ = pair_of()
    assert not pair.clean(pair.grid.whole).any()
    energy = np.square(pair.cubes[0] @ MODEL.spectral.matrix).sum(-1).mean()
    found = gap_beside_holes(pair, MODEL, np.ones((SIZE, SIZE), "f4"))
    assert np.sqrt(found / energy) < 3e-5


@pytest.mark.parametrize("size", [1e-3, 2e-2])
def test_noise_and_shifts_are_found_as_large_as_they_are(size: float) -> None:
    lr_hsi = blurred(sharp_scene())
    noise = size * np.random.default_rng(1).standard_normal(lr_hsi.shape)
    for wrong in (noise, 5 * size * (np.roll(lr_hsi, 1, 0) - lr_hsi)):
        pair, expected = pair_of(wrong)
        found = gap_beside_holes(pair, MODEL, np.ones((SIZE, SIZE), "f4"))
        assert 0.6 < np.sqrt(found / expected) < 1.7


def test_changed_ground_does_not_count() -> None:
    wrong = np.zeros((SIZE, SIZE, 8))
    wrong[6:11, 7:13] = np.random.default_rng(2).uniform(-0.4, 0.4, (5, 6, 8))
    pair, energy = pair_of(wrong)
    weights = np.where(wrong[..., 0] != 0, 0.1, 1.0).astype("f4")
    assert gap_beside_holes(pair, MODEL, weights) < 1e-6 * energy


def test_both_variances_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    seen = 10.0 ** rng.uniform(-6, 0, 2000)
    energies = (0.3 * seen + 2e-4) * rng.chisquare(3, 2000) / 3
    assert variance_of(energies, seen) == pytest.approx(2e-4, rel=0.1)
    assert variance_of(energies, np.zeros(2000)) == pytest.approx(energies.mean(), rel=1e-3)


@pytest.mark.parametrize("clean", [False, True])
def test_images_that_disagree_do_not_drive_the_completion_wild(clean: bool) -> None:
    """X is moved by a third of a coarse pixel: without its disagreement the damping would be next to none."""
    cube, response = sharp_scene(), MODEL.spectral.matrix
    lr_hsi = blurred(cube)
    moved = lr_hsi + (np.roll(lr_hsi, 1, 0) - lr_hsi) / 3
    hole = np.zeros(cube.shape[:2], bool)
    hole[20:31, 5:40] = True
    if not clean:
        hole[:: 2 * SCALE] = hole[1 :: 2 * SCALE] = True
    sharp = cube @ response
    pair = ArrayPair((moved.astype("f4"), filled(sharp.astype("f4"), hole)), MODEL, Holes(None, hole))
    gap, seen = (moved - lr_hsi) @ response, moved @ response
    noise = completion_noise(pair)
    assert 0.3 < noise / (np.square(gap).mean() / np.square(seen).mean()) < 2
    low, high = sharp.min(), sharp.max()
    found = pair.completed(noise).cubes[1]
    assert found.min() > low - 0.5 * (high - low)
    assert found.max() < high + 0.5 * (high - low)
    assert np.ptp(pair.completed(1e-8).cubes[1]) > 1.5 * np.ptp(found)
