"""The two observations of a solver: their shapes, and the spectral subspace that X spans."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsr_tf import checks
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
