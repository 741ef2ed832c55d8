"""What the fusion networks share: initialisation, blocks, inputs and reconstruction heads.

Networks are functional Keras models on two inputs, `lr_hsi` (B, h, w, C) and `hr_msi` (B, s h, s w, c), of
any size; they answer a dictionary whose entry "estimate" is the sharp cube.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import keras
import numpy as np
from keras import layers, ops

from hsr_tf import checks
from hsr_tf.networks.cards import INITIALIZERS, ImageSpec
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.typing import Tensor

ACTIVATIONS = ("prelu", "leaky_relu")
PRELU_START = 0.25


@dataclass(frozen=True)
class NetworkSpec:
    """What every fusion network is built from.

    Attributes:
        scale: s, sharp pixels a coarse pixel along one side.
        num_bands: C, bands of the estimate.
        lr_channels: channels of the coarse input, C or more.
        hr_channels: channels of the sharp input: 3 for RGB, 1 for panchromatic, more with a base.
        zero_head: start the reconstruction at zero, for networks that add to a base.
        init: "he" (normal, variance 2 / fan-in), "gaussian_0.001" (as MS-SSFNet was published) or "identity"
            (`NearIdentity` in stacks of convolutions, else "he").
        seed: seed of the weights.
        dtype: Keras dtype policy of the layers, e.g. "mixed_bfloat16"; None for the global one.
    """

    scale: int
    num_bands: int
    lr_channels: int
    hr_channels: int = 3
    zero_head: bool = False
    init: str = "he"
    seed: int = 0
    dtype: str | None = None

    def __post_init__(self) -> None:
        checks.require_choice("init", self.init, INITIALIZERS)
        checks.require_positive_integers(
            scale=self.scale,
            num_bands=self.num_bands,
            lr_channels=self.lr_channels,
            hr_channels=self.hr_channels,
        )


class SpecifiedNetwork(keras.Model):
    """A functional network that is saved as its specification and options.

    Args:
        spec: the specification, an instance of the subclass's `spec_type`.
        inputs, outputs: the graph.
        options: the further arguments of the subclass, by name.
    """

    spec_type: ClassVar[type]

    def __init__(self, spec: Any, inputs: Any, outputs: Any, options: dict[str, Any]) -> None:
        super().__init__(inputs=inputs, outputs=outputs)
        self.spec = spec
        self._options = options

    def get_config(self) -> dict[str, Any]:
        """Specification and options."""
        return {"spec": asdict(self.spec), **self._options}

    def inference_options(self) -> dict[str, Any]:
        """The options of the same network without what only training needs."""
        return dict(self._options)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> SpecifiedNetwork:
        """The network of `get_config`."""
        del custom_objects
        config = dict(config)
        return cls(cls.spec_type(**config.pop("spec")), **config)


class FusionNetwork(SpecifiedNetwork):
    """A network on `lr_hsi` and `hr_msi`."""

    spec_type = NetworkSpec


class LayerMaker:
    """Makes the layers of one network: the same policy, and for each initialiser a seed of its own.

    Args:
        spec: the network's.
        prefix: of the names of the layers, where a network has a part twice.
    """

    def __init__(self, spec: NetworkSpec | ImageSpec, prefix: str = "") -> None:
        self.prefix = prefix
        self._init, self._seed, self.zero_head = spec.init, 1000 * spec.seed, spec.zero_head
        self.dtype = spec.dtype

    def initializer(self) -> keras.initializers.Initializer:
        """The next initialiser; He's for what is no plain stack of convolutions."""
        self._seed += 1
        if self._init in ("he", "identity"):
            return keras.initializers.HeNormal(seed=self._seed)
        return keras.initializers.RandomNormal(stddev=0.001, seed=self._seed)

    def conv(
        self, features: int, size: int, name: str, *, activation: str | None = None, added: bool = False
    ) -> layers.Layer:
        """A convolution that keeps the size; `added` if its result is added to something."""
        start = self.initializer()
        if self._init == "identity" and not added:
            start = NearIdentity(seed=self._seed)
        return layers.Conv2D(
            features,
            size,
            padding="same",
            activation=activation,
            kernel_initializer=start,
            dtype=self.dtype,
            name=self.prefix + name,
        )

    def block(self, x: Tensor, features: int, name: str, *, activation: str = "prelu") -> Tensor:
        """Convolution 3x3, activation, convolution 3x3, activation.

        "prelu" learns one slope a channel, shared over space, from 0.25 as in the paper of PReLU and in Caffe
        (Keras starts at 0). "leaky_relu" keeps the slope there: oneDNN runs it inside the convolution, which
        saved four tenths of the gradients' time in bfloat16 on two CPU cores (64 features, x8: 121 against
        199 ms a batch).
        """
        checks.require_choice("activation", activation, ACTIVATIONS)
        for i in (1, 2):
            x = self.conv(features, 3, f"{name}_conv{i}")(x)
            if activation == "prelu":
                x = layers.PReLU(
                    keras.initializers.Constant(PRELU_START),
                    shared_axes=(1, 2),
                    dtype=self.dtype,
                    name=f"{self.prefix}{name}_prelu{i}",
                )(x)
            else:
                x = layers.LeakyReLU(
                    PRELU_START, dtype=self.dtype, name=f"{self.prefix}{name}_leaky_relu{i}"
                )(x)
        return x

    def enlarge(self, x: Tensor, features: int, size: int, name: str) -> Tensor:
        """Stride-2 transposed convolution of `size` x `size`: twice the height and width."""
        start = self.initializer()
        return layers.Conv2DTranspose(
            features,
            size,
            strides=2,
            padding="same",
            kernel_initializer=start,
            dtype=self.dtype,
            name=self.prefix + name,
        )(x)

    def residual_block(self, x: Tensor, name: str) -> Tensor:
        """Convolution 3x3, ReLU, convolution 3x3, added to the input."""
        features = x.shape[-1]
        y = self.conv(features, 3, f"{name}_conv1", activation="relu", added=True)(x)
        y = self.conv(features, 3, f"{name}_conv2", added=True)(y)
        return layers.Add(dtype=self.dtype, name=f"{self.prefix}{name}_add")([x, y])

    def head(self, x: Tensor, num_bands: int, name: str, *, size: int = 3) -> Tensor:
        """Linear reconstruction to `num_bands`, started at zero if the specification says so."""
        initial = keras.initializers.Zeros() if self.zero_head else self.initializer()
        return layers.Conv2D(
            num_bands,
            size,
            padding="same",
            kernel_initializer=initial,
            dtype=self.dtype,
            name=self.prefix + name,
        )(x)


