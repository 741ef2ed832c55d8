"""The inner part of a window by a network, each layer computing no more around it than the part needs.

A part of a scene is estimated from a window that is wider on each side by what the network looks at. Most of
that width is looked at by the coarse layers alone: MS-SSFNet x8 looks 32 sharp pixels far, its last block 3.
Here every layer's input is cut to what the layers behind it need, so that the dear ones at full size do
little more than the part itself. Cut edges are padded with zeros as borders are, which no kept sample sees;
where the window ends at the border of the scene nothing is cut, and the border is met as in the whole scene.
Cuts depend on where the window lies: Keras' TensorFlow backend takes them, JAX' compiled functions do not.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from hsr_tf.networks.layers import FusionNetwork
from hsr_tf.networks.reach import View, beyond, network_reach, through
from hsr_tf.typing import Tensor

Margins = tuple[tuple[int, int], tuple[int, int]]
MARGINS = "margins"


class InnerNetwork:
    """A fusion network that answers the inner part of windows.

    Args:
        network: whose layers, and weights, are used.

    Attributes:
        margin: coarse pixels by which a window is to be wider than its inner part on each side, unless it
            ends at the border of the scene.

    Raises:
        ValueError: a network with layers that are not known to look at a neighbourhood.
    """

    def __init__(self, network: FusionNetwork) -> None:
        if network_reach(network) is None:
            raise ValueError(f"network: expected layers that look at a neighbourhood, got {network.name}")
        self._needs = _needs(network)
        scale, given = network.spec.scale, {"lr_hsi": network.spec.scale, "hr_msi": 1}
        self.margin = max(-(-self._needs[name] * spacing // scale) for name, spacing in given.items())
        self._scale, self._model = scale, _cut(network, self._needs)
        self._model.jit_compile = False  # XLA would compile anew for every set of margins

    def estimate(self, images: dict[str, NDArray[Any]], margins: Margins) -> NDArray[np.float32]:
        """The estimate of a window's inner part.

        Args:
            images: lr_hsi (1, h, w, lr_channels) and hr_msi (1, s h, s w, hr_channels) of the window.
            margins: coarse pixels of the window above and below the part, then left and right of it:
                `margin` each, fewer where the window ends at the scene's border.

        Returns:
            (s (h - above - below), s (w - left - right), C).
        """
        sharp = np.asarray(margins, np.int32).reshape(1, 4) * self._scale
        return np.asarray(self._model.predict_on_batch({**images, MARGINS: sharp}), np.float32)[0]


@keras.saving.register_keras_serializable("hsr_tf")
class Cut(layers.Layer):
    """Cut a tensor that goes `have` samples beyond the inner part to `keep` of them.

    Args:
        spacing: sharp pixels a sample.
        have: samples beyond the inner part, where the window has so many; None for all that the window has.
        keep: samples that stay.

    Input: (B, h, w, C), and the window's margins in sharp pixels (B, 4), those of the first one for all.
    """

    def __init__(self, spacing: int, have: int | None, keep: int, **keras_arguments: Any) -> None:
        super().__init__(**keras_arguments)
        self.spacing, self.have, self.keep = spacing, have, keep

    def call(self, x: Tensor, margins: Tensor) -> Tensor:
        """Cut."""
        seen = margins[0] // self.spacing
        there = seen if self.have is None else ops.minimum(seen, self.have)
        top, bottom, left, right = (there[i] - ops.minimum(seen[i], self.keep) for i in range(4))
        height, width = ops.shape(x)[1:3]
        return x[:, top : height - bottom, left : width - right]

    def compute_output_shape(
        self, x_shape: tuple[int | None, ...], margins_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        del margins_shape
        return (x_shape[0], None, None, x_shape[-1])

    def get_config(self) -> dict[str, Any]:
        own = {"spacing": self.spacing, "have": self.have, "keep": self.keep}
        return {**super().get_config(), **own}


def _needs(network: FusionNetwork) -> dict[str, int]:
    """Samples around the inner part that each layer's output must have, by the layer's name."""
    needs = dict.fromkeys((layer.name for layer in network.layers), 0)
    makers = {id(layer.output): layer.name for layer in network.layers}
    for layer in reversed(network.layers):
        if isinstance(layer, layers.InputLayer):
            continue
        wanted = _wanted(layer, needs[layer.name])
        for tensor in keras.tree.flatten(layer.input):
            name = makers[id(tensor)]
            needs[name] = max(needs[name], wanted)
    return needs


def _wanted(layer: layers.Layer, need: int) -> int:
    """Samples around the part that a layer wants of its input, for so many of its output."""
    factor, taps = beyond(layer)
    return math.ceil(round(need / factor, 6)) + taps


def _cut(network: FusionNetwork, needs: dict[str, int]) -> keras.Model:
    """The same layers, each on an input that is cut to what it wants."""
    margins = keras.Input((4,), name=MARGINS, dtype="int32")
    inputs: dict[str, Tensor] = {MARGINS: margins}
    made: dict[int, tuple[Tensor, int, int | None]] = {}  # tensor, spacing, samples beyond the part
    for layer in network.layers:
        if isinstance(layer, layers.InputLayer):
            tensor = keras.Input(layer.output.shape[1:], name=layer.name)
            inputs[layer.name] = tensor
            made[id(layer.output)] = (tensor, network.spec.scale if layer.name == "lr_hsi" else 1, None)
            continue
        wanted = _wanted(layer, needs[layer.name])
        sources = [made[id(tensor)] for tensor in keras.tree.flatten(layer.input)]
        parts = [_cut_to(*source, wanted, margins) for source in sources]
        spacing = sources[0][1]
        seen = through(layer, View(spacing))
        assert seen is not None
        fine = seen.spacing
        result = layer(parts if isinstance(layer.input, list) else parts[0])
        made[id(layer.output)] = (result, fine, wanted * spacing // fine)
    return keras.Model(inputs, _cut_to(*made[id(network.output["estimate"])], 0, margins))


def _cut_to(tensor: Tensor, spacing: int, have: int | None, keep: int, margins: Tensor) -> Tensor:
    if have == keep:
        return tensor
    return Cut(spacing, have, keep, dtype=tensor.dtype)(tensor, margins)
