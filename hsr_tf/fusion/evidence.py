"""What candidates leave of held-out pixels in the middle of a scene, and the weights that follow.

One coarse pixel in five is treated as having no data; every candidate fuses what is left. With d_i what the
candidate i leaves of X at these pixels, X - D Z_i, and n_i = (Z_i' - Z_i'') / 2 half of the difference of its
estimates of all sharp pixels when both images get as much noise again as they have, once with either sign
(noise that is amplified in sharp pixels averages out in D Z; the difference leaves out what more noise
changes in the choices of a method), the weights minimise the predicted squared error of the mean of the
estimates,

    min_w  w' (E + V) w,   w >= 0,  sum w = 1,   E_ij = mean d_i . d_j,   V_ij = mean n_i . n_j

(stacking, Wolpert, Neural Networks 5(2), 1992; Breiman, Machine Learning 24(1), 1996, who recommends weights
that are not negative). Few pixels say little: with n the number of pixels held out, e_i what E_ii + V_ii is
above the noise of X, and u usual weights,

    w' (E + V) w + 60 / n min(e) |w - u|^2

is minimised (Diebold and Pauly, International Journal of Forecasting 6(4), 1990, shrink to equal weights).
u is one half for `spectral_ls` and `kernel_ls`; below 60 pixels, where these may have too few to be fitted,
it is proportional to 1 / e_i^2 (Bates and Granger, Operational Research Quarterly 20(4), 1969, have 1 / e_i).

Where there are few coarse pixels each fifth of them is held out in turn. Pixels in which the images disagree
more than usual do not count. Fits to the sample without other pixels, and with added noise, repeat the
choices of the first (kernel, ridge and penalty) and share the blurred features of Y.

Where the two images differ by over 3 % and in a way that follows the image
(`hsr_tf.closed_forms.agreement`), D is not to be believed; no weights are usual then, and a method that
needs no PSF is judged by what it predicts of X from X R instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.closed_forms.agreement import suspicion
from hsr_tf.closed_forms.noise_level import channel_noise, noise_regions
from hsr_tf.closed_forms.spectral_ls import SceneMap
from hsr_tf.fusion.blend import SHARED, Candidate, run_alone, run_blurred
from hsr_tf.imports import deferred
from hsr_tf.physics.nodata import Holes
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import identity_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.tiled_pair import ArrayPair, TiledPair
from hsr_tf.solvers.parts.completion import degraded
from hsr_tf.solvers.solver import Controls
from hsr_tf.tiling.region import Region
from hsr_tf.tiling.scoped import ScopedStore
from hsr_tf.tiling.stages import MemoryStore, SharedStore, TileStore, run_stages
from hsr_tf.typing import Array, Cube, Mask
from hsr_tf.wording import percent

optimize = deferred("scipy.optimize")

SAMPLE_SIDE, SMALLEST_SIDE, FEWEST_HELD_OUT, ENOUGH_HELD_OUT = 192, 32, 4, 60
NUM_FOLDS, PREFERENCE, SMALLEST_WEIGHT, DOUBTED = 5, 0.98, 0.05, 0.03
NOISE_FREE, LITTLE_NOISE, USABLE, SURE_NOISE, LONGEST = 1e-4, 2e-3, 0.5, 0.8, 6.0
TRAINED_SHARE, NOISY_SHARE, MOST_NOISE = 0.75, 0.5, 0.06
USUAL = ("spectral_ls", "kernel_ls")
MIXED, TINY = (0.003, 0.01, 0.03, 0.1, 0.3), 1e-30


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the evidence says.

    Attributes:
        weights: of the candidates, by name, those above zero.
        completed: whether the mean is to agree with both images.
        words: what is recorded: scores of all candidates, and what they were judged by.
        start: weights of the methods whose mean a network for any cameras refines.
    """

    weights: dict[str, float]
    completed: bool
    words: dict[str, str]
    start: dict[str, float] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Data for JSON."""
        return dict(vars(self))


class Evidence:
    """What candidates leave of held-out pixels in the middle of a scene.

    Args:
        pair: the images.
        model: the two cameras.
        controls: how solvers are run; each gets its part of a third of the time.
    """

    def __init__(self, pair: TiledPair, model: ObservationModel, controls: Controls) -> None:
        self._model, self._controls, self._wavelengths_nm = model, controls, pair.wavelengths_nm
        region = _middle(pair.grid.whole, model.scale)
        self._cubes = (
            np.ascontiguousarray(pair.lr_hsi(region)),
            np.ascontiguousarray(pair.hr_msi(region)),
        )
        self._holes = pair.missing(region) if pair.has_holes else Holes()
        sharp = self._holes.sharp
        self._completed = pair.is_completed and sharp is not None and bool(sharp.any())
        self._size = region.size

    def of(self, candidates: Sequence[Candidate]) -> Verdict:
        """The weights of the candidates; where D is doubted, the first is kept alone unless others add 2 %.

        A network is misjudged by pixels held out, as it never saw holes; so where the images fit the cameras,
        up to 25 dB of noise, those with trained weights get a share that was chosen on six scenes held back
        from training (four of them the second member of `prior` had seen; docs/design_any_camera.md has the
        figures). Weights for any cameras refine the mean of the others. Weights that were trained for these
        cameras have an equal share beside that, but not under noise that their training had none of; alone
        they get three quarters, or one half under noise.
        """
        noise = self._noise_levels[1]
        quiet = noise < LITTLE_NOISE
        trained = [c for c in candidates if c.weights and (quiet or c.knows_noise or c.method.any_cameras)]
        if not trained or noise >= MOST_NOISE or self._doubtful:
            return self._compared(candidates)
        found = self._compared([one for one in candidates if one.weights is None])
        whose = " and ".join("any" if one.method.any_cameras else "these" for one in trained)
        how = "no noise" if quiet else "and noise"
        why = [f"weights trained for {whose} cameras, {how}", found.words.get("evidence", "")]
        words = {**found.words, "evidence": "; ".join(filter(None, why))}
        if any(one.method.any_cameras for one in trained):
            weights = {one.name: 1 / len(trained) for one in trained}
            return Verdict(weights, completed=True, words=words, start=found.weights)
        share = TRAINED_SHARE if quiet else NOISY_SHARE
        weights = {name: (1 - share) * weight for name, weight in found.weights.items()}
        weights |= {one.name: share / len(trained) for one in trained}
        return Verdict(weights, completed=True, words=words)

    def _compared(self, candidates: Sequence[Candidate]) -> Verdict:
        """The weights by held-out pixels alone."""
        first = candidates[0].name
        if len(candidates) == 1 or self._num_judged(NUM_FOLDS) < FEWEST_HELD_OUT:
            few = "not compared" + ("" if len(candidates) == 1 else ", too few coarse pixels")
            return Verdict({first: 1.0}, completed=not candidates[0].needs_psf, words={"candidates": few})
        errors = self._products(candidates)
        scores, weights = np.diag(errors), self._weights_of(errors, candidates)
        energy = np.sqrt(np.square(self._cubes[0], dtype=np.float64).sum(-1).mean() + TINY)
        chosen = {one.name: float(w) for one, w in zip(candidates, weights, strict=True) if w > 0}
        words = ", ".join(
            f"{one.name} {percent(float(np.sqrt(score) / energy))}"
            for one, score in zip(candidates, scores, strict=True)
        )
        judged = "X predicted from X R" if self._doubtful else "X predicted at held-out pixels"
        needs = any(one.needs_psf for one in candidates if one.name in chosen)
        return Verdict(chosen, not self._doubtful or needs, {"candidates": words, "evidence": judged})

    def _weights_of(self, errors: Array, candidates: Sequence[Candidate]) -> Array:
        """The weights of candidates by E + V."""
        scores = np.diag(errors)
        floor = min(SURE_NOISE * self._coarse_noise, float(scores.min()))  # the noise of X, which all leave
        if not self._doubtful:
            number = self._num_judged(self._num_folds)
            usual = usual_weights(candidates, scores - floor if number < ENOUGH_HELD_OUT else None)
            return stacked_weights(errors, usual, ENOUGH_HELD_OUT / number * (float(scores.min()) - floor))
        weights = stacked_weights(errors)
        gained = max(float(weights @ errors @ weights) - floor, 0.0)
        preference = PREFERENCE if self._scene_map.found().trust > USABLE else 1.0
        kept = np.sqrt(gained) > preference * np.sqrt(scores[0] - floor)
        return np.eye(len(candidates))[0] if kept else weights

    def _products(self, candidates: Sequence[Candidate]) -> Array:
        """E + V, (k, k), summed over the bands."""
        controls = replace(self._controls, callback=None, checkpoint=None, progress=False)
        if controls.max_seconds is not None:
            limit = controls.max_seconds / (3 * (self._num_folds + 1) * len(candidates))
            controls = replace(controls, max_seconds=max(1.0, limit))
        left = [_clipped(self._residuals(one, controls)) for one in candidates]
        number = len(left[0])
        errors = np.array([[float((a * b).sum()) / number for a in left] for b in left])
        if self._noise is None:
            return errors
        changes = [_clipped(self._change(one, controls)) for one in candidates]
        number = len(changes[0])
        return errors + np.array([[float(np.vdot(a, b)) / number for a in changes] for b in changes])

    def _residuals(self, candidate: Candidate, controls: Controls) -> Array:
        """X - D Z of the judged pixels of all folds, (n, C) in float64."""
        found = []
        for fold in range(self._num_folds):
            if self._doubtful and not candidate.needs_psf:
                predicted = self._predicted(candidate, controls, fold)
            else:
                predicted = run_blurred(candidate, self._pairs[fold][0], controls, self._pairs[fold][1])
            judged = self._held_out(fold) & self._counted
            found.append((self._cubes[0] - predicted)[judged].astype(np.float64))
        return np.concatenate(found)

    def _change(self, candidate: Candidate, controls: Controls) -> Cube:
        """(Z' - Z'') / 2, (pixels, C), without the pixels of the first fold."""
        more, less = (run_alone(candidate, pair, controls, shared) for pair, shared in self._noisy_pairs)
        change, missing = np.asarray((more - less) / 2, np.float32), self._holes.sharp
        return np.asarray(change.reshape(-1, change.shape[-1]) if missing is None else change[~missing])

    @cached_property
    def _pairs(self) -> list[tuple[ArrayPair, TileStore]]:
        """The sample without the pixels of each fold, and what closed forms survey of it."""
        folds = range(self._num_folds)
        return [(self._pair_of(self._cubes, f), self._store()) for f in folds]

    def _store(self) -> TileStore:
        """A store of its own but for what all fits to the sample have in common: the choices of the first."""
        return ScopedStore(self._shared, SHARED, MemoryStore())

    @cached_property
    def _shared(self) -> TileStore:
        return SharedStore()

    def _pair_of(self, cubes: tuple[Cube, Cube], fold: int) -> ArrayPair:
        return self._sample(cubes, self._without(fold))

    def _sample(self, cubes: tuple[Cube, Cube], holes: Holes) -> ArrayPair:
        return ArrayPair(
            cubes,
            self._model,
            holes,
            is_completed=self._completed,
            wavelengths_nm=self._wavelengths_nm,
        )

    @cached_property
    def _noisy_pairs(self) -> list[tuple[ArrayPair, TileStore]]:
        """The sample with noise added and subtracted, without the pixels of the first fold."""
        assert self._noise is not None
        found = []
        for sign in (np.float32(1), np.float32(-1)):
            noisy = [cube + sign * noise for cube, noise in zip(self._cubes, self._noise, strict=True)]
            found.append((self._pair_of((noisy[0], noisy[1]), 0), self._store()))
        return found

    def _predicted(self, candidate: Candidate, controls: Controls, fold: int) -> Cube:
        """What a method without PSF makes of X R and X, both coarse, without the pixels held out."""
        lr_hsi = self._cubes[0]
        model = ObservationModel(SpatialDegradation(identity_psf(1), 1), self._model.spectral)
        colours = lr_hsi @ self._model.spectral.matrix.astype(np.float32)
        holes = Holes(self._without(fold).coarse)
        return run_alone(candidate, ArrayPair((lr_hsi, colours), model, holes), controls, MemoryStore())

    def _held_out(self, fold: int) -> Mask:
        rows, columns = (np.arange(n) for n in self._size)
        return np.asarray((rows[:, None] + 2 * columns + fold) % NUM_FOLDS == 0)

    def _without(self, fold: int) -> Holes:
        """The holes of the sample, and the pixels of a fold."""
        held_out, coarse = self._held_out(fold), self._holes.coarse
        return Holes(held_out if coarse is None else held_out | coarse, self._holes.sharp)

    def _num_judged(self, num_folds: int) -> int:
        return sum(int((self._held_out(fold) & self._counted).sum()) for fold in range(num_folds))

    @cached_property
    def _num_folds(self) -> int:
        return next((n for n in range(1, NUM_FOLDS) if self._num_judged(n) >= ENOUGH_HELD_OUT), NUM_FOLDS)

    @cached_property
    def _counted(self) -> Mask:
        """Pixels that count: with data, inside the sample, where the images agree."""
        reach = self._model.spatial.reach_cells
        inner = np.zeros(self._size, bool)
        rows, columns = (slice(min(reach, n // 4), n - min(reach, n // 4)) for n in self._size)
        inner[rows, columns] = True
        counted = self._clean & inner & (self._weights > USABLE)
        for mixed in MIXED if self._completed else ():  # as little of completed pixels as leaves enough
            if counted.sum() >= ENOUGH_HELD_OUT:
                break
            clean = self._holes.clean(self._model.spatial, self._size, mixed=mixed)
            counted = clean & inner & (self._weights > USABLE)
        return counted

    @cached_property
    def _clean(self) -> Mask:
        return self._holes.clean(self._model.spatial, self._size)

    @cached_property
    def _doubtful(self) -> bool:
        found = suspicion(self._model, *self._cubes, trusted=self._clean)
        return found is not None and found.share > DOUBTED

    @cached_property
    def _scene_map(self) -> SceneMap:
        found = SceneMap(self._sample(self._cubes, self._holes))
        run_stages([found.survey()])
        return found

    @property
    def _weights(self) -> Cube:
        return self._scene_map.weights(Region.whole(self._size))[0][..., 0]

    @property
    def _coarse_noise(self) -> float:
        """Mean square of the noise of X, summed over the bands."""
        found = self._scene_map.found().noise_energy
        assert found is not None
        return float(found.sum())

    @cached_property
    def _noise(self) -> tuple[Cube, Cube] | None:
        """Noise like that of X and of Y; None where there is next to none."""
        deviations, share = self._noise_levels
        if share < NOISE_FREE:
            return None
        rng = np.random.default_rng(self._controls.seed)
        lr_hsi, hr_msi = (
            (rng.standard_normal(cube.shape, np.float32) * deviation).astype(np.float32)
            for cube, deviation in zip(self._cubes, deviations, strict=True)
        )
        return lr_hsi, hr_msi

    @cached_property
    def _noise_levels(self) -> tuple[tuple[Array, Array], float]:
        """Standard deviations of the noise of X (C,) and Y (c,), and the larger of both relative levels."""
        found = self._scene_map.found().noise_energy
        assert found is not None
        windows = [self._cubes[1][r.scaled(self._model.scale).slices] for r in self._noise_regions()]
        deviations = np.sqrt(found), np.minimum(channel_noise(windows), self._most_channel_noise())
        energies = [np.square(cube, dtype=np.float64).mean((0, 1)).sum() for cube in self._cubes]
        shares = [
            float(np.sqrt(np.square(d).sum() / max(e, TINY)))
            for d, e in zip(deviations, energies, strict=True)
        ]
        return deviations, max(shares)

    def _most_channel_noise(self) -> Array:
        """(c,), the noise of Y that X R - D Y allows, where the images agree as usual."""
        lr_hsi, hr_msi = self._cubes
        gap = lr_hsi @ self._model.spectral.matrix - degraded(self._model.spatial, hr_msi)
        weights = self._weights * self._clean if self._clean.any() else self._weights
        energy = np.einsum("hw,hwc->c", weights, np.square(gap)) / max(float(weights.sum()), TINY)
        return np.asarray(np.sqrt(energy / np.square(self._model.spatial.psf.kernel).sum()))

    def _noise_regions(self) -> list[Region]:
        return noise_regions(self._size, self._model.scale, None if self._clean.all() else self._clean)


def _clipped(residuals: NDArray[Any]) -> NDArray[Any]:
    """Errors of pixels (n, C) that are at most `LONGEST` times as long as the usual one.

    A pixel that no other resembles is mapped far off without its own spectrum, and not with it.
    """
    lengths = np.sqrt(np.square(residuals).sum(1))
    shares = np.minimum(1.0, LONGEST * np.median(lengths) / np.maximum(lengths, TINY))
    return np.asarray(residuals * shares.astype(residuals.dtype)[:, None])


def usual_weights(candidates: Sequence[Candidate], errors: Array | None = None) -> Array:
    """The weights of candidates of which little is known.

    Args:
        candidates: whose.
        errors: (k,), mean squared errors, whose inverse squares they are; None for the same for all
            of `USUAL` among the candidates, or for all candidates where there is none.
    """
    if errors is not None:
        found = np.square(float(errors.max()) / np.maximum(errors, TINY))
    else:
        found = np.array([one.name in USUAL for one in candidates], np.float64)
        found = found if found.any() else np.ones(len(candidates))
    return np.asarray(found / found.sum())


def stacked_weights(errors: Array, usual: Array | None = None, doubt: float = 0.0) -> Array:
    """The weights that minimise w' M w + d |w - u|^2, not negative, with sum one; small ones are set to zero.

    Args:
        errors: M, (k, k), mean products of the errors of k estimates.
        usual: u, (k,).
        doubt: d, not negative.
    """
    size, mean = len(errors), max(float(np.trace(errors)) / len(errors), TINY)
    root = np.linalg.cholesky(errors / mean + 1e-6 * np.eye(size)).T
    pull = np.sqrt(doubt / mean)
    wanted = np.zeros(size) if usual is None else pull * usual
    equations = np.concatenate([root, pull * np.eye(size), np.full((1, size), 1e3)])
    targets = np.concatenate([np.zeros(size), wanted, [1e3]])
    found = np.ones(size, bool)
    for _ in range(2):  # once more without those that hardly count
        weights = np.zeros(size)
        weights[found] = optimize.nnls(equations[:, found], targets)[0]
        weights /= weights.sum()
        found = weights >= SMALLEST_WEIGHT
    weights = np.where(found, weights, 0.0)
    return np.asarray(weights / weights.sum())


def _middle(whole: Region, scale: int) -> Region:
    """The part in the middle that is judged, 192 sharp pixels a side and at least 32 coarse ones."""
    side = max(SMALLEST_SIDE, SAMPLE_SIDE // scale)
    spans = []
    for span in (whole.rows, whole.columns):
        start = span.start + max(0, span.stop - span.start - side) // 2
        spans.append(slice(start, min(span.stop, start + side)))
    return Region.of(*spans)
