"""A network on a terminal of 80 columns: facts above, then a line for each layer."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping

from rich.table import Column, Table

from hsr_tf.networks.inspection import Inspection
from hsr_tf.networks.structure import WHOLE, Field, Node, Structure, size_words
from hsr_tf.report.screen import plain_table

NAME_WIDTH, WORDS_WIDTH, VALUE_WIDTH = 17, 13, 62
BYTES = 4


def network_facts(found: Inspection) -> list[tuple[str, str]]:
    """What is known of the network as a whole, as names and values."""
    structure = found.structure
    options = dict(found.config.options)
    inputs = [
        f"{node.name} {size_words(node.size, structure)}"
        for node in structure.nodes
        if node.kind == "InputLayer"
    ]
    outputs = [
        f"{name} {size_words(structure.nodes[number].size, structure)}"
        for name, number in structure.outputs.items()
    ]
    base = getattr(found.config, "base", "none")
    rows = [
        ("network", found.fit),
        ("model", "" if found.folder is None else str(found.folder)),
        ("what it is", found.summary),
        ("options", ", ".join(f"{name}={value}" for name, value in sorted(options.items()))),
        ("base", "" if base == "none" else f"{base}, a closed form beside the network"),
        ("inputs", ", ".join(inputs)),
        ("outputs", ", ".join(outputs)),
        ("parameters", parameter_words(structure)),
        ("receptive field", field_words(structure.receptive_field)),
        ("with its base", "" if found.margin is None else f"{found.margin} coarse pixels on each side"),
        ("multiply-adds", work_words(structure)),
    ]
    indent = " " * (max(len(name) for name, value in rows) + 2)
    return [
        (name, textwrap.fill(value, VALUE_WIDTH, break_on_hyphens=False).replace("\n", f"\n{indent}"))
        for name, value in rows
    ]


def parameter_words(structure: Structure) -> str:
    """The number of parameters, those that are not trained, and the memory that they take in float32."""
    fixed = structure.fixed_parameters
    trained = "all trained" if not fixed else f"{fixed:,} of them fixed"
    return f"{structure.parameters:,}, {trained}; {BYTES * structure.parameters / 1e6:.3g} MB in float32"


def field_words(fields: Mapping[str, Field]) -> str:
    """How far a pixel of the estimate looks, for each picture."""
    parts = []
    for name, width in fields.items():
        if width is None:
            parts.append(f"not known for {name}")
        else:
            parts.append(f"all of {name}" if width == WHOLE else f"{width} x {width} pixels of {name}")
    return ", ".join(parts)


def work_words(structure: Structure) -> str:
    """Multiply-adds of convolutions and dense layers, per pixel of the estimate and per picture."""
    once = structure.multiply_adds_once
    beside = f", and {once:,} per picture" if once else ""
    return f"{count(structure.multiply_adds)} per pixel of the estimate{beside}"


def network_table(structure: Structure, *, everything: bool = False) -> Table:
    """A line for each layer, in the order of the computation.

    Args:
        structure: the network.
        everything: also show activations, sums and other layers without parameters that change no size, and
            every further call of a layer.
    """
    fields = [Column(name, justify="right", no_wrap=True) for name in structure.pictures]
    table = plain_table(
        Column("layer", style="bold", max_width=NAME_WIDTH, overflow="fold"),
        Column("what", max_width=WORDS_WIDTH, overflow="fold"),
        Column("size", no_wrap=True),
        Column("params", justify="right", no_wrap=True),
        *fields,
        Column("mult-adds", justify="right", no_wrap=True),
    )
    table.padding = (0, 1, 0, 0)
    for node in structure.nodes if everything else shown_nodes(structure):
        looks = [field_text(node, name) for name in structure.pictures]
        parameters = "again" if node.is_again else f"{node.parameters:,}" if node.parameters else ""
        work = count(node.multiply_adds) if node.multiply_adds else ""
        size = size_words(node.size, structure).replace(" x ", "×")
        table.add_row(node.name, node.words, size, parameters, *looks, work)
    return table


def table_note(structure: Structure, *, everything: bool = False) -> str:
    """What the columns are, and what is not listed."""
    lines = [f"{', '.join(structure.pictures)}: receptive field, pixels along one side."]
    if any(WHOLE in node.receptive_field.values() for node in structure.nodes):
        lines[0] = f"{lines[0][:-1]} (all: the whole picture)."
    lines.append("mult-adds: of convolutions and dense layers, per pixel of the estimate.")
    hidden = len(structure.nodes) - len(shown_nodes(structure))
    if hidden and not everything:
        lines.append(f"Not listed: {hidden} without parameters or called again; add --all.")
    return "\n".join(lines)


def shown_nodes(structure: Structure) -> list[Node]:
    """The nodes without activations, sums and the like, and without what is computed again."""
    again: set[int] = set()
    for number, node in enumerate(structure.nodes):
        if node.is_again or (not node.parameters and again.intersection(node.inputs)):
            again.add(number)
    kept = []
    for number, node in enumerate(structure.nodes):
        plain = node.is_pointwise or node.kind in ("GetItem", "Reshape")
        if number not in again and (node.parameters or not plain):
            kept.append(node)
    return kept


def field_text(node: Node, name: str) -> str:
    """The receptive field of a node's samples in one picture; empty for the picture itself."""
    if node.kind == "InputLayer":
        return ""
    width = node.receptive_field.get(name, "")
    return "?" if width is None else "all" if width == WHOLE else str(width)


def count(value: float) -> str:
    """A number of operations: whole, or of two digits where it is below 10."""
    return f"{value:,.0f}" if value >= 10 or math.isclose(value, round(value)) else f"{value:.2g}"
