"""TensorProto to NumPy and back; claims are checked against what is there before memory is taken.

A TensorProto says its dtype and shape, and holds its values as bytes (`tensor_content`) or in a repeated
field of its dtype. As in TensorFlow, one value may stand for all; the tensor it stands for may be as large as
a message. TensorFlow also repeats the last of several values and reads no value as zeros: both are refused
here, as a client that lost part of its data would never know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from hsr_tf import checks

TensorProto = Any
MOST_DIMENSIONS = 32
BYTES_OF_A_STRING = 8


@dataclass(frozen=True)
class Limits:
    """How large things may be.

    Attributes:
        message_bytes: of a request or an answer.
        pixels: product of the dimensions of one input.
        memory_bytes: what one computation may take, from which the pixels of a model follow too; None for
            `pixels` alone.
    """

    message_bytes: int = 64 << 20
    pixels: int = 2**26
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        for name in ("message_bytes", "pixels"):
            value = getattr(self, name)
            checks.require(
                value >= 1, name, expected="1 or more", received=str(value), remedy="give a larger limit"
            )

    def of_model(self, bytes_per_value: float) -> Limits:
        """The limits of a model that takes so much memory for each value of its largest input."""
        if self.memory_bytes is None:
            return self
        return replace(self, pixels=max(1, min(self.pixels, int(self.memory_bytes / bytes_per_value))))


@dataclass(frozen=True)
class Storage:
    """How values of one dtype lie in a TensorProto.

    Attributes:
        field: the repeated field.
        stored: dtype of its numbers, e.g. uint16 for the bits of a half.
        seen: dtype of the tensor; several numbers may make one value, as in complex64.
    """

    field: str
    stored: Any
    seen: Any

    @property
    def numbers_a_value(self) -> int:
        """2 for complex dtypes, otherwise 1."""
        return np.dtype(self.seen).itemsize // np.dtype(self.stored).itemsize


STORAGE = {
    types_pb2.DT_FLOAT: Storage("float_val", np.float32, np.float32),
    types_pb2.DT_DOUBLE: Storage("double_val", np.float64, np.float64),
    types_pb2.DT_HALF: Storage("half_val", np.uint16, np.float16),
    types_pb2.DT_BFLOAT16: Storage("half_val", np.uint16, tf.bfloat16.as_numpy_dtype),
    types_pb2.DT_INT8: Storage("int_val", np.int8, np.int8),
    types_pb2.DT_UINT8: Storage("int_val", np.uint8, np.uint8),
    types_pb2.DT_INT16: Storage("int_val", np.int16, np.int16),
    types_pb2.DT_UINT16: Storage("int_val", np.uint16, np.uint16),
    types_pb2.DT_INT32: Storage("int_val", np.int32, np.int32),
    types_pb2.DT_UINT32: Storage("uint32_val", np.uint32, np.uint32),
    types_pb2.DT_INT64: Storage("int64_val", np.int64, np.int64),
    types_pb2.DT_UINT64: Storage("uint64_val", np.uint64, np.uint64),
    types_pb2.DT_BOOL: Storage("bool_val", np.bool_, np.bool_),
    types_pb2.DT_COMPLEX64: Storage("scomplex_val", np.float32, np.complex64),
    types_pb2.DT_COMPLEX128: Storage("dcomplex_val", np.float64, np.complex128),
    types_pb2.DT_STRING: Storage("string_val", np.object_, np.object_),
}


def dtype_name(dtype: int) -> str:
    """`float32` for DT_FLOAT; the number for an enumeration value that nobody knows."""
    try:
        return tf.dtypes.as_dtype(dtype).name
    except TypeError:
        return f"dtype {dtype}"


def claimed_shape(name: str, proto: TensorProto, limits: Limits) -> tuple[int, ...]:
    """The dimensions that a TensorProto says it has.

    Raises:
        ValueError: for an unknown rank, too many or negative dimensions, or a product above `limits.pixels`.
    """
    dims = proto.tensor_shape.dim
    checks.require(
        not proto.tensor_shape.unknown_rank and len(dims) <= MOST_DIMENSIONS,
        name,
        expected=f"a shape of at most {MOST_DIMENSIONS} dimensions",
        received="an unknown rank" if proto.tensor_shape.unknown_rank else f"{len(dims)} dimensions",
        remedy="send the shape of the data",
    )
    shape = tuple(dim.size for dim in dims)
    size = math.prod(max(side, 1) for side in shape)
    checks.require(
        min(shape, default=0) >= 0 and size <= limits.pixels,
        name,
        expected=f"a shape without negative dimensions whose product is {limits.pixels} or less",
        received=str(shape),
        remedy="send smaller tiles, as python -m serving.client does (--tile), or start the server with a "
        "larger --max_pixels",
    )
    return shape


def array_of(name: str, proto: TensorProto, limits: Limits) -> np.ndarray:
    """The values of a TensorProto, read-only; strings as an array of bytes objects.

    Raises:
        ValueError: for a dtype that is not served, a shape that `claimed_shape` refuses, or values that do
            not fill it.
    """
    checks.require(
        proto.dtype in STORAGE,
        name,
        expected=f"one of the dtypes {', '.join(dtype_name(known) for known in STORAGE)}",
        received=dtype_name(proto.dtype),
        remedy="convert it",
    )
    shape, storage = claimed_shape(name, proto, limits), STORAGE[proto.dtype]
    if proto.tensor_content:
        return _from_content(name, proto.tensor_content, shape, storage)
    values = _from_field(name, proto, storage)
    if values.size != 1 or math.prod(shape) == 1:
        _require_filled(name, shape, f"{values.size} values", filled=values.size == math.prod(shape))
        return values.reshape(shape)
    _require_small(name, shape, values, limits)
    _require_filled(name, shape, "1 value", filled=math.prod(shape) > 0)
    return np.broadcast_to(values, shape)


def _from_content(name: str, content: bytes, shape: tuple[int, ...], storage: Storage) -> np.ndarray:
    dtype = np.dtype(storage.seen)
    is_text = storage.seen is np.object_
    num_bytes = math.prod(shape) * dtype.itemsize
    _require_filled(name, shape, f"{len(content)} bytes", filled=not is_text and len(content) == num_bytes)
    array = np.frombuffer(content, dtype).reshape(shape)
    if dtype == np.bool_:
        _require_filled(name, shape, "truth values above 1", filled=bool((array.view(np.uint8) <= 1).all()))
    return array


def _from_field(name: str, proto: TensorProto, storage: Storage) -> np.ndarray:
    """The values of the dtype's repeated field, (n,)."""
    numbers = getattr(proto, storage.field)
    if storage.seen is np.object_:
        return np.fromiter(numbers, np.object_, len(numbers))
    checks.require(
        len(numbers) % storage.numbers_a_value == 0,
        name,
        expected="pairs of real and imaginary parts",
        received=f"{len(numbers)} numbers",
        remedy="send both parts of each value",
    )
    try:
        stored = np.fromiter(numbers, storage.stored, len(numbers))
    except OverflowError as error:
        raise checks.InputError(
            name,
            expected=f"values of {np.dtype(storage.seen)}",
            received="one out of its range",
            remedy="convert them",
        ) from error
    return stored.view(storage.seen)


