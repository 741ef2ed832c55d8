"""NNSR: non-negative structured sparse representation.

W. Dong, F. Fu, G. Shi, X. Cao, J. Wu, G. Li, X. Li, "Hyperspectral image super-resolution via non-negative
structured sparse representation", IEEE TIP 25(5), 2016. F (K, C) is a non-negative dictionary of the spectra
in X; for the sharp cube Z = A F

    min_A |X - D A F|^2 + |Y - A F R|^2 + n1 |A F - U|^2 + n2 |A|_1,  A >= 0

U is each pixel's mean over the pixels whose patches in Y look alike (the structure), renewed in every
iteration. ADMM with Z = A F and S = A: the step in A is one K x K product, S is the clipped and shrunk A, Z
the Sylvester equation of `hsr_tf.closed_forms.sylvester`; the penalty grows.

Departures from the paper: the step in Z holds both data terms and the structure, all exactly (there: X alone,
by conjugate gradients, the rest in A's step), so that the estimate Z agrees with both images; pixels alike
are found by a tree over patches and positions (there: a window of 37 x 37). By default Z starts from the
closed-form estimate, not from the enlarged X, and U gets back a share of what the mean over like pixels takes
from the closed-form map M(Y): each band by b / (b + r / 3), with b the mean square of what it takes and r
that of X - D M(Y). A scene without likeness then leans on the map, one with a poor map on its likeness.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.sparse import csr_matrix

from hsr_tf import checks
from hsr_tf.closed_forms.spectral_ls import fuse_scene
from hsr_tf.closed_forms.sylvester import Sylvester
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.solvers.pair import require_positive
from hsr_tf.solvers.parts.assembly import Assembly
from hsr_tf.solvers.parts.colour_map import GROUNDS, ColourMap
from hsr_tf.solvers.parts.dictionary import Matrix, learn_dictionary
from hsr_tf.solvers.parts.neighbours import neighbour_means
from hsr_tf.solvers.parts.noise_units import solved_in_noise_units
from hsr_tf.solvers.solver import LARGEST_SIDE, Controls, Cube, Iterations, Outcome, Solver, check_pair
from hsr_tf.typing import Tensor

STARTS = ("bicubic", "spectral_ls")
MAP_ERROR_SHARE = 1 / 3
SMALLEST = 1e-20


@dataclass(frozen=True)
class NnsrConfig:
    """Options; `published` gives the paper's.

    Attributes:
        num_atoms: K.
        dictionary_sparsity: weight of the codes' sum in learning the dictionary.
        dictionary_rounds: of coding and updating there.
        structure: n1.
        sparsity: n2.
        penalty: of the splittings in the first iteration.
        growth: factor of the penalty from one iteration to the next.
        num_iterations: cap. From the enlarged X, against the published 26, 12 score + 0.9 and - 0.4 dB on two
            training scenes at x8, + 0.8 and + 0.3 dB with noise of 35 and 40 dB, in half the time.
        tolerance: relative change of Z in an iteration at which it stops.
        num_neighbours: pixels that U is the mean of.
        bandwidth: mean squared difference of patches at which a neighbour's weight has fallen to 1 / e.
        start: Z before the first iteration, "bicubic" as published or "spectral_ls", which gains 0.4 to 0.8
            dB on four training scenes, two of them with noise.
        ground: whether U gets back what the mean takes from the closed-form map: "nothing" as published, or
            "spectral_ls", which gains 0.0 to 0.3 dB on the same four, and 5.7 and 6.9 dB on Jasper Ridge at
            x4 and Samson at x5 with four channels.
        consistent: make the result agree with both images, as far as they agree with each other
            (`Assembly.complete`).
        noise_units: weigh bands and channels by their noise (`hsr_tf.solvers.parts.noise_units`). Off as
            published; it gains 0.1 to 0.2 dB on two training scenes at x4 with noise of 25 to 40 dB in
            different bands.
    """

    num_atoms: int = 80
    dictionary_sparsity: float = 1e-3
    dictionary_rounds: int = 10
    structure: float = 0.015
    sparsity: float = 6e-5
    penalty: float = 2e-4
    growth: float = 1.1
    num_iterations: int = 12
    tolerance: float = 0.0
    num_neighbours: int = 10
    bandwidth: float = 90 / 255**2
    start: str = "spectral_ls"
    ground: str = "spectral_ls"
    consistent: bool = True
    noise_units: bool = True

    def __post_init__(self) -> None:
        require_positive(self, "num_atoms", "penalty", "num_iterations", "num_neighbours", "bandwidth")
        require_positive(self, "dictionary_sparsity", "dictionary_rounds", "structure", or_zero=True)
        require_positive(self, "sparsity", "tolerance", or_zero=True)
        checks.require_at_least("growth", self.growth, 1, remedy="1 keeps the penalty")
        checks.require_choice("start", self.start, STARTS)
        checks.require_choice("ground", self.ground, GROUNDS)

    @classmethod
    def published(cls) -> NnsrConfig:
        """The authors' choices for a Gaussian blur."""
        return cls(num_iterations=26, start="bicubic", ground="nothing", consistent=False, noise_units=False)


@dataclass
class _Splitting:
    """Sparse codes S, cube Z, and what each still owes the other side (scaled dual variables); by pixels."""

    sparse: Tensor
    cube: Tensor
    code_debt: Tensor
    cube_debt: Tensor


