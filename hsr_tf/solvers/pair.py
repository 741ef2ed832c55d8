"""What solvers share at their ends: options that must be positive, agreement with both observations."""

from __future__ import annotations

import numpy as np
from keras import ops

from hsr_tf import checks
from hsr_tf.bases import DataConsistency
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.solvers.solver import Cube


def made_consistent(model: ObservationModel, cube: Cube, lr_hsi: Cube, hr_msi: Cube) -> tuple[Cube, float]:
    """The cube projected onto both observations as far as they are trusted, and that trust.

    See `DataConsistency`. It brings back what a subspace leaves of X, and nothing from noisy observations.
    """
    consistency = DataConsistency(model)
    estimate, coarse, sharp = (ops.convert_to_tensor(image[None]) for image in (cube, lr_hsi, hr_msi))
    trust = consistency.trust(coarse, sharp, consistency.residual(estimate, coarse))
    moved = estimate + trust * (consistency(estimate, coarse, sharp) - estimate)
    return np.asarray(ops.convert_to_numpy(moved))[0], float(ops.mean(trust))


def require_positive(config: object, *names: str, or_zero: bool = False) -> None:
    """Raise a one-line `ValueError` unless these options are positive numbers (or zero, if allowed)."""
    for name in names:
        value = getattr(config, name)
        checks.require(
            value >= 0 if or_zero else value > 0,
            name,
            expected="zero or a positive number" if or_zero else "a positive number",
            received=str(value),
            remedy="correct it",
        )
