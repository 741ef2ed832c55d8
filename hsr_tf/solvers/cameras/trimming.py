"""Ground that the two images show differently takes no part in a fit of the cameras.

A moved object, a cloud or a clipped highlight in one image contradicts any camera, and least squares bend
PSF, response and offsets to it. Coarse pixels that a fit leaves unexplained are left out, the cameras are
fitted to the others, and so on: the concentration steps of least trimmed squares (Rousseeuw and Van Driessen,
Data Mining and Knowledge Discovery 12, 2006, doi:10.1007/s10618-005-0024-4). Departures: the start is the
response of least absolute deviations instead of random subsets, the number of pixels left out follows from
the residuals, and the trimmed fit is taken only where the median residual of all pixels falls clearly, so
that a pair without changes is fitted to all of its pixels.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation

from hsr_tf.solvers.cameras.coarse_pixels import CoarsePixels
from hsr_tf.solvers.cameras.response_fit import ResponseFit
from hsr_tf.typing import Array, Mask

OUTLIER, SMALLEST_SIZE = 4.0, 0.05
MOST_LEFT_OUT = 0.5
CLEAR_GAIN = 0.1
ENOUGH_PIXELS, NUM_REWEIGHTINGS, SMALLEST_RESIDUAL = 1500, 8, 1e-3
SQUARE = np.ones((3, 3), bool)


def gap_sizes(gap: Array, blurred: Array, counted: Mask) -> Array:
    """(h, w), the root mean square over the channels of a gap (h, w, c) over the deviation of D Y there."""
    deviation = blurred[counted].std(0) + 1e-30
    return np.asarray(np.sqrt(np.square(gap / deviation).mean(-1)))


def agreeing_pixels(sizes: Array, counted: Mask) -> Mask:
    """(h, w), the pixels that count, without outliers and the pixels around them.

    An outlier is over four times the median of the gaps and over a twentieth of the deviation of the image.

    Args:
        sizes: of the gaps, (h, w).
        counted: (h, w), the pixels to look at.
    """
    largest = max(OUTLIER * float(np.median(sizes[counted])), SMALLEST_SIZE)
    kept = counted & ~binary_dilation(counted & (sizes > largest), SQUARE)
    return kept if kept.sum() >= (1 - MOST_LEFT_OUT) * counted.sum() else counted


def least_absolute(pixels: CoarsePixels, colours: Array, fit: ResponseFit, start: Array) -> Array:
    """R (C, c) by iteratively reweighted least squares, of pixels evenly spread: |X R - A| summed over them.

    Args:
        pixels: whose spectra are used, about their means where these are centred.
        colours: A, (N, c).
        fit: says how smooth a response is.
        start: R to start from.
    """
    every = max(1, len(colours) // ENOUGH_PIXELS)
    spectra, colours, response = pixels.spectra[::every], colours[::every], start
    deviation = colours.std(0) + 1e-30
    for _ in range(NUM_REWEIGHTINGS):
        gap = spectra @ response - colours
        if pixels.centred:
            gap = gap - np.median(gap, 0)
        sizes = np.sqrt(np.square(gap / deviation).mean(1))
        weights = 1.0 / np.maximum(sizes, SMALLEST_RESIDUAL)[:, None]
        middle = [
            (weights * one).sum(0) / weights.sum() if pixels.centred else 0.0 for one in (spectra, colours)
        ]
        roots = np.sqrt(weights)
        weighted = ResponseFit(roots * (spectra - middle[0]), fit.width, fit.rank)
        response, _ = weighted.fit(roots * (colours - middle[1]), num_steps=2)
    return response


def trimmed_mean(squares: Array, share: float) -> float:
    """Mean of the smallest of some squares, `share` of their number."""
    kept = max(1, round(share * squares.size))
    return float(np.partition(squares.ravel(), kept - 1)[:kept].mean())
