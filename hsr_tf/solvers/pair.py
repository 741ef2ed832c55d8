"""What solvers share around the two observations: checks, the subspace of X, agreement with both."""

from __future__ import annotations

import numpy as np
from keras import ops
from numpy.typing import NDArray

from hsr_tf import checks
from hsr_tf.bases import DataConsistency
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.solvers.solver import Cube


def require_pair(model: ObservationModel, lr_hsi: Cube, hr_msi: Cube) -> None:
    """Raise a one-line `ValueError` unless X (h, w, C) and Y (s h, s w, c) fit each other and the cameras."""
    for name, cube in (("lr_hsi", lr_hsi), ("hr_msi", hr_msi)):
        checks.require(
            np.ndim(cube) == 3,
            name,
            expected="one cube (rows, columns, bands)",
            received=f"shape {np.shape(cube)}",
            remedy="solve scene by scene",
        )
    num_bands, num_channels = model.spectral.matrix.shape
    rows, columns = (model.scale * n for n in lr_hsi.shape[:2])
    for name, cube, shape in (
        ("lr_hsi", lr_hsi, (*lr_hsi.shape[:2], num_bands)),
        ("hr_msi", hr_msi, (rows, columns, num_channels)),
    ):
        checks.require(
            cube.shape == shape,
            name,
            expected="x".join(map(str, shape)) + f", as the cameras and the scale {model.scale} have it",
            received="x".join(map(str, cube.shape)),
            remedy="check the scale, the response and the crop",
        )
        checks.require_finite(name, cube)


def spectral_basis(lr_hsi: Cube, rank: int) -> NDArray[np.float32]:
    """The leading right singular vectors of X, not centred: orthonormal (C, p), p = min(rank, C, h w)."""
    spectra = lr_hsi.reshape(-1, lr_hsi.shape[-1]).astype(np.float64)
    if len(spectra) >= spectra.shape[1]:
        _, vectors = np.linalg.eigh(spectra.T @ spectra)
        basis = vectors[:, ::-1]
    else:
        basis = np.linalg.svd(spectra, full_matrices=False)[2].T
    signs = np.sign(basis[np.abs(basis).argmax(0), np.arange(basis.shape[1])])
    return np.ascontiguousarray((basis * signs)[:, :rank], np.float32)


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
