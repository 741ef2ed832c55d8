"""`colour_kernel`: kernel regression from the colours of a pixel to its spectrum; it needs no PSF.

The colours that a coarse pixel x would have are x R. The map that takes them to x is fitted to the coarse
cube alone, and applied to Y pixel by pixel:

    f(a) = mean + phi(a) W,   W = argmin |T - phi(A) W|^2 / n + tr W' (N + w I) W

with A = X R and T = X, both centred. The features phi are 1, the colours, which carry the map on where the
sharp image goes beyond the colours of the coarse one, and Nystroem features of a Gaussian kernel at landmarks
among the coarse pixels (Williams and Seeger, NIPS 2000). The kernel may see a in units of its brightness,

    k(a, z) = b(a) b(z) exp(-|a / b(a) - z / b(z)|^2 / 2 l^2),   b(a) = 1 + mean(a) / level,

as the spectra of pixels that differ in illumination alone are multiples of each other.

N is what the noise that Y has and X R has not does to the features, to first order: the sum over the channels
of s_k^2 E (d phi / d a_k)' (d phi / d a_k), at sharp pixels. Level, length and ridge w are those with the
smallest predicted error in the sharp image,

    e + tr W' N W + v (n + 8 (e - n)),

with e the mean squared error of held-out blocks of coarse pixels, n the noise of X and v the mean leverage of
a sharp pixel, as in `hsr_tf.closed_forms.map_fit`. A kernel without brightness is kept unless the other is
better by 3 %.

Scenes of more than 4096 coarse pixels are fitted on a lattice of them, the same however the scene is tiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from hsr_tf import checks
from hsr_tf.closed_forms.agreement import agreement_of
from hsr_tf.closed_forms.colour_features import SMALLEST, ColourFeatures, ColourMetric, kernel_values
from hsr_tf.closed_forms.held_out import NUM_FOLDS, fold_map
from hsr_tf.closed_forms.noise_level import band_noise, channel_noise, noise_regions
from hsr_tf.closed_forms.spectral_ls import ESTIMATE, enlarged
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.tiled_pair import ArrayPair, TiledPair
from hsr_tf.tiling.region import Region
from hsr_tf.tiling.stages import Stage, StagedMethod, run_stages
from hsr_tf.typing import Array, Cube, Mask, Tensor

MOST_PIXELS, SHARP_PIXELS, PIXELS_AT_ONCE, MOST_PIXELS_AT_ONCE = 4096, 512, 8192, 2**14
LENGTHS = (1.0, 2.0, 4.0, 8.0, 16.0)
LEVELS, PREFERENCE = (np.inf, 0.3), 0.97
NEIGHBOURS_AS_ONE = 8.0  # neighbouring errors of coarse pixels that count as one
RIDGES = tuple(10.0**power for power in range(-7, 0))  # smaller ones: rounding of kernels in float32 counts
SAMPLE, COLOUR_KERNEL, CHOSEN_KERNEL = "sample", "colour_kernel", "chosen_kernel"


@dataclass(frozen=True)
class ColourKernelConfig:
    """Options of `ColourKernel`.

    Attributes:
        landmarks: most landmarks of the kernel.
        levels: candidates for the level of brightness, in mean colours; infinite for a kernel without it.
        lengths: candidates for the length of the kernel, in mean standard deviations of the colours.
        ridges: candidates for w.
    """

    landmarks: int = 160
    levels: tuple[float, ...] = LEVELS
    lengths: tuple[float, ...] = LENGTHS
    ridges: tuple[float, ...] = RIDGES


@dataclass(frozen=True, eq=False)
class ColourMapFit:
    """A fitted map from colours to spectra.

    Attributes:
        centre: (c,), mean colours.
        unit: mean standard deviation of the colours.
        mean: (C,), mean spectrum.
        landmarks: (m, c), in units, centred.
        level, stretch: of `ColourMetric`, in units.
        length: of the kernel.
        coefficients: W without the whitening, (1 + c + m, C).
        ridge: w.
        held_out_error: |T - f(A)| / |X| of pixels held out.
    """

    centre: Array
    unit: float
    mean: Array
    landmarks: Array
    level: float
    stretch: float
    length: float
    coefficients: Array
    ridge: float
    held_out_error: float

    @property
    def relative_level(self) -> float:
        """The level in mean colours."""
        return self.level / max(float(self.centre.mean()) / self.unit, SMALLEST)

    def plain(self) -> dict[str, Any]:
        """Data for JSON."""
        return {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in asdict(self).items()}

    @classmethod
    def of(cls, data: dict[str, Any]) -> ColourMapFit:
        """The inverse of `plain`."""
        arrays: dict[str, Any] = {n: np.asarray(v) for n, v in data.items() if isinstance(v, list)}
        return cls(**{**data, **arrays})

    def __call__(self, colours: Cube) -> Cube:
        """(..., c) to (..., C) float32, some pixels at a time."""
        pixels = colours.reshape(-1, colours.shape[-1])
        found = np.empty((len(pixels), len(self.mean)), np.float32)
        num_linear = 1 + pixels.shape[1]
        linear, curved = (
            part.astype(np.float32)
            for part in (self.coefficients[:num_linear], self.coefficients[num_linear:])
        )
        landmarks, linear[0] = self.landmarks.astype(np.float32), linear[0] + self.mean
        metric = ColourMetric(-self.centre / self.unit, self.level, self.stretch)
        for start in range(0, len(pixels), PIXELS_AT_ONCE):
            rows = slice(start, start + PIXELS_AT_ONCE)
            inputs = ((pixels[rows] - self.centre) / self.unit).astype(np.float32)
            found[rows] = linear[0] + inputs @ linear[1:]
            found[rows] += kernel_values(inputs, landmarks, metric, self.length) @ curved
        return found.reshape(*colours.shape[:-1], -1)


def fit_colours(
    spectra: Array, folds: Array, response: Array, sharp: Array, noise: Array, config: ColourKernelConfig
) -> ColourMapFit:
    """Fit the map of a scene.

    Args:
        spectra: pixels of X, (n, C).
        folds: (n,), fold of each of them (`fold_map`).
        response: R, (C, c).
        sharp: some pixels of Y, (m, c), at which noise is weighed.
        noise: (c,), standard deviation of the noise of Y.
        config: options.
    """
    colours, mean = spectra @ response, spectra.mean(0)
    centre, noise_energy = colours.mean(0), np.square(band_noise(spectra[None].astype(np.float32)))
    unit = max(float(colours.std(0).mean()), SMALLEST)
    variance = np.maximum(np.square(noise) - noise_energy @ np.square(response), 0.0) / unit**2
    inputs = (colours - centre) / unit
    chosen = np.unique(np.linspace(0, len(inputs) - 1, config.landmarks).astype(int))
    landmarks = inputs[np.lexsort(inputs.T)[chosen]]  # spread over the colours
    seen = _Sharp((sharp - centre) / unit, variance)
    regression = _Regression((inputs, spectra - mean), folds, seen, float(noise_energy.sum()))
    black = -centre / unit
    metrics = [
        ColourMetric.of(inputs, black, level * max(-black.mean(), SMALLEST)) for level in config.levels
    ]
    best: _Candidate | None = None
    for metric in metrics:
        found = min(
            (
                regression.best(ColourFeatures.of(landmarks, metric, length), config.ridges)
                for length in config.lengths
            ),
            key=lambda one: one.score,
        )
        best = found if best is None or found.score < PREFERENCE * best.score else best
    assert best is not None
    num_linear, whitening = 1 + colours.shape[1], best.features.whitening
    coefficients = np.concatenate([best.weights[:num_linear], whitening @ best.weights[num_linear:]])
    relative = float(np.sqrt(best.error / max(float(np.square(spectra).sum(-1).mean()), SMALLEST)))
    return ColourMapFit(
        centre=centre,
        unit=unit,
        mean=mean,
        landmarks=landmarks,
        level=best.features.metric.level,
        stretch=best.features.metric.stretch,
        length=best.features.length,
        coefficients=coefficients,
        ridge=best.ridge,
        held_out_error=relative,
    )


class ColourKernelTiles(StagedMethod):
    """`colour_kernel` over the parts of a scene.

    Args:
        pair: the images and the tiles.
        config: options.
    """

    def __init__(self, pair: TiledPair, config: ColourKernelConfig) -> None:
        self._pair, self._config = pair, config
        self._step = max(1, int(np.ceil(np.sqrt(pair.grid.whole.num_pixels / MOST_PIXELS))))

    def survey(self) -> Sequence[Stage]:
        """The fit of the map."""
        return (Stage(SAMPLE, len(self._pair.grid), self._gather, self._fit),)

    def estimate(self) -> Sequence[Stage]:
        """The map of every sharp pixel."""
        return (Stage(ESTIMATE, len(self._pair.grid), self._tile),)

    def finish(self, index: int) -> Cube:
        """See `StagedMethod.finish`."""
        return self._pair.store.load(ESTIMATE, index)

    def details(self) -> dict[str, Any]:
        """The kernel that was chosen, and how well the map predicts held-out pixels."""
        found = self.found()
        light = "plain" if np.isinf(found.level) else "in units of brightness"
        return {
            "kernel": f"length {found.length:g}, {light}, ridge {found.ridge:g}",
            "held_out_error": round(found.held_out_error, 6),
        }

    def found(self) -> ColourMapFit:
        """The map, once the survey is done."""
        data = self._pair.store.load_json(COLOUR_KERNEL)
        assert data is not None
        return ColourMapFit.of(data)

    def _gather(self, index: int) -> None:
        """Keep row, column and spectrum of the pixels of a tile that lie on the lattice and hold data."""
        region = self._pair.grid.region(index)
        kept = np.zeros(region.size, bool)
        starts = (-region.rows.start % self._step, -region.columns.start % self._step)
        kept[starts[0] :: self._step, starts[1] :: self._step] = True
        missing = self._pair.missing(region).coarse if self._pair.has_holes else None
        if missing is not None:
            kept &= ~missing
        places = np.argwhere(kept) + np.array([region.rows.start, region.columns.start])
        spectra = self._pair.lr_hsi(region)[kept]
        self._pair.store.save(SAMPLE, index, np.concatenate([places, spectra], axis=-1))

    def _fit(self) -> None:
        pair, grid = self._pair, self._pair.grid
        sample = np.concatenate([pair.store.load(SAMPLE, index) for index in range(len(grid))])
        checks.require(
            len(sample) > 0,
            "lr_hsi",
            expected="data in some pixels",
            received=f"none in every {self._step}th row and column",
            remedy="use spectral_ls, or crop the scene to the part that holds data",
        )
        sample = sample[np.lexsort((sample[:, 1], sample[:, 0]))].astype(np.float64)
        rows, columns = (sample[:, :2].T // self._step).astype(int)
        folds = fold_map(*(-(-n // self._step) for n in grid.size))[rows, columns]
        regions = noise_regions(grid.size, grid.scale)
        windows, masks = [pair.hr_msi(region) for region in regions], self._agreeing(regions)
        sharp = np.concatenate([window[mask] for window, mask in zip(windows, masks, strict=True)])
        chosen, config = pair.store.load_json(CHOSEN_KERNEL), self._config
        if chosen is not None:  # by a fit to much the same images
            levels, lengths, ridges = ((chosen[name],) for name in ("levels", "lengths", "ridges"))
            config = replace(config, levels=levels, lengths=lengths, ridges=ridges)
        found = fit_colours(
            sample[:, 2:],
            folds,
            pair.model.spectral.matrix,
            sharp[:: max(1, len(sharp) // SHARP_PIXELS)].astype(np.float64),
            channel_noise(windows, masks),
            config,
        )
        pair.store.save_json(COLOUR_KERNEL, found.plain())
        if chosen is None and pair.store.shares(CHOSEN_KERNEL):
            chosen = {"levels": found.relative_level, "lengths": found.length, "ridges": found.ridge}
            pair.store.save_json(CHOSEN_KERNEL, chosen)

    def _agreeing(self, regions: list[Region]) -> list[Mask]:
        """The sharp pixels of regions, (s h, s w) each, on ground that did not change between the images.

        Noise and leverage are those of ground that X shows too.
        """
        pair, whole = self._pair, self._pair.grid.whole
        parts = [whole] if whole.num_pixels <= MOST_PIXELS_AT_ONCE else regions
        found = []
        for part in parts:
            clean = pair.clean(part) if pair.has_holes else None
            images = pair.lr_hsi(part), pair.hr_msi(part)
            found.append(agreement_of(pair.model, *images, trusted=clean).changed)
        if all(mask is None for mask in found):
            return [np.ones(region.scaled(pair.grid.scale).size, bool) for region in regions]
        kept = np.ones(whole.size, bool)
        for part, mask in zip(parts, found, strict=True):
            if mask is not None:
                kept[part.slices] &= ~ndimage.binary_dilation(mask, np.ones((3, 3)))
        return [enlarged(kept[region.slices], pair.grid.scale) for region in regions]

    def _tile(self, index: int) -> None:
        sharp = self._pair.hr_msi(self._pair.grid.region(index))
        self._pair.store.save(ESTIMATE, index, self.found()(sharp))


class ColourKernel:
    """`colour_kernel` of a scene.

    Args:
        model: the two cameras, of which only scale and response are used.
        config: options.
    """

    def __init__(self, model: ObservationModel, config: ColourKernelConfig = ColourKernelConfig()) -> None:
        self.model, self.config = model, config

    def fitting(self, pair: TiledPair) -> ColourKernelTiles:
        """The fit of the map over the parts of a scene, and its estimate."""
        return ColourKernelTiles(pair, self.config)

    def tiles(self, pair: TiledPair) -> StagedMethod:
        """The method over the parts of a scene."""
        return self.fitting(pair)

    def __call__(self, lr_hsi: Tensor, hr_msi: Tensor) -> Cube:
        """(B, h, w, C) and (B, s h, s w, c) to (B, s h, s w, C), each scene with a map of its own."""
        found = []
        for images in zip(np.asarray(lr_hsi), np.asarray(hr_msi), strict=True):
            staged = self.tiles(ArrayPair(images, self.model))
            run_stages(staged.stages())
            found.append(staged.finish(0))
        return np.stack(found)


@dataclass(frozen=True, eq=False)
class _Sharp:
    """What the fit needs of the sharp image.

    Attributes:
        colours: some of its pixels, (m, c), centred and in units.
        variance: (c,), of the noise that it has and the colours of the coarse pixels have not.
    """

    colours: Array
    variance: Array


@dataclass(frozen=True, eq=False)
class _Candidate:
    """The best ridge for one length of the kernel.

    Attributes:
        score: predicted squared error in the sharp image, summed over the bands.
        error: mean squared error of pixels held out, likewise.
        ridge: w.
        weights: W.
        features: phi.
    """

    score: float
    error: float
    ridge: float
    weights: Array
    features: ColourFeatures


class _Regression:
    """The fits of one scene for all lengths and ridges.

    Args:
        images: colours (n, c) and spectra (n, C) of coarse pixels, centred, the colours in units.
        folds: (n,).
        sharp: of the sharp image.
        noise: mean square of the noise of X, summed over the bands.
    """

    def __init__(self, images: tuple[Array, Array], folds: Array, sharp: _Sharp, noise: float) -> None:
        self._inputs, self._targets = images
        self._parts = [folds == fold for fold in range(NUM_FOLDS)]
        self._sharp, self._noise = sharp, noise

    def best(self, features: ColourFeatures, ridges: tuple[float, ...]) -> _Candidate:
        """The ridge with the smallest score."""
        seen, total = features(self._inputs), len(self._targets)
        at_sharp = features(self._sharp.colours)
        added = features.noise(self._sharp.colours, self._sharp.variance)
        grams = np.stack([seen[part].T @ seen[part] for part in self._parts])
        rights = np.stack([seen[part].T @ self._targets[part] for part in self._parts])
        errors = self._held_out(seen, (grams, rights), added, ridges)
        values, vectors = np.linalg.eigh(grams.sum(0) / total + added)
        rotated = vectors.T @ rights.sum(0) / total
        spread = np.square(at_sharp @ vectors).mean(0) / total
        noise = vectors.T @ added @ vectors
        found = []
        for ridge, error in zip(ridges, errors, strict=True):
            inverse = 1 / (np.maximum(values, 0.0) + ridge)
            weights = inverse[:, None] * rotated
            amplified = float((weights * (noise @ weights)).sum())
            least = min(self._noise, error)
            uncertain = float(spread @ inverse) * (least + NEIGHBOURS_AS_ONE * (error - least))
            score = error + amplified + uncertain
            found.append(_Candidate(score, error, ridge, vectors @ weights, features))
        return min(found, key=lambda one: one.score)

    def _held_out(
        self, seen: Array, sums: tuple[Array, Array], added: Array, ridges: tuple[float, ...]
    ) -> Array:
        """Mean squared error of held-out pixels, summed over the bands, of each ridge."""
        (grams, rights), errors, total = sums, np.zeros(len(ridges)), len(self._targets)
        gram, right = grams.sum(0), rights.sum(0)
        for part, own, wanted in zip(self._parts, grams, rights, strict=True):
            number = total - int(part.sum())
            if number == total or not number:
                continue
            values, vectors = np.linalg.eigh((gram - own) / number + added)
            rotated = vectors.T @ (right - wanted) / number
            targets = self._targets[part]
            few = len(targets) < len(values)  # then the errors of the pixels cost less than their products
            turned = seen[part] @ vectors if few else vectors.T @ own @ vectors
            wanted, energy = vectors.T @ wanted, float(np.square(targets).sum())
            for index, ridge in enumerate(ridges):
                weights = rotated / (np.maximum(values, 0.0) + ridge)[:, None]
                if few:
                    errors[index] += float(np.square(turned @ weights - targets).sum())
                else:
                    errors[index] += energy + float(((turned @ weights - 2 * wanted) * weights).sum())
        return np.maximum(errors, 0.0) / total
