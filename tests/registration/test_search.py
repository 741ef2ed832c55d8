"""Places are ranked by the multiple correlation of what both images show there."""

from __future__ import annotations

import numpy as np

from hsr_tf.registration.match import band_passed
from hsr_tf.registration.pyramid import evidence
from hsr_tf.registration.search import Search
from hsr_tf.scene import Scene


def test_the_gain_of_a_place_is_that_of_a_regression_on_the_pixels_in_common() -> None:
    rng = np.random.default_rng(0)
    # Components that are alike in one half of the cube: orthogonal over all of it, not over a part.
    cube = rng.random((12, 14, 5)).cumsum(0)
    cube[6:] = cube[6:, :, :1] + 0.01 * rng.random((6, 14, 5))
    pair = evidence(Scene(cube.astype(np.float32)), Scene(rng.random((48, 56, 2), np.float32)), 4.0)
    search = Search(pair)
    cells, inside = band_passed(rng.random((12, 14, 2))), np.ones((12, 14), bool)
    inside[:2] = False
    cells[~inside] = 0
    search._longest = 14
    gains = search._gains(cells, inside)
    for down in (0, -3):  # rows of the cube that begin so many rows before the cells
        row, col = 11 + down, 13
        rows = slice(2, 12 + down)  # of the cells, and those of the cube are -down further
        components = search._components[rows.start - down : rows.stop - down].reshape(-1, 3)
        seen = cells[rows].reshape(-1, 2)
        left = seen - components @ np.linalg.lstsq(components, seen, rcond=None)[0]
        expected = -len(seen) * np.log(np.square(left).sum() / np.square(seen).sum())
        assert abs(gains[row, col] - expected) < 0.1 * expected + 0.5
