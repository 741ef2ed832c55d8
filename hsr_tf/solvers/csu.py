"""Coupled spectral unmixing: one set of endmembers explains both images, Z = A E.

    minimise 1/2 |X - (A D) E|^2 + 1/2 |Y - A (E R)|^2,  0 <= E <= 1,  A >= 0,  every row of A sums to one

C. Lanaras, E. Baltsavias, K. Schindler, ICCV 2015. As published (`CsuConfig.published`): endmembers of
X, their abundances in X enlarged, then projected gradients in turns, E on X for the A D at hand, A on Y for
the E R at hand, each until its residual falls by less than 1 % in a step.

Departures from the paper: endmembers start from vertex component analysis (the paper: SISAL, another way to
the corners of the same simplex); the optional sparsity of A is left out (it is off in the authors' program);
the box of E ends at the largest value of X where that is above one. By default the result is averaged with
the closed-form map and made to agree with both images, which the published form does not do. On 128 x 128
pixels of the training scenes flowers, thread_spools and clay at x8, without noise, `CsuConfig.published()`
has 43.2 / 39.3 / 45.5 dB, the default 49.5 / 46.3 / 52.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from hsr_tf import checks
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.solvers.parts.colour_map import until
from hsr_tf.solvers.parts.endmembers import (
    Descent,
    Matrix,
    Stop,
    constrained_rows,
    fit_endmembers,
    project_simplex,
    vertex_components,
)
from hsr_tf.solvers.parts.mixture import STARTS, MixedPair
from hsr_tf.solvers.solver import LARGEST_SIDE, Controls, Cube, Iterations, Outcome, Solver


@dataclass(frozen=True)
class CsuConfig:
    """Options. Gains are PSNR on 256x256 crops of training scenes at x8.

    Attributes:
        num_endmembers: p; 10 as published.
        num_iterations: cap of the alternations; as published they end by the tolerance alone.
        num_inner: cap of the gradient steps in one half of an alternation.
        inner_tolerance: they end when the residual falls by less than this share in one step.
        tolerance: the alternations end when the residual of both images together changes by less than this
            share.
        num_fit: alternations of E and A on X alone before Y is used, accelerated; 0 as published. 30 gain
            0.6 / 0.4 / 1.0 dB; 150 gain no more.
        start: first abundances of Y: those of X enlarged ("bicubic", as published), or those that come
            nearest to `spectral_ls`.
        averaged: the mixture is averaged with the closed-form map, each band by what explains X best
            (`ColourMap.average`). Off as published; it gains 0.0 and 0.5 dB on two of them without noise,
            0.9 to 5.4 dB on three with noise of 35 and 40 dB, and 1.8 and 2.7 dB on Jasper Ridge at x4 and
            Samson at x5 with four channels.
        consistent: the result is made to agree with both images, as far as they agree with each other. Off
            as published; it gains 5 to 9 dB without noise.
    """

    num_endmembers: int = 10
    num_iterations: int = 10
    num_inner: int = 100
    inner_tolerance: float = 0.01
    tolerance: float = 1e-4
    num_fit: int = 30
    start: str = "spectral_ls"
    averaged: bool = True
    consistent: bool = True

    def __post_init__(self) -> None:
        checks.require_choice("start", self.start, STARTS)
        checks.require_positive_integers(
            num_endmembers=self.num_endmembers, num_iterations=self.num_iterations, num_inner=self.num_inner
        )

    @classmethod
    def published(cls) -> CsuConfig:
        """The paper's form."""
        return cls(num_iterations=200, num_fit=0, start="bicubic", averaged=False, consistent=False)


class CsuSolver(Solver):
    """Alternating projected gradients.

    Args:
        model: the two cameras.
        config: options.
    """

    largest_side = LARGEST_SIDE

    def __init__(self, model: ObservationModel, config: CsuConfig = CsuConfig()) -> None:
        self.model, self.config = model, config

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """See `Solver.solve`; the time limit cuts every fit, the first ones too.

        Raises:
            ValueError: for images that do not fit each other or the cameras.
        """
        config, iterations = self.config, Iterations("csu", self.config.num_iterations, controls)
        pair = MixedPair(self.model, lr_hsi, hr_msi)
        endmembers, coarse = self._unmix_coarse(pair, controls.seed, iterations)
        abundances = pair.first_abundances(
            endmembers, coarse, start=config.start, project=project_simplex, stop=until(iterations, 0.6)
        )
        last, late = np.inf, until(iterations, 0.9)
        for _ in iterations:
            endmembers = self._improve(pair, pair.coarse(abundances), endmembers, late)
            abundances = constrained_rows(
                pair.colours,
                endmembers @ pair.response,
                abundances,
                project=project_simplex,
                descent=self._plain(),
                stop=late,
            )
            objective = 0.5 * sum(pair.residuals(abundances, endmembers))
            change = abs(np.sqrt(last) - np.sqrt(objective))
            if change <= config.tolerance * np.sqrt(objective) and not late():
                iterations.finish()
            last = objective
            cube = partial(
                pair.cube, abundances, endmembers, averaged=config.averaged, consistent=config.consistent
            )
            iterations.report(objective, cube)
        return Outcome(cube(), iterations.done, iterations.converged)

    def _unmix_coarse(self, pair: MixedPair, seed: int, iterations: Iterations) -> tuple[Matrix, Matrix]:
        """Endmembers and abundances of X; at most a third of the time limit is spent on it."""
        stop = until(iterations, 1 / 3)
        endmembers = vertex_components(pair.spectra, self.config.num_endmembers, seed=seed)
        endmembers = np.maximum(endmembers, 0)
        even = np.full((len(pair.spectra), len(endmembers)), 1 / len(endmembers), np.float32)
        coarse = _on_simplex(pair.spectra, endmembers, even, Descent(200, 1e-4), stop)
        few = Descent(10, 0.0)
        for _ in range(self.config.num_fit):
            if stop():
                break
            endmembers = self._improve(pair, coarse, endmembers, stop, few)
            coarse = _on_simplex(pair.spectra, endmembers, coarse, few, stop)
        return endmembers, coarse

    def _improve(
        self,
        pair: MixedPair,
        coarse: Matrix,
        endmembers: Matrix,
        stop: Stop,
        descent: Descent | None = None,
    ) -> Matrix:
        """Endmembers nearer to X for given abundances."""
        return fit_endmembers(
            pair.spectra,
            coarse,
            endmembers,
            upper=max(1.0, float(pair.spectra.max())),
            descent=descent or self._plain(),
            stop=stop,
        )

    def _plain(self) -> Descent:
        return Descent(self.config.num_inner, self.config.inner_tolerance, accelerated=False)


def _on_simplex(spectra: Matrix, endmembers: Matrix, start: Matrix, descent: Descent, stop: Stop) -> Matrix:
    return constrained_rows(spectra, endmembers, start, project=project_simplex, descent=descent, stop=stop)
