"""A tiny solver, known to the registry only while a test runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from hsr_tf import methods
from hsr_tf.closed_forms.bicubic import Bicubic
from hsr_tf.closed_forms.quadratic_map import SpectralLS
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import gaussian_psf
from hsr_tf.solvers.solver import Controls, Cube, Iterations, Outcome, Solver

RUN = Controls()


@dataclass(frozen=True)
class BlendedConfig:
    """How much, how long.

    Attributes:
        num_iterations: cap.
        step: share of the way that an iteration goes.
        sizes: nothing, for the sake of its type.
        note: nothing either.
        quick: nothing at all.
    """

    num_iterations: int = 2
    step: float = 0.5
    sizes: tuple[int, int] = (4, 8)
    note: str | None = None
    quick: bool = False


def registered(
    monkeypatch: pytest.MonkeyPatch, name: str, build: Callable[..., Any], *, needs: tuple[str, ...]
) -> None:
    """Put a solver into the registry until the test ends."""
    methods.names()
    monkeypatch.setitem(
        methods._REGISTRY,
        name,
        methods.Method(name, "solver", "a tiny solver", "this test", needs, build),
    )


def blended(model: ObservationModel, config: BlendedConfig = BlendedConfig()) -> Solver:
    """Bicubic, moved towards spectral_ls by a share each iteration."""
    return _Blended(model, config)


class _Blended(Solver):
    def __init__(self, model: ObservationModel, config: BlendedConfig) -> None:
        self.model, self.config = model, config

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = RUN) -> Outcome:
        model = self.model
        goal, cube = (
            np.asarray(method(lr_hsi[None], hr_msi[None]))[0]
            for method in (SpectralLS(model), Bicubic(model))
        )
        iterations = Iterations("blended", self.config.num_iterations, controls)
        for _ in iterations:
            cube = cube + self.config.step * (goal - cube)
            iterations.report(float(np.square(goal - cube).mean()), lambda now=cube: now)
        return Outcome(
            cube,
            iterations.done,
            True,
            psf=gaussian_psf(model.scale),
            srf=model.spectral.matrix,
            shift=(0.5, -1.0),
            details={"kindness": 3},
        )
