"""TFLite files of fewer bits, made of the float32 one by ai-edge-quantizer.

    float16   weights of 16 bits, computed in float32
    dynamic   weights of 8 bits, activations rounded to 8 bits by the range that each picture has; not of the
              convolutions next to the inputs and to the output
    int8      convolutions in 8-bit integers, ranges from a calibration; the convolutions next to the inputs
              and to the output, and all that is no convolution, stay in float32 (`IntegerForm`)
    int8 with integer ends: everything that can be integers, the inputs and outputs too

The mixed recipe of "int8" is what keeps the picture. On training images VDSR at x2 loses 0.28 dB with
everything in integers, 0.12 with the last addition in float32, and 0.01 with the first and last convolution
in float32 as well, in the same time. MS-SSFNet at x8 loses 2.9 dB on a training scene with all convolutions
in integers, 1.2 without the first ones and the last, and 0.03 without the two next to each input and the
three next to the output. In the variant "dynamic" its x16 form, so kept, loses 0.11 to 0.28 dB on three
training scenes.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_quantizer import quantizer, recipe, recipe_manager
from ai_edge_quantizer.recipe import AlgorithmName, TFLOperationName
from tqdm import tqdm

from export.edge_convolutions import edge_convolutions
from export.flatbuffer import DEFAULT
from hsr_tf import checks

VARIANTS = ("float32", "float16", "dynamic", "int8")
CONVOLUTIONS = (TFLOperationName.CONV_2D, TFLOperationName.DEPTHWISE_CONV_2D)
# Not the products of matrices: LiteRT refuses those of a constant of 8 bits and the scene's float32.
WITH_WEIGHTS = (*CONVOLUTIONS, TFLOperationName.FULLY_CONNECTED, TFLOperationName.CONV_2D_TRANSPOSE)
Inputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class IntegerForm:
    """What is computed in integers in the variant int8.

    Attributes:
        first, last: convolutions with fewer than so many others between them and an input, or an output, stay
            in float32.
        integer_ends: instead, everything that can be integers, inputs and outputs too.
    """

    first: int = 1
    last: int = 1
    integer_ends: bool = False


OF_PICTURES, OF_SCENES = IntegerForm(1, 1), IntegerForm(2, 3)


def reduced(
    float_model: bytes,
    variant: str,
    *,
    calibration: Callable[[], Iterable[Inputs]],
    form: IntegerForm = OF_PICTURES,
) -> bytes:
    """The file in another variant.

    Args:
        float_model: a float32 file with a `serving_default`.
        variant: one of `VARIANTS`.
        calibration: makes real inputs; called for int8 alone.
        form: of int8.

    Raises:
        ValueError: for an unknown variant, or no calibration inputs.
    """
    checks.require_choice("variant", variant, VARIANTS)
    if variant == "float32":
        return float_model
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        chosen = quantizer.Quantizer(float_model, _recipe(float_model, variant, form))
        ranges = _ranges(chosen, calibration()) if variant == "int8" else None
        return bytes(chosen.quantize(ranges).quantized_model)


def _recipe(float_model: bytes, variant: str, form: IntegerForm) -> list[dict[str, Any]]:
    if variant == "float16":
        return [_FLOAT16]
    if variant == "int8" and form.integer_ends:
        return list(recipe.static_wi8_ai8())
    chosen = recipe_manager.RecipeManager()
    kept = edge_convolutions(float_model, first=form.first, last=form.last)
    in_float = [_in_float(name, operation) for name in kept for operation in CONVOLUTIONS]
    if variant == "dynamic":
        for operation in WITH_WEIGHTS:
            chosen.add_dynamic_config(regex=".*", operation_name=operation, num_bits=8)
        return [*chosen.get_quantization_recipe(), *in_float]
    for operation in CONVOLUTIONS:
        chosen.add_static_config(
            regex=".*",
            operation_name=operation,
            activation_num_bits=8,
            weight_num_bits=8,
            algorithm_key=AlgorithmName.MIN_MAX_UNIFORM_QUANT,
        )
    return [*chosen.get_quantization_recipe(), *in_float]


def _in_float(name: str, operation: TFLOperationName) -> dict[str, Any]:
    return {
        "regex": f"^{re.escape(name)}",
        "operation": operation.value,
        "algorithm_key": "no_quantize",
        "op_config": {},
    }


def _ranges(chosen: quantizer.Quantizer, inputs: Iterable[Inputs]) -> dict[str, Any]:
    """Least and largest value of every tensor over all inputs.

    The quantizer's own average over inputs, which the first ones dominate, cuts highlights off: it loses 0.6
    dB more.
    """
    total: dict[str, Any] = {}
    for one in tqdm(inputs, "calibration", file=sys.__stderr__, unit="patch", leave=False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = chosen.calibrate({DEFAULT: [one]}, num_threads=1)
        for name, values in found.items():
            known = total.setdefault(name, dict(values))
            for bound, wider in (("min", np.minimum), ("max", np.maximum)):
                if bound in values:
                    known[bound] = wider(known[bound], values[bound])
    checks.require(
        bool(total),
        "calibration",
        expected="real inputs for int8",
        received="none",
        remedy="give a folder of pictures or cubes (--calibration_dir)",
    )
    return total


_FLOAT16 = {
    "regex": ".*",
    "operation": "*",
    "algorithm_key": "float_casting",
    "op_config": {
        "weight_tensor_config": {
            "num_bits": 16,
            "symmetric": True,
            "granularity": "TENSORWISE",
            "dtype": "FLOAT",
        },
        "compute_precision": "FLOAT",
        "explicit_dequantize": True,
        "skip_checks": False,
        "min_weight_elements": 0,
    },
}
