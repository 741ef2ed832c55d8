"""SpectraLift: a network from the colours of one pixel to its spectrum, trained on the coarse cube alone.

    theta = argmin mean |M(X R; theta) - X|,   Z = M(Y; theta), clipped to [0, 1]

(Shah and Duarte, arXiv 2507.13339, 2025). Neither PSF nor registration is needed: the colours that a coarse
pixel would have follow from X and the response. M has six dense layers with leaky ReLU in three pairs, each
with an identity skip (that of the first pair around its second layer), and a linear output; it is trained on
all coarse pixels at once with Adam, the learning rate rising linearly, then falling linearly.

Departures: none in the default form for images in [0, 1]. Where X exceeds 1, both images are divided by its
largest value first, as the published form is for images in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from hsr_tf.physics.observation import ObservationModel
from hsr_tf.solvers.pair import require_positive
from hsr_tf.solvers.parts.gradient_fit import FitPlan, FitTask, GradientFit, LinearRates
from hsr_tf.solvers.solver import Controls, Cube, Outcome, Solver, check_pair

NUM_PAIRS, NEGATIVE_SLOPE = 3, 0.3
PIXELS_AT_ONCE = 2**16


@dataclass(frozen=True)
class SpectraLiftConfig:
    """Options of `SpectraLift`; the defaults are the published form.

    Attributes:
        features: units of each hidden layer.
        num_steps: epochs; each step takes all coarse pixels.
        first_rate, peak_rate, last_rate: learning rate at the start, after `rise`, and at the end.
        rise: share of the steps in which the learning rate rises.
        clip: whether the estimate is clipped to [0, 1], or to the largest value of X where that is above 1.
    """

    features: int = 64
    num_steps: int = 2500
    first_rate: float = 1e-3
    peak_rate: float = 1e-2
    last_rate: float = 1e-6
    rise: float = 0.3
    clip: bool = True

    def __post_init__(self) -> None:
        require_positive(self, "features", "num_steps", "first_rate", "peak_rate")
        require_positive(self, "last_rate", "rise", or_zero=True)


class SpectraLift(Solver):
    """SpectraLift of one scene.

    Args:
        model: the two cameras, of which only the response is used.
        config: options.
    """

    name = "spectralift"
    explains_both = False
    from_scratch = True

    def __init__(self, model: ObservationModel, config: SpectraLiftConfig = SpectraLiftConfig()) -> None:
        self.model, self.config = model, config

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """The sharp cube of X (h, w, C) and Y (s h, s w, c); an iteration is one step of the optimiser."""
        check_pair(lr_hsi, hr_msi, self.model)
        config, unit = self.config, np.float32(max(1.0, float(lr_hsi.max())))
        spectra = lr_hsi.reshape(-1, lr_hsi.shape[-1]) / unit
        colours = spectra @ self.model.spectral.matrix.astype(np.float32)
        network = spectral_network(colours.shape[-1], spectra.shape[-1], config.features, controls.seed)
        inputs, targets = tf.constant(colours), tf.constant(spectra)

        def loss(step: tf.Tensor) -> tf.Tensor:
            del step
            return tf.reduce_mean(tf.abs(network(inputs, training=True) - targets))

        def estimate() -> Cube:
            cube = unit * pixelwise(network, hr_msi / unit)
            return np.clip(cube, 0.0, unit) if config.clip else cube

        task = FitTask(
            name=self.name,
            variables=network.trainable_variables,
            loss=loss,
            held_out_error=None,
            estimate=estimate,
            fingerprint=(lr_hsi, hr_msi, config),
        )
        rates = LinearRates(config.first_rate, config.peak_rate, config.last_rate, config.rise)
        plan = FitPlan(num_steps=config.num_steps, learning_rate=rates, ema=0.0)
        fit = GradientFit(task, plan, controls).run()
        return Outcome(estimate(), fit.iterations, fit.converged)


def spectral_network(num_channels: int, num_bands: int, features: int, seed: int) -> keras.Model:
    """M: (B, c) to (B, C)."""
    start = keras.initializers.GlorotUniform

    def dense(number: int, inputs: Any) -> Any:
        x = layers.Dense(features, kernel_initializer=start(seed=1000 * seed + number))(inputs)
        return layers.LeakyReLU(negative_slope=NEGATIVE_SLOPE)(x)

    inputs = x = keras.Input((num_channels,))
    for number in range(0, 2 * NUM_PAIRS, 2):
        first = dense(number, x)
        skipped = x if number else first
        x = layers.Add()([dense(number + 1, first), skipped])
    output = layers.Dense(num_bands, kernel_initializer=start(seed=1000 * seed + 2 * NUM_PAIRS))
    return keras.Model(inputs, output(x), name="spectralift")


def pixelwise(network: keras.Model, hr_msi: Cube) -> Cube:
    """M of every pixel, (H, W, c) to (H, W, C), some pixels at a time."""
    pixels = hr_msi.reshape(-1, hr_msi.shape[-1])
    parts = [
        network(pixels[start : start + PIXELS_AT_ONCE], training=False).numpy()
        for start in range(0, len(pixels), PIXELS_AT_ONCE)
    ]
    return np.concatenate(parts).reshape(*hr_msi.shape[:2], -1)
