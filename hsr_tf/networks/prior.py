"""`prior`: one set of weights that refines a closed-form estimate for any two cameras.

The project's own design (docs/design_any_camera.md). Nothing in the weights depends on the number of bands
C, of channels c, on the scale s or on the cameras:

- Bands enter and leave through functions of wavelength. Every band is described by where it lies, how well
  the channels see it (the diagonal of R R^+) and how much of it the start leaves unexplained
  (`describe_bands`); a small network turns the description into the weights with which the band enters each
  of F features (a mean over bands) and with which F features leave for it. 400 bands so cost two matrix
  products more, the body in between costs the same.
- Inputs per sharp pixel: the start Z, and Y lifted to bands by R^+. Inputs per coarse pixel: X, and the
  residual E that the start left of X before it was made to agree with X.
- Bands are divided by their root mean square over the scene, and what is added is in units of that of E: the
  gain of an instrument does not matter, and where nothing is left to explain nothing is added.
- The coarse path works on coarse pixels, of any scale alike; its features are enlarged to half of the sharp
  size, where the body of dilated convolutions runs, modulated by scale, width of the PSF and how far the two
  images agree (`describe_pair`).
- With `attention` a sharp pixel also takes spectra of E from the 3 x 3 coarse pixels around it
  (`hsr_tf.networks.prior_attention`): spectra from this scene, where to look from training.

The last layers start at zero. The estimate is then projected onto both observations, as far as they agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.networks.layers import FusionNetwork, LayerMaker, NetworkSpec, image_inputs
from hsr_tf.networks.prior_attention import HEADS, KEY, Looks, ResidualAttention
from hsr_tf.networks.prior_scene import (
    BAND_FEATURES,
    PAIR_FEATURES,
    SHORTEST_NM,
    PriorImages,
    PriorScene,
    describe_bands,
    describe_pair,
    psf_deviations,
    scene_statistics,
)
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.typing import Tensor

BAND_WIDTH = 64
LEAKY, SLOPE = "leaky_relu", 0.2  # Keras' slope
SMALLEST_SHARE = 1e-3
LONGEST_NM = 700.0
DILATIONS = (1, 2, 4, 8, 4, 2, 1, 1)


@keras.saving.register_keras_serializable("hsr_tf")
class Prior(FusionNetwork):
    """The network on the images of one pair of cameras; `core` holds all weights.

    Args:
        spec: sizes, initialisation and precision.
        features: F, width of the body.
        num_blocks: residual blocks of the body.
        attention: take spectra of E from the coarse pixels around.
        cameras: plain data, each with a default: "wavelengths_nm", C band centres (evenly in 400 to 700 nm);
            "response", C rows of c (channels that lie evenly over the bands); "psf_cells", standard
            deviations of the PSF in coarse pixels, see `psf_deviations`.

    Input: lr_hsi (B, h, w, C), or (B, h, w, 2 C) with E behind X; hr_msi (B, s h, s w, c), or c + C with the
    base behind Y. Without a base the start is X enlarged.
    Output: {"estimate": (B, s h, s w, C)}, what is added to the base, or without one the estimate itself.
    """

    takes_cameras = True

    def __init__(
        self,
        spec: NetworkSpec,
        *,
        features: int = 64,
        num_blocks: int = 6,
        attention: bool = True,
        cameras: Mapping[str, Any] | None = None,
    ) -> None:
        inputs = image_inputs(spec)
        core = PriorCore(LayerMaker(spec), features=features, num_blocks=num_blocks, attention=attention)
        around = AnyCameras(core, spec, _cameras(spec, **(cameras or {})))
        outputs = {"estimate": around([inputs["lr_hsi"], inputs["hr_msi"]])}
        options = {
            "features": features,
            "num_blocks": num_blocks,
            "attention": attention,
            "cameras": None if cameras is None else dict(cameras),
        }
        super().__init__(spec, inputs, outputs, options)

    @property
    def core(self) -> PriorCore:
        """The layer with the weights."""
        return self.get_layer("any_cameras").core

    @staticmethod
    def camera_options(cameras: ObservationModel, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with a description of these cameras; band centres stay as they are."""
        response, psf_cells = cameras.spectral.matrix.tolist(), list(psf_deviations(cameras))
        described = {"response": response, "psf_cells": psf_cells}
        return {**options, "cameras": {**(options.get("cameras") or {}), **described}}


