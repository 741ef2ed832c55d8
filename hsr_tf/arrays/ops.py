"""Array operations with the names of `keras.ops`, computed by NumPy where no tensor is involved.

Where every array argument is NumPy's (or a plain Python number), the result is NumPy's, and neither Keras nor
its backend is imported. Where any argument is a tensor, `keras.ops` computes, so that the same code runs
inside networks, training steps and exported models. Types follow Keras: float32 stays float32, Python
numbers do not promote, integers become float32 where the result is not an integer. Sums and means of float32
arrays are accumulated in float64. Operators (`a * b`, `a[i]`) are those of the arrays themselves; a NumPy
float64 scalar promotes a float32 array there, so give Python numbers.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any

import numpy as np

from hsr_tf import checks
from hsr_tf.typing import Tensor

Axis = int | tuple[int, ...] | None
_PLAIN = (np.ndarray, np.generic, np.dtype, int, float, complex, str, type, type(None))
_FFT_TAPS = 64


def _is_plain(value: Any) -> bool:
    """Whether NumPy computes with it; a TensorFlow type asks for a tensor."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)


@cache
def _keras_ops() -> Any:
    from keras import ops

    return ops


def _either(compute: Callable[..., Any]) -> Callable[..., Any]:
    """The function by NumPy where all arguments are plain, else the one of the same name in `keras.ops`."""

    @wraps(compute)
    def either(*args: Any, **named: Any) -> Any:
        if _is_plain(args) and _is_plain(list(named.values())):
            with np.errstate(all="ignore"):  # as quiet as Keras about infinite values and NaN
                return compute(*args, **named)
        return getattr(_keras_ops(), compute.__name__)(*args, **named)

    return either


def _array(x: Any) -> Any:
    """A NumPy array; Python numbers have Keras' 32 bits."""
    array = np.asarray(x)
    narrow = {"f": np.float32, "i": np.int32, "c": np.complex64}.get(array.dtype.kind)
    return array if narrow is None or _holds_numpy(x) else array.astype(narrow)


def _holds_numpy(x: Any) -> bool:
    if isinstance(x, list | tuple):
        return builtins.any(map(_holds_numpy, x))
    return isinstance(x, np.ndarray | np.generic)


def _floating(x: Any) -> Any:
    array = _array(x)
    return array.astype(np.float32) if array.dtype.kind in "biu" else array


def _pair(a: Any, b: Any) -> tuple[Any, Any]:
    """Two arguments of one type; Python numbers stay weak, an integer array takes the other's float type."""
    kinds = [x.dtype.kind if isinstance(x, np.ndarray | np.generic) else None for x in (a, b)]
    if kinds[0] in ("f", "c") and kinds[1] in ("b", "i", "u"):
        b = b.astype(a.dtype)
    elif kinds[1] in ("f", "c") and kinds[0] in ("b", "i", "u"):
        a = a.astype(b.dtype)
    elif kinds == [None, None]:
        a, b = _array(a), _array(b)
    return a, b