class Nnsr(Solver):
    """Non-negative structured sparse representation.

    Args:
        model: the two cameras.
        config: options.
    """

    largest_side = LARGEST_SIDE

    def __init__(self, model: ObservationModel, config: NnsrConfig = NnsrConfig()) -> None:
        self.model, self.config = model, config

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """See `Solver.solve`; the seed draws the spectra that the dictionary starts from.

        Raises:
            ValueError: for images that do not fit each other or the cameras.
        """
        check_pair(lr_hsi, hr_msi, self.model)
        if self.config.noise_units:
            plain = replace(self.config, noise_units=False)
            images = (lr_hsi, hr_msi)
            return solved_in_noise_units(lambda model: Nnsr(model, plain), self.model, images, controls)
        config, shape = self.config, (*hr_msi.shape[:2], lr_hsi.shape[2])
        iterations = Iterations("nnsr", config.num_iterations, controls)
        atoms = self._dictionary(lr_hsi, controls.seed)
        means = neighbour_means(hr_msi, config.num_neighbours, bandwidth=config.bandwidth)
        returned = self._returned(means, lr_hsi, hr_msi)
        state = self._start(lr_hsi, hr_msi, len(atoms))
        update = self._update(atoms, lr_hsi, hr_msi)
        penalty = config.penalty
        for _ in iterations:
            before = state.cube
            alike = means @ np.asarray(state.cube) + returned
            state, objective = update(state, tf.constant(alike), tf.constant(penalty, tf.float32))
            penalty *= config.growth
            if float(tf.norm(state.cube - before) / (tf.norm(before) + 1e-12)) < config.tolerance:
                iterations.finish()
            iterations.report(float(objective), partial(np.reshape, state.cube, shape))
        estimate = np.reshape(state.cube, shape)
        details: dict[str, Any] = {"atoms": len(atoms)}
        if config.consistent:
            estimate = np.array(estimate)
            trust = Assembly(self.model, lr_hsi, hr_msi).complete(estimate)
            details["trust"] = round(trust, 4)
        return Outcome(estimate, iterations.done, iterations.converged, details=details)

    def _dictionary(self, lr_hsi: Cube, seed: int) -> Matrix:
        config = self.config
        return learn_dictionary(
            lr_hsi.reshape(-1, lr_hsi.shape[-1]),
            config.num_atoms,
            sparsity=config.dictionary_sparsity,
            num_rounds=config.dictionary_rounds,
            seed=seed,
        )[0]

    def _returned(self, means: csr_matrix, lr_hsi: Cube, hr_msi: Cube) -> Matrix | np.float32:
        """What U gets back of the closed-form map, (H W, C); zero where it is not the ground."""
        if self.config.ground == "nothing":
            return np.float32(0)
        colour_map = ColourMap(self.model, lr_hsi, hr_msi)
        cube = colour_map.cube().reshape(-1, lr_hsi.shape[-1])
        cube -= means @ cube
        taken = np.mean(np.square(cube), 0)
        missing = MAP_ERROR_SHARE * np.mean(np.square(colour_map.residual), (0, 1))
        cube *= taken / np.maximum(taken + missing, SMALLEST)
        return cube

    def _start(self, lr_hsi: Cube, hr_msi: Cube, num_atoms: int) -> _Splitting:
        if self.config.start == "bicubic":
            cube = bicubic_enlarge(tf.constant(lr_hsi[None]), self.model.scale)
        else:
            cube = tf.constant(fuse_scene(self.model, lr_hsi, hr_msi).estimate[None])
        cube = tf.reshape(cube, (-1, lr_hsi.shape[-1]))
        codes = tf.zeros((len(cube), num_atoms))
        return _Splitting(codes, cube, tf.zeros_like(codes), tf.zeros_like(cube))

    def _update(
        self, atoms: Matrix, lr_hsi: Cube, hr_msi: Cube
    ) -> Callable[[_Splitting, Tensor, Tensor], tuple[_Splitting, Tensor]]:
        """One round of ADMM, compiled: the next state and the objective at its cube."""
        model, structure, sparsity = self.model, self.config.structure, self.config.sparsity
        solve = Sylvester(model.spatial, model.spectral.matrix)
        coarse, sharp = tf.constant(lr_hsi[None]), tf.constant(hr_msi[None])
        gram = atoms.astype(np.float64) @ atoms.T + np.eye(len(atoms))
        inverse = tf.constant(np.linalg.inv(gram).astype(np.float32))

        @tf.function(autograph=False)
        def step(variables: tuple[Tensor, ...], alike: Tensor, penalty: Tensor) -> tuple[Any, Tensor]:
            sparse, cube, code_debt, cube_debt = variables
            codes = ((cube + cube_debt) @ atoms.T + sparse + code_debt) @ inverse
            explained = codes @ atoms
            sparse = tf.nn.relu(codes - code_debt - sparsity / (2.0 * penalty))
            weight = structure + penalty
            near = (structure * alike + penalty * (explained - cube_debt)) / weight
            image = solve(tf.reshape(near, (1, *hr_msi.shape[:2], -1)), coarse, sharp, weight)
            cube = tf.reshape(image, tf.shape(near))
            misfits = (coarse - model.spatial.forward(image), sharp - model.spectral.forward(image))
            objective = sum(tf.reduce_sum(tf.square(misfit)) for misfit in misfits)
            objective += structure * tf.reduce_sum(tf.square(cube - alike)) + sparsity * tf.reduce_sum(sparse)
            return (sparse, cube, code_debt + sparse - codes, cube_debt + cube - explained), objective

        def update(state: _Splitting, alike: Tensor, penalty: Tensor) -> tuple[_Splitting, Tensor]:
            variables = (state.sparse, state.cube, state.code_debt, state.cube_debt)
            found, objective = step(variables, alike, penalty)
            return _Splitting(*found), objective

        return update
