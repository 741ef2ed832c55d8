"""How X R and D Y differ: by a PSF of another width, or in their colours.

A wrong width adds second differences of the colours to them, which differences between neighbours see; a
shift adds first ones, which these differences are blind to. Both vanish in the mean over many pixels; what a
wrong response, gains or a tone curve add does not.
"""

from __future__ import annotations

import numpy as np

from hsr_tf.closed_forms.coarse_pair import CoarsePair
from hsr_tf.typing import Array, Cube

TINY = 1e-30
BLOCK, SPATIAL, FOLLOWED, UNSURE, SMALLEST = 4, 0.45, 0.4, 0.2, 8


def blur_share(details: Array, response: Array) -> float:
    """The share of the detail of X R - D Y that the detail of D Y explains, channel by channel, 0 to 1.

    On four training scenes at x4 and x8, 128 and 256 pixels a side: 0.10 to 0.80 with a PSF 3 to 25 % too
    wide or 15 % too narrow, below 0.07 with shifts up to a pixel and rotations up to 0.3 degrees.

    Args:
        details: mean products of the differences of [D F, X] from their neighbours, (K + C, K + C); the
            colours follow the first feature, which is constant.
        response: R, (C, c).
    """
    num_bands, num_channels = response.shape
    colours, bands = slice(1, 1 + num_channels), slice(len(details) - num_bands, None)
    own = np.diag(details)[colours]
    across = np.einsum("bc,bc->c", response, details[bands, colours])
    seen = np.einsum("bc,bd,dc->c", response, details[bands, bands], response)
    apart = np.maximum(seen - 2 * across + own, 0.0)
    explained = np.square(across - own) / np.maximum(own, TINY)
    return float(explained.sum() / max(float(apart.sum()), TINY))


def doubt_in_values(pair: CoarsePair, response: Array, weights: Cube, noise: float) -> float:
    """How far X R - D Y speaks against the values of Y, 0 to 1.

    With g that image less its noise, and r the share of the energy of g that survives in the mean over 4 x 4
    pixels, over the share of the deviations of D Y from their mean that does: 0 up to r = 0.45, 1 from r = 1.
    On three training scenes of 256 pixels at x8 r was 0.03 to 0.12 with PSFs 0.25 to 25 % off, 0.2 to 0.43
    with shifts of 0.3 to 3 pixels and a rotation of 1 degree, 1.05 to 1.4 with the response of another
    camera, gains and tone curves. What survives less may be errors of Y yet, as of JPEG files: it counts in
    full where second differences of D Y, and first ones that may grow over the image (a shift, a rotation, a
    ratio), explain less than a fifth of g, and not from two fifths on.

    Args:
        pair: D F and X; the colours follow the first feature, which is constant.
        response: R, (C, c).
        weights: (h, w), by which pixels count.
        noise: mean square of the noise of g, summed over the channels.
    """
    (height, width), num_channels = pair.size, response.shape[1]
    gap, colours = np.empty((2, height, width, num_channels))
    for rows, _, features, lr_hsi in pair.strips():
        colours[rows] = features[..., 1 : 1 + num_channels]
        gap[rows] = lr_hsi @ response - colours[rows]
    shares = np.asarray(weights, np.float64)[..., None]
    total = max(float(shares.sum()), TINY)
    colours -= (shares * colours).sum((0, 1)) / total
    energy, kept = _energies(gap, shares)
    of_colours = _energies(colours, shares)
    energy, kept = energy - noise, max(0.0, kept - noise / BLOCK**2)
    if energy <= 0 or of_colours[1] <= 0 or min(height, width) < SMALLEST:
        return 1.0
    ratio = kept / energy * of_colours[0] / of_colours[1]
    in_colour = float(np.clip((ratio - SPATIAL) / (1 - SPATIAL), 0.0, 1.0))
    followed = _explained_by_place(gap, colours, shares) / energy
    elsewhere = float(np.clip((FOLLOWED - followed) / UNSURE, 0.0, 1.0))
    return max(in_colour, elsewhere)


def _explained_by_place(gap: Array, colours: Array, shares: Array) -> float:
    """The mean square of what differences of the colours explain of the gap, summed over the channels."""
    height, width, num_channels = gap.shape
    along = [np.gradient(colours, axis=axis) for axis in (0, 1)]
    second = sum(np.gradient(first, axis=axis) for axis, first in enumerate(along))
    row, column = np.linspace(-1, 1, height)[:, None, None], np.linspace(-1, 1, width)[:, None]
    images = np.stack([second, *(f * p for f in along for p in (np.ones_like(row), row, column))])
    inner = slice(2, -2), slice(2, -2)
    root = np.sqrt(shares[inner])[..., 0].ravel()
    explained = 0.0
    for channel in range(num_channels):
        columns = images[:, *inner, channel].reshape(len(images), -1).T * root[:, None]
        target = gap[*inner, channel].ravel() * root
        fitted = columns @ np.linalg.lstsq(columns, target, rcond=1e-9)[0]
        explained += float(fitted @ fitted) / max(float(np.square(root).sum()), TINY)
    return explained


def _energies(image: Array, shares: Array) -> tuple[float, float]:
    """Mean squares of an image (h, w, c), weighted, and of its means over blocks, summed over channels."""
    own = float((shares * np.square(image)).sum()) / max(float(shares.sum()), TINY)
    total, sums = _block_sums(shares), _block_sums(shares * image)
    means = sums / np.maximum(total, TINY)
    return own, float((total * np.square(means)).sum()) / max(float(total.sum()), TINY)


def _block_sums(image: Array) -> Array:
    """Sums over blocks of an image (h, w, n), those at the lower and right edges smaller."""
    rows = np.add.reduceat(image, np.arange(0, image.shape[0], BLOCK), axis=0)
    return np.asarray(np.add.reduceat(rows, np.arange(0, image.shape[1], BLOCK), axis=1))
