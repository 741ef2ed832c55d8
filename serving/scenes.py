"""A scene fused by a server: in one piece where messages hold it, else in overlapped tiles.

Tiles see as far around them as an estimated pixel looks (`reach` of the model's metadata), and what is
estimated of the whole scene is estimated once (the signature `fit`), so that they are the parts of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hsr_tf import checks
from hsr_tf.tiling.axes import AxisTile, computed, even_parts, plan_axis
from hsr_tf.tiling.memory import require_memory
from hsr_tf.tiling.scene_pair import require_pair, sharp_part

Arrays = dict[str, np.ndarray]
Predict = Callable[[Arrays, str], Arrays]
Progress = Callable[[int, int], None]
Place = tuple[AxisTile, AxisTile]
SPARE_BYTES = 2**18


@dataclass(frozen=True)
class FusionServer:
    """A fusion model as its metadata tells it.

    Attributes:
        scale, num_bands, num_channels: s, C and c.
        reach: coarse pixels on each side that an estimated pixel looks at; None for all of them.
        shares: whether its parts are told what `fit` found for the whole scene.
    """

    scale: int
    num_bands: int
    num_channels: int
    reach: int | None
    shares: bool

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> FusionServer:
        """The model of a client's metadata."""
        numbers = {name: metadata[name] for name in ("scale", "num_bands", "num_channels", "reach")}
        return cls(**numbers, shares="fit" in metadata["signatures"])


@dataclass(frozen=True)
class Limits:
    """What is asked for at a time: bytes of a message, sharp pixels of a tile's side, tiles in flight."""

    message_bytes: int
    tile: int | None
    num_in_flight: int


@dataclass(frozen=True, eq=False)
class SceneTiles:
    """Who fuses, and how it is cut.

    Attributes:
        server: the model.
        predict: asks a signature.
        limits: of messages and tiles.
    """

    server: FusionServer
    predict: Predict
    limits: Limits

    def fuse(self, lr_hsi: np.ndarray, hr_msi: np.ndarray, progress: Progress) -> np.ndarray:
        """The estimate (s h, s w, C) float32 of (h, w, C) and (s h, s w, c), floating point.

        Raises:
            ValueError: images that do not fit the model or one another, a scene that is too large for a
                message and cannot be cut, a wrong answer.
            OSError: trouble of the connection, too little memory.
        """
        server = self.server
        require_pair(server, lr_hsi, hr_msi)
        for name, image in (("lr_hsi", lr_hsi), ("hr_msi", hr_msi)):
            checks.require_finite(name, image)
        lr_hsi, hr_msi = (image.astype(np.float32, copy=False) for image in (lr_hsi, hr_msi))
        size = lr_hsi.shape[:2]
        if self._fits_whole(size):
            found = self._estimate(lr_hsi, hr_msi, {})
            progress(1, 1)
            return found
        require_memory("estimate", (*hr_msi.shape[:2], server.num_bands), 4, None)
        rows, columns = self._plan(size)
        places = [(row, column) for row in rows for column in columns]
        shared = self._shared(lr_hsi, hr_msi)

        def compute(place: Place) -> np.ndarray:
            windows = tuple(axis.window for axis in place)
            kept = tuple(sharp_part(axis.kept, server.scale) for axis in place)
            part = hr_msi[tuple(sharp_part(window, server.scale) for window in windows)]
            return self._estimate(lr_hsi[windows], part, shared)[kept]

        result = np.empty((*hr_msi.shape[:2], server.num_bands), np.float32)
        tiles = computed(places, compute, num_parallel=self.limits.num_in_flight)
        for num_done, (place, values) in enumerate(tiles, start=1):
            result[tuple(sharp_part(axis.out, server.scale) for axis in place)] = values
            progress(num_done, len(places))
        return result

    def _fits_whole(self, size: tuple[int, ...]) -> bool:
        sharp = self.server.scale * max(size)
        return self._fits(size) and (self.limits.tile is None or sharp <= self.limits.tile)

    def _fits(self, size: tuple[int, ...]) -> bool:
        """Whether request and answer about so many coarse pixels are messages."""
        coarse, sharp = size[0] * size[1], size[0] * size[1] * self.server.scale**2
        request = 4 * (coarse * self.server.num_bands + sharp * self.server.num_channels)
        answer = 4 * sharp * self.server.num_bands
        return max(request, answer) + SPARE_BYTES <= self.limits.message_bytes

    def _plan(self, size: tuple[int, ...]) -> list[list[AxisTile]]:
        """The tiles along both axes, in coarse pixels: the largest whose windows are messages."""
        reach, scale = self.server.reach, self.server.scale
        checks.require(
            reach is not None,
            "scene",
            expected="one that fits into a message and a tile, as this model looks at all of it",
            received=f"{size[0]} x {size[1]} coarse pixels",
            remedy="raise max_message_mib here and at the server, and tile",
        )
        assert reach is not None
        tile = max(size) if self.limits.tile is None else max(1, self.limits.tile // scale)
        while tile >= 1:
            plans = [
                plan_axis(even_parts(n, tile), lambda part: part, num_samples=n, scale=1, reach=reach)
                for n in size
            ]
            if self._fits(tuple(plan[0].window.stop - plan[0].window.start for plan in plans)):
                return plans
            tile = tile * 15 // 16
        raise checks.InputError(
            "max_message_mib",
            expected=f"room for the {2 * reach + 1} x {2 * reach + 1} coarse pixels that one of them needs",
            received=f"{self.limits.message_bytes} bytes",
            remedy="raise it here and at the server",
        )

    def _shared(self, lr_hsi: np.ndarray, hr_msi: np.ndarray) -> Arrays:
        """What is estimated of the whole scene."""
        if not self.server.shares:
            return {}
        num_bytes = lr_hsi.nbytes + hr_msi.nbytes + SPARE_BYTES
        checks.require(
            num_bytes <= self.limits.message_bytes,
            "max_message_mib",
            expected=f"{num_bytes / 2**20:.3g} or more, as this model is fitted to the whole scene",
            received=f"{self.limits.message_bytes / 2**20:.3g}",
            remedy="raise it here and at the server",
        )
        found = self.predict({"lr_hsi": lr_hsi[None], "hr_msi": hr_msi[None]}, "fit")
        for name in ("spectral_map", "trust"):
            _require_answer(name, found.get(name), None)
        return {name: found[name] for name in ("spectral_map", "trust")}

    def _estimate(self, lr_hsi: np.ndarray, hr_msi: np.ndarray, shared: Arrays) -> np.ndarray:
        """(s h, s w, C) of a part, checked."""
        images = {"lr_hsi": np.ascontiguousarray(lr_hsi[None]), "hr_msi": np.ascontiguousarray(hr_msi[None])}
        signature = "fuse_part" if shared else "serving_default"
        found = self.predict({**images, **shared}, signature).get("estimate")
        _require_answer("estimate", found, (1, *hr_msi.shape[:2], self.server.num_bands))
        assert found is not None
        return found[0]


def _require_answer(name: str, found: np.ndarray | None, shape: tuple[int, ...] | None) -> None:
    """Refuse an output that is missing, of another shape or not finite."""
    checks.require(
        found is not None and (shape is None or found.shape == shape),
        name,
        expected="an answer" if shape is None else f"the shape {shape}",
        received="none" if found is None else str(found.shape),
        remedy="the server does not do what its model's metadata say; export the model again",
    )
    checks.require_finite(name, found)
