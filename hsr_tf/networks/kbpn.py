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
    full_kernel_sft  a second transform after each module, conditioned on K_t itself: 64 + 441 input channels
                     (its section 5.2, table 2)
    kernel_sft       the same, conditioned on K_t brought to `features` channels by a 1x1 convolution
    diff_sft         the difference of module t - 1 conditions the estimate of K_t: a transform of K'_{t-1},
                     the kernel repeated over the pixels (section 5.3)
    diff_product     the same, K'_{t-1} times the difference (section 5.3)
    diff_kernel      the same by a transform of K'_f, which is not what the text proposes: the form of older
                     saved models
    cell_kernels     a kernel for every given pixel: no global average, spatially varying blur (section 3.2)
After 400 steps of the compact size, on Set5 and Set14 (docs/single_pictures.md), full_kernel_sft gains 0.04
to 0.20 dB over none of them, kernel_sft 0.00 to 0.09, diff_sft 0.03 (Set5 alone), diff_kernel -0.01 to 0.02,
cell_kernels -0.02 to 0.06. diff_product changes nothing: 25.14 dB with and without it after 300 steps of
3 modules of 16 features (`python -m benchmarks.departures --methods=kbpn --num_steps=300`), as the average
over the pixels leaves of it K'_{t-1} times one small number.
Training in parts (section 5.3) is done with `with_true_kernel` and `with_true_image`.

`PUBLISHED` is the network of the paper's table 1, `PUBLISHED_SFT` that of table 2, both with IKC's predictor
as its authors wrote it (`published_layers`). Its pictures have three channels.

Departures. The last module makes no coarse features, which nobody would use, and its provisional picture is
the estimate, both being one convolution over all sharp features. The average is taken before the last 1x1
convolution of the estimator, which is linear: the same numbers for less. `kernel_sft` has 250 thousand
weights per module where `full_kernel_sft` has 656 thousand (64 features) and was 0.01 to 0.13 dB below it
after short training of the compact size (docs/single_pictures.md). Transforms and corrections start small, or
ten modules would overflow before the first step. Widths and activations that
the text leaves open: `features` everywhere, inside the transforms too, PReLU with a slope per channel after
the 1x1 convolutions, leaky ReLU inside the transforms. `residual` adds the bicubic enlargement to every
picture (not in the paper), which short training needs. The default is a compact size (2.3 million weights).
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
from hsr_tf.networks.ikc import predictor
from hsr_tf.networks.image_layers import BlindNetwork, PseudoLR, SharedLayers, Stretch
from hsr_tf.networks.image_network import KERNEL_SIZE, picture_inputs
from hsr_tf.typing import Tensor

EXTENSIONS = ("kernel_sft", "full_kernel_sft", "diff_kernel", "diff_sft", "diff_product", "cell_kernels")
EXCLUSIVE = (("kernel_sft", "full_kernel_sft"), ("diff_kernel", "diff_sft", "diff_product"))
PUBLISHED = {
    "num_modules": 10,
    "features": 64,
    "extensions": (),
    "residual": False,
    "published_layers": True,
}
PUBLISHED_SFT = {**PUBLISHED, "extensions": ("full_kernel_sft",)}


