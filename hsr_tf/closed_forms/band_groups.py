"""`spectral_ls` of a scene in memory: the fitted map, made to agree with both images a few bands at a time.

With features F, map W (`hsr_tf.closed_forms.map_fit`), D F =: B, gap G = Y - F W R and L = X - B W, what the
map leaves of X, the estimate is

    Z = F W + up((1 - t w) (1 - w (1 - u)) v L) + t (w G R^+ + D* (D D*)^-1 (w E)),

    E = L - (D Y - B W R) R^+,

t the trust (`DataConsistency.trust`), w the weights of the coarse pixels (and of the sharp pixels in them),
v those that are usable and u the share of L that is not noise, band by band; where the images disagree
(w < 1) L is more than noise. Only F, G and Z have the sharp size; the three sums go over groups of bands, in
a third of the memory that all bands at once would take.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.arrays import ops
from hsr_tf.closed_forms.bases import DataConsistency, quadratic_features
from hsr_tf.closed_forms.map_fit import (
    CoarsePair,
    MapFit,
    SharpStatistics,
    fit_map,
    noise_places,
    sharp_moments,
)
from hsr_tf.closed_forms.noise_level import channel_noise
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
        fit: the map, its trust and weights.
    """

    estimate: Cube
    fit: MapFit

    @property
    def trust(self) -> float:
        """Weight of the consistent estimate, 0 to 1."""
        return self.fit.trust


def spectral_ls_by_bands(
    model: ObservationModel, lr_cube: Cube, hr_cube: Cube, *, counted: NDArray[np.bool_] | None = None
) -> MapSolution:
    """Spectral least squares of one scene that agrees with both images as far as they agree.

    Where D D* is inverted by conjugate gradients, every group of bands takes its own steps.

    Args:
        model: the two cameras.
        lr_cube: X, (h, w, C) float32.
        hr_cube: Y, (s h, s w, c) float32.
        counted: (h, w), False for coarse pixels that map and trust leave out, see `hsr_tf.physics.nodata`;
            None for none.
    """
    lr_hsi, hr_msi = (ops.convert_to_tensor(cube[None]) for cube in (lr_cube, hr_cube))
    consistency, inverse = DataConsistency(model), model.spectral.pseudo_inverse().astype(lr_cube.dtype)
    features = quadratic_features(hr_msi)
    blurred = model.spatial.forward(features)
    statistics = _statistics(np.asarray(ops.convert_to_numpy(features))[0], hr_cube, model.scale, counted)
    fit = _fit(np.asarray(ops.convert_to_numpy(blurred))[0], lr_cube, statistics, model, counted)
    spectral_map = ops.convert_to_tensor(fit.spectral_map[None])
    coarse = ops.matmul(blurred, spectral_map)
    residual = (lr_hsi - coarse) * fit.plain_weights(fit.trust)[..., None]
    gap = hr_msi - ops.matmul(features, model.spectral.forward(spectral_map))
    gap = gap * enlarged(fit.weights, model.scale)[..., None]
    unexplained = lr_hsi - consistency.match_spectrum(coarse, model.spatial.forward(hr_msi))
    unexplained = unexplained * fit.weights[..., None]
    estimate = np.empty((*hr_cube.shape[:2], lr_cube.shape[2]), lr_cube.dtype)
    for start in range(0, lr_cube.shape[2], BANDS_AT_ONCE):
        bands = slice(start, start + BANDS_AT_ONCE)
        part = ops.matmul(features, spectral_map[..., bands])
        part = part + bicubic_enlarge(residual[..., bands] * fit.signal(bands), model.scale)
        if fit.trust > 0:
            part = part + fit.trust * ops.matmul(gap, ops.convert_to_tensor(inverse[:, bands]))
            part = part + fit.trust * consistency.explain(0.0, unexplained[..., bands])
        estimate[..., bands] = ops.convert_to_numpy(part)[0]
    return MapSolution(estimate, fit)


def fit_scene(
    model: ObservationModel, lr_cube: Cube, hr_cube: Cube, *, counted: NDArray[np.bool_] | None = None
) -> MapFit:
    """The map of a scene in memory alone; arguments as `spectral_ls_by_bands`."""
    features = quadratic_features(ops.convert_to_tensor(hr_cube[None]))
    blurred = np.asarray(ops.convert_to_numpy(model.spatial.forward(features)))[0]
    statistics = _statistics(np.asarray(ops.convert_to_numpy(features))[0], hr_cube, model.scale, counted)
    return _fit(blurred, lr_cube, statistics, model, counted)


def enlarged(weights: NDArray[Any], scale: int) -> NDArray[Any]:
    """Weights or a mask of coarse pixels (h, w) for the sharp pixels in them, (s h, s w)."""
    return weights.repeat(scale, 0).repeat(scale, 1)


def _statistics(
    features: Cube, hr_cube: Cube, scale: int, counted: NDArray[np.bool_] | None
) -> SharpStatistics:
    """Moments and noise of the sharp pixels in the coarse pixels that count."""
    height, width, _ = hr_cube.shape
    counted = None if counted is None or counted.all() or not counted.any() else counted
    places = noise_places((height // scale, width // scale), scale, counted)
    windows = [
        hr_cube[scale * rows.start : scale * rows.stop, scale * columns.start : scale * columns.stop]
        for rows, columns in places
    ]
    if counted is None:
        return SharpStatistics(sharp_moments(features) / (height * width), channel_noise(windows))
    kept = enlarged(counted, scale)
    noise = channel_noise(windows, [enlarged(counted[place], scale) for place in places])
    return SharpStatistics(sharp_moments(features, kept) / kept.sum(), noise)


def _fit(
    blurred: Cube,
    lr_cube: Cube,
    statistics: SharpStatistics,
    model: ObservationModel,
    counted: NDArray[np.bool_] | None,
) -> MapFit:
    height, width, _ = lr_cube.shape
    pair = CoarsePair((height, width), lambda rows: (blurred[rows], lr_cube[rows]), counted)
    return fit_map(pair, statistics, model)
