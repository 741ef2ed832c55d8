"""`spectral_ls`: a spectral map fitted to one scene, made to agree with both images, over parts of any size.

With features F of Y (`quadratic_features`), map W (`hsr_tf.closed_forms.map_fit`), B = D F, the gap
G = Y - F W R, and L = X - B W, what the map leaves of X, the estimate is

    Z = F W + up((1 - t w) (1 - w (1 - u)) v L) + t (w G R^+ + up(w E) + D* (D D*)^-1 (w E - D up(w E))),

    E = L - (D Y - B W R) R^+,

up the bicubic enlargement, t the trust (`DataConsistency.trust`), w the weights of the coarse pixels (and of
the sharp pixels in them), v those that are usable and u the share of L that is not noise, band by band; where
the images disagree (w < 1) L is more than noise. The sums go over groups of bands, in a third of the memory
of all bands at once.

The survey keeps D F of each tile and X, and fits the map to rows of both. A part of the estimate then looks
at few coarse pixels around it: those of the bicubic enlargement and of the PSF, and as far as the inverse of
D D* reaches. Where conjugate gradients take that inverse (a PSF that is not separable or not symmetric) parts
take it of a window wider by `FAR` coarse pixels, with which they agree to about 1e-3.

What explains E is smooth (`enlarged_rest`): the nearest cube alone, D* (D D*)^-1 E, puts it where the PSF
looks. That costs 0.1 dB where the PSF is as wide as a coarse pixel, 0.7 to 1.7 dB for box PSFs and 4 to 8 dB
for Gaussians half as wide (four training scenes, x8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hsr_tf.arrays import ops
from hsr_tf.closed_forms.coarse_pair import FLOATS_AT_ONCE, CoarsePair, is_compared
from hsr_tf.closed_forms.consistency import DataConsistency, enlarged_rest
from hsr_tf.closed_forms.gap_beside_holes import gap_beside_holes
from hsr_tf.closed_forms.map_fit import (
    FitRule,
    MapFit,
    SharpStatistics,
    SpectralMap,
    fit_map,
    signal_share,
)
from hsr_tf.closed_forms.noise_level import channel_noise, noise_regions
from hsr_tf.closed_forms.quadratic_map import SpectralLS, quadratic_features
from hsr_tf.physics.nodata import is_enough, smoothly_filled
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.physics.tiled_pair import ArrayPair, TiledPair
from hsr_tf.tiling.region import Region
from hsr_tf.tiling.stages import Stage, StagedMethod, run_stages
from hsr_tf.typing import Array, Cube, Mask, Tensor

FAR, BICUBIC, BANDS_AT_ONCE = 16, 2, 8
FEATURES, COARSE, ESTIMATE = "features", "coarse", "estimate"
CLEAN, MOMENTS, WEIGHTS = "clean", "moments", "weights"
UNCLEAN_MOMENTS, SPECTRAL_MAP, COMPARED = "unclean_moments", "spectral_map", "compared"
CHOSEN_MAP = "chosen_map"
# What the survey of `SceneMap` keeps, the same for every method that stands on it.
SURVEYED = frozenset({FEATURES, COARSE, CLEAN, COMPARED, MOMENTS, UNCLEAN_MOMENTS, WEIGHTS, SPECTRAL_MAP})


@dataclass(frozen=True, eq=False)
class MapPart:
    """A part of the estimate.

    Attributes:
        estimate: (s h, s w, C).
        unexplained: E, (h, w, C), what the map leaves of X after the spectral projection.
        lr_hsi, hr_msi: X and Y there.
    """

    estimate: Cube
    unexplained: Cube
    lr_hsi: Cube
    hr_msi: Cube


class SceneMap:
    """The map of a scene, and its estimate of any region.

    Args:
        pair: the images and the tiles.
        model: the two cameras that the map is fitted for; by default those of the pair.
    """

    rule: ClassVar[FitRule] = FitRule()

    def __init__(self, pair: TiledPair, model: ObservationModel | None = None) -> None:
        self.pair, self.model = pair, pair.model if model is None else model
        self._inverse = self.model.spectral.pseudo_inverse().astype(np.float32)
        self._response = self.model.spectral.matrix.astype(np.float32)
        self.consistency = DataConsistency(self.model)
        reach = self.consistency.reach()
        self.blur = self.model.spatial.reach_cells
        self.reach = (FAR if reach is None else reach) + BICUBIC + self.blur

    def survey(self) -> Stage:
        """The pass in which the map is fitted."""
        return Stage(MOMENTS, len(self.pair.grid), self._moments, self._fit)

    def found(self) -> SpectralMap:
        """What the survey found for the whole scene."""
        data = self.pair.store.load_json(SPECTRAL_MAP)
        assert data is not None
        return SpectralMap.of(data)

    def fit(self, region: Region) -> MapFit:
        """What the survey found, with the weights of the coarse pixels of a region."""
        weights, usable = self.weights(region)
        return MapFit(**vars(self.found()), weights=weights[..., 0], usable=usable[..., 0])

    def weights(self, region: Region) -> tuple[Cube, Cube]:
        """Weights and usable pixels of a region, (h, w, 1) each, see `MapFit`."""
        both = self.pair.store.read(WEIGHTS, self.pair.grid, region)
        return both[..., :1], both[..., 1:]

    def lr_hsi(self, region: Region, changed: Mask | None = None) -> Cube:
        """X of a region, (h, w, C).

        Coarse pixels that do not count (`hsr_tf.physics.nodata`, or `changed` (h, w) where it is given) hold
        a spectrum that neither image contradicts, B W + t (D Y - B W R) R^+: where the images agree (t = 1)
        X R = D Y there, elsewhere these pixels disagree no more and no less than the others. Those that count
        because Y was completed hold X + t (D Y - X R) R^+ likewise, without what the completion left.
        """
        found, store, grid = self.found(), self.pair.store, self.pair.grid
        lr_hsi = store.read(COARSE, grid, region)
        missing = self._missing(found, region)
        if changed is not None and changed.any():
            missing = changed if missing is None else missing | changed
        if missing is None and not self.pair.is_completed:
            return lr_hsi
        blurred = store.read(FEATURES, grid, region)
        inverse = found.trust * self._inverse
        if self.pair.is_completed:
            completed = 1 - store.read(COMPARED, grid, region).astype(np.float32)
            colours = blurred[..., 1 : 1 + self._response.shape[1]]
            lr_hsi = lr_hsi + completed * ((colours - lr_hsi @ self._response) @ inverse)
        if missing is None:
            return lr_hsi
        agreeing = blurred @ found.spectral_map + self._gap(found, blurred) @ inverse
        return np.where(missing[..., None], agreeing, lr_hsi)

    def part(self, region: Region) -> MapPart:
        """The estimate of a region, in coarse pixels."""
        found, grid = self.found(), self.pair.grid
        around = region.grown(max(BICUBIC, self.blur), grid.whole)
        far = around.grown(self.reach, grid.whole)
        lr_hsi, left, unexplained = self._left(found, far)
        sharp = self.pair.hr_msi(around)
        solved = None
        if found.trust > 0:
            left = left + np.float32(found.trust) * unexplained
            solved = self.solved(enlarged_rest(self.model.spatial, unexplained), far, around)
        inner = region.inside(around).scaled(grid.scale).slices
        estimate = np.empty((*region.scaled(grid.scale).size, left.shape[-1]), np.float32)
        for bands, values in self._bands(found, (sharp, left[around.inside(far).slices]), solved, around):
            estimate[..., bands] = values[inner]
        own = region.inside(far).slices
        return MapPart(
            estimate,
            np.ascontiguousarray(unexplained[own]),
            np.ascontiguousarray(lr_hsi[own]),
            np.ascontiguousarray(sharp[inner]),
        )

    def solved(self, residual: Cube, far: Region, around: Region) -> Tensor:
        """(D D*)^-1 of a coarse image on `far`, (1, h, w, C) of what lies in `around`."""
        solution = self.consistency.solve(ops.convert_to_tensor(residual[None]))
        rows, columns = around.inside(far).slices
        return solution[:, rows, columns]

    def _features(self, index: int) -> Cube:
        """Keep D F and X of a tile, and where they count; gives F."""
        grid, store = self.pair.grid, self.pair.store
        region = grid.region(index)
        around = region.grown(self.blur, grid.whole)
        inner = region.inside(around)
        features = quadratic_features(ops.convert_to_tensor(self.pair.hr_msi(around)[None]))
        blurred = np.asarray(ops.convert_to_numpy(self.model.spatial.forward(features)))[0][inner.slices]
        lr_hsi = self.pair.lr_hsi(region)
        store.save(FEATURES, index, blurred)
        store.save(COARSE, index, lr_hsi)
        if self.pair.has_holes:
            store.save(CLEAN, index, self.pair.usable(region)[..., None])
            store.save(COMPARED, index, self.pair.clean(region)[..., None])
        return np.asarray(ops.convert_to_numpy(features))[0][inner.scaled(grid.scale).slices]

    def _moments(self, index: int) -> None:
        """Products of the sharp features of a tile, of the pixels that count and of the others."""
        sharp = self._features(index)
        clean = np.ones(self.pair.grid.region(index).size, bool)
        if self.pair.has_holes:
            clean = self.pair.store.load(CLEAN, index)[..., 0]
        kept = None if clean.all() else enlarged(clean, self.pair.grid.scale)
        if self.pair.has_holes:
            others = np.zeros(sharp.shape[:2], bool) if kept is None else ~kept
            self.pair.store.save(UNCLEAN_MOMENTS, index, _sharp_moments(sharp, others))
        self.pair.store.save(MOMENTS, index, _sharp_moments(sharp, kept))

    def _fit(self) -> None:
        """Fit the map, and keep what all parts share."""
        grid, store = self.pair.grid, self.pair.store
        num_counted, masked = self._counted()
        counted = store.read(CLEAN, grid, grid.whole)[..., 0] if masked else None
        compared = store.read(COMPARED, grid, grid.whole)[..., 0] if self.pair.is_completed else None

        def read(rows: slice) -> tuple[Cube, Cube]:
            region = Region.of(rows, grid.whole.columns)
            return store.read(FEATURES, grid, region), store.read(COARSE, grid, region)

        statistics = self._statistics(counted, num_counted)
        gap: Callable[[Cube], float] | None = None
        if compared is not None and not is_compared(compared):
            gap = partial(gap_beside_holes, self.pair, self.model)
        coarse = CoarsePair(grid.size, read, counted, compared, gap)
        chosen, rule = store.load_json(CHOSEN_MAP), self.rule
        if chosen is not None:  # by a fit to much the same images
            rule = rule.repeating(np.array(chosen["mixture"]))
        found = fit_map(coarse, statistics, self.model, masked=masked, rule=rule)
        if chosen is not None:
            found = replace(found, smoothness=chosen["smoothness"])
        elif store.shares(CHOSEN_MAP):
            assert found.mixture is not None
            mixture = found.mixture.tolist()
            store.save_json(CHOSEN_MAP, {"mixture": mixture, "smoothness": found.smoothness})
        for index in range(len(grid)):
            inner = grid.region(index).slices
            store.save(WEIGHTS, index, np.stack([found.weights[inner], found.usable[inner]], -1))
        store.save_json(SPECTRAL_MAP, found.plain())

    def _statistics(self, counted: Mask | None, num_counted: int) -> SharpStatistics:
        """Moments and noise of the sharp pixels in the coarse pixels that count, None for all."""
        pair, grid = self.pair, self.pair.grid
        regions = noise_regions(grid.size, grid.scale, counted)
        windows = [pair.hr_msi(region) for region in regions]
        masks = None if counted is None else [enlarged(counted[r.slices], grid.scale) for r in regions]
        fields = [MOMENTS]
        if counted is None and pair.has_holes:
            fields.append(UNCLEAN_MOMENTS)
        moments = sum(pair.store.load(field, index) for field in fields for index in range(len(grid)))
        return SharpStatistics(
            np.asarray(moments) / (num_counted * grid.scale**2), channel_noise(windows, masks)
        )

    def _counted(self) -> tuple[int, bool]:
        """The number of coarse pixels that the fit rests on, and whether they are only some of them."""
        grid, store = self.pair.grid, self.pair.store
        num_pixels = num_clean = grid.whole.num_pixels
        if self.pair.has_holes:
            num_clean = sum(int(store.load(CLEAN, index).sum()) for index in range(len(grid)))
        masked = num_clean < num_pixels and is_enough(num_clean, num_pixels)
        return num_clean if masked else num_pixels, masked

    def _left(self, found: SpectralMap, far: Region) -> tuple[Cube, Cube, Cube]:
        """X, what is enlarged of L, and E, of a region."""
        lr_hsi = self.lr_hsi(far)
        blurred = self.pair.store.read(FEATURES, self.pair.grid, far)
        left = lr_hsi - blurred @ found.spectral_map
        weights, usable = self.weights(far)
        unexplained = weights * (left - self._gap(found, blurred) @ self._inverse)
        plain = (1 - found.trust * weights) * usable * left
        if found.shares is not None:
            plain = plain * signal_share(weights, found.shares)
        parts: list[Cube] = [part.astype(np.float32) for part in (plain, unexplained)]
        missing = self._missing(found, far)
        if missing is not None and not missing.all():
            known = np.where(missing[..., None], np.float32(found.smoothness), np.float32(1))
            parts = [known * smoothly_filled(part, missing) for part in parts]
        return lr_hsi, parts[0], parts[1]

    def _missing(self, found: SpectralMap, region: Region) -> Mask | None:
        """(h, w), True for coarse pixels of a region that do not count; None where all do."""
        if not found.masked:
            return None
        missing: Mask = self.pair.store.read(CLEAN, self.pair.grid, region)[..., 0] == 0
        return missing if missing.any() else None

    def _gap(self, found: SpectralMap, blurred: Cube) -> Cube:
        """D Y - B W R, what the map leaves of the blurred colours."""
        colours = blurred[..., 1 : 1 + self._response.shape[1]]
        return np.asarray(colours - blurred @ (found.spectral_map @ self._response))

    def _bands(
        self, found: SpectralMap, images: tuple[Cube, Cube], solved: Tensor | None, around: Region
    ) -> Iterator[tuple[slice, Cube]]:
        """The estimate of a region, some bands at a time, from Y and what is enlarged of L there."""
        sharp, plain = images
        trust, scale = found.trust, self.model.scale
        features = quadratic_features(ops.convert_to_tensor(sharp))
        gap = sharp - ops.matmul(features, ops.convert_to_tensor(found.spectral_map @ self._response))
        gap = gap * enlarged(self.weights(around)[0][..., 0], scale)[..., None]
        for start in range(0, plain.shape[-1], BANDS_AT_ONCE):
            bands = slice(start, start + BANDS_AT_ONCE)
            part = ops.matmul(features, ops.convert_to_tensor(found.spectral_map[:, bands]))
            if plain.any():
                part = part + bicubic_enlarge(ops.convert_to_tensor(plain[None, ..., bands]), scale)[0]
            if solved is not None:
                part = part + trust * ops.matmul(gap, ops.convert_to_tensor(self._inverse[:, bands]))
                part = part + trust * self.model.spatial.adjoint(solved[..., bands])[0]
            yield bands, np.asarray(ops.convert_to_numpy(part))


class SpectralLSTiles(StagedMethod):
    """`spectral_ls` over the parts of a scene.

    Args:
        pair: the images and the tiles.
    """

    def __init__(self, pair: TiledPair) -> None:
        self._pair, self._map = pair, SceneMap(pair)

    def survey(self) -> Sequence[Stage]:
        """The fit of the map."""
        return (self._map.survey(),)

    def estimate(self) -> Sequence[Stage]:
        """The map and its corrections."""
        return (Stage(ESTIMATE, len(self._pair.grid), self._tile),)

    def finish(self, index: int) -> Cube:
        """See `StagedMethod.finish`."""
        return self._pair.store.load(ESTIMATE, index)

    def details(self) -> dict[str, Any]:
        """How far the images were believed, and what kind of map was fitted."""
        found, grid, store = self._map.found(), self._pair.grid, self._pair.store
        num_outliers = sum(int((store.load(WEIGHTS, i)[..., 0] < 0.5).sum()) for i in range(len(grid)))
        linear = found.penalty is not None and np.isinf(found.penalty)
        return {
            "disagreement": found.disagreement,
            "trust": round(found.trust, 4),
            "spectral_map": "linear" if linear else f"quadratic, penalty {found.penalty:g}",
            "outliers": round(num_outliers / grid.whole.num_pixels, 4),
        }

    def _tile(self, index: int) -> None:
        part = self._map.part(self._pair.grid.region(index))
        self._pair.store.save(ESTIMATE, index, part.estimate)


class FittedSpectralLS(SpectralLS):
    """`spectral_ls`: over a scene the fitted form of this module, in batches the plain one."""

    def tiles(self, pair: TiledPair) -> StagedMethod:
        """The fitted form over the parts of a scene."""
        return SpectralLSTiles(pair)


@dataclass(frozen=True, eq=False)
class FusedScene:
    """What `fuse_scene` makes of an observation.

    Attributes:
        estimate: (s h, s w, C) float32.
        fit: the map, its trust and weights.
    """

    estimate: Cube
    fit: MapFit


def fuse_scene(
    model: ObservationModel, lr_cube: Cube, hr_cube: Cube, *, counted: Mask | None = None
) -> FusedScene:
    """`spectral_ls` of one scene in memory.

    Args:
        model: the two cameras.
        lr_cube: X, (h, w, C) float32.
        hr_cube: Y, (s h, s w, c) float32.
        counted: (h, w), False for coarse pixels that map and trust leave out, see `hsr_tf.physics.nodata`;
            None for none.
    """
    scene = _surveyed(model, lr_cube, hr_cube, counted)
    whole = Region.whole(lr_cube.shape[:2])
    return FusedScene(scene.part(whole).estimate, scene.fit(whole))


def fit_scene(
    model: ObservationModel, lr_cube: Cube, hr_cube: Cube, *, counted: Mask | None = None
) -> MapFit:
    """The map of a scene in memory alone; arguments as `fuse_scene`."""
    return _surveyed(model, lr_cube, hr_cube, counted).fit(Region.whole(lr_cube.shape[:2]))


def _surveyed(model: ObservationModel, lr_cube: Cube, hr_cube: Cube, counted: Mask | None) -> SceneMap:
    scene = SceneMap(ArrayPair((lr_cube, hr_cube), model, counted=counted))
    run_stages([scene.survey()])
    return scene


def enlarged(weights: NDArray[Any], scale: int) -> NDArray[Any]:
    """Weights or a mask of coarse pixels (h, w) for the sharp pixels in them, (s h, s w)."""
    return weights.repeat(scale, 0).repeat(scale, 1)


def _sharp_moments(features: Cube, counted: Mask | None = None) -> Array:
    """Sum over the pixels of the products of features (..., K), in float64: (K, K).

    Args:
        features: F.
        counted: (...), False for pixels that take no part; None for none.
    """
    num_features = features.shape[-1]
    pixels = features.reshape(-1, num_features)
    kept = None if counted is None else counted.ravel()
    step = max(1, FLOATS_AT_ONCE // num_features)
    total = np.zeros((num_features, num_features))
    for start in range(0, len(pixels), step):
        rows = slice(start, start + step)
        block = (pixels[rows] if kept is None else pixels[rows][kept[rows]]).astype(np.float64)
        total += block.T @ block
    return total