def _require_filled(name: str, shape: tuple[int, ...], received: str, *, filled: bool) -> None:
    checks.require(
        filled,
        name,
        expected=f"values for the shape {shape} that it claims",
        received=received,
        remedy="send as many values as the shape says, or one that stands for all",
    )


def _require_small(name: str, shape: tuple[int, ...], values: np.ndarray, limits: Limits) -> None:
    """One value that stands for all must not make more of a message than a message may be."""
    one = values[0] if values.dtype == np.object_ else None
    item = values.itemsize if one is None else max(len(one), BYTES_OF_A_STRING)
    checks.require(
        math.prod(shape) * item <= limits.message_bytes,
        name,
        expected=f"a tensor of {limits.message_bytes} bytes or less",
        received=f"one value for the shape {shape}, {math.prod(shape) * item} bytes",
        remedy="send a smaller tensor",
    )


def proto_of(array: np.ndarray) -> TensorProto:
    """An array as a TensorProto."""
    proto = tensor_pb2.TensorProto()
    write_array(array, proto)
    return proto


def write_array(array: np.ndarray, proto: TensorProto) -> None:
    """Fill an empty TensorProto: numbers as `tensor_content`, an array of bytes objects as `string_val`."""
    is_text = array.dtype == np.object_
    proto.dtype = types_pb2.DT_STRING if is_text else tf.dtypes.as_dtype(array.dtype).as_datatype_enum
    for side in array.shape:
        proto.tensor_shape.dim.add(size=side)
    if is_text:
        proto.string_val.extend(array.ravel().tolist())
    else:
        proto.tensor_content = array.tobytes()
