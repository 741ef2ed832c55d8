"""A layer's samples depend on the input samples that its taps name, and on no others."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from hsr_tf.networks.image_layers import PixelShuffle
from hsr_tf.networks.layers import BicubicEnlarge
from hsr_tf.networks.taps import Taps, layer_taps

POSITIVE = {"kernel_initializer": "ones", "padding": "same"}
MADE = {
    "conv": layers.Conv2D(1, 5, **POSITIVE),
    "conv of even size": layers.Conv2D(1, 4, **POSITIVE),
    "dilated conv": layers.Conv2D(1, 3, dilation_rate=2, **POSITIVE),
    "strided conv": layers.Conv2D(1, 8, strides=4, **POSITIVE),
    "odd strided conv": layers.Conv2D(1, 5, strides=2, **POSITIVE),
    "transposed conv": layers.Conv2DTranspose(1, 8, strides=4, **POSITIVE),
    "small transposed conv": layers.Conv2DTranspose(1, 2, strides=2, **POSITIVE),
    "pooling": layers.MaxPooling2D(2),
    "shuffle": PixelShuffle(2),
    "bicubic": BicubicEnlarge(2),
    "activation": layers.ReLU(),
}


@pytest.mark.parametrize("name", MADE)
def test_samples_depend_on_their_taps_alone(name: str) -> None:
    layer, size, channels = MADE[name], 24, 4 if name == "shuffle" else 1
    taps = layer_taps(layer)
    assert taps is not None
    # One picture for each row of the input, which is zero elsewhere.
    rows = np.eye(size, dtype=np.float32)[:, :, None, None] * np.ones((1, 1, size, channels), np.float32)
    answers = np.asarray(keras.ops.convert_to_numpy(layer(rows)))
    answers = answers[:, :, answers.shape[2] // 2, 0]
    count = len(taps.ranges)
    for out in range(answers.shape[1] // 3, 2 * answers.shape[1] // 3):
        first, last = (taps.given * (out // count) + end for end in taps.ranges[out % count])
        used = np.flatnonzero(np.abs(answers[:, out]) > 1e-7)
        assert (used.min(), used.max()) == (first, last)


def test_layers_that_are_not_known_have_none() -> None:
    assert layer_taps(layers.Conv2D(1, 3)) is None
    assert layer_taps(layers.GlobalAveragePooling2D()) is None
    assert layer_taps(layers.ReLU()) == Taps()
