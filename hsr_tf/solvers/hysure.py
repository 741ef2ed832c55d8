"""HySure: a spectral subspace, both observations, and the vector total variation of the codes.

M. Simoes, J. Bioucas-Dias, L. B. Almeida, J. Chanussot, "A convex formulation for hyperspectral image
superresolution via subspace-based regularization", IEEE TGRS 53(6), 2015:

    min_A 1/2 |X - D A E^T|^2 + l/2 |Y - A E^T R|^2 + t VTV(A),   Z = A E^T

E spans the p leading singular vectors of X; VTV sums, over the pixels, the length of the gradient of all p
codes together. SALSA (ADMM): A is split into A = V, which both observations see, and W = grad A, which the
total variation shrinks; the step in A is one DCT, the step in V the Sylvester equation of
`hsr_tf.closed_forms.sylvester`.

Departures from the paper: both data terms are one closed-form step (there: two splittings, each with its own
copy); borders are mirrored as the camera model has them (there: circular, with the border left out of the
data term), circular where the model is; codes are orthonormal (the paper's other choice is VCA endmembers,
which span the same space). The cameras are those of the model: estimate them first for the blind case. By
default the subspace and the total variation are those of what differs from the closed-form map M(Y):
Z = M(Y) + A E^T, fitted to X - D M(Y) and Y - M(Y) R; the published form takes them of Z itself. On 128
x 128 pixels of the training scene flowers at x8, without noise, `HysureConfig.published()` has 46.5 dB, the
default 49.7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from hsr_tf import checks
from hsr_tf.closed_forms.sylvester import Sylvester
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.solvers.pair import require_positive
from hsr_tf.solvers.parts.assembly import Assembly
from hsr_tf.solvers.parts.colour_map import GROUNDS, ColourMap
from hsr_tf.solvers.parts.gradients import Gradients, Image, lengths, shrink
from hsr_tf.solvers.parts.noise_units import solved_in_noise_units
from hsr_tf.solvers.parts.subspace import SpectralSubspace
from hsr_tf.solvers.solver import LARGEST_SIDE, Controls, Cube, Iterations, Outcome, Solver, check_pair

SMALLEST_MOVE = 1e-12


@dataclass(frozen=True)
class HysureConfig:
    """Options; `published` gives the paper's.

    Attributes:
        rank: p.
        msi_weight: l.
        tv_weight: t.
        edge: gradient of Y at which the total variation counts half, so that it smooths less where the
            sharp image has an edge. 0 counts every pixel alike, as published.
        penalty: of the splittings; it decides the speed, not the solution.
        num_iterations: cap.
        tolerance: relative change of the codes in an iteration at which it stops.
        ground: what is smooth, the cube ("nothing", as published) or what differs from the closed-form map
            ("spectral_ls"), which gains 0.4 and 0.9 dB on two training scenes at x8, 0.4 dB with noise of 35
            and 40 dB, 5.4 and 8.5 dB on Jasper Ridge at x4 and Samson at x5 with four channels.
        consistent: make the result agree with both images, as far as they agree with each other
            (`Assembly.complete`).
        noise_units: weigh bands and channels by their noise (`hsr_tf.solvers.parts.noise_units`). Off as
            published; it gains 0.6 to 0.8 dB on two training scenes at x4 with noise of 25 to 40 dB in
            different bands, and loses at most 0.03 dB without noise.
    """

    rank: int = 10
    msi_weight: float = 1.0
    tv_weight: float = 1e-3
    edge: float = 0.01
    penalty: float = 5e-3
    num_iterations: int = 60
    tolerance: float = 1e-4
    ground: str = "spectral_ls"
    consistent: bool = True
    noise_units: bool = True

    def __post_init__(self) -> None:
        require_positive(self, "rank", "msi_weight", "tv_weight", "penalty", "num_iterations")
        require_positive(self, "edge", "tolerance", or_zero=True)
        checks.require_choice("ground", self.ground, GROUNDS)

    @classmethod
    def published(cls) -> HysureConfig:
        """The weights, penalty and 200 iterations of the authors' program for multispectral images."""
        return cls(
            tv_weight=5e-4,
            edge=0.0,
            penalty=0.05,
            num_iterations=200,
            tolerance=0.0,
            ground="nothing",
            consistent=False,
            noise_units=False,
        )


@dataclass
class _Splitting:
    """Codes V, differences W, and what each still owes the other side (scaled dual variables)."""

    codes: Image
    differences: Image
    code_debt: Image
    difference_debt: Image


