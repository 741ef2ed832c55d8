"""The spectral map of `spectral_ls`: its complexity and the pixels it believes, decided by the scene itself.

The map W takes the quadratic features F of a sharp pixel (`hsr_tf.closed_forms.quadratic_map`) to its
spectrum. It is fitted where the coarse cube X shows both, D F and X:

    W = argmin  (4 <|d (X - D F W)|^2> + k <|X - D F W|^2>) / max(1, k)  +  tr W' (N + l S) W

- <>, means over the coarse pixels by the squares of their weights (`hsr_tf.closed_forms.coarse_pair`): by the
  weights, changed ground still bends the map.
- d, a pixel less the mean of its four neighbours. What the map leaves of X differs little from pixel to
  pixel (materials of the same colour), and X itself corrects it; only the detail of the sharp image rests on
  the map alone. To fit differences is generalised least squares for such smooth errors. With noise in X the
  levels of the pixels count as well, by k; an infinite k leaves them alone.
- N, covariance of the noise that the sharp features have and the blurred ones have not (`feature_noise`).
  Without it the map of nearly collinear channels amplifies their noise. This is errors-in-variables
  regression with a known error covariance (Fuller, Measurement Error Models, 1987, section 2.3), with the
  sign that suits a prediction from noisy features: it shrinks instead of undoing the attenuation.
- l S, a penalty on what the products of channels add to the map in the sharp image beyond its linear part:
  S is the Schur complement of the linear features in the second moments of F over the sharp pixels. The map
  is fitted to blurred pixels and applied to sharp ones, which lie further out, where products extrapolate.

The error in the sharp image of each k and l, from none to infinite (a linear map), is predicted with blocks
of coarse pixels held out in turn (`fold_map`):

    E(k, l) = 4 rho  +  tr W' N W  +  4 v  +  sum_b n_b (1 - n_b / e_b)

with e_b the mean squared error of the levels of the held-out pixels in band b, rho that of their differences
over all bands (it becomes detail of the sharp image), n_b the noise of X, and v the variance of the detail of
the sharp image that comes from the maps' own, by the jackknife over the folds: 4/5 of the sum of
tr U' (M - G) U, U the deviation of a map from their mean, M and G the second moments of the sharp and the
blurred features. The last term is what the noise of X lets stand of the errors of the levels. The factors
were chosen on scenes of the CAVE training set: coarse pixels show a quarter of the energy of the sharp
detail.

The maps are averaged with shares exp(-20 E / min E), so that near ties, which a few missing pixels turn, do
not change the estimate.

Where the images are not believed and differ as by a PSF of another width (`blur_share`), the maps are fitted
to levels alone: the wrong width spoils differences first. That is worth -0.3 to 5 dB on training scenes.

All sums are taken over rows of the coarse images, so that a scene in memory and one in files give the same
map.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.closed_forms.coarse_pair import TINY, CoarsePair, pixel_weights
from hsr_tf.closed_forms.held_out import NUM_FOLDS, fold_map
from hsr_tf.closed_forms.misfit import blur_share, doubt_in_values
from hsr_tf.closed_forms.noise_level import band_noise_of, feature_noise
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.typing import Array, Cube

BREAK_EVEN = 0.025
PENALTIES = (np.inf, 3.0, 1.0, 0.3, 0.1, 0.03, 0.0)
LEVELS = (np.inf, 3.0, 1.0, 0.3, 0.1, 0.01)
DETAIL_ENERGY, SPREAD_COUNTS = 4.0, 4.0
OF_WHITE_NOISE = 0.8
ALIKE, SMALLEST_SHARE = 0.05, 1e-3
DAMPING, SMALLEST_TRUST, NOISE_TWICE = 3e-5, 1e-3, 2.0
BELIEVED, WRONG_BLUR, SMALLEST_JUDGED = 0.01, 0.1, 12


@dataclass(frozen=True)
class Complexity:
    """What the scene decides of its map.

    Attributes:
        levels: k, how much the levels of the pixels count beside their differences; infinite for these alone.
        penalty: l; infinite for a linear map.
    """

    levels: float
    penalty: float


@dataclass(frozen=True)
class FitRule:
    """How a map is fitted.

    Attributes:
        candidates: whose maps are averaged.
        shares: of the candidates in the average; None for what their predicted errors say.
    """

    candidates: tuple[Complexity, ...] = tuple(Complexity(k, p) for k in LEVELS for p in PENALTIES)
    shares: tuple[float, ...] | None = None

    def repeating(self, mixture: Array) -> FitRule:
        """The rule of a map like one that was fitted, see `SpectralMap.mixture`."""
        candidates = tuple(Complexity(float(k), float(p)) for k, p, _ in mixture)
        return replace(self, candidates=candidates, shares=tuple(float(share) for share in mixture[:, 2]))


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
        mixture: (n, 3), k and l of the maps that are averaged, and the share of each; likewise.
        penalty: l of the one with the largest share; likewise.
        smoothness: how much of what the map leaves of a coarse pixel its neighbours say, 0 for white noise
            to 1.
        channel_variance: (c,), mean square of the noise of each channel of Y; likewise.
        miscoloured: what of `disagreement` speaks against the values of Y (`doubt_in_values`), less noise.
    """

    spectral_map: Cube
    trust: float
    disagreement: float
    masked: bool = False
    shares: Cube | None = None
    noise_energy: Array | None = None
    mixture: Array | None = None
    penalty: float | None = None
    smoothness: float = 0.0
    channel_variance: Array | None = None
    miscoloured: float | None = None

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
            "mixture": np.float64,
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
    """Fit the map of one scene, from D F and X and the statistics of the sharp features.

    `masked` is that of `SpectralMap`.
    """
    return replace(_MapFitting(pair, sharp, model, rule).best(), masked=masked)


