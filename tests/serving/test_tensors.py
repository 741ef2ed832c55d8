"""What a TensorProto holds is read as TensorFlow reads it; what it only claims is refused."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.requests import Signature, Slot, read_inputs
from serving.tensors import Limits, array_of, write_array

LIMITS = Limits()
BFLOAT16 = tf.bfloat16.as_numpy_dtype
NUMBERS = ("f2", "f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?", "c8", "c16")
FIELDS = {
    "f4": "float_val",
    "f8": "double_val",
    "i1": "int_val",
    "u1": "int_val",
    "i2": "int_val",
    "u2": "int_val",
    "i4": "int_val",
    "u4": "uint32_val",
    "i8": "int64_val",
    "u8": "uint64_val",
    "b1": "bool_val",
}
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def proto_with(dtype: int, shape: tuple[int, ...], **values: Any) -> tensor_pb2.TensorProto:
    proto = tensor_pb2.TensorProto(dtype=dtype, **values)
    for side in shape:
        proto.tensor_shape.dim.add(size=side)
    return proto


def proto_of(array: np.ndarray) -> tensor_pb2.TensorProto:
    proto = tensor_pb2.TensorProto()
    write_array(array, proto)
    return proto


@given(st.sampled_from(NUMBERS).flatmap(lambda dtype: hnp.arrays(dtype, shapes)))
def test_arrays_go_there_and_back_as_tensorflow_sends_them(array: np.ndarray) -> None:
    np.testing.assert_array_equal(tf.make_ndarray(proto_of(array)), array)
    np.testing.assert_array_equal(array_of("x", tf.make_tensor_proto(array), LIMITS), array)
    assert array_of("x", proto_of(array), LIMITS).dtype == array.dtype


@given(st.sampled_from(sorted(FIELDS)).flatmap(lambda dtype: hnp.arrays(dtype, shapes)))
def test_values_in_their_own_field_are_read_as_tensorflow_reads_them(array: np.ndarray) -> None:
    values = {FIELDS[array.dtype.str[1:]]: array.ravel().tolist()}
    proto = proto_with(tf.as_dtype(array.dtype).as_datatype_enum, array.shape, **values)
    np.testing.assert_array_equal(array_of("x", proto, LIMITS), tf.make_ndarray(proto))


@given(st.lists(st.binary(max_size=5), max_size=4))
def test_strings_keep_their_zeros(texts: list[bytes]) -> None:
    array = np.fromiter(texts, np.object_, len(texts))
    assert tf.make_ndarray(proto_of(array)).tolist() == texts
    assert array_of("x", tf.make_tensor_proto(texts, tf.string, (len(texts),)), LIMITS).tolist() == texts
    scalar = array_of("x", tf.make_tensor_proto(b"a\0\0"), LIMITS)
    assert scalar.shape == () and scalar[()] == b"a\0\0"


def test_halves_and_complex_numbers_are_read_from_their_fields() -> None:
    half = proto_with(types_pb2.DT_HALF, (2,), half_val=[0x3C00, 0xC000])
    np.testing.assert_array_equal(array_of("x", half, LIMITS), tf.make_ndarray(half))
    brain = proto_of(np.array([1.5, -2.0], BFLOAT16))
    np.testing.assert_array_equal(array_of("x", brain, LIMITS), tf.make_ndarray(brain))
    pair = proto_with(types_pb2.DT_COMPLEX64, (2,), scomplex_val=[1, 2, 3, 4])
    np.testing.assert_array_equal(array_of("x", pair, LIMITS), [1 + 2j, 3 + 4j])


def test_one_value_stands_for_all_up_to_the_limit_of_a_message() -> None:
    proto = proto_with(types_pb2.DT_FLOAT, (2, 3), float_val=[7])
    np.testing.assert_array_equal(array_of("x", proto, LIMITS), tf.make_ndarray(proto))
    with pytest.raises(ValueError, match="24 bytes"):
        array_of("x", proto, Limits(message_bytes=23))


def test_a_gigabyte_that_is_only_claimed_takes_no_memory() -> None:
    slot = Slot("x", types_pb2.DT_FLOAT, (-1, -1, -1, 1))
    signature = Signature("serving_default", {"x": slot}, {})
    for values in ({}, {"float_val": [0.5]}, {"tensor_content": b"1234"}):
        proto = proto_with(types_pb2.DT_FLOAT, (1, 2**14, 2**14, 1), **values)
        assert proto.ByteSize() < 100
        tracemalloc.start()
        with pytest.raises(ValueError, match="x: expected"):
            read_inputs(signature, {"x": proto}, Limits(pixels=2**30))
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("dtype", "shape", "values"),
    [
        ("DT_FLOAT", (-1, 2), {"float_val": [1]}),
        ("DT_FLOAT", (2**62, 2**62), {"float_val": [1]}),
        ("DT_FLOAT", (0, 2**62, 2**62), {}),
        ("DT_FLOAT", (1,) * 40, {"float_val": [1]}),
        ("DT_FLOAT", (3,), {"float_val": [1, 2]}),
        ("DT_FLOAT", (2,), {"float_val": [1, 2, 3]}),
        ("DT_FLOAT", (2,), {}),
        ("DT_FLOAT", (0,), {"float_val": [1]}),
        ("DT_FLOAT", (2,), {"tensor_content": b"12345"}),
        ("DT_FLOAT", (2,), {"double_val": [1, 2]}),
        ("DT_STRING", (1,), {"tensor_content": b"12345678"}),
        ("DT_BOOL", (2,), {"tensor_content": b"\1\2"}),
        ("DT_INT8", (1,), {"int_val": [300]}),
        ("DT_COMPLEX64", (1,), {"scomplex_val": [1, 2, 3]}),
        ("DT_RESOURCE", (), {}),
        ("DT_INVALID", (), {}),
    ],
)
def test_claims_that_nothing_fills_are_refused(dtype: str, shape: tuple[int, ...], values: Any) -> None:
    with pytest.raises(ValueError, match="x: expected"):
        array_of("x", proto_with(getattr(types_pb2, dtype), shape, **values), LIMITS)


def test_an_unknown_rank_is_refused() -> None:
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[1])
    proto.tensor_shape.unknown_rank = True
    with pytest.raises(ValueError, match="unknown rank"):
        array_of("x", proto, LIMITS)


FUSION = Signature(
    "serving_default",
    {
        "lr_hsi": Slot("lr_hsi", types_pb2.DT_FLOAT, (-1, -1, -1, 31)),
        "hr_msi": Slot("hr_msi", types_pb2.DT_FLOAT, (-1, -1, -1, 3)),
    },
    {"estimate": Slot("estimate", types_pb2.DT_FLOAT, (-1, -1, -1, 31))},
)
RIGHT = {"lr_hsi": np.ones((1, 2, 2, 31), "f4"), "hr_msi": np.ones((1, 4, 4, 3), "f4")}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hr_msi": None}, "no hr_msi"),
        ({"rgb": np.ones(1, "f4")}, "unknown 'rgb'"),
        ({"lr_hsi": np.ones((1, 2, 2, 30), "f4")}, r"got float32 \(1, 2, 2, 30\)"),
        ({"lr_hsi": np.ones((2, 2, 31), "f4")}, r"got float32 \(2, 2, 31\)"),
        ({"lr_hsi": np.ones((1, 2, 2, 31), "f8")}, "got float64"),
        ({"lr_hsi": np.full((1, 2, 2, 31), np.nan, "f4")}, "124 NaN or infinite values"),
        ({"hr_msi": np.full((1, 4, 4, 3), -np.inf, "f4")}, "48 NaN or infinite values"),
    ],
)
def test_what_does_not_fit_is_named_with_what_would(change: dict[str, Any], said: str) -> None:
    arrays = {name: array for name, array in (RIGHT | change).items() if array is not None}
    protos = {name: tf.make_tensor_proto(array) for name, array in arrays.items()}
    with pytest.raises(ValueError, match=said) as caught:
        read_inputs(FUSION, protos, LIMITS)
    assert "NaN" in said or "serving_default(hr_msi" in str(caught.value) or "(lr_hsi" in str(caught.value)


def test_what_fits_is_read_without_a_copy_being_needed() -> None:
    protos = {name: tf.make_tensor_proto(array) for name, array in RIGHT.items()}
    found = read_inputs(FUSION, protos, LIMITS)
    assert all((found[name] == RIGHT[name]).all() for name in RIGHT)
    assert not found["lr_hsi"].flags.owndata
    with pytest.raises(ValueError, match="123 or less"):
        read_inputs(FUSION, protos, Limits(pixels=123))
