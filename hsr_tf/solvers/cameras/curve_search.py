"""The tone curve under which an error is smallest: sRGB, or a gamma by a search in one dimension.

Gamma is searched on a logarithmic scale, on a coarse grid first and then by Brent's bounded method between
the neighbours of the best. The curves of standards (sRGB, gamma 1.8 and 2.2) are preferred to one that fits
the noise a little better.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar

from hsr_tf.radiometry import SRGB, gamma_curve

GAMMAS = (0.6, 1.3, 1.6, 1.9, 2.3, 2.8, 3.4)
STANDARD = (1.8, 2.2)
NUM_STEPS, TOLERANCE = 10, 2e-3
PREFERENCE = 1.03


def best_curve(error: Callable[[str], float]) -> tuple[str, float]:
    """The name of the curve with the smallest error, and that error.

    Args:
        error: of a curve, by its name (see `hsr_tf.radiometry.inverse_curve`).
    """
    logs = np.log(GAMMAS)
    errors = [error(gamma_curve(gamma)) for gamma in GAMMAS]
    best = int(np.argmin(errors))
    low, high = logs[max(best - 1, 0)], logs[min(best + 1, len(logs) - 1)]
    found = minimize_scalar(
        lambda log: error(gamma_curve(float(np.exp(log)))),
        bounds=(low, high),
        method="bounded",
        options={"maxiter": NUM_STEPS, "xatol": TOLERANCE},
    )
    free = gamma_curve(round(float(np.exp(found.x)), 2))
    least = min(float(found.fun), min(errors))
    standard = [SRGB, *(gamma_curve(gamma) for gamma in STANDARD)]
    known = {curve: error(curve) for curve in standard}
    first = min(standard, key=known.__getitem__)
    if known[first] <= PREFERENCE * least:
        return first, known[first]
    return free, error(free)
