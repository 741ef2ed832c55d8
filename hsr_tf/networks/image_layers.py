"""What the networks for unknown or given blur share: layers that several graphs use, projection units,
spatial feature transforms, kernels and their codes as layers, and the pseudo-LR picture.

`SharedLayers` keeps every layer under its name: asked again it applies the same weights, so that iterations
share them and a second graph (a network that is given the true kernel, say) trains those of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import layers, ops

from hsr_tf import checks
from hsr_tf.networks.cards import ImageSpec
from hsr_tf.networks.image_network import KERNEL_SIZE, ImageNetwork
from hsr_tf.networks.layers import BicubicEnlarge, LayerMaker
from hsr_tf.physics.kernel_code import gaussian_code
from hsr_tf.physics.sample_blur import BlindDegradation
from hsr_tf.typing import Tensor

SLOPE = 0.2
SMALL, OPEN = 0.1, 2.0
ESTIMATOR_PREFIX = "kernel_"


class SharedLayers:
    """Applies the layers of one network by name, each made once.

    Args:
        spec: initialisation, seed and precision.
        one_slope: one slope per PReLU, as PyTorch's default; False for one per channel.
    """

    def __init__(self, spec: ImageSpec, *, one_slope: bool = False) -> None:
        checks.require(
            spec.init != "identity",
            "init",
            expected="he or gaussian_0.001 for this network, which is no plain stack",
            received="identity",
            remedy="leave it out",
        )
        self._make = LayerMaker(spec)
        self._known: dict[str, layers.Layer] = {}
        self._slope_axes = (1, 2, 3) if one_slope else (1, 2)
        self.spec, self.dtype = spec, spec.dtype

    def once(self, name: str, make: Callable[[], layers.Layer]) -> layers.Layer:
        """The layer of this name."""
        if name not in self._known:
            self._known[name] = make()
        return self._known[name]

    def conv(
        self, x: Tensor, features: int, size: int, name: str, *, strides: int = 1, gain: float = 1.0
    ) -> Tensor:
        """A linear convolution; with strides s its result has a sample a cell of s x s.

        `gain` is the start's deviation relative to He's: less than 1 for what is added to something, or
        sums of sums would grow from module to module without bounds.
        """
        return self.once(
            name,
            lambda: layers.Conv2D(
                features,
                size,
                strides,
                padding="same",
                kernel_initializer=self._start(gain**2),
                dtype=self.dtype,
                name=name,
            ),
        )(x)

    def enlarge(self, x: Tensor, scale: int, name: str, *, gain: float = 1.0) -> Tensor:
        """DBPN's transposed convolution: filter s + 4, stride s, padding 2; as many features as before.

        He's variance counts the taps that reach one output sample; Keras would count them all, and every
        enlargement would shrink its features s times.
        """
        features = x.shape[-1]
        return self.once(
            name,
            lambda: layers.Conv2DTranspose(
                features,
                scale + 4,
                scale,
                padding="same",
                kernel_initializer=self._start((gain * scale) ** 2),
                dtype=self.dtype,
                name=name,
            ),
        )(x)

    def _start(self, share: float) -> keras.initializers.Initializer:
        """The next initialiser; He's with `share` of its variance."""
        start = self._make.initializer()
        if isinstance(start, keras.initializers.HeNormal):
            return keras.initializers.VarianceScaling(2.0 * share, seed=start.seed)
        return start

    def dense(self, x: Tensor, features: int, name: str) -> Tensor:
        """A linear map of vectors (B, n)."""
        start = self._make.initializer
        return self.once(
            name, lambda: layers.Dense(features, kernel_initializer=start(), dtype=self.dtype, name=name)
        )(x)

    def prelu(self, x: Tensor, name: str) -> Tensor:
        """PReLU with a slope per channel, or one for all with `one_slope`, started at 0.25."""
        quarter, axes = keras.initializers.Constant(0.25), self._slope_axes
        return self.once(
            name,
            lambda: layers.PReLU(alpha_initializer=quarter, shared_axes=axes, dtype=self.dtype, name=name),
        )(x)

    def leaky(self, x: Tensor) -> Tensor:
        """Leaky ReLU of slope 0.2."""
        return layers.LeakyReLU(negative_slope=SLOPE, dtype=self.dtype)(x)

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Channels one after another."""
        return parts[0] if len(parts) == 1 else layers.Concatenate(dtype=self.dtype)(list(parts))

    def head(self, x: Tensor, name: str, *, size: int = 3, channels: int | None = None) -> Tensor:
        """A linear reconstruction in float32, to the picture's channels by default, at zero if asked for."""

        def make() -> layers.Layer:
            zero = keras.initializers.Zeros()
            start = zero if self.spec.zero_head else self._make.initializer()
            width = channels or self.spec.num_channels
            return layers.Conv2D(
                width, size, padding="same", kernel_initializer=start, dtype="float32", name=name
            )

        return self.once(name, make)(x)

    def reconstruct(self, x: Tensor, lr_image: Tensor, name: str, *, residual: bool, size: int = 3) -> Tensor:
        """`head` at the estimate's size, added to the bicubic enlargement where `residual`."""
        detail = self.head(x, name, size=size)
        if not residual:
            return detail
        return detail + BicubicEnlarge(self.spec.scale or 1, dtype="float32")(lr_image)

    def sft(self, x: Tensor, condition: Tensor, name: str, *, hidden: int | None = None) -> Tensor:
        """Spatial feature transform: x * gamma + beta, both of two 3x3 convolutions of [x, condition].

        gamma goes through a sigmoid, whose argument starts near 2, so that a stack of transforms starts near
        the identity instead of halving its features each time. X. Wang et al., CVPR 2018; here as IKC and
        KBPN's figure 3 draw it.
        """
        joined, features = self.join([x, condition]), x.shape[-1]

        def branch(word: str) -> Tensor:
            inner = self.leaky(self.conv(joined, hidden or features, 3, f"{name}_{word}1"))
            return self.conv(inner, features, 3, f"{name}_{word}2", gain=SMALL)

        gamma = layers.Activation("sigmoid", dtype=self.dtype)(branch("gamma") + OPEN)
        return x * gamma + branch("beta")

    def up_projection(self, x: Tensor, name: str) -> Tensor:
        """DBPN's up-projection unit: enlarge, reduce again, and enlarge what the two differ by."""
        features, scale = x.shape[-1], self.spec.scale or 1
        first = self.prelu(self.enlarge(x, scale, f"{name}_up1"), f"{name}_prelu1")
        back = self.conv(first, features, scale + 4, f"{name}_down", strides=scale)
        error = self.prelu(back, f"{name}_prelu2") - x
        return first + self.prelu(self.enlarge(error, scale, f"{name}_up2", gain=SMALL), f"{name}_prelu3")

    def down_projection(self, x: Tensor, name: str) -> Tensor:
        """DBPN's down-projection unit: reduce, enlarge again, and reduce what the two differ by."""
        features, scale = x.shape[-1], self.spec.scale or 1
        first = self.conv(x, features, scale + 4, f"{name}_down1", strides=scale)
        first = self.prelu(first, f"{name}_prelu1")
        error = self.prelu(self.enlarge(first, scale, f"{name}_up"), f"{name}_prelu2") - x
        second = self.conv(error, features, scale + 4, f"{name}_down2", strides=scale, gain=SMALL)
        return first + self.prelu(second, f"{name}_prelu3")

    def shuffle_up(self, x: Tensor, name: str, *, leaky: bool = False) -> Tensor:
        """Convolution and pixel shuffle, by 2 as often as the scale divides by 2, then by the rest; ReLU.

        `leaky` takes leaky ReLU of slope 0.2 instead.
        """
        features = x.shape[-1]
        for i, factor in enumerate(shuffle_factors(self.spec.scale or 1)):
            x = self.conv(x, features * factor**2, 3, f"{name}_{i + 1}")
            x = PixelShuffle(factor, dtype=self.dtype)(x)
            x = self.leaky(x) if leaky else layers.ReLU(dtype=self.dtype)(x)
        return x


