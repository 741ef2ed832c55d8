"""TensorProto to NumPy and back, for the server and its client; any class of the message will do.

A TensorProto states its dtype and shape, and holds its values as bytes (`tensor_content`) or in a repeated
field of its dtype. What it claims is checked against what is there before memory is taken. As in TensorFlow,
one value may stand for all; the tensor it stands for may be as large as a message. TensorFlow also repeats
the last of several values, which is done here on request only, and reads no value as zeros, which is refused:
a client that lost part of its data would never know.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hsr_tf import checks
from serving.messages import DATA_TYPES
from serving.messages import TensorProto as ClientTensorProto

TensorProto = Any
MOST_DIMENSIONS = 32
BYTES_OF_A_STRING = 8
MOST_ANSWERED = 2**31


@dataclass(frozen=True)
class Limits:
    """How large things may be.

    Attributes:
        message_bytes: of a request or an answer.
        pixels: product of the dimensions of one tensor.
        memory_bytes: what one computation may take, which limits the pixels of a model too; None for `pixels`
            alone.
    """

    message_bytes: int = 64 << 20
    pixels: int = 2**26
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        checks.require_positive_integers(message_bytes=self.message_bytes, pixels=self.pixels)

    def of_model(self, bytes_per_value: float) -> Limits:
        """The limits of a model that takes `bytes_per_value` of memory per value of its largest input."""
        if self.memory_bytes is None:
            return self
        return replace(self, pixels=max(1, min(self.pixels, int(self.memory_bytes / bytes_per_value))))


@dataclass(frozen=True)
class Storage:
    """How values of one dtype are kept in a TensorProto.

    Attributes:
        field: the repeated field.
        stored: dtype of its numbers, e.g. uint16 for the bits of a half.
        seen: dtype of the tensor; several numbers may make one value, as in complex64.
    """

    field: str
    stored: np.dtype
    seen: np.dtype

    @property
    def numbers_per_value(self) -> int:
        """2 for complex dtypes, otherwise 1."""
        return self.seen.itemsize // self.stored.itemsize


def _storage() -> dict[int, Storage]:
    """How every dtype is kept, by its number."""
    table = {
        "DT_FLOAT": ("float_val", "float32", "float32"),
        "DT_DOUBLE": ("double_val", "float64", "float64"),
        "DT_HALF": ("half_val", "uint16", "float16"),
        "DT_INT8": ("int_val", "int8", "int8"),
        "DT_UINT8": ("int_val", "uint8", "uint8"),
        "DT_INT16": ("int_val", "int16", "int16"),
        "DT_UINT16": ("int_val", "uint16", "uint16"),
        "DT_INT32": ("int_val", "int32", "int32"),
        "DT_UINT32": ("uint32_val", "uint32", "uint32"),
        "DT_INT64": ("int64_val", "int64", "int64"),
        "DT_UINT64": ("uint64_val", "uint64", "uint64"),
        "DT_BOOL": ("bool_val", "bool", "bool"),
        "DT_COMPLEX64": ("scomplex_val", "float32", "complex64"),
        "DT_COMPLEX128": ("dcomplex_val", "float64", "complex128"),
        "DT_STRING": ("string_val", "object", "object"),
    }
    with contextlib.suppress(ImportError):  # TensorFlow brings it; a client without does not need it
        import ml_dtypes  # noqa: F401

        table["DT_BFLOAT16"] = ("half_val", "uint16", "bfloat16")
    return {
        DATA_TYPES[name]: Storage(field, np.dtype(stored), np.dtype(seen))
        for name, (field, stored, seen) in table.items()
    }


STORAGE = _storage()
NUMBERS = {storage.seen: number for number, storage in STORAGE.items()}


def dtype_name(number: int) -> str:
    """`float32` for DT_FLOAT; the number for an unknown one."""
    if number not in STORAGE:
        return f"dtype {number}"
    return "string" if STORAGE[number].seen == np.object_ else STORAGE[number].seen.name


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


def array_of(name: str, proto: TensorProto, limits: Limits, *, repeat_last: bool = False) -> np.ndarray:
    """The values of a TensorProto, read-only; strings as an array of bytes objects.

    Args:
        name: of the tensor, for messages.
        proto: the message.
        limits: how large it may be.
        repeat_last: fill the shape with the last value where several values do not fill it.

    Raises:
        ValueError: for a dtype that is not served, a shape that `claimed_shape` refuses, or values that do
            not fill it.
    """
    checks.require(
        proto.dtype in STORAGE,
        name,
        expected=f"one of the dtypes {', '.join(map(dtype_name, STORAGE))}",
        received=dtype_name(proto.dtype),
        remedy="convert it",
    )
    shape, storage = claimed_shape(name, proto, limits), STORAGE[proto.dtype]
    if proto.tensor_content:
        dtype = storage.seen
        filled = dtype != np.object_ and len(proto.tensor_content) == math.prod(shape) * dtype.itemsize
        _require_filled(name, shape, f"{len(proto.tensor_content)} bytes", filled=filled)
        array = np.frombuffer(proto.tensor_content, dtype).reshape(shape)
        if dtype == np.bool_:
            _require_filled(
                name, shape, "truth values above 1", filled=bool((array.view(np.uint8) <= 1).all())
            )
        return array
    values, num_values = _from_field(name, proto, storage), math.prod(shape)
    if not 0 < values.size < num_values or (values.size > 1 and not repeat_last):
        _require_filled(name, shape, f"{values.size} values", filled=values.size == num_values)
        return values.reshape(shape)
    longest = max(BYTES_OF_A_STRING, *map(len, values)) if values.dtype == np.object_ else values.itemsize
    checks.require(
        num_values * longest <= limits.message_bytes,
        name,
        expected=f"a tensor of {limits.message_bytes} bytes or less",
        received=f"one value for the shape {shape}, {num_values * longest} bytes",
        remedy="send a smaller tensor",
    )
    if values.size == 1:
        return np.broadcast_to(values, shape)
    return np.concatenate([values, np.repeat(values[-1:], num_values - values.size)]).reshape(shape)


def _from_field(name: str, proto: TensorProto, storage: Storage) -> np.ndarray:
    """The values of the dtype's repeated field, (n,)."""
    numbers = getattr(proto, storage.field)
    if storage.seen == np.object_:
        return np.fromiter(numbers, np.object_, len(numbers))
    checks.require(
        len(numbers) % storage.numbers_per_value == 0,
        name,
        expected="pairs of real and imaginary parts",
        received=f"{len(numbers)} numbers",
        remedy="send both parts of each value",
    )
    try:
        return np.fromiter(numbers, storage.stored, len(numbers)).view(storage.seen)
    except OverflowError as error:
        raise checks.InputError(
            name,
            expected=f"values of {storage.seen}",
            received="one out of its range",
            remedy="convert them",
        ) from error


