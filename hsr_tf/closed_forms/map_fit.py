"""The spectral map of `spectral_ls`: its complexity and the pixels it believes, decided by the scene itself.

The map W takes the quadratic features F of a sharp pixel (`hsr_tf.closed_forms.quadratic_map`) to its
spectrum. It is fitted where the coarse cube X shows both, D F and X:

    W = argmin  sum_i w_i |x_i - (D F)_i W|^2 / sum_i w_i  +  tr W' (N + l S) W

- w, weights of the coarse pixels. X R and D Y show the same thing; where they differ by more than three times
  the upper quartile of the differences away from the border, or six times their median (a wrong border, a
  cloud, a moved object, saturation), w falls with the fourth power of it: with the second one, changed ground
  still bends the map.
- N, covariance of the noise that the sharp features have and the blurred ones have not (`feature_noise`).
  Without it the map of nearly collinear channels amplifies their noise. This is errors-in-variables
  regression with a known error covariance (Fuller, Measurement Error Models, 1987, section 2.3), with the
  sign that suits a prediction from noisy features: it shrinks instead of undoing the attenuation.
- l S, a penalty on what the products of channels add to the map in the sharp image beyond its linear part:
  S is the Schur complement of the linear features in the second moments of F over the sharp pixels. The map
  is fitted to blurred pixels and applied to sharp ones, which lie further out, where products extrapolate.

The weight l, from none to infinite (a linear map), is the one whose predicted error in the sharp image is
smallest, with blocks of coarse pixels held out in turn (`fold_map`):

    4 rho + tr W' N W + v (n + 8 (e - n))

with e the mean squared error of the held-out pixels, rho the part of it that differs from pixel to pixel (it
becomes detail of the sharp image, and is not corrected by enlarging what the map leaves of X), n the noise of
X, and v the mean leverage of a sharp pixel in the fit. The factors say that coarse pixels show a quarter of
the energy of the sharp detail, and that the errors of eight neighbours count as one; both were chosen on
scenes of the CAVE training set. Without noise the linear part of the penalty does nothing.

Where pixels of X are missing, the sharp image has colours that no coarse pixel shows, and the held-out error
does not know of them. With a share m of them missing, the next larger l is taken if its predicted error is at
most m / 4 above the smallest.

All sums are taken over rows of the coarse images, so that a scene in memory and one in files give the same
map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.closed_forms.held_out import NUM_FOLDS, fold_map
from hsr_tf.closed_forms.noise_level import band_noise_of, feature_noise
from hsr_tf.physics.nodata import is_enough
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.typing import Array, Cube

BREAK_EVEN = 0.025
PENALTIES = (np.inf, 3.0, 1.0, 0.3, 0.1, 0.03, 0.0)
DETAIL_ENERGY, NEIGHBOURS_AS_ONE = 4.0, 8.0
USUAL, USUAL_COMPLETED, OUTLIER, DAMPING = 0.75, 0.95, 3.0, 3e-5
SMALLEST_GAP, SMALLEST_EDGE, SPREAD = 1e-4, 0.02, 2.0
ALIKE = 0.25
FLOATS_AT_ONCE = 2**20
SMALLEST_TRUST, NOISE_TWICE, TINY = 1e-3, 2.0, 1e-30


@dataclass(frozen=True)
class FitRule:
    """How a map is fitted.

    Attributes:
        penalties: candidates for l.
        outlier: times the usual gap from which on a coarse pixel loses weight, but for wrong edges, which
            lose it from 3 on.
    """

    penalties: tuple[float, ...] = PENALTIES
    outlier: float = OUTLIER


@dataclass(frozen=True, eq=False)
class CoarsePair:
    """The two images on the coarse grid, row by row.

    Attributes:
        size: (h, w).
        read: gives D F (n, w, K) and X (n, w, C) of some rows.
        counted: (h, w), False for pixels that take no part, see `hsr_tf.physics.nodata`; None for none.
        compared: (h, w), False for pixels in which the images agree because Y was completed from X
            (`hsr_tf.physics.completed_holes`), and which say nothing of their agreement; None for none.
        shares: (h, w), by which pixels count beside the weights of their agreement; None for 1.
    """

    size: tuple[int, int]
    read: Callable[[slice], tuple[Cube, Cube]]
    counted: NDArray[np.bool_] | None = None
    compared: NDArray[np.bool_] | None = None
    shares: Cube | None = None

    def strips(self, halo: int = 0) -> Iterator[tuple[slice, slice, Cube, Cube]]:
        """Rows of the strip, rows that were read (with a halo), D F and X of the latter."""
        height, width = self.size
        features, lr_hsi = self.read(slice(0, 1))
        step = max(1, FLOATS_AT_ONCE // (width * (features.shape[-1] + lr_hsi.shape[-1])))
        for start in range(0, height, step):
            rows = slice(start, min(start + step, height))
            around = slice(max(0, rows.start - halo), min(height, rows.stop + halo))
            yield rows, around, *self.read(around)


@dataclass(frozen=True, eq=False)
class SharpStatistics:
    """What the fit needs of the sharp image.

    Attributes:
        moments: (K, K), mean products of the features over the sharp pixels that count.
        noise: (c,), standard deviation of the noise of each channel, see `channel_noise`.
    """

    moments: Array
    noise: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class SpectralMap:
    """What the fit of a map finds for the whole scene.

    Attributes:
        spectral_map: W, (K, C) float32.
        trust: how far both images are believed, 0 to 1 (`DataConsistency.trust`), by the weighted pixels.
        disagreement: |X R - D Y| / |X R| of the weighted pixels.
        masked: whether some coarse pixels do not count, see `hsr_tf.physics.nodata`.
        shares: (C,) float32, the share of what the map leaves of X that is not noise of X; None for the plain
            map, which has no weights of pixels either.
        noise_energy: (C,), mean square of the noise of each band of X; likewise.
        penalty: l; infinite for a linear map; likewise.
        smoothness: how much of what the map leaves of a coarse pixel its neighbours say, 0 for white noise
            to 1.
        channel_variance: (c,), mean square of the noise of each channel of Y; likewise.
        unexplained: what of `disagreement` twice the noise of X does not explain; likewise.
    """

    spectral_map: Cube
    trust: float
    disagreement: float
    masked: bool = False
    shares: Cube | None = None
    noise_energy: Array | None = None
    penalty: float | None = None
    smoothness: float = 0.0
    channel_variance: Array | None = None
    unexplained: float | None = None

    def plain(self) -> dict[str, Any]:
        """Data for JSON."""
        values = {one.name: getattr(self, one.name) for one in fields(SpectralMap)}
        return {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in values.items()}

    @classmethod
    def of(cls, data: dict[str, Any]) -> SpectralMap:
        """The inverse of `plain`."""
        types: dict[str, type] = {
            "spectral_map": np.float32,
            "shares": np.float32,
            "noise_energy": np.float64,
            "channel_variance": np.float64,
        }
        given = {name: data[name] for name in types if data[name] is not None}
        arrays: dict[str, Any] = {name: np.asarray(value, types[name]) for name, value in given.items()}
        return SpectralMap(**{**data, **arrays})


@dataclass(frozen=True, eq=False, kw_only=True)
class MapFit(SpectralMap):
    """A fitted map with the weights of the coarse pixels.

    Attributes:
        weights: w, (h, w) float32, 1 for a coarse pixel in which the images agree.
        usable: v, (h, w) float32, below 1 along an edge of X that does not show what Y shows, by 2 % and
            more: X was made with another border, or ends there. It is the usual |L|^2 over that of the pixel,
            L what the map leaves of X. Elsewhere 1: what disagrees may be a fault of either image, and the
            estimate keeps to X. 0 for pixels that do not count.
    """

    weights: Cube
    usable: Cube


def trust_in(apart: float, allowed: float) -> float:
    """How far both images are believed, 0 to 1; see `DataConsistency.trust`. Less than 1e-3 is none.

    Args:
        apart: |X R - D Y|^2 / |X R|^2.
        allowed: |X - D Z|^2 / |X|^2 of the estimate before projection.
    """
    trust = 1.0 / (1.0 + (apart / max(allowed * BREAK_EVEN**2, 1e-10)) ** 2)
    return trust if trust >= SMALLEST_TRUST else 0.0


def signal_share(weights: Cube, shares: Cube) -> Cube:
    """1 - w (1 - u) of weights (h, w, 1) and the shares of some bands, see `MapFit`."""
    return np.asarray(1.0 - weights * (1.0 - shares), np.float32)


def fit_map(
    pair: CoarsePair,
    sharp: SharpStatistics,
    model: ObservationModel,
    *,
    masked: bool = False,
    rule: FitRule = FitRule(),
) -> MapFit:
    """Fit the map of one scene.

    Args:
        pair: D F and X.
        sharp: moments and noise of the features at full resolution.
        model: the two cameras.
        masked: see `SpectralMap`.
        rule: candidates and limits.
    """
    return replace(_MapFitting(pair, sharp, model, rule).best(), masked=masked)


class _MapFitting:
    """The sums of one scene and the maps that follow from them."""

    def __init__(
        self, pair: CoarsePair, sharp: SharpStatistics, model: ObservationModel, rule: FitRule
    ) -> None:
        self._pair, self._model, self._rule = pair, model, rule
        self._response = model.spectral.matrix
        self._num_channels = self._response.shape[1]
        self._moments = sharp.moments
        self._weights, self._wrong_edges, gap = self._agreement()
        self._in_fit = np.square(self._weights if pair.shares is None else self._weights * pair.shares)
        self._folds = fold_map(*pair.size)
        # Weighted products of the columns of [D F, X], of each fold, (5, K + C, K + C).
        size = len(self._moments) + len(self._response)
        grams = np.zeros((NUM_FOLDS, size, size))
        for rows, _, features, lr_hsi in self._pair.strips():
            columns = np.concatenate([features, lr_hsi], -1).astype(np.float64)
            folds, weights = self._folds[rows], self._in_fit[rows]
            for fold in range(NUM_FOLDS):
                inside = folds == fold
                part = columns[inside]
                grams[fold] += (part * weights[inside][:, None]).T @ part
        self._grams = grams
        self._gram, self._total = self._grams.sum(0), max(float(self._in_fit.sum()), TINY)
        self._gap = float(gap.sum() / max(float(self._in_fit[self._compared].sum()), TINY))
        sharpness = float(np.square(model.spatial.psf.kernel).sum())
        self._variance = np.minimum(np.square(sharp.noise), self._gap / sharpness)
        self._noise = feature_noise(sharp.moments, self._variance) * max(0.0, 1.0 - sharpness)
        self._products = _excess_of_products(sharp.moments, 1 + self._num_channels)
        # Mean square of the noise of each band of X, (C,): the lower of two bounds. X R - D Y bounds it,
        # taken as of one signal-to-noise ratio in all bands, where the cameras are right. What other bands do
        # not explain bounds it whatever the cameras (`band_noise_of`).
        num_features = len(self._moments)
        second = self._gram[num_features:, num_features:]
        mean = self._gram[0, num_features:] / self._total  # the first feature is the constant 1
        energy = np.diag(second) / self._total
        seen = max(float((energy @ np.square(self._response)).sum()), TINY)
        by_bands = band_noise_of(second - self._total * np.outer(mean, mean), self._total)
        self._coarse_noise = np.minimum(self._gap / seen * energy, np.square(by_bands))

    def best(self) -> MapFit:
        """The map with the smallest predicted error."""
        penalties = self._rule.penalties
        if len(penalties) == 1:
            return self._fit(self._map(self._gram, penalties[0]), penalties[0])
        maps = {penalty: self._fold_maps(penalty) for penalty in penalties}
        errors = self._held_out_errors({penalty: found[1:] for penalty, found in maps.items()})
        scores = {p: self._score(p, maps[p][0], *errors[p]) for p in penalties}
        penalty = self._cautious(scores)
        error, rough = errors[penalty]
        smoothness = float(np.clip(1.0 - rough / max(error, TINY), 0.0, 1.0))
        return replace(self._fit(maps[penalty][0], penalty), smoothness=smoothness)

    def _cautious(self, scores: Mapping[float, float]) -> float:
        """The l of the smallest predicted error; of missing pixels the next larger one if nearly as good."""
        ordered = sorted(scores)
        best = min(ordered, key=scores.__getitem__)
        larger = next((penalty for penalty in ordered if best < penalty < np.inf), best)
        missing = 0.0 if self._pair.counted is None else 1.0 - float(self._pair.counted.mean())
        return larger if scores[larger] <= (1.0 + ALIKE * missing) * scores[best] else best

    @cached_property
    def _compared(self) -> NDArray[np.bool_]:
        """The pixels by which the agreement of the images is measured."""
        counted, compared = self._pair.counted, self._pair.compared
        inside = np.ones(self._pair.size, bool) if counted is None or not counted.any() else counted
        if compared is None or not is_enough(int(compared.sum()), compared.size):
            return inside
        return compared

    def _agreement(self) -> tuple[Cube, NDArray[np.bool_], Array]:
        """Weights, wrong edges, and the weighted squares of X R - D Y summed over the pixels, (c,)."""
        squares = np.empty((*self._pair.size, self._num_channels))
        level = np.zeros(self._num_channels)
        for rows, _, features, lr_hsi in self._pair.strips():
            colours = features[..., 1 : 1 + self._num_channels].astype(np.float64)
            squares[rows] = np.square(lr_hsi @ self._response - colours)
            level += np.square(colours).sum((0, 1))
        level = np.maximum(level / max(1, self._pair.size[0] * self._pair.size[1]), TINY)
        counted = self._pair.counted
        inside = np.ones(self._pair.size, bool) if counted is None or not counted.any() else counted
        gap = np.sqrt((squares / level).mean(-1))
        reach = self._model.spatial.reach_cells
        usual, largest = np.empty(inside.shape), np.empty(inside.shape)
        groups = ((self._compared, USUAL), (~self._compared, USUAL_COMPLETED))
        for alike, share in groups:
            away = alike & inside & _inner(inside.shape, reach)
            some = away if away.any() else alike & inside
            middle, upper = np.quantile(gap[some], (0.5, share)) if some.any() else (0.0, 0.0)
            usual[alike] = max(float(upper), SMALLEST_GAP)
            # Where more than a quarter of the pixels disagree, the upper quartile is one of theirs. Completed
            # pixels differ as much as they are completed, so that their median says nothing.
            usable_gap = min(upper, SPREAD * middle) if share == USUAL else upper
            largest[alike] = max(float(usable_gap), SMALLEST_GAP)
        wrong = inside & _wrong_edges(gap / np.maximum(usual, SMALLEST_EDGE / OUTLIER), reach)
        largest *= np.where(wrong, OUTLIER, self._rule.outlier)
        weights = np.square(np.minimum(1.0, largest / np.maximum(gap, TINY))) * inside
        gaps = squares * (np.square(weights) * self._compared)[..., None]
        return weights.astype(np.float32), wrong, gaps.sum((0, 1))

    def _fold_maps(self, penalty: float) -> Array:
        """The map of all pixels, and those without one fold, (1 + 5, K, C)."""
        return np.stack([self._map(gram, penalty) for gram in (self._gram, *(self._gram - self._grams))])

    def _columns(self, penalty: float) -> slice:
        """The features that a map uses."""
        return slice(0, 1 + self._num_channels if np.isinf(penalty) else len(self._moments))

    def _system(self, gram: Array, penalty: float) -> tuple[Array, Array, float]:
        """Normal matrix of the features over their lengths, the lengths, and the sum of weights."""
        used = self._columns(penalty)
        total = max(float(gram[0, 0]), TINY)
        length = np.sqrt(np.maximum(np.diag(gram)[used] / total, 0.0)) + 1e-12
        matrix = gram[used, used] / total + self._noise[used, used]
        if np.isfinite(penalty):
            matrix = matrix + penalty * self._products
        return matrix / np.outer(length, length) + DAMPING**2 * np.eye(len(length)), length, total

    def _map(self, gram: Array, penalty: float) -> Array:
        """W for one set of sums, with zeros for features that are not used."""
        num_features, used = len(self._moments), self._columns(penalty)
        matrix, length, total = self._system(gram, penalty)
        right = gram[used, num_features:] / total / length[:, None]
        spectral_map = np.zeros((num_features, len(self._response)))
        spectral_map[used] = np.linalg.solve(matrix, right) / length[:, None]
        return spectral_map

    def _held_out_errors(self, maps: dict[float, Array]) -> dict[float, tuple[float, float]]:
        """Mean squared error of the held-out pixels, summed over the bands, and its rough part."""
        sums = {penalty: np.zeros(2) for penalty in maps}
        for rows, around, features, lr_hsi in self._pair.strips(halo=1):
            folds, weights = self._folds[around], self._in_fit[around]
            inner = slice(rows.start - around.start, rows.stop - around.start)
            for penalty, found in maps.items():
                residual = lr_hsi.astype(np.float64)
                for fold in range(NUM_FOLDS):
                    residual[folds == fold] -= features[folds == fold] @ found[fold]
                rough = residual - _mean_of_neighbours(residual, weights)
                for number, error in enumerate((residual, 0.8**0.5 * rough)):  # 1 + 1/4 of white noise
                    sums[penalty][number] += np.square(error[inner]).sum(-1).ravel() @ weights[inner].ravel()
        return {p: (float(e / self._total), float(rho / self._total)) for p, (e, rho) in sums.items()}

    def _score(self, penalty: float, spectral_map: Array, error: float, rough: float) -> float:
        """The predicted squared error in the sharp image, summed over the bands."""
        matrix, length, total = self._system(self._gram, penalty)
        used = self._columns(penalty)
        lengths = np.outer(length, length)
        sharp = np.linalg.solve(matrix, self._moments[used, used] / lengths)
        coarse = np.linalg.solve(matrix, self._gram[used, used] / total / lengths)
        leverage = float(np.trace(coarse @ sharp)) / total
        amplified = float((spectral_map * (self._noise @ spectral_map)).sum())
        noise = min(float(self._coarse_noise.sum()), error)
        spread = leverage * (noise + NEIGHBOURS_AS_ONE * (error - noise))
        return DETAIL_ENERGY * rough + amplified + spread

    def _fit(self, spectral_map: Array, penalty: float) -> MapFit:
        """The chosen map with its trust and shares, from the sums."""
        num_features = len(self._moments)
        joint = np.concatenate([-spectral_map, np.eye(len(self._response))])
        left = np.maximum((joint * (self._gram @ joint)).sum(0), 0.0) / self._total
        second = self._gram[num_features:, num_features:] / self._total
        seen = float((self._response * (second @ self._response)).sum())
        apart = self._gap / max(seen, TINY)
        noise = float((self._coarse_noise @ np.square(self._response)).sum()) / max(seen, TINY)
        shares = np.clip(1.0 - self._coarse_noise / np.maximum(left, TINY), 0.0, 1.0)
        # v of `MapFit`; `usual` is |L|^2 of a pixel in which the images agree.
        usual = float(left.sum())
        counted = self._pair.counted
        usable = np.ones(self._pair.size, np.float32) if counted is None else counted.astype(np.float32)
        if self._wrong_edges.any():
            for rows, _, features, lr_hsi in self._pair.strips():
                energy = np.square(lr_hsi - features @ spectral_map).sum(-1)
                wrong = self._wrong_edges[rows]
                usable[rows][wrong] = np.minimum(1.0, usual / np.maximum(energy, TINY))[wrong]
        return MapFit(
            spectral_map=spectral_map.astype(np.float32),
            weights=self._weights,
            usable=usable,
            shares=shares.astype(np.float32),
            noise_energy=self._coarse_noise,
            trust=trust_in(apart, float(left.sum()) / max(float(np.trace(second)), TINY)),
            disagreement=float(np.sqrt(apart)),
            unexplained=float(np.sqrt(max(0.0, apart - NOISE_TWICE * noise))),
            penalty=penalty,
            channel_variance=self._variance,
        )


def _excess_of_products(moments: Array, num_linear: int) -> Array:
    """S, (K, K): second moments of the products less what the linear features explain; zero elsewhere."""
    length = np.sqrt(np.maximum(np.diag(moments), TINY))
    normal = moments / np.outer(length, length) + 1e-9 * np.eye(len(length))
    linear, products = slice(0, num_linear), slice(num_linear, None)
    explained = normal[products, linear] @ np.linalg.solve(normal[linear, linear], normal[linear, products])
    values, vectors = np.linalg.eigh(normal[products, products] - explained)
    excess = np.zeros_like(moments)
    excess[products, products] = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return excess * np.outer(length, length)


def _inner(size: tuple[int, ...], width: int) -> NDArray[np.bool_]:
    """Pixels of (h, w) further than `width` from the border."""
    rows, columns = (np.minimum(np.arange(n), np.arange(n)[::-1]) >= width for n in size)
    return rows[:, None] & columns


def _wrong_edges(gap: Array, width: int) -> NDArray[np.bool_]:
    """Pixels that disagree along those edges of (h, w) that disagree as a whole; gap is 1 for a usual one."""
    wrong = np.zeros(gap.shape, bool)
    for turned in (slice(None), slice(None, None, -1)):
        for view, marks in ((gap[turned], wrong[turned]), (gap.T[turned], wrong.T[turned])):
            for row in range(width if len(view) > 3 * width else 0):
                if np.median(view[row]) <= OUTLIER:
                    break
                marks[row] |= view[row] > OUTLIER
    return wrong


def _mean_of_neighbours(image: Array, weights: NDArray[np.float32]) -> Array:
    """Weighted mean of the four neighbours of each pixel of (h, w, C); zero where they have no weight."""
    height, width = weights.shape
    padded = np.pad(image * weights[..., None], ((1, 1), (1, 1), (0, 0)))
    around = np.pad(weights, 1)
    places = [(0, 1), (2, 1), (1, 0), (1, 2)]
    total = sum(padded[r : r + height, c : c + width] for r, c in places)
    weight = sum(around[r : r + height, c : c + width] for r, c in places)
    return np.asarray(total / np.maximum(weight, 1e-6)[..., None])
