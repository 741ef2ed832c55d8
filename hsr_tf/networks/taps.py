"""Which samples of its input a layer's samples are made of: what receptive fields and tiles rest on."""

from __future__ import annotations

from dataclasses import dataclass

from keras import layers

from hsr_tf.networks.agreeing import Products, Share
from hsr_tf.networks.image_layers import PixelShuffle
from hsr_tf.networks.layers import BicubicEnlarge, LastChannels

POINTWISE = (
    layers.Activation,
    layers.Add,
    layers.Concatenate,
    layers.LeakyReLU,
    layers.Multiply,
    layers.PReLU,
    layers.ReLU,
    layers.Softmax,
    LastChannels,
    Products,
    Share,
)


@dataclass(frozen=True)
class Taps:
    """How a layer's samples are made of those of its input, along one side, far from the borders.

    Sample n q + i, for n `ranges`, is made of the samples g q + first to g q + last, where (first, last) is
    the i-th range and g is `given`.

    Attributes:
        ranges: first and last input sample of each of n new samples.
        given: input samples for each n new ones.
    """

    ranges: tuple[tuple[int, int], ...] = ((0, 0),)
    given: int = 1


def layer_taps(layer: object) -> Taps | None:
    """The taps of a layer; None for one that is not known to look at a neighbourhood.

    Where height and width differ, the larger counts.
    """
    if isinstance(layer, POINTWISE):
        return Taps()
    if isinstance(layer, layers.Conv2DTranspose):
        return _transposed(layer) if layer.padding == "same" else None
    if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
        return _convolution(layer) if layer.padding == "same" else None
    if isinstance(layer, layers.MaxPooling2D | layers.AveragePooling2D):
        side = layer.pool_size[0]
        if set(layer.strides) == {1} and layer.padding == "same":
            return Taps(((-((side - 1) // 2), side // 2),))
        return Taps(((0, side - 1),), side) if set(layer.strides) == {side} else None
    if isinstance(layer, PixelShuffle):
        return Taps(((0, 0),) * layer.factor)
    if isinstance(layer, BicubicEnlarge):
        first = [int((2 * i + 1 - layer.scale) // (2 * layer.scale)) - 1 for i in range(layer.scale)]
        return Taps(tuple((tap, tap + 3) for tap in first))
    return None


def _convolution(layer: layers.Conv2D) -> Taps:
    """Padding "same" puts half of what is lacking, rounded down, in front."""
    stride = max(layer.strides)
    size = (max(layer.kernel_size) - 1) * max(layer.dilation_rate) + 1
    before = max(size - stride, 0) // 2
    return Taps(((-before, size - 1 - before),), stride)


def _transposed(layer: layers.Conv2DTranspose) -> Taps:
    """Output i is made of the inputs o with 0 <= i + before - factor o < size."""
    factor, size = layer.strides[0], max(layer.kernel_size)
    before = max(size - factor, 0) // 2
    return Taps(tuple((-((size - 1 - before - i) // factor), (i + before) // factor) for i in range(factor)))