@dataclass(frozen=True, eq=False)
class MeanProducts:
    """Mean products of the columns of [D F, X], (K + C, K + C) each.

    Attributes:
        levels: of the values of the pixels.
        details: of their differences from the mean of their neighbours, times 4/5: as large as of the values
            where they are white noise.
    """

    levels: Array
    details: Array

    def used(self, levels: float) -> Array:
        """Those that a map is fitted to, see `Complexity`."""
        if np.isinf(levels):
            return self.levels
        return (DETAIL_ENERGY * self.details + levels * self.levels) / max(1.0, levels)


class _FoldSums:
    """The same products, weighted and summed over the pixels of each fold.

    Args:
        pair: D F and X.
        weights: (h, w), of the pixels.
        detailed: whether differences are needed.
    """

    def __init__(self, pair: CoarsePair, weights: Cube, *, detailed: bool) -> None:
        features, lr_hsi = pair.read(slice(0, 1))
        size = features.shape[-1] + lr_hsi.shape[-1]
        self._sums = np.zeros((2, NUM_FOLDS, size, size))
        self.counts = np.zeros((2, NUM_FOLDS))
        folds = fold_map(*pair.size)
        for rows, around, features, lr_hsi in pair.strips(halo=int(detailed)):
            columns = np.concatenate([features, lr_hsi], -1).astype(np.float64)
            inner = slice(rows.start - around.start, rows.stop - around.start)
            values: list[tuple[Array, NDArray[np.floating[Any]]]] = [(columns[inner], weights[rows])]
            if detailed:
                mean, known = _mean_of_neighbours(columns, weights[around])
                values.append(((columns - mean)[inner], (known * weights[around])[inner]))
            for number, (image, shares) in enumerate(values):
                for fold in range(NUM_FOLDS):
                    inside = folds[rows] == fold
                    part, share = image[inside], shares[inside]
                    self._sums[number, fold] += (part * share[:, None]).T @ part
                    self.counts[number, fold] += share.sum()
        self._sums[1] *= OF_WHITE_NOISE

    def mean(self, without: int | None = None) -> MeanProducts:
        """Of all pixels, or of those that are not in a fold."""
        kept = np.arange(NUM_FOLDS) != without
        count = np.maximum(self.counts[:, kept].sum(1), TINY)
        return MeanProducts(*(self._sums[:, kept].sum(1) / count[:, None, None]))

    def held_out(self, maps: Array) -> tuple[Array, Array]:
        """Mean squares of what maps (5, K, C) leave of the fold that each has not seen.

        Returns:
            Of the values and of the differences, (C,) each.
        """
        left = [[_left_of(one, w) for one, w in zip(sums, maps, strict=True)] for sums in self._sums]
        count = np.maximum(self.counts.sum(1), TINY)
        of_levels, of_details = np.sum(left, 1) / count[:, None]
        return of_levels, of_details


