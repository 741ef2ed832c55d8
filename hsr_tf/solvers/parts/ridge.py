"""Ridge regression of many targets on many features, its weight chosen on samples held out.

    W = argmin |A W - T|^2 + n w |W|^2

in float64, through the eigenvectors of whichever of A^T A and A A^T is the smaller, so that one decomposition
serves every weight w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsr_tf.closed_forms.held_out import NUM_FOLDS, fold_map
from hsr_tf.typing import Array

ROWS_AT_ONCE, FEW_PIXELS = 8192, 1024


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """Coefficients and how they were chosen.

    Attributes:
        coefficients: W, (M, r).
        weight: w.
        held_out_error: mean squared error on the samples held out, relative to their mean square; nan where
            none were.
    """

    coefficients: Array
    weight: float
    held_out_error: float


class Ridge:
    """The family of solutions for all weights.

    Args:
        features: A, (n, M).
        targets: T, (n, r).
    """

    def __init__(self, features: NDArray[np.floating], targets: NDArray[np.floating]) -> None:
        self._features = features
        self._num_samples, num_features = features.shape
        self._primal = num_features <= self._num_samples
        # X^T X in float64, a block of rows at a time.
        x = features if self._primal else features.T
        gram = np.zeros((x.shape[1], x.shape[1]))
        for start in range(0, len(x), ROWS_AT_ONCE):
            block = np.asarray(x[start : start + ROWS_AT_ONCE], dtype=np.float64)
            gram += block.T @ block
        values, self._vectors = np.linalg.eigh(gram)
        self._values = np.maximum(values, 0.0)
        wanted: Array = np.asarray(targets, dtype=np.float64)
        right = _product(features, wanted) if self._primal else wanted
        self._rotated = self._vectors.T @ right

    def coefficients(self, weight: float) -> Array:
        """W for one weight, (M, r)."""
        inner = self._vectors @ (self._rotated / (self._values + weight * self._num_samples)[:, None])
        return inner if self._primal else _product(self._features, inner)


def fit_ridge(
    features: NDArray[np.floating],
    targets: NDArray[np.floating],
    folds: Sequence[NDArray[np.bool_]],
    *,
    weights: tuple[float, ...],
) -> RidgeFit:
    """The solution on all samples, with the weight that predicts held-out ones best from the rest.

    Args:
        features: A, (n, M).
        targets: T, (n, r).
        folds: marks (n,) of the samples held out, one fold after the other; folds of none or all are left
            out, and without any the largest weight is taken.
        weights: candidates w, ascending.
    """
    used = [fold for fold in folds if fold.any() and not fold.all()]
    errors, energy = np.zeros(len(weights)), 0.0
    for held_out in used:
        part = Ridge(features[~held_out], targets[~held_out])
        seen, truth = features[held_out], targets[held_out]
        for index, weight in enumerate(weights):
            left = truth - seen @ part.coefficients(weight).astype(seen.dtype)
            errors[index] += float(np.square(left).sum(dtype=np.float64))
        energy += float(np.square(truth).sum(dtype=np.float64))
    best = int(np.argmin(errors)) if used else len(weights) - 1
    whole = Ridge(features, targets).coefficients(weights[best])
    return RidgeFit(whole, weights[best], errors[best] / max(energy, 1e-30) if used else float("nan"))


def judged_folds(height: int, width: int) -> list[NDArray[np.bool_]]:
    """The folds (height * width,) that decide on a weight: all of few pixels, else the first.

    Among few pixels a single fold may by chance prefer a weight that fits noise.
    """
    folds = fold_map(height, width).ravel()
    return [folds == fold for fold in range(NUM_FOLDS if height * width < FEW_PIXELS else 1)]


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
