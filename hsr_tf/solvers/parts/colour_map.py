"""The closed-form map of a scene, M(Y), as the ground that a solver builds on or is weighed against.

M is the map of `SpectralLS` from quadratic features of a sharp pixel's colours to its spectrum, without what
it leaves of X. It knows nothing of mixtures, likeness or smoothness; a solver that does may take those of
what differs from the map, or average its own cube with it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hsr_tf.physics.observation import ObservationModel
from hsr_tf.solvers.parts.assembly import Assembly
from hsr_tf.solvers.solver import Cube, Iterations

GROUNDS = ("nothing", "spectral_ls")
SMALLEST = 1e-20


class ColourMap:
    """M(Y) of one scene.

    Args:
        model: the two cameras.
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (s h, s w, c).

    Attributes:
        residual: X - D M(Y), (h, w, C).
    """

    def __init__(self, model: ObservationModel, lr_hsi: Cube, hr_msi: Cube) -> None:
        self._assembly = Assembly(model, lr_hsi, hr_msi)
        start = self._assembly.start()
        self._map, self.residual = start.spectral_map, start.residual

    def cube(self, codes: Cube | None = None, vectors: NDArray[np.float32] | None = None) -> Cube:
        """M(Y) + A V, (s h, s w, C), with codes A (s h, s w, r) and V (r, C) where given."""
        return self._assembly.cube(self._map, codes, vectors)

    def trusted(self) -> Cube:
        """M(Y) moved by its trust towards the cube that agrees with both images (`Assembly.complete`).

        Without noise that cube, with noise M(Y): a solver that starts from the latter can be weighed by X
        afterwards, as it has not seen its noise.
        """
        cube = self.cube()
        trust = self._assembly.complete(cube)
        return self._mixed(cube, trust)

    def average(self, cube: Cube) -> NDArray[np.float32]:
        """Replace Z by w Z + (1 - w) M(Y), in place.

        The weight of a band is that which explains X best by least squares, between 0 and 1: noise of X,
        which neither cube follows, cancels.

        Args:
            cube: Z, (s h, s w, C), overwritten.

        Returns:
            w, (C,).
        """
        apart = self._assembly.degraded(cube) - (self._assembly.lr_hsi - self.residual)
        along = np.einsum("hwc,hwc->c", self.residual, apart)
        weights = np.clip(along / np.maximum(np.einsum("hwc,hwc->c", apart, apart), SMALLEST), 0.0, 1.0)
        self._mixed(cube, weights.astype(np.float32))
        return np.asarray(weights, np.float32)

    def _mixed(self, cube: Cube, weights: NDArray[np.float32] | float) -> Cube:
        ground = self.cube()
        cube -= ground
        cube *= weights
        cube += ground
        return cube


def until(iterations: Iterations, share: float) -> Callable[[], bool]:
    """Asks whether this share of the time limit is spent; never, where there is none."""
    limit = iterations.controls.max_seconds
    return lambda: limit is not None and iterations.seconds >= share * limit