class _MapFitting:
    """The sums of one scene and the maps that follow from them."""

    def __init__(
        self, pair: CoarsePair, sharp: SharpStatistics, model: ObservationModel, rule: FitRule
    ) -> None:
        self._pair, self._rule = pair, rule
        self._response = model.spectral.matrix
        self._num_linear = 1 + self._response.shape[1]
        self._moments = sharp.moments
        self._agreed = pixel_weights(pair, model)
        in_fit = np.square(self._agreed.weights)
        detailed = any(np.isfinite(candidate.levels) for candidate in rule.candidates)
        self._sums = _FoldSums(pair, in_fit, detailed=detailed)
        self._mean = self._sums.mean()
        if pair.gap is None:
            self._gap = float(self._agreed.gaps.sum() / max(float(in_fit[self._agreed.compared].sum()), TINY))
        else:
            self._gap = pair.gap(self._agreed.weights)
        sharpness = float(np.square(model.spatial.psf.kernel).sum())
        self._variance = np.minimum(np.square(sharp.noise), self._gap / sharpness)
        self._noise = feature_noise(sharp.moments, self._variance) * max(0.0, 1.0 - sharpness)
        self._products = _excess_of_products(sharp.moments, self._num_linear)
        # Mean square of the noise of each band of X, (C,): the lower of two bounds. X R - D Y bounds it,
        # taken as of one signal-to-noise ratio in all bands, where the cameras are right. What other bands do
        # not explain bounds it whatever the cameras (`band_noise_of`).
        num_features, total = len(self._moments), max(float(in_fit.sum()), TINY)
        second = self._mean.levels[num_features:, num_features:]
        mean = self._mean.levels[0, num_features:]  # the first feature is the constant 1
        energy = np.diag(second)
        seen = max(float((energy @ np.square(self._response)).sum()), TINY)
        by_bands = band_noise_of(total * (second - np.outer(mean, mean)), total)
        self._coarse_noise = np.minimum(self._gap / seen * energy, np.square(by_bands))

    def best(self) -> MapFit:
        """The mean map of the candidates, by their predicted errors."""
        if self._rule.shares is not None:
            return self._mixed(np.array(self._rule.shares))
        scores, rough = self._judged()
        found = self._judged_fit(scores, rough)
        of_levels = np.isinf([candidate.levels for candidate in self._rule.candidates])
        few = min(self._pair.size) < SMALLEST_JUDGED
        if few or found.trust > BELIEVED or of_levels.all() or not of_levels.any():
            return found
        if blur_share(self._mean.details, self._response) < WRONG_BLUR:
            return found
        return self._judged_fit(np.where(of_levels, scores, np.inf), rough)

    def _judged_fit(self, scores: Array, rough: Array) -> MapFit:
        """The mean map with shares by these predicted errors, and `SpectralMap.smoothness`."""
        least = max(float(scores.min()), TINY)
        shares = np.exp((least - scores) / (ALIKE * least))
        shares /= shares.sum()
        return replace(self._mixed(shares), smoothness=float(np.clip(1.0 - shares @ rough, 0.0, 1.0)))

    def _mixed(self, shares: Array) -> MapFit:
        """The mean map with these shares of the candidates, but for those that hardly count."""
        kept = [pair for pair in zip(self._rule.candidates, shares, strict=True) if pair[1] >= SMALLEST_SHARE]
        total = sum(share for _, share in kept)
        mixture = np.array([(one.levels, one.penalty, share / total) for one, share in kept])
        spectral_map = sum(share / total * self._map(self._mean, one) for one, share in kept)
        return self._fit(np.asarray(spectral_map), mixture)

    def _judged(self) -> tuple[Array, Array]:
        """Predicted errors of the candidates, and how rough what they leave is: see `_judged_fit`."""
        seen = [self._sums.mean(without=fold) for fold in range(NUM_FOLDS)]
        scores, rough = [], []
        for candidate in self._rule.candidates:
            maps = np.stack([self._map(mean, candidate) for mean in seen])
            of_levels, of_details = self._sums.held_out(maps)
            scores.append(self._predicted(maps, of_levels, of_details))
            rough.append(float(of_details.sum()) / max(float(of_levels.sum()), TINY))
        return np.array(scores), np.array(rough)

    def _predicted(self, maps: Array, of_levels: Array, of_details: Array) -> float:
        """The predicted squared error in the sharp image, summed over the bands.

        Args:
            maps: (5, K, C), each without one fold.
            of_levels, of_details: what they leave of the fold, see `_FoldSums.held_out`.
        """
        mean = maps.mean(0)
        amplified = float((mean * (self._noise @ mean)).sum())
        num_features = len(mean)
        detail = self._moments - self._mean.levels[:num_features, :num_features]
        spread = sum(float((apart * (detail @ apart)).sum()) for apart in maps - mean)
        noise = np.minimum(self._coarse_noise, of_levels)
        level = float((noise * (1.0 - noise / np.maximum(of_levels, TINY))).sum())
        spread *= SPREAD_COUNTS * (NUM_FOLDS - 1) / NUM_FOLDS
        return DETAIL_ENERGY * float(of_details.sum()) + amplified + spread + level

    def _map(self, mean: MeanProducts, complexity: Complexity) -> Array:
        """W, (K, C), with zeros for features that are not used."""
        num_features, linear = len(self._moments), np.isinf(complexity.penalty)
        used = slice(0, self._num_linear if linear else num_features)
        products = mean.used(complexity.levels)
        length = np.sqrt(np.maximum(np.diag(products)[used], 0.0)) + 1e-12
        matrix = products[used, used] + self._noise[used, used]
        if not linear:
            matrix = matrix + complexity.penalty * self._products
        matrix = matrix / np.outer(length, length) + DAMPING**2 * np.eye(len(length))
        right = products[used, num_features:] / length[:, None]
        spectral_map = np.zeros((num_features, len(self._response)))
        spectral_map[used] = np.linalg.solve(matrix, right) / length[:, None]
        return spectral_map

    def _fit(self, spectral_map: Array, mixture: Array) -> MapFit:
        """The chosen map with its trust and shares, from the sums."""
        num_features = len(self._moments)
        left = _left_of(self._mean.levels, spectral_map)
        second = self._mean.levels[num_features:, num_features:]
        seen = float((self._response * (second @ self._response)).sum())
        apart = self._gap / max(seen, TINY)
        noise = float((self._coarse_noise @ np.square(self._response)).sum()) / max(seen, TINY)
        shares = np.clip(1.0 - self._coarse_noise / np.maximum(left, TINY), 0.0, 1.0)
        compared = self._agreed.weights * self._agreed.compared
        doubt = doubt_in_values(self._pair, self._response, compared, noise * seen)
        # v of `MapFit`; `usual` is |L|^2 of a pixel in which the images agree.
        usual = float(left.sum())
        counted = self._pair.counted
        usable = np.ones(self._pair.size, np.float32) if counted is None else counted.astype(np.float32)
        if self._agreed.wrong_edges.any():
            for rows, _, features, lr_hsi in self._pair.strips():
                energy = np.square(lr_hsi - features @ spectral_map).sum(-1)
                wrong = self._agreed.wrong_edges[rows]
                usable[rows][wrong] = np.minimum(1.0, usual / np.maximum(energy, TINY))[wrong]
        return MapFit(
            spectral_map=spectral_map.astype(np.float32),
            weights=self._agreed.weights,
            usable=usable,
            shares=shares.astype(np.float32),
            noise_energy=self._coarse_noise,
            trust=trust_in(apart, float(left.sum()) / max(float(np.trace(second)), TINY)),
            disagreement=float(np.sqrt(apart)),
            miscoloured=doubt * float(np.sqrt(max(0.0, apart - NOISE_TWICE * noise))),
            mixture=mixture,
            penalty=float(mixture[mixture[:, 2].argmax(), 1]),
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


def _left_of(products: Array, spectral_map: Array) -> Array:
    """(C,), squares of X - D F W of each band, from sums or means of the products of [D F, X]."""
    num_features = len(spectral_map)
    across, own = products[:num_features, num_features:], np.diag(products)[num_features:]
    explained = spectral_map * (2 * across - products[:num_features, :num_features] @ spectral_map)
    return np.maximum(own - explained.sum(0), 0.0)


def _mean_of_neighbours(image: Array, weights: NDArray[np.float32]) -> tuple[Array, Array]:
    """Weighted mean of the four neighbours of each pixel of (h, w, C), and the mean weight of them (h, w)."""
    height, width = weights.shape
    padded = np.pad(image * weights[..., None], ((1, 1), (1, 1), (0, 0)))
    around = np.pad(weights, 1)
    places = [(0, 1), (2, 1), (1, 0), (1, 2)]
    total = sum(padded[r : r + height, c : c + width] for r, c in places)
    weight = np.asarray(sum(around[r : r + height, c : c + width] for r, c in places))
    return np.asarray(total / np.maximum(weight, 1e-6)[..., None]), weight / len(places)