@keras.saving.register_keras_serializable("hsr_tf")
class KBPN(BlindNetwork):
    """KBPN for one scale; the default is a compact size, `PUBLISHED` and `PUBLISHED_SFT` are the paper's.

    Args:
        spec: sizes, initialisation and precision; the scale is 2 or more.
        num_modules: T.
        features: channels of both sizes; the first convolution has four times as many.
        extensions: names of `EXTENSIONS`; at most one that ends in `kernel_sft`, and one that starts with
            `diff_`.
        residual: add the bicubic enlargement to every picture.
        training_outputs: also answer what only the loss looks at.
        published_layers: K_0 by IKC's predictor as its authors wrote it: the last convolution is 5x5 and has
            a leaky ReLU after it. False: 3x3 and linear, the form of older saved models.

    Input: lr_image (B, h, w, C), h and w at least 2.
    Output, float32: {"estimate": (B, s h, s w, C), "kernel": (B, 21, 21)}; with cell_kernels "kernel" is the
    mean of "kernel_map" (B, h, w, 441); with `training_outputs` also "pseudo_lr" (B, h, w, C), and
    "estimate_middle", "kernel_middle" and "pseudo_lr_middle" of module ceil(T / 2).

    Raises:
        ValueError: for a scale below 2, less than one module, an unknown extension, or two that exclude each
            other.
    """

    def __init__(  # noqa: PLR0913 (options that saved models name one by one)
        self,
        spec: ImageSpec,
        *,
        num_modules: int = 4,
        features: int = 24,
        extensions: Sequence[str] = ("kernel_sft",),
        residual: bool = True,
        training_outputs: bool = True,
        published_layers: bool = False,
    ) -> None:
        require_enlarging(spec, "kbpn")
        checks.require_positive_integers(num_modules=num_modules, features=features)
        _require_extensions(extensions)
        names = tuple(extensions)
        graph = _Graph(SharedLayers(spec), num_modules, features, names, residual, published_layers)
        inputs = picture_inputs(spec)
        outputs = graph.outputs(_Given(inputs["lr_image"]))
        kept = [name for name in outputs if training_outputs or name in ("estimate", "kernel", "kernel_map")]
        options = {
            "num_modules": num_modules,
            "features": features,
            "extensions": names,
            "residual": residual,
            "training_outputs": training_outputs,
            "published_layers": published_layers,
        }
        named = {name: outputs[name] for name in kept}
        super().__init__(spec, inputs, outputs=named, options=options, reach=None)
        self._shared = graph

    def inference_options(self) -> dict[str, Any]:
        """Without what only the loss looks at."""
        return {**super().inference_options(), "training_outputs": False}

    def in_training(self, part: str) -> keras.Model:
        """The network in the form in which a part of it is trained, on the same weights.

        Args:
            part: "image", see `with_true_kernel`, or "estimator", see `with_true_image`.
        """
        checks.require_choice("part", part, self.part_names())
        return self.with_true_kernel() if part == "image" else self.with_true_image()

    def with_true_kernel(self) -> keras.Model:
        """The picture's part on {"lr_image", "kernel"}: the true kernel stands in every K_t's place.

        Answers "estimate", "pseudo_lr" and both of the middle, for training the weights of "image".
        """
        inputs = picture_inputs(self.spec, kernel_size=KERNEL_SIZE)
        return keras.Model(inputs, self._shared.outputs(_Given(inputs["lr_image"], kernel=inputs["kernel"])))

    def with_true_image(self) -> keras.Model:
        """The estimator on {"lr_image", "hr_image"}: the true picture stands in every SR_t's place.

        Answers "kernel", "pseudo_lr" and both of the middle, for training the weights of "estimator" alone:
        what differs from the given picture is then the kernel's fault.
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
    published_layers: bool

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
            if not {"kernel_sft", "full_kernel_sft"}.isdisjoint(self.extensions):
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
        previous = self._previous(t, state)
        if "cell_kernels" in self.extensions:
            x = make.join([x, previous])
            return layers.Softmax(dtype="float32")(make.conv(x, KERNEL_SIZE**2, 1, f"kernel_last{t}"))
        parts = [_pooled(x), previous if previous.shape[1] == 1 else _pooled(previous)]
        logits = make.conv(make.join(parts), KERNEL_SIZE**2, 1, f"kernel_last{t}")
        return as_kernel(layers.Softmax(dtype="float32")(logits))

    def _previous(self, t: int, state: _State) -> Tensor:
        """K'_{t-1} as the difference of module t - 1 conditions it.

        (B, h, w, k^2), or (B, 1, 1, k^2) where an average over the pixels is all that is needed of it.
        """
        kernel, difference = state.kernel, state.difference
        axes: tuple[int, ...]
        if "cell_kernels" in self.extensions or (t > 1 and "diff_sft" in self.extensions):
            kernel, axes = self._stretched(kernel, state.first), (3,)
        else:
            kernel = layers.Reshape((1, 1, KERNEL_SIZE**2), dtype="float32")(kernel)
            axes = (1, 2, 3)
        if t == 1 or {"diff_sft", "diff_product"}.isdisjoint(self.extensions):
            return kernel
        assert difference is not None
        if "diff_product" in self.extensions:
            return kernel * ops.mean(difference, axis=axes, keepdims=True)
        return self.make.sft(kernel, difference, f"kernel_previous_sft{t}", hidden=self.features)

    def _start(self, given: _Given, first: Tensor) -> Tensor:
        """K_0: the true kernel where it is given, else the predictor's; of every pixel with cell_kernels."""
        if given.kernel is not None:
            return given.kernel
        logits = predictor(
            self.make,
            given.lr_image,
            KERNEL_SIZE**2,
            features=self.features,
            published=self.published_layers,
        )
        kernel = as_kernel(layers.Softmax(dtype="float32")(logits))
        return self._stretched(kernel, first) if "cell_kernels" in self.extensions else kernel

    def _condition(self, t: int, state: _State) -> Tensor:
        """K_t over the coarse pixels, in `features` channels, or all of it with full_kernel_sft."""
        make, kernel = self.make, state.kernel
        if "full_kernel_sft" in self.extensions:
            return self._stretched(kernel, state.coarse)
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


def _pooled(x: Tensor) -> Tensor:
    """(B, h, w, n) -> (B, 1, 1, n) in float32, the mean over the pixels."""
    return layers.GlobalAveragePooling2D(keepdims=True, dtype="float32")(x)


def as_kernel(flat: Tensor) -> Tensor:
    """(B, ..., k^2) of one vector a sample as (B, k, k)."""
    return layers.Reshape((KERNEL_SIZE, KERNEL_SIZE), dtype="float32")(flat)


def _require_extensions(extensions: Sequence[str]) -> None:
    """Refuse unknown extensions and those that exclude each other."""
    for name in extensions:
        checks.require_choice("extensions", name, EXTENSIONS)
    for names in EXCLUSIVE:
        given = [name for name in names if name in extensions]
        checks.require(
            len(given) <= 1,
            "extensions",
            expected=f"at most one of {', '.join(names)}",
            received=", ".join(given),
            remedy="leave out all but one",
        )
