"""Networks that feel in training what 8-bit integers will do to them.

Source: B. Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
inference", CVPR 2018, section 3: weights and activations are rounded to the grid of their integers in the
forward pass, and the gradient passes the rounding as if it were not there.

Weights: 255 steps around zero, a range for each output channel. Activations: 256 steps over a range that
contains zero, one for the whole tensor. Departure: that range is the batch's own, with `HEADROOM`, where the
paper averages it over batches; the exported file has its ranges from a calibration.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from hsr_tf import checks
from hsr_tf.networks.image_network import ImageNetwork

Tensor = Any
HEADROOM = 1.25
WEIGHT_STEPS, ACTIVATION_STEPS = 127, 255


def quantization_aware(network: ImageNetwork) -> keras.Model:
    """The same network on the same weights, its convolutions as integers will compute them.

    Args:
        network: of convolutions and additions, such as vdsr and srcnn.

    Raises:
        ValueError: for a network with layers of another kind.
    """
    known = (layers.InputLayer, layers.Conv2D, layers.Add)
    others = sorted({type(layer).__name__ for layer in network.layers if not isinstance(layer, known)})
    checks.require(
        not others,
        "fake_quant",
        expected="a network of convolutions and additions alone (vdsr, srcnn)",
        received=f"one with {', '.join(others)}",
        remedy="leave the flag out",
    )
    return keras.models.clone_model(network, clone_function=_kept, call_function=_called)


class QuantizedConv(layers.Layer):
    """A convolution on quantised input and weights; its weights are those of `conv`.

    Args:
        conv: with its activation.
        last: quantise the result as well; other results are quantised by the convolution that reads them.
    """

    def __init__(self, conv: layers.Conv2D, *, last: bool) -> None:
        super().__init__(dtype="float32", name=f"{conv.name}_8bit")
        self.conv, self.last = conv, last

    def call(self, x: Tensor) -> Tensor:
        """(B, H, W, n) to (B, H, W, m), float32."""
        conv = self.conv
        kernel = quantized_weights(ops.cast(conv.kernel, "float32"))
        y = ops.conv(quantized_activations(x), kernel, strides=conv.strides, padding=conv.padding)
        y = conv.activation(y + ops.cast(conv.bias, "float32"))
        return quantized_activations(y) if self.last else y


def quantized_weights(kernel: Tensor) -> Tensor:
    """(..., m) rounded to 127 steps on both sides of zero, a step size for each of the m."""
    axes = tuple(range(len(kernel.shape) - 1))
    step = ops.max(ops.abs(kernel), axis=axes, keepdims=True) / WEIGHT_STEPS + 1e-12
    return _rounded(kernel, ops.stop_gradient(step))


def quantized_activations(x: Tensor) -> Tensor:
    """x rounded to 256 steps from its least to its largest value and `HEADROOM` on either side of zero."""
    low, high = ops.minimum(ops.min(x), 0.0), ops.maximum(ops.max(x), 0.0)
    return _rounded(x, ops.stop_gradient(HEADROOM * (high - low) / ACTIVATION_STEPS + 1e-12))


def _rounded(x: Tensor, step: Tensor) -> Tensor:
    """The nearest multiples of `step`, with the gradient of x."""
    return x + ops.stop_gradient(ops.round(x / step) * step - x)


def _kept(layer: keras.Layer) -> keras.Layer:
    return layer


def _called(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
    if isinstance(layer, layers.Conv2D):
        linear = layer.activation is keras.activations.linear
        return QuantizedConv(layer, last=linear)(*args)
    return layer(*args, **kwargs)
