"""Which coarse pixels count where parts of the two images hold no data, and what stands in for those.

A coarse pixel counts if X has data there and the PSF mixes no sharp pixel without data into it. The others
take no part in fits, in the trust in the two images (`DataConsistency.trust`), in their disagreement and in
residuals. For methods that cannot be given a mask they hold a spectrum that neither image contradicts:

    X = B W + t (D Y - B W R) R^+,   B = D F,

with the map W of `spectral_ls`, fitted to the pixels that count, and its trust t. Where the images agree (t =
1) X R = D Y there; where they do not, these pixels disagree no more and no less than the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from hsr_tf.band_groups import fit_scene
from hsr_tf.bases import DataConsistency, SpectralLS, quadratic_features
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.spatial import SpatialDegradation

Tensor = Any
Cube = NDArray[np.float32]
Mask = NDArray[np.bool_]
MIXED, FEWEST, FEWEST_SHARE = 1e-5, 32, 0.02


@dataclass(frozen=True, eq=False)
class Holes:
    """Where two images have no data.

    Attributes:
        coarse: (h, w), True where X has none; None for nowhere.
        sharp: (s h, s w), the same of Y or of an estimate.
    """

    coarse: Mask | None
    sharp: Mask | None

    def clean(self, spatial: SpatialDegradation, size: tuple[int, int]) -> Mask:
        """(h, w), True for coarse pixels with data into which D mixes no sharp pixel without.

        Args:
            spatial: D. At most 1e-5 of its weight may lie on pixels without data.
            size: (h, w).
        """
        clean = np.ones(size, bool) if self.coarse is None else ~self.coarse
        if self.sharp is not None and self.sharp.any():
            hole = ops.convert_to_tensor(self.sharp[None, ..., None].astype(np.float32))
            clean &= np.abs(ops.convert_to_numpy(spatial.forward(hole))[0, ..., 0]) <= MIXED
        return clean

    def full_cells(self, scale: int, size: tuple[int, int]) -> Mask:
        """(h, w), True for coarse pixels with data whose s x s sharp pixels all hold data."""
        full = np.ones(size, bool) if self.coarse is None else ~self.coarse
        if self.sharp is not None:
            full &= ~self.sharp.reshape(size[0], scale, size[1], scale).any((1, 3))
        return full

    def counted(self, spatial: SpatialDegradation, size: tuple[int, int]) -> Mask | None:
        """The same, or None, for all pixels, where so few are clean that nothing can be fitted to them."""
        clean = self.clean(spatial, size)
        return clean if is_enough(int(clean.sum()), clean.size) else None


def is_enough(num_counted: int, num_pixels: int) -> bool:
    """Whether a fit can rest on the pixels that count: at least 32 of them, and 2 % of all."""
    return num_counted >= max(FEWEST, FEWEST_SHARE * num_pixels)


def pixel_weights(counted: Mask | None) -> Tensor | None:
    """0 and 1 of a mask (h, w) as a tensor (1, h, w, 1); None for None."""
    return None if counted is None else ops.convert_to_tensor(counted[None, ..., None].astype(np.float32))


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
