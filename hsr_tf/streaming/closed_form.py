"""The closed forms in parts: `spectral_ls` by its shared map, `bicubic` by wider windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hsr_tf.arrays import ops
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.streaming.files import Cube
from hsr_tf.streaming.job import Scenery, Stage
from hsr_tf.streaming.least_squares import BICUBIC, StreamedMap

ESTIMATE = "estimate"


class SpectralLSTiles:
    """`spectral_ls` tile by tile.

    Args:
        scenery: the images and the tiles.
    """

    def __init__(self, scenery: Scenery) -> None:
        self._scenery = scenery
        self._map = StreamedMap(scenery, scenery.found.cameras)

    def stages(self) -> list[Stage]:
        """The fit of the map, and its parts."""
        return [self._map.stage(), Stage(ESTIMATE, len(self._scenery.grid), self._tile)]

    def final(self, index: int) -> Cube:
        """The estimate (s h, s w, C) of a tile."""
        return self._scenery.draft.load(ESTIMATE, index)

    def _tile(self, index: int) -> None:
        part = self._map.part(self._map.shared(), self._scenery.grid.place(index))
        self._scenery.draft.save(ESTIMATE, index, part.estimate)


class BicubicTiles:
    """`bicubic` tile by tile.

    Args:
        scenery: the images and the tiles.
    """

    def __init__(self, scenery: Scenery) -> None:
        self._scenery = scenery

    def stages(self) -> list[Stage]:
        """The only one."""
        return [Stage(ESTIMATE, len(self._scenery.grid), self._tile)]

    def final(self, index: int) -> Cube:
        """The estimate (s h, s w, C) of a tile."""
        return self._scenery.draft.load(ESTIMATE, index)

    def _tile(self, index: int) -> None:
        scenery = self._scenery
        place = scenery.grid.place(index)
        window = scenery.grid.widened(place, BICUBIC)
        large = bicubic_enlarge(ops.convert_to_tensor(scenery.coarse(window)[None]), scenery.grid.scale)
        inner = place.within(window, scenery.grid.scale)
        scenery.draft.save(ESTIMATE, index, np.asarray(ops.convert_to_numpy(large))[0][inner])


CLOSED_FORMS: dict[str, Callable[[Scenery], Any]] = {"bicubic": BicubicTiles, "spectral_ls": SpectralLSTiles}
