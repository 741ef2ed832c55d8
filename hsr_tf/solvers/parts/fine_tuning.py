"""A trained fusion network's weights fitted to one scene, by a pair made from it one scale down.

    theta = argmin mean over bands of log |X - P f(D X, X R; theta)|^2

from the trained theta, with f the network, P the projection onto both images of the pair, and X the truth
(zero-shot learning, Shocher et al., CVPR 2018). The scene's own two images take part through P alone: what
they say by themselves P gives without learning, and fitting the network to |X - D f|^2 and |Y - f R|^2 as
well lost 0.1 to 0.3 dB on two of five held-back CAVE scenes, where pairs through P gained 0.05 to 0.7 dB. On
scenes that the network was trained on it forgets: 0.8 to 2.7 dB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import tensorflow as tf

from hsr_tf.closed_forms.consistency import DataConsistency
from hsr_tf.closed_forms.spectral_ls import fit_scene
from hsr_tf.networks import pretrained
from hsr_tf.networks.cards import ModelCard
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.solvers.parts.gradient_fit import FitPlan, FitResult, FitTask, GradientFit
from hsr_tf.solvers.solver import Controls, Cube

SMALLEST_SIDE = 8
EMA = 0.95


class FineTuning:
    """The weights of a network as the variables of a fit.

    Args:
        network: a trained model without projection; its weights are changed.
        model: the two cameras.
        lr_hsi: X, (h, w, C).
    """

    def __init__(self, network: FusionModel, model: ObservationModel, lr_hsi: Cube) -> None:
        self._network, self._consistency = network, DataConsistency(model)
        rows, columns = (n // model.scale for n in lr_hsi.shape[:2])
        self.possible = min(rows, columns) >= SMALLEST_SIDE
        if self.possible:
            self._truth = tf.constant(lr_hsi[None, : rows * model.scale, : columns * model.scale])
            quiet = replace(model, hsi_noise=None, msi_noise=None)
            self._lr_hsi, self._hr_msi = quiet.simulate(self._truth)
            self._map: tf.Tensor | None = None
            if network.config.base == "spectral_ls":
                images = (np.asarray(image)[0] for image in (self._lr_hsi, self._hr_msi))
                self._map = tf.constant(fit_scene(quiet, *images).spectral_map[None])

    def run(self, num_steps: int, learning_rate: float, task: FitTask, controls: Controls) -> FitResult:
        """Fit; the averaged weights stay in the network."""
        plan = FitPlan(num_steps=num_steps, learning_rate=learning_rate, ema=EMA)
        return GradientFit(task, plan, controls).run()

    def loss(self, step: tf.Tensor) -> tf.Tensor:
        """The loss of the pair; every step sees all of it."""
        del step
        inputs = {"lr_hsi": self._lr_hsi, "hr_msi": self._hr_msi}
        if self._map is not None:
            inputs["spectral_map"] = self._map
        estimate = self._consistency.project(self._network(inputs), self._lr_hsi, self._hr_msi)
        errors = tf.reduce_mean(tf.square(estimate - self._truth), (0, 1, 2))
        return tf.reduce_mean(tf.math.log(errors + 1e-12))


def free_model(
    card: ModelCard, model: ObservationModel, wavelengths_nm: Sequence[float] | None = None
) -> FusionModel:
    """The trained network of a card for the cameras of this scene, without its projection.

    Args:
        card: of the weights.
        model: the two cameras.
        wavelengths_nm: (C,) band centres, which count for weights that fit any cameras.
    """
    trained = pretrained.load_model(card.folder)
    if trained.view is not None:
        trained = trained.for_cameras(model, wavelengths_nm)
    free = FusionModel(replace(trained.config, consistent=False), model)
    for layer in free.network.layers:
        layer.set_weights(trained.network.get_layer(layer.name).get_weights())
    return free
