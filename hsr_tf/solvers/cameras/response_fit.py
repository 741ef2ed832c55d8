"""A camera's response from coarse spectra and the colours that belong to them: A ~ X R, R >= 0, smooth.

    R = argmin |X R - A|^2 + w |P R|^2,   |P r|^2 = (1.33 b^4 |second differences of r|^2 + |r|^2) / 2

The prior P is scaled so that |P r| = |r| for a bell of standard deviation b bands: C / 12 for a colour
camera's channels; a satellite's are narrower (`bell_widths`). Its weight is then a ratio of variances,
w = m |X r - A|^2 / |P r|^2 (per sample), found by iteration: without noise it vanishes and R is exact, with
noise or with a blur that is not yet right it keeps R from explaining what is none of its making. m is 3, and
with more than 1000 coarse pixels 3 for each 1000, as misfit of that kind does not average out over them.
(Generalised cross-validation, which takes it for white noise, chooses weights that are too small by orders of
magnitude.)
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from hsr_tf.typing import Array

MOST_KNOTS = 96
BELLS = (12.0, 24.0, 48.0, 96.0)
MISFIT = 3.0
INDEPENDENT = 1000
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-15, 1e-4


def bell_widths(num_bands: int) -> list[float]:
    """Widths b that channels may have, in bands, a colour camera's first and none below 1."""
    return list(dict.fromkeys(max(num_bands / bells, 1.0) for bells in BELLS))


def smoothness_prior(num_bands: int, width: float) -> Array:
    """P, (C, C) upper triangular, for bells of standard deviation `width` bands."""
    second = np.diff(np.eye(num_bands), 2, axis=0)
    energy: Array = (1.33 * width**4 * second.T @ second + np.eye(num_bands)) / 2
    return np.linalg.cholesky(energy).T.astype(np.float64)


class ResponseFit:
    """Responses for one set of spectra and any colours.

    Args:
        spectra: X, (N, C).
        width: of the channels, in bands.
        rank: of the spectra where they were reduced to fewer components than bands, so many numbers of R are
            known; R is piecewise linear between at most 96 bands then. None for all bands.
    """

    def __init__(self, spectra: Array, width: float, rank: int | None = None) -> None:
        self.spectra, self.width, self.rank = spectra, width, rank
        self.prior = smoothness_prior(spectra.shape[1], width)
        inverse = np.linalg.inv(self.prior)
        self.basis, self._values, _ = np.linalg.svd(spectra @ inverse, full_matrices=False)
        self._hats = None if rank is None else _hats(spectra.shape[1])
        known = spectra if self._hats is None else spectra @ self._hats
        self._rotation, self._triangle = np.linalg.qr(known)
        self._penalty = self.prior if self._hats is None else np.linalg.qr(self.prior @ self._hats)[1]

    def solve(self, colours: Array, weights: Array) -> Array:
        """R (C, c) for colours (N, c) and weights (c,) of the prior."""
        rotated = self._rotation.T @ colours
        nothing = np.zeros(len(self._penalty))
        columns = []
        for column, weight in zip(rotated.T, weights, strict=True):
            system = np.vstack([self._triangle, np.sqrt(weight) * self._penalty])
            columns.append(nnls(system, np.concatenate([column, nothing]), maxiter=100 * len(nothing))[0])
        found = np.stack(columns, axis=1)
        return found if self._hats is None else self._hats @ found

    def fit(self, colours: Array, weights: Array | None = None, *, num_steps: int = 4) -> tuple[Array, Array]:
        """R (C, c) and the weights (c,) that suit its residual; `weights` starts the iteration."""
        largest = self._values[0] ** 2
        factor = MISFIT * max(1.0, len(colours) / INDEPENDENT)
        weights = np.full(colours.shape[1], 1e-4 * largest) if weights is None else weights
        response = self.solve(colours, weights)
        for _ in range(num_steps):
            misfit = np.square(self.spectra @ response - colours).mean(0)
            size = np.square(self.prior @ response).sum(0) / (self.rank or len(self.prior))
            wanted = factor * misfit / np.maximum(size, 1e-30)
            weights = np.clip(wanted, SMALLEST_WEIGHT * largest, LARGEST_WEIGHT * largest)
            response = self.solve(colours, weights)
        return response, weights

    def shares(self, weights: Array) -> Array:
        """(K, c): how much of each direction of `basis` a response of free sign explains."""
        energy = self._values[:, None] ** 2
        return energy / (energy + weights)

    def unexplained(self, colours: Array, weights: Array) -> Array:
        """(N, c) whose squares sum to min over R, of free sign, of |X R - A|^2 + w |P R|^2."""
        kept = np.sqrt(1.0 - self.shares(weights))
        return colours - self.basis @ ((1.0 - kept) * (self.basis.T @ colours))


def _hats(num_bands: int) -> Array:
    """(C, m): linear interpolation between m <= 96 bands at equal distances."""
    knots = np.linspace(0, num_bands - 1, min(num_bands, MOST_KNOTS))
    return np.stack([np.interp(np.arange(num_bands), knots, unit) for unit in np.eye(len(knots))], axis=1)
