"""Spectra of E, what the start left of X, from the coarse pixels around each sharp one.

A sharp pixel takes the spectra of the 3 x 3 coarse pixels around it by HEADS weighted means. The weights of a
head are a softmax of

    -beta d / mean(d) + q k + p

d is the squared distance between functions of the sharp pixel's start and of the coarse pixel's X, the same
linear functions of the bands for both (the start agrees with X, so that like things have like values),
divided by its mean over the pixels of a coarse one; q and k are functions of the features of the two; p is
one of their distance in space. How much of a head is added is a function of the sharp pixel's features and of
the pair. Which spectra are there, this scene says; where to look, training. No camera and no band enters, so
that what is learnt on some cameras holds for others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hsr_tf.arrays import ops
from hsr_tf.typing import Tensor

HEADS, KEY, AROUND = 4, 8, 9
SHARPNESS, AMOUNT, SMALLEST_DISTANCE = (1.0, 3.0, 3.0, 10.0), 5.0, 1e-9


@dataclass(frozen=True, eq=False)
class Looks:
    """What is compared and taken.

    Attributes:
        sharp, coarse: features of the pixels, (B, s h, s w, n) and (B, h, w, m).
        start, lr_hsi: the functions of their spectra, `HEADS` KEY of each pixel.
        residual: E, (B, h, w, C).
        bands: descriptions of the bands, (B, C, k).
        pair: of the pair, (B, l).
    """

    sharp: Tensor
    coarse: Tensor
    start: Tensor
    lr_hsi: Tensor
    residual: Tensor
    bands: Tensor
    pair: Tensor


class ResidualAttention:
    """The weights of the heads, and what they take.

    Args:
        dense, conv: make layers: dense(units, name, activation, zero=...), conv(units, size, name, zero=...).
        zero: whether nothing is taken before training.
    """

    def __init__(self, dense: Callable[..., Any], conv: Callable[..., Any], *, zero: bool = True) -> None:
        self._query, self._key = conv(HEADS * KEY, 1, "query"), dense(HEADS * KEY, "key", zero=True)
        self._place = [dense(16, "place_0", "gelu"), dense(HEADS, "place_1")]
        self._gate, self.sharpness = dense(HEADS, "gate", zero=True), dense(HEADS, "sharpness", zero=True)
        self.amount = conv(HEADS, 1, "amount", zero=zero)
        self._amount_of_pair = dense(HEADS, "amount_of_pair", zero=True)

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """All that have weights."""
        amounts = [self.amount, self._amount_of_pair]
        return [self._query, self._key, *self._place, self._gate, self.sharpness, *amounts]

    def build(self, *, sharp: int, coarse: int, bands: int, pair: int) -> None:
        """Make the weights for so many features of each kind."""
        self._query.build((None, None, None, sharp))
        self.amount.build((None, None, None, sharp))
        self._key.build((None, None, None, coarse))
        self._place[0].build((None, None, 3))
        self._place[1].build((None, None, 16))
        self._gate.build((None, None, bands))
        self.sharpness.build((None, pair))
        self._amount_of_pair.build((None, pair))

    def __call__(self, looks: Looks, scale: int) -> Tensor:
        """What is taken, (B, s h, s w, C)."""
        bands = looks.residual.shape[-1]
        height, width = ops.shape(looks.coarse)[1:3]
        amount = ops.cast(self.amount(looks.sharp), "float32")
        amount = amount + self._amount_of_pair(looks.pair)[:, None, None]
        weights = self._weights(looks, scale) * _by_cells(AMOUNT * amount, scale, 1)
        weights = ops.reshape(ops.transpose(weights, (0, 2, 1, 3)), (-1, scale**2, HEADS * AROUND))
        gates = ops.swapaxes(1.0 + self._gate(looks.bands), 1, 2) / HEADS
        taken = ops.reshape(neighbours(looks.residual), (-1, height * width, 1, AROUND, bands))
        taken = ops.reshape(taken * gates[:, None, :, None], (-1, HEADS * AROUND, bands))
        found = ops.reshape(ops.matmul(weights, taken), (-1, height, width, scale, scale * bands))
        found = ops.transpose(found, (0, 1, 3, 2, 4))
        return ops.reshape(found, (-1, height * scale, width * scale, bands))

    def _weights(self, looks: Looks, scale: int) -> Tensor:
        """(B h w, HEADS, s^2, 9), of sum one over the last axis."""
        height, width = ops.shape(looks.coarse)[1:3]
        start, query = _by_cells(looks.start, scale, KEY), _by_cells(self._query(looks.sharp), scale, KEY)
        lr_hsi, key = _of_heads(looks.lr_hsi), _of_heads(self._key(looks.coarse))
        # Both from the middle pixel of the nine, where squares round least.
        middle = lr_hsi[..., AROUND // 2 : AROUND // 2 + 1]
        lr_hsi, start = lr_hsi - middle, start - ops.swapaxes(middle, -1, -2)
        apart = ops.sum(ops.square(start), -1, keepdims=True) + ops.sum(ops.square(lr_hsi), -2, keepdims=True)
        apart = ops.maximum(apart - 2 * ops.matmul(start, lr_hsi), 0.0)
        apart = apart / (ops.mean(apart, axis=(-2, -1), keepdims=True) + SMALLEST_DISTANCE)
        beta = ops.exp(self.sharpness(looks.pair)) * np.array(SHARPNESS, np.float32)
        apart = ops.reshape(apart, (-1, height * width, HEADS, scale**2 * AROUND)) * beta[:, None, :, None]
        placed: Any = ops.convert_to_tensor(offsets(scale), dtype="float32")
        for layer in self._place:
            placed = layer(placed)
        logits = ops.matmul(query, key) - ops.reshape(apart, (-1, HEADS, scale**2, AROUND))
        return ops.softmax(logits + ops.transpose(placed, (2, 0, 1)), axis=-1)


def _by_cells(image: Tensor, scale: int, num: int) -> Tensor:
    """(B, s h, s w, HEADS num) -> (B h w, HEADS, s^2, num)."""
    height, width = (n // scale for n in ops.shape(image)[1:3])
    cells = ops.reshape(ops.cast(image, "float32"), (-1, height, scale, width, scale * HEADS * num))
    cells = ops.reshape(ops.transpose(cells, (0, 1, 3, 2, 4)), (-1, scale**2, HEADS, num))
    return ops.transpose(cells, (0, 2, 1, 3))


def _of_heads(coarse: Tensor) -> Tensor:
    """Of the pixels around each coarse one, (B, h, w, HEADS KEY) -> (B h w, HEADS, KEY, 9)."""
    found = ops.reshape(neighbours(coarse), (-1, AROUND, HEADS, KEY))
    return ops.transpose(found, (0, 2, 3, 1))


def neighbours(coarse: Tensor) -> Tensor:
    """The 3 x 3 pixels around each, edges repeated: (B, h, w, C) -> (B, h, w, 9, C)."""
    height, width = ops.shape(coarse)[1:3]
    coarse = ops.concatenate([coarse[:, :1], coarse, coarse[:, height - 1 :]], 1)
    coarse = ops.concatenate([coarse[:, :, :1], coarse, coarse[:, :, width - 1 :]], 2)
    parts = [coarse[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return ops.stack(parts, 3)


def offsets(scale: int) -> NDArray[np.float32]:
    """Rows, columns and distance from each pixel of a coarse one to the 3 x 3 around: (s^2, 9, 3)."""
    inside = (np.arange(scale) + 0.5) / scale - 0.5
    steps = np.arange(-1, 2)
    apart = steps[None, :] - inside[:, None]
    rows = np.broadcast_to(apart[:, None, :, None], (scale, scale, 3, 3))
    columns = np.broadcast_to(apart[None, :, None, :], (scale, scale, 3, 3))
    placed = np.stack([rows, columns, np.hypot(rows, columns)], -1)
    return placed.reshape(scale**2, 9, 3).astype(np.float32)
