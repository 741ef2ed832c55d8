"""Colours behind fully transparent pixels, filled from the visible pixels around them.

What a file stores where alpha is 0 is never seen, and often black. Interpolation mixes it into the visible
pixels at the border, as a dark ring. Filled colours keep the border's own: each hidden pixel takes the mean
of the visible ones among its 3 x 3 neighbours, where there are none that of 2 x 2 times coarser cells, and so
on for `NUM_LEVELS` levels; further away it takes the mean of all visible pixels. Alpha and visible colours
stay as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

NUM_LEVELS = 6
MARGIN = 2**NUM_LEVELS
STRIP = 4 * MARGIN
TINY = 1e-12


def with_hidden_filled(picture: np.ndarray) -> np.ndarray:
    """The picture (H, W, C) with its hidden colours filled; itself where there is nothing to fill.

    Args:
        picture: integers or fractions; with 2 or 4 channels the last one is alpha.
    """
    if picture.shape[2] not in (2, 4):
        return picture
    visible = picture[..., -1] > 0
    if visible.all() or not visible.any():
        return picture
    mean = picture[..., :-1].mean(axis=(0, 1), where=visible[..., None], dtype=np.float64)
    filled, height = picture.copy(), picture.shape[0]
    for top in range(0, height, STRIP):
        if visible[top : top + STRIP].all():
            continue
        first = max(0, top - MARGIN)
        seen = picture[first : top + STRIP + MARGIN].astype(np.float32)
        colours = fill_hidden(seen, mean.astype(np.float32))[top - first :][:STRIP, :, :-1]
        hidden = ~visible[top : top + STRIP]
        place = filled[top : top + STRIP]
        place[..., :-1][hidden] = (np.rint(colours) if picture.dtype.kind == "u" else colours)[hidden]
    return filled


def fill_hidden(picture: Any, mean: Any, numbers: Any = np) -> Any:
    """Fill the colours of pixels whose alpha is 0.

    Args:
        picture: (..., H, W, C) floating point, the last channel alpha.
        mean: (C - 1,) colours of pixels that are far from all visible ones.
        numbers: `numpy`, or `keras.ops` for tensors, whose sizes need not be known.
    """
    colours, alpha = picture[..., :-1], picture[..., -1:]
    visible = alpha > 0
    weights = numbers.where(visible, numbers.ones_like(alpha), numbers.zeros_like(alpha))
    found = _spread(colours * weights, weights, mean, NUM_LEVELS, numbers)
    return numbers.concatenate([numbers.where(visible, colours, found), alpha], axis=-1)


def _spread(sums: Any, weights: Any, mean: Any, num_levels: int, numbers: Any) -> Any:
    """Colours of all pixels, of sums (..., h, w, C) and numbers (..., h, w, 1) of visible ones per cell."""
    if not num_levels:
        return sums * 0 + mean
    near, num_near = (_neighbours(_neighbours(one, -3, numbers), -2, numbers) for one in (sums, weights))
    halves = [_pairs(_pairs(one, -3, numbers), -2, numbers) for one in (sums, weights)]
    below = _spread(halves[0], halves[1], mean, num_levels - 1, numbers)
    for axis in (-3, -2):
        places = numbers.arange(numbers.shape(sums)[axis]) // 2
        below = numbers.take(below, places, axis=axis)
    return numbers.where(num_near > 0, near / numbers.maximum(num_near, TINY), below)


def _neighbours(values: Any, axis: int, numbers: Any) -> Any:
    """The sum of each sample and both beside it; the ends repeat themselves."""
    length = numbers.shape(values)[axis]
    places = numbers.arange(length)
    before, after = numbers.maximum(places - 1, 0), numbers.minimum(places + 1, length - 1)
    return values + numbers.take(values, before, axis=axis) + numbers.take(values, after, axis=axis)


def _pairs(values: Any, axis: int, numbers: Any) -> Any:
    """The sum of samples 0 and 1, 2 and 3, ...; a last one without a partner counts twice."""
    length = numbers.shape(values)[axis]
    first = 2 * numbers.arange((length + 1) // 2)
    second = numbers.minimum(first + 1, length - 1)
    return numbers.take(values, first, axis=axis) + numbers.take(values, second, axis=axis)
