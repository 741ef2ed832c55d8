"""A TFLite file on LiteRT, as a device runs it: NumPy in, NumPy out, no TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from export.flatbuffer import tflite_metadata
from hsr_tf import checks
from hsr_tf.networks.model_info import DEFAULT, WHAT_MODELS_DO


class TFLiteModel:
    """The function `serving_default` of a file.

    Args:
        model: path or content of a file that `export.tflite` wrote.
        num_threads: of the interpreter.

    Attributes:
        info: its metadata.
        input_shapes: by name, -1 where a size is free.

    Raises:
        ValueError: content that is no such file, or wrong metadata.
        OSError: a file that is missing or cannot be read.
    """

    def __init__(self, model: str | os.PathLike[str] | bytes, *, num_threads: int = 1) -> None:
        content = model if isinstance(model, bytes) else _content(Path(model))
        self.info = tflite_metadata(content)
        try:
            self._interpreter = Interpreter(model_content=content, num_threads=num_threads)
            self._function = self._interpreter.get_signature_runner(DEFAULT)
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0][:200]
            raise checks.InputError(
                "model", expected="a file that LiteRT runs", received=reason, remedy="export it again"
            ) from None
        self._inputs = self._function.get_input_details()
        self._outputs = self._function.get_output_details()
        self.input_shapes = {
            name: tuple(int(n) for n in (one["shape_signature"] if one["shape_signature"].size else ()))
            for name, one in self._inputs.items()
        }

    @property
    def metadata(self) -> dict[str, Any]:
        """`info` as JSON data."""
        return self.info.to_json()

    def fixed_size(self, name: str) -> tuple[int, int] | None:
        """Rows and columns of the images that an input takes; None for any."""
        rows, columns = self.input_shapes[name][1:3]
        return None if -1 in (rows, columns) else (rows, columns)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name, float32; integer ends are scaled here.

        Raises:
            ValueError: other names, a rank or a fixed size that the file does not take, sizes that LiteRT
                cannot work on.
        """
        checks.require(
            set(inputs) == set(self._inputs),
            "inputs",
            expected=", ".join(sorted(self._inputs)),
            received=", ".join(sorted(inputs)),
            remedy="give these",
        )
        for name, value in inputs.items():
            shape = self.input_shapes[name]
            fits = len(shape) == value.ndim and all(
                n in (-1, m) for n, m in zip(shape, value.shape, strict=True)
            )
            checks.require(
                fits,
                name,
                expected=f"a shape of {shape}",
                received=str(value.shape),
                remedy="cut it into tiles, or export other sizes",
            )
        given = {name: _to_integers(value, self._inputs[name]) for name, value in inputs.items()}
        try:
            found = self._function(**given)
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0][:200]
            sizes = ", ".join(f"{name} {value.shape}" for name, value in inputs.items())
            raise checks.InputError(
                "inputs",
                expected="what the file can work on",
                received=f"{sizes} ({reason})",
                remedy="give other sizes",
            ) from None
        return {name: _to_floats(value, self._outputs[name]) for name, value in found.items()}


def require_kind(model: TFLiteModel, kind: str) -> None:
    """Refuse a file that does something else.

    Raises:
        ValueError: in one line.
    """
    checks.require(
        model.info.kind == kind,
        "model",
        expected=f"a file that {WHAT_MODELS_DO[kind]}",
        received=f"one that {WHAT_MODELS_DO[model.info.kind]}",
        remedy="give another file, or other inputs",
    )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise checks.file_error(path, f"cannot be read ({error.strerror})", "check the path") from None


def _to_integers(value: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    """Real values in the type of an input."""
    if detail["dtype"] == np.float32:
        return np.ascontiguousarray(value, np.float32)
    step, zero = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.rint(value / step) + zero, limits.min, limits.max).astype(detail["dtype"])


def _to_floats(value: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    """Real values of an output."""
    if value.dtype == np.float32:
        return value
    step, zero = detail["quantization"]
    return (value.astype(np.float32) - zero) * np.float32(step)
