"""A trained fusion network fitted to one scene: a sensor or a scene unlike its training set.

    theta = argmin |X - D Z|^2 + |Y - Z R|^2 + |X - f(D X, X R)|^2,   Z = f(X, Y; theta)

from the trained theta: the scene's own two images, and pairs made from them one scale down, where X is the
truth (Shocher et al., CVPR 2018). Random tiles, averaged weights, and coarse pixels held out that say which
weights are kept: where no step helps these are the trained ones. The result is averaged with `kernel_ls`,
which errs in other places. Nothing of this is in a paper; both parts are options.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from hsr_tf import checks
from hsr_tf.methods import register
from hsr_tf.networks import pretrained
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.networks.selection import find_card
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.solvers.assembly import Assembly
from hsr_tf.solvers.gradient_fit import FitPlan, FitTask, GradientFit
from hsr_tf.solvers.kernel_ls import KernelConfig, KernelRegression
from hsr_tf.solvers.ridge import held_out_blocks
from hsr_tf.solvers.solver import Controls, Cube, Outcome, Solver, check_pair


@dataclass(frozen=True)
class AdaptConfig:
    """Options of `Adapt`.

    Attributes:
        network: method of the trained network.
        weights: folder of a trained model; None for the shipped one of these sizes.
        num_steps: of the fine-tuning; 0 for none.
        learning_rate: of the fine-tuning.
        tile: side of a step's tile in coarse pixels.
        pair_weight: weight of the pairs one scale down.
        kernel_share: share of `kernel_ls` in the result, 0 to 1; None lets the coarse pixels held out of both
            fits tell: each part counts by the inverse of its mean square error there.
    """

    network: str = "ms_ssfnet"
    weights: Path | None = None
    num_steps: int = 40
    learning_rate: float = 1e-4
    tile: int = 12
    pair_weight: float = 1.0
    kernel_share: float | None = None

    def __post_init__(self) -> None:
        checks.require(
            self.kernel_share is None or 0 <= self.kernel_share <= 1,
            "kernel_share",
            expected="0 to 1, or none",
            received=str(self.kernel_share),
            remedy="give a share",
        )


@register(
    "adapt",
    kind="solver",
    summary="a trained network, ms_ssfnet by default, fine-tuned on this scene's own two images",
    source="zero-shot pairs as of Shocher et al., CVPR 2018, on any fusion network",
    needs=("psf", "srf"),
)
class Adapt(Solver):
    """A trained network fitted to one scene.

    Args:
        model: the two cameras of the scene.
        config: options.
    """

    name = "adapt"

    def __init__(self, model: ObservationModel, config: AdaptConfig = AdaptConfig()) -> None:
        self.model, self.config = model, config

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """The sharp cube of X (h, w, C) and Y (s h, s w, c); an iteration is one step of fine-tuning.

        Raises:
            ValueError: no weights for these sizes.
            OSError: a folder that holds no trained model.
        """
        check_pair(lr_hsi, hr_msi, self.model)
        assembly = Assembly(self.model, lr_hsi, hr_msi)
        card = find_card(
            self.config.network,
            self.config.weights,
            scale=self.model.scale,
            num_bands=lr_hsi.shape[-1],
            num_channels=hr_msi.shape[-1],
        )
        tuned = FineTuning(free_model(card, self.model), assembly, self.config, controls.seed)
        plan = FitPlan(
            num_steps=max(1, self.config.num_steps),
            learning_rate=self.config.learning_rate if self.config.num_steps else 0.0,
            ema=0.9,
            check_every=10,
        )
        own = self._kernel_ls(assembly, controls.seed)
        finish = partial(self._finished, assembly, tuned, own)
        fit = GradientFit(tuned.task(finish), plan, _left(controls, assembly)).run()
        details: dict[str, Any] = {"weights": card.folder.name, "best_step": fit.best_step}
        details |= {"held_out_error": fit.held_out_error, "trained_held_out_error": fit.start_error}
        details |= {"kernel_share": self._share(tuned, tuned.estimate(), own)}
        return Outcome(finish(), fit.iterations, fit.converged, details=details)

    def _kernel_ls(self, assembly: Assembly, seed: int) -> OwnEstimate | None:
        """What `kernel_ls` makes of the scene; None where it has no share."""
        if self.config.kernel_share == 0:
            return None
        start = assembly.start()
        regression = KernelRegression(self.model, KernelConfig(), start, assembly.hr_msi, seed)
        for _ in regression.steps():
            pass
        cube = assembly.cube(start.spectral_map, regression.codes(), regression.subspace.vectors)
        return OwnEstimate(cube, regression.held_out_error())

    def _finished(self, assembly: Assembly, tuned: FineTuning, own: OwnEstimate | None) -> Cube:
        cube = tuned.estimate()
        share = self._share(tuned, cube, own)
        if own is not None:
            cube = (1 - share) * cube + share * own.cube
        assembly.complete(cube)
        return cube

    def _share(self, tuned: FineTuning, cube: Cube, own: OwnEstimate | None) -> float:
        if own is None or self.config.kernel_share is not None:
            return self.config.kernel_share or 0.0
        error = tuned.held_out_mean_square(cube)
        return error / (error + own.held_out_error) if np.isfinite(own.held_out_error) else 0.5


@dataclass(frozen=True, eq=False)
class OwnEstimate:
    """An estimate that knows nothing of training, before it is made consistent.

    Attributes:
        cube: (H, W, C).
        held_out_error: mean square of what it leaves of X where X was held out of its fit.
    """

    cube: Cube
    held_out_error: float


class FineTuning:
    """The network's weights as the variables of a fit.

    Args:
        network: the trained model, without the projection onto both images.
        assembly: the scene.
        config: options.
        seed: of the tiles.
    """

    def __init__(self, network: FusionModel, assembly: Assembly, config: AdaptConfig, seed: int) -> None:
        self._network, self._assembly, self._config, self._seed = network, assembly, config, seed
        lr_hsi, hr_msi = assembly.lr_hsi, assembly.hr_msi
        self._images = {"lr_hsi": tf.constant(lr_hsi[None]), "hr_msi": tf.constant(hr_msi[None])}
        self._map = network.fit(self._images["lr_hsi"], self._images["hr_msi"])
        height, width, _ = lr_hsi.shape
        self._held_out = held_out_blocks(height, width).reshape(height, width)
        self._seen = tf.constant(~self._held_out, tf.float32)
        self._pairs = self._pairs_below()
        self._power = float(np.mean(np.square(lr_hsi - assembly.degraded(self.estimate())))) + 1e-12

    def task(self, finish: Any) -> FitTask:
        """The fit, from the trained weights."""
        assembly = self._assembly
        return FitTask(
            name="adapt",
            variables=self._network.trainable_variables,
            loss=self._loss,
            held_out_error=self.held_out_error,
            estimate=finish,
            fingerprint=(assembly.lr_hsi, assembly.hr_msi, self._config),
        )

    def estimate(self) -> Cube:
        """The network's estimate, (H, W, C), before it is made consistent."""
        inputs = self._images if self._map is None else {**self._images, "spectral_map": self._map}
        cube: Cube = np.asarray(self._network.predict_on_batch(inputs))[0]
        return cube

    def held_out_error(self) -> float:
        """The mean square of the current weights, relative to that of all coarse pixels at the start."""
        return self.held_out_mean_square(self.estimate()) / self._power

    def held_out_mean_square(self, cube: Cube) -> float:
        """Mean square of X - D Z over the coarse pixels held out."""
        left = self._assembly.lr_hsi - self._assembly.degraded(cube)
        return float(np.mean(np.square(left[self._held_out])))

    def _loss(self, step: tf.Tensor) -> tf.Tensor:
        loss = self._tile_loss(step)
        if self._pairs is None:
            return loss
        guess = self._network({"lr_hsi": self._pairs[0], "hr_msi": self._pairs[1]})
        return loss + self._config.pair_weight * tf.math.log(
            tf.reduce_mean(tf.square(guess - self._pairs[2]))
        )

    def _tile_loss(self, step: tf.Tensor) -> tf.Tensor:
        model, scale = self._assembly.model, self._assembly.model.scale
        height, width, _ = self._assembly.lr_hsi.shape
        tall, wide = (min(self._config.tile, n) for n in (height, width))
        seed = tf.stack([tf.constant(self._seed, tf.int32), step])
        room = tf.constant([height - tall + 1, width - wide + 1], tf.float32)
        corner = tf.cast(tf.random.stateless_uniform([2], seed) * room, tf.int32)
        coarse = tf.slice(self._images["lr_hsi"], [0, corner[0], corner[1], 0], [1, tall, wide, -1])
        sharp = tf.slice(
            self._images["hr_msi"],
            [0, corner[0] * scale, corner[1] * scale, 0],
            [1, tall * scale, wide * scale, -1],
        )
        seen = tf.slice(self._seen, corner, [tall, wide])[None, 1:-1, 1:-1, None]
        inputs = {"lr_hsi": coarse, "hr_msi": sharp}
        estimate = self._network(inputs if self._map is None else {**inputs, "spectral_map": self._map})
        left = tf.square(coarse - model.spatial.forward(estimate))[:, 1:-1, 1:-1] * seen
        gap = tf.square(sharp - model.spectral.forward(estimate))
        return (tf.reduce_mean(left) + tf.reduce_mean(gap)) / self._power

    def _pairs_below(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor] | None:
        """D X, X R and X, where X is large enough for the network; None where it is not."""
        scale, (height, width, _) = self._assembly.model.scale, self._assembly.lr_hsi.shape
        rows, columns = height // scale, width // scale
        if min(rows, columns) < 4:
            return None
        truth = self._images["lr_hsi"][:, : rows * scale, : columns * scale]
        lr_hsi, hr_msi = replace(self._assembly.model, hsi_noise=None, msi_noise=None).simulate(truth)
        return lr_hsi, hr_msi, truth


def free_model(card: pretrained.ModelCard, model: ObservationModel) -> FusionModel:
    """The trained network of a card for the cameras of this scene, without its projection."""
    trained = pretrained.load_model(card.folder)
    free = FusionModel(replace(trained.config, consistent=False), model)
    for layer in free.network.layers:
        layer.set_weights(trained.network.get_layer(layer.name).get_weights())
    return free


def _left(controls: Controls, assembly: Assembly) -> Controls:
    """The controls with the time that is left, less what the last step takes again."""
    if controls.max_seconds is None:
        return controls
    return replace(controls, max_seconds=max(1e-3, controls.max_seconds - 1.2 * assembly.seconds))
