"""Boxes lie below what they rest on, never over one another, and edges go from box to box."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from hsr_tf.report.html.graph_layout import lay_out


def random_graph(count: int, seed: int) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [sorted(set(rng.integers(0, box, min(box, 3)).tolist())) for box in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_boxes_lie_apart_and_below_their_inputs(seed: int) -> None:
    inputs = random_graph(40, seed)
    layout = lay_out(inputs)
    assert len(layout.places) == 40
    for box, sources in enumerate(inputs):
        assert all(layout.places[one][1] < layout.places[box][1] for one in sources)
    for layer in range(layout.num_layers):
        row = sorted(x for x, own in layout.places if own == layer)
        assert all(right - left >= 1 - 1e-9 for left, right in pairwise(row))
        assert not row or (row[0] >= 0.5 - 1e-9 and row[-1] <= layout.width - 0.5 + 1e-9)


def test_edges_pass_every_layer_beside_the_boxes() -> None:
    inputs = random_graph(30, 7)
    layout = lay_out(inputs)
    assert set(layout.edges) == {(box, one) for box, sources in enumerate(inputs) for one in sources}
    for (box, one), points in layout.edges.items():
        assert (points[0], points[-1]) == (layout.places[one], layout.places[box])
        assert [layer for _, layer in points] == list(range(points[0][1], points[-1][1] + 1))
        for x, layer in points[1:-1]:
            others = [place for place, own in layout.places if own == layer]
            assert all(abs(x - place) > 0.5 for place in others)


def test_a_chain_is_straight() -> None:
    layout = lay_out([[], [0], [1], [2]])
    assert {x for x, _ in layout.places} == {0.5} and layout.num_layers == 4
    assert lay_out([]).num_layers == 1
