"""How much of each band of a cube is noise, told by the other bands.

Bands of real materials go together, so what a linear regression of one band on the others leaves is mostly
noise (Roger and Arnold, Int. J. Remote Sensing 17, 1996; used by HySime, Bioucas-Dias and Nascimento, IEEE
TGRS 46, 2008, section II, for all other bands at once). It is an upper bound where materials mix other than
linearly, and too low where neighbouring bands share their noise. With few pixels only the nearest bands are
asked.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsr_tf.solvers.solver import Cube

PIXELS_PER_BAND = 4
RIDGE = 1e-10


def band_noise(cube: Cube) -> NDArray[np.float64]:
    """Standard deviation of the noise of each band.

    Args:
        cube: (h, w, C), any units.

    Returns:
        (C,) in the units of the cube; of a single band, or fewer than eight pixels, their own deviation.
    """
    pixels = cube.reshape(-1, cube.shape[-1]).astype(np.float64)
    num_pixels, num_bands = pixels.shape
    pixels -= pixels.mean(0)
    asked = min(num_bands - 1, num_pixels // PIXELS_PER_BAND - 1)
    if asked < 1:
        return pixels.std(0)
    gram = pixels.T @ pixels
    gram += RIDGE * np.trace(gram) / num_bands * np.eye(num_bands)
    if asked == num_bands - 1:
        left = 1.0 / np.diag(np.linalg.inv(gram))
    else:
        left = np.array([_left_of(gram, band, asked) for band in range(num_bands)])
    return np.sqrt(np.maximum(left, 0.0) / max(1, num_pixels - 1 - asked))


def _left_of(gram: NDArray[np.float64], band: int, asked: int) -> float:
    """What the regression of a band on its `asked` nearest neighbours leaves, summed over the pixels."""
    first = int(np.clip(band - asked // 2, 0, len(gram) - 1 - asked))
    near = slice(first, first + asked + 1)
    return float(1.0 / np.linalg.inv(gram[near, near])[band - first, band - first])
