"""The largest rectangle of trusted pixels, against a search of them all; estimates that see only these."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

import hsr_tf
from hsr_tf.fusion.check.cameras import fwhm_pixels
from hsr_tf.fusion.valid_region import estimable_part, largest_rectangle
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.psf_spec import parse_psf
from hsr_tf.scene import Observation, Scene
from tests.fusion.test_check import sharp_scene


def largest_area(mask: NDArray[np.bool_]) -> int:
    height, width = mask.shape
    return max(
        ((b - t) * (r - a))
        for t in range(height)
        for b in range(t, height + 1)
        for a in range(width)
        for r in range(a, width + 1)
        if mask[t:b, a:r].all()
    )


@settings(max_examples=60, deadline=None)
@given(st.tuples(st.integers(1, 7), st.integers(1, 6)).flatmap(lambda size: arrays(bool, size)))
def test_no_rectangle_is_larger(mask: NDArray[np.bool_]) -> None:
    found = largest_rectangle(mask)
    assert mask[found.slices].all()
    assert found.num_pixels == largest_area(mask)


def test_large_masks_are_looked_at_in_blocks() -> None:
    mask = np.zeros((700, 900), bool)
    mask[100:650, 200:880] = True
    found = largest_rectangle(mask)
    assert mask[found.slices].all()
    assert found.num_pixels > 0.97 * 550 * 680


def test_the_estimated_psf_does_not_see_the_holes() -> None:
    pair = hsr_tf.simulate(sharp_scene(128, 112), scale=4, psf="gaussian:fwhm=4.4")
    hole = np.add.outer(np.arange(32), np.arange(28)) < 12
    cube = np.where(hole[..., None], 0, pair.lr_hsi.cube)
    holed = replace(pair, lr_hsi=replace(pair.lr_hsi, cube=cube, nodata_mask=hole, metadata={}))
    with pytest.warns(UserWarning, match="without data"):
        found = hsr_tf.fuse(holed, psf="estimate", srf="estimate")
    kernel = found.psf
    assert kernel is not None
    truth = parse_psf("gaussian:fwhm=4.4", 4)
    np.testing.assert_allclose(fwhm_pixels(Psf(kernel)), fwhm_pixels(truth), rtol=0.03)


def test_cameras_are_estimated_from_all_pixels_that_see_data() -> None:
    rng = np.random.default_rng(0)
    pair = Observation(
        Scene(rng.random((24, 30, 4), np.float32)), Scene(rng.random((48, 60, 3), np.float32)), 2
    )
    trusted = np.ones((24, 30), bool)
    assert estimable_part(pair, trusted) == (pair, None)
    trusted[np.arange(24), 3 + np.arange(24)] = False  # a slanting strip: no rectangle holds half of the rest
    part, counted = estimable_part(pair, trusted)
    assert part is pair
    assert counted is not None
    assert counted.sum() > 0.8 * trusted.size
    assert not counted[10, 12:15].any()
    trusted[:], trusted[:, 20:] = True, False
    part, counted = estimable_part(pair, trusted)
    assert counted is not None or part.lr_hsi.shape[:2] == (24, 20)