class BlindNetwork(ImageNetwork):
    """A network that finds the kernel itself; its estimator's layers are called `kernel_...`.

    Attributes:
        estimator_parts: parts of the kernel estimator that can be trained alone, "estimator" for all of it,
            each with the first letters of its layers' names.
    """

    estimator_parts: ClassVar[dict[str, tuple[str, ...]]] = {"estimator": (ESTIMATOR_PREFIX,)}

    @classmethod
    def part_names(cls) -> tuple[str, ...]:
        """Names of the parts that can be trained alone; "image" is all that estimates no kernel."""
        return ("image", *cls.estimator_parts)

    def in_training(self, part: str) -> keras.Model:
        """The network in the form in which a part of it is trained, on the same weights.

        "image" is given the true kernel, {"lr_image", "kernel"}; what the others are given, each network
        says.
        """
        raise NotImplementedError

    def weights_of(self, part: str) -> list[keras.Variable]:
        """Trainable weights of a part."""
        return [weight for weight in self.trainable_weights if self._is_of(part, weight.path)]

    def train_only(self, part: str) -> None:
        """Leave the layers of all other parts out of `trainable_weights`."""
        for layer in (layer for layer in self.layers if layer.weights):
            if not self._is_of(part, layer.name):
                layer.trainable = False

    def _is_of(self, part: str, name: str) -> bool:
        checks.require_choice("part", part, self.part_names())
        if part == "image":
            return not name.startswith(ESTIMATOR_PREFIX)
        return name.startswith(self.estimator_parts[part])


