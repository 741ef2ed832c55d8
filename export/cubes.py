"""A scene fused by a TFLite file: in one piece, or in overlapped tiles where the model allows it.

A model that looks no further than its `reach` and estimates nothing of the whole scene gives the same in
tiles as in one piece. Models over the base spectral_ls find a spectral map of the whole scene (their
SavedModel has the signature `fit`, which a TFLite file lacks), and those of reach None look at all of it:
both run in one piece, and a file of fixed sizes takes no other scene of them than one of its size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.tflite_model import TFLiteModel
from hsr_tf import checks
from hsr_tf.tiling.axes import AxisTile, even_parts, plan_axis
from hsr_tf.tiling.memory import require_memory
from hsr_tf.tiling.scene_pair import require_pair, sharp_part

Progress = Callable[[int, int], None]
Size = tuple[int, int]
Place = tuple[AxisTile, AxisTile]


@dataclass(frozen=True)
class FusionFile:
    """A fusion model as its file tells it.

    Attributes:
        scale, num_bands, num_channels: s, C and c.
        reach: coarse pixels on each side that an estimated pixel looks at; None where a part of the scene is
            not enough.
        fixed: (h, w) of lr_hsi, where the file takes no other.
    """

    scale: int
    num_bands: int
    num_channels: int
    reach: int | None
    fixed: Size | None

    @classmethod
    def of(cls, model: TFLiteModel) -> FusionFile:
        """What the metadata and inputs of a file say."""
        told: Mapping[str, Any] = model.metadata
        rows, columns = model.input_shapes["lr_hsi"][1:3]
        return cls(
            scale=told["scale"],
            num_bands=told["num_bands"],
            num_channels=told["num_channels"],
            reach=None if "fit" in told["signatures"] else told["reach"],
            fixed=None if -1 in (rows, columns) else (rows, columns),
        )


@dataclass(frozen=True, eq=False)
class SceneFusion:
    """A file at work on scenes.

    Attributes:
        model: the file.
        tile: longest side of a tile in sharp pixels; None for one piece, or what a file of fixed sizes takes.
        progress: called with the number of tiles done and of all of them.
    """

    model: TFLiteModel
    tile: int | None
    progress: Progress

    def fuse(self, lr_hsi: np.ndarray, hr_msi: np.ndarray) -> np.ndarray:
        """The estimate (s h, s w, C) float32 of lr_hsi (h, w, C) and hr_msi (s h, s w, c), not clipped.

        Raises:
            ValueError: images that do not fit the model or one another, values or an estimate that are not
                finite, a scene that the file cannot take.
            OSError: too little memory.
        """
        told = FusionFile.of(self.model)
        require_pair(told, lr_hsi, hr_msi)
        require_memory("estimate", (*hr_msi.shape[:2], told.num_bands), 4, None)
        for name, image in (("lr_hsi", lr_hsi), ("hr_msi", hr_msi)):
            checks.require_finite(name, image)
        rows, columns = _plan(told, (lr_hsi.shape[0], lr_hsi.shape[1]), self.tile)
        places = [(row, column) for row in rows for column in columns]
        result = np.empty((*hr_msi.shape[:2], told.num_bands), np.float32)
        for num_done, place in enumerate(places, start=1):
            out = tuple(sharp_part(axis.out, told.scale) for axis in place)
            result[out] = self._part(told, lr_hsi, hr_msi, place)
            self.progress(num_done, len(places))
        return result

    def _part(self, told: FusionFile, lr_hsi: np.ndarray, hr_msi: np.ndarray, place: Place) -> np.ndarray:
        """One tile of the estimate."""
        windows = tuple(axis.window for axis in place)
        kept = tuple(sharp_part(axis.kept, told.scale) for axis in place)
        fine = told.fixed and (told.scale * told.fixed[0], told.scale * told.fixed[1])
        coarse = grown(lr_hsi[windows][None], told.fixed)
        sharp = grown(hr_msi[tuple(sharp_part(window, told.scale) for window in windows)][None], fine)
        estimate = self.model.run({"lr_hsi": coarse, "hr_msi": sharp})["estimate"]
        checks.require(
            estimate.shape == (*sharp.shape[:3], told.num_bands),
            "estimate",
            expected=f"the shape {(*sharp.shape[:3], told.num_bands)}",
            received=str(estimate.shape),
            remedy="the file does not do what its metadata say; export it again",
        )
        checks.require_finite("estimate", estimate)
        return estimate[0][kept]


def grown(image: np.ndarray, size: Size | None) -> np.ndarray:
    """(1, r, c, C) mirrored to the right and below until it has `size`; None leaves it."""
    if size is None or image.shape[1:3] == size:
        return np.ascontiguousarray(image)
    missing = [n - m for n, m in zip(size, image.shape[1:3], strict=True)]
    return np.pad(image, [(0, 0), (0, missing[0]), (0, missing[1]), (0, 0)], mode="symmetric")


def _plan(told: FusionFile, size: Size, tile: int | None) -> list[list[AxisTile]]:
    """The tiles along both axes, in coarse pixels."""
    if told.reach is None:
        checks.require(
            told.fixed in (None, size),
            "lr_hsi",
            expected=f"{told.fixed} coarse pixels, as the file is of fixed sizes and needs the whole scene",
            received=str(size),
            remedy="take a file without fixed sizes",
        )
        parts = list(size)
    else:
        longest = max(size) if tile is None else max(1, tile // told.scale)
        parts = [min(longest, room) for room in _room(told, size)]
    reach = told.reach or 0
    return [
        plan_axis(even_parts(n, part), lambda part: part, num_samples=n, scale=1, reach=reach)
        for n, part in zip(size, parts, strict=True)
    ]


def _room(told: FusionFile, size: Size) -> list[int]:
    """Coarse pixels along each axis that a window of a file of fixed sizes estimates at a time."""
    if told.fixed is None:
        return list(size)
    assert told.reach is not None
    room = [n if n <= limit else limit - 2 * told.reach for n, limit in zip(size, told.fixed, strict=True)]
    checks.require(
        min(room) >= 1,
        "model",
        expected=f"fixed sizes over {2 * told.reach} coarse pixels, so that tiles can overlap",
        received=str(told.fixed),
        remedy="export other sizes, or none",
    )
    return room
