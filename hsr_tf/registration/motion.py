"""How a transform may change: by a shift, a similarity, an affine map or a perspective.

T is changed to T (1 + sum of p_k G_k), with the generators G_k acting on places from -1 to 1 around the
middle of the coarse image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsr_tf.typing import Array

SHIFT, SIMILARITY, AFFINE, PERSPECTIVE = "shift", "similarity", "affine", "perspective"
MODELS = (SHIFT, SIMILARITY, AFFINE, PERSPECTIVE)
ENTRIES = ((0, 2), (1, 2), (0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1))
NUM_ENTRIES = {SHIFT: 2, AFFINE: 6, PERSPECTIVE: 8}


@dataclass(frozen=True)
class Motion:
    """The changes of a model for a coarse image of this size.

    Attributes:
        model: one of `MODELS`.
        size: (h, w) of the coarse image.
    """

    model: str
    size: tuple[int, int]

    @property
    def generators(self) -> list[Array]:
        """G_k, (3, 3) each."""
        if self.model == SIMILARITY:
            turn = _unit(1, 0) - _unit(0, 1)
            return [_unit(0, 2), _unit(1, 2), np.diag([1.0, 1.0, 0.0]), turn]
        return [_unit(*place) for place in ENTRIES[: NUM_ENTRIES[self.model]]]

    def moved(self, matrix: Array, step: Array) -> Array:
        """The transform changed by p."""
        change = np.eye(3)
        for part, generator in zip(step, self.generators, strict=True):
            change += part * generator
        found = matrix @ np.linalg.inv(self._to_local) @ change @ self._to_local
        return np.asarray(found / found[2, 2])

    def slopes(self, matrix: Array, places: Array) -> Array:
        """Derivatives (n, 2, k) of the places in the sharp image by p."""
        ones = np.column_stack([places, np.ones(len(places))]) @ self._to_local.T
        local = matrix @ np.linalg.inv(self._to_local)
        ends = ones @ local.T
        parts = []
        for generator in self.generators:
            change = ones @ (local @ generator).T
            parts.append((change[:, :2] - ends[:, :2] / ends[:, 2:] * change[:, 2:]) / ends[:, 2:])
        return np.stack(parts, 2)

    @property
    def _to_local(self) -> Array:
        half = max(self.size) / 2
        rows, cols = (n / 2 / half for n in self.size)
        return np.array([[1 / half, 0, -rows], [0, 1 / half, -cols], [0, 0, 1]])


def distance(first: Array, second: Array, size: tuple[int, int]) -> float:
    """By how many coarse pixels two transforms move the corners of an image apart at most."""
    rows, cols = size
    corners = np.array([(0, 0, 1), (0, cols, 1), (rows, 0, 1), (rows, cols, 1)], float)
    ends = [corners @ matrix.T for matrix in (first, second)]
    away = ends[0][:, :2] / ends[0][:, 2:] - ends[1][:, :2] / ends[1][:, 2:]
    return float(np.linalg.norm(away, axis=1).max() / np.sqrt(abs(np.linalg.det(first[:2, :2])) + 1e-12))


def local_ratio(matrix: Array, size: tuple[int, int]) -> float:
    """Sharp pixels per coarse pixel along one side, in the middle."""
    middle = np.array([size[0] / 2, size[1] / 2, 1.0])
    depth = float(matrix[2] @ middle)
    slope = matrix[:2, :2] - np.outer(matrix[:2] @ middle / depth, matrix[2, :2])
    return float(np.sqrt(abs(np.linalg.det(slope))) / abs(depth))


def _unit(row: int, col: int) -> Array:
    unit = np.zeros((3, 3))
    unit[row, col] = 1.0
    return unit
