"""Convolutions computed as 8-bit integers will compute them: levels, gradients, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from hsr_tf.networks.fake_quant import (
    HEADROOM,
    quantization_aware,
    quantized_activations,
    quantized_weights,
)
from tests.networks.test_image_conformance import small


@given(st.integers(0, 10**6), st.floats(0.01, 100.0))
def test_activations_have_at_most_256_levels_zero_among_them_and_half_a_step_of_error(seed: int, size: float):
    x = size * np.random.default_rng(seed).standard_normal((1, 9, 7, 3)).astype(np.float32)
    found = quantized_activations(tf.constant(x)).numpy()
    step = HEADROOM * (x.max() - x.min()) / 255
    levels = np.rint(found / step)
    np.testing.assert_allclose(found, levels * step, atol=1e-5 * size)
    assert levels.max() - levels.min() <= 255
    assert np.abs(found - x).max() <= 0.5001 * step + 1e-6


def test_weights_are_rounded_by_the_range_of_each_output_channel():
    kernel = np.random.default_rng(1).standard_normal((3, 3, 4, 2)).astype(np.float32) * np.array([1e-3, 5.0])
    found = quantized_weights(tf.constant(kernel, tf.float32)).numpy()
    for channel in range(2):
        step = np.abs(kernel[..., channel]).max() / 127
        assert 0 < np.abs(found[..., channel] - kernel[..., channel]).max() <= 0.5001 * step


def test_the_network_is_the_same_but_for_the_rounding_and_its_weights_are_shared():
    network = small("vdsr")
    rounded = quantization_aware(network)
    image = tf.random.stateless_uniform((1, 12, 9, 1), (1, 2))
    exact, found = (model({"lr_image": image})["estimate"] for model in (network, rounded))
    assert 1e-6 < float(tf.reduce_max(tf.abs(exact - found))) < 0.05
    assert {id(w) for w in rounded.trainable_variables} == {id(w) for w in network.trainable_variables}
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(rounded({"lr_image": image})["estimate"] - 0.3))
    gradients = tape.gradient(loss, network.trainable_variables)
    assert all(g is not None and float(tf.reduce_max(tf.abs(g))) > 0 for g in gradients)


def test_networks_of_other_layers_are_refused_in_one_line():
    with pytest.raises(ValueError, match="fake_quant: expected a network of convolutions and additions"):
        quantization_aware(small("kbpn"))