@keras.saving.register_keras_serializable("hsr_tf")
class NearIdentity(keras.initializers.Initializer):
    """Convolutions of as many filters as channels hand their input on, with a tenth of He's start beside it.

    A stack of them starts as a residual network does, which trains twenty plain layers faster than He's start
    alone (S. Zagoruyko, N. Komodakis, "DiracNets", 2017, whose Dirac part is learnt with a scale of its own;
    here it is no more than the start). What changes the number of channels starts as He's.

    Args:
        noise: the deviation beside the identity, relative to He's.
        seed: of the noise.
    """

    def __init__(self, noise: float = 0.1, seed: int = 0) -> None:
        self.noise, self.seed = noise, seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """A kernel (height, width, channels, filters)."""
        start = keras.initializers.HeNormal(seed=self.seed)(shape, dtype=dtype)
        if len(shape) != 4 or shape[2] != shape[3]:
            return start
        centre = np.zeros((*shape[:2], 1, 1), "float32")
        centre[(shape[0] - 1) // 2, (shape[1] - 1) // 2] = 1.0
        return centre * ops.eye(shape[2], dtype=start.dtype) + self.noise * start

    def get_config(self) -> dict[str, Any]:
        """Noise and seed."""
        return {"noise": self.noise, "seed": self.seed}


@keras.saving.register_keras_serializable("hsr_tf")
class BicubicEnlarge(layers.Layer):
    """Bicubic enlargement by an integer factor, (B, h, w, C) -> (B, s h, s w, C)."""

    def __init__(self, scale: int, **keras_arguments: Any) -> None:
        super().__init__(**keras_arguments)
        self.scale = scale

    def call(self, x: Tensor) -> Tensor:
        """Enlarge."""
        return bicubic_enlarge(x, self.scale)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, height, width, bands = input_shape
        return (batch, height and height * self.scale, width and width * self.scale, bands)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable("hsr_tf")
class LastChannels(layers.Layer):
    """The last channels of an image, (B, h, w, C) -> (B, h, w, `number`)."""

    def __init__(self, number: int, **keras_arguments: Any) -> None:
        super().__init__(**keras_arguments)
        self.number = number

    def call(self, x: Tensor) -> Tensor:
        """Take them."""
        return x[..., -self.number :]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.number)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "number": self.number}


def image_inputs(spec: NetworkSpec) -> dict[str, Tensor]:
    """The two inputs of every fusion network, of any size."""
    return {
        "lr_hsi": keras.Input((None, None, spec.lr_channels), name="lr_hsi"),
        "hr_msi": keras.Input((None, None, spec.hr_channels), name="hr_msi"),
    }


def joined_inputs(make: LayerMaker, inputs: dict[str, Tensor], scale: int) -> Tensor:
    """The coarse input enlarged (bicubic) to the sharp one's size, and joined with it."""
    enlarged = BicubicEnlarge(scale, dtype=make.dtype, name="enlarge")(inputs["lr_hsi"])
    return layers.Concatenate(dtype=make.dtype, name="join")([enlarged, inputs["hr_msi"]])
