"""The plain map of `SpectralLS` over the parts of a scene: the base of networks.

Triangular factors of [D F, X] of the tiles join into the scene's (Demmel, Grigori, Hoemmen, Langou, SIAM J.
Sci. Comput. 34(1), 2012, doi:10.1137/080731992).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.arrays import ops
from hsr_tf.closed_forms.map_fit import SpectralMap, trust_in
from hsr_tf.closed_forms.quadratic_map import least_squares
from hsr_tf.closed_forms.spectral_ls import CLEAN, COMPARED, SPECTRAL_MAP, SceneMap
from hsr_tf.physics.nodata import is_enough
from hsr_tf.tiling.region import Region
from hsr_tf.tiling.stages import Stage
from hsr_tf.typing import Cube

FACTOR, UNCLEAN_FACTOR = "factor", "unclean_factor"
COMPLETED_FACTOR, SHARES = "completed_factor", "shares"


class PlainSceneMap(SceneMap):
    """The plain map of `SpectralLS`, the base of networks: every pixel that counts has the weight 1.

    Rows of pixels into which the PSF mixes completed ones count by what it mixes of the others.
    """

    def survey(self) -> Stage:
        """See `SceneMap.survey`."""
        return Stage(FACTOR, len(self._pair.grid), self._factors, self._fit)

    def weights(self, region: Region) -> tuple[Cube, Cube]:
        """See `SceneMap.weights`."""
        ones = np.ones((*region.size, 1), np.float32)
        return ones, ones

    def _factors(self, index: int) -> None:
        """The triangular factors of [D F, X] of a tile: of clean, completed and missing pixels."""
        _, columns, usable = self.features_of(index)
        store, region, clean = self._pair.store, self._pair.grid.region(index), usable
        if self._pair.has_holes:
            store.save(UNCLEAN_FACTOR, index, _triangle(columns[~usable]))
        if self._pair.is_completed:
            clean = self._pair.clean(region)
            shares = np.clip(1 - self._pair.mixed(region), 0, 1)[usable & ~clean]
            store.save(COMPLETED_FACTOR, index, _triangle(shares[:, None] * columns[usable & ~clean]))
            store.save(SHARES, index, np.square(shares).sum(keepdims=True))
        store.save(FACTOR, index, _triangle(columns[clean]))

    def _fit(self) -> None:
        """Join the factors; map, trust and disagreement follow from the inner products that they hold."""
        (num_counted, masked), is_completed = self.counted(), self._pair.is_completed
        fields = [FACTOR] if masked or not self._pair.has_holes else [FACTOR, UNCLEAN_FACTOR]
        total, compared = float(num_counted), fields
        if is_completed:
            num_clean = self._sum(COMPARED)
            total = num_clean + self._sum(SHARES) + (0 if masked else num_counted - self._sum(CLEAN))
            fields = [*fields, COMPLETED_FACTOR]
            compared = [FACTOR] if is_enough(int(num_clean), self._pair.grid.whole.num_pixels) else fields
        features, lr_hsi = self._joined(fields)
        level = np.sqrt(len(features) / max(total, 1.0))  # least_squares takes means over the rows
        columns = (ops.convert_to_tensor(level * part[None]) for part in (features, lr_hsi))
        spectral_map = np.asarray(ops.convert_to_numpy(least_squares(*columns)))[0]
        features, lr_hsi = self._joined(compared)
        response = self._model.spectral.matrix
        seen = lr_hsi @ response
        apart = _energy(seen - features[:, 1 : 1 + response.shape[1]]) / (_energy(seen) + 1e-30)
        allowed = _energy(lr_hsi - features @ spectral_map) / (_energy(lr_hsi) + 1e-30)
        found = SpectralMap(
            spectral_map=spectral_map.astype(np.float32),
            trust=trust_in(apart, allowed),
            disagreement=float(np.sqrt(apart)),
            masked=masked,
        )
        self._pair.store.save_json(SPECTRAL_MAP, found.plain())

    def _sum(self, field: str) -> float:
        store = self._pair.store
        return sum(float(store.load(field, index).sum()) for index in range(len(self._pair.grid)))

    def _joined(self, fields: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The factors of all tiles as those of D F and of X."""
        store, num_tiles = self._pair.store, len(self._pair.grid)
        parts = [store.load(field, index) for field in fields for index in range(num_tiles)]
        factor, num_bands = _triangle(np.concatenate(parts)), len(self._model.spectral.matrix)
        return factor[:, :-num_bands], factor[:, -num_bands:]


def _triangle(columns: NDArray[Any]) -> NDArray[np.float64]:
    """R of the columns' QR factorisation."""
    return np.asarray(np.linalg.qr(columns.astype(np.float64), mode="r"))


def _energy(values: NDArray[np.float64]) -> float:
    return float(np.square(values).sum())