def shuffle_factors(scale: int) -> list[int]:
    """2, 2, ... and the odd rest, whose product is the scale."""
    factors = []
    while scale % 2 == 0:
        factors.append(2)
        scale //= 2
    return factors + ([scale] if scale > 1 else [])


@keras.saving.register_keras_serializable("hsr_tf")
class PixelShuffle(layers.Layer):
    """(B, h, w, r^2 C) -> (B, r h, r w, C): every pixel's channels become a cell of r x r pixels."""

    def __init__(self, factor: int, **keras_arguments: Any) -> None:
        super().__init__(**keras_arguments)
        self.factor = factor

    def call(self, x: Tensor) -> Tensor:
        """Rearrange."""
        factor, (height, width) = self.factor, ops.shape(x)[1:3]
        channels = x.shape[-1] // factor**2
        cells = ops.reshape(x, (-1, height, width, factor, factor, channels))
        cells = ops.transpose(cells, (0, 1, 3, 2, 4, 5))
        return ops.reshape(cells, (-1, height * factor, width * factor, channels))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, height, width, channels = input_shape
        factor = self.factor
        return (batch, height and height * factor, width and width * factor, (channels or 0) // factor**2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("hsr_tf")
class Stretch(layers.Layer):
    """Vectors (B, n) repeated over the pixels of a picture: [(B, n), (B, h, w, .)] -> (B, h, w, n)."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Repeat."""
        vectors, like = inputs
        height, width = ops.shape(like)[1:3]
        return ops.tile(vectors[:, None, None], (1, height, width, 1))

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        vectors, like = input_shape
        return (vectors[0], like[1], like[2], vectors[1])


@keras.saving.register_keras_serializable("hsr_tf")
class PseudoLR(layers.Layer):
    """[sharp picture, kernels] -> the picture as the kernels and the bicubic reduction give it, in float32.

    Kernels are (B, k, k), or (B, h, w, k^2) for one a reduced pixel.
    """

    def __init__(self, scale: int, **keras_arguments: Any) -> None:
        super().__init__(**{"dtype": "float32", **keras_arguments})
        self.scale = scale

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Degrade."""
        picture, kernels = inputs
        if len(kernels.shape) == 4:
            side = round(kernels.shape[-1] ** 0.5)
            kernels = ops.reshape(kernels, (-1, *ops.shape(kernels)[1:3], side, side))
        return BlindDegradation(kernels, self.scale)(picture)

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        batch, height, width, channels = input_shape[0]
        return (batch, height and height // self.scale, width and width // self.scale, channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


class _CodeLayer(layers.Layer):
    """Holds a kernel code as weights that are stored but not trained."""

    def __init__(self, length: int, **keras_arguments: Any) -> None:
        super().__init__(**{"dtype": "float32", **keras_arguments})
        self.length = length

    def build(self, *_: Any) -> None:
        """Fit the code to the published kernels."""
        code = gaussian_code(self.length, size=KERNEL_SIZE)
        self._mean = self._stored("mean", code.mean)
        self._basis = self._stored("basis", code.basis)

    def _stored(self, name: str, value: np.ndarray) -> keras.Variable:
        weight = self.add_weight(shape=value.shape, initializer="zeros", trainable=False, name=name)
        weight.assign(value)
        return weight

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "length": self.length}


@keras.saving.register_keras_serializable("hsr_tf")
class KernelEncode(_CodeLayer):
    """(B, k, k) -> (B, n), the kernel's principal components, in float32."""

    def call(self, kernels: Tensor) -> Tensor:
        """Encode."""
        return ops.matmul(ops.reshape(kernels - self._mean, (-1, KERNEL_SIZE**2)), self._basis)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.length)


@keras.saving.register_keras_serializable("hsr_tf")
class KernelDecode(_CodeLayer):
    """(B, n) -> (B, k, k), with negative taps cut off and the sum made one, in float32."""

    def call(self, codes: Tensor) -> Tensor:
        """Decode."""
        flat = ops.matmul(codes, ops.transpose(self._basis))
        kernels = ops.relu(ops.reshape(flat, (-1, KERNEL_SIZE, KERNEL_SIZE)) + self._mean)
        return kernels / (ops.sum(kernels, axis=(1, 2), keepdims=True) + 1e-6)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], KERNEL_SIZE, KERNEL_SIZE)
