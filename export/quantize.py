"""TFLite files of fewer bits, made of the float32 one by ai-edge-quantizer.

    float16   weights of 16 bits, computed in float32
    dynamic   weights of 8 bits, activations rounded to 8 bits by the range that each picture has
    int8      the convolutions in 8-bit integers, ranges from a calibration; what adds a small correction to a
              large picture (the last addition of VDSR, the base of a fusion model) stays in float32
    int8 with integer ends: everything that can be integers, the inputs and outputs too

The mixed recipe of "int8" is what keeps the picture: with the last addition of VDSR in integers the output
has 256 levels over more than its range, and loses 0.28 dB instead of 0.12 on held-out training pictures.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from ai_edge_quantizer import quantizer, recipe, recipe_manager
from ai_edge_quantizer.recipe import AlgorithmName, TFLOperationName

from export.flatbuffer import DEFAULT
from hsr_tf import checks

VARIANTS = ("float32", "float16", "dynamic", "int8")
CONVOLUTIONS = (TFLOperationName.CONV_2D, TFLOperationName.DEPTHWISE_CONV_2D)
Inputs = dict[str, np.ndarray]


def reduced(
    float_model: bytes,
    variant: str,
    *,
    calibration: Callable[[], Iterable[Inputs]],
    integer_ends: bool = False,
) -> bytes:
    """The file in another variant.

    Args:
        float_model: a float32 file with a `serving_default`.
        variant: one of `VARIANTS`.
        calibration: makes real inputs; called for int8 alone.
        integer_ends: inputs and outputs in integers, for int8 alone.

    Raises:
        ValueError: for an unknown variant, integer ends of another one, or no calibration inputs.
    """
    checks.require_choice("variant", variant, VARIANTS)
    checks.require(
        not integer_ends or variant == "int8",
        "integer_ends",
        expected="the variant int8 beside it",
        received=variant,
        remedy="add --variant=int8, or leave it out",
    )
    if variant == "float32":
        return float_model
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        chosen = quantizer.Quantizer(float_model, _recipe(variant, integer_ends))
        ranges = _ranges(chosen, calibration()) if variant == "int8" else None
        return bytes(chosen.quantize(ranges).quantized_model)


def _recipe(variant: str, integer_ends: bool) -> Any:
    if variant == "float16":
        return [_FLOAT16]
    if variant == "dynamic":
        return recipe.dynamic_wi8_afp32()
    if integer_ends:
        return recipe.static_wi8_ai8()
    chosen = recipe_manager.RecipeManager()
    for operation in CONVOLUTIONS:
        chosen.add_static_config(
            regex=".*",
            operation_name=operation,
            activation_num_bits=8,
            weight_num_bits=8,
            algorithm_key=AlgorithmName.MIN_MAX_UNIFORM_QUANT,
        )
    return chosen.get_quantization_recipe()


def _ranges(chosen: quantizer.Quantizer, inputs: Iterable[Inputs]) -> dict[str, Any]:
    """Least and largest value of every tensor over all inputs.

    The quantizer's own average over inputs, which the first ones dominate, cuts highlights off: it loses 0.6
    dB more.
    """
    total: dict[str, Any] = {}
    for one in inputs:
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
