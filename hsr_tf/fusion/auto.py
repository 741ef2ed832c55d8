"""`auto`: the method that explains held-out pixels of this scene best, among those that fit in the time.

In the middle of the scene one coarse pixel in five is treated as having no data. Every candidate fuses what
is left, and is judged by

    score^2 = e + v,   e = mean |D Z - X|^2 of the pixels held out,   v = mean |Z' - Z|^2 of sharp pixels,

where Z' is its estimate from both images with as much noise added as they have: noise that a method
amplifies in sharp pixels averages out in D Z. Pixels in which the images disagree more than usual do not
count.

Where the two images do not fit the cameras (`hsr_tf.closed_forms.agreement`), D is not to be believed, and a
method that needs no PSF is judged by what it predicts of X from X R instead.

The candidates are the closed forms, networks whose shipped weights were trained for these bands, scale and
cameras, and, with enough `max_seconds`, solvers. One is replaced by a later one that is better by 2 %, in the
sum over the bands and in their geometric mean. Those that agree with X come first, as pixels held out do not
show what that gains.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hsr_tf import checks, methods
from hsr_tf.closed_forms.agreement import suspicion
from hsr_tf.closed_forms.colour_kernel import ColourKernel
from hsr_tf.closed_forms.map_fit import noise_regions
from hsr_tf.closed_forms.noise_level import channel_noise
from hsr_tf.closed_forms.spectral_ls import SceneMap
from hsr_tf.fusion.pipeline import staged_method
from hsr_tf.physics.nodata import Holes
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import identity_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.tiled_pair import ArrayPair, TiledPair
from hsr_tf.solvers.parts.completion import Completion, degraded
from hsr_tf.solvers.solver import Controls
from hsr_tf.tiling.region import Region
from hsr_tf.tiling.stages import MemoryStore, Stage, StagedMethod, run_stages
from hsr_tf.typing import Array, Cube, Mask
from hsr_tf.wording import percent

AUTO = "auto"
FIRST = "spectral_ls"
CLOSED_FORMS = (FIRST, "colour_kernel_completed", "colour_kernel")
SECONDS_OF = {"kernel_ls": 60.0, "spectralift": 300.0}
SAMPLE_SIDE, SMALLEST_SIDE, FEWEST_HELD_OUT = 256, 32, 12
HELD_OUT, PREFERENCE, NOISE_FREE, USABLE = 5, 0.98, 1e-4, 0.5
TINY = 1e-30


@dataclass(frozen=True)
class AutoConfig:
    """Options of `Auto`.

    Attributes:
        candidates: names of the methods that are tried, the preferred one first; empty for those of the time.
        networks: whether shipped networks that fit the pair are tried too.
    """

    candidates: tuple[str, ...] = ()
    networks: bool = True


@dataclass(frozen=True)
class Candidate:
    """A method that may be chosen.

    Attributes:
        name: that is shown.
        method: of the registry.
        weights: folder of a network's weights.
    """

    name: str
    method: methods.Method
    weights: Path | None = None


class Auto:
    """`auto` for a scene with these cameras.

    Args:
        model: the two cameras.
        config: options.
    """

    def __init__(self, model: ObservationModel, config: AutoConfig = AutoConfig()) -> None:
        self.model, self.config = model, config

    def tiles(self, pair: TiledPair, controls: Controls = Controls()) -> StagedMethod:
        """The method that suits the scene, over its parts; it is chosen here, once for all processes."""
        began = time.perf_counter()
        candidates = self.candidates(controls, whole=len(pair.grid) == 1)
        found = pair.store.load_json(AUTO)
        if found is None:
            found = Evidence(pair, self.model, controls).of(candidates)
            pair.store.save_json(AUTO, found)
        chosen = next(one for one in candidates if one.name == found["chosen"])
        left = controls.max_seconds
        if left is not None:
            controls = replace(controls, max_seconds=max(1.0, left - (time.perf_counter() - began)))
        return _Chosen(staged_method(pair, chosen.method, weights=chosen.weights, controls=controls), found)

    def candidates(self, controls: Controls, *, whole: bool) -> list[Candidate]:
        """What is tried, the preferred one first.

        Args:
            controls: time limit.
            whole: whether the scene is in memory as one tile, which solvers need.
        """
        names = self.config.candidates
        if not names:
            limit = controls.max_seconds or 0.0
            names = CLOSED_FORMS + tuple(n for n, least in SECONDS_OF.items() if whole and limit >= least)
        found = [Candidate(n, COMPLETED if n == COMPLETED.name else methods.get(n)) for n in names]
        checks.require(
            all(one.method.kind in ("closed_form", "solver") and one.name != AUTO for one in found),
            "option candidates",
            expected="closed forms and solvers",
            received=", ".join(names),
            remedy="leave the others out; networks are tried by themselves",
        )
        return found + (self._networks() if self.config.networks else [])

    def _networks(self) -> list[Candidate]:
        """Networks whose shipped weights were trained for this model."""
        from hsr_tf.networks.cards import shipped_models
        from hsr_tf.networks.model_info import FUSION
        from hsr_tf.networks.selection import trained_for

        return [
            Candidate(card.folder.name, methods.get(card.config.method), card.folder)
            for card in shipped_models(FUSION)
            if trained_for(card, self.model)
        ]


class _Chosen(StagedMethod):
    """The chosen method, which also records why."""

    def __init__(self, method: StagedMethod, found: dict[str, Any]) -> None:
        self._method, self._found = method, found

    def survey(self) -> Sequence[Stage]:
        """See `StagedMethod.survey`."""
        return self._method.survey()

    def estimate(self) -> Sequence[Stage]:
        """See `StagedMethod.estimate`."""
        return self._method.estimate()

    def finish(self, index: int) -> Cube:
        """See `StagedMethod.finish`."""
        return self._method.finish(index)

    def details(self) -> dict[str, Any]:
        """Those of the method, what was chosen, and the scores of all candidates."""
        return {**self._method.details(), **self._found}


class Evidence:
    """What candidates leave of held-out pixels in the middle of a scene.

    Args:
        pair: the images.
        model: the two cameras.
        controls: how solvers are run; each gets its part of a third of the time.
    """

    def __init__(self, pair: TiledPair, model: ObservationModel, controls: Controls) -> None:
        self._model, self._controls = model, controls
        region = _middle(pair.grid.whole, model.scale)
        self._cubes = (
            np.ascontiguousarray(pair.lr_hsi(region)),
            np.ascontiguousarray(pair.hr_msi(region)),
        )
        self._holes = pair.missing(region) if pair.has_holes else Holes()
        self._size = region.size

    def of(self, candidates: Sequence[Candidate]) -> dict[str, Any]:
        """The name of the best and the scores of all, in words, as they are recorded."""
        if int(self._judged.sum()) < FEWEST_HELD_OUT or len(candidates) == 1:
            return {"chosen": candidates[0].name, "candidates": "not compared, too few coarse pixels"}
        scores = {one.name: self._score(one, len(candidates)) for one in candidates}
        chosen = candidates[0].name
        for name, score in scores.items():
            chosen = name if (score < PREFERENCE * scores[chosen]).all() else chosen
        words = ", ".join(f"{name} {percent(float(score[0]))}" for name, score in scores.items())
        judged = "X predicted from X R" if self._doubtful else "X predicted at held-out pixels"
        return {"chosen": chosen, "candidates": words, "evidence": judged}

    def _score(self, candidate: Candidate, number: int) -> Array:
        """sqrt(e + v) / |X|, and the geometric mean of the same over the bands."""
        controls = replace(self._controls, callback=None, checkpoint=None, progress=False)
        if controls.max_seconds is not None:
            controls = replace(controls, max_seconds=max(1.0, controls.max_seconds / (6 * number)))
        estimate = self._estimate(candidate, controls, noisy=False)
        if self._doubtful and "psf" not in candidate.method.needs:
            error = self._error(self._predicted(candidate, controls))
        else:
            error = self._error(degraded(self._model.spatial, estimate))
        if self._noise is not None:
            again = self._estimate(candidate, controls, noisy=True)
            error += np.square(again - estimate, dtype=np.float64).mean((0, 1))
        energy = np.square(self._cubes[0], dtype=np.float64).mean((0, 1)) + TINY
        bands = float(np.log((error + TINY) / energy).mean())
        return np.sqrt([error.sum() / energy.sum(), np.exp(bands)])

    def _estimate(self, candidate: Candidate, controls: Controls, *, noisy: bool) -> Cube:
        """The estimate of the sample without the pixels held out; closed forms share what they survey."""
        pair = self._pairs[noisy]
        if candidate.method.kind != "closed_form":
            return _run(replace(pair, store=MemoryStore()), candidate, controls)
        return _run(pair, candidate, controls)

    @cached_property
    def _pairs(self) -> tuple[ArrayPair, ArrayPair]:
        """The sample without the pixels held out, and the same with noise added."""
        pair = ArrayPair(self._cubes, self._model, self._holes_with_held_out())
        if self._noise is None:
            return pair, pair
        noise = self._noise
        noisy = self._cubes[0] + noise[0], self._cubes[1] + noise[1]
        return pair, ArrayPair(noisy, self._model, pair.holes)

    def _predicted(self, candidate: Candidate, controls: Controls) -> Cube:
        """What a method without PSF makes of X R and X, both coarse, without the pixels held out."""
        lr_hsi = self._cubes[0]
        model = ObservationModel(SpatialDegradation(identity_psf(1), 1), self._model.spectral)
        colours = lr_hsi @ self._model.spectral.matrix.astype(np.float32)
        coarse = self._holes_with_held_out().coarse
        return _run(ArrayPair((lr_hsi, colours), model, Holes(coarse)), candidate, controls)

    def _error(self, predicted: Cube) -> Array:
        """Mean squared error of the pixels that are judged, (C,)."""
        left = np.square(self._cubes[0] - predicted, dtype=np.float64)
        return np.asarray(left[self._judged].mean(0))

    @cached_property
    def _clean(self) -> Mask:
        return self._holes.clean(self._model.spatial, self._size)

    @cached_property
    def _held_out(self) -> Mask:
        rows, columns = (np.arange(n) for n in self._size)
        return np.asarray((rows[:, None] + 2 * columns) % HELD_OUT == 0)

    @cached_property
    def _judged(self) -> Mask:
        """Pixels held out that count: with data, inside the sample, where the images agree."""
        reach = self._model.spatial.reach_cells
        inner = np.zeros(self._size, bool)
        rows, columns = (slice(min(reach, n // 4), n - min(reach, n // 4)) for n in self._size)
        inner[rows, columns] = True
        return self._held_out & self._clean & inner & (self._weights > USABLE)

    @cached_property
    def _doubtful(self) -> bool:
        return suspicion(self._model, *self._cubes, trusted=self._clean) is not None

    @cached_property
    def _scene_map(self) -> SceneMap:
        found = SceneMap(ArrayPair(self._cubes, self._model, self._holes))
        run_stages([found.survey()])
        return found

    @property
    def _weights(self) -> Cube:
        return self._scene_map.weights(Region.whole(self._size))[0][..., 0]

    @cached_property
    def _noise(self) -> tuple[Cube, Cube] | None:
        """Noise like that of X and of Y; None where there is next to none."""
        found = self._scene_map.found().noise_energy
        assert found is not None
        windows = [self._cubes[1][r.scaled(self._model.scale).slices] for r in self._noise_regions()]
        deviations = np.sqrt(found), np.minimum(channel_noise(windows), self._most_channel_noise())
        energies = [np.square(cube, dtype=np.float64).mean((0, 1)).sum() for cube in self._cubes]
        shares = [
            float(np.sqrt(np.square(d).sum() / max(e, TINY)))
            for d, e in zip(deviations, energies, strict=True)
        ]
        if max(shares) < NOISE_FREE:
            return None
        rng = np.random.default_rng(self._controls.seed)
        lr_hsi, hr_msi = (
            (rng.standard_normal(cube.shape, np.float32) * deviation).astype(np.float32)
            for cube, deviation in zip(self._cubes, deviations, strict=True)
        )
        return lr_hsi, hr_msi

    def _most_channel_noise(self) -> Array:
        """(c,), the noise of Y that X R - D Y allows, where the images agree as usual."""
        lr_hsi, hr_msi = self._cubes
        gap = lr_hsi @ self._model.spectral.matrix - degraded(self._model.spatial, hr_msi)
        energy = np.einsum("hw,hwc->c", self._weights, np.square(gap)) / max(float(self._weights.sum()), TINY)
        return np.asarray(np.sqrt(energy / np.square(self._model.spatial.psf.kernel).sum()))

    def _noise_regions(self) -> list[Region]:
        return noise_regions(self._size, self._model.scale, None if self._clean.all() else self._clean)

    def _holes_with_held_out(self) -> Holes:
        coarse = self._held_out if self._holes.coarse is None else self._held_out | self._holes.coarse
        return Holes(coarse, self._holes.sharp)


class CompletedColours(StagedMethod):
    """`colour_kernel`, made to agree with both images as far as these agree with each other.

    Args:
        pair: the images and the tiles.
    """

    def __init__(self, pair: TiledPair) -> None:
        self._pair, self._map = pair, SceneMap(pair)
        self._colours = ColourKernel(pair.model).fitting(pair)
        self._completion = Completion(pair, self._map)

    def survey(self) -> Sequence[Stage]:
        """Both maps: that of the colours, and that which tells weights and noise."""
        return (*self._colours.survey(), self._map.survey())

    def estimate(self) -> Sequence[Stage]:
        """The comparison with both images."""
        return (self._completion.stage(lambda region: self._colours.found()(self._pair.hr_msi(region))),)

    def finish(self, index: int) -> Cube:
        """See `StagedMethod.finish`."""
        return self._completion.finish(index)

    def details(self) -> dict[str, Any]:
        """Those of the colours, and the trust in the images."""
        return {**self._colours.details(), "trust": round(self._completion.trust, 4)}


class CompletedColourKernel(ColourKernel):
    """`colour_kernel_completed` of a scene; arguments as `ColourKernel`."""

    def tiles(self, pair: TiledPair) -> StagedMethod:
        """The method over the parts of a scene."""
        return CompletedColours(pair)


COMPLETED = methods.Method(
    name="colour_kernel_completed",
    kind="closed_form",
    summary="colour_kernel, made to agree with both images",
    source="hsr_tf",
    needs=("psf", "srf"),
    builder=CompletedColourKernel,
)


def _run(pair: ArrayPair, candidate: Candidate, controls: Controls) -> Cube:
    staged = staged_method(pair, candidate.method, weights=candidate.weights, controls=controls)
    run_stages([stage for stage in staged.survey() if not pair.store.has(stage.name, 0)])
    run_stages(staged.estimate())
    return staged.finish(0)


def _middle(whole: Region, scale: int) -> Region:
    """The part in the middle that is judged, 256 sharp pixels a side and at least 32 coarse ones."""
    side = max(SMALLEST_SIDE, SAMPLE_SIDE // scale)
    spans = []
    for span in (whole.rows, whole.columns):
        start = span.start + max(0, span.stop - span.start - side) // 2
        spans.append(slice(start, min(span.stop, start + side)))
    return Region.of(*spans)
