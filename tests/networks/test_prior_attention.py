"""A sharp pixel takes what the start left of X from the coarse pixels around that are like it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from hsr_tf.networks.prior_attention import AMOUNT, HEADS, KEY, Looks, ResidualAttention, neighbours, offsets


def layers() -> ResidualAttention:
    """Heads of which each adds all that it takes; places do not count."""

    def dense(units: int, name: str, activation: str | None = None, *, zero: bool = False) -> Any:
        del name, zero
        return keras.layers.Dense(units, activation, kernel_initializer="zeros")

    def conv(units: int, size: int, name: str, *, zero: bool = False) -> Any:
        del name, zero
        return keras.layers.Conv2D(units, size, kernel_initializer="zeros")

    made = ResidualAttention(dense, conv)
    made.build(sharp=3, coarse=2, bands=4, pair=5)
    made.amount.bias.assign(np.full(HEADS, 1 / AMOUNT))
    return made


@pytest.mark.parametrize("scale", [2, 3])
def test_a_pixel_takes_the_residual_of_the_coarse_pixel_that_is_like_it(scale: int) -> None:
    rng, (height, width) = np.random.default_rng(scale), (4, 5)
    # Every coarse pixel has spectra of its own; every sharp pixel is like one of the 3 x 3 around it.
    values = [rng.permutation(height * width) for _ in range(HEADS)]
    lr_hsi = np.repeat(np.stack(values, -1), KEY, -1).reshape(1, height, width, -1).astype(np.float32)
    residual = rng.standard_normal((1, height, width, 2)).astype(np.float32)
    start = np.empty((1, height * scale, width * scale, HEADS * KEY), np.float32)
    expected = np.empty((1, height * scale, width * scale, 2), np.float32)
    for row in range(height * scale):
        for column in range(width * scale):
            i = np.clip(row // scale + rng.integers(-1, 2), 0, height - 1)
            j = np.clip(column // scale + rng.integers(-1, 2), 0, width - 1)
            start[0, row, column], expected[0, row, column] = lr_hsi[0, i, j], residual[0, i, j]
    made = layers()
    made.sharpness.bias.assign(np.full(HEADS, 9.0))
    looks = Looks(
        np.ones((*start.shape[:3], 3), np.float32),
        np.ones((1, height, width, 2), np.float32),
        start,
        lr_hsi,
        residual,
        np.ones((1, 2, 4), np.float32),
        np.ones((1, 5), np.float32),
    )
    np.testing.assert_allclose(made(looks, scale), expected, atol=1e-3)


def test_neighbours_are_in_rows_and_repeat_at_edges() -> None:
    image = np.arange(6.0).reshape(1, 2, 3, 1)
    assert np.asarray(neighbours(image))[0, 0, 0, :, 0].tolist() == [0, 0, 1, 0, 0, 1, 3, 3, 4]
    placed = offsets(2)
    assert placed.shape == (4, 9, 3)
    np.testing.assert_allclose(placed[0, 4], [0.25, 0.25, 0.125**0.5], rtol=1e-6)
