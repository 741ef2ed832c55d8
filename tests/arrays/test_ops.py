"""`hsr_tf.arrays.ops` computes on NumPy arrays what `keras.ops` computes on tensors."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from hsr_tf.arrays import ops
from hsr_tf.checks import InputError

RNG = np.random.default_rng(5)


def _f(*shape: int) -> NDArray[np.float32]:
    return RNG.standard_normal(shape).astype(np.float32)


def _positive(*shape: int) -> NDArray[np.float32]:
    return np.abs(_f(*shape)) + 0.1


def _i(*shape: int) -> NDArray[np.int32]:
    return RNG.integers(1, 9, shape).astype(np.int32)


X, Y = _f(2, 3, 4), _f(2, 3, 4)
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("abs", (X,), {}),
    ("abs", (-_i(3),), {}),
    ("any", (X > 0,), {"axis": -1}),
    ("arange", (5,), {}),
    ("arange", (-3, 4), {}),
    ("arange", (5,), {"dtype": "float64"}),
    ("arange", (0.0, 2.0, 0.5), {}),
    ("arctan2", (X, Y), {}),
    ("cast", (X * 9, "int32"), {}),
    ("cast", (3, "float64"), {}),
    ("ceil", (X,), {}),
    ("clip", (X, -0.5, 0.5), {}),
    ("concatenate", ([X, Y], 1), {}),
    ("convert_to_tensor", ([1.0, 2.0],), {}),
    ("convert_to_tensor", (3,), {}),
    ("convert_to_tensor", (X.astype(np.float64),), {}),
    ("convert_to_tensor", (X.astype(np.float64),), {"dtype": "float32"}),
    ("cos", (X,), {}),
    ("cos", (_i(4),), {}),
    ("cumsum", (X,), {"axis": 1}),
    ("depthwise_conv", (_f(2, 9, 8, 3), _f(3, 2, 3, 1)), {}),
    ("depthwise_conv", (_f(2, 12, 13, 3), _f(4, 3, 3, 1)), {"strides": 3}),
    ("depthwise_conv", (_f(1, 20, 18, 2), _f(9, 10, 2, 1)), {}),
    ("divide", (X, np.round(Y)), {}),
    ("einsum", ("bnr,bnc->brc", _f(2, 5, 3), _f(2, 5, 4)), {}),
    ("exp", (X,), {}),
    ("expand_dims", (X, (0, 3)), {}),
    ("eye", (3,), {}),
    ("fft2", ((_f(2, 6, 5), _f(2, 6, 5)),), {}),
    ("flip", (X, (0, 1)), {}),
    ("floor", (X,), {}),
    ("full_like", (X, 3.0), {}),
    ("ifft2", ((_f(2, 6, 5), _f(2, 6, 5)),), {}),
    ("log", (_positive(4),), {}),
    ("log10", (_positive(4),), {}),
    ("logical_and", (X > 0, Y > 0), {}),
    ("logical_not", (X > 0,), {}),
    ("matmul", (_f(3, 4), _f(2, 5, 4, 6)), {}),
    ("matmul", (_f(2, 5, 4), _f(4, 3)), {}),
    ("max", (X,), {"axis": -1, "keepdims": True}),
    ("maximum", (X, 0.0), {}),
    ("maximum", (X, Y), {}),
    ("maximum", (X[0, 0], _i(4)), {}),
    ("mean", (X,), {"axis": (1, 2), "keepdims": True}),
    ("mean", (_i(4),), {}),
    ("minimum", (0.0, X), {}),
    ("mod", (_i(4), 3), {}),
    ("mod", (-_i(4), 3), {}),
    ("ones_like", (X[..., :1],), {}),
    ("pad", (X, [(0, 0), (1, 2), (3, 0)]), {}),
    ("pad", (X, [(0, 0), (1, 2), (3, 0)]), {"mode": "symmetric"}),
    ("relu", (X,), {}),
    ("reshape", (X, (-1, 6)), {}),
    ("shape", (X,), {}),
    ("sin", (X,), {}),
    ("softmax", (X,), {}),
    ("softplus", (X * 30,), {}),
    ("sqrt", (_positive(4),), {}),
    ("square", (X,), {}),
    ("stack", ([X, Y], 2), {}),
    ("sum", (X,), {"axis": (0, 2)}),
    ("sum", (_i(4),), {}),
    ("swapaxes", (X, 1, 2), {}),
    ("take", (X, _i(2) % 3), {"axis": 1}),
    ("tile", (X, (2, 1, 1)), {}),
    ("transpose", (X, (0, 2, 1)), {}),
    ("transpose", (X,), {}),
    ("where", (X > 0, X, 0.0), {}),
    ("where", (X > 0, X, float("nan")), {}),
    ("zeros_like", (X,), {}),
]
APART = {"convert_to_numpy", "custom_gradient", "dtype_name", "result_type"}


def _public() -> set[str]:
    functions = inspect.getmembers(ops, inspect.isfunction)
    return {name for name, f in functions if not name.startswith("_") and f.__module__ == ops.__name__}


def _parts(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize(("name", "args", "named"), CASES)
def test_numpy_and_keras_agree(name: str, args: tuple[Any, ...], named: dict[str, Any]) -> None:
    ours = _parts(getattr(ops, name)(*args, **named))
    theirs = _parts(getattr(keras.ops, name)(*args, **named))
    assert len(ours) == len(theirs)
    for own, other in zip(ours, theirs, strict=True):
        expected = keras.ops.convert_to_numpy(other) if keras.ops.is_tensor(other) else np.asarray(other)
        assert isinstance(own, np.ndarray | np.generic | int)
        if name != "shape":
            assert np.asarray(own).dtype == expected.dtype
        np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "args", "named"), [case for case in CASES if case[0] != "shape"])
def test_tensors_stay_tensors(name: str, args: tuple[Any, ...], named: dict[str, Any]) -> None:
    def as_tensor(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return keras.ops.convert_to_tensor(value)
        return type(value)(map(as_tensor, value)) if isinstance(value, list | tuple) else value

    arrays = [value for value in args if isinstance(value, np.ndarray | list | tuple)]
    if not arrays or not any(map(keras.ops.is_tensor, keras.tree.flatten(as_tensor(list(args))))):
        return
    assert all(map(keras.ops.is_tensor, _parts(getattr(ops, name)(*map(as_tensor, args), **named))))


def test_every_operation_is_compared() -> None:
    assert _public() == {name for name, _, _ in CASES} | APART


def test_a_type_of_a_tensor_makes_a_tensor() -> None:
    tensor = keras.ops.convert_to_tensor(X)
    assert keras.ops.is_tensor(ops.convert_to_tensor(X.astype(np.float64), dtype=tensor.dtype))
    assert ops.dtype_name(tensor) == ops.dtype_name(X) == "float32"


@pytest.mark.parametrize(
    "dtypes", [("int32", "float32"), ("uint16", "float64", "float32"), ("float16", "float32")]
)
def test_types_promote_as_in_keras(dtypes: tuple[str, ...]) -> None:
    assert ops.result_type(*dtypes) == keras.backend.result_type(*dtypes)
    assert ops.result_type(*map(np.dtype, dtypes)) == keras.backend.result_type(*dtypes)
    assert ops.result_type(keras.ops.convert_to_tensor(X).dtype, "float64") == "float64"


def test_symbolic_tensors_pass() -> None:
    symbol = keras.KerasTensor((None, 3, 4))
    assert ops.matmul(symbol, X[0].T).shape == (None, 3, 3)
    assert ops.shape(symbol)[1:] == (3, 4)


def test_a_gradient_of_ones_own_is_used_for_tensors_alone() -> None:
    import tensorflow as tf

    @ops.custom_gradient
    def doubled(x: Any) -> tuple[Any, Any]:
        return 2.0 * x, lambda *upstream, **_: 7.0 * upstream[0]

    np.testing.assert_array_equal(doubled(X), 2.0 * X)
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(doubled(x))
    np.testing.assert_array_equal(tape.gradient(y, x), np.full_like(X, 7.0))


def test_sums_of_many_float32_keep_their_digits() -> None:
    x = RNG.random((1, 512, 512, 2), dtype=np.float32)
    assert ops.mean(x, axis=(1, 2)) == pytest.approx(x.astype(np.float64).mean((1, 2)), rel=1e-7)


def test_another_padding_than_valid_is_refused_for_arrays() -> None:
    with pytest.raises(InputError, match="padding"):
        ops.depthwise_conv(_f(1, 4, 4, 1), _f(3, 3, 1, 1), padding="same")
