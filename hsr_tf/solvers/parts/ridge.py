"""Ridge regression of many targets on many features, its weight chosen on samples held out.

    W = argmin |A W - T|^2 + n w |W|^2 + n tr W' N W

in float64, through the eigenvectors of whichever of A^T A and A A^T is the smaller, so that one decomposition
serves every weight w. N is what noise adds to the products of the features where W is applied (errors in
variables, see `hsr_tf.closed_forms.map_fit`); with it A^T A + n N is decomposed, and w is the one with the
smallest predicted error there, e + tr W' N W + v e / 10, with e the mean squared error of the samples held
out and v the mean leverage of the pixels to which W is applied; a tenth, as the solvers average ten fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsr_tf.closed_forms.held_out import fold_map
from hsr_tf.typing import Array

ROWS_AT_ONCE = 8192
LEVERAGE = 0.1


@dataclass(frozen=True, eq=False)
class NoisyUse:
    """Where coefficients are applied to pixels that are noisier than the samples.

    Attributes:
        products: N, (M, M), what noise adds to the products of the features.
        features: of some of these pixels, (m, M).
    """

    products: Array
    features: NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """Coefficients and how they were chosen.

    Attributes:
        coefficients: W, (M, r).
        weight: w.
        held_out_error: mean squared error on the samples held out and by noise, relative to their mean
            square; nan where none were.
    """

    coefficients: Array
    weight: float
    held_out_error: float


class Ridge:
    """The family of solutions for all weights.

    Args:
        features: A, (n, M).
        targets: T, (n, r).
        use: the noisier pixels to which they are applied; None where there is no noise.
    """

    def __init__(
        self,
        features: NDArray[np.floating],
        targets: NDArray[np.floating],
        use: NoisyUse | None = None,
    ) -> None:
        self._features = features
        self._num_samples, num_features = features.shape
        self._primal = num_features <= self._num_samples or use is not None
        # X^T X in float64, a block of rows at a time.
        x = features if self._primal else features.T
        gram = np.zeros((x.shape[1], x.shape[1]))
        for start in range(0, len(x), ROWS_AT_ONCE):
            block = np.asarray(x[start : start + ROWS_AT_ONCE], dtype=np.float64)
            gram += block.T @ block
        if use is not None:
            gram += self._num_samples * use.products
        values, self._vectors = np.linalg.eigh(gram)
        self._values = np.maximum(values, 0.0)
        wanted: Array = np.asarray(targets, dtype=np.float64)
        right = _product(features, wanted) if self._primal else wanted
        self._rotated = self._vectors.T @ right

    def coefficients(self, weight: float) -> Array:
        """W for one weight, (M, r)."""
        inner = self._vectors @ (self._rotated / (self._values + weight * self._num_samples)[:, None])
        return inner if self._primal else _product(self._features, inner)

    def leverage(self, features: NDArray[np.floating], weight: float) -> float:
        """Mean leverage of pixels (m, M), where the features are fewer than the samples or `use` is given."""
        spread = np.square(features @ self._vectors).mean(0)
        return float((spread / (self._values + weight * self._num_samples)).sum())


def fit_ridge(
    features: NDArray[np.floating],
    targets: NDArray[np.floating],
    held_out: NDArray[np.bool_],
    *,
    weights: tuple[float, ...],
    use: NoisyUse | None = None,
) -> RidgeFit:
    """The solution on all samples, with the weight that predicts the held-out ones best from the rest.

    Args:
        features: A, (n, M).
        targets: T, (n, r).
        held_out: (n,) marks of the samples held out; with none, or all, the largest weight is taken.
        weights: candidates w, ascending.
        use: the noisier pixels to which they are applied; None where there is no noise.
    """
    if held_out.all() or not held_out.any():
        whole = Ridge(features, targets, use).coefficients(weights[-1])
        return RidgeFit(whole, weights[-1], float("nan"))
    part = Ridge(features[~held_out], targets[~held_out], use)
    seen, truth = features[held_out], targets[held_out]
    errors = []
    for weight in weights:
        found = part.coefficients(weight)
        error = float(np.mean(np.square(truth - seen @ found.astype(seen.dtype))))
        if use is not None:
            amplified = float(np.sum(found * (use.products @ found))) / max(1, truth.shape[1])
            error += amplified + LEVERAGE * part.leverage(use.features, weight) * error
        errors.append(error)
    best = int(np.argmin(errors))
    whole = Ridge(features, targets, use).coefficients(weights[best])
    relative = errors[best] / max(float(np.mean(truth**2)), 1e-30)
    return RidgeFit(whole, weights[best], relative)


def held_out_blocks(height: int, width: int) -> NDArray[np.bool_]:
    """The first fold of `fold_map`, (height * width,): every fifth block."""
    return (fold_map(height, width) == 0).ravel()


def _product(x: NDArray[np.floating], y: Array) -> Array:
    """X^T Y in float64, a block of rows at a time."""
    total = np.zeros((x.shape[1], y.shape[1]))
    for start in range(0, len(x), ROWS_AT_ONCE):
        stop = start + ROWS_AT_ONCE
        total += np.asarray(x[start:stop], dtype=np.float64).T @ y[start:stop]
    return total
