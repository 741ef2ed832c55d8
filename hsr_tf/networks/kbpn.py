"""KBPN: kernelised back-projection network, super-resolution and estimation of the blur in turn.

T. Yoshida, K. Akita, N. Ukita, "Simultaneous iterative learning of image super-resolution and degradation
removal" (in Japanese), IPSJ SIG Technical Report, Vol. 2020-CG-180 No. 12, 2020, sections 3 and 4.

Module t enlarges the coarse features by DBPN's up-projection (sharp features SRf_t), makes a provisional
picture SR_t of SRf_1..t, estimates the kernel K_t, and reduces SR_t by K_t as the camera would. The squared
difference of that pseudo-LR picture from the given one conditions, through a spatial feature transform, the
features that the down-projection hands to module t + 1. The estimator compares SRf_1..t, reduced by one
strided convolution, with the first features LRf_0; squared difference, two 1x1 convolutions, the kernel
K_{t-1} beside them, a 1x1 convolution, global average and softmax give K_t. K_0 is IKC's predictor with a
softmax.

Extensions of the paper's text, by name in `extensions`:
    kernel_sft       a second transform after each module, conditioned on K_t (its section 5.2, table 2)
    diff_kernel      the difference of module t - 1 also conditions the estimate of K_t (section 5.3), here by
                     a transform of the estimator's features
    cell_kernels     a kernel for every given pixel: no global average, spatially varying blur (section 3.2)
Training in parts (section 5.3) is done with `with_true_kernel` and `with_true_image`.

Departures. The last module makes no coarse features, which nobody would use, and its provisional picture is
the estimate, both being one convolution over all sharp features. The average is taken before the last 1x1
convolution of the estimator, which is linear: the same numbers for less. A 1x1 convolution brings K_t to
`features` channels before it conditions a transform, which would be the largest of all layers otherwise.
Transforms and corrections start small, or ten modules would overflow before the first step. Widths and
activations that the text leaves open: `features` everywhere, PReLU after the 1x1 convolutions, leaky ReLU
inside the transforms. `residual` adds the bicubic enlargement to every picture (not in the paper), which
short training needs. The default is a compact size (2.3 million weights), `PUBLISHED` the paper's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers, ops

from hsr_tf import checks
from hsr_tf.networks.cards import ImageSpec
from hsr_tf.networks.dbpn import first_features, require_enlarging
from hsr_tf.networks.image_layers import BlindNetwork, PseudoLR, SharedLayers, Stretch
from hsr_tf.networks.image_network import KERNEL_SIZE, picture_inputs
from hsr_tf.typing import Tensor

EXTENSIONS = ("kernel_sft", "diff_kernel", "cell_kernels")
PUBLISHED = {"num_modules": 10, "features": 64, "extensions": (), "residual": False}


@keras.saving.register_keras_serializable("hsr_tf")
class KBPN(BlindNetwork):
    """KBPN for one scale; the default is a compact size, `PUBLISHED` the paper's.

    Args:
        spec: sizes, initialisation and precision; the scale is 2 or more.
        num_modules: T.
        features: channels of both sizes; the first convolution has four times as many.
        extensions: names of `EXTENSIONS`.
        residual: add the bicubic enlargement to every picture.
        training_outputs: also answer what only the loss looks at.

    Input: lr_image (B, h, w, C), h and w at least 2.
    Output, float32: {"estimate": (B, s h, s w, C), "kernel": (B, 21, 21)}; with cell_kernels "kernel" is the
    mean of "kernel_map" (B, h, w, 441); with `training_outputs` also "pseudo_lr" (B, h, w, C), and
    "estimate_middle", "kernel_middle" and "pseudo_lr_middle" of module ceil(T / 2).

    Raises:
        ValueError: for a scale below 2, less than one module, or an unknown extension.
    """

    def __init__(
        self,
        spec: ImageSpec,
        *,
        num_modules: int = 4,
        features: int = 24,
        extensions: Sequence[str] = ("kernel_sft",),
        residual: bool = True,
        training_outputs: bool = True,
    ) -> None:
        require_enlarging(spec, "kbpn")
        checks.require_positive_integers(num_modules=num_modules, features=features)
        for name in extensions:
            checks.require_choice("extensions", name, EXTENSIONS)
        graph = _Graph(SharedLayers(spec), num_modules, features, tuple(extensions), residual)
        inputs = picture_inputs(spec)
        outputs = graph.outputs(_Given(inputs["lr_image"]))
        kept = [name for name in outputs if training_outputs or name in ("estimate", "kernel", "kernel_map")]
        options = {
            "num_modules": num_modules,
            "features": features,
            "extensions": tuple(extensions),
            "residual": residual,
            "training_outputs": training_outputs,
        }
        named = {name: outputs[name] for name in kept}
        super().__init__(spec, inputs, outputs=named, options=options, reach=None)
        self._shared = graph

    def inference_options(self) -> dict[str, Any]:
        """Without what only the loss looks at."""
        return {**super().inference_options(), "training_outputs": False}

    def with_true_kernel(self) -> keras.Model:
        """The picture's part on {"lr_image", "kernel"}: the true kernel stands in every K_t's place.

        Answers "estimate", "pseudo_lr" and both of the middle; `image_weights` are its weights.
        """
        inputs = picture_inputs(self.spec, kernel_size=KERNEL_SIZE)
        return keras.Model(inputs, self._shared.outputs(_Given(inputs["lr_image"], kernel=inputs["kernel"])))

    def with_true_image(self) -> keras.Model:
        """The estimator on {"lr_image", "hr_image"}: the true picture stands in every SR_t's place.

        Answers "kernel", "pseudo_lr" and both of the middle, for training `estimator_weights` alone: what
        differs from the given picture is then the kernel's fault.
        """
        inputs = picture_inputs(self.spec)
        inputs["hr_image"] = keras.Input((None, None, self.spec.num_channels), name="hr_image")
        return keras.Model(inputs, self._shared.outputs(_Given(inputs["lr_image"], image=inputs["hr_image"])))


@dataclass(frozen=True)
class _Given:
    """What the graph is given: the picture and, in training by parts, the truth of one side."""

    lr_image: Tensor
    kernel: Tensor | None = None
    image: Tensor | None = None


@dataclass
class _State:
    """What the modules hand on."""

    coarse: Tensor
    first: Tensor
    kernel: Tensor
    sharp: list[Tensor] = field(default_factory=list)
    difference: Tensor | None = None


@dataclass(frozen=True)
class _Graph:
    """Builds the graph, as often as it is asked for, on one set of layers."""

    make: SharedLayers
    num_modules: int
    features: int
    extensions: tuple[str, ...]
    residual: bool

    def outputs(self, given: _Given) -> dict[str, Tensor]:
        """All outputs by name."""
        first = first_features(self.make, given.lr_image, self.features)
        state = _State(first, first, self._start(given, first))
        middle = (self.num_modules + 1) // 2
        outputs: dict[str, Tensor] = {}
        for t in range(1, self.num_modules + 1):
            picture, pseudo = self._module(t, state, given)
            for suffix in (["_middle"] if t == middle else []) + ([""] if t == self.num_modules else []):
                outputs |= self._named(suffix, picture, pseudo, given, state)
        return outputs

    def _module(self, t: int, state: _State, given: _Given) -> tuple[Tensor, Tensor]:
        """Module t moves the state on and returns its provisional picture and the pseudo-LR picture."""
        make = self.make
        state.sharp.append(make.up_projection(state.coarse, f"up{t}"))
        joined = make.join(state.sharp)
        picture = given.image
        if picture is None:
            picture = make.reconstruct(joined, given.lr_image, f"picture{t}", residual=self.residual)
        if given.kernel is None:
            state.kernel = self._estimate(t, joined, state)
        pseudo = PseudoLR(make.spec.scale or 1)([picture, state.kernel])
        state.difference = ops.square(pseudo - given.lr_image)
        if t < self.num_modules:
            coarse = make.down_projection(state.sharp[-1], f"down{t}")
            state.coarse = make.sft(coarse, state.difference, f"difference_sft{t}")
            if "kernel_sft" in self.extensions:
                state.coarse = make.sft(state.coarse, self._condition(t, state), f"blur_sft{t}")
        return picture, pseudo

    def _estimate(self, t: int, joined: Tensor, state: _State) -> Tensor:
        """K_t, (B, k, k) or (B, h, w, k^2)."""
        make, scale = self.make, self.make.spec.scale or 1
        reduced = make.conv(joined, self.features, scale + 4, f"kernel_reduce{t}", strides=scale)
        x = ops.square(reduced - state.first)
        for i in (1, 2):
            x = make.prelu(make.conv(x, self.features, 1, f"kernel_conv{t}_{i}"), f"kernel_prelu{t}_{i}")
        if "diff_kernel" in self.extensions and t > 1:
            assert state.difference is not None
            x = make.sft(x, state.difference, f"kernel_difference_sft{t}")
        if "cell_kernels" in self.extensions:
            x = make.join([x, self._stretched(state.kernel, x)])
            return layers.Softmax(dtype="float32")(make.conv(x, KERNEL_SIZE**2, 1, f"kernel_last{t}"))
        pooled = layers.GlobalAveragePooling2D(keepdims=True, dtype="float32")(x)
        flat = layers.Reshape((1, 1, KERNEL_SIZE**2), dtype="float32")(state.kernel)
        logits = make.conv(make.join([pooled, flat]), KERNEL_SIZE**2, 1, f"kernel_last{t}")
        return as_kernel(layers.Softmax(dtype="float32")(logits))

    def _start(self, given: _Given, first: Tensor) -> Tensor:
        """K_0: the true kernel where it is given, else the predictor's; of every pixel with cell_kernels."""
        if given.kernel is not None:
            return given.kernel
        logits = predictor(self.make, given.lr_image, KERNEL_SIZE**2, features=self.features)
        kernel = as_kernel(layers.Softmax(dtype="float32")(logits))
        return self._stretched(kernel, first) if "cell_kernels" in self.extensions else kernel

    def _condition(self, t: int, state: _State) -> Tensor:
        """K_t in `features` channels over the coarse pixels."""
        make, kernel = self.make, state.kernel
        if len(kernel.shape) == 3:
            kernel = layers.Reshape((1, 1, KERNEL_SIZE**2), dtype="float32")(kernel)
        x = make.conv(kernel, self.features, 1, f"blur{t}")
        if len(state.kernel.shape) == 4:
            return x
        return Stretch(dtype=make.dtype)(
            [layers.Reshape((self.features,), dtype=make.dtype)(x), state.coarse]
        )

    def _stretched(self, kernel: Tensor, like: Tensor) -> Tensor:
        """A kernel a pixel, (B, h, w, k^2)."""
        if len(kernel.shape) == 4:
            return kernel
        flat = layers.Reshape((KERNEL_SIZE**2,), dtype="float32")(kernel)
        return Stretch(dtype="float32")([flat, like])

    def _named(
        self, suffix: str, picture: Tensor, pseudo: Tensor, given: _Given, state: _State
    ) -> dict[str, Tensor]:
        """The outputs of one module; what was given is left out."""
        named = {f"pseudo_lr{suffix}": pseudo}
        if given.image is None:
            named[f"estimate{suffix}"] = picture
        if given.kernel is None:
            cells = len(state.kernel.shape) == 4
            mean = layers.GlobalAveragePooling2D(dtype="float32")(state.kernel) if cells else None
            named[f"kernel{suffix}"] = state.kernel if mean is None else as_kernel(mean)
            if cells and not suffix:
                named["kernel_map"] = state.kernel
        return named


def as_kernel(flat: Tensor) -> Tensor:
    """(B, ..., k^2) of one vector a sample as (B, k, k)."""
    return layers.Reshape((KERNEL_SIZE, KERNEL_SIZE), dtype="float32")(flat)


def predictor(make: SharedLayers, lr_image: Tensor, length: int, *, features: int) -> Tensor:
    """IKC's predictor: five 5x5 convolutions, the fourth to half the size, leaky ReLU, then a linear 3x3
    convolution to n channels (5x5 in IKC's, where n is small) and their average: (B, n).
    """
    x = lr_image
    for i, strides in enumerate((1, 1, 1, 2, 1), 1):
        x = make.leaky(make.conv(x, features, 5, f"kernel_predict{i}", strides=strides))
    x = make.conv(x, length, 3, "kernel_predict6")
    return layers.GlobalAveragePooling2D(dtype="float32")(x)
