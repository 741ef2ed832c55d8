"""Inputs and outputs of signatures, and the check of a request against them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hsr_tf import checks
from serving.refusal import shortened
from serving.tensors import Limits, TensorProto, array_of, claimed_shape, dtype_name

FREE = -1


@dataclass(frozen=True)
class Slot:
    """One input or output of a signature.

    Attributes:
        name: as requests and answers spell it.
        dtype: number of the DataType.
        shape: dimensions, `FREE` where any size will do; None for any rank.
    """

    name: str
    dtype: int
    shape: tuple[int, ...] | None

    @classmethod
    def of(cls, name: str, info: Any) -> Slot:
        """From the TensorInfo of a SignatureDef."""
        shape = info.tensor_shape
        return cls(name, info.dtype, None if shape.unknown_rank else tuple(dim.size for dim in shape.dim))

    def __str__(self) -> str:
        sides = "any shape" if self.shape is None else _written(self.shape)
        return f"{self.name} {dtype_name(self.dtype)} {sides}"

    @property
    def has_free_batch(self) -> bool:
        """Whether the first dimension counts samples."""
        return bool(self.shape) and self.shape is not None and self.shape[0] == FREE

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of this shape fits."""
        if self.shape is None:
            return True
        pairs = zip(self.shape, shape, strict=False)
        return len(shape) == len(self.shape) and all(own in (FREE, side) for own, side in pairs)


def _written(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join("?" if side == FREE else str(side) for side in shape) + ")"


@dataclass(frozen=True)
class Signature:
    """The tensors of one function of a model, by name."""

    name: str
    inputs: Mapping[str, Slot]
    outputs: Mapping[str, Slot]

    @classmethod
    def of(cls, name: str, definition: Any) -> Signature:
        """From a SignatureDef."""
        inputs = {key: Slot.of(key, definition.inputs[key]) for key in sorted(definition.inputs)}
        outputs = {key: Slot.of(key, definition.outputs[key]) for key in sorted(definition.outputs)}
        return cls(name, inputs, outputs)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(str(slot) for slot in self.inputs.values())})"

    @property
    def is_batchable(self) -> bool:
        """Whether requests may be computed together: the first dimension of every tensor is free."""
        slots = [*self.inputs.values(), *self.outputs.values()]
        return bool(self.inputs) and all(slot.has_free_batch for slot in slots)


def read_inputs(
    signature: Signature, protos: Mapping[str, TensorProto], limits: Limits
) -> dict[str, np.ndarray]:
    """The arrays of a request, by the names of the inputs.

    Raises:
        ValueError: for a name too many or too few, another dtype, rank or fixed dimension, NaN or infinite
            values, and what `serving.tensors` refuses; the message holds the whole signature.
    """
    given = list(protos)
    extra = sorted(set(given) - set(signature.inputs))
    missing = sorted(set(signature.inputs) - set(given))
    received = [f"no {name}" for name in missing] + [f"unknown {shortened(name)}" for name in extra[:5]]
    checks.require(
        not received,
        "inputs",
        expected=str(signature),
        received=", ".join(received),
        remedy="send exactly these inputs",
    )
    for name, slot in signature.inputs.items():
        shape = claimed_shape(name, protos[name], limits)
        checks.require(
            protos[name].dtype == slot.dtype and slot.takes(shape),
            slot.name,
            expected=f"{slot} in {signature}",
            received=f"{dtype_name(protos[name].dtype)} {_written(shape)}",
            remedy="convert it, or choose the model for this kind of data",
        )
    arrays = {name: array_of(name, protos[name], limits) for name in signature.inputs}
    for name, array in arrays.items():
        _require_finite(name, array)
    return arrays


def _require_finite(name: str, array: np.ndarray) -> None:
    """Like `checks.require_finite`, for every dtype; what stands for all is looked at once."""
    if array.dtype == np.object_ or np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_:
        return
    values = array.reshape(-1)[:1] if array.size and not any(array.strides) else array
    checks.require_finite(name, values)