class _Ground:
    """Both images without what the closed-form map explains of them, where it is the ground."""

    def __init__(self, model: ObservationModel, lr_hsi: Cube, hr_msi: Cube, ground: str) -> None:
        self._map = None if ground == "nothing" else ColourMap(model, lr_hsi, hr_msi)
        self.lr_hsi, self.hr_msi = lr_hsi, hr_msi
        if self._map is not None:
            response = model.spectral.matrix.astype(np.float32)
            self.lr_hsi, self.hr_msi = self._map.residual, hr_msi - self._map.cube() @ response

    def cube(self, codes: Image, basis: Image) -> Cube:
        """The sharp cube of codes (H, W, p) in a basis (C, p)."""
        return codes @ basis.T if self._map is None else self._map.cube(codes, basis.T)


class Hysure(Solver):
    """HySure with given cameras.

    Args:
        model: the two cameras.
        config: options.
    """

    largest_side = LARGEST_SIDE

    def __init__(self, model: ObservationModel, config: HysureConfig = HysureConfig()) -> None:
        self.model, self.config = model, config

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """See `Solver.solve`; nothing is drawn, the seed plays no part.

        Raises:
            ValueError: for images that do not fit each other or the cameras.
        """
        check_pair(lr_hsi, hr_msi, self.model)
        if self.config.noise_units:
            plain = replace(self.config, noise_units=False)
            images = (lr_hsi, hr_msi)
            return solved_in_noise_units(lambda model: Hysure(model, plain), self.model, images, controls)
        iterations = Iterations("hysure", self.config.num_iterations, controls)
        scene = _Ground(self.model, lr_hsi, hr_msi, self.config.ground)
        basis = SpectralSubspace.of(scene.lr_hsi, energy=1.0, most=self.config.rank).vectors.T
        gradients = Gradients(hr_msi.shape[:2], self.model.spatial.border)
        weights = self._tv_weights(gradients.forward(hr_msi))
        fit, codes = self._data_step(basis, scene.lr_hsi, scene.hr_msi)
        slopes = gradients.forward(codes)
        state = _Splitting(codes, slopes, np.zeros_like(codes), np.zeros_like(slopes))
        for _ in iterations:
            before = state.codes
            misfit = self._iterate(state, gradients, weights, fit)
            if _change(before, state.codes) < self.config.tolerance:
                iterations.finish()
            roughness = float((weights * lengths(gradients.forward(state.codes))).sum())
            iterations.report(misfit + roughness, lambda: scene.cube(state.codes, basis))
        estimate = scene.cube(state.codes, basis)
        details: dict[str, Any] = {"rank": basis.shape[1]}
        if self.config.consistent:
            trust = Assembly(self.model, lr_hsi, hr_msi).complete(estimate)
            details["trust"] = round(trust, 4)
        return Outcome(estimate, iterations.done, iterations.converged, details=details)

    def _iterate(
        self,
        state: _Splitting,
        gradients: Gradients,
        weights: Image,
        fit: Callable[[Image], tuple[Image, float]],
    ) -> float:
        """One round of ADMM in place; half the squared misfit of both images."""
        owed = gradients.adjoint(state.differences + state.difference_debt)
        joint = gradients.invert(state.codes + state.code_debt + owed)
        slopes = gradients.forward(joint)
        state.codes, misfit = fit(joint - state.code_debt)
        state.differences = shrink(slopes - state.difference_debt, weights / self.config.penalty)
        state.code_debt += state.codes - joint
        state.difference_debt += state.differences - slopes
        return misfit

    def _tv_weights(self, slopes: Image) -> Image:
        """t at every pixel, (1, H, W, 1), less where Y has an edge."""
        length = lengths(slopes)
        if self.config.edge == 0:
            return np.full_like(length, self.config.tv_weight)
        return np.asarray(self.config.tv_weight / (1.0 + length / self.config.edge), np.float32)

    def _data_step(
        self, basis: Image, lr_hsi: Cube, hr_msi: Cube
    ) -> tuple[Callable[[Image], tuple[Image, float]], Image]:
        """The proximal map of both data terms with their value, compiled; and the enlarged codes of X."""
        response = basis.T.astype(np.float64) @ self.model.spectral.matrix
        solve = Sylvester(self.model.spatial, response, msi_weight=self.config.msi_weight)
        coarse, sharp = tf.constant(lr_hsi[None]) @ basis, tf.constant(hr_msi[None])

        @tf.function(autograph=False)
        def step(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            codes = solve(start, coarse, sharp, self.config.penalty)
            left = tf.reduce_sum(tf.square(coarse - self.model.spatial.forward(codes)))
            gap = tf.reduce_sum(tf.square(sharp - codes @ tf.constant(response, codes.dtype)))
            return codes, 0.5 * (left + self.config.msi_weight * gap)

        def fit(start: Image) -> tuple[Image, float]:
            codes, misfit = step(tf.constant(start[None]))
            return codes.numpy()[0], float(misfit)

        return fit, np.asarray(bicubic_enlarge(coarse, self.model.scale))[0]


def _change(before: Image, after: Image) -> float:
    return float(np.linalg.norm(after - before)) / max(float(np.linalg.norm(before)), SMALLEST_MOVE)