def _require_filled(name: str, shape: tuple[int, ...], received: str, *, filled: bool) -> None:
    checks.require(
        filled,
        name,
        expected=f"values for the shape {shape} that it claims",
        received=received,
        remedy="it is damaged; send as many values as the shape says, or one that stands for all",
    )


def write_array(array: np.ndarray, proto: TensorProto) -> None:
    """Fill an empty TensorProto: numbers as `tensor_content`, an array of bytes objects as `string_val`."""
    proto.dtype = NUMBERS[array.dtype]
    for side in array.shape:
        proto.tensor_shape.dim.add(size=side)
    if array.dtype == np.object_:
        proto.string_val.extend(array.ravel().tolist())
    else:
        proto.tensor_content = array.tobytes()


def to_tensor_proto(values: Any) -> TensorProto:
    """A client's TensorProto of an array, a number, or bytes or text (or a list of those).

    Raises:
        ValueError: values that have no place in one.
    """
    array = np.asarray(values)
    if array.dtype.kind in "OSU":
        given = [values] if isinstance(values, bytes | str) else np.asarray(values, object).ravel().tolist()
        checks.require(
            all(isinstance(one, bytes | str) for one in given),
            "input",
            expected="numbers, or strings alone",
            received="a mixture, or other objects",
            remedy="give an array of one type",
        )
        encoded = [one.encode() if isinstance(one, str) else one for one in given]
        array = np.fromiter(encoded, np.object_, len(encoded)).reshape(array.shape)
    elif array.dtype not in NUMBERS:
        array = array.astype(array.dtype.newbyteorder("="))
    checks.require(
        array.dtype in NUMBERS and array.dtype.kind != "c",
        "input",
        expected="an array of numbers, truth values, bytes or text",
        received=str(array.dtype),
        remedy="convert it first, to float32 for images",
    )
    proto = ClientTensorProto()
    write_array(array, proto)
    return proto


def to_array(proto: TensorProto) -> np.ndarray:
    """The array of an answer, to be written to; text comes as an array of bytes objects.

    Raises:
        ValueError: as `array_of`.
    """
    limits = Limits(message_bytes=MOST_ANSWERED, pixels=MOST_ANSWERED)
    return array_of("tensor", proto, limits, repeat_last=True).copy()
