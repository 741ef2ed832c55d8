"""Solvers in parts: overlapped windows that fade into each other, made to agree with both images as one
scene.

The windows, their weights and the last step are those of `hsr_tf.solvers.parts.in_windows`, with the scene's
cameras; what that step takes of the whole scene (trust, noise, what is left of X) lives on the coarse grid
and is gathered over the tiles. Windows are kept one by one and joined once all of them are there, in a fixed
order, so that it does not matter who solved which when.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hsr_tf.arrays import ops
from hsr_tf.closed_forms.band_groups import enlarged
from hsr_tf.closed_forms.map_fit import trust_in
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.solvers.parts.assembly import DISTRUST, ENOUGH, PASSES
from hsr_tf.solvers.parts.in_windows import OVERLAP_SHARE
from hsr_tf.solvers.solver import Controls, Solver
from hsr_tf.streaming.files import Cube
from hsr_tf.streaming.grid import Place
from hsr_tf.streaming.job import Scenery, Stage
from hsr_tf.streaming.least_squares import (
    BANDS_AT_ONCE,
    BICUBIC,
    COARSE,
    FEATURES,
    StreamedMap,
)
from hsr_tf.tiling.blending import Cover

WINDOW, LEFT, FREE, REST, UNSEEN, ADDED = "window", "left", "free", "rest", "unseen", "added"
COMPLETION = "completion"


@dataclass(frozen=True, eq=False)
class Completion:
    """What joins the windows of a scene.

    Attributes:
        trust: t of the blended estimate.
        passes: fields that were added to it, one after the other.
    """

    trust: float
    passes: int


class SolverTiles:
    """A solver window by window.

    Args:
        scenery: the images and the tiles.
        solver: what solves a window.
        window: its side in coarse pixels, see `Cover`.
        controls: seed, and the time of one window.
    """

    def __init__(self, scenery: Scenery, solver: Solver, window: int, controls: Controls) -> None:
        self._scenery, self._solver, self._controls = scenery, solver, controls
        self._model = scenery.found.cameras
        self._map = StreamedMap(scenery, self._model)
        overlap = max(1, window // OVERLAP_SHARE)
        self._cover = Cover(scenery.grid.size, scenery.grid.scale, size=window, overlap=overlap)
        self._windows = self._cover.windows()
        self._response = self._model.spectral.matrix.astype(np.float32)
        self._inverse = self._model.spectral.pseudo_inverse().astype(np.float32)

    def stages(self) -> list[Stage]:
        """What X and Y tell of the cameras, the windows, and their join."""
        num_tiles = len(self._scenery.grid)
        return [
            self._map.stage(),
            Stage(WINDOW, len(self._windows), self._solve),
            Stage(FREE, num_tiles, self._blend, self._complete),
        ]

    def final(self, index: int) -> Cube:
        """The estimate (s h, s w, C) of a tile, once all stages are through."""
        scenery, done = self._scenery, self._completion()
        place = scenery.grid.place(index)
        free, trust = scenery.draft.load(FREE, index), done.trust
        gap_weights = enlarged(self._map.weights(place)[0][..., 0], scenery.grid.scale)[..., None]
        free += gap_weights * ((scenery.sharp(place) - free @ self._response) @ (trust * self._inverse))
        around = scenery.grid.widened(place, max(BICUBIC, self._map.blur))
        solved = self._solved(around, trust) if trust > 0 else None
        added = scenery.draft.read(_added(done.passes), scenery.grid, around) if done.passes else None
        inner = place.within(around, scenery.grid.scale)
        for start in range(0, free.shape[-1], BANDS_AT_ONCE):
            bands = slice(start, start + BANDS_AT_ONCE)
            if solved is not None:
                spread = self._model.spatial.adjoint(solved[..., bands])
                free[..., bands] += trust * ops.convert_to_numpy(spread)[0][inner]
            if added is not None:
                free[..., bands] += self._enlarged(added[..., bands])[inner]
        return free

    def _solve(self, number: int) -> None:
        window = self._windows[number]
        place = Place(*window.slices)
        images = self._map.lr_hsi(self._map.shared(), place), self._scenery.sharp(place)
        self._scenery.draft.save(WINDOW, number, self._solver.solve(*images, self._controls).estimate)

    def _blend(self, index: int) -> None:
        """The windows joined on a tile, and what that leaves of X."""
        scenery, scale = self._scenery, self._scenery.grid.scale
        place = scenery.grid.place(index)
        around = scenery.grid.widened(place, self._map.blur)
        sides = tuple(scale * n for n in around.size)
        blended = np.zeros((*sides, scenery.found.num_bands), np.float32)
        for number, window in enumerate(self._windows):
            whole = Place(*window.slices)
            part = around.shared(whole)
            if part is not None:
                inner = part.within(whole, scale)
                weights = self._cover.weights(window)[inner][..., None]
                blended[part.within(around, scale)] += weights * scenery.draft.load(WINDOW, number)[inner]
        coarse = self._degraded(blended)[place.within(around)]
        scenery.draft.save(LEFT, index, self._map.lr_hsi(self._map.shared(), place) - coarse)
        scenery.draft.save(FREE, index, blended[place.within(around, scale)])

    def _complete(self) -> None:
        """Trust in the two images, and what is added without it."""
        trust, grid = self._trust(), self._scenery.grid
        apart = max(float(self._plain_weights(p, trust).max()) for p in map(grid.place, range(len(grid))))
        passes = self._back_project(trust) if trust < DISTRUST or apart > 1 - DISTRUST else 0
        self._scenery.draft.tell(COMPLETION, {"trust": trust, "passes": passes})

    def _completion(self) -> Completion:
        told = self._scenery.draft.told(COMPLETION)
        assert told is not None
        return Completion(float(told["trust"]), int(told["passes"]))

    def _trust(self) -> float:
        """As `DataConsistency.trust`, from sums over the tiles."""
        grid, draft, shared = self._scenery.grid, self._scenery.draft, self._map.shared()
        left = total = 0.0
        for index in range(len(grid)):
            weights, _ = self._map.weights(grid.place(index))
            parts = (draft.load(field, index) for field in (LEFT, COARSE))
            energies = [float((weights * np.square(part, dtype=np.float64)).sum()) for part in parts]
            left, total = left + energies[0], total + energies[1]
        return trust_in(shared.disagreement**2, left / max(total, 1e-30))

    def _solved(self, around: Place, trust: float) -> Any:
        """(D D*)^-1 of what the blended estimate leaves of X after the spectral projection."""
        far = self._scenery.grid.widened(around, self._map.reach)
        return self._map.solved(self._map.weights(far)[0] * self._seen(far, trust), far, around)

    def _seen(self, place: Place, trust: float) -> Cube:
        """X - D Z of the blended estimate moved by `trust` to the colours of Y."""
        scenery = self._scenery
        left, features = (scenery.draft.read(field, scenery.grid, place) for field in (LEFT, FEATURES))
        lr_hsi = self._map.lr_hsi(self._map.shared(), place)
        colours = features[..., 1 : 1 + self._response.shape[1]]
        moved = (colours - (lr_hsi - left) @ self._response) @ (trust * self._inverse)
        return np.asarray(left - moved, np.float32)

    def _plain_weights(self, place: Place, trust: float) -> Cube:
        """As `MapFit.plain_weights`, (h, w, 1)."""
        weights, usable = self._map.weights(place)
        return np.asarray((1 - trust * weights) * usable)

    def _back_project(self, trust: float) -> int:
        """As `Assembly.complete` where it distrusts: the number of the last field that is added."""
        grid, draft = self._scenery.grid, self._scenery.draft
        noise = self._map.shared().noise_energy
        assert noise is not None
        for index in range(len(grid)):
            draft.save(_added(0), index, np.zeros_like(draft.load(LEFT, index)))
            draft.save(REST, index, self._left_after_projection(grid.place(index), trust))
        for number in range(PASSES):
            rest = np.zeros_like(noise)
            for index in range(len(grid)):
                left = draft.load(LEFT, index) if not number else self._left_now(index, number, trust)
                left = self._map.weights(grid.place(index))[1] * left
                unseen = left - (left @ self._response) @ self._inverse
                draft.save(UNSEEN, index, unseen)
                rest += np.square(unseen, dtype=np.float64).sum((0, 1))
            rest /= grid.size[0] * grid.size[1]
            if rest.sum() <= ENOUGH * noise.sum():
                return number
            share = np.clip(1.0 - noise / np.maximum(rest, 1e-30), 0.0, 1.0).astype(np.float32)
            for index in range(len(grid)):
                weights = self._plain_weights(grid.place(index), trust)
                more = draft.load(_added(number), index) + share * weights * draft.load(UNSEEN, index)
                draft.save(_added(number + 1), index, more)
        return PASSES

    def _left_after_projection(self, place: Place, trust: float) -> Cube:
        """X - D Z before anything is added without trust."""
        seen = self._seen(place, trust)
        if trust <= 0:
            return seen
        around = self._scenery.grid.widened(place, 2 * self._map.blur)
        solved = self._solved(around, trust)
        parts = []
        for start in range(0, seen.shape[-1], BANDS_AT_ONCE):
            spread = self._model.spatial.adjoint(solved[..., start : start + BANDS_AT_ONCE])
            parts.append(ops.convert_to_numpy(self._model.spatial.forward(spread))[0][place.within(around)])
        return np.asarray(seen - trust * np.concatenate(parts, -1), np.float32)

    def _left_now(self, index: int, number: int, trust: float) -> Cube:
        """X - D Z after so many passes."""
        scenery = self._scenery
        place = scenery.grid.place(index)
        around = scenery.grid.widened(place, BICUBIC + self._map.blur)
        added = scenery.draft.read(_added(number), scenery.grid, around)
        parts = [
            self._degraded(self._enlarged(added[..., start : start + BANDS_AT_ONCE]))[place.within(around)]
            for start in range(0, added.shape[-1], BANDS_AT_ONCE)
        ]
        return np.asarray(scenery.draft.load(REST, index) - np.concatenate(parts, -1), np.float32)

    def _degraded(self, cube: Cube) -> Cube:
        """D Z, some bands at a time."""
        parts = [
            ops.convert_to_numpy(self._model.spatial.forward(cube[None, ..., start : start + BANDS_AT_ONCE]))
            for start in range(0, cube.shape[-1], BANDS_AT_ONCE)
        ]
        return np.concatenate(parts, -1)[0]

    def _enlarged(self, coarse: Cube) -> Cube:
        large = bicubic_enlarge(ops.convert_to_tensor(coarse[None]), self._model.scale)
        return np.asarray(ops.convert_to_numpy(large))[0]


def _added(number: int) -> str:
    return f"{ADDED}{number}"
