"""Images of one place agree in all parts; those that share an edge alone do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from hsr_tf.registration.agreement import agreement
from hsr_tf.typing import Array, Mask

SIDE = 24
EVERYWHERE: Mask = np.ones((SIDE, SIDE), bool)
EDGE: Array = ndimage.gaussian_filter(np.where(np.arange(SIDE) < 9, 10.0, 0.0), 0.7)[:, None, None]


def texture(seed: int, channels: int) -> Array:
    rng = np.random.default_rng(seed)
    return ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE, channels)), (1, 1, 0)) * 3


def test_mixtures_of_the_cube_agree_whatever_the_response() -> None:
    cube = texture(0, 4)
    response = np.random.default_rng(1).standard_normal((4, 3))
    assert agreement(cube, cube @ response * [1, 50, 1e-3] + 7, EVERYWHERE) > 0.99


def test_an_edge_in_common_is_not_enough() -> None:
    cube, other = texture(0, 4) + EDGE, texture(1, 3) + EDGE
    whole = np.corrcoef(cube.mean(2).ravel(), other.mean(2).ravel())[0, 1]
    assert whole > 0.95
    assert agreement(cube, other, EVERYWHERE) < 0.7
    assert agreement(cube, cube[..., :3], EVERYWHERE) > 0.99


def test_unrelated_images_do_not_agree() -> None:
    found = [agreement(texture(2 * n, 8), texture(2 * n + 1, 3), EVERYWHERE) for n in range(5)]
    assert max(found) < 0.35


def test_flat_parts_with_noise_hardly_count() -> None:
    rng = np.random.default_rng(3)
    cube = texture(0, 4) * (np.arange(SIDE) < 14)[:, None, None]
    seen = cube[..., :2] + 0.01 * rng.standard_normal((SIDE, SIDE, 2))
    assert agreement(cube + 0.01 * rng.standard_normal(cube.shape), seen, EVERYWHERE) > 0.9


def test_pixels_outside_do_not_count() -> None:
    cube, inside = texture(0, 4), EVERYWHERE.copy()
    inside[:7] = False
    damaged = np.where(inside[..., None], cube[..., :2], 99.0)
    assert agreement(cube, damaged, inside) > 0.99


@pytest.mark.parametrize("where", [np.zeros((SIDE, SIDE), bool), EVERYWHERE])
def test_nothing_agrees_with_nothing(where: Mask) -> None:
    assert agreement(texture(0, 4), np.ones((SIDE, SIDE, 2)), where) == 0
