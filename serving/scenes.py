"""A scene fused by a server: in one piece where a message holds it, otherwise in overlapping tiles.

Tiles overlap by the receptive field of the model (`reach` in its metadata), and what is estimated from the
whole scene is estimated once (the signature `fit`), so that they are the parts of the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hsr_tf import checks
from hsr_tf.networks.model_info import DEFAULT, FIT, FUSE_PART, ModelInfo
from hsr_tf.tiling.progress import Progress
from hsr_tf.tiling.scene_tiles import SceneModel, ScenePair, whole_tile
from hsr_tf.tiling.tiles import Tile
from hsr_tf.typing import Size

Arrays = dict[str, np.ndarray]
Predict = Callable[[Arrays, str], Arrays]
SPARE_BYTES = 2**18


@dataclass(frozen=True)
class FusionServer(SceneModel):
    """A fusion model as its metadata describe it.

    Attributes:
        has_fit: whether its tiles need what the signature `fit` estimates from the whole scene.
    """

    has_fit: bool

    @classmethod
    def of(cls, info: ModelInfo) -> FusionServer:
        """The model of these metadata, which fuses scenes."""
        assert info.scale is not None and info.num_bands is not None
        return cls(info.scale, info.num_bands, info.num_channels, info.reach, info.has_fit)


@dataclass(frozen=True)
class Limits:
    """Bytes of a message, sharp pixels of a tile's side (None for no limit), tiles in flight."""

    message_bytes: int
    tile: int | None
    num_in_flight: int


@dataclass(frozen=True, eq=False)
class SceneTiles:
    """A scene through a server.

    Attributes:
        server: the model.
        predict: calls a signature.
        limits: of messages and tiles.
    """

    server: FusionServer
    predict: Predict
    limits: Limits

    def fuse(self, lr_hsi: np.ndarray, hr_msi: np.ndarray, progress: Progress) -> np.ndarray:
        """The estimate (s h, s w, C) float32 of (h, w, C) and (s h, s w, c), floating point.

        Raises:
            ValueError: images that do not fit the model or each other, a scene that is too large for a
                message and cannot be tiled, a wrong answer.
            OSError: trouble with the connection, too little memory.
        """
        pair = ScenePair(self.server, lr_hsi, hr_msi)
        tiles = self._plan(pair.size)
        shared = self._fit(pair) if len(tiles) > 1 and self.server.has_fit else {}
        signature = FUSE_PART if shared else DEFAULT

        def estimate(lr_hsi: np.ndarray, hr_msi: np.ndarray) -> np.ndarray | None:
            return self.predict({"lr_hsi": lr_hsi, "hr_msi": hr_msi, **shared}, signature).get("estimate")

        return pair.fuse(tiles, estimate, progress=progress, num_parallel=self.limits.num_in_flight)

    def _fits(self, size: Size) -> bool:
        """Whether request and answer for this many coarse pixels are messages."""
        coarse, sharp = size[0] * size[1], size[0] * size[1] * self.server.scale**2
        request = 4 * (coarse * self.server.num_bands + sharp * self.server.num_channels)
        answer = 4 * sharp * self.server.num_bands
        return max(request, answer) + SPARE_BYTES <= self.limits.message_bytes

    def _plan(self, size: Size) -> list[Tile]:
        """The whole scene where it fits, otherwise the largest tiles whose windows are messages."""
        reach, scale, limit = self.server.reach, self.server.scale, self.limits.tile
        if self._fits(size) and (limit is None or scale * max(size) <= limit):
            return [whole_tile(size)]
        if reach is None:
            raise checks.InputError(
                "scene",
                expected="one that fits into a message and a tile, as this model needs the whole scene",
                received=f"{size[0]} x {size[1]} coarse pixels",
                remedy="raise max_message_mib here and at the server, and tile",
            )
        side = max(size) if limit is None else max(1, limit // scale)
        while side >= 1:
            tiles = self.server.tiles(size, (side, side))
            if self._fits(tiles[0].window.size):
                return tiles
            side = side * 15 // 16
        raise checks.InputError(
            "max_message_mib",
            expected=f"room for the {2 * reach + 1} x {2 * reach + 1} coarse pixels that one of them needs",
            received=f"{self.limits.message_bytes} bytes",
            remedy="raise it here and at the server",
        )

    def _fit(self, pair: ScenePair) -> Arrays:
        """What is estimated from the whole scene."""
        num_bytes = pair.lr_hsi.nbytes + pair.hr_msi.nbytes + SPARE_BYTES
        checks.require(
            num_bytes <= self.limits.message_bytes,
            "max_message_mib",
            expected=f"{num_bytes / 2**20:.3g} or more, as this model is fitted to the whole scene",
            received=f"{self.limits.message_bytes / 2**20:.3g}",
            remedy="raise it here and at the server",
        )
        found = self.predict({"lr_hsi": pair.lr_hsi[None], "hr_msi": pair.hr_msi[None]}, FIT)
        for name in ("spectral_map", "trust"):
            checks.require(
                name in found,
                name,
                expected="an answer",
                received="none",
                remedy="the server does not do what its model's metadata say; export the model again",
            )
            checks.require_finite(name, found[name])
        return {name: found[name] for name in ("spectral_map", "trust")}
