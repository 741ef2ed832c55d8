"""The last step of a solver: its cube, part by part, made to agree with both images.

    Z <- Z + w (Y - Z R) K + t (up(r) + D* (D D*)^-1 (r - D up(r))) + up(u (1 - t w) v (X - D Z)) (I - R R^+)

with r = w (X - D Z), up the bicubic enlargement (`hsr_tf.closed_forms.consistency.enlarged_rest`), w the
weights of the coarse pixels (and of the sharp pixels in them) and v those that are usable
(`hsr_tf.closed_forms.map_fit`), t the trust of `DataConsistency`, and u the share of the residual that is not
noise. Where the images agree to rounding K is R^+. Noise of X, a wrong PSF and a shift are no reason to doubt
Y: K then weighs the noise of Y against what Z leaves of it (`spectral_gain`), which was worth up to 8 dB on
two training scenes. Where X R and D Y differ in values (`hsr_tf.closed_forms.misfit`) K is zero, and in
between it is a mean of these. The last term is added again while the residual is more than noise; it changes
no colour, so that neither image is explained at the other's cost where the cameras do not quite fit.

What a part needs of the whole scene lives on the coarse grid and is gathered over the tiles. The cube itself
is changed in place, rows at a time along the spectrum and bands at a time over space.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.arrays import ops
from hsr_tf.closed_forms.consistency import enlarged_rest
from hsr_tf.closed_forms.map_fit import signal_share, trust_in
from hsr_tf.closed_forms.spectral_ls import BANDS_AT_ONCE, BICUBIC, SceneMap, enlarged
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.tiled_pair import TiledPair
from hsr_tf.tiling.region import Region
from hsr_tf.tiling.stages import Stage
from hsr_tf.typing import Array, Cube

FLOATS_AT_ONCE = 2**25
DISTRUST, PASSES, ENOUGH, RIDGE = 0.999, 5, 1.2, 1e-9
LEFT, GAP, FREE, REST, UNSEEN, ADDED = "left", "gap", "free", "rest", "unseen", "added"
COMPLETION, GAP_ENERGY = "completion", "gap_energy"


class Completion:
    """Makes a cube agree with both images, as far as these agree with each other.

    Args:
        pair: the images and the tiles.
        scene_map: the map of the scene, surveyed before `stage` is run.
        projected: whether the cube, or most of a mean, agrees with both images already. What it leaves says
            little of the images then, and the trust is that of the map.
    """

    def __init__(self, pair: TiledPair, scene_map: SceneMap, *, projected: bool = False) -> None:
        self._pair, self._map, self._model = pair, scene_map, pair.model
        self._projected = projected
        self._response = self._model.spectral.matrix.astype(np.float32)
        self._inverse = self._model.spectral.pseudo_inverse().astype(np.float32)

    def stage(self, cube: Callable[[Region], Cube]) -> Stage:
        """The pass that compares the cube with the images; `cube` gives the sharp pixels of a region."""
        return Stage(FREE, len(self._pair.grid), lambda index: self._compare(index, cube), self._conclude)

    @property
    def trust(self) -> float:
        """How far the images are believed, once the stage is done."""
        return float(self._found()["trust"])

    def finish(self, index: int) -> Cube:
        """The completed cube (s h, s w, C) of a tile."""
        pair, grid, found = self._pair, self._pair.grid, self._found()
        region, trust = grid.region(index), float(found["trust"])
        free = pair.store.load(FREE, index)
        around = region.grown(max(BICUBIC, self._map.blur), grid.whole)
        explained: tuple[Cube, NDArray[np.float32]] | None = None
        added = None
        self._match_spectrum(free, region)
        if trust > 0:
            explained = self._explained(around)
        if found["passes"]:
            added = pair.store.read(_added(found["passes"]), grid, around)
        inner = region.inside(around).scaled(grid.scale).slices
        for bands in _band_groups(free.shape[-1]):
            if explained is not None:
                free[..., bands] += trust * self._spread(explained, bands)[inner]
            if added is not None:
                free[..., bands] += self._enlarged(added[..., bands])[inner]
        return free

    def _found(self) -> dict[str, Any]:
        found = self._pair.store.load_json(COMPLETION)
        assert found is not None
        return found

    @property
    def _gain(self) -> Cube:
        """K, (c, C)."""
        return np.asarray(self._found()["gain"], np.float32)

    def _compare(self, index: int, cube: Callable[[Region], Cube]) -> None:
        """Keep the cube of a tile, X - D Z and D w (Y - Z R)."""
        pair, grid = self._pair, self._pair.grid
        region = grid.region(index)
        around = region.grown(self._map.blur, grid.whole)
        free, inner = cube(around), region.inside(around)
        left = self._map.lr_hsi(region) - degraded(self._model.spatial, free)[inner.slices]
        weights = enlarged(self._map.weights(around)[0][..., 0], grid.scale)[..., None]
        gap = weights * (pair.hr_msi(around) - free @ self._response)
        own = gap[inner.scaled(grid.scale).slices]
        pair.store.save(LEFT, index, left)
        pair.store.save(GAP_ENERGY, index, np.square(own, dtype=np.float64).sum((0, 1)))
        pair.store.save(GAP, index, degraded(self._model.spatial, gap)[inner.slices])
        pair.store.save(FREE, index, free[inner.scaled(grid.scale).slices])

    def _conclude(self) -> None:
        """Trust in the two images, and what is added without it."""
        grid = self._pair.grid
        trust, gain = self._gathered_trust()
        found = {"trust": trust, "passes": 0, "gain": gain.tolist()}
        self._pair.store.save_json(COMPLETION, found)
        tiles = [grid.region(index) for index in range(len(grid))]
        apart = max(float(self._plain_weights(region, trust).max()) for region in tiles)
        passes = self._back_project(trust) if trust < DISTRUST or apart > 1 - DISTRUST else 0
        self._pair.store.save_json(COMPLETION, {**found, "passes": passes})

    def _gathered_trust(self) -> tuple[float, Cube]:
        """t, and K (c, C)."""
        grid, store = self._pair.grid, self._pair.store
        left = total = 0.0
        for index in range(len(grid)):
            region = grid.region(index)
            weights = self._map.weights(region)[0][..., 0]
            left += weighted_energy(store.load(LEFT, index), weights)
            total += weighted_energy(self._map.lr_hsi(region), weights)
        found, allowed = self._map.found(), left / max(total, 1e-30)
        trust = found.trust if self._projected else trust_in(found.disagreement**2, allowed)
        if found.miscoloured is None or found.channel_variance is None:
            return trust, trust * self._inverse
        sums = np.sum([store.load(GAP_ENERGY, index) for index in range(len(grid))], 0)
        energy = sums / (grid.whole.num_pixels * grid.scale**2)
        apart = (1 - trust) * trust_in(found.miscoloured**2, allowed)
        gain = spectral_gain(self._model.spectral.matrix, energy, found.channel_variance)
        return trust, np.asarray(trust * self._inverse + apart * gain, np.float32)

    def _match_spectrum(self, free: Cube, region: Region) -> None:
        """Z + w (Y - Z R) K, in place, some rows at a time."""
        sharp, gain = self._pair.hr_msi(region), self._gain
        if not gain.any():
            return
        weights = enlarged(self._map.weights(region)[0][..., 0], self._model.scale)[..., None]
        step = max(1, FLOATS_AT_ONCE // (free.shape[1] * free.shape[2]))
        for start in range(0, len(free), step):
            rows = slice(start, start + step)
            free[rows] += weights[rows] * ((sharp[rows] - free[rows] @ self._response) @ gain)

    def _seen(self, region: Region) -> Cube:
        """X - D Z of the cube after `_match_spectrum`."""
        left, gap = (self._pair.store.read(field, self._pair.grid, region) for field in (LEFT, GAP))
        return np.asarray(left - gap @ self._gain, np.float32)

    def _explained(self, around: Region) -> tuple[Cube, NDArray[np.float32]]:
        """r, (h, w, C), and (D D*)^-1 (r - D up(r)), (1, h, w, C), of a region."""
        far = around.grown(self._map.reach, self._pair.grid.whole)
        residual = np.asarray(self._map.weights(far)[0] * self._seen(far), np.float32)
        solved = self._map.solved(enlarged_rest(self._model.spatial, residual), far, around)
        return residual[around.inside(far).slices], np.asarray(ops.convert_to_numpy(solved))

    def _spread(self, explained: tuple[Cube, NDArray[np.float32]], bands: slice) -> Cube:
        """What explains r in some bands, (s h, s w, bands)."""
        residual, solved = explained
        nearest = ops.convert_to_numpy(self._model.spatial.adjoint(solved[..., bands]))[0]
        return np.asarray(self._enlarged(residual[..., bands]) + nearest)

    def _plain_weights(self, region: Region, trust: float) -> Cube:
        """(1 - t w) v, (h, w, 1): how much of the residual of X is added by enlarging it."""
        weights, usable = self._map.weights(region)
        return np.asarray((1 - trust * weights) * usable, np.float32)

    def _back_project(self, trust: float) -> int:
        """Add what X shows and Y does not until only noise is left: the number of the last added field."""
        grid, store = self._pair.grid, self._pair.store
        noise = self._map.found().noise_energy
        assert noise is not None
        for index in range(len(grid)):
            store.save(_added(0), index, np.zeros_like(store.load(LEFT, index)))
            store.save(REST, index, self._left_after_projection(grid.region(index), trust))
        for number in range(PASSES):
            rest = np.zeros_like(noise)
            for index in range(len(grid)):
                left = store.load(LEFT, index) if not number else self._left_now(index, number)
                left = self._map.weights(grid.region(index))[1] * left
                unseen = left - (left @ self._response) @ self._inverse
                store.save(UNSEEN, index, unseen)
                rest += np.square(unseen, dtype=np.float64).sum((0, 1))
            rest /= grid.whole.num_pixels
            if rest.sum() <= ENOUGH * noise.sum():
                return number
            share = np.clip(1.0 - noise / np.maximum(rest, 1e-30), 0.0, 1.0).astype(np.float32)
            for index in range(len(grid)):
                region = grid.region(index)
                signal = signal_share(self._map.weights(region)[0], share)
                more = self._plain_weights(region, trust) * signal * store.load(UNSEEN, index)
                store.save(_added(number + 1), index, store.load(_added(number), index) + more)
        return PASSES

    def _left_after_projection(self, region: Region, trust: float) -> Cube:
        """X - D Z before anything is added by enlarging."""
        seen = self._seen(region)
        if trust <= 0:
            return seen
        around = region.grown(BICUBIC + 2 * self._map.blur, self._pair.grid.whole)
        explained, inner = self._explained(around), region.inside(around).slices
        parts = [
            degraded(self._model.spatial, self._spread(explained, bands))[inner]
            for bands in _band_groups(seen.shape[-1])
        ]
        return np.asarray(seen - trust * np.concatenate(parts, -1), np.float32)

    def _left_now(self, index: int, number: int) -> Cube:
        """X - D Z after so many passes."""
        grid, store = self._pair.grid, self._pair.store
        region = grid.region(index)
        around = region.grown(BICUBIC + self._map.blur, grid.whole)
        added, inner = store.read(_added(number), grid, around), region.inside(around).slices
        parts = [
            degraded(self._model.spatial, self._enlarged(added[..., bands]))[inner]
            for bands in _band_groups(added.shape[-1])
        ]
        return np.asarray(store.load(REST, index) - np.concatenate(parts, -1), np.float32)

    def _enlarged(self, coarse: Cube) -> Cube:
        large = bicubic_enlarge(ops.convert_to_tensor(coarse[None]), self._model.scale)
        return np.asarray(ops.convert_to_numpy(large))[0]


def spectral_gain(response: Array, energy: Array, variance: Array) -> Array:
    """K of the estimate of least squared error from what it leaves of Y, (c, C).

    Errors of an estimate are taken as alike in all bands, of variance v; with N the noise of Y,

        K = v (v R^T R + N)^-1 R^T,   v |R|^2 + tr N = E |Y - Z R|^2,   v >= 0.

    Nearly collinear channels do not amplify noise then, as they do with R^+.

    Args:
        response: R, (C, c).
        energy: (c,), mean square of Y - Z R.
        variance: (c,), N.
    """
    error = float(energy.sum() - variance.sum()) / float(np.square(response).sum())
    if error <= 0:
        return np.zeros(response.T.shape)
    floor = RIDGE * float(np.square(response).sum(0).max()) * np.eye(len(variance))
    return np.asarray(np.linalg.solve(response.T @ response + np.diag(variance / error) + floor, response.T))


def degraded(spatial: SpatialDegradation, cube: Cube) -> Cube:
    """D Z, (h, w, C), some bands at a time."""
    parts = [
        ops.convert_to_numpy(spatial.forward(ops.convert_to_tensor(cube[None, ..., bands])))[0]
        for bands in _band_groups(cube.shape[-1])
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, -1)


def weighted_energy(image: Cube, weights: Cube) -> float:
    """The sum of w |x|^2 over the pixels of (h, w, C), in float64."""
    return float((weights * np.square(image, dtype=np.float64).sum(-1)).sum())


def _band_groups(num_bands: int) -> list[slice]:
    return [slice(start, start + BANDS_AT_ONCE) for start in range(0, num_bands, BANDS_AT_ONCE)]


def _added(number: float) -> str:
    return f"{ADDED}{number:.0f}"