def _elementwise(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def compute(x: Any) -> Any:
        return function(_floating(x))

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = f"See `keras.ops.{name}`."
    return _either(compute)


cos = _elementwise("cos", np.cos)
exp = _elementwise("exp", np.exp)
log = _elementwise("log", np.log)
log10 = _elementwise("log10", np.log10)
sin = _elementwise("sin", np.sin)
sqrt = _elementwise("sqrt", np.sqrt)
ceil = _elementwise("ceil", np.ceil)
floor = _elementwise("floor", np.floor)
softplus = _elementwise("softplus", lambda x: np.logaddexp(x, x.dtype.type(0)))


@_either
def abs(x: Tensor) -> Tensor:
    """Absolute values."""
    return np.abs(_array(x))


@_either
def square(x: Tensor) -> Tensor:
    """Squares."""
    return np.square(_array(x))


@_either
def relu(x: Tensor) -> Tensor:
    """The positive part."""
    return np.maximum(_array(x), 0)


@_either
def clip(x: Tensor, x_min: Any, x_max: Any) -> Tensor:
    """Values limited to [x_min, x_max]."""
    return np.clip(_array(x), x_min, x_max)


@_either
def maximum(x1: Tensor, x2: Tensor) -> Tensor:
    """The larger of two, elementwise."""
    return np.maximum(*_pair(x1, x2))


@_either
def minimum(x1: Tensor, x2: Tensor) -> Tensor:
    """The smaller of two, elementwise."""
    return np.minimum(*_pair(x1, x2))


@_either
def mod(x1: Tensor, x2: Tensor) -> Tensor:
    """The remainder of a division, with the sign of the divisor."""
    return np.mod(*_pair(x1, x2))


@_either
def arctan2(x1: Tensor, x2: Tensor) -> Tensor:
    """The angle of the point (x2, x1) in radians."""
    return np.arctan2(*map(_floating, _pair(x1, x2)))


@_either
def divide(x1: Tensor, x2: Tensor) -> Tensor:
    """The quotient; infinite or NaN, without a warning, for a divisor of zero."""
    return np.divide(*map(_floating, _pair(x1, x2)))


@_either
def logical_and(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether both hold."""
    return np.logical_and(x1, x2)


@_either
def logical_not(x: Tensor) -> Tensor:
    """Whether it does not hold."""
    return np.logical_not(x)


@_either
def where(condition: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
    """x1 where the condition holds, else x2."""
    return np.where(condition, *_pair(x1, x2))


@_either
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Exponentials over their sum along an axis."""
    array = _floating(x)
    raised = np.exp(array - array.max(axis, keepdims=True))
    return raised / raised.sum(axis, keepdims=True)


@_either
def sum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over some axes, of the type of `x`."""
    array = _array(x)
    if array.dtype.kind == "b":
        array = array.astype(np.int32)
    wide = np.float64 if array.dtype == np.float32 else array.dtype
    return np.sum(array, axis, dtype=wide, keepdims=keepdims).astype(array.dtype)


@_either
def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean over some axes."""
    array = _floating(x)
    wide = np.float64 if array.dtype == np.float32 else array.dtype
    return np.mean(array, axis, dtype=wide, keepdims=keepdims).astype(array.dtype)


@_either
def max(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Largest value over some axes."""
    return np.max(_array(x), axis, keepdims=keepdims)


@_either
def any(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether any value over some axes is other than zero."""
    return np.any(x, axis, keepdims=keepdims)


@_either
def cumsum(x: Tensor, axis: int | None = None) -> Tensor:
    """Running sums along an axis."""
    array = _array(x)
    return np.cumsum(array, axis, dtype=array.dtype)


@_either
def matmul(x1: Tensor, x2: Tensor) -> Tensor:
    """Matrix products of the last two axes, batched."""
    return np.matmul(*_pair(x1, x2))


@_either
def einsum(subscripts: str, *operands: Tensor) -> Tensor:
    """Sums of products by Einstein's convention, in an optimised order."""
    return np.einsum(subscripts, *operands, optimize=True)


@_either
def reshape(x: Tensor, newshape: Any) -> Tensor:
    """The same values in another shape; one size may be -1."""
    return np.reshape(_array(x), newshape)


@_either
def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """Axes in another order, reversed by default."""
    return np.transpose(_array(x), axes)


@_either
def swapaxes(x: Tensor, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    return np.swapaxes(_array(x), axis1, axis2)


@_either
def expand_dims(x: Tensor, axis: int | tuple[int, ...]) -> Tensor:
    """New axes of length one."""
    return np.expand_dims(_array(x), axis)


@_either
def flip(x: Tensor, axis: Axis = None) -> Tensor:
    """Reversed order along some axes."""
    return np.flip(_array(x), axis)


@_either
def concatenate(xs: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Joined along an existing axis."""
    return np.concatenate([_array(x) for x in xs], axis)


@_either
def stack(x: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Joined along a new axis."""
    return np.stack([_array(part) for part in x], axis)


@_either
def tile(x: Tensor, repeats: Any) -> Tensor:
    """Repeated along its axes."""
    return np.tile(_array(x), repeats)


@_either
def pad(x: Tensor, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Tensor:
    """Extended by (before, after) samples along every axis: zeros by default."""
    values = {} if mode != "constant" else {"constant_values": constant_values or 0}
    return np.pad(_array(x), pad_width, mode, **values)  # type: ignore[call-overload]


@_either
def take(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    """Entries of an axis by their index."""
    return np.take(_array(x), indices, axis)


@_either
def depthwise_conv(inputs: Tensor, kernel: Tensor, strides: int = 1, padding: str = "valid") -> Tensor:
    """Correlation of each channel with its own kernel where the two overlap wholly.

    Args:
        inputs: (B, H, W, C).
        kernel: (n, p, C, 1).
        strides: every how many samples.
        padding: "valid"; on tensors every padding of Keras.

    Returns:
        (B, (H - n) // strides + 1, (W - p) // strides + 1, C).
    """
    checks.require_choice("padding", padding, ("valid",))
    rows, columns = kernel.shape[:2]
    weights = kernel[..., 0]
    if strides == 1 and rows * columns > _FFT_TAPS:
        from scipy.signal import fftconvolve

        return fftconvolve(inputs, weights[None, ::-1, ::-1], mode="valid", axes=(1, 2))
    height, width = inputs.shape[1] - rows + 1, inputs.shape[2] - columns + 1
    total: Any = 0
    for i in range(rows):
        for j in range(columns):
            total = total + weights[i, j] * inputs[:, i : i + height : strides, j : j + width : strides]
    return total


@_either
def fft2(x: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The DFT of the last two axes; real and imaginary part in and out."""
    from scipy import fft

    result = fft.fft2(_complex(*x))
    return result.real, result.imag


@_either
def ifft2(x: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The inverse of `fft2`."""
    from scipy import fft

    result = fft.ifft2(_complex(*x))
    return result.real, result.imag


def _complex(real: Any, imaginary: Any) -> Any:
    values = np.empty(np.broadcast(real, imaginary).shape, np.result_type(real, np.complex64))
    values.real, values.imag = real, imaginary
    return values


@_either
def shape(x: Tensor) -> tuple[Any, ...]:
    """Sizes: numbers where they are known, tensors where they are not."""
    return np.shape(x)


@_either
def cast(x: Tensor, dtype: Any) -> Tensor:
    """The values as another type."""
    return np.asarray(x).astype(dtype)


@_either
def convert_to_tensor(x: Any, dtype: Any = None) -> Tensor:
    """An array of this type: NumPy's, or a tensor where `x` is one or `dtype` belongs to a tensor."""
    return _array(x) if dtype is None else np.asarray(x, dtype)


@_either
def convert_to_numpy(x: Tensor) -> Any:
    """A NumPy array."""
    return _array(x)


@_either
def zeros_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Zeros of the shape and type of `x`."""
    return np.zeros_like(_array(x), dtype)


@_either
def ones_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Ones of the shape and type of `x`."""
    return np.ones_like(_array(x), dtype)


@_either
def full_like(x: Tensor, fill_value: Any, dtype: Any = None) -> Tensor:
    """One value in the shape and type of `x`."""
    return np.full_like(_array(x), fill_value, dtype)


@_either
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Ones on a diagonal."""
    return np.eye(N, M, k, dtype or np.float32)


@_either
def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Tensor:
    """Evenly spaced numbers; int32 or float32 by default."""
    first: Any = 0 if stop is None else start
    last: Any = start if stop is None else stop
    if dtype is None:
        dtype = np.result_type(*map(_array, (first, last, step)))
    return np.arange(first, last, step, dtype)  # type: ignore[call-overload]


def custom_gradient(function: Callable[..., tuple[Tensor, Any]]) -> Callable[..., Tensor]:
    """A function of tensors with its own gradient, as `keras.ops.custom_gradient`; plain arrays need none."""

    @wraps(function)
    def either(*args: Any) -> Tensor:
        return function(*args)[0] if _is_plain(args) else _keras_ops().custom_gradient(function)(*args)

    return either


def dtype_name(x: Tensor) -> str:
    """The name of the type of an array or tensor: "float32"."""
    return str(getattr(x.dtype, "name", x.dtype))


def result_type(*dtypes: Any) -> str:
    """The name of the floating type to which these types promote, at least float32 for integers."""
    if not _is_plain(dtypes):
        from keras import backend

        return str(backend.result_type(*dtypes))
    floats = [dtype for dtype in map(np.dtype, dtypes) if dtype.kind == "f"]
    return str(np.result_type(*floats) if floats else np.dtype(np.float32))
