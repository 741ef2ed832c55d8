"""A callable of two images, run over the parts of a scene."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hsr_tf.arrays import ops
from hsr_tf.closed_forms.spectral_ls import ESTIMATE, SceneMap
from hsr_tf.physics.tiled_pair import TiledPair
from hsr_tf.tiling.stages import Stage, StagedMethod
from hsr_tf.typing import Cube, Tensor


class Windowed(StagedMethod):
    """Windows that are wider than a tile by all that an estimated pixel looks at.

    Args:
        pair: the images and the tiles.
        fuse: makes (1, s h, s w, C) of X (1, h, w, C) and Y (1, s h, s w, c) of a window.
        margin: coarse pixels that it looks at on each side; None for a method that rests on the whole scene,
            which must be one tile then.
        agreeing: whether it uses both images, so that coarse pixels without data have to agree with both.
    """

    def __init__(
        self, pair: TiledPair, fuse: Callable[[Tensor, Tensor], Tensor], *, margin: int | None, agreeing: bool
    ) -> None:
        self._pair, self._fuse, self._margin = pair, fuse, max(pair.grid.size) if margin is None else margin
        self._map = SceneMap(pair) if agreeing and pair.has_holes else None

    def survey(self) -> Sequence[Stage]:
        """What stands in for coarse pixels without data."""
        return () if self._map is None else (self._map.survey(),)

    def estimate(self) -> Sequence[Stage]:
        """The windows."""
        return (Stage(ESTIMATE, len(self._pair.grid), self._tile),)

    def finish(self, index: int) -> Cube:
        """See `StagedMethod.finish`."""
        return self._pair.store.load(ESTIMATE, index)

    def _tile(self, index: int) -> None:
        grid = self._pair.grid
        region = grid.region(index)
        window = region.grown(self._margin, grid.whole)
        lr_hsi = self._pair.lr_hsi(window) if self._map is None else self._map.lr_hsi(window)
        found = self._fuse(*(ops.convert_to_tensor(x[None]) for x in (lr_hsi, self._pair.hr_msi(window))))
        estimate = np.asarray(ops.convert_to_numpy(found))[0]
        self._pair.store.save(ESTIMATE, index, estimate[region.inside(window).scaled(grid.scale).slices])
