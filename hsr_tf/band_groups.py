"""`spectral_ls` on arrays, a few bands at a time: the same estimate in a third of the memory.

With features F, map W, D F =: B, gap G = Y - F W R and what the map leaves of X, L = X - B W, the estimate is

    Z = F W + (1 - t) up(L) + t (G R^+ + D* (D D*)^-1 E),   E = L - (D Y - B W R) R^+,

t the trust (`DataConsistency.trust`). Only F, G and Z have the sharp size; the three sums go band by band.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from hsr_tf.bases import DataConsistency, least_squares, quadratic_features, weighted
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.resize import bicubic_enlarge

Tensor = Any
Cube = NDArray[np.float32]
BANDS_AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class MapSolution:
    """What `spectral_ls_by_bands` makes of an observation.

    Attributes:
        estimate: (s h, s w, C) float32.
        trust: weight of the consistent estimate, 0 to 1.
    """

    estimate: Cube
    trust: float


def spectral_ls_by_bands(
    model: ObservationModel, lr_cube: Cube, hr_cube: Cube, *, counted: Tensor | None = None
) -> MapSolution:
    """Spectral least squares that agrees with both images, as `SpectralLS(model)`.

    Where D D* is inverted by conjugate gradients, every group of bands takes its own steps.

    Args:
        model: the two cameras.
        lr_cube: X, (h, w, C) float32.
        hr_cube: Y, (s h, s w, c) float32.
        counted: (1, h, w, 1), 0 for coarse pixels that map and trust leave out and 1 for the others, as
            `hsr_tf.nodata.pixel_weights` gives them; None for all.
    """
    lr_hsi, hr_msi = (ops.convert_to_tensor(cube[None]) for cube in (lr_cube, hr_cube))
    consistency, inverse = DataConsistency(model), model.spectral.pseudo_inverse().astype(lr_cube.dtype)
    features = quadratic_features(hr_msi)
    blurred = model.spatial.forward(features)
    columns = (weighted(x, counted) for x in (blurred, lr_hsi))
    spectral_map = least_squares(*(ops.reshape(x, (1, -1, x.shape[-1])) for x in columns))
    coarse = ops.matmul(blurred, spectral_map)
    left = lr_hsi - coarse
    trust = float(ops.mean(consistency.trust(lr_hsi, hr_msi, left, counted)))
    gap = hr_msi - ops.matmul(features, model.spectral.forward(spectral_map))
    unexplained = lr_hsi - consistency.match_spectrum(coarse, model.spatial.forward(hr_msi))
    estimate = np.empty((*hr_cube.shape[:2], lr_cube.shape[2]), lr_cube.dtype)
    for start in range(0, lr_cube.shape[2], BANDS_AT_ONCE):
        bands = slice(start, start + BANDS_AT_ONCE)
        part = ops.matmul(features, spectral_map[..., bands])
        if trust < 1:
            part = part + (1 - trust) * bicubic_enlarge(left[..., bands], model.scale)
        if trust > 0:
            part = part + trust * ops.matmul(gap, ops.convert_to_tensor(inverse[:, bands]))
            part = part + trust * consistency.explain(0.0, unexplained[..., bands])
        estimate[..., bands] = ops.convert_to_numpy(part)[0]
    return MapSolution(estimate, trust)
