"""A solver run window by window, for scenes that are too large for it to hold at once.

Every window is a scene of its own, solved with its part of the time; the estimates fade into each other where
windows overlap, and the whole is made to agree with both images as `assembly.py` does it. Memory then grows
with the scene by the cube alone, and maps, subspaces and endmembers are those of the place.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from hsr_tf.physics.observation import ObservationModel
from hsr_tf.solvers.parts.assembly import Assembly
from hsr_tf.solvers.solver import Controls, Cube, Outcome, Solver, Step
from hsr_tf.tiling.blending import Cover
from hsr_tf.tiling.region import Region

OVERLAP_SHARE = 8
SAVED_TIME = 0.85
Slices = tuple[slice, slice]


class InWindows(Solver):
    """Runs a solver on overlapping windows.

    Args:
        solver: what solves a window.
        model: the two cameras.
        largest_side: of a window, in sharp pixels; windows are up to half as large again.
    """

    def __init__(self, solver: Solver, model: ObservationModel, largest_side: int) -> None:
        self._solver, self._model = solver, model
        self._side = max(2, largest_side // model.scale)

    def needed(self, lr_hsi: Cube) -> bool:
        """Whether the scene X (h, w, C) takes more than one window."""
        return len(self._cover(lr_hsi).windows()) > 1

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """The sharp cube of X (h, w, C) and Y (s h, s w, c); iterations are those of all windows.

        A checkpoint is not kept: a window is the most that is lost. Windows that a time limit leaves no time
        for get the closed form; the details tell how many were solved.
        """
        cover, began = self._cover(lr_hsi), time.perf_counter()
        windows = cover.windows()
        assembly = Assembly(self._model, lr_hsi, hr_msi)
        parts = _Parts(assembly, np.zeros((*hr_msi.shape[:2], lr_hsi.shape[-1]), np.float32), len(windows))
        for number, window in enumerate(tqdm(windows, unit="window", disable=not controls.progress)):
            if number and _is_late(controls, time.perf_counter() - began):
                parts.fill(windows[number:], cover)
                break
            sharp = window.scaled(self._model.scale).slices
            images = (np.ascontiguousarray(lr_hsi[window.slices]), np.ascontiguousarray(hr_msi[sharp]))
            weights = cover.weights(window)[..., None]
            told = parts.watching(controls, sharp, weights)
            left = _time_of_one(controls, time.perf_counter() - began, len(windows) - number)
            parts.add(self._solver.solve(*images, replace(told, max_seconds=left)), sharp, weights)
        assembly.complete(parts.cube)
        return parts.outcome()

    def _cover(self, lr_hsi: Cube) -> Cover:
        size = (lr_hsi.shape[0], lr_hsi.shape[1])
        return Cover(size, self._model.scale, size=self._side, overlap=max(1, self._side // OVERLAP_SHARE))


class _Parts:
    """The windows solved so far."""

    def __init__(self, assembly: Assembly, cube: Cube, num_windows: int) -> None:
        self._assembly, self.cube, self._num_windows = assembly, cube, num_windows
        self._iterations, self._converged, self._solved = 0, True, 0
        self._details: dict[str, Any] = {}
        self._filled = np.zeros((*cube.shape[:2], 1), np.float32)

    def add(self, found: Outcome, sharp: Slices, weights: np.ndarray) -> None:
        self.cube[sharp] += weights * found.estimate
        self._filled[sharp] += weights
        self._iterations += found.iterations
        self._converged &= found.converged
        self._solved += 1
        self._details = self._details or dict(found.details)

    def fill(self, windows: Sequence[Region], cover: Cover) -> None:
        """The closed form for windows that are not solved."""
        warnings.warn(
            f"max_seconds: time for {self._solved} of {self._num_windows} windows, closed form in the others",
            stacklevel=2,
        )
        spectral_map = self._assembly.fit.spectral_map
        for window in windows:
            sharp = window.scaled(cover.scale).slices
            self.cube[sharp] += cover.weights(window)[..., None] * self._assembly.mapped(spectral_map, sharp)
        self._converged = False

    def outcome(self) -> Outcome:
        """The whole; the details are those of the first window."""
        details = {**self._details, "windows": self._num_windows, "windows_solved": self._solved}
        return Outcome(self.cube, self._iterations, self._converged, details=details)

    def watching(self, controls: Controls, sharp: Slices, weights: np.ndarray) -> Controls:
        """Controls of one window whose callback sees the whole scene and all iterations."""
        told, before = controls.callback, self._iterations
        quiet = replace(controls, checkpoint=None, progress=False, callback=None)
        if told is None:
            return quiet

        def callback(step: Step) -> None:
            def estimate() -> Cube:
                return self._with(step.estimate(), sharp, weights)

            most = self._num_windows * step.most
            told(replace(step, iteration=before + step.iteration, most=most, estimate=estimate))

        return replace(quiet, callback=callback)

    def _with(self, part: Cube, sharp: Slices, weights: np.ndarray) -> Cube:
        """The windows so far, this one as it stands, and the closed form where there is none yet."""
        cube, filled = self.cube.copy(), self._filled.copy()
        cube[sharp] += weights * part
        filled[sharp] += weights
        cube += (1 - filled) * self._assembly.cube(self._assembly.fit.spectral_map)
        return cube


def _is_late(controls: Controls, spent: float) -> bool:
    return controls.max_seconds is not None and spent > SAVED_TIME * controls.max_seconds


def _time_of_one(controls: Controls, spent: float, windows_left: int) -> float | None:
    """Seconds for the next window; a share is kept for joining them."""
    if controls.max_seconds is None:
        return None
    return max(1e-3, (SAVED_TIME * controls.max_seconds - spent) / windows_left)
