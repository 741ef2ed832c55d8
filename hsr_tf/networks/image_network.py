"""What the networks of single images share: their specification, their inputs and the way they are saved.

Networks are functional Keras models. Inputs by name: `lr_image` (B, h, w, C) float32 in [0, 1], of any size,
and for networks that take the blur `kernel` (B, k, k), of sum 1. They answer a dictionary: "estimate"
(B, s h, s w, C) and, for networks that find the blur themselves, "kernel" (B, k, k); what only training
compares may stand beside them. Networks without a scale of their own (VDSR, SRCNN) look at a picture that was
enlarged before, which they call `lr_image` too: their estimate has its size.

C is 1 for the luminance Y of BT.601 in [16, 235] / 255, see `hsr_tf.arrays.color`, or 3 for RGB.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from hsr_tf import checks, methods
from hsr_tf.networks.cards import ImageConfig
from hsr_tf.networks.cards import ImageSpec as ImageSpec
from hsr_tf.networks.layers import SpecifiedNetwork
from hsr_tf.typing import Tensor

KERNEL_SIZE = 21


class ImageNetwork(SpecifiedNetwork):
    """A network on one picture, saved as its specification and options.

    Args:
        spec: the specification.
        inputs: by name, of `picture_inputs`.
        outputs: by name, "estimate" at least.
        options: the further arguments of the subclass, by name.
        reach: how many pixels of `lr_image` around the one above it an estimated pixel looks at: the margin
            with which tiles give the same as the whole. None where it looks at the whole picture, as networks
            that find one kernel for all of it do.

    Attributes:
        finds_kernel: whether "kernel" is among the outputs.
    """

    spec_type = ImageSpec

    def __init__(
        self,
        spec: ImageSpec,
        inputs: dict[str, Tensor],
        *,
        outputs: dict[str, Tensor],
        options: dict[str, Any],
        reach: int | None,
    ) -> None:
        super().__init__(spec, inputs, outputs, options)
        self.reach, self.finds_kernel = reach, "kernel" in outputs

    def for_inference(self) -> ImageNetwork:
        """The same network in float32 without what only training needs; the weights are copied."""
        lean = type(self)(replace(self.spec, dtype="float32"), **self.inference_options())
        for layer in (layer for layer in lean.layers if layer.weights):
            layer.set_weights(self.get_layer(layer.name).get_weights())
        return lean

    def in_form_of(self, other: ImageNetwork) -> ImageNetwork:
        """The same function with the weights of `other`'s form, where the network can be brought into it."""
        del other
        return self


def config_of(network: ImageNetwork) -> ImageConfig:
    """The configuration that builds a network again.

    Raises:
        ValueError: for a network that no method of the registry builds.
    """
    names = [method.name for method in methods.describe() if method.is_built_by(type(network))]
    checks.require(
        len(names) == 1,
        "network",
        expected="one that a method of the registry builds",
        received=type(network).__name__,
        remedy="register its class",
    )
    options = {name: value for name, value in network.get_config().items() if name != "spec"}
    return ImageConfig(names[0], network.spec, options)


def build_network(config: ImageConfig) -> ImageNetwork:
    """The network of a configuration, with new weights.

    Raises:
        ValueError: a method that is none of the networks of single images, or options that it refuses.
        TypeError: options that it does not know.
    """
    network = methods.get(config.method, ("image_network",)).build(config.spec, **config.options)
    assert isinstance(network, ImageNetwork)
    return network


def picture_inputs(spec: ImageSpec, *, kernel_size: int | None = None) -> dict[str, Tensor]:
    """The inputs of a network: the picture and, where `kernel_size` is given, its blur kernel."""
    inputs = {"lr_image": keras.Input((None, None, spec.num_channels), name="lr_image")}
    if kernel_size is not None:
        inputs["kernel"] = keras.Input((kernel_size, kernel_size), name="kernel")
    return inputs


def require_scale(spec: ImageSpec, method: str, *, own: bool) -> None:
    """Refuse a specification with a scale for a network without one of its own, and the reverse.

    Raises:
        ValueError: when `spec.scale` is None although `own`, or a number although not.
    """
    checks.require(
        (spec.scale is not None) == own,
        "scale",
        expected=f"a whole factor for {method}" if own else f"None for {method}, which keeps the size",
        received=str(spec.scale),
        remedy="give the factor it is trained for" if own else "enlarge the picture before",
    )
