"""A transform refined by what the physics leaves unexplained.

With the coarse camera's PSF k the sharp image seen through it is a linear combination of the bands of X,
D_k(Y o T) = X M + b, whatever the response. T is found by Levenberg's method on the residual of the best M
and b (variable projection, Golub and Pereyra, SIAM J. Numer. Anal. 10, 1973, in Kaufman's form), with k a
Gaussian whose width is a parameter too. Coarse pixels count by Cauchy weights: changed ground, borders and
holes count little.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hsr_tf.registration.agreement import agreement
from hsr_tf.registration.match import Match, filtered_components, match
from hsr_tf.registration.motion import Motion, distance
from hsr_tf.registration.pyramid import Evidence
from hsr_tf.registration.view import Look, View
from hsr_tf.typing import Array, Mask

MAX_STEPS, MAX_TRIALS, SMALLEST_STEP, ROUGH_STEP, SMALLEST_CHANGE = 25, 6, 1e-4, 1e-2, 1e-3
NARROWEST, WIDEST, LARGEST_CHANGE = 0.3, 2.5, 0.3
CAUCHY, LEAST_KEPT = 2.5, 0.9


@dataclass(frozen=True, eq=False)
class Fit:
    """A transform and how well it explains.

    Attributes:
        matrix: (3, 3) between the pixels of the evidence.
        width: FWHM of the PSF in coarse pixels.
        weights: (h, w) of the coarse pixels, 0 to 1; zero outside of the sharp image.
        num_channels: c.
        share: weighted share of the variance that is not explained.
    """

    matrix: Array
    width: float
    weights: Array
    num_channels: int
    share: float


@dataclass(frozen=True, eq=False)
class Flow:
    """What a fit leaves, and how displacements of the coarse pixels change it.

    Attributes:
        residual: (n, c), weighted and over the deviation of the channel; zero outside of the sharp image.
        slopes: (n, c, 2), its derivatives by the place in the sharp image.
    """

    residual: Array
    slopes: Array


class Refinement:
    """Levenberg's method for one pair.

    Args:
        pair: the reduced images.

    Attributes:
        pair: the same.
        offsets: (n, 2), a displacement of each coarse pixel with data beside the matrix, in pixels of the
            evidence.
    """

    def __init__(self, pair: Evidence) -> None:
        self.pair, self._view = pair, View(pair)
        kept = pair.valid
        self._spectra = np.column_stack([np.ones(int(kept.sum())), pair.components[kept]])
        self.offsets = np.zeros_like(self._view.places)

    @property
    def places(self) -> Array:
        """(n, 2), the middles of the coarse pixels that hold data."""
        return self._view.places

    def fit(
        self, matrix: Array, model: str, *, width: float = 1.0, steps: int = MAX_STEPS, rough: bool = False
    ) -> Fit | None:
        """The transform near `matrix` that explains most; None where the images hardly overlap.

        Args:
            matrix: (3, 3), to start from.
            model: which parameters are free, one of `hsr_tf.registration.motion.MODELS`.
            width: FWHM of the PSF in coarse pixels, to start from.
            steps: at most.
            rough: whether a hundredth of a coarse pixel is enough; the width stays as it is then.
        """
        motion, damping = Motion(model, self.pair.size), 1e-3
        smallest = ROUGH_STEP if rough else SMALLEST_STEP
        for _ in range(steps):
            look = self._view.look(matrix, width, self.offsets)
            if look is None:
                return None
            weights = self._weights(look)
            residual, slopes = self._projected(matrix, look, weights, motion)
            slopes = slopes[:, :-1] if rough else slopes
            normal, gradient = slopes.T @ slopes, slopes.T @ residual
            for _ in range(MAX_TRIALS):
                damped = normal + damping * np.diag(np.diag(normal) + 1e-12)
                step = np.asarray(-np.linalg.lstsq(damped, gradient, rcond=None)[0], np.float64)
                change = 0.0 if rough else float(np.clip(step[-1], -LARGEST_CHANGE, LARGEST_CHANGE))
                trial = motion.moved(matrix, step if rough else step[:-1])
                wider = float(np.clip(width * np.exp(change), NARROWEST, WIDEST))
                if self._is_better(trial, wider, look, weights):
                    break
                damping *= 8
            else:
                break
            moved, change = distance(matrix, trial, self.pair.size), abs(wider / width - 1)
            matrix, width, damping = trial, wider, max(damping / 5, 1e-9)
            if moved < smallest and change < SMALLEST_CHANGE:
                break
        return self.judge(matrix, width)

    def judge(self, matrix: Array, width: float) -> Fit | None:
        """How well a transform explains as it is; None where the images hardly overlap."""
        look = self._view.look(matrix, width, self.offsets, slopes=False)
        if look is None:
            return None
        weights = self._weights(look)
        image = np.zeros(self.pair.size)
        image[self.pair.valid] = weights
        return Fit(matrix, width, image, look.values.shape[1], self._share(look, look.inside, weights))

    def share(self, fit: Fit, weights: Array) -> float:
        """The share that a fit leaves with other weights (h, w) of the coarse pixels."""
        look = self._view.look(fit.matrix, fit.width, self.offsets, slopes=False)
        used = weights[self.pair.valid]
        inside = used > 0
        if look is None or inside.sum() <= self._spectra.shape[1]:
            return fit.share
        return self._share(look, inside & look.inside, used)

    def seen(self, fit: Fit) -> tuple[Array, Mask]:
        """(h, w, c), the sharp image seen at the coarse pixels through a fit, and where it is (h, w)."""
        image = np.zeros((*self.pair.size, fit.num_channels))
        where = np.zeros(self.pair.size, bool)
        look = self._view.look(fit.matrix, fit.width, self.offsets, slopes=False)
        if look is not None:
            image[self.pair.valid], where[self.pair.valid] = look.values, look.inside
        return image, where

    def match(self, fit: Fit) -> Match:
        """How well the images match there."""
        return match(self._filtered, *self.seen(fit))

    def agreement(self, fit: Fit) -> float:
        """How well the parts of the images agree there, see `hsr_tf.registration.agreement`."""
        return agreement(self.pair.components, *self.seen(fit))

    @cached_property
    def _filtered(self) -> Array:
        return filtered_components(self.pair.components, self.pair.valid)

    def flow(self, fit: Fit) -> Flow | None:
        """The residual of a fit and its slopes; None where the images hardly overlap."""
        look = self._view.look(fit.matrix, fit.width, self.offsets)
        if look is None or look.slopes is None:
            return None
        weights, inside = self._weights(look), look.inside
        spread = np.sqrt(_variance(look.values[inside], weights[inside]))
        scale = np.sqrt(weights[inside])[:, None] / spread
        residual, slopes = np.zeros(look.values.shape), np.zeros((*look.values.shape, 2))
        residual[inside] = self._residual(look.values, inside, weights) * scale
        slopes[inside] = look.slopes[inside][..., :2] * scale[..., None]
        return Flow(residual, slopes)

    def _is_better(self, matrix: Array, width: float, before: Look, weights: Array) -> bool:
        """Whether a trial explains no less of the pixels that both see, which are nearly as many."""
        after = self._view.look(matrix, width, self.offsets, slopes=False)
        if after is None:
            return False
        both = before.inside & after.inside
        if both.sum() < max(LEAST_KEPT * before.inside.sum(), self._spectra.shape[1] + 1):
            return False
        return self._share(after, both, weights) <= self._share(before, both, weights) * (1 + 1e-12)

    def _weights(self, look: Look) -> Array:
        """Cauchy weights (n,) of the coarse pixels."""
        weights, inside = look.inside.astype(float), look.inside
        for _ in range(3):
            residual = self._residual(look.values, inside, weights)
            spread = _variance(look.values[inside], weights[inside])
            size = np.sqrt((np.square(residual) / spread).mean(1))
            usual = 1.4826 * float(np.median(size)) + 1e-9
            weights[inside] = 1 / (1 + np.square(size / (CAUCHY * usual)))
        return weights

    def _residual(self, values: Array, inside: Mask, weights: Array) -> Array:
        """(number inside, c), what the best M and b leave."""
        root, spectra = np.sqrt(weights[inside])[:, None], self._spectra[inside]
        mixed = np.linalg.lstsq(spectra * root, values[inside] * root, rcond=None)[0]
        return np.asarray(values[inside] - spectra @ mixed)

    def _share(self, look: Look, inside: Mask, weights: Array) -> float:
        """Weighted share of the variance of pixels `inside` that is not explained, mean over the channels."""
        residual, used = self._residual(look.values, inside, weights), weights[inside]
        spread = _variance(look.values[inside], used)
        return float(used @ (np.square(residual) / spread).mean(1) / max(float(used.sum()), 1e-12))

    def _projected(self, matrix: Array, look: Look, weights: Array, motion: Motion) -> tuple[Array, Array]:
        """Residual (n c,) and its derivatives (n c, number of parameters), both without what X explains."""
        inside = look.inside
        root = np.sqrt(weights[inside])[:, None]
        basis = np.linalg.qr(self._spectra[inside] * root)[0]
        spread = np.sqrt(_variance(look.values[inside], weights[inside]))

        def without(part: Array) -> Array:
            scaled = part * root / spread
            return np.asarray(scaled - basis @ (basis.T @ scaled)).ravel()

        assert look.slopes is not None
        moves = motion.slopes(matrix, self.places[inside])
        down, right, wider = np.moveaxis(look.slopes[inside], 2, 0)
        columns = [without(down * m[:, :1] + right * m[:, 1:]) for m in np.moveaxis(moves, 2, 0)]
        return without(look.values[inside]), np.stack([*columns, without(wider)], 1)


def _variance(values: Array, weights: Array) -> Array:
    """(c,) weighted variance of the channels."""
    total = max(float(weights.sum()), 1e-12)
    mean = weights @ values / total
    return np.asarray(weights @ np.square(values - mean) / total + 1e-20)
