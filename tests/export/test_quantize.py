"""Which weights become 8 bits, and on what they compute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from keras import layers

from export.flatbuffer import described, with_metadata
from export.quantize import FEWEST_OF_PRODUCTS, IntegerForm, reduced
from export.tflite_model import TFLiteModel
from hsr_tf.networks.model_info import ModelInfo

SIDE = 128
INFO = ModelInfo("image_network", "vdsr", None, 1, None, {"serving_default": ("x",)})
OPERATORS = {number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()}
FLOAT32, INT8 = schema.TensorType.FLOAT32, schema.TensorType.INT8
WITH_WEIGHTS = {"CONV_2D": 1, "TRANSPOSE_CONV": 1, "FULLY_CONNECTED": 1}


@pytest.fixture(scope="module")
def content() -> bytes:
    """Three convolutions, an enlargement, and two products with a constant, the second one large."""
    keras.utils.set_random_seed(0)
    x = y = keras.Input((None, None, 3), name="x")
    for i in (1, 2, 3):
        y = layers.Conv2D(8, 3, padding="same", activation="relu", name=f"conv{i}")(y)
    y = layers.Conv2DTranspose(8, 2, strides=2, name="enlarge")(y)
    y = layers.Dense(SIDE, use_bias=False, name="small")(y)
    y = layers.Dense(SIDE, use_bias=False, name="large")(y)
    model = keras.Model(x, y)
    function = tf.function(model, input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32, "x")])
    concrete = function.get_concrete_function()
    converted = tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()
    return described(converted, ["x"], ["estimate"], INFO)


def inputs() -> Iterator[dict[str, np.ndarray]]:
    """Three inputs, the last of the widest range."""
    random = np.random.default_rng(0)
    return iter([{"x": random.random((1, 9, 8, 3), np.float32) * scale} for scale in (0.5, 0.7, 1.0)])


def weights_and_activations(content: bytes) -> list[tuple[str, int, int, int]]:
    """Of each operator with weights: name, number of weights, their type in the file, type of its output."""
    graph = (model := flatbuffer_utils.read_model_from_bytearray(bytearray(content))).subgraphs[0]
    made_by = {op.outputs[0]: op for op in graph.operators}
    found = []
    for op in graph.operators:
        name = operator(model, op)
        if name not in WITH_WEIGHTS:
            continue
        index = op.inputs[WITH_WEIGHTS[name]]
        if index in made_by and operator(model, made_by[index]) == "DEQUANTIZE":
            index = made_by[index].inputs[0]
        weights = graph.tensors[index]
        found.append((name, int(np.prod(weights.shape)), weights.type, graph.tensors[op.outputs[0]].type))
    return found


def operator(model: Any, op: Any) -> str:
    code = model.operatorCodes[op.opcodeIndex]
    return OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)]


@pytest.mark.parametrize("variant", ["dynamic", "int8"])
def test_all_weights_are_8_bits_but_those_of_small_products(content: bytes, variant: str) -> None:
    smaller = reduced(content, variant, calibration=inputs)
    found = weights_and_activations(smaller)
    assert [one[0] for one in found] == ["CONV_2D"] * 3 + ["TRANSPOSE_CONV"] + ["FULLY_CONNECTED"] * 2
    assert [one[1] for one in found][-2:] == [8 * SIDE, FEWEST_OF_PRODUCTS]
    assert [one[2] for one in found] == [INT8] * 4 + [FLOAT32, INT8]
    integers = [one[3] == INT8 for one in found]
    assert integers == [False, variant == "int8", *[False] * 4]


@pytest.mark.parametrize("variant", ["dynamic", "int8"])
def test_weights_are_made_float32_again_where_activations_are_not_rounded(
    content: bytes, variant: str
) -> None:
    """The first and last convolution, the enlargement and the large product."""
    model = flatbuffer_utils.read_model_from_bytearray(
        bytearray(reduced(content, variant, calibration=inputs))
    )
    graph = model.subgraphs[0]
    sources = [graph.tensors[op.inputs[0]] for op in graph.operators if operator(model, op) == "DEQUANTIZE"]
    sizes = [
        np.size(model.buffers[one.buffer].data)
        for one in sources
        if model.buffers[one.buffer].data is not None
    ]
    assert sorted(sizes) == sorted([3 * 9 * 8, 8 * 9 * 8, 4 * 8 * 8, FEWEST_OF_PRODUCTS])


@pytest.mark.parametrize("variant", ["dynamic", "int8"])
def test_an_edge_as_wide_as_the_network_rounds_weights_alone(content: bytes, variant: str) -> None:
    exact, wide = (
        TFLiteModel(with_metadata(reduced(content, v, calibration=inputs, form=IntegerForm(9, 9)), INFO))
        for v in ("float32", variant)
    )
    narrow = TFLiteModel(with_metadata(reduced(content, variant, calibration=inputs), INFO))
    given = list(inputs())[-1]
    expected = exact.run(given)["estimate"]
    errors = [float(np.abs(one.run(given)["estimate"] - expected).max()) for one in (wide, narrow)]
    assert 0 < errors[0] < errors[1] < 0.05 * float(np.abs(expected).max())


def test_ranges_are_those_of_all_calibration_inputs(content: bytes) -> None:
    """The widest input comes last: an average would cut it off."""
    together = reduced(content, "int8", calibration=inputs)
    widest = reduced(content, "int8", calibration=lambda: list(inputs())[-1:])
    given = list(inputs())[-1]
    found = [TFLiteModel(with_metadata(one, INFO)).run(given)["estimate"] for one in (together, widest)]
    np.testing.assert_allclose(*found, atol=0.02 * float(np.abs(found[1]).max()))
