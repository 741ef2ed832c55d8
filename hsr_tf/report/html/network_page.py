"""The page of a network: its graph beside the table of its layers, one HTML file that needs no network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from hsr_tf import __version__
from hsr_tf.files import HTML, replacing_file, require_suffix
from hsr_tf.networks.inspection import Inspection
from hsr_tf.networks.structure import Node, Structure, size_words
from hsr_tf.report.html.graph_layout import Layout, lay_out
from hsr_tf.report.network_table import count, field_text, network_facts, table_note

HERE = Path(__file__).resolve().parent
BOX_WIDTH, BOX_HEIGHT, GAP, MARGIN = 190, 44, 30, 12
LONGEST_NAME, LONGEST_WORDS = 23, 29
# Graphs beyond this are slower to draw than useful.
MOST_BOXES = 1500
JOINS = ("Add", "Concatenate", "Multiply", "Subtract")


@dataclass(frozen=True)
class Box:
    """A layer in the graph, with the activations that follow it.

    Attributes:
        nodes: numbers of the nodes that it stands for.
        inputs: numbers of boxes.
        name, words, size: the lines in it.
        look: class of its style.
    """

    nodes: tuple[int, ...]
    inputs: tuple[int, ...]
    name: str
    words: str
    size: str
    look: str


def write_network_page(found: Inspection, path: str | os.PathLike[str]) -> Path:
    """Write the page, whole or not at all.

    Raises:
        ValueError: `path` does not end in .html.
        OSError: the file cannot be written; what was there before stays.
    """
    target = require_suffix("output", path, HTML)
    text = render_network(found)
    with replacing_file(target) as draft:
        draft.write_text(text, encoding="utf-8")
    return target


def render_network(found: Inspection) -> str:
    """The text of the page."""
    structure = found.structure
    boxes = boxes_of(structure)
    drawn = len(boxes) <= MOST_BOXES
    of_node = {number: index for index, box in enumerate(boxes) for number in box.nodes}
    template = Environment(autoescape=True, trim_blocks=True).from_string(
        (HERE / "network.html").read_text(encoding="utf-8")
    )
    return template.render(
        version=__version__,
        title=f"{found.config.method}: layers",
        facts=[(name, " ".join(value.split())) for name, value in network_facts(found) if value],
        graph=Markup(_graph(boxes, lay_out([box.inputs for box in boxes]))) if drawn else "",
        num_boxes=len(boxes),
        pictures=structure.pictures,
        rows=[_row(number, structure, of_node[number]) for number in range(len(structure.nodes))],
        note=table_note(structure, everything=True),
        style=Markup((HERE / "style.css").read_text(encoding="utf-8")),
    )


def boxes_of(structure: Structure) -> list[Box]:
    """The nodes as boxes; an activation that alone follows a node lies within its box."""
    uses = [0] * len(structure.nodes)
    for node in structure.nodes:
        for number in dict.fromkeys(node.inputs):
            uses[number] += 1
    box_of: dict[int, int] = {}
    groups: list[list[int]] = []
    for number, node in enumerate(structure.nodes):
        alone = len(set(node.inputs)) == 1 and uses[node.inputs[0]] == 1 and len(node.inputs) == 1
        follows = alone and node.is_pointwise and structure.nodes[node.inputs[0]].kind != "InputLayer"
        if follows and node.inputs[0] not in structure.outputs.values():
            box_of[number] = box_of[node.inputs[0]]
            groups[box_of[number]].append(number)
        else:
            box_of[number] = len(groups)
            groups.append([number])
    names = {number: name for name, number in structure.outputs.items()}
    return [_box(group, box_of, structure, names) for group in groups]


def _box(group: list[int], box_of: dict[int, int], structure: Structure, outputs: dict[int, str]) -> Box:
    nodes = [structure.nodes[number] for number in group]
    words = " · ".join(node.words for node in nodes)
    out = [outputs[number] for number in group if number in outputs]
    name = f"{nodes[0].name} → {out[0]}" if out else nodes[0].name
    inputs = dict.fromkeys(box_of[one] for one in nodes[0].inputs)
    size = size_words(nodes[-1].size, structure).replace(" x ", " × ")
    return Box(tuple(group), tuple(inputs), name, words, size, "end" if out else _look(nodes[0]))


def _look(node: Node) -> str:
    if node.kind == "InputLayer":
        return "end"
    if node.kind in JOINS:
        return "join"
    return "learnt" if node.parameters or node.is_again else "fixed"


def _row(number: int, structure: Structure, box: int) -> dict[str, object]:
    node = structure.nodes[number]
    return {
        "box": box,
        "name": node.name,
        "words": node.words,
        "size": size_words(node.size, structure).replace(" x ", " × "),
        "parameters": "again" if node.is_again else f"{node.parameters:,}" if node.parameters else "",
        "fields": [field_text(node, name) for name in structure.pictures],
        "work": count(node.multiply_adds) if node.multiply_adds else "",
    }


def _graph(boxes: list[Box], layout: Layout) -> str:
    """The graph as an SVG element."""
    width = round(layout.width * BOX_WIDTH) + 2 * MARGIN
    height = layout.num_layers * (BOX_HEIGHT + GAP) - GAP + 2 * MARGIN
    return "\n".join(
        [
            f'<svg id="graph" role="img" aria-label="Graph of the network" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">',
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>',
            *(_edge(points) for points in layout.edges.values()),
            *(line for index, box in enumerate(boxes) for line in _drawn(index, box, layout.places[index])),
            "</svg>",
        ]
    )


def _edge(points: tuple[tuple[float, int], ...]) -> str:
    """A curve from the lower edge of a box through the points to the upper edge of another."""
    places = [(MARGIN + x * BOX_WIDTH, MARGIN + layer * (BOX_HEIGHT + GAP)) for x, layer in points]
    x, y = places[0][0], places[0][1] + BOX_HEIGHT
    parts = [f"M{x:.1f} {y:.1f}"]
    for number, (next_x, top) in enumerate(places[1:], 2):
        middle = (y + top) / 2
        parts.append(f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {top:.1f}")
        if number < len(places):
            parts.append(f"V{top + BOX_HEIGHT:.1f}")
        x, y = next_x, top + BOX_HEIGHT
    return f'<path class="edge" d="{"".join(parts)}" marker-end="url(#arrow)"/>'


def _drawn(index: int, box: Box, place: tuple[float, int]) -> Iterator[str]:
    left = MARGIN + place[0] * BOX_WIDTH - (BOX_WIDTH - 14) / 2
    top = MARGIN + place[1] * (BOX_HEIGHT + GAP)
    yield f'<g class="box {box.look}" id="box-{index}" transform="translate({left:.1f} {top})">'
    yield f"<title>{Markup.escape(f'{box.name}: {box.words}, {box.size}')}</title>"
    yield f'<rect width="{BOX_WIDTH - 14}" height="{BOX_HEIGHT}" rx="6"/>'
    lines = ((box.name, "name", 13, LONGEST_NAME), (box.words, "", 26, LONGEST_WORDS), (box.size, "", 39, 40))
    for text, look, y, longest in lines:
        shown = text if len(text) <= longest else f"{text[: longest - 1]}…"
        yield f'<text class="{look}" x="8" y="{y}">{Markup.escape(shown)}</text>'
    yield "</g>"
