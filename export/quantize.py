"""TFLite files of fewer bits, made of the float32 one by ai-edge-quantizer.

    float16   weights of 16 bits, computed in float32
    dynamic   weights of 8 bits; convolutions on activations rounded to 8 bits by the range that each picture
              has, those next to the inputs and to the output on float32 (`IntegerForm`)
    int8      weights of 8 bits; convolutions in 8-bit integers, ranges from a calibration, those next to the
              inputs and to the output on float32
    int8 with integer ends: everything that can be integers, the inputs and outputs too

Transposed convolutions have weights of 8 bits in the last three but the last, and compute on float32:
LiteRT's kernel for rounded activations is several times slower. Small products of matrices stay as they are
(`FEWEST_OF_PRODUCTS`).

The mixed recipe of "int8" is what keeps the picture. On training images VDSR at x2 loses 0.28 dB with
everything in integers, 0.12 with the last addition in float32, and 0.01 with the first and last convolution
on float32 as well, in the same time. MS-SSFNet at x8 loses 2.9 dB on a training scene with all convolutions
in integers, 1.2 without the first ones and the last, and 0.03 without the two next to each input and the
three next to the output.
In "dynamic" MS-SSFNet loses 0.51 dB at x8 and 0.43 at x16 on four training scenes that calibrate nothing with
all weights of 8 bits, every hundredth of it by products with the cameras' response, whether activations are
rounded or not; 0.00 and 0.01 with those in float32.
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
from ai_edge_quantizer import calibrator, quantizer, recipe, recipe_manager
from ai_edge_quantizer.recipe import TFLOperationName
from tqdm import tqdm

from export.edge_convolutions import edge_convolutions
from hsr_tf import checks
from hsr_tf.networks.model_info import DEFAULT

VARIANTS = ("float32", "float16", "dynamic", "int8")
CONVOLUTIONS = (TFLOperationName.CONV_2D, TFLOperationName.DEPTHWISE_CONV_2D)
# Products with a constant of fewer weights stay in float32. They are closed forms (a camera's response and
# its inverse, codes of a blur) on which the whole estimate stands, and 8 bits would save some kB.
FEWEST_OF_PRODUCTS = 2**14
Inputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class IntegerForm:
    """What is computed in integers in the variants int8 and dynamic.

    Attributes:
        first, last: convolutions with fewer than so many others between them and an input, or an output,
            compute on float32, as they do in the variant dynamic.
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
        form: of int8 and dynamic.

    Raises:
        ValueError: for an unknown variant, or no calibration inputs.
    """
    checks.require_choice("variant", variant, VARIANTS)
    if variant == "float32":
        return float_model
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(action="ignore"),
    ):
        wanted = _recipe(float_model, variant, form)
        ranges = _ranges(float_model, wanted, calibration()) if variant == "int8" else None
        return bytes(quantizer.Quantizer(float_model, wanted).quantize(ranges).quantized_model)


def _recipe(float_model: bytes, variant: str, form: IntegerForm) -> list[dict[str, Any]]:
    if variant == "float16":
        return [_FLOAT16]
    if variant == "int8" and form.integer_ends:
        return list(recipe.static_wi8_ai8())
    chosen = recipe_manager.RecipeManager()
    for operation in CONVOLUTIONS:
        if variant == "dynamic":
            chosen.add_dynamic_config(regex=".*", operation_name=operation, num_bits=8)
        else:
            chosen.add_static_config(
                regex=".*", operation_name=operation, activation_num_bits=8, weight_num_bits=8
            )
    on_floats = [(".*", TFLOperationName.CONV_2D_TRANSPOSE), (".*", TFLOperationName.FULLY_CONNECTED)]
    for name in edge_convolutions(float_model, first=form.first, last=form.last):
        on_floats += [(f"^{re.escape(name)}", operation) for operation in CONVOLUTIONS]
    return [*chosen.get_quantization_recipe(), *(_weights_only(*where) for where in on_floats)]


def _weights_only(regex: str, operation: TFLOperationName) -> dict[str, Any]:
    """Weights of 8 bits, one step a channel, made float32 again before the operator computes."""
    chosen = recipe_manager.RecipeManager()
    chosen.add_weight_only_config(regex=regex, operation_name=operation, num_bits=8)
    (wanted,) = chosen.get_quantization_recipe()
    if operation == TFLOperationName.FULLY_CONNECTED:
        wanted["op_config"]["min_weight_elements"] = FEWEST_OF_PRODUCTS
    return wanted


def _ranges(content: bytes, wanted: list[dict[str, Any]], inputs: Iterable[Inputs]) -> dict[str, Any]:
    """Least and largest value over all inputs of every tensor that becomes integers.

    The quantizer's own average over inputs, which the first ones dominate, cuts highlights off: it loses 0.6
    dB more.
    """
    chosen = recipe_manager.RecipeManager()
    chosen.load_quantization_recipe(wanted)
    found = calibrator.Calibrator(content, num_threads=1, qsv_update_func=_widened)
    for one in tqdm(inputs, "calibration", file=sys.__stderr__, unit="patch", leave=False):
        found.calibrate({DEFAULT: [one]}, chosen)
    ranges = found.get_model_qsvs()
    checks.require(
        bool(ranges),
        "calibration",
        expected="real inputs for int8",
        received="none",
        remedy="give a folder of pictures or cubes (--calibration_dir)",
    )
    return ranges


def _widened(known: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """The range that holds both; constants have none."""
    bounds = (("min", np.minimum), ("max", np.maximum))
    return known | {
        bound: wider(known.get(bound, found[bound]), found[bound])
        for bound, wider in bounds
        if bound in found
    }


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
