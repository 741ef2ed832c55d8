"""A weighted mean of the estimates of several methods, made to agree with both images.

Every method is run over the same tiles; what all of them survey alike (the map of the scene) is surveyed
once. A scene in memory holds one estimate at a time beside the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hsr_tf import methods
from hsr_tf.closed_forms.colour_kernel import CHOSEN_KERNEL
from hsr_tf.closed_forms.spectral_ls import CHOSEN_MAP, SURVEYED, SceneMap
from hsr_tf.fusion.pipeline import model_of, staged_method
from hsr_tf.options import with_options
from hsr_tf.physics.tiled_pair import StoredPair, TiledPair
from hsr_tf.solvers.kernel_ls import KERNEL_FEATURES
from hsr_tf.solvers.parts.completion import Completion, degraded
from hsr_tf.solvers.solver import Controls
from hsr_tf.tiling.region import Region
from hsr_tf.tiling.scoped import ScopedStore
from hsr_tf.tiling.stages import MemoryStore, Stage, StagedMethod, TileStore, run_stages
from hsr_tf.typing import Cube

if TYPE_CHECKING:
    from hsr_tf.networks.cards import ModelCard

BLEND = "blend"
# What fits to much the same images have in common, where their stores share it.
SHARED = frozenset({CHOSEN_MAP, CHOSEN_KERNEL, KERNEL_FEATURES})
WINDOW_SIDE = 1024
SPECTRAL_LS = "spectral_ls"
KERNEL_LS, LIGHT = "kernel_ls", ("num_features=256", "draws=1", "consistent=false")


@dataclass(frozen=True)
class Candidate:
    """A method that may be part of a blend.

    Attributes:
        name: that is shown.
        method: of the registry.
        weights: folder of a network's weights.
        knows_noise: whether they were trained for these cameras with noise.
        start: methods whose mean a network for any cameras refines, and their weights; none for the map of
            `spectral_ls`.
    """

    name: str
    method: methods.Method
    weights: Path | None = None
    knows_noise: bool = False
    start: tuple[tuple[Candidate, float], ...] = ()

    @classmethod
    def named(cls, name: str) -> Candidate:
        """A method of the registry; `kernel_ls` in a light form."""
        method = methods.get(name)
        return cls(name, with_options(method, LIGHT) if name == KERNEL_LS else method)

    @classmethod
    def of_card(cls, card: ModelCard) -> Candidate:
        """A network with trained weights."""
        method, flags = methods.get(card.config.method), card.record.get("flags", {})
        noisy = not method.any_cameras and flags.get("hsi_snr_db") is not None
        return cls(card.folder.name, method, card.folder, knows_noise=noisy)

    @property
    def needs_psf(self) -> bool:
        """Whether the estimate depends on the PSF."""
        return self.method.kind == "network" or "psf" in self.method.needs

    def store(self, shared: TileStore, own: TileStore, prefix: str = "") -> ScopedStore:
        """Its view of a store; networks of cameras of their own survey a map for those."""
        fields = frozenset() if self.method.keeps_bands else SURVEYED | SHARED
        return ScopedStore(shared, fields, own, prefix)

    def staged(self, pair: TiledPair, controls: Controls) -> StagedMethod:
        """The method over the parts of a scene; a solver's windows are the same for scenes of any tiles."""
        if self.start:
            return self._refined(pair, controls)
        window = max(2, WINDOW_SIDE // pair.grid.scale) if self.method.kind == "solver" else None
        return staged_method(pair, self.method, weights=self.weights, controls=controls, window=window)

    def _refined(self, pair: TiledPair, controls: Controls) -> StagedMethod:
        from hsr_tf.fusion.refined import Refined

        assert self.weights is not None
        model = model_of(pair, self.method, self.weights)
        return Refined(pair, lambda its_pair: Blend(its_pair, self.start, controls), model)


def run_alone(candidate: Candidate, pair: TiledPair, controls: Controls, shared: TileStore) -> Cube:
    """The estimate of a scene of one tile; what is surveyed alike is kept in `shared`, the rest dropped."""
    store = candidate.store(shared, MemoryStore())
    staged = candidate.staged(StoredPair(pair, store), controls)
    run_stages([stage for stage in staged.survey() if not store.has(stage.name, 0)])
    run_stages(staged.estimate())
    return staged.finish(0)


def run_blurred(candidate: Candidate, pair: TiledPair, controls: Controls, shared: TileStore) -> Cube:
    """D Z of the estimate that `run_alone` gives, (h, w, C)."""
    store = candidate.store(shared, MemoryStore())
    staged = candidate.staged(StoredPair(pair, store), controls)
    run_stages([stage for stage in staged.survey() if not store.has(stage.name, 0)])
    blurred = staged.blurred()
    if blurred is not None:
        return blurred
    run_stages(staged.estimate())
    return degraded(pair.model.spatial, staged.finish(0))


class Blend(StagedMethod):
    """The mean of several methods over the parts of a scene.

    Args:
        pair: the images and the tiles.
        parts: the methods and their weights, which sum to one.
        controls: how solvers are run.
        completed: whether the mean is made to agree with both images.
    """

    def __init__(
        self,
        pair: TiledPair,
        parts: Sequence[tuple[Candidate, float]],
        controls: Controls,
        *,
        completed: bool = True,
    ) -> None:
        self._pair, self._parts, self._completed = pair, parts, completed
        self._controls = replace(controls, callback=None, checkpoint=None, progress=False)
        self._map = SceneMap(pair)
        self._completion = Completion(pair, self._map, projected=_mostly_projected(parts))
        self._staged: list[tuple[ScopedStore, StagedMethod]] = []
        if len(pair.grid) > 1:
            for candidate, _ in parts:
                store = candidate.store(pair.store, pair.store, f"{candidate.name}_")
                self._staged.append((store, candidate.staged(StoredPair(pair, store), self._controls)))

    def survey(self) -> Sequence[Stage]:
        """The map of the scene, and what else the methods survey."""
        found = [store.renamed(stage) for store, staged in self._staged for stage in staged.survey()]
        stages = [self._map.survey(), *found]
        return list({stage.name: stage for stage in reversed(stages)}.values())[::-1]

    def estimate(self) -> Sequence[Stage]:
        """The methods, their mean, and its comparison with both images."""
        found = [store.renamed(stage) for store, staged in self._staged for stage in staged.estimate()]
        found.append(Stage(BLEND, len(self._pair.grid), self._blend))
        if self._completed:
            found.append(self._completion.stage(self._blended))
        return found

    def finish(self, index: int) -> Cube:
        """See `StagedMethod.finish`."""
        return self._completion.finish(index) if self._completed else self._pair.store.load(BLEND, index)

    def details(self) -> dict[str, Any]:
        """How far the images were believed."""
        found = {"disagreement": self._map.found().disagreement}
        return {**found, "trust": round(self._completion.trust, 4)} if self._completed else found

    def _blend(self, index: int) -> None:
        total: Cube | None = None
        for number, (candidate, weight) in enumerate(self._parts):
            if self._staged:
                estimate = self._staged[number][1].finish(index)
            else:
                estimate = run_alone(candidate, self._pair, self._controls, self._pair.store)
            total = np.float32(weight) * estimate if total is None else total
            if number:
                total += np.float32(weight) * estimate
        assert total is not None
        self._pair.store.save(BLEND, index, total)

    def _blended(self, region: Region) -> Cube:
        """The mean of the sharp pixels of a region."""
        return self._pair.store.read(BLEND, self._pair.grid, region, sharp=True)


def _mostly_projected(parts: Sequence[tuple[Candidate, float]]) -> bool:
    """Whether most of a mean agrees with both images already: `spectral_ls` and networks do."""
    return sum(weight for one, weight in parts if one.weights or one.name == SPECTRAL_LS) > 0.5
