"""Layers of the blind networks against TensorFlow's own, SciPy and plain formulas."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import convolve2d

from hsr_tf.networks.image_layers import (
    KernelDecode,
    KernelEncode,
    PixelShuffle,
    PseudoLR,
    SharedLayers,
    Stretch,
    shuffle_factors,
)
from hsr_tf.networks.image_network import ImageSpec
from hsr_tf.networks.srcnn_cab import SRCNNCAB
from hsr_tf.networks.srresnet import SRResNetSFT
from hsr_tf.physics.kernel_code import gaussian_code
from hsr_tf.physics.kernel_shapes import gaussian_kernels
from hsr_tf.physics.sample_blur import BlindDegradation


def features(*shape: int) -> tf.Tensor:
    return tf.random.stateless_normal(shape, (1, 2))


@pytest.mark.parametrize("factor", [2, 3])
def test_pixel_shuffle_is_tensorflows_depth_to_space(factor: int) -> None:
    x = features(2, 3, 5, 2 * factor**2)
    np.testing.assert_array_equal(PixelShuffle(factor)(x), tf.nn.depth_to_space(x, factor))


@pytest.mark.parametrize(("scale", "factors"), [(2, [2]), (3, [3]), (4, [2, 2]), (6, [2, 3]), (8, [2, 2, 2])])
def test_shuffle_factors_multiply_to_the_scale(scale: int, factors: list[int]) -> None:
    assert shuffle_factors(scale) == factors


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_enlarging_filter_is_placed_as_published(scale: int) -> None:
    """Zero insertion, full convolution with the filter, 2 samples cut off all round."""
    x, make = features(1, 3, 4, 1), SharedLayers(ImageSpec(scale=scale))
    given = keras.Input((None, None, 1))
    model = keras.Model(given, make.enlarge(given, scale, "up"))
    (weights, _) = model.get_weights()
    sparse = np.zeros((3 * scale - scale + 1, 4 * scale - scale + 1))
    sparse[::scale, ::scale] = x[0, :, :, 0]
    full = convolve2d(sparse, weights[:, :, 0, 0])
    np.testing.assert_allclose(model(x)[0, :, :, 0], full[2 : 2 + 3 * scale, 2 : 2 + 4 * scale], atol=1e-5)


def test_enlarging_keeps_the_size_of_the_numbers() -> None:
    x, given = features(1, 12, 12, 16), keras.Input((None, None, 16))
    model = keras.Model(given, SharedLayers(ImageSpec(scale=4)).enlarge(given, 4, "up"))
    assert np.std(model(x)) / np.std(x) == pytest.approx(np.sqrt(2), rel=0.15)


def test_a_transform_multiplies_and_adds_what_its_condition_says() -> None:
    given, condition = keras.Input((None, None, 3)), keras.Input((None, None, 1))
    make = SharedLayers(ImageSpec(scale=2))
    model = keras.Model([given, condition], make.sft(given, condition, "sft"))
    for name in ("sft_gamma2", "sft_beta2"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([0 * kernel, bias + {"sft_gamma2": -1.0, "sft_beta2": 0.25}[name]])
    x = features(1, 4, 5, 3)
    expected = x / (1 + np.exp(-1.0)) + 0.25
    np.testing.assert_allclose(model([x, features(1, 4, 5, 1)]), expected, atol=1e-6)


def test_a_layer_asked_for_twice_is_the_same_layer() -> None:
    make, given = SharedLayers(ImageSpec(scale=2)), keras.Input((None, None, 3))
    model = keras.Model(given, make.conv(make.conv(given, 3, 3, "conv"), 3, 3, "conv"))
    assert len(model.weights) == 2


def test_vectors_are_repeated_over_the_pixels() -> None:
    found = Stretch()([features(2, 7), features(2, 3, 4, 1)])
    np.testing.assert_array_equal(found, np.broadcast_to(features(2, 7)[:, None, None], (2, 3, 4, 7)))


def test_kernels_a_pixel_are_taken_flat() -> None:
    kernels, x = tf.nn.softmax(features(2, 3, 4, 25)), features(2, 6, 8, 1)
    expected = BlindDegradation(tf.reshape(kernels, (2, 3, 4, 5, 5)), 2)(x)
    np.testing.assert_array_equal(PseudoLR(2)([x, kernels]), expected)


def test_the_code_layers_hold_the_projects_code() -> None:
    kernels, code = gaussian_kernels(tf.constant([0.5, 1.3, 2.6])), gaussian_code(10)
    codes = KernelEncode(10)(kernels)
    np.testing.assert_allclose(codes, code.encode(kernels), atol=1e-5)
    np.testing.assert_allclose(KernelDecode(10)(codes), kernels, atol=2e-3)


def test_what_is_told_changes_the_picture_of_networks_that_are_told_kernels() -> None:
    x, kernels = features(1, 4, 5, 1), gaussian_kernels(tf.constant([0.5, 2.5]))
    for network in (SRCNNCAB(ImageSpec(scale=2)), SRResNetSFT(ImageSpec(scale=2), num_blocks=1, features=4)):
        sharp, soft = (network({"lr_image": x, "kernel": kernels[i : i + 1]})["estimate"] for i in (0, 1))
        assert np.abs(sharp - soft).max() > 1e-4
