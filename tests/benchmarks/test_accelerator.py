"""The check of an accelerator counts arithmetic as by hand and measures any network of its list."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.accelerator import (
    Subject,
    compiled_product,
    compiled_simulation,
    compiled_step,
    markdown,
    measure,
    seconds_of,
)


def test_a_matrix_product_counts_twice_the_cube_of_its_side() -> None:
    made = compiled_product(32, "float32")
    assert made.gflop == pytest.approx(2e-9 * 32**3)
    assert seconds_of(made.run, 0.0) > 0


def test_a_step_counts_forward_and_both_gradients() -> None:
    inputs = keras.Input((8, 8, 3))
    hidden = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(5, 1)(hidden))
    before = [weight.numpy() for weight in model.weights]
    subject = Subject(
        model,
        np.ones((2, 8, 8, 3), np.float32),
        lambda sharp: {"image": 0.5 * sharp},
        lambda given, sharp: tf.reduce_mean(tf.square(model(given["image"])) - tf.reduce_mean(sharp)),
    )
    pixels, first, second = 2 * 8 * 8, 9 * 3 * 4, 4 * 5
    # The first layer needs no gradient of its input.
    assert compiled_step(subject).gflop == pytest.approx(2e-9 * pixels * (2 * first + 3 * second))
    assert compiled_simulation(subject).gflop == 0
    compiled_step(subject).run()
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ms_ssfnet", "prior", "vdsr", "kbpn"])
def test_every_network_has_a_line(name: str) -> None:
    line = measure(name, "float32", 1, 10.0, seconds=0.1)
    assert line.gflop > 1
    assert 0 < line.simulation_share < 1
    assert name in markdown([line])
