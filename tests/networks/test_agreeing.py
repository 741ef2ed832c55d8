"""What one network adds counts as far as another that was trained apart adds the same there."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from hsr_tf.networks.agreeing import CELLS, agreed
from hsr_tf.networks.reference_view import CELL
from hsr_tf.typing import Cube

SIDE, BANDS = 12 * CELL, 3


def followed(first: Cube, second: Cube) -> Cube:
    """What is added by a network that adds `first`, beside one that adds `second`."""
    inputs = [keras.Input((None, None, BANDS)) for _ in range(2)]
    model = keras.Model(inputs, agreed(*inputs))
    return np.asarray(model([first[None], second[None]]))[0]


def noise(seed: int) -> Cube:
    return np.random.default_rng(seed).standard_normal((SIDE, SIDE, BANDS)).astype(np.float32)


def test_networks_that_agree_are_followed_whatever_the_size_of_what_they_add() -> None:
    first = noise(0)
    np.testing.assert_allclose(followed(first, 0.2 * first), first, rtol=1e-4)
    np.testing.assert_allclose(followed(1e-4 * first, first), 1e-4 * first, rtol=1e-3)


def test_networks_that_contradict_each_other_or_add_nothing_are_not_followed() -> None:
    first = noise(0)
    assert np.abs(followed(first, -first)).max() == 0
    assert np.abs(followed(first, 0 * first)).max() == 0


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_the_share_is_the_square_of_the_cosine(share: float) -> None:
    """Two sums of a part in common and parts of their own: their cosine is the energy of what is common."""
    common, own, other = (noise(seed) for seed in range(3))
    first, second = (np.sqrt(share) * common + np.sqrt(1 - share) * each for each in (own, other))
    found = followed(first.astype(np.float32), second.astype(np.float32))
    middle = slice(4 * CELL, 8 * CELL)
    ratio = (found / first)[middle, middle]
    np.testing.assert_allclose(ratio.mean(), share**2, atol=0.04)


def test_each_region_decides_for_itself() -> None:
    first, second = noise(0), noise(1)
    second[:, : SIDE // 2] = first[:, : SIDE // 2]
    far = CELL * (CELLS // 2 + 3)
    ratio = np.abs(followed(first, second)).mean((0, 2)) / np.abs(first).mean((0, 2))
    assert ratio[: SIDE // 2 - far].min() > 0.99
    assert ratio[SIDE // 2 + far :].max() < 0.1
