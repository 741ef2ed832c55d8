"""The sharp cube from a spectral map and subspace codes, made to agree with both images, in little memory.

    Z = M(Y) + A V,   then
    Z <- Z + t [ w (Y - Z R) R^+  +  D* (D D*)^-1 w (X - D Z) ] + u up((1 - t w) v (X - D Z)) (I - R R^+)

with M the fitted map of `spectral_ls` (`hsr_tf.closed_forms.map_fit`), w its weights of the coarse pixels and
v those that are usable, A the codes, V the subspace, t the trust of `DataConsistency`, and u the share of the
residual that is not noise. The last term is added again while the residual is more than noise; it changes no
colour, so that neither image is explained at the other's cost where the cameras do not quite fit.

The cube is filled in place, rows at a time along the spectrum and bands at a time over space: at its peak
this needs the cube once and a few of its bands, where the plain expression needs it five times.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hsr_tf.closed_forms.band_groups import enlarged, fit_scene
from hsr_tf.closed_forms.bases import DataConsistency, quadratic_features
from hsr_tf.closed_forms.map_fit import MapFit, signal_share, trust_in
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.solvers.solver import Cube

FLOATS_AT_ONCE = 2**25
DISTRUST, PASSES, ENOUGH = 0.999, 5, 1.2


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
    """

    def __init__(self, model: ObservationModel, lr_hsi: Cube, hr_msi: Cube) -> None:
        self.model, self.lr_hsi, self.hr_msi = model, lr_hsi, hr_msi
        self._began = time.perf_counter()
        self._consistency = DataConsistency(model)

    @property
    def seconds(self) -> float:
        """Time since the assembly was made."""
        return time.perf_counter() - self._began

    @cached_property
    def fit(self) -> MapFit:
        """The closed-form map with the weights and noise that were found with it."""
        return fit_scene(self.model, self.lr_hsi, self.hr_msi)

    def start(self) -> Start:
        """The closed-form map and what it leaves."""
        cube = self.cube(self.fit.spectral_map)
        return Start(self.fit.spectral_map, self.lr_hsi - self.degraded(cube), self.fit.weights)

    def cube(
        self,
        spectral_map: Cube,
        codes: NDArray[np.float32] | None = None,
        vectors: NDArray[np.float32] | None = None,
    ) -> Cube:
        """M(Y) + A V with codes A (H, W, r) and V (r, C)."""
        height, width, _ = self.hr_msi.shape
        cube = np.empty((height, width, self.lr_hsi.shape[-1]), np.float32)
        for rows in self._row_strips():
            cube[rows] = self.mapped(spectral_map, rows)
            if codes is not None and vectors is not None:
                cube[rows] += codes[rows] @ vectors
        return cube

    def mapped(self, spectral_map: Cube, place: Any) -> Cube:
        """M(Y) at a place of the sharp grid: rows, or rows and columns."""
        features = quadratic_features(tf.constant(np.ascontiguousarray(self.hr_msi[place])))
        return np.asarray(tf.tensordot(features, tf.constant(spectral_map), 1).numpy())

    def complete(self, cube: Cube, *, trust: float | None = None) -> float:
        """Make the cube agree with both images, in place, as far as they agree with each other.

        Args:
            cube: Z, (H, W, C), overwritten.
            trust: t; by default `DataConsistency.trust` says.

        Returns:
            t.
        """
        residual = self.lr_hsi - self.degraded(cube)
        if trust is None:
            trust = self.trust(residual)
        if trust > 0:
            self._match_spectrum(cube, trust)
            seen = self.fit.weights[..., None] * (self.lr_hsi - self.degraded(cube))
            solved = self._consistency.solve(tf.constant(seen[None]))
            for bands in self._band_groups():
                cube[..., bands] += trust * self.model.spatial.adjoint(solved[..., bands])[0].numpy()
        weights = self.fit.plain_weights(trust)[..., None]
        if trust < DISTRUST or weights.max() > 1 - DISTRUST:
            self._back_project(cube, residual, weights)
        return trust

    def degraded(self, cube: Cube) -> Cube:
        """D Z, (h, w, C), some bands at a time."""
        parts = [
            self.model.spatial.forward(tf.constant(np.ascontiguousarray(cube[None, ..., bands])))[0].numpy()
            for bands in self._band_groups(cube.shape[-1])
        ]
        return np.concatenate(parts, -1)

    def trust(self, left: Cube) -> float:
        """t of `DataConsistency.trust` for what an estimate leaves of X, (h, w, C), of weighted pixels."""
        weights = self.fit.weights
        energies = [np.square(image, dtype=np.float64).sum(-1) for image in (left, self.lr_hsi)]
        left_energy, energy = (float((weights * image).sum()) for image in energies)
        return trust_in(self.fit.disagreement**2, left_energy / max(energy, 1e-30))

    def _back_project(self, cube: Cube, left: Cube, weights: Cube) -> None:
        """Add what is left of X, weighted, and is neither noise nor seen by Y, until only noise is left.

        Args:
            cube: Z, changed in place.
            left: X - D Z before it was projected, (h, w, C).
            weights: (h, w, 1).
        """
        noise = self.fit.noise_energy
        for _ in range(PASSES):
            left = self._unseen(self.fit.usable[..., None] * left)
            rest = np.square(left, dtype=np.float64).mean((0, 1))
            share = np.clip(1.0 - noise / np.maximum(rest, 1e-30), 0.0, 1.0).astype(np.float32)
            if rest.sum() <= ENOUGH * noise.sum():
                break
            signal = signal_share(self.fit.weights[..., None], share)
            for bands in self._band_groups():
                part = tf.constant((weights * signal * left)[None, ..., bands])
                more = bicubic_enlarge(part, self.model.scale)
                cube[..., bands] += more[0].numpy()
            left = self.lr_hsi - self.degraded(cube)

    def _unseen(self, left: Cube) -> Cube:
        """The part of a coarse cube that does not change its colours."""
        inverse = self.model.spectral.pseudo_inverse().astype(np.float32)
        return left - (left @ self.model.spectral.matrix.astype(np.float32)) @ inverse

    def _match_spectrum(self, cube: Cube, trust: float) -> None:
        response = self.model.spectral.matrix.astype(np.float32)
        inverse = (trust * self.model.spectral.pseudo_inverse()).astype(np.float32)
        weights = enlarged(self.fit.weights, self.model.scale)[..., None]
        for rows in self._row_strips():
            cube[rows] += weights[rows] * ((self.hr_msi[rows] - cube[rows] @ response) @ inverse)

    def _row_strips(self) -> list[slice]:
        height, width, _ = self.hr_msi.shape
        step = max(1, FLOATS_AT_ONCE // (width * self.lr_hsi.shape[-1]))
        return [slice(row, min(row + step, height)) for row in range(0, height, step)]

    def _band_groups(self, num_bands: int | None = None) -> list[slice]:
        height, width, _ = self.hr_msi.shape
        step = max(1, FLOATS_AT_ONCE // (height * width))
        num_bands = num_bands or self.lr_hsi.shape[-1]
        return [slice(band, min(band + step, num_bands)) for band in range(0, num_bands, step)]
