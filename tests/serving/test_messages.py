"""The messages are TensorFlow Serving's: field by field, and bytes of one kind are read by the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving import messages
from serving.tensors import STORAGE, to_array, to_tensor_proto

pytest.importorskip("tensorflow_serving")
ARRAYS = [
    np.arange(6, dtype=dtype).reshape(1, 2, 3)
    for dtype in (np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64)
] + [
    np.arange(6, dtype=np.uint8),
    np.arange(3, dtype=np.uint16),
    np.arange(3, dtype=np.uint32),
    np.arange(3, dtype=np.uint64),
    np.array([True, False]),
    np.float32(1.5),
    np.zeros((0, 4), np.float32),
    np.full((5, 4), 0.25, np.float32),
]


def stubs() -> dict[str, Any]:
    """Descriptors of TensorFlow's and TensorFlow Serving's own classes by full name."""
    from google.protobuf import descriptor_pool
    from tensorflow_serving.apis import (  # noqa: F401
        get_model_status_pb2,
        predict_pb2,
    )

    pool = descriptor_pool.Default()
    return {name: pool.FindMessageTypeByName(name) for name in messages.TABLE}


def traits(field: Any) -> tuple[Any, ...]:
    """What decides how a field is written."""
    kinds = [kind.full_name for kind in (field.message_type, field.enum_type) if kind is not None]
    oneof = None if field.containing_oneof is None else field.containing_oneof.name
    return field.name, field.number, field.type, field.is_repeated, field.is_packed, kinds, oneof


@pytest.mark.parametrize("name", messages.TABLE)
def test_every_field_is_that_of_the_stubs(name: str) -> None:
    theirs = {field.name: traits(field) for field in stubs()[name].fields}
    ours = messages.POOL.FindMessageTypeByName(name)
    assert ours.full_name == name
    assert len(ours.fields) == len(messages.TABLE[name].split(", "))
    for field in ours.fields:
        assert traits(field) == theirs[field.name]
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            assert [traits(one) for one in field.message_type.fields] == [
                traits(one) for one in stubs()[name].fields_by_name[field.name].message_type.fields
            ]


@pytest.mark.parametrize("name", messages.ENUMS)
def test_every_value_of_an_enum_is_that_of_the_stubs(name: str) -> None:
    from google.protobuf import descriptor_pool

    stubs()
    theirs = descriptor_pool.Default().FindEnumTypeByName(name).values_by_name
    for value in messages.POOL.FindEnumTypeByName(name).values:
        assert theirs[value.name].number == value.number


@pytest.mark.parametrize("number", STORAGE)
def test_types_are_those_of_tensorflow(number: int) -> None:
    assert tf.dtypes.as_dtype(STORAGE[number].seen).as_datatype_enum == number
    assert messages.DATA_TYPES["DT_STRING"] == tf.string.as_datatype_enum


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays_come_back_from_either_side(array: np.ndarray) -> None:
    from tensorflow.core.framework import tensor_pb2

    ours = to_tensor_proto(array)
    theirs = tf.make_ndarray(tensor_pb2.TensorProto.FromString(ours.SerializeToString()))
    np.testing.assert_array_equal(theirs, array)
    assert theirs.dtype == array.dtype
    for proto in (tf.make_tensor_proto(array), in_fields(array)):
        found = to_array(messages.TensorProto.FromString(proto.SerializeToString()))
        np.testing.assert_array_equal(found, array)
        assert (found.dtype, found.shape) == (array.dtype, array.shape)


def in_fields(array: np.ndarray) -> Any:
    """TensorFlow's message with the values in their own field, as TensorFlow Serving answers."""
    proto = (
        tf.make_tensor_proto(array.ravel()[:1], shape=array.shape)
        if array.size
        else tf.make_tensor_proto(array)
    )
    proto.ClearField("tensor_content")
    name = STORAGE[proto.dtype].field
    proto.ClearField(name)
    values = array.view(np.uint16) if array.dtype == np.float16 else array
    getattr(proto, name).extend(values.ravel().tolist())
    return proto


@pytest.mark.parametrize("text", [b"abc", "abc", "größe", [b"a\0b", b""], [["a"], ["bc"]]])
def test_text_comes_back_as_bytes(text: Any) -> None:
    from tensorflow.core.framework import tensor_pb2

    expected = tf.constant(text).numpy()
    ours = to_tensor_proto(text)
    theirs = tf.make_ndarray(tensor_pb2.TensorProto.FromString(ours.SerializeToString()))
    assert theirs.tolist() == np.asarray(expected, object).tolist()
    back = to_array(messages.TensorProto.FromString(tf.make_tensor_proto(text).SerializeToString()))
    assert back.tolist() == np.asarray(expected, object).tolist()


def test_requests_are_read_by_the_stubs_and_answers_of_the_stubs_here() -> None:
    from tensorflow_serving.apis import get_model_status_pb2, predict_pb2

    request = messages.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "vdsr", "picture"
    request.model_spec.version.value = 7
    request.inputs["scale"].CopyFrom(to_tensor_proto(2.5))
    theirs = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    assert (theirs.model_spec.name, theirs.model_spec.version.value) == ("vdsr", 7)
    assert tf.make_ndarray(theirs.inputs["scale"]) == 2.5
    answer = get_model_status_pb2.GetModelStatusResponse()
    one = answer.model_version_status.add(version=3, state=30)
    one.status.error_message = "fine"
    ours = messages.GetModelStatusResponse.FromString(answer.SerializeToString()).model_version_status[0]
    assert (ours.version, messages.STATES[ours.state], ours.status.error_message) == (3, "AVAILABLE", "fine")


@pytest.mark.parametrize("values", [np.array([1j]), np.array(["2020-01-01"], "datetime64[D]")])
def test_what_is_no_tensor_is_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="input: expected an array of numbers"):
        to_tensor_proto(values)


def damaged(**changes: Any) -> Any:
    proto = to_tensor_proto(np.arange(6, dtype=np.float32).reshape(2, 3))
    for name, value in changes.items():
        if name == "size":
            proto.tensor_shape.dim[0].size = value
        elif name == "unknown_rank":
            proto.tensor_shape.unknown_rank = value
        else:
            setattr(proto, name, value)
    return proto


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": 20},
        {"dtype": 99},
        {"size": -1},
        {"size": 3},
        {"size": 2**40},
        {"unknown_rank": True},
        {"tensor_content": b"abc"},
        {"tensor_content": b""},
    ],
)
def test_damaged_tensors_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="tensor: expected"):
        to_array(damaged(**changes))
