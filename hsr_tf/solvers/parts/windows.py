"""Windows of a scene that overlap and fade into each other, so that a large scene is solved part by part."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """A rectangle on the coarse grid.

    Attributes:
        rows, columns: slices of coarse pixels.
        scale: s.
    """

    rows: slice
    columns: slice
    scale: int

    @property
    def coarse(self) -> tuple[slice, slice]:
        """Where it lies in X."""
        return self.rows, self.columns

    @property
    def sharp(self) -> tuple[slice, slice]:
        """Where it lies in Y."""
        return self._enlarged(self.rows), self._enlarged(self.columns)

    def _enlarged(self, part: slice) -> slice:
        return slice(part.start * self.scale, part.stop * self.scale)


@dataclass(frozen=True)
class Cover:
    """Windows that cover a coarse image, all of nearly one size.

    Attributes:
        coarse_size: (h, w).
        scale: s.
        size: largest side in coarse pixels; an image up to half as large again is one window.
        overlap: coarse pixels that neighbours share.
    """

    coarse_size: tuple[int, int]
    scale: int
    size: int
    overlap: int

    def windows(self) -> list[Window]:
        """All of them, row by row."""
        rows, columns = (_spans(n, self.size, self.overlap) for n in self.coarse_size)
        return [Window(row, column, self.scale) for row in rows for column in columns]

    def weights(self, window: Window) -> NDArray[np.float32]:
        """(s h', s w') that sum to one over the windows: ramps where neighbours overlap."""
        sides = zip(window.coarse, self.coarse_size, strict=True)
        ramps = [_ramp(part, whole, self.overlap, self.scale) for part, whole in sides]
        return np.outer(*ramps).astype(np.float32)


def _spans(length: int, size: int, overlap: int) -> list[slice]:
    if length <= size + size // 2:
        return [slice(0, length)]
    count = int(np.ceil((length - overlap) / (size - overlap)))
    edges = np.round(np.linspace(0, length - overlap, count + 1)).astype(int)
    return [slice(int(a), int(b) + overlap) for a, b in pairwise(edges)]


def _ramp(part: slice, whole: int, overlap: int, scale: int) -> NDArray[np.float64]:
    weights = np.ones((part.stop - part.start) * scale)
    rise = (np.arange(overlap * scale) + 0.5) / (overlap * scale)
    if part.start > 0:
        weights[: len(rise)] = rise
    if part.stop < whole:
        weights[len(weights) - len(rise) :] = rise[::-1]
    return weights
