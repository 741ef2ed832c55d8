"""The map of a scene that trained networks start from."""

from __future__ import annotations

import numpy as np

from hsr_tf.closed_forms.map_fit import Complexity, FitRule
from hsr_tf.closed_forms.spectral_ls import COMPARED, SHARES, SceneMap
from hsr_tf.tiling.region import Region
from hsr_tf.typing import Cube


class PlainSceneMap(SceneMap):
    """The base of networks: a map of all products of channels, as `SpectralLS` fits it in training.

    Where the images agree to rounding it is the map of `SpectralLS`; noise of Y and weights of pixels enter
    as in `SceneMap`, the weights from a larger gap on: where the cameras nearly fit, trained networks are
    right to follow both images (0.6 dB on a training scene). Pixels into which the PSF mixes completed ones
    count in the fit by the square of what it mixes of the others, and have the weight 1 in the estimate.
    What the map leaves of X is explained by the nearest cube, as in training.
    """

    rule = FitRule((Complexity(np.inf, 0.0),), outlier=6.0)
    smooth = False

    def weights(self, region: Region) -> tuple[Cube, Cube]:
        """See `SceneMap.weights`."""
        weights, usable = super().weights(region)
        if not self.pair.has_holes:
            return weights, usable
        clean = self.pair.store.read(COMPARED, self.pair.grid, region)
        one = np.float32(1.0)
        return np.where(clean, weights, one), np.where(clean, usable, one)

    def _features(self, index: int) -> Cube:
        """See `SceneMap._features`; keeps how much of each pixel was not completed as well."""
        if self.pair.is_completed:
            mixed = self.pair.mixed(self.pair.grid.region(index))
            self.pair.store.save(SHARES, index, np.clip(1 - mixed, 0, 1).astype(np.float32)[..., None])
        return super()._features(index)

    def _shares(self) -> Cube | None:
        """See `SceneMap._shares`."""
        grid = self.pair.grid
        return self.pair.store.read(SHARES, grid, grid.whole)[..., 0] if self.pair.is_completed else None
