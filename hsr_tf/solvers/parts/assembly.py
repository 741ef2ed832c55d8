"""The closed-form map of a scene in memory, and cubes that are made of it and completed, in little memory.

    Z = M(Y) + A V

with M the fitted map of `spectral_ls` (`hsr_tf.closed_forms.map_fit`), A the codes and V the subspace that a
solver adds; `complete` then makes the cube agree with both images (`hsr_tf.solvers.parts.completion`). At its
peak this needs the cube once and a few of its bands, where the plain expression needs it five times.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.arrays import ops
from hsr_tf.closed_forms.map_fit import MapFit, trust_in
from hsr_tf.closed_forms.quadratic_map import quadratic_features
from hsr_tf.closed_forms.spectral_ls import FEATURES, SceneMap
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.solvers.parts.completion import FLOATS_AT_ONCE, Completion, degraded, weighted_energy
from hsr_tf.solvers.solver import Cube
from hsr_tf.tiling.stages import run_stages
from hsr_tf.typing import Mask


@dataclass(frozen=True, eq=False)
class Start:
    """The closed-form map of a scene and what it leaves.

    Attributes:
        spectral_map: (K, C), see `MapFit`.
        residual: X - D M(Y), (h, w, C).
        weights: (h, w), how far each coarse pixel is believed, see `MapFit`.
    """

    spectral_map: Cube
    residual: Cube
    weights: Cube


class Assembly:
    """Evaluates and completes estimates of one scene.

    Args:
        model: the two cameras.
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (s h, s w, c).
        counted: (h, w), False for coarse pixels that are left out; None for none.
        surveyed: the map of these images, where it was surveyed; by default it is surveyed when needed.
    """

    def __init__(
        self,
        model: ObservationModel,
        lr_hsi: Cube,
        hr_msi: Cube,
        counted: Mask | None = None,
        *,
        surveyed: SceneMap | None = None,
    ) -> None:
        self.model, self.lr_hsi, self.hr_msi = model, lr_hsi, hr_msi
        self._surveyed = surveyed
        self._began = time.perf_counter()
        self._pair = ArrayPair((lr_hsi, hr_msi), model, counted=counted)

    @property
    def seconds(self) -> float:
        """Time since the assembly was made."""
        return time.perf_counter() - self._began

    @cached_property
    def fit(self) -> MapFit:
        """The closed-form map with the weights and noise that were found with it."""
        return self._map.fit(self._map.pair.grid.whole)

    @cached_property
    def _map(self) -> SceneMap:
        if self._surveyed is not None:
            return self._surveyed
        found = SceneMap(self._pair)
        run_stages([found.survey()])
        return found

    def start(self) -> Start:
        """The closed-form map and what it leaves."""
        fit = self.fit
        return Start(fit.spectral_map, self.lr_hsi - self.map_blurred(fit), fit.weights)

    def map_blurred(self, fit: MapFit) -> Cube:
        """D M(Y) = D F W, (h, w, C)."""
        pair = self._map.pair
        return np.asarray(pair.store.read(FEATURES, pair.grid, pair.grid.whole) @ fit.spectral_map)

    def cube(
        self,
        spectral_map: Cube,
        codes: NDArray[np.float32] | None = None,
        vectors: NDArray[np.float32] | None = None,
    ) -> Cube:
        """M(Y) + A V with codes A (H, W, r) and V (r, C)."""
        height, width, _ = self.hr_msi.shape
        cube = np.empty((height, width, self.lr_hsi.shape[-1]), np.float32)
        step = max(1, FLOATS_AT_ONCE // (width * cube.shape[-1]))
        for start in range(0, height, step):
            rows = slice(start, start + step)
            cube[rows] = mapped(spectral_map, self.hr_msi[rows])
            if codes is not None and vectors is not None:
                cube[rows] += codes[rows] @ vectors
        return cube

    def complete(self, cube: Cube) -> float:
        """Make the cube (H, W, C) agree with both images, in place, as far as they agree with each other.

        Returns:
            The trust in both images, see `DataConsistency.trust`.
        """
        completion = Completion(self._pair, self._map)
        run_stages([completion.stage(lambda whole: cube)])
        completion.finish(0)
        return completion.trust

    def degraded(self, cube: Cube) -> Cube:
        """D Z, (h, w, C), some bands at a time."""
        return degraded(self.model.spatial, cube)

    def trust(self, left: Cube) -> float:
        """t of `DataConsistency.trust` for what an estimate leaves of X, (h, w, C), of weighted pixels."""
        energies = [weighted_energy(image, self.fit.weights) for image in (left, self.lr_hsi)]
        return trust_in(self.fit.disagreement**2, energies[0] / max(energies[1], 1e-30))


def mapped(spectral_map: Cube, hr_msi: Cube) -> Cube:
    """M(Y) of some sharp pixels, (..., C)."""
    features: Any = quadratic_features(ops.convert_to_tensor(np.ascontiguousarray(hr_msi)))
    return np.asarray(ops.convert_to_numpy(ops.matmul(features, ops.convert_to_tensor(spectral_map))))
