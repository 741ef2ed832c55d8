"""DBPN: dense connections as the authors' program has them, one slope per PReLU, training."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from hsr_tf.networks.dbpn import DBPN
from hsr_tf.networks.image_network import ImageSpec

STAGES, FEATURES = 4, 3


def network(**options: bool) -> DBPN:
    """A small network of scale 2, with weights that are not symmetric."""
    made = DBPN(ImageSpec(scale=2), num_stages=STAGES, features=FEATURES, residual=False, **options)
    rng = np.random.default_rng(0)
    for weight in made.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.05, weight.shape))
    return made


def as_the_authors_wire_it(net: DBPN, x: tf.Tensor) -> tf.Tensor:
    """Their forward pass: every unit from the second down-projection on is given all earlier features."""

    def up(x: tf.Tensor, name: str) -> tf.Tensor:
        high = layer(f"{name}_prelu1", f"{name}_up1", x)
        low = layer(f"{name}_prelu2", f"{name}_down", high)
        return high + layer(f"{name}_prelu3", f"{name}_up2", low - x)

    def down(x: tf.Tensor, name: str) -> tf.Tensor:
        low = layer(f"{name}_prelu1", f"{name}_down1", x)
        high = layer(f"{name}_prelu2", f"{name}_up", low)
        return low + layer(f"{name}_prelu3", f"{name}_down2", high - x)

    def layer(activation: str, name: str, x: tf.Tensor) -> tf.Tensor:
        return net.get_layer(activation)(net.get_layer(name)(x))

    def joined(parts: list[tf.Tensor], name: str) -> tf.Tensor:
        return layer(f"{name}_join_prelu", f"{name}_join", tf.concat(parts, -1))

    x = layer("first_prelu2", "first2", layer("first_prelu1", "first1", x))
    highs = [up(x, "up1")]
    lows = [down(highs[0], "down1")]
    highs.append(up(lows[0], "up2"))
    for t in range(2, STAGES):
        lows.append(down(joined(highs, f"down{t}"), f"down{t}"))
        highs.append(up(joined(lows, f"up{t + 1}"), f"up{t + 1}"))
    return net.get_layer("head")(tf.concat(highs, -1))


def test_dense_connections_are_those_of_the_authors_program() -> None:
    net, x = network(dense=True, one_slope=True), tf.random.stateless_uniform((1, 5, 6, 1), (1, 2))
    np.testing.assert_allclose(net({"lr_image": x})["estimate"], as_the_authors_wire_it(net, x), atol=1e-5)
    widths = {w.path.split("/")[0]: w.shape[2] for w in net.weights if w.path.endswith("_join/kernel")}
    expected = {"down2": 2, "up3": 2, "down3": 3, "up4": 3}
    assert widths == {f"{name}_join": n * FEATURES for name, n in expected.items()}


def test_slopes_are_one_per_layer_or_one_per_channel() -> None:
    for one_slope in (True, False):
        slopes = {w.shape[-1] for w in network(one_slope=one_slope).weights if w.path.endswith("alpha")}
        assert slopes == ({1} if one_slope else {FEATURES, 4 * FEATURES})


@pytest.mark.slow
@pytest.mark.parametrize("dense", [True, False])
def test_training_lowers_the_loss(dense: bool) -> None:
    net = network(dense=dense, one_slope=dense)
    target = tf.image.resize(tf.random.stateless_uniform((2, 4, 5, 1), (5, 6)), (16, 20), "bicubic")
    lr_image, optimizer, losses = target[:, ::2, ::2], keras.optimizers.Adam(2e-3), []
    optimizer.build(net.trainable_weights)
    for _ in range(40):
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(tf.abs(net({"lr_image": lr_image})["estimate"] - target))
        gradients = tape.gradient(value, [w.value for w in net.trainable_weights])
        optimizer.apply_gradients(zip(gradients, net.trainable_weights, strict=True))
        losses.append(float(value))
    assert losses[-1] < 0.7 * losses[0]