@dataclass(frozen=True, eq=False)
class _Cameras:
    """Constants of a pair of cameras: see `PriorScene`."""

    bands: NDArray[np.float32]
    lift: NDArray[np.float32]
    pair: NDArray[np.float32]


def _cameras(
    spec: NetworkSpec,
    *,
    wavelengths_nm: Sequence[float] | None = None,
    response: Sequence[Sequence[float]] | None = None,
    psf_cells: Sequence[float] = (0.42, 0.42),
) -> _Cameras:
    """The constants, with defaults for what is not known."""
    num_bands = spec.num_bands
    num_channels = spec.hr_channels - (num_bands if spec.zero_head else 0)
    if wavelengths_nm is None:
        wavelengths_nm = np.linspace(SHORTEST_NM, LONGEST_NM, num_bands).tolist()
    if response is None:
        centres = (np.arange(num_channels) + 0.5) * num_bands / num_channels - 0.5
        apart = (np.arange(num_bands)[:, None] - centres) * num_channels / num_bands
        curves = np.exp(-2.8 * np.square(apart))
        response = (curves / curves.sum(0)).tolist()
    matrix = np.asarray(response, np.float64)
    for name, found, expected in (
        ("wavelengths_nm", len(wavelengths_nm), num_bands),
        ("response", matrix.shape, (num_bands, num_channels)),
    ):
        checks.require(
            found == expected,
            name,
            expected=f"{expected}, as the images have",
            received=str(found),
            remedy="give those of these images",
        )
    bands = describe_bands(wavelengths_nm, matrix)
    pair = describe_pair(spec.scale, psf_cells, num_channels)
    return _Cameras(bands, np.linalg.pinv(matrix).astype(np.float32), pair)


