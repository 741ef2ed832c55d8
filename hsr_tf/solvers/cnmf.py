"""Coupled non-negative matrix factorisation: the two images are unmixed in turns, Z = A E.

N. Yokoya, T. Yairi, A. Iwasaki, IEEE TGRS 50(2), 2012. X ~ A_h E and Y ~ A (E R), all not negative, by
multiplicative updates; a further row of ones, weighted by delta, pulls the sum of abundances to one. X is
unmixed first, from its corners; E R and A_h enlarged start the unmixing of Y; A D then starts the next
unmixing of X, and so on.

The published form is `CnmfConfig.published`, with the numbers of the authors' program: 30 endmembers or as
many as bands, 200 updates at most of each kind in a round (600 of A_h alone in the first), one
round after the first, rounds going on while both residuals fall by more than 1 %, and
delta = 2 sqrt(mean(Y) / 0.7455) / c^3.

Departures: the number of endmembers is given, not estimated (the authors' program takes the virtual
dimensionality where that is larger); E R is never updated on its own, as the response is known. By default
the result is averaged with the closed-form map and made to agree with both images, which the published form
does not do. On 128 x 128 pixels of the training scenes flowers, thread_spools and clay at x8, without noise,
`CnmfConfig.published()` has 47.4 / 45.7 / 52.0 dB, the default 50.2 / 48.7 / 53.9.
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
    multiplicative_rows,
    project_nonnegative,
    vertex_components,
)
from hsr_tf.solvers.parts.mixture import STARTS, MixedPair
from hsr_tf.solvers.solver import LARGEST_SIDE, Controls, Cube, Iterations, Outcome, Solver

FLOOR = 1e-6


@dataclass(frozen=True)
class CnmfConfig:
    """Options. Gains are PSNR on 256x256 crops of paints / pompoms / flowers at x8.

    Attributes:
        num_endmembers: p. 15 against 30 change it by - 0.1 / - 0.1 / + 0.9 dB, in half the time.
        num_iterations: cap of the rounds; a second one changes it by 0.0 / 0.0 / - 0.6 dB.
        num_inner: cap of the updates of each kind in a round. 200 against 50 change it by - 0.2 / + 0.2 /
            + 0.2 dB.
        inner_tolerance: updates end when the residual falls by less than this share in one of them.
        tolerance: rounds end when one of the two residuals falls by less than this share.
        start: first abundances of Y: those of X enlarged ("bicubic", as published), or the non-negative ones
            that come nearest to `spectral_ls`, which change it by + 0.9 / - 0.4 / + 1.3 dB.
        averaged: the mixture is averaged with the closed-form map, each band by what explains X best
            (`ColourMap.average`). Off as published; it gains 0.1 and 0.2 dB on two training scenes without
            noise, 2.4 to 5.9 dB on three with noise of 35 and 40 dB, and 0.6 dB on Jasper Ridge at x4 and on
            Samson at x5 with four channels.
        consistent: the result is made to agree with both images, as far as they agree with each other. Off
            as published; it gains about 3.5 dB without noise.
    """

    num_endmembers: int = 15
    num_iterations: int = 1
    num_inner: int = 50
    inner_tolerance: float = 1e-8
    tolerance: float = 1e-2
    start: str = "spectral_ls"
    averaged: bool = True
    consistent: bool = True

    def __post_init__(self) -> None:
        checks.require_choice("start", self.start, STARTS)
        checks.require_positive_integers(
            num_endmembers=self.num_endmembers, num_iterations=self.num_iterations, num_inner=self.num_inner
        )

    @classmethod
    def published(cls) -> CnmfConfig:
        """The authors' form."""
        return cls(
            num_endmembers=30,
            num_iterations=2,
            num_inner=200,
            start="bicubic",
            averaged=False,
            consistent=False,
        )


