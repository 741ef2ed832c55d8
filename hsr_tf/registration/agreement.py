"""Whether two images match in all their parts, or along one edge alone.

A single edge can carry most of the variance of a small image, so that a correlation over all pixels is high
wherever the edges of two images lie on each other. Parts of an image are independent witnesses: where both
show the same ground, what one part teaches about the response predicts every other.

The coarse pixels are divided into blocks. Each block of the sharp image, as it is seen at the coarse pixels,
is predicted from the cube by a regression on all other blocks (cross-validation). The agreement is the mean
over the blocks of the correlation between prediction and image. A block counts by the square root of its
standard deviation: hardly at all where it is flat and shows noise, and not much more than others where it has
the sharpest edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsr_tf.registration.match import band_passed
from hsr_tf.typing import Array, Mask

BLOCK, SMALLEST_PART, FEWEST_BLOCKS = 5, 0.25, 4
RIDGE = 1e-4
EXPONENT = 0.25


def agreement(components: Array, image: Array, inside: Mask) -> float:
    """How well the blocks of an image are predicted from a cube by what the other blocks show.

    Args:
        components: (h, w, p) of the coarse cube.
        image: (h, w, c), the sharp image as it is seen at the coarse pixels.
        inside: (h, w), the pixels that both images cover.

    Returns:
        -1 to 1; 0 where there are fewer than four blocks, or nothing varies.
    """
    blocks = _blocks(inside)
    number = np.bincount(blocks)
    if len(number) < FEWEST_BLOCKS or not components.shape[2]:
        return 0.0
    known, seen = band_passed(components, inside)[inside], band_passed(image, inside)[inside]
    spread = seen.std(0)
    varied = spread > 1e-6 * max(float(spread.max(initial=0)), 1e-20)
    if not varied.any():
        return 0.0
    seen = seen[:, varied] / spread[varied]
    predicted = _predicted(known, seen, blocks)
    power, other, product = (
        np.bincount(blocks, values.mean(1))
        for values in (np.square(seen), np.square(predicted), seen * predicted)
    )
    weights = (
        np.where(number >= SMALLEST_PART * BLOCK**2, number, 0) * (power / np.maximum(number, 1)) ** EXPONENT
    )
    correlation = product / np.sqrt(power * other + 1e-20)
    return float(weights @ correlation / max(float(weights.sum()), 1e-20))


def _blocks(inside: Mask) -> NDArray[np.intp]:
    """(n,) the block of each pixel inside: about 5 x 5 pixels of the rectangle around all of them."""
    rows, cols = np.nonzero(inside)
    if not len(rows):
        return np.zeros(0, np.intp)
    parts = []
    for places in (rows, cols):
        first, length = places.min(), np.ptp(places) + 1
        number = max(2, round(length / BLOCK))
        parts.append(((places - first) * number // length, number))
    (row, _), (col, width) = parts
    return np.asarray(row * width + col)


def _predicted(known: Array, seen: Array, blocks: NDArray[np.intp]) -> Array:
    """(n, c), each block of `seen` from `known` (n, p) by the ridge regression on all other blocks."""
    order = np.argsort(blocks, kind="stable")
    _, starts, place = np.unique(blocks[order], return_index=True, return_inverse=True)
    known, seen = known[order], seen[order]
    normal = np.add.reduceat(known[:, :, None] * known[:, None, :], starts)
    moment = np.add.reduceat(known[:, :, None] * seen[:, None, :], starts)
    whole = normal.sum(0)
    ridge = RIDGE * np.trace(whole) / len(whole) * np.eye(len(whole))
    mixed = np.linalg.solve(whole - normal + ridge, moment.sum(0) - moment)
    predicted = np.empty_like(seen)
    predicted[order] = np.einsum("np,npc->nc", known, mixed[place])
    return predicted