@keras.saving.register_keras_serializable("hsr_tf")
class AnyCameras(layers.Layer):
    """A `PriorCore` with the constants of one pair of cameras, on the two inputs of fusion networks."""

    def __init__(self, core: PriorCore, spec: NetworkSpec, cameras: _Cameras) -> None:
        super().__init__(name="any_cameras", dtype="float32")
        self.core, self._spec, self._cameras = core, spec, cameras

    def build(self, shapes: Any) -> None:
        """Build the core, whose weights do not depend on any size."""
        del shapes
        if not self.core.built:
            self.core.build()

    def call(self, images: list[Tensor]) -> Tensor:
        """What is added to the base; without a base, the estimate."""
        (coarse, sharp), bands = images, self._spec.num_bands
        lr_hsi, hr_msi = coarse[..., :bands], sharp[..., : self._cameras.lift.shape[0]]
        based, scale = self._spec.zero_head, self._spec.scale
        start = sharp[..., -bands:] if based else bicubic_enlarge(lr_hsi, scale)
        # Without E its place is taken by X itself, which is what a start of zero leaves.
        given = PriorImages(start, hr_msi, lr_hsi, coarse[..., -bands:])
        scene = self.scene(scene_statistics(lr_hsi, given.residual))
        change = self.core.change(given, scene, scale)
        return change if based else start + change

    def scene(self, statistics: Tensor) -> PriorScene:
        """What the network knows of a scene with these statistics."""
        known = (self._cameras.bands, self._cameras.lift, self._cameras.pair)
        constants = [ops.convert_to_tensor(value[None], dtype="float32") for value in known]
        return PriorScene(statistics, *constants)

    def compute_output_shape(self, shapes: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        return (*shapes[1][:3], self._spec.num_bands)


@keras.saving.register_keras_serializable("hsr_tf")
class PriorCore(layers.Layer):
    """All weights of `Prior`.

    Args:
        make: gives initialisers and the policy.
        features, num_blocks, attention: see `Prior`.
    """

    def __init__(self, make: LayerMaker, *, features: int, num_blocks: int, attention: bool) -> None:
        super().__init__(name="core", dtype="float32")
        half = max(8, features // 2)
        self._half, self._features = half, features

        def dense(units: int, name: str, activation: str | None = None, *, zero: bool = False) -> Any:
            start = keras.initializers.Zeros() if zero else make.initializer()
            return layers.Dense(
                units, activation, kernel_initializer=start, dtype="float32", name=f"{name}_dense"
            )

        def conv(units: int, size: int, name: str, *, zero: bool = False, **named: Any) -> Any:
            policy = named.pop("dtype", make.dtype)
            start = keras.initializers.Zeros() if zero else make.initializer()
            return layers.Conv2D(
                units, size, padding="same", kernel_initializer=start, dtype=policy, name=name, **named
            )

        self._describe = [dense(BAND_WIDTH, f"bands_{i}", "gelu") for i in range(2)]
        self._describe_pair = dense(BAND_WIDTH, "pair", "gelu")
        self._enter = {"sharp": dense(2 * half, "enter_sharp"), "coarse": dense(2 * features, "enter_coarse")}
        self._leave = dense(half, "leave")
        # What is added to features begins at zero: eight such sums made them forty times as large as those of
        # the sharp image, which then counted for nothing.
        zero = make.zero_head
        self._coarse = [conv(features, 3, f"coarse_{i}", activation=LEAKY) for i in (0, 2)]
        self._added = [conv(features, 3, f"coarse_{i}", zero=zero) for i in (1, 3)]
        self._down = conv(features, 4, "down", strides=2)
        self._context = conv(features, 1, "context", dtype="float32")
        self._wide = [
            conv(features, 3, f"wide_{i}", activation=LEAKY, dilation_rate=DILATIONS[i % len(DILATIONS)])
            for i in range(num_blocks)
        ]
        self._narrow = [conv(features, 1, f"narrow_{i}", zero=zero) for i in range(num_blocks)]
        self._shift = [dense(features, f"shift_{i}", zero=True) for i in range(num_blocks)]
        self._up = conv(4 * half, 1, "up")
        self._fine = conv(half, 3, "fine", activation=LEAKY)
        self._head = conv(half, 1, "head", zero=make.zero_head, dtype="float32")
        self._attention = ResidualAttention(dense, conv, zero=make.zero_head) if attention else None
        if self._attention is not None:
            self._alike = dense(HEADS * KEY, "alike")
            self._attention_layers = self._attention.layers  # found there by Keras

    def build(self, shape: Any = None) -> None:
        """Make every weight; none depends on the images."""
        del shape
        half, features = self._half, self._features
        sizes = [BAND_FEATURES, BAND_WIDTH]
        for layer, size in zip(self._describe, sizes, strict=True):
            layer.build((None, None, size))
        self._describe_pair.build((None, PAIR_FEATURES))
        for layer in (*self._enter.values(), self._leave):
            layer.build((None, None, BAND_WIDTH))
        inner = [*self._coarse, *self._added, self._context, *self._wide, *self._narrow, self._up]
        image = (None, None, None)
        for layer in inner:
            layer.build((*image, features))
        self._down.build((*image, half))
        self._fine.build((*image, 2 * half))
        self._head.build((*image, half))
        for layer in self._shift:
            layer.build((None, BAND_WIDTH))
        if self._attention is not None:
            self._alike.build((None, None, BAND_WIDTH))
            self._attention.build(sharp=half, coarse=features, bands=BAND_WIDTH, pair=BAND_WIDTH)
        self.built = True

    def change(self, images: PriorImages, scene: PriorScene, scale: int) -> Tensor:
        """What is added to the start, (B, s h, s w, C) float32."""
        statistics = scene.statistics
        rms, left = statistics[..., 0:1], statistics[..., 1:2]
        left = ops.maximum(left, SMALLEST_SHARE * rms)
        share = ops.log(left / rms)
        described = ops.concatenate(
            [scene.bands + 0.0 * rms, share / 3 + 1, statistics[..., 2:3], ops.log(rms) / 3 + 1], -1
        )
        for layer in self._describe:
            described = layer(described)
        pair = self._describe_pair(scene.pair)
        enter = {name: layer(described) for name, layer in self._enter.items()}
        half, features = self._half, self._features
        mean = 1.0 / images.start.shape[-1]
        sharp = images_matmul(images.start, mean * enter["sharp"][..., :half] / rms)
        lifted = ops.matmul(scene.lift, mean * enter["sharp"][..., half:] / rms)
        sharp = sharp + images_matmul(images.hr_msi, lifted)
        sharp = ops.maximum(sharp, SLOPE * sharp)
        coarse = images_matmul(images.lr_hsi, mean * enter["coarse"][..., :features] / rms)
        coarse = coarse + images_matmul(images.residual, mean * enter["coarse"][..., features:] / left)
        for first, second in zip(self._coarse, self._added, strict=True):
            coarse = coarse + ops.cast(second(first(coarse)), "float32")
        x = self._body(sharp, coarse, pair, scale)
        x = self._fine(ops.concatenate([_shuffled(self._up(x), like=sharp), ops.cast(sharp, x.dtype)], -1))
        units = ops.cast(self._head(x), "float32")
        change = images_matmul(units, ops.swapaxes(left * self._leave(described) * half**-0.5, 1, 2))
        if self._attention is not None:
            alike = mean * self._alike(described) / rms
            start, lr_hsi = (images_matmul(image, alike) for image in (images.start, images.lr_hsi))
            looks = Looks(x, coarse, start, lr_hsi, images.residual, described, pair)
            change = change + self._attention(looks, scale)
        return change

    def _body(self, sharp: Tensor, coarse: Tensor, pair: Tensor, scale: int) -> Tensor:
        """Features at half of the sharp size, (B, ceil(s h / 2), ceil(s w / 2), F)."""
        coarse = self._context(coarse)
        if scale % 2:
            context = _halved(_even(bicubic_enlarge(coarse, scale)))
            sharp = _even(sharp)
        else:
            context = bicubic_enlarge(coarse, scale // 2)
        x = self._down(sharp)
        x = x + ops.cast(context, x.dtype)
        for wide, narrow, shift in zip(self._wide, self._narrow, self._shift, strict=True):
            moved = ops.cast(shift(pair)[:, None, None], x.dtype)
            x = x + narrow(wide(x + moved))
        return x


def images_matmul(images: Tensor, weights: Tensor) -> Tensor:
    """(B, H, W, n) times (B or 1, n, m): (B, H, W, m)."""
    height, width = ops.shape(images)[1:3]
    flat = ops.reshape(images, (-1, height * width, images.shape[-1]))
    return ops.reshape(ops.matmul(flat, weights), (-1, height, width, weights.shape[-1]))


def _even(x: Tensor) -> Tensor:
    """Height and width made even by repeating the last row and column."""
    height, width = ops.shape(x)[1:3]
    x = ops.concatenate([x, x[:, height - height % 2 :]], 1)
    return ops.concatenate([x, x[:, :, width - width % 2 :]], 2)


def _halved(x: Tensor) -> Tensor:
    """Means of 2 x 2 pixels."""
    x = 0.5 * (x[:, ::2] + x[:, 1::2])
    return 0.5 * (x[:, :, ::2] + x[:, :, 1::2])


def _shuffled(x: Tensor, *, like: Tensor) -> Tensor:
    """(B, h, w, 4 n) -> (B, 2 h, 2 w, n), cut to the size of another image."""
    (height, width), (tall, wide) = ops.shape(x)[1:3], ops.shape(like)[1:3]
    units = x.shape[-1] // 4
    cells = ops.transpose(ops.reshape(x, (-1, height, width, 2, 2, units)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(cells, (-1, 2 * height, 2 * width, units))[:, :tall, :wide]
