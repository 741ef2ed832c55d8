"""`spectral_ls` of a scene that no memory holds: the map fitted to all of it, and its parts.

The first stage keeps D F, the blurred features of each tile, and X. The closed form then fits its map to rows
of both, read across the tiles (`hsr_tf.closed_forms.map_fit`), as it does in memory. The base of a network
takes the plain map of `SpectralLS`, from triangular factors of [D F, X] that the tiles keep and that join
into the scene's (Demmel, Grigori, Hoemmen, Langou, "Communication-optimal parallel and sequential QR and LU
factorizations", SIAM J. Sci. Comput. 34(1), 2012). Either way map, trust and disagreement are the whole
scene's.

A part of the estimate then looks at few coarse pixels around it: those of the bicubic enlargement and of the
PSF, and as far as the inverse of D D* reaches. Where conjugate gradients take that inverse (a PSF that is not
separable or not symmetric) parts take it of a window wider by `FAR` coarse pixels, with which they agree to
about 1e-3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.arrays import ops
from hsr_tf.closed_forms.band_groups import enlarged
from hsr_tf.closed_forms.bases import DataConsistency, least_squares, quadratic_features
from hsr_tf.closed_forms.map_fit import (
    CoarsePair,
    SharpStatistics,
    fit_map,
    noise_places,
    sharp_moments,
    signal_share,
    trust_in,
)
from hsr_tf.closed_forms.noise_level import channel_noise
from hsr_tf.physics.nodata import is_enough
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.streaming.files import Cube, Mask
from hsr_tf.streaming.grid import Place
from hsr_tf.streaming.job import SHARED, Scenery, Stage

Tensor = Any
FAR, BICUBIC, BANDS_AT_ONCE = 16, 2, 8
FEATURES, COARSE, FACTOR = "features", "coarse", "factor"
CLEAN, UNCLEAN_FACTOR, MOMENTS, WEIGHTS = "clean", "unclean_factor", "moments", "weights"
UNCLEAN_MOMENTS = "unclean_moments"


@dataclass(frozen=True, eq=False)
class SharedMap:
    """What all parts of a scene share.

    Attributes:
        spectral_map: W, (K, C).
        trust: t, see `DataConsistency.trust`.
        disagreement: |X R - D Y| / |X R|.
        num_pixels: coarse pixels that count.
        masked: whether some pixels do not, see `hsr_tf.physics.nodata`.
        shares: (C,), see `MapFit`; None for the base of a network, which has no weights of pixels either.
        noise_energy: (C,), likewise.
        penalty: likewise.
    """

    spectral_map: NDArray[np.float32]
    trust: float
    disagreement: float
    num_pixels: int
    masked: bool
    shares: NDArray[np.float32] | None = None
    noise_energy: NDArray[np.float64] | None = None
    penalty: float | None = None

    def plain(self) -> dict[str, Any]:
        """Data for JSON."""
        arrays = {name: value.tolist() for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return {**vars(self), **arrays}

    @classmethod
    def of(cls, data: dict[str, Any]) -> SharedMap:
        """The inverse of `plain`."""
        types = {"spectral_map": np.float32, "shares": np.float32, "noise_energy": np.float64}
        arrays = {n: np.asarray(data[n], kind) for n, kind in types.items() if data[n] is not None}
        return cls(**{**data, **arrays})


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


class StreamedMap:
    """`spectral_ls` in parts.

    Args:
        scenery: the images and the tiles.
        model: the two cameras that the map is fitted for.
        base: whether it is the base of a network, the plain map of `SpectralLS`.
    """

    def __init__(self, scenery: Scenery, model: ObservationModel, *, base: bool = False) -> None:
        self._scenery, self._model, self._base = scenery, model, base
        self._inverse = model.spectral.pseudo_inverse().astype(np.float32)
        self._response = model.spectral.matrix.astype(np.float32)
        self.consistency = DataConsistency(model)
        reach = self.consistency.reach()
        self.reach = FAR if reach is None else reach
        self.blur = model.spatial.reach_cells

    def stage(self) -> Stage:
        """The pass that the map is fitted in."""
        if self._base:
            return Stage(FACTOR, len(self._scenery.grid), self._factors, self._fit_base)
        return Stage(MOMENTS, len(self._scenery.grid), self._moments, self._fit)

    def shared(self) -> SharedMap:
        """What the fit found."""
        told = self._scenery.draft.told(SHARED)
        assert told is not None
        return SharedMap.of(told)

    def weights(self, place: Place) -> tuple[Cube, Cube]:
        """Weights and usable pixels of a place, (h, w, 1) each, see `MapFit`."""
        if self._base:
            ones = np.ones((*place.size, 1), np.float32)
            return ones, ones
        both = self._scenery.draft.read(WEIGHTS, self._scenery.grid, place)
        return both[..., :1], both[..., 1:]

    def counted(self, shared: SharedMap, place: Place) -> Mask | None:
        """The coarse pixels (h, w) of a place that count, None for all."""
        if not shared.masked:
            return None
        return np.asarray(self._scenery.draft.read(CLEAN, self._scenery.grid, place)[..., 0])

    def lr_hsi(self, shared: SharedMap, place: Place) -> Cube:
        """X of a place, (h, w, C), as `hsr_tf.closed_forms.filling` has it."""
        scenery = self._scenery
        lr_hsi = scenery.draft.read(COARSE, scenery.grid, place)
        counted = self.counted(shared, place)
        if counted is None or counted.all():
            return lr_hsi
        blurred = scenery.draft.read(FEATURES, scenery.grid, place)
        agreeing = blurred @ shared.spectral_map
        agreeing += self._gap(shared, blurred) @ (shared.trust * self._inverse)
        return np.where(counted[..., None], lr_hsi, agreeing)

    def part(self, shared: SharedMap, place: Place) -> MapPart:
        """The estimate of a place, in coarse pixels."""
        scenery, near = self._scenery, max(BICUBIC, self.blur)
        around = scenery.grid.widened(place, near)
        lr_hsi, left, unexplained = self._left(shared, around)
        far = scenery.grid.widened(around, self.reach)
        solved = self.solved(unexplained, far, around)
        sharp = scenery.sharp(around)
        inner = place.within(around, scenery.grid.scale)
        weights, _ = self.weights(around)
        bands = self._bands(shared, (sharp, weights), left[around.within(far)], solved)
        estimate = np.empty((*(s.stop - s.start for s in inner), left.shape[-1]), np.float32)
        for where, values in bands:
            estimate[..., where] = values[inner]
        return MapPart(
            estimate,
            np.ascontiguousarray(unexplained[place.within(far)]),
            np.ascontiguousarray(lr_hsi[place.within(far)]),
            np.ascontiguousarray(sharp[inner]),
        )

    def solved(self, residual: Cube, far: Place, around: Place) -> Tensor:
        """(D D*)^-1 of a coarse image on `far`, (1, h, w, C) of what lies in `around`."""
        solution = self.consistency.solve(ops.convert_to_tensor(residual[None]))
        rows, cols = around.within(far)
        return solution[:, rows, cols]

    def _features(self, index: int) -> tuple[Cube, Cube, Mask]:
        """Keep D F and X of a tile; gives F, the columns [D F, X] and where they count."""
        grid, draft = self._scenery.grid, self._scenery.draft
        place = grid.place(index)
        around = grid.widened(place, self.blur)
        features = quadratic_features(ops.convert_to_tensor(self._scenery.sharp(around)[None]))
        blurred = ops.convert_to_numpy(self._model.spatial.forward(features))[0][place.within(around)]
        lr_hsi = self._scenery.coarse(place)
        draft.save(FEATURES, index, blurred)
        draft.save(COARSE, index, lr_hsi)
        clean = np.ones(place.size, bool)
        if any(self._scenery.found.holes):
            holes = self._scenery.missing(around)
            clean = holes.clean(self._model.spatial, around.size)[place.within(around)]
            draft.save(CLEAN, index, clean[..., None])
        sharp = np.asarray(ops.convert_to_numpy(features))[0][place.within(around, grid.scale)]
        return sharp, np.concatenate([blurred, lr_hsi], -1), clean

    def _factors(self, index: int) -> None:
        """The factor of [D F, X] of a tile."""
        _, columns, clean = self._features(index)
        if any(self._scenery.found.holes):
            self._scenery.draft.save(UNCLEAN_FACTOR, index, _triangle(columns[~clean]))
        self._scenery.draft.save(FACTOR, index, _triangle(columns[clean]))

    def _moments(self, index: int) -> None:
        """Products of the sharp features of a tile, of the pixels that count and of the others."""
        sharp, _, clean = self._features(index)
        kept = enlarged(clean, self._scenery.grid.scale)
        if any(self._scenery.found.holes):
            self._scenery.draft.save(UNCLEAN_MOMENTS, index, sharp_moments(sharp, ~kept))
        self._scenery.draft.save(MOMENTS, index, sharp_moments(sharp, kept))

    def _fit(self) -> None:
        """Fit the map of the closed form, and keep what all parts share."""
        grid, draft = self._scenery.grid, self._scenery.draft
        height, width = grid.size
        num_counted, enough = self._num_counted()
        masked = enough and num_counted < height * width
        everywhere = Place(slice(0, height), slice(0, width))
        counted = draft.read(CLEAN, grid, everywhere)[..., 0] if masked else None

        def read(rows: slice) -> tuple[Cube, Cube]:
            place = Place(rows, everywhere.cols)
            return draft.read(FEATURES, grid, place), draft.read(COARSE, grid, place)

        found = fit_map(CoarsePair(grid.size, read, counted), self._statistics(counted), self._model)
        for index in range(len(grid)):
            inner = grid.place(index).within(everywhere)
            draft.save(WEIGHTS, index, np.stack([found.weights[inner], found.usable[inner]], -1))
        shared = SharedMap(
            spectral_map=found.spectral_map,
            trust=found.trust,
            disagreement=found.disagreement,
            num_pixels=num_counted if enough else height * width,
            masked=masked,
            shares=found.shares,
            noise_energy=found.noise_energy,
            penalty=found.penalty,
        )
        draft.tell(SHARED, shared.plain())

    def _statistics(self, counted: Mask | None) -> SharpStatistics:
        """Moments and noise of the sharp pixels in the coarse pixels that count, None for all."""
        scenery, grid, draft = self._scenery, self._scenery.grid, self._scenery.draft
        places = noise_places(grid.size, grid.scale, counted)
        windows = [scenery.sharp(Place(*place)) for place in places]
        masks = None if counted is None else [enlarged(counted[place], grid.scale) for place in places]
        fields = [MOMENTS]
        if counted is None and any(scenery.found.holes):
            fields.append(UNCLEAN_MOMENTS)
        moments = sum(draft.load(field, index) for field in fields for index in range(len(grid)))
        num_pixels = grid.size[0] * grid.size[1] if counted is None else int(counted.sum())
        return SharpStatistics(
            np.asarray(moments) / (num_pixels * grid.scale**2), channel_noise(windows, masks)
        )

    def _num_counted(self) -> tuple[int, bool]:
        """Coarse pixels that could count, and whether a fit can rest on them."""
        grid, draft = self._scenery.grid, self._scenery.draft
        num_pixels = num_clean = grid.size[0] * grid.size[1]
        if any(self._scenery.found.holes):
            num_clean = sum(int(draft.load(CLEAN, index).sum()) for index in range(len(grid)))
        return num_clean, is_enough(num_clean, num_pixels) or num_clean == num_pixels

    def _fit_base(self) -> None:
        """Join the factors, and keep what all parts share."""
        grid, draft = self._scenery.grid, self._scenery.draft
        num_pixels = grid.size[0] * grid.size[1]
        num_clean, enough = self._num_counted()
        factor = np.zeros((0, draft.load(FACTOR, 0).shape[1]))
        for field in (FACTOR,) if enough else (FACTOR, UNCLEAN_FACTOR):
            for index in range(len(grid)):
                factor = _triangle(np.concatenate([factor, draft.load(field, index)]))
        found = fitted(factor, num_clean if enough else num_pixels, self._model)
        found = replace(found, masked=enough and num_clean < num_pixels)
        draft.tell(SHARED, found.plain())

    def _left(self, shared: SharedMap, around: Place) -> tuple[Cube, Cube, Cube]:
        """X, L and E as far around a place as the inverse reaches."""
        scenery = self._scenery
        far = scenery.grid.widened(around, self.reach)
        lr_hsi, blurred = self.lr_hsi(shared, far), scenery.draft.read(FEATURES, scenery.grid, far)
        left = lr_hsi - blurred @ shared.spectral_map
        weights, usable = self.weights(far)
        unexplained = weights * (left - self._gap(shared, blurred) @ self._inverse)
        plain = ((1 - shared.trust * weights) * usable * left).astype(np.float32)
        return lr_hsi, plain, unexplained.astype(np.float32)

    def _gap(self, shared: SharedMap, blurred: Cube) -> Cube:
        """D Y - B W R, what the map leaves of the blurred colours."""
        colours = blurred[..., 1 : 1 + self._response.shape[1]]
        return np.asarray(colours - blurred @ (shared.spectral_map @ self._response))

    def _bands(
        self, shared: SharedMap, sharp_and_weights: tuple[Cube, Cube], left: Cube, solved: Tensor
    ) -> Iterator[tuple[slice, Cube]]:
        """The estimate, some bands at a time, as `hsr_tf.closed_forms.band_groups` has it."""
        sharp, weights = sharp_and_weights
        features = quadratic_features(ops.convert_to_tensor(sharp))
        gap = sharp - ops.matmul(features, ops.convert_to_tensor(shared.spectral_map @ self._response))
        gap = gap * enlarged(weights[..., 0], self._model.scale)[..., None]
        trust, scale = shared.trust, self._model.scale
        for start in range(0, left.shape[-1], BANDS_AT_ONCE):
            bands = slice(start, start + BANDS_AT_ONCE)
            part = ops.matmul(features, ops.convert_to_tensor(shared.spectral_map[:, bands]))
            if trust < 1 or not self._base:
                plain = left[None, ..., bands]
                plain = (
                    plain if shared.shares is None else plain * signal_share(weights, shared.shares[bands])
                )
                part = part + bicubic_enlarge(ops.convert_to_tensor(plain), scale)[0]
            if trust > 0:
                part = part + trust * ops.matmul(gap, ops.convert_to_tensor(self._inverse[:, bands]))
                part = part + trust * self._model.spatial.adjoint(solved[..., bands])[0]
            yield bands, np.asarray(ops.convert_to_numpy(part))


def fitted(factor: NDArray[np.float64], num_pixels: int, model: ObservationModel) -> SharedMap:
    """Map, trust and disagreement from the triangular factor of [D F, X] of a scene.

    Args:
        factor: (n, K + C) with the inner products of the columns.
        num_pixels: coarse pixels that it was made from.
        model: the two cameras.
    """
    num_bands, num_channels = model.spectral.matrix.shape
    features, lr_hsi = factor[:, :-num_bands], factor[:, -num_bands:]
    level = np.sqrt(len(factor) / num_pixels)  # least_squares takes means over the rows
    columns = (ops.convert_to_tensor(level * part[None]) for part in (features, lr_hsi))
    spectral_map = np.asarray(ops.convert_to_numpy(least_squares(*columns)))[0]
    seen = lr_hsi @ model.spectral.matrix
    apart = _energy(seen - features[:, 1 : 1 + num_channels]) / (_energy(seen) + 1e-30)
    allowed = _energy(lr_hsi - features @ spectral_map) / (_energy(lr_hsi) + 1e-30)
    trust = trust_in(apart, allowed)
    return SharedMap(spectral_map.astype(np.float32), trust, float(np.sqrt(apart)), num_pixels, False)


def _triangle(columns: NDArray[Any]) -> NDArray[np.float64]:
    """R of the columns' QR factorisation."""
    return np.asarray(np.linalg.qr(columns.astype(np.float64), mode="r"))


def _energy(values: NDArray[np.float64]) -> float:
    return float(np.square(values).sum())
