"""The convolutional networks F whose weights are fitted to one scene, and what goes into them.

`hourglass` stands for the published form of unsupervised fusion, whose text gives no sizes: the skip network
of Ulyanov et al., CVPR 2018, with three scales. `pixelwise` sees one pixel at a time: random Fourier features
of its inputs, then 1x1 convolutions. As the spectrum is a matter of the pixel's own colour and place, it
learns faster and leaves the texture to Y.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from numpy.typing import NDArray

from hsr_tf import checks
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.solvers.parts.features import pixel_inputs
from hsr_tf.solvers.parts.subspace import SpectralSubspace
from hsr_tf.solvers.solver import Cube

NETWORKS, INPUTS = ("hourglass", "pixelwise"), ("noise", "observations")
NOISE_CHANNELS = 32
COLOUR_LENGTH, POSITION_LENGTH, CODE_LENGTH, NUM_CODES = 2.0, 8.0, 2.0, 3


@dataclass(frozen=True)
class NetworkShape:
    """Sizes of F.

    Attributes:
        inputs: channels that go in.
        outputs: channels that come out.
        features: channels in between.
        zero_head: the last layer starts at zero, so that F starts as nothing to add.
        dtype: precision, e.g. "float32" or "mixed_bfloat16".
        seed: of the initial weights.
    """

    inputs: int
    outputs: int
    features: int
    zero_head: bool
    dtype: str
    seed: int


def build_network(name: str, shape: NetworkShape) -> keras.Model:
    """F: (B, H, W, inputs) to (B, H, W, outputs) float32; the hourglass wants H and W divisible by 8."""
    checks.require_choice("network", name, NETWORKS)
    return hourglass(shape) if name == "hourglass" else pixelwise(shape)


def hourglass(shape: NetworkShape, *, num_scales: int = 3) -> keras.Model:
    """Encoder and decoder with skips: strided convolutions down, bilinear enlargement up."""
    draw = _Seeds(shape)
    inputs = x = keras.Input((None, None, shape.inputs))
    skips = []
    for _ in range(num_scales):
        skips.append(x)
        x = draw.convolution(shape.features, 3, strides=2)(x)
        x = draw.convolution(shape.features, 3)(x)
    for skip in reversed(skips):
        x = layers.UpSampling2D(interpolation="bilinear", dtype=shape.dtype)(x)
        x = layers.Concatenate(dtype=shape.dtype)([x, draw.convolution(8, 1)(skip)])
        x = draw.convolution(shape.features, 3)(x)
    return keras.Model(inputs, draw.head(shape.outputs)(x), name="hourglass")


def pixelwise(shape: NetworkShape, *, num_layers: int = 2, num_frequencies: int = 128) -> keras.Model:
    """Random Fourier features of the inputs, then 1x1 convolutions."""
    draw = _Seeds(shape)
    inputs = keras.Input((None, None, shape.inputs))
    x = RandomFourier(num_frequencies, seed=shape.seed, dtype="float32")(inputs)
    for _ in range(num_layers):
        x = draw.convolution(shape.features, 1, activation="gelu")(x)
    return keras.Model(inputs, draw.head(shape.outputs)(x), name="pixelwise")


class RandomFourier(layers.Layer):
    """sqrt(2) cos(x W + b) with fixed W ~ N(0, 1) and b ~ U(0, 2 pi): (B, H, W, d) to (B, H, W, M)."""

    def __init__(self, num_frequencies: int, *, seed: int, dtype: str) -> None:
        super().__init__(dtype=dtype, trainable=False)
        self.num_frequencies, self.seed = num_frequencies, seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Draw W and b."""
        rng = np.random.default_rng(self.seed)
        size = (int(input_shape[-1] or 0), self.num_frequencies)
        self._frequencies = rng.standard_normal(size).astype(np.float32)
        self._phases = rng.uniform(0, 2 * np.pi, self.num_frequencies).astype(np.float32)

    def call(self, inputs: Any) -> Any:
        """The features."""
        return np.float32(np.sqrt(2.0)) * ops.cos(ops.matmul(inputs, self._frequencies) + self._phases)


class _Seeds:
    """Layers whose initial weights come one after the other from one seed."""

    def __init__(self, shape: NetworkShape) -> None:
        self._shape, self._drawn = shape, 0

    def convolution(
        self, filters: int, size: int, *, strides: int = 1, activation: str = "leaky_relu"
    ) -> layers.Layer:
        return layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding="same",
            activation=activation,
            kernel_initializer=keras.initializers.HeNormal(seed=self._next()),
            dtype=self._shape.dtype,
        )

    def head(self, filters: int) -> layers.Layer:
        start = "zeros" if self._shape.zero_head else keras.initializers.GlorotUniform(seed=self._next())
        return layers.Conv2D(filters, 1, kernel_initializer=start, dtype="float32")

    def _next(self) -> int:
        self._drawn += 1
        return 1000 * self._shape.seed + self._drawn


def network_inputs(
    name: str, lr_hsi: Cube, hr_msi: Cube, *, scale: int, pixelwise: bool, seed: int
) -> NDArray[np.float32]:
    """The input of F, (H, W, d).

    Args:
        name: "noise", or "observations": for a pixelwise network colour, place and the leading codes of X
            enlarged, each over the length on which it matters; for others X enlarged, joined with Y.
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (H, W, c).
        scale: s.
        pixelwise: what F is.
        seed: of the noise.
    """
    if name == "noise":
        rng = np.random.default_rng([seed, 1])
        return rng.uniform(0, 0.1, (*hr_msi.shape[:2], NOISE_CHANNELS)).astype(np.float32)
    if not pixelwise:
        return np.concatenate([_enlarged(lr_hsi, scale), hr_msi], -1)
    inputs = pixel_inputs(hr_msi, scale)
    inputs -= inputs.mean((0, 1))
    subspace = SpectralSubspace.of(lr_hsi, most=NUM_CODES)
    codes = _enlarged(subspace.codes(lr_hsi) / subspace.strengths, scale)
    num_channels = hr_msi.shape[-1]
    parts = (
        inputs[..., :num_channels] / COLOUR_LENGTH,
        inputs[..., num_channels:] / POSITION_LENGTH,
        (codes - codes.mean((0, 1))) / CODE_LENGTH,
    )
    return np.concatenate(parts, -1).astype(np.float32)


def _enlarged(image: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    enlarged: NDArray[np.float32] = bicubic_enlarge(tf.constant(image[None]), scale)[0].numpy()
    return enlarged
