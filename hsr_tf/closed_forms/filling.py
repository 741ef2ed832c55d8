"""What stands in for coarse pixels that do not count, where a method cannot be given a mask.

They hold a spectrum that neither image contradicts:

    X = B W + t (D Y - B W R) R^+,   B = D F,

with the map W of the closed form, fitted to the pixels that count (`hsr_tf.physics.nodata`), and its trust t.
Where the images agree (t = 1) X R = D Y there; where they do not, these pixels disagree no more and no less
than the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.arrays import ops
from hsr_tf.closed_forms.band_groups import fit_scene
from hsr_tf.closed_forms.bases import DataConsistency, SpectralLS, quadratic_features
from hsr_tf.physics.nodata import Mask, pixel_weights
from hsr_tf.physics.observation import ObservationModel

Tensor = Any
Cube = NDArray[np.float32]


def filled_by_fit(model: ObservationModel, lr_cube: Cube, hr_cube: Cube, counted: Mask | None) -> Cube:
    """X with the spectra of the module's equation at the pixels that do not count.

    Args:
        model: the two cameras.
        lr_cube: X, (h, w, C), finite everywhere.
        hr_cube: Y, (s h, s w, c), likewise.
        counted: (h, w); None for all, which gives X itself.
    """
    if counted is None:
        return lr_cube
    fit = fit_scene(model, lr_cube, hr_cube, counted=counted)
    blurred = model.spatial.forward(quadratic_features(ops.convert_to_tensor(hr_cube[None])))
    return _filled(model, lr_cube, counted, blurred, (fit.spectral_map[None], fit.trust))


def filled_by_base(model: ObservationModel, lr_cube: Cube, hr_cube: Cube, counted: Mask) -> Cube:
    """The same with the map and trust of a network's base, `SpectralLS`."""
    lr_hsi, hr_msi = (ops.convert_to_tensor(cube[None]) for cube in (lr_cube, hr_cube))
    weights = pixel_weights(counted)
    spectral_map = SpectralLS(model).fit(lr_hsi, hr_msi, weights)
    blurred = model.spatial.forward(quadratic_features(hr_msi))
    residual = lr_hsi - ops.matmul(blurred, spectral_map)
    trust = DataConsistency(model).trust(lr_hsi, hr_msi, residual, weights)
    return _filled(model, lr_cube, counted, blurred, (spectral_map, trust))


def _filled(
    model: ObservationModel, lr_cube: Cube, counted: Mask, blurred: Tensor, found: tuple[Tensor, Tensor]
) -> Cube:
    spectral_map, trust = found
    coarse = ops.matmul(blurred, spectral_map)
    colours = blurred[..., 1 : 1 + model.spectral.matrix.shape[1]]
    agreeing = coarse + trust * (DataConsistency(model).match_spectrum(coarse, colours) - coarse)
    return np.where(counted[..., None], lr_cube, np.asarray(ops.convert_to_numpy(agreeing))[0])
