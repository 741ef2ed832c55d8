"""KBPN: its pictures and kernels fit the camera model, parts train alone, extensions do what they say."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from hsr_tf.networks.blind_losses import BlindLoss, BlindTruth, BlindWeights
from hsr_tf.networks.image_network import ImageSpec
from hsr_tf.networks.kbpn import KBPN
from hsr_tf.physics.kernel_code import gaussian_code
from hsr_tf.physics.kernel_shapes import gaussian_kernels
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.physics.sample_blur import BlindDegradation

CELLS = ("full_kernel_sft", "diff_sft", "cell_kernels")


@lru_cache(maxsize=8)
def network(extensions: tuple[str, ...] = (), num_modules: int = 3) -> KBPN:
    """A small network of scale 2 whose estimator answers something other than flat kernels."""
    made = KBPN(ImageSpec(scale=2), num_modules=num_modules, features=4, extensions=extensions)
    rng = np.random.default_rng(0)
    for weight in made.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.05, weight.shape))
    return made


def scene(size: tuple[int, int] = (10, 14)) -> BlindTruth:
    """Two pictures, their kernels and what the camera makes of them."""
    kernels = gaussian_kernels(tf.constant([0.6, 1.8]))
    hr_image = tf.random.stateless_uniform((2, 2 * size[0], 2 * size[1], 1), (1, 2))
    return BlindTruth(hr_image, BlindDegradation(kernels, 2)(hr_image), kernels)


@pytest.mark.parametrize("extensions", [(), ("diff_product",), CELLS])
def test_the_pseudo_pictures_are_what_the_camera_makes_of_picture_and_kernel(
    extensions: tuple[str, ...],
) -> None:
    outputs = network(extensions)({"lr_image": scene().lr_image})
    kernels = {"": outputs["kernel"], "_middle": outputs["kernel_middle"]}
    if "cell_kernels" in extensions:
        cells = tf.reshape(outputs["kernel_map"], (2, 10, 14, 21, 21))
        np.testing.assert_allclose(np.mean(cells, (1, 2)), outputs["kernel"], atol=1e-6)
        kernels = {"": cells}
    for suffix, kernel in kernels.items():
        expected = BlindDegradation(kernel, 2)(outputs[f"estimate{suffix}"])
        np.testing.assert_allclose(outputs[f"pseudo_lr{suffix}"], expected, atol=1e-5)


def test_one_kernel_answers_for_the_whole_picture_and_many_for_their_places() -> None:
    lr_image = scene().lr_image
    changed = tf.concat([lr_image[:, :, :7], 0.3 * lr_image[:, :, 7:]], 2)
    maps = [network(CELLS)({"lr_image": x})["kernel_map"] for x in (lr_image, changed)]
    assert np.std(maps[0], (1, 2)).max() > 1e-7
    assert "kernel_map" not in network().output
    before, after = (network()({"lr_image": x})["kernel"] for x in (lr_image, changed))
    assert np.abs(before - after).max() > 1e-8


def test_a_told_kernel_stands_in_the_place_of_every_estimate() -> None:
    truth, model = scene(), network(CELLS).with_true_kernel()
    outputs = model({"lr_image": truth.lr_image, "kernel": truth.kernel})
    assert set(outputs) == {"estimate", "estimate_middle", "pseudo_lr", "pseudo_lr_middle"}
    for suffix in ("", "_middle"):
        expected = BlindDegradation(truth.kernel, 2)(outputs[f"estimate{suffix}"])
        np.testing.assert_allclose(outputs[f"pseudo_lr{suffix}"], expected, atol=1e-5)


def test_a_told_picture_stands_in_the_place_of_every_provisional_one() -> None:
    truth, model = scene(), network(("diff_product",)).with_true_image()
    outputs = model({"lr_image": truth.lr_image, "hr_image": truth.hr_image})
    assert set(outputs) == {"kernel", "kernel_middle", "pseudo_lr", "pseudo_lr_middle"}
    for suffix in ("", "_middle"):
        expected = BlindDegradation(outputs[f"kernel{suffix}"], 2)(truth.hr_image)
        np.testing.assert_allclose(outputs[f"pseudo_lr{suffix}"], expected, atol=1e-5)


@pytest.mark.parametrize("extensions", [CELLS])
def test_the_parts_share_the_weights_and_divide_them(extensions: tuple[str, ...]) -> None:
    own, truth = network(extensions), scene()
    parts = {part: own.weights_of(part) for part in ("image", "estimator")}
    assert {id(w) for w in own.trainable_weights} == {id(w) for part in parts.values() for w in part}
    told = {
        "image": (own.with_true_kernel(), {"lr_image": truth.lr_image, "kernel": truth.kernel}),
        "estimator": (own.with_true_image(), {"lr_image": truth.lr_image, "hr_image": truth.hr_image}),
    }
    for name, (model, views) in told.items():
        with tf.GradientTape() as tape:
            loss = BlindLoss(gaussian_code())(model(views), truth)
        gradients = tape.gradient(loss, [weight.value for weight in parts[name]])
        for weight, gradient in zip(parts[name], gradients, strict=True):
            assert gradient is not None, weight.path
            assert np.abs(gradient).max() > 0, weight.path
    mine = {id(weight) for weight in told["image"][0].trainable_weights}
    assert mine == {id(weight) for weight in parts["image"]}


def test_a_part_can_be_left_out_of_training() -> None:
    for part in ("image", "estimator"):
        own = KBPN(ImageSpec(scale=2), num_modules=1, features=4)
        expected = [weight.path for weight in own.weights_of(part)]
        own.train_only(part)
        assert len(expected) > 0 and [weight.path for weight in own.trainable_weights] == expected
    with pytest.raises(ValueError, match="part: expected one of estimator, image, got 'corrector'"):
        own.train_only("corrector")


def last_input(own: KBPN, lr_image: tf.Tensor) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """What the last layer of module 2's estimator is given of K_1, and the outputs of the network."""
    seen = own.get_layer("kernel_last2").input
    given, outputs = keras.Model(own.inputs, [seen, own.output])({"lr_image": lr_image})
    return np.asarray(given)[..., own.get_config()["features"] :], outputs


