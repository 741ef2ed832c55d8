"""IKC and SFT-MD: the authors' layers by another program, training in parts, shared weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import correlate2d

from hsr_tf.networks.blind_losses import BlindLoss, BlindTruth
from hsr_tf.networks.ikc import IKC
from hsr_tf.networks.image_network import ImageSpec
from hsr_tf.networks.srresnet import SRResNetSFT
from hsr_tf.physics.kernel_code import gaussian_code
from hsr_tf.physics.kernel_shapes import gaussian_kernels
from hsr_tf.physics.sample_blur import BlindDegradation

PARTS = ("predictor", "corrector", "estimator")


def small(num_corrections: int = 1, *, published: bool = True) -> IKC:
    """A small network of scale 2 with biases."""
    made = IKC(
        ImageSpec(scale=2),
        num_corrections=num_corrections,
        num_blocks=1,
        features=4,
        published_layers=published,
    )
    rng = np.random.default_rng(0)
    for weight in made.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.05, weight.shape))
    return made


def picture(*shape: int) -> tf.Tensor:
    return tf.random.stateless_uniform(shape, (1, 2))


def truth() -> BlindTruth:
    """Two pictures, their kernels and what the camera makes of them."""
    kernels = gaussian_kernels(tf.constant([0.6, 1.8]))
    hr_image = picture(2, 24, 28, 1)
    return BlindTruth(hr_image, BlindDegradation(kernels, 2)(hr_image), kernels)


class Scipy:
    """The layers of a network by SciPy, in double precision, one sample (h, w, c) at a time."""

    def __init__(self, network: IKC) -> None:
        self._network = network

    def conv(self, x: np.ndarray, name: str, strides: int = 1) -> np.ndarray:
        """A convolution with zeros outside; every second sample from the second one on for even sides."""
        kernel, bias = (w.astype(np.float64) for w in self._network.get_layer(name).get_weights())
        maps = [
            sum(correlate2d(x[..., c], kernel[..., c, f], mode="same") for c in range(x.shape[-1]))
            for f in range(kernel.shape[-1])
        ]
        y = np.stack(maps, -1) + bias
        starts = [1 if strides == 2 and n % 2 == 0 else 0 for n in y.shape[:2]]
        return y[starts[0] :: strides, starts[1] :: strides]

    def dense(self, x: np.ndarray, name: str) -> np.ndarray:
        kernel, bias = self._network.get_layer(name).get_weights()
        return x @ kernel + bias

    def sft(self, x: np.ndarray, code: np.ndarray, name: str) -> np.ndarray:
        joined = np.concatenate([x, np.broadcast_to(code, (*x.shape[:2], len(code)))], -1)
        gamma, beta = (
            self.conv(leaky(self.conv(joined, f"{name}_{word}1")), f"{name}_{word}2")
            for word in ("gamma", "beta")
        )
        return x / (1 + np.exp(-(gamma + 2))) + beta

    def predicted(self, x: np.ndarray) -> np.ndarray:
        """Six convolutions, leaky ReLU after each, an average."""
        for i, strides in enumerate((1, 1, 1, 2, 1, 1), 1):
            x = leaky(self.conv(x, f"kernel_predict{i}", strides))
        return x.mean((0, 1))

    def corrected(self, x: np.ndarray, code: np.ndarray) -> np.ndarray:
        """Seven convolutions of the sharp picture, two dense layers of the code, three 1x1 of both."""
        for i, strides in enumerate((1, 2, 1, 2, 1, 1, 1), 1):
            x = leaky(self.conv(x, f"kernel_correct{i}", strides))
        own = leaky(self.dense(leaky(self.dense(code, "kernel_dense1")), "kernel_dense2"))
        x = np.concatenate([x, np.broadcast_to(own, (*x.shape[:2], len(own)))], -1)
        for i in (1, 2):
            x = leaky(self.conv(x, f"kernel_merge{i}"))
        return code + self.conv(x, "kernel_merge3").mean((0, 1))

    def sharpened(self, x: np.ndarray, code: np.ndarray) -> np.ndarray:
        """SFT-MD of one block at x2, clipped."""
        x = self.conv(leaky(self.conv(leaky(self.conv(x, "first1")), "first2")), "first3")
        inner = self.conv(relu(self.sft(x, code, "block1_sft1")), "block1_conv1")
        inner = self.conv(relu(self.sft(inner, code, "block1_sft2")), "block1_conv2")
        x = self.conv(self.sft(x + inner + x, code, "last_sft"), "last")
        x = self.conv(x, "shuffle_1")
        height, width, channels = x.shape
        cells = x.reshape(height, width, 2, 2, channels // 4).transpose(0, 2, 1, 3, 4)
        sharp = leaky(cells.reshape(2 * height, 2 * width, channels // 4))
        return np.clip(self.conv(sharp, "head"), 0, 1)


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.2 * x)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def test_the_published_layers_are_those_of_the_authors_program() -> None:
    own, lr_image = small(1), picture(1, 6, 5, 1)
    by_scipy, given = Scipy(own), np.asarray(lr_image[0], np.float64)
    code = by_scipy.predicted(given)
    before = by_scipy.sharpened(given, code)
    code = by_scipy.corrected(before, code)
    outputs = own({"lr_image": lr_image})
    assert np.std(before) > 0.02 and (before > 0).mean() > 0.05
    np.testing.assert_allclose(outputs["estimate_middle"][0], before, atol=1e-5)
    np.testing.assert_allclose(outputs["estimate"][0], by_scipy.sharpened(given, code), atol=1e-5)
    kernel = np.maximum(gaussian_code(10).decode(tf.constant(code[None], tf.float32))[0], 0)
    np.testing.assert_allclose(outputs["kernel"][0], kernel / kernel.sum(), atol=1e-4)


@pytest.mark.parametrize("published", [True, False])
def test_ikc_given_the_kernel_is_sft_md_with_its_weights(published: bool) -> None:
    own = small(published=published)
    alone = SRResNetSFT(ImageSpec(scale=2), num_blocks=1, features=4, published_layers=published)
    shared = {weight.path: weight for weight in own.weights_of("image")}
    assert shared.keys() == {weight.path for weight in alone.trainable_weights}
    for weight in alone.trainable_weights:
        weight.assign(shared[weight.path])
    views = {"lr_image": picture(2, 4, 5, 1), "kernel": gaussian_kernels(tf.constant([0.5, 2.0]))}
    np.testing.assert_allclose(own.with_true_kernel()(views)["estimate"], alone(views)["estimate"], atol=1e-6)


def test_ikc_corrects_several_times_with_the_same_weights() -> None:
    once, twice = small(1), small(2)
    assert [weight.path for weight in once.weights] == [weight.path for weight in twice.weights]
    twice.set_weights(once.get_weights())
    found = [network({"lr_image": picture(1, 5, 4, 1)}) for network in (once, twice)]
    np.testing.assert_allclose(found[0]["kernel_middle"], found[1]["kernel_middle"], atol=1e-6)
    assert np.abs(found[0]["estimate"] - found[1]["estimate"]).max() > 1e-6


def test_every_code_is_compared_with_the_true_one() -> None:
    own, given = small(2), truth()
    views = {"lr_image": given.lr_image, "kernel": given.kernel}
    errors = {part: own.in_training(part)(views)["code_errors"] for part in PARTS}
    assert {part: tuple(x.shape) for part, x in errors.items()} == {
        "predictor": (2, 1, 10),
        "corrector": (2, 2, 10),
        "estimator": (2, 3, 10),
    }
    joined = np.concatenate([errors["predictor"], errors["corrector"]], 1)
    np.testing.assert_allclose(errors["estimator"], joined, atol=1e-6)
    predicted = Scipy(own).predicted(np.asarray(given.lr_image[1], np.float64))
    expected = predicted - gaussian_code(10).encode(given.kernel)[1]
    np.testing.assert_allclose(errors["estimator"][1, 0], expected, atol=1e-5)
    loss = BlindLoss(gaussian_code())({"code_errors": errors["estimator"]}, given)
    assert float(loss) == pytest.approx(float(np.sum(np.mean(np.square(joined), (0, 2)))), rel=1e-5)


def test_a_correction_hands_no_gradient_to_the_steps_before() -> None:
    own, given = small(2), truth()
    views = {"lr_image": given.lr_image, "kernel": given.kernel}
    for part, other in (("predictor", "corrector"), ("corrector", "predictor")):
        with tf.GradientTape(persistent=True) as tape:
            loss = BlindLoss(gaussian_code())(own.in_training(part)(views), given)
        gradients = tape.gradient(loss, [weight.value for weight in own.weights_of(part)])
        assert all(gradient is not None and np.abs(gradient).max() > 0 for gradient in gradients)
        others = [weight.value for weight in (*own.weights_of(other), *own.weights_of("image"))]
        assert tape.gradient(loss, others) == [None] * len(others)


def test_the_parts_divide_the_weights() -> None:
    own = small()
    parts = {part: {w.path for w in own.weights_of(part)} for part in ("image", *PARTS)}
    assert parts["predictor"] | parts["corrector"] == parts["estimator"]
    assert not parts["predictor"] & parts["corrector"] and not parts["estimator"] & parts["image"]
    assert parts["estimator"] | parts["image"] == {w.path for w in own.trainable_weights}
    own.train_only("corrector")
    assert {w.path for w in own.trainable_weights} == parts["corrector"]


@pytest.mark.slow
@pytest.mark.parametrize("published", [True, False])
def test_training_lowers_the_loss_of_each_part(published: bool) -> None:
    own, given, loss = small(2, published=published), truth(), BlindLoss(gaussian_code())
    for part in ("image", *PARTS):
        model, weights = own.in_training(part), own.weights_of(part)
        views = {"lr_image": given.lr_image, "kernel": given.kernel}
        optimizer = keras.optimizers.Adam(2e-3)
        optimizer.build(weights)
        losses = []
        for _ in range(30):
            with tf.GradientTape() as tape:
                value = loss(model(views), given)
            gradients = tape.gradient(value, [w.value for w in weights])
            optimizer.apply_gradients(zip(gradients, weights, strict=True))
            losses.append(float(value))
        assert losses[-1] < 0.98 * losses[0], part
