"""The sharp image as the coarse camera sees it through a transform: blurred by a Gaussian, sampled by
splines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from hsr_tf.physics.psf import FWHM_PER_SIGMA
from hsr_tf.registration.motion import local_ratio
from hsr_tf.registration.pyramid import Evidence, blurred
from hsr_tf.typing import Array, Mask

BLUR_STEP, KEPT_BLURS, FEWEST_INSIDE = 0.02, 12, 24


@dataclass(frozen=True, eq=False)
class Look:
    """What is seen.

    Attributes:
        values: (n, c), D Y at the coarse pixels.
        inside: (n,), which of them lie in the sharp image.
        slopes: (n, c, 3), derivatives by row and column in the sharp image and by the logarithm of the
            PSF's width; None where they were not wanted.
    """

    values: Array
    inside: Mask
    slopes: Array | None


class _Blurred:
    """Splines of blurred channels (H, W, c), and their slopes where they are wanted."""

    def __init__(self, image: Array, sigma: float) -> None:
        self._planes, self._sigma = np.moveaxis(image, -1, 0), sigma
        self.splines: list[Array] = [ndimage.spline_filter(p, order=3, mode="mirror") for p in self._planes]

    @cached_property
    def slopes(self) -> list[tuple[Array, Array, Array]]:
        """By row, column and the logarithm of sigma: of a Gaussian's blur sigma^2 times the Laplacian."""
        variance = self._sigma**2
        return [(*np.gradient(plane), variance * ndimage.laplace(plane)) for plane in self._planes]


class View:
    """Looks at one sharp image.

    Args:
        pair: the reduced images.
    """

    def __init__(self, pair: Evidence) -> None:
        self._pair = pair
        rows, cols = np.meshgrid(*(np.arange(n) + 0.5 for n in pair.size), indexing="ij")
        self.places: Array = np.stack([rows[pair.valid], cols[pair.valid]], 1)
        self._fewest = max(FEWEST_INSIDE, 2 * (pair.components.shape[2] + 1))
        self._kept: dict[int, _Blurred] = {}

    def look(self, matrix: Array, width: float, offsets: Array, *, slopes: bool = True) -> Look | None:
        """See the sharp image; None where it hardly overlaps.

        Args:
            matrix: (3, 3).
            width: FWHM of the PSF in coarse pixels.
            offsets: (n, 2), added to the places in the sharp image.
            slopes: whether derivatives are wanted.
        """
        ends = self.places @ matrix[:, :2].T + matrix[:, 2]
        if (ends[:, 2] <= 1e-6).any():
            return None
        where = ends[:, :2] / ends[:, 2:] - 0.5 + offsets
        size = np.array(self._pair.sharp_valid.shape)
        near = np.clip(np.rint(where).astype(int), 0, size - 1)
        inside = ((where >= -0.5) & (where <= size - 0.5)).all(1)
        inside &= self._pair.sharp_valid[near[:, 0], near[:, 1]]
        if inside.sum() < self._fewest:
            return None
        image = self._blurred(matrix, width)
        values = _sampled(image.splines, where, order=3)
        if not slopes:
            return Look(values, inside, None)
        parts = [_sampled([one[axis] for one in image.slopes], where, order=1) for axis in range(3)]
        return Look(values, inside, np.stack(parts, 2))

    def _blurred(self, matrix: Array, width: float) -> _Blurred:
        """The channels for a width; kept while the blur changes by less than 2 %."""
        sigma = width * local_ratio(matrix, self._pair.size) / FWHM_PER_SIGMA
        # Means over the pixels of a step have blurred by a box already.
        spare = (1 - 1 / self._pair.hr_step**2) / 12
        key = round(float(np.log(max(sigma**2 - spare, 0.01))) / 2 / BLUR_STEP)
        if key not in self._kept:
            if len(self._kept) >= KEPT_BLURS:
                self._kept.clear()
            sigma = float(np.exp(key * BLUR_STEP))
            self._kept[key] = _Blurred(blurred(self._pair.channels, sigma), sigma)
        return self._kept[key]


def _sampled(planes: list[Array], where: Array, *, order: int) -> Array:
    """(n, number of planes) at places (n, 2) counted from the middles of pixels."""
    mode = "mirror" if order == 3 else "nearest"
    sample = [ndimage.map_coordinates(p, where.T, order=order, mode=mode, prefilter=False) for p in planes]
    return np.stack(sample, 1)
