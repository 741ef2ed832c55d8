"""Convolutions near the edges of a file are found by counting along the shortest ways."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf
from keras import layers

from export.edge_convolutions import edge_convolutions


@pytest.fixture(scope="module")
def content() -> bytes:
    """Two inputs; a1 a2 a3 on one way, b1 on the other, joined, then c1 c2."""
    x, y = keras.Input((8, 8, 2), name="x"), keras.Input((8, 8, 2), name="y")
    a, b = x, layers.Conv2D(2, 3, padding="same", name="b1", activation="tanh")(y)
    for i in (1, 2, 3):
        a = layers.Conv2D(2, 3, padding="same", name=f"a{i}", activation="tanh")(a)
    z = layers.Concatenate()([a, b])
    for i in (1, 2):
        z = layers.Conv2D(2, 3, padding="same", name=f"c{i}", activation="tanh")(z)
    model = keras.Model([x, y], z)
    specs = [tf.TensorSpec((1, 8, 8, 2), tf.float32, name) for name in ("x", "y")]
    concrete = tf.function(lambda *xs: model(list(xs)), input_signature=specs).get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (0, 0, set()),
        (1, 0, {"a1", "b1"}),
        (2, 0, {"a1", "a2", "b1", "c1"}),
        (0, 1, {"c2"}),
        (0, 3, {"c2", "c1", "a3", "b1"}),
        (1, 1, {"a1", "b1", "c2"}),
        (9, 9, {"a1", "a2", "a3", "b1", "c1", "c2"}),
    ],
)
def test_convolutions_near_an_edge_are_those_with_few_others_between(
    content: bytes, first: int, last: int, expected: set[str]
) -> None:
    names = edge_convolutions(content, first=first, last=last)
    found = {
        layer for layer in ("a1", "a2", "a3", "b1", "c1", "c2") if any(f"{layer}_1/" in n for n in names)
    }
    assert found == expected and len(names) == len(expected)
