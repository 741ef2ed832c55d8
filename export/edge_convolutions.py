"""Which convolutions of a TFLite file stand near its inputs or its output.

They are the ones that 8 bits harm: the first see inputs of very different sizes under one range (a cube
beside what a closed form leaves of it, a hundredth as large), and the last make a small correction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

CONVOLUTIONS = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D)


def edge_convolutions(content: bytes, *, first: int, last: int) -> list[str]:
    """Names of the output tensors of convolutions near the edges.

    Args:
        content: a TFLite file.
        first: those with fewer than so many convolutions between them and an input of the file.
        last: those with fewer than so many between them and an output.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = model.subgraphs[0]
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    steps = [(op, int(codes[op.opcodeIndex] in CONVOLUTIONS)) for op in graph.operators]
    from_input = _fewest(graph.inputs, steps, _inputs, _outputs)
    to_output = _fewest(graph.outputs, reversed(steps), _outputs, _inputs)
    names = []
    for op, is_convolution in steps:
        before = min((from_input[i] for i in op.inputs if i in from_input), default=first)
        after = min((to_output[i] for i in op.outputs if i in to_output), default=last)
        if is_convolution and (before < first or after < last):
            names.append(graph.tensors[op.outputs[0]].name.decode())
    return names


def _fewest(
    start: Iterable[int],
    steps: Iterable[tuple[Any, int]],
    sources: Callable[[Any], Iterable[int]],
    targets: Callable[[Any], Iterable[int]],
) -> dict[int, int]:
    """Convolutions on the shortest way from `start` to each tensor that can be reached, steps in order."""
    counts = dict.fromkeys(start, 0)
    for op, is_convolution in steps:
        reached = [counts[i] for i in sources(op) if i in counts]
        for i in targets(op) if reached else ():
            counts[i] = min(counts.get(i, min(reached) + is_convolution), min(reached) + is_convolution)
    return counts


def _inputs(op: Any) -> list[int]:
    return [i for i in op.inputs if i >= 0]


def _outputs(op: Any) -> list[int]:
    return list(op.outputs)
