"""Overlapping windows that blend into each other, so that a large scene is solved part by part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsr_tf.tiling.region import Region, overlapping_parts, regions
from hsr_tf.typing import Size


@dataclass(frozen=True)
class Cover:
    """Windows that cover a coarse image, all of nearly the same size.

    Attributes:
        coarse_size: (h, w).
        scale: sharp pixels per coarse pixel along one side.
        size: largest side in coarse pixels; an image of up to one and a half sides is one window.
        overlap: coarse pixels that neighbours share.
    """

    coarse_size: Size
    scale: int
    size: int
    overlap: int

    def windows(self) -> list[Region]:
        """All of them in coarse pixels, row by row."""
        return regions(*(overlapping_parts(n, self.size, self.overlap) for n in self.coarse_size))

    def weights(self, window: Region) -> NDArray[np.float32]:
        """(s h', s w') that sum to one over the windows: ramps where neighbours overlap."""
        rows, columns = map(self._ramp, window.slices, self.coarse_size)
        return np.outer(rows, columns).astype(np.float32)

    def _ramp(self, part: slice, length: int) -> NDArray[np.float64]:
        weights = np.ones((part.stop - part.start) * self.scale)
        rise = (np.arange(self.overlap * self.scale) + 0.5) / (self.overlap * self.scale)
        if part.start > 0:
            weights[: len(rise)] = rise
        if part.stop < length:
            weights[len(weights) - len(rise) :] = rise[::-1]
        return weights
