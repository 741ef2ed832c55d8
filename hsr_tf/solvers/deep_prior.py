"""Unsupervised fusion with known cameras: the weights of a network are fitted to this scene alone.

    theta = argmin |X - D Z|^2 + |Y - Z R|^2,   Z = F(input; theta)

The published form (`PUBLISHED`): F an encoder and decoder, input fixed noise or the observations (X enlarged,
joined with Y), the plain sum of both terms. Its text gives neither sizes nor a stopping rule.

Departures, each an option of `DeepPriorConfig`, together the default form:

- Z = base + F V with a closed-form base (`spectral_ls`, `kernel_ls`) and V the spectral subspace of what the
  base leaves of X, so that F gives few codes, whatever the number of bands.
- F sees single pixels (colour, place, coarse codes) through random Fourier features.
- Each step sees one random tile, so that memory does not grow with the scene; some steps may go to a reduced
  sharp grid first (`coarse_levels`).
- A part of the coarse pixels is held out of the loss, and tells which of the averaged weights are kept: where
  no step helps, that is the base.
- The result is made to agree with both images.

Over `kernel_ls`, which is a method of its own, the steps of the optimiser add 0.00 to 0.03 dB, as it leaves
next to nothing of X. What else was tried to learn more than it from one scene; gains over `kernel_ls` on CAVE
training scenes of 256 x 256 pixels (means of 2 x 2), with 64 x 64, 32 x 32 or 16 x 16 coarse pixels:

- Wide networks in the mean with `kernel_ls`, the base "wide_networks" with 512 features: +0.99 and +0.41 dB
  on sponges and fake_and_real_beers (64 x 64), +0.42 and +0.22 dB (32 x 32), -0.16 and -0.21 dB (16 x 16).
- Networks of random units without waves that also see the sharp image blurred by 1 and 4 pixels, likewise:
  +0.66 dB on paints, -0.70 and -0.53 dB on flowers and thread_spools (64 x 64).
- Weights for 14 kernels and networks that explain X best from D X and X R, one scale down: -0.52 and +0.23 dB
  on watercolors and pompoms (32 x 32), +0.39 dB on clay (16 x 16), where equal weights gain -0.12, +0.07 and
  +0.64 dB. Even weights that were fitted to the truth gain no more than 0.16, 0.36 and 0.72 dB.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf import checks
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.solvers.kernel_ls import KernelConfig, KernelRegression, RegressionPlan
from hsr_tf.solvers.parts.assembly import Assembly
from hsr_tf.solvers.parts.features import WideNetwork
from hsr_tf.solvers.parts.gradient_fit import FitPlan, FitTask, GradientFit
from hsr_tf.solvers.parts.prior_networks import (
    INPUTS,
    NETWORKS,
    NetworkShape,
    build_network,
    network_inputs,
)
from hsr_tf.solvers.parts.ridge import held_out_blocks
from hsr_tf.solvers.parts.scene_loss import LossPlan, SceneLoss, SceneTerms
from hsr_tf.solvers.parts.subspace import SpectralSubspace
from hsr_tf.solvers.solver import Controls, Cube, Outcome, Solver, check_pair

WIDE_NETWORKS = "wide_networks"
BASES = ("none", "spectral_ls", "kernel_ls", WIDE_NETWORKS)
BASE_SHARE = 0.6


@dataclass(frozen=True)
class DeepPriorConfig:
    """Options of `DeepPrior`; docs/solvers.md has the table of their gains.

    Over "kernel_ls" the steps seldom find anything, so that on the scene of that table the options other than
    `base` and `consistent` change nothing (0.00 dB). With noise `hold_out` gains where steps are many:
    more than 1 dB in a test.

    Attributes:
        inputs: "noise" (32 channels, fixed) or "observations".
        base: what F is added to: "none", "spectral_ls", "kernel_ls", or "wide_networks": the mean of the last
            and of networks with one hidden layer of random weights, whose output layers are fitted to what
            `spectral_ls` leaves of X, through D, by ridge regression. "kernel_ls" gains 0.86 dB over
            "spectral_ls" and 2.39 dB over "none", after 100 steps at most.
        network: "hourglass" or "pixelwise".
        features: channels inside F.
        subspace: F gives codes in the spectral subspace; else all bands.
        tile: side of a step's tile in coarse pixels, of 128 sharp ones at most but 6 coarse ones at least; 0
            for the whole scene.
        coarse_levels: halvings of the sharp grid that the first steps start from (a third of the steps, by
            equal parts); levels that do not divide the scale are left out.
        hold_out: keep a fifth of the coarse pixels out of the loss, for early stopping.
        consistent: make the result agree with both images; + 0.08 dB over "kernel_ls".
        num_steps, learning_rate, ema: see `FitPlan`.
        dtype: precision of F, e.g. "mixed_bfloat16".
        kernels, num_features: see `KernelConfig`, for the bases "kernel_ls" and "wide_networks".
        lengths, num_units: of each wide network, see `WideNetwork`.
        num_networks: wide networks; together they weigh as much as the kernels.
    """

    inputs: str = "observations"
    base: str = "kernel_ls"
    network: str = "pixelwise"
    features: int = 96
    subspace: bool = True
    tile: int = 16
    coarse_levels: int = 0
    hold_out: bool = True
    consistent: bool = True
    num_steps: int = 300
    learning_rate: float = 3e-3
    ema: float = 0.98
    dtype: str = "float32"
    kernels: tuple[tuple[float, float], ...] = KernelConfig.kernels
    num_features: int = 1024
    lengths: tuple[tuple[float, float], ...] = ((2.0, 2.0), (2.0, 4.0), (2.0, 8.0), (1.0, 8.0), (4.0, 16.0))
    num_units: int = 400
    num_networks: int = 3

    def __post_init__(self) -> None:
        checks.require_choice("inputs", self.inputs, INPUTS)
        checks.require_choice("base", self.base, BASES)
        checks.require_choice("network", self.network, NETWORKS)


PUBLISHED = DeepPriorConfig(
    base="none",
    network="hourglass",
    features=64,
    subspace=False,
    tile=0,
    hold_out=False,
    consistent=False,
    num_steps=2000,
    learning_rate=1e-3,
    ema=0.0,
)


class DeepPrior(Solver):
    """Unsupervised fusion with known cameras.

    Args:
        model: the two cameras.
        config: options; `PUBLISHED` for the published form.
    """

    name = "deep_prior"
    in_windows = True

    def __init__(self, model: ObservationModel, config: DeepPriorConfig = DeepPriorConfig()) -> None:
        self.model, self.config = model, config

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """The sharp cube of X (h, w, C) and Y (s h, s w, c); an iteration is one step of the optimiser."""
        check_pair(lr_hsi, hr_msi, self.model)
        scene = PriorScene(self.model, self.config, lr_hsi, hr_msi, controls)
        plan = FitPlan(
            num_steps=self.config.num_steps, learning_rate=self.config.learning_rate, ema=self.config.ema
        )
        fit = GradientFit(scene.task(self.name), plan, scene.left(controls)).run()
        details: dict[str, Any] = {"best_step": fit.best_step, "rank": scene.subspace.rank}
        if self.config.hold_out:
            details |= {"held_out_error": fit.held_out_error, "base_held_out_error": fit.start_error}
        return Outcome(scene.finished(), fit.iterations, fit.converged, details=details)


class PriorScene:
    """One scene with its base, its subspace and its network.

    Args:
        model: the two cameras.
        config: options.
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (H, W, c).
        controls: seed of features, weights, tiles and noise; time limit, of which the base takes its share.
    """

    def __init__(
        self,
        model: ObservationModel,
        config: DeepPriorConfig,
        lr_hsi: Cube,
        hr_msi: Cube,
        controls: Controls,
    ) -> None:
        seed = controls.seed
        self.config, self._seed = config, seed
        self._images = (lr_hsi, hr_msi)
        self._assembly = Assembly(model, lr_hsi, hr_msi)
        self._base = make_base(self._assembly, config, controls)
        residual = lr_hsi - self._assembly.degraded(self._base)
        self.subspace = (
            SpectralSubspace.of(residual) if config.subspace else SpectralSubspace.whole(lr_hsi.shape[-1])
        )
        inputs = network_inputs(
            config.inputs,
            lr_hsi,
            hr_msi,
            scale=model.scale,
            pixelwise=config.network == "pixelwise",
            seed=seed,
        )
        shape = NetworkShape(
            inputs=inputs.shape[-1],
            outputs=self.subspace.rank,
            features=config.features,
            zero_head=config.base != "none",
            dtype=config.dtype,
            seed=seed,
        )
        self.network = build_network(config.network, shape)
        self._loss = SceneLoss(model, self._terms(inputs, residual, hr_msi), self._loss_plan())

    def left(self, controls: Controls) -> Controls:
        """The controls with the time that the base has left."""
        if controls.max_seconds is None:
            return controls
        return replace(controls, max_seconds=max(1e-3, controls.max_seconds - self._assembly.seconds))

    def task(self, name: str) -> FitTask:
        """The fit of the network's weights."""
        return FitTask(
            name=name,
            variables=self.network.trainable_variables,
            loss=lambda step: self._loss(self.network, step),
            held_out_error=(lambda: self._loss.held_out_error(self.network))
            if self.config.hold_out
            else None,
            estimate=self.estimate,
            fingerprint=(*self._images, self.config),
            seconds_before=self._assembly.seconds,
        )

    def estimate(self) -> Cube:
        """The sharp cube of the current weights."""
        return self._completed(self.raw_estimate())

    def finished(self) -> Cube:
        """The same, once, in the memory of the base: the last thing that is asked of the scene."""
        return self._completed(self._with_codes(self._base))

    def raw_estimate(self) -> Cube:
        """`estimate` before it is made consistent."""
        return self._with_codes(self._base.copy())

    def _with_codes(self, cube: Cube) -> Cube:
        """Add F V to the cube, some rows at a time, in place."""
        for rows, codes in self._loss.strips(self.network):
            cube[rows] += self.subspace.expand(codes * self.subspace.strengths)
        return cube

    def _completed(self, cube: Cube) -> Cube:
        if self.config.consistent:
            self._assembly.complete(cube)
        return cube

    def _terms(self, inputs: Cube, residual: Cube, hr_msi: Cube) -> SceneTerms:
        response = self._assembly.model.spectral.matrix.astype(np.float32)
        vectors = self.subspace.strengths[:, None] * self.subspace.vectors
        height, width, _ = residual.shape
        held_out = held_out_blocks(height, width).reshape(height, width) & self.config.hold_out
        return SceneTerms(
            inputs=inputs,
            hsi_targets=self.subspace.codes(residual) / self.subspace.strengths,
            hsi_weights=self.subspace.strengths**2,
            msi_targets=hr_msi - self._base @ response,
            msi_map=(vectors @ response).astype(np.float32),
            held_out=held_out,
        )

    def _loss_plan(self) -> LossPlan:
        return LossPlan(
            tile=tile_of(self.config.tile, self._assembly.model.scale),
            coarse_levels=self.config.coarse_levels,
            num_steps=self.config.num_steps,
            seed=self._seed,
        )


