"""Pixels without data count nowhere: away from a hole everything is as it would be without the hole."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from hsr_tf.fusion import fuse, simulate
from hsr_tf.scene import Observation, Solution
from tests.streaming.pairs import smooth_scene

SCALE, CELLS = 4, (30, 26)
FAR = 8  # coarse pixels from a hole
COARSE_HOLE, SHARP_HOLE = (slice(4, 6), slice(6, 9)), (slice(90, 99), slice(70, 83))


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
    assert np.abs(found.estimate.cube - expected.estimate.cube)[far].max() < 2e-3
    for name in ("lr_hsi_residual", "hr_msi_residual"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=0.05, abs=2e-5)


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
