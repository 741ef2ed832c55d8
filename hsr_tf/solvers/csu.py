"""Coupled spectral unmixing: one set of endmembers explains both images, Z = A E.

    minimise 1/2 |X - (A D) E|^2 + 1/2 |Y - A (E R)|^2,  0 <= E <= 1,  A >= 0,  every row of A sums to one

C. Lanaras, E. Baltsavias, K. Schindler, ICCV 2015. As published (`CsuConfig.published`): endmembers of
X, their abundances in X enlarged, then projected gradients in turns, E on X for the A D at hand, A on Y for
the E R at hand, each until its residual falls by less than 1 % in a step.

Departures from the paper: endmembers start from vertex component analysis (the paper: SISAL, another way to
the corners of the same simplex); the optional sparsity of A is left out (it is off in the authors' program);
the box of E ends at the largest value of X where that is above one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from hsr_tf import checks
from hsr_tf.methods import register
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.solvers.endmembers import (
    Descent,
    Matrix,
    constrained_rows,
    fit_endmembers,
    project_simplex,
    vertex_components,
)
from hsr_tf.solvers.mixture import STARTS, MixedPair, require_counts
from hsr_tf.solvers.solver import Controls, Cube, Iterations, Outcome, Solver


@dataclass(frozen=True)
class CsuConfig:
    """Options. Gains are PSNR on 256x256 crops of paints / pompoms / flowers at x8.

    Attributes:
        num_endmembers: p; 10 as published. 6 lose 0.4 dB on pompoms, 15 gain as much as they lose.
        num_iterations: cap of the alternations; as published they end by the tolerance alone.
        num_inner: cap of the gradient steps in one half of an alternation.
        inner_tolerance: they end when the residual falls by less than this share in one step.
        tolerance: the alternations end when the residual of both images together changes by less than this
            share.
        num_fit: alternations of E and A on X alone before Y is used, accelerated; 0 as published. 30 gain
            0.6 / 0.4 / 1.0 dB; 150 gain no more.
        start: first abundances of Y: those of X enlarged ("bicubic", as published), or those that come
            nearest to `spectral_ls`, which gain 0.2 dB.
        consistent: the result is made to agree with both images, as far as they agree with each other. Off
            as published; it gains 5 to 9 dB.
    """

    num_endmembers: int = 10
    num_iterations: int = 10
    num_inner: int = 100
    inner_tolerance: float = 0.01
    tolerance: float = 1e-4
    num_fit: int = 30
    start: str = "spectral_ls"
    consistent: bool = True

    def __post_init__(self) -> None:
        checks.require_choice("start", self.start, STARTS)
        require_counts(self, "num_endmembers", "num_iterations", "num_inner")

    @classmethod
    def published(cls) -> CsuConfig:
        """The paper's form."""
        return cls(num_iterations=200, num_fit=0, start="bicubic", consistent=False)


@register(
    "csu",
    kind="solver",
    summary="coupled spectral unmixing: endmembers and abundances on the simplex explain both images",
    source="Lanaras, Baltsavias, Schindler, ICCV 2015",
    needs=("psf", "srf"),
)
class CsuSolver(Solver):
    """Alternating projected gradients.

    Args:
        model: the two cameras.
        config: options.
    """

    def __init__(self, model: ObservationModel, config: CsuConfig = CsuConfig()) -> None:
        self.model, self.config = model, config

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """See `Solver.solve`.

        Raises:
            ValueError: for images that do not fit each other or the cameras.
        """
        pair = MixedPair(self.model, lr_hsi, hr_msi)
        iterations = Iterations("csu", self.config.num_iterations, controls)
        endmembers, coarse = self._unmix_coarse(pair, controls.seed, iterations)
        abundances, last = self._start(pair, endmembers, coarse), np.inf
        for _ in iterations:
            endmembers = self._improve(pair, pair.coarse(abundances), endmembers)
            abundances = constrained_rows(
                pair.colours,
                endmembers @ pair.response,
                abundances,
                project=project_simplex,
                descent=self._plain(),
                stop=lambda: iterations.share >= 1.0,
            )
            objective = 0.5 * sum(pair.residuals(abundances, endmembers))
            if abs(np.sqrt(last) - np.sqrt(objective)) <= self.config.tolerance * np.sqrt(objective):
                iterations.finish()
            last = objective
            cube = partial(pair.cube, abundances, endmembers, consistent=self.config.consistent)
            iterations.report(objective, cube)
        return Outcome(cube(), iterations.done, iterations.converged)

    def _unmix_coarse(self, pair: MixedPair, seed: int, iterations: Iterations) -> tuple[Matrix, Matrix]:
        """Endmembers and abundances of X; at most a third of the time limit is spent on it."""
        endmembers = vertex_components(pair.spectra, self.config.num_endmembers, seed=seed)
        endmembers = np.maximum(endmembers, 0)
        even = np.full((len(pair.spectra), len(endmembers)), 1 / len(endmembers), np.float32)
        coarse = _on_simplex(pair.spectra, endmembers, even, Descent(200, 1e-4))
        few = Descent(10, 0.0)
        for _ in range(self.config.num_fit):
            if iterations.share >= 1 / 3:
                break
            endmembers = fit_endmembers(pair.spectra, coarse, endmembers, upper=_upper(pair), descent=few)
            coarse = _on_simplex(pair.spectra, endmembers, coarse, few)
        return endmembers, coarse

    def _start(self, pair: MixedPair, endmembers: Matrix, coarse: Matrix) -> Matrix:
        enlarged = project_simplex(pair.enlarged(coarse))
        if self.config.start == "bicubic":
            return enlarged
        basis = np.linalg.qr(endmembers.T)[0]
        return _on_simplex(pair.guess() @ basis, endmembers @ basis, enlarged, Descent(100, 1e-3))

    def _improve(self, pair: MixedPair, coarse: Matrix, endmembers: Matrix) -> Matrix:
        """Endmembers nearer to X for given abundances."""
        return fit_endmembers(pair.spectra, coarse, endmembers, upper=_upper(pair), descent=self._plain())

    def _plain(self) -> Descent:
        return Descent(self.config.num_inner, self.config.inner_tolerance, accelerated=False)


def _on_simplex(spectra: Matrix, endmembers: Matrix, start: Matrix, descent: Descent) -> Matrix:
    return constrained_rows(spectra, endmembers, start, project=project_simplex, descent=descent)


def _upper(pair: MixedPair) -> float:
    return max(1.0, float(pair.spectra.max()))