def tile_of(tile: int, scale: int) -> int:
    """The side of a tile in coarse pixels: `tile`, but 128 sharp ones at most, and 6 coarse ones at least."""
    return min(tile, max(6, 128 // scale))


def make_base(assembly: Assembly, config: DeepPriorConfig, controls: Controls) -> Cube:
    """What F is added to, (H, W, C): before it is made consistent, so that X has something left to tell.

    Under a time limit the kernels of `kernel_ls` end after BASE_SHARE of it, with those that are done.
    """
    height, width, _ = assembly.hr_msi.shape
    if config.base == "none":
        return np.zeros((height, width, assembly.lr_hsi.shape[-1]), np.float32)
    start = assembly.start()
    if config.base == "spectral_ls":
        return assembly.cube(start.spectral_map)
    regression = KernelRegression(assembly.model, base_plan(config), start, assembly.hr_msi, controls.seed)
    for _ in regression.steps():
        if controls.max_seconds is not None and assembly.seconds > BASE_SHARE * controls.max_seconds:
            break
    codes: NDArray[Any] = regression.codes()
    return assembly.cube(start.spectral_map, codes, regression.subspace.vectors)


def base_plan(config: DeepPriorConfig) -> RegressionPlan:
    """The members of the base "kernel_ls" or "wide_networks".

    The networks are spread over the kernels, so that a time limit leaves some of both.
    """
    kernels = KernelConfig(kernels=config.kernels, num_features=config.num_features).plan.members
    if config.base != WIDE_NETWORKS:
        return RegressionPlan(kernels)
    count, network = config.num_networks, WideNetwork(config.lengths, config.num_units)
    networks = [(network, max(1, len(kernels)) / max(1, count))] * count
    placed = [
        ((number + 0.5) / len(part), member)
        for part in (kernels, networks)
        for number, member in enumerate(part)
    ]
    return RegressionPlan(tuple(member for _, member in sorted(placed, key=lambda one: one[0])))
