"""A solver over the parts of a scene: overlapping windows that fade into each other, completed as one scene.

A scene that the solver holds at once is one window, and its estimate stands as it is. Else every window is a
scene of its own, solved with its part of the time; the estimates are blended and the whole is made to agree
with both images (`hsr_tf.solvers.parts.completion`). Memory then grows with the scene by the cube alone, and
subspaces and endmembers are those of the place. Windows are kept one by one and joined in a fixed order, so
that it does not matter which process solved which, and when.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hsr_tf.closed_forms.agreeing_pair import agreeing_pair
from hsr_tf.closed_forms.spectral_ls import SceneMap
from hsr_tf.physics.nodata import is_enough
from hsr_tf.physics.tiled_pair import TiledPair
from hsr_tf.solvers.parts.assembly import mapped
from hsr_tf.solvers.parts.completion import Completion
from hsr_tf.solvers.solver import Controls, Cube, Outcome, Solver, Step
from hsr_tf.tiling.blending import Cover
from hsr_tf.tiling.region import Region
from hsr_tf.tiling.stages import Stage, StagedMethod
from hsr_tf.typing import Mask

OVERLAP_SHARE = 8
SAVED_TIME = 0.85
WINDOW = "window"


class SolverTiles(StagedMethod):
    """A solver window by window.

    Args:
        pair: the images and the tiles.
        solver: what solves a window.
        side: of a window in coarse pixels; windows are up to half as large again. None for the whole scene.
        controls: how the solver is run; a time limit is shared by the windows, and windows for which no time
            is left get the closed form. A checkpoint is kept for a scene of one window alone.
    """

    def __init__(
        self, pair: TiledPair, solver: Solver, side: int | None, controls: Controls = Controls()
    ) -> None:
        self._pair, self._solver, self._controls = pair, solver, controls
        side = max(pair.grid.size) if side is None else max(2, side)
        overlap = max(1, side // OVERLAP_SHARE)
        self._cover = Cover(pair.grid.size, pair.grid.scale, size=side, overlap=overlap)
        self._windows = self._cover.windows()
        self._map = SceneMap(pair)
        self._completion = Completion(pair, self._map)
        self._began = time.perf_counter()
        self._outcomes: dict[int, Outcome] = {}

    @property
    def num_windows(self) -> int:
        """Number of windows."""
        return len(self._windows)

    def survey(self) -> Sequence[Stage]:
        """The map of the scene: it joins windows, and fills pixels that hold no data or do not agree."""
        needed = self.num_windows > 1 or self._pair.has_holes or self._solver.explains_both
        return (self._map.survey(),) if needed else ()

    def estimate(self) -> Sequence[Stage]:
        """The windows, and their comparison with the images."""
        solved = Stage(WINDOW, self.num_windows, self._solve)
        return (solved,) if self.num_windows == 1 else (solved, self._completion.stage(self._blended))

    def finish(self, index: int) -> Cube:
        """See `StagedMethod.finish`."""
        if self.num_windows > 1:
            return self._completion.finish(index)
        tile = self._pair.grid.region(index).scaled(self._pair.grid.scale)
        return self._pair.store.load(WINDOW, 0)[tile.slices]

    def blurred(self) -> Cube | None:
        """See `StagedMethod.blurred`."""
        if self.num_windows > 1 or not self._solver.explains_both:
            return None
        images = agreeing_pair(self._map, self._pair.grid.whole)
        return self._solver.blurred(images, self._controls) if images.everywhere else None

    def outcome(self, estimate: Cube) -> Outcome:
        """The whole, where this process solved the windows; cameras and details are those of the first."""
        if self.num_windows == 1:
            return replace(self._outcomes[0], estimate=estimate)
        found = list(self._outcomes.values())
        late = self.num_windows - len(found)
        if late:
            warnings.warn(
                f"max_seconds: time for {len(found)} of {self.num_windows} windows, "
                "closed form in the others",
                stacklevel=2,
            )
        details = {"windows": self.num_windows, "windows_solved": len(found)}
        return Outcome(
            estimate,
            sum(one.iterations for one in found),
            not late and all(one.converged for one in found),
            details={**found[0].details, **details},
        )

    def _solve(self, number: int) -> None:
        region, spent = self._windows[number], time.perf_counter() - self._began
        sharp = np.ascontiguousarray(self._pair.hr_msi(region))
        limit = self._controls.max_seconds
        if number and limit is not None and spent > SAVED_TIME * limit:
            self._pair.store.save(WINDOW, number, mapped(self._map.found().spectral_map, sharp))
            return
        controls, estimate = self._controls_of(number, spent), None
        if self._solver.explains_both:
            images = agreeing_pair(self._map, region)
            found = self._solver.solve_agreeing(images, controls)
            estimate = images.joined(found.estimate)
        else:
            lr_hsi = self._map.lr_hsi(region) if self.survey() else self._pair.lr_hsi(region)
            counted = self._pair.usable(region) if self._pair.has_holes else np.ones(region.size, bool)
            found = self._solved(np.ascontiguousarray(lr_hsi), sharp, counted, controls)
        self._outcomes[number] = replace(found, estimate=np.empty((0, 0, 0), np.float32))
        self._pair.store.save(WINDOW, number, found.estimate if estimate is None else estimate)

    def _solved(self, lr_hsi: Cube, hr_msi: Cube, counted: Mask, controls: Controls) -> Outcome:
        if counted.all() or not is_enough(int(counted.sum()), counted.size):
            return self._solver.solve(lr_hsi, hr_msi, controls)
        return self._solver.solve_counted(lr_hsi, hr_msi, counted, controls)

    def _controls_of(self, number: int, spent: float) -> Controls:
        """Those of one window: its share of the time, and a callback that sees the whole scene."""
        controls = self._controls
        if self.num_windows == 1:
            return controls
        limit = controls.max_seconds
        if limit is not None:
            limit = max(1e-3, (SAVED_TIME * limit - spent) / (self.num_windows - number))
        quiet = replace(controls, checkpoint=None, progress=False, callback=None, max_seconds=limit)
        observe, before = controls.callback, sum(one.iterations for one in self._outcomes.values())
        if observe is None:
            return quiet

        def callback(step: Step) -> None:
            most = self.num_windows * step.most
            whole = replace(
                step,
                iteration=before + step.iteration,
                most=most,
                estimate=lambda: self._whole_with(number, step.estimate()),
            )
            observe(whole)

        return replace(quiet, callback=callback)

    def _whole_with(self, number: int, part: Cube) -> Cube:
        """The windows so far, this one as it stands, and the closed form where there is none yet."""
        whole, spectral_map = self._pair.grid.whole, self._map.found().spectral_map
        parts = [self._pair.store.load(WINDOW, i) for i in range(number)] + [part]
        for region in self._windows[number + 1 :]:
            parts.append(mapped(spectral_map, self._pair.hr_msi(region)))
        return self._joined(whole, lambda i: parts[i])

    def _blended(self, region: Region) -> Cube:
        return self._joined(region, lambda number: self._pair.store.load(WINDOW, number))

    def _joined(self, region: Region, window: Callable[[int], Cube]) -> Cube:
        """The windows on a region, blended: (s h, s w, C)."""
        scale = self._pair.grid.scale
        blended = np.zeros((*region.scaled(scale).size, self._pair.num_bands), np.float32)
        for number, place in enumerate(self._windows):
            part = region.intersection(place)
            if part is not None:
                inner = part.inside(place).scaled(scale).slices
                weights = self._cover.weights(place)[inner][..., None]
                blended[part.inside(region).scaled(scale).slices] += weights * window(number)[inner]
        return blended
