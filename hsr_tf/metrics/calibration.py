"""Whether a map of uncertainty tells the truth: its coverage, its calibration, and its rank correlation.

A map sigma says that an error |e| is at most z sigma with the probability erf(z / sqrt 2), as for a Gaussian
of mean zero. `coverage` is the share of errors for which that is so; `calibration_error` is the mean distance
of coverage and probability over the probabilities 0.05, 0.10, ..., 0.95 (Kuleshov, Fenner, Ermon, ICML 2018,
with the two-sided interval); `calibration_factor` makes a spread into a sigma whose 1-sigma coverage is right
(the split conformal quantile of |e| / spread, Lei et al., JASA 113(523), 2018). `spearman` asks less: whether
larger errors are where larger ones are predicted.

Shared errors: `ValueError` for shapes that differ, empty arrays, negative errors or sigmas, NaN.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from hsr_tf import checks
from hsr_tf.typing import Array

ONE_SIGMA = float(special.erf(1 / np.sqrt(2)))
PROBABILITIES = np.arange(1, 20) / 20


@dataclass(frozen=True)
class Calibration:
    """How well a map of sigma tells the errors.

    Attributes:
        coverage_1: share of the errors within 1 sigma; 0.683 is right.
        coverage_2: within 2 sigma; 0.954 is right.
        calibration_error: see `calibration_error`.
        rank_samples: Spearman's correlation of |e| and sigma over all samples (pixels and bands).
        rank_pixels: the same of their means over the bands of each pixel.
    """

    coverage_1: float
    coverage_2: float
    calibration_error: float
    rank_samples: float
    rank_pixels: float

    def as_dict(self) -> dict[str, float]:
        """The figures by name."""
        return asdict(self)


def calibration(error: ArrayLike, sigma: ArrayLike) -> Calibration:
    """All figures for errors |e| (..., C) and a map sigma of the same shape."""
    errors, sigmas = _pair(error, sigma)
    return Calibration(
        coverage(errors, sigmas, 1.0),
        coverage(errors, sigmas, 2.0),
        calibration_error(errors, sigmas),
        spearman(errors, sigmas),
        spearman(errors.mean(-1), sigmas.mean(-1)),
    )


def coverage(error: ArrayLike, sigma: ArrayLike, num_sigmas: float) -> float:
    """Share of the errors |e| that are at most `num_sigmas` times sigma."""
    errors, sigmas = _pair(error, sigma)
    return float(np.mean(errors <= num_sigmas * sigmas))


def calibration_error(error: ArrayLike, sigma: ArrayLike) -> float:
    """Mean over the probabilities p of |coverage of the interval of p - p|; 0 is perfect, 0.5 the worst."""
    errors, sigmas = _pair(error, sigma)
    ratios = np.sort(_ratios(errors, sigmas))
    limits = np.sqrt(2) * special.erfinv(PROBABILITIES)
    observed = np.searchsorted(ratios, limits, side="right") / ratios.size
    return float(np.abs(observed - PROBABILITIES).mean())


def calibration_factor(error: ArrayLike, spread: ArrayLike, *, share: float = ONE_SIGMA) -> float:
    """The factor f for which `share` of the errors |e| is within f times the spread.

    Infinite where the spread is zero under too many errors that are not.
    """
    checks.require(
        0 < share < 1, "share", expected="between 0 and 1", received=str(share), remedy="leave it out"
    )
    ratios = np.sort(_ratios(*_pair(error, spread)))
    return float(ratios[min(ratios.size - 1, int(np.ceil(share * ratios.size)) - 1)])


def spearman(error: ArrayLike, sigma: ArrayLike) -> float:
    """Spearman's rank correlation, -1 to 1; NaN where one of the two is constant."""
    errors, sigmas = _pair(error, sigma)
    if np.ptp(errors) == 0 or np.ptp(sigmas) == 0:
        return float("nan")
    return float(stats.spearmanr(errors.ravel(), sigmas.ravel()).statistic)


def _ratios(errors: Array, sigmas: Array) -> Array:
    """|e| / sigma; an error of zero is within any sigma, any other outside a sigma of zero."""
    safe = np.where(sigmas > 0, sigmas, 1.0)
    return np.where(sigmas > 0, errors / safe, np.where(errors > 0, np.inf, 0.0)).ravel()


def _pair(error: ArrayLike, sigma: ArrayLike) -> tuple[Array, Array]:
    errors, sigmas = np.asarray(error, np.float64), np.asarray(sigma, np.float64)
    checks.require(
        errors.shape == sigmas.shape and errors.size > 0,
        "sigma",
        expected=f"the shape of the errors, {errors.shape}, and not empty",
        received=str(sigmas.shape),
        remedy="repeat a map of one band over the bands first",
    )
    for name, values in (("error", errors), ("sigma", sigmas)):
        checks.require(
            bool(np.all(values >= 0)),
            name,
            expected="values of zero or more",
            received=f"{int((~(values >= 0)).sum())} negative or NaN ones",
            remedy="give absolute values of finite cubes",
        )
    return errors, sigmas
