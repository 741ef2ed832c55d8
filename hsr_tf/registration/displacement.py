"""A smooth local displacement between two images, beyond what a matrix explains.

Nodes every few coarse pixels carry a displacement, between them cubic splines. It is found by Gauss-Newton
steps on the residual of `hsr_tf.registration.refinement`, with a penalty on the second differences of the
nodes (thin-plate smoothness on a grid) whose weight is chosen by coarse pixels that are held out. Where
none of the weights explains these better than no displacement there is none.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from hsr_tf.registration.pyramid import Evidence
from hsr_tf.registration.refinement import Fit, Refinement
from hsr_tf.typing import Array, Mask

SPACING, MOST_NODES, FEWEST_NODES, STEPS = 4, 12, 3, 6
WEIGHTS = (1e4, 1e3, 1e2, 1e1, 1e0, 1e-1)
HELD_OUT, BLOCK, SMALLEST_GAIN, SMALLEST_DISPLACEMENT = 5, 3, 0.05, 0.05


def local_displacement(refinement: Refinement, pair: Evidence, fit: Fit) -> Array | None:
    """(n, m, 2) displacement of the nodes in pixels of the sharp file; None where none explains more.

    Args:
        refinement: of the pair; its offsets are zero afterwards.
        pair: the reduced images.
        fit: the transform by a matrix.
    """
    height, width = pair.size
    number = [int(np.clip(n // SPACING + 1, FEWEST_NODES, MOST_NODES)) for n in (height, width)]
    basis = _basis(refinement.places, pair.size, (number[0], number[1]))
    penalty = _penalty((number[0], number[1]))
    blocks = (refinement.places // BLOCK).astype(int)
    held_out: Mask = (blocks[:, 0] + 2 * blocks[:, 1]) % HELD_OUT == 0
    errors = {0.0: _error(refinement, fit, held_out)}
    for weight in WEIGHTS:
        _solved(refinement, fit, basis, weight * penalty, ~held_out)
        errors[weight] = _error(refinement, fit, held_out)
        refinement.offsets = np.zeros_like(refinement.offsets)
    best = min(errors, key=lambda weight: errors[weight])
    if not best or errors[best] > (1 - SMALLEST_GAIN) * errors[0.0]:
        return None
    nodes = _solved(refinement, fit, basis, best * penalty, np.ones(len(held_out), bool))
    refinement.offsets = np.zeros_like(refinement.offsets)
    field = np.asarray(nodes.reshape(number[0], number[1], 2) * pair.hr_step)
    return field if float(np.abs(field).max()) >= SMALLEST_DISPLACEMENT else None


def _solved(refinement: Refinement, fit: Fit, basis: Array, penalty: Array, used: Mask) -> Array:
    """(number of nodes, 2) by Gauss-Newton on these coarse pixels; the offsets of the refinement follow."""
    nodes = np.zeros((basis.shape[1], 2))
    for _ in range(STEPS):
        flow = refinement.flow(fit)
        if flow is None:
            break
        residual, slopes = flow.residual[used], flow.slopes[used]
        columns = np.einsum("nca,nk->ncak", slopes, basis[used]).reshape(residual.size, -1)
        normal = columns.T @ columns / len(residual) + np.kron(np.eye(2), penalty) * _unit(slopes)
        gradient = columns.T @ residual.ravel() / len(residual)
        gradient += (penalty @ nodes * _unit(slopes)).T.ravel()
        step = np.linalg.lstsq(normal, -gradient, rcond=None)[0].reshape(2, -1).T
        nodes = nodes + step
        refinement.offsets = basis @ nodes
        if np.abs(step).max() < 1e-3:
            break
    return nodes


def _unit(slopes: Array) -> float:
    """The mean squared slope: penalties are in its units."""
    return float(np.square(slopes).sum((1, 2)).mean()) / slopes.shape[0]


def _error(refinement: Refinement, fit: Fit, held_out: Mask) -> float:
    flow = refinement.flow(fit)
    return float("inf") if flow is None else float(np.square(flow.residual[held_out]).sum())


def _basis(places: Array, size: tuple[int, int], number: tuple[int, int]) -> Array:
    """(n, number of nodes), the splines of `Transform.displaced` at places."""
    where = (places / np.array(size) * (np.array(number) - 1)).T
    order = min(3, min(number) - 1)
    unit, columns = np.zeros(number), []
    for node in np.ndindex(*number):
        unit[node] = 1.0
        columns.append(ndimage.map_coordinates(unit, where, order=order, mode="nearest"))
        unit[node] = 0.0
    return np.stack(columns, 1)


def _penalty(number: tuple[int, int]) -> Array:
    """The squares of all second differences of the nodes, as a matrix; none at all makes a field free."""
    index = np.arange(number[0] * number[1]).reshape(number)
    rows = []
    for triple in (
        np.stack([index[:-2], index[1:-1], index[2:]], -1).reshape(-1, 3),
        np.stack([index[:, :-2], index[:, 1:-1], index[:, 2:]], -1).reshape(-1, 3),
    ):
        for first, middle, last in triple:
            row = np.zeros(index.size)
            row[[first, middle, last]] = 1, -2, 1
            rows.append(row)
    mixed = np.stack([index[:-1, :-1], index[1:, 1:], index[:-1, 1:], index[1:, :-1]], -1).reshape(-1, 4)
    for a, b, c, d in mixed:
        row = np.zeros(index.size)
        row[[a, b, c, d]] = 1, 1, -1, -1
        rows.append(row)
    differences = np.array(rows)
    return np.asarray(differences.T @ differences + 1e-4 * np.eye(index.size))