class CnmfSolver(Solver):
    """Multiplicative updates; an iteration is a round: X, then Y.

    Args:
        model: the two cameras.
        config: options.
    """

    largest_side = LARGEST_SIDE

    def __init__(self, model: ObservationModel, config: CnmfConfig = CnmfConfig()) -> None:
        self.model, self.config = model, config

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """See `Solver.solve`; negative values of the images count as zero; the time limit cuts every fit.

        Raises:
            ValueError: for images that do not fit each other or the cameras.
        """
        config, iterations = self.config, Iterations("cnmf", self.config.num_iterations, controls)
        pair = MixedPair(self.model, np.maximum(lr_hsi, 0), np.maximum(hr_msi, 0))
        endmembers, last = self._corners(pair, controls.seed), np.full(2, np.finfo(np.float64).max)
        abundances, late = None, until(iterations, 0.9)
        for _ in iterations:
            coarse = self._even(pair) if abundances is None else pair.coarse(abundances)
            num_first = config.num_inner * (3 if abundances is None else 1)
            endmembers, coarse = self._unmix_coarse(
                pair, endmembers, coarse, num_first, until(iterations, 1 / 3)
            )
            if abundances is None:
                abundances = pair.first_abundances(
                    endmembers,
                    coarse,
                    start=config.start,
                    project=project_nonnegative,
                    stop=until(iterations, 0.6),
                )
            # A from Y, for given E.
            weight = _sum_weight(pair)
            abundances = multiplicative_rows(
                _with_ones(pair.colours, weight),
                _with_ones(endmembers @ pair.response, weight),
                np.maximum(abundances, FLOOR),
                descent=Descent(self.config.num_inner, self.config.inner_tolerance),
                stop=late,
            )
            residuals = np.sqrt(pair.residuals(abundances, endmembers))
            if not np.all(last - residuals > config.tolerance * last) and not late():
                iterations.finish()
            last = residuals
            cube = partial(
                pair.cube, abundances, endmembers, averaged=config.averaged, consistent=config.consistent
            )
            iterations.report(0.5 * float(np.sum(residuals**2)), cube)
        return Outcome(cube(), iterations.done, iterations.converged)

    def _corners(self, pair: MixedPair, seed: int) -> Matrix:
        """Endmembers from the corners of X; a value of zero would stay zero for ever."""
        return np.maximum(vertex_components(pair.spectra, self.config.num_endmembers, seed=seed), FLOOR)

    def _even(self, pair: MixedPair) -> Matrix:
        num_endmembers = self.config.num_endmembers
        return np.full((len(pair.spectra), num_endmembers), 1 / num_endmembers, np.float32)

    def _unmix_coarse(
        self, pair: MixedPair, endmembers: Matrix, coarse: Matrix, num_first: int, stop: Stop
    ) -> tuple[Matrix, Matrix]:
        """A_h alone first, then E and A_h by turns."""
        weight, one = _sum_weight(pair), Descent(1, 0.0)
        spectra = _with_ones(pair.spectra, weight)
        coarse = multiplicative_rows(
            spectra,
            _with_ones(endmembers, weight),
            np.maximum(coarse, FLOOR),
            descent=Descent(num_first, self.config.inner_tolerance),
            stop=stop,
        )
        last = np.inf
        for _ in range(self.config.num_inner):
            if stop():
                break
            endmembers = multiplicative_rows(pair.spectra.T, coarse.T, endmembers.T, descent=one).T
            coarse = multiplicative_rows(spectra, _with_ones(endmembers, weight), coarse, descent=one)
            size = float(np.linalg.norm(pair.spectra - coarse @ endmembers))
            if last <= size * (1 + self.config.inner_tolerance):
                break
            last = size
        return np.ascontiguousarray(endmembers), coarse


def _sum_weight(pair: MixedPair) -> float:
    """delta of the authors' program."""
    return 2 * float(np.sqrt(pair.colours.mean() / 0.7455)) / pair.colours.shape[1] ** 3


def _with_ones(rows: Matrix, weight: float) -> Matrix:
    return np.concatenate([rows, np.full((len(rows), 1), weight, rows.dtype)], axis=1)