@pytest.mark.parametrize(
    ("extension", "cells"), [("diff_product", False), ("diff_product", True), ("diff_sft", False)]
)
def test_the_difference_conditions_the_kernel_of_the_module_before(extension: str, cells: bool) -> None:
    own = network((extension, *(["cell_kernels"] if cells else [])), 2)
    truth = scene()
    found, outputs = last_input(own, truth.lr_image)
    difference = np.square(outputs["pseudo_lr_middle"] - truth.lr_image)
    assert difference.mean() > 1e-3
    if extension == "diff_sft":  # not the features K'_f, but 441 taps and the difference go in
        assert own.get_layer("kernel_previous_sft2_gamma1").kernel.shape == (3, 3, 442, 4)
        assert own.get_layer("kernel_previous_sft2_beta2").kernel.shape == (3, 3, 4, 441)
        assert found.shape == (2, 1, 1, 441)
        return
    before = np.reshape(outputs["kernel_middle"], (2, 1, 1, 441))
    if cells:
        # Where all cells have one kernel, its mean is each of them times the cell's own difference.
        np.testing.assert_allclose(found.sum(-1, keepdims=True), difference, rtol=1e-4)
    else:
        np.testing.assert_allclose(found, before * difference.mean((1, 2, 3), keepdims=True), rtol=1e-4)


def test_a_transform_of_the_kernel_hands_the_difference_on() -> None:
    """With the second convolutions at zero, K'_{t-1} times sigmoid(2 + bias), plus a bias."""
    own = KBPN(ImageSpec(scale=2), num_modules=2, features=4, extensions=("diff_sft",))
    for name, value in (("gamma2", -1.0), ("beta2", 0.25)):
        layer = own.get_layer(f"kernel_previous_sft2_{name}")
        layer.set_weights([0 * layer.kernel, layer.bias + value])
    found, outputs = last_input(own, scene().lr_image)
    expected = np.reshape(outputs["kernel_middle"], (2, 1, 1, 441)) / (1 + np.exp(-1.0)) + 0.25
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_whole_kernel_conditions_the_features_where_it_is_wanted() -> None:
    own = network(("full_kernel_sft",), 2)
    assert own.get_layer("blur_sft1_gamma1").kernel.shape == (3, 3, 4 + 441, 4)
    seen = keras.Model(own.inputs, [own.get_layer("blur_sft1_gamma1").input, own.output])
    given, outputs = seen({"lr_image": scene().lr_image})
    taps = np.reshape(outputs["kernel_middle"], (2, 1, 1, 441))
    np.testing.assert_allclose(given[..., 4:], np.broadcast_to(taps, (2, 10, 14, 441)), atol=1e-7)


