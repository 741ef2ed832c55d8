"""FUSE in a spectral subspace: one closed-form solution of a Sylvester equation, no iterations.

Q. Wei, N. Dobigeon, J.-Y. Tourneret, IEEE TIP 24(11), 2015: a Gaussian prior whose mean is the interpolated
X, in the subspace of X's principal directions; the equation itself is in `hsr_tf.closed_forms.sylvester`.

Departures, with what they cost or gain by `python -m benchmarks.departures --methods=sylvester` (three CAVE
training scenes at x8, cut out of larger images; noise-free / 35 and 40 dB):

- The prior's covariance is the identity, where FUSE allows any. `covariance="detail"`, that of the finest
  detail of X, gains 3.09 / 2.56 dB.
- The subspace is that of the singular vectors; nothing is centred. Less its mean spectrum: +0.05 / -0.02 dB.
- Mirrored borders, as everywhere here; the circular ones that FUSE needs cost 0.73 / 0.49 dB.
- Samples lie at the middles of the cells, which moves the result and changes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.closed_forms.spectral_ls import fuse_scene
from hsr_tf.closed_forms.sylvester import Sylvester
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.solvers.pair import require_positive
from hsr_tf.solvers.parts.subspace import SpectralSubspace
from hsr_tf.solvers.solver import Controls, Cube, Iterations, Outcome, Solver, check_pair
from hsr_tf.typing import Array

STARTS = ("bicubic", "spectral_ls")
IDENTITY, DETAIL = "identity", "detail"
COVARIANCES = (IDENTITY, DETAIL)
SMALLEST_VARIANCE = 1e-6


@dataclass(frozen=True)
class SylvesterConfig:
    """Options.

    Attributes:
        rank: p, dimension of the spectral subspace. 10 keeps the score of noise-free scenes (paints + 0.8 dB,
            pompoms - 0.7 dB against all 31) and gains 0.5 to 2.7 dB with noise of 35 and 40 dB.
        start: the prior's mean: "bicubic" as published, or "spectral_ls".
        covariance: of the prior, between the directions of the subspace: "identity", or "detail" for that of
            the codes of X less their mean over 3 x 3 coarse pixels, of mean variance one. On five training
            scenes cut out of larger images the second gains 1.9 and 2.6 dB at x8 and x16, 2.1 and 2.5 dB with
            noise of 35 and 40 dB; fake_and_real_beers at x8 without noise lose 0.6 dB.
        weight: m of the prior; from 1e-3 downwards the noise-free score no longer changes by 0.1 dB.
        msi_weight: l, noise variance of X by that of Y.
    """

    rank: int = 10
    start: str = "bicubic"
    covariance: str = IDENTITY
    weight: float = 1e-3
    msi_weight: float = 1.0

    def __post_init__(self) -> None:
        checks.require_choice("start", self.start, STARTS)
        checks.require_choice("covariance", self.covariance, COVARIANCES)
        require_positive(self, "rank", "weight", "msi_weight")


class SylvesterSolver(Solver):
    """The closed form; it counts as one iteration.

    Args:
        model: the two cameras.
        config: options.
    """

    in_windows = True

    def __init__(self, model: ObservationModel, config: SylvesterConfig = SylvesterConfig()) -> None:
        self.model, self.config = model, config

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """See `Solver.solve`.

        Raises:
            ValueError: for images that do not fit each other or the cameras.
        """
        check_pair(lr_hsi, hr_msi, self.model)
        iterations = Iterations("sylvester", 1, controls)
        basis = SpectralSubspace.of(lr_hsi, energy=1.0, most=self.config.rank).vectors.T
        response = basis.T @ self.model.spectral.matrix
        covariance = None if self.config.covariance == IDENTITY else detail_covariance(lr_hsi @ basis)
        solve = Sylvester(
            self.model.spatial, response, msi_weight=self.config.msi_weight, covariance=covariance
        )
        coarse, sharp = ops.convert_to_tensor(lr_hsi[None]), ops.convert_to_tensor(hr_msi[None])
        codes = ops.matmul(coarse, basis)
        if self.config.start == "bicubic":
            start = bicubic_enlarge(codes, self.model.scale)
        else:
            start = ops.matmul(fuse_scene(self.model, lr_hsi, hr_msi).estimate[None], basis)
        found = solve(start, codes, sharp, self.config.weight)
        estimate = np.asarray(ops.convert_to_numpy(ops.matmul(found, basis.T)))[0]
        for _ in iterations:
            iterations.finish()
            iterations.report(None, lambda: estimate)
        return Outcome(estimate, iterations.done, iterations.converged)


def detail_covariance(codes: Cube) -> Array:
    """Covariance (p, p) of codes (h, w, p) less their mean over 3 x 3 pixels, of mean variance one.

    What a prior around an enlarged cube has to allow for is what the enlargement lacks, fine detail: its
    spectra are those of the finest detail that X has. The identity where X has none.
    """
    detail = (codes - uniform_filter(codes, (3, 3, 0))).reshape(-1, codes.shape[-1]).astype(np.float64)
    found = detail.T @ detail / len(detail)
    mean = np.trace(found) / len(found)
    unit = np.eye(len(found))
    return found / mean + SMALLEST_VARIANCE * unit if mean > 0 else unit
