"""What every linear operator of the project has in common, and the test that any of them must pass."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from hsr_tf.arrays import ops
from hsr_tf.typing import Tensor


class LinearOperator(ABC):
    """A linear map between tensors with its adjoint under <a, b> = sum(a * b)."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Apply the operator."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """Apply the adjoint (transposed) operator."""

    def __call__(self, x: Tensor) -> Tensor:
        return self.forward(x)


def adjoint_error(
    operator: LinearOperator, shape: tuple[int, ...], *, seed: int = 0, dtype: str = "float64"
) -> float:
    """Relative violation of <A x, y> = <x, A* y> for random x and y.

    Args:
        operator: the operator A.
        shape: shape of x, batch included.
        seed: seed of the random tensors.
        dtype: precision of the computation.

    Returns:
        |<A x, y> - <x, A* y>| / (|A x| |y|), about 1e-16 for a right adjoint in float64 and 1e-7 in float32.
    """
    rng = np.random.default_rng(seed)
    x = ops.convert_to_tensor(rng.standard_normal(shape), dtype=dtype)
    forward = operator.forward(x)
    y = ops.convert_to_tensor(rng.standard_normal(tuple(forward.shape)), dtype=dtype)
    backward = operator.adjoint(y)
    left = float(ops.sum(forward * y))
    right = float(ops.sum(x * backward))
    size = float(ops.sqrt(ops.sum(forward * forward)) * ops.sqrt(ops.sum(y * y)))
    return abs(left - right) / max(size, float(np.finfo(dtype).tiny))
