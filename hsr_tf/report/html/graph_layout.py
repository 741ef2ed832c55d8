"""Where the boxes of a graph lie that is drawn from top to bottom, and where its edges bend.

K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of hierarchical system structures", IEEE
Transactions on Systems, Man, and Cybernetics 11(2), 1981: every box lies one layer below the lowest of those
that it rests on; an edge over several layers passes a point on each; within a layer everything is ordered by
the mean place of its neighbours, above and below in turn. Places are then the least-squares compromise
between those of the neighbours and the distances that boxes need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import isotonic_regression

SWEEPS = 12
POINT_WIDTH = 0.18


@dataclass(frozen=True)
class Layout:
    """Places of boxes and edges, in widths of a box from left to right and in layers from top to bottom.

    Attributes:
        places: (x, layer) of the middle of each box.
        edges: for each pair (box, its input), the points from the input to the box.
        width: of everything, in boxes.
        num_layers: rows of boxes.
    """

    places: tuple[tuple[float, int], ...]
    edges: dict[tuple[int, int], tuple[tuple[float, int], ...]]
    width: float
    num_layers: int


@dataclass
class _Graph:
    """Boxes and points of edges as vertices: their layers, widths and neighbours above and below."""

    layers: list[int]
    widths: list[float]
    above: list[list[int]] = field(default_factory=list)
    below: list[list[int]] = field(default_factory=list)
    paths: dict[tuple[int, int], list[int]] = field(default_factory=dict)


def lay_out(inputs: Sequence[Sequence[int]]) -> Layout:
    """Lay a graph out.

    Args:
        inputs: of each box, the numbers of the boxes that it rests on, all smaller than its own.
    """
    graph = _with_points(inputs)
    rows: list[list[int]] = [[] for _ in range(max(graph.layers, default=0) + 1)]
    for vertex, layer in enumerate(graph.layers):
        rows[layer].append(vertex)
    _order(rows, graph)
    x = _place(rows, graph)
    x -= min((x[v] - graph.widths[v] / 2 for v in range(len(x))), default=0.0)
    places = tuple((float(x[v]), graph.layers[v]) for v in range(len(inputs)))
    edges = {pair: tuple((float(x[v]), graph.layers[v]) for v in path) for pair, path in graph.paths.items()}
    width = max((float(x[v]) + graph.widths[v] / 2 for v in range(len(x))), default=0.0)
    return Layout(places, edges, width, len(rows))


def _with_points(inputs: Sequence[Sequence[int]]) -> _Graph:
    layers: list[int] = []
    for sources in inputs:
        layers.append(1 + max((layers[one] for one in sources), default=-1))
    # What rests on nothing stands right above its first use.
    uses: dict[int, int] = {}
    for box, sources in enumerate(inputs):
        for one in sources:
            uses[one] = min(uses.get(one, layers[box]), layers[box])
    for box, sources in enumerate(inputs):
        if not sources and box in uses:
            layers[box] = uses[box] - 1
    graph = _Graph(layers, [1.0] * len(inputs), [[] for _ in inputs], [[] for _ in inputs])
    for box, sources in enumerate(inputs):
        for one in dict.fromkeys(sources):
            path = [one]
            for layer in range(layers[one] + 1, layers[box]):
                graph.layers.append(layer)
                graph.widths.append(POINT_WIDTH)
                graph.above.append([path[-1]])
                graph.below.append([])
                graph.below[path[-1]].append(len(graph.layers) - 1)
                path.append(len(graph.layers) - 1)
            graph.below[path[-1]].append(box)
            graph.above[box].append(path[-1])
            graph.paths[box, one] = [*path, box]
    return graph


def _order(rows: list[list[int]], graph: _Graph) -> None:
    """Order each row by the mean position of the neighbours above, then below, several times."""
    position = np.zeros(len(graph.layers))
    for row in rows:
        position[row] = np.arange(len(row)) - len(row) / 2
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        neighbours = graph.above if down else graph.below
        for row in rows if down else reversed(rows):
            row.sort(key=lambda v: np.mean(position[neighbours[v]]) if neighbours[v] else position[v])
            position[row] = np.arange(len(row)) - len(row) / 2


def _place(rows: list[list[int]], graph: _Graph) -> np.ndarray:
    """Places in boxes: near the neighbours, at least half the widths and a gap apart, in the given order."""
    x = np.zeros(len(graph.layers))
    widths = np.asarray(graph.widths)
    for row in rows:
        x[row] = _apart(np.zeros(len(row)), widths[row])
    for sweep in range(2 * SWEEPS):
        down = sweep % 2 == 0
        neighbours = graph.above if down else graph.below
        for row in rows if down else reversed(rows):
            wanted = [np.mean(x[neighbours[v]]) if neighbours[v] else x[v] for v in row]
            x[row] = _apart(np.asarray(wanted), widths[row])
    return x


def _apart(wanted: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """The places nearest to those wanted, in their order, that leave room for the widths."""
    steps = (widths[1:] + widths[:-1]) / 2 + 0.12
    offsets = np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(isotonic_regression(wanted - offsets).x) + offsets