def test_the_published_predictor_ends_in_five_by_five() -> None:
    made = KBPN(ImageSpec(scale=2, num_channels=3), num_modules=1, features=4, published_layers=True)
    assert made.get_layer("kernel_predict6").kernel.shape == (5, 5, 4, 441)
    assert made.get_layer("kernel_predict1").kernel.shape == (5, 5, 3, 4)
    assert network((), 3).get_layer("kernel_predict6").kernel.shape == (3, 3, 4, 441)


def test_a_deep_untrained_network_stays_in_bounds() -> None:
    made = KBPN(ImageSpec(scale=3), num_modules=6, features=4)
    outputs = made({"lr_image": tf.random.stateless_uniform((1, 6, 5, 1), (0, 1))})
    assert tuple(outputs["estimate"].shape) == (1, 18, 15, 1)
    assert all(np.abs(output).max() < 20 for output in outputs.values())


def test_with_a_head_at_zero_it_starts_at_the_bicubic_enlargement() -> None:
    made = KBPN(ImageSpec(scale=4, zero_head=True), num_modules=2, features=4)
    lr_image = tf.random.stateless_uniform((1, 6, 5, 1), (0, 1))
    np.testing.assert_allclose(
        made({"lr_image": lr_image})["estimate"], bicubic_enlarge(lr_image, 4), atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("extensions", [("kernel_sft",), ("full_kernel_sft", "diff_product"), CELLS])
def test_training_lowers_the_whole_loss_and_each_parts(extensions: tuple[str, ...]) -> None:
    own, truth = (
        KBPN(ImageSpec(scale=2, zero_head=True), num_modules=2, features=6, extensions=extensions),
        scene(),
    )
    loss = BlindLoss(gaussian_code(), BlindWeights(kernel_norm=0.0))
    told: list[tuple[Any, dict[str, tf.Tensor], list[Any]]] = [
        (
            own.with_true_kernel(),
            {"lr_image": truth.lr_image, "kernel": truth.kernel},
            own.weights_of("image"),
        ),
        (
            own.with_true_image(),
            {"lr_image": truth.lr_image, "hr_image": truth.hr_image},
            own.weights_of("estimator"),
        ),
        (own, {"lr_image": truth.lr_image}, own.trainable_weights),
    ]
    for model, views, weights in told:
        losses = fitted(model, views, weights, loss, truth)
        assert losses[-1] < 0.98 * losses[0]


def fitted(
    model: keras.Model, views: dict[str, tf.Tensor], weights: list[Any], loss: BlindLoss, truth: BlindTruth
) -> list[float]:
    """Losses of 30 steps of Adam on one batch."""
    optimizer = keras.optimizers.Adam(2e-3)
    optimizer.build(weights)

    @tf.function(autograph=False)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            value = loss(model(views), truth)
        optimizer.apply_gradients(zip(tape.gradient(value, [w.value for w in weights]), weights, strict=True))
        return value

    return [float(step()) for _ in range(30)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"extensions": ("kernel_stf",)}, "did you mean 'kernel_sft'"),
        (
            {"extensions": ("diff_sft", "diff_product")},
            "extensions: expected at most one of diff_kernel, diff_",
        ),
        (
            {"extensions": ("kernel_sft", "full_kernel_sft")},
            "at most one of kernel_sft, full_kernel_sft, got",
        ),
        ({"num_modules": 0}, "num_modules: expected a positive integer"),
        ({"features": 0}, "features: expected a positive integer"),
    ],
)
def test_impossible_networks_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        KBPN(ImageSpec(scale=2), **options)


def test_a_scale_that_enlarges_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="scale: expected 2 or more for kbpn"):
        KBPN(ImageSpec(scale=1))
