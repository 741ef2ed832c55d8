"""The universal quality index and its hypercomplex form Q2n, over blocks of an image.

Q of two bands x, y is the product of a contrast, 2 cov(x, y) / (var x + var y), and a luminance,
2 mean x mean y / (mean x^2 + mean y^2): Wang and Bovik, IEEE Signal Process. Lett. 9(3), 2002. Q2n takes the
spectrum of a pixel for one hypercomplex number (Garzelli and Nencini, IEEE GRSL 6(4), 2009; Q4 of Alparone
et al., IEEE GRSL 1(4), 2004): with x, y such numbers, conj and |.| as in the Cayley-Dickson algebra,

    Q2n = |E[x conj y] - E[x] conj E[y]| / ((var x + var y) / 2)  *  2 |E x| |E y| / (|E x|^2 + |E y|^2)

and it is in [0, 1]. Bands are filled up with zeros to a power of two.

Departures: population moments (the papers divide by N - 1, which cancels); bands are not brought to mean 1
and deviation 1 of the reference first, as public implementations of Q2n do, so that dark bands count little;
0 / 0 is 1, as both sides are then equal, where a variance below 1e-14 of the mean square counts as none (the
rounding of float32 leaves as much of a constant); blocks do not slide by one pixel: they touch, and where
they do not divide the image they overlap by as little as that needs, so that every pixel counts.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hsr_tf.tiling.region import Region, equal_parts, regions
from hsr_tf.typing import Array, Size

ROUNDING = 1e-14

Values = Array | float


def blocks(size: Size, side: int) -> list[Region]:
    """Blocks of `side` pixels a side that cover an image of (rows, columns), row by row.

    Blocks overlap where they have to. An image that is smaller than a block along an axis is one block there.
    """
    return regions(*(equal_parts(length, side) for length in size))


def band_pairs_index(x: Array, y: Array) -> Array:
    """Q of every band of x with every band of y in one block: (n, C) and (n, c) pixels to (C, c)."""
    mean_x, mean_y = x.mean(0), y.mean(0)
    covariance = (x - mean_x).T @ (y - mean_y) / len(x)
    return _index(covariance, _variances(x)[:, None], _variances(y)[None], mean_x[:, None], mean_y[None])


def same_band_index(x: Array, y: Array) -> Array:
    """Q of every band of x with the same band of y in one block: (n, C) and (n, C) pixels to (C,)."""
    mean_x, mean_y = x.mean(0), y.mean(0)
    covariance = ((x - mean_x) * (y - mean_y)).mean(0)
    return _index(covariance, _variances(x), _variances(y), mean_x, mean_y)


def q2n(x: Array, y: Array) -> float:
    """Q2n of one block: (n, C) and (n, C) pixels."""
    mean_x, mean_y = x.mean(0), y.mean(0)
    moments = (x - mean_x).T @ (y - mean_y) / len(x)
    length = [float(np.linalg.norm(mean)) for mean in (mean_x, mean_y)]
    spread = [float(_variances(pixels).sum()) for pixels in (x, y)]
    # The hypercomplex number E[x conj y] of the moments E[x_i y_j], (C, C) to (2^n,).
    num_bands = len(moments)
    size = 1 << max(0, (num_bands - 1).bit_length())
    signed = np.zeros((size, size))
    signed[:num_bands, :num_bands] = moments
    signed *= _signs(size)
    signed[:, 1:] *= -1.0
    place = np.arange(size)
    covariance = float(np.linalg.norm(np.array([signed[place, place ^ k].sum() for k in range(size)])))
    return float(_index(covariance, spread[0], spread[1], length[0], length[1]))


def _variances(pixels: Array) -> Array:
    """Population variances of the columns; what rounding leaves of a constant is none."""
    variances = pixels.var(0)
    return np.where(variances <= ROUNDING * np.square(pixels).mean(0), 0.0, variances)


def _index(covariance: Values, var_x: Values, var_y: Values, mean_x: Values, mean_y: Values) -> Array:
    contrast = _ratio(2.0 * covariance, var_x + var_y)
    luminance = _ratio(2.0 * mean_x * mean_y, np.square(mean_x) + np.square(mean_y))
    return contrast * luminance


def _ratio(part: Values, whole: Values) -> Array:
    """part / whole, one for 0 / 0."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), 1.0)


@lru_cache(maxsize=8)
def _signs(size: int) -> Array:
    """Signs of the products of units, e_i e_j = sign[i, j] e_(i xor j), by doubling.

    (a, b)(c, d) = (a c - conj(d) b, d a + b conj(c)), Cayley and Dickson.
    """
    signs = np.ones((1, 1))
    while len(signs) < size:
        conjugate = np.where(np.arange(len(signs)) == 0, 1.0, -1.0)
        signs = np.block([[signs, signs.T], [signs * conjugate, -signs.T * conjugate]])
    return signs
