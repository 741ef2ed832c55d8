"""A scene fused by a TFLite file: in one piece, or in overlapping tiles where the model allows it.

A model with a bounded receptive field (`reach`) that estimates nothing from the whole scene gives the same
result in tiles as in one piece. Models over the base spectral_ls estimate a spectral map from the whole scene
(their SavedModel has the signature `fit`, which a TFLite file lacks), and those without `reach` depend on all
of it: both run in one piece, and a file of fixed sizes takes no scene of another size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.tflite_model import TFLiteModel
from hsr_tf import checks
from hsr_tf.tiling.progress import Progress
from hsr_tf.tiling.scene_tiles import SceneModel, ScenePair
from hsr_tf.tiling.tiles import Tile
from hsr_tf.typing import Size


@dataclass(frozen=True)
class FusionFile(SceneModel):
    """A fusion model as its file describes it; `reach` is None also where a tile needs the whole scene.

    Attributes:
        fixed: (h, w) of lr_hsi, where the file takes no other size.
    """

    fixed: Size | None

    @classmethod
    def of(cls, model: TFLiteModel) -> FusionFile:
        """The metadata and inputs of a file."""
        info, fixed = model.info, model.fixed_size("lr_hsi")
        assert info.scale is not None and info.num_bands is not None
        reach = None if info.has_fit else info.reach
        return cls(info.scale, info.num_bands, info.num_channels, reach, fixed)

    def plan(self, size: Size, tile: int | None) -> list[Tile]:
        """The tiles of a scene of `size` coarse pixels, of at most `tile` sharp pixels along one side.

        Raises:
            ValueError: a scene that the file cannot take.
        """
        if self.reach is None:
            checks.require(
                self.fixed in (None, size),
                "lr_hsi",
                expected=f"{self.fixed} coarse pixels, as the file has fixed sizes and needs the whole scene",
                received=str(size),
                remedy="take a file without fixed sizes",
            )
            return self.tiles(size, size)
        room = size
        if self.fixed is not None:
            height, width = (
                n if n <= limit else limit - 2 * self.reach for n, limit in zip(size, self.fixed, strict=True)
            )
            room = height, width
            checks.require(
                min(room) >= 1,
                "model",
                expected=f"fixed sizes over {2 * self.reach} coarse pixels, so that tiles can overlap",
                received=str(self.fixed),
                remedy="export other sizes, or none",
            )
        side = max(size) if tile is None else max(1, tile // self.scale)
        return self.tiles(size, (min(side, room[0]), min(side, room[1])))


@dataclass(frozen=True, eq=False)
class SceneFusion:
    """Fuses scenes by a file.

    Attributes:
        model: the file.
        tile: longest side of a tile in sharp pixels; None for one piece, or what a file of fixed sizes takes.
        progress: called with the number of tiles done and of all tiles.
    """

    model: TFLiteModel
    tile: int | None
    progress: Progress

    def fuse(self, lr_hsi: np.ndarray, hr_msi: np.ndarray) -> np.ndarray:
        """The estimate (s h, s w, C) float32 of lr_hsi (h, w, C) and hr_msi (s h, s w, c), not clipped.

        Raises:
            ValueError: images that do not fit the model or each other, values or an estimate that are not
                finite, a scene that the file cannot take.
            OSError: too little memory.
        """
        file = FusionFile.of(self.model)
        pair = ScenePair(file, lr_hsi, hr_msi)
        sharp_size = file.fixed and (file.scale * file.fixed[0], file.scale * file.fixed[1])

        def estimate(coarse: np.ndarray, sharp: np.ndarray) -> np.ndarray:
            inputs = {"lr_hsi": pad_mirrored(coarse, file.fixed), "hr_msi": pad_mirrored(sharp, sharp_size)}
            found = self.model.run(inputs)["estimate"]
            return found[:, : sharp.shape[1], : sharp.shape[2]]

        return pair.fuse(file.plan(pair.size, self.tile), estimate, progress=self.progress)


def pad_mirrored(image: np.ndarray, size: Size | None) -> np.ndarray:
    """(1, r, c, C) mirrored to the right and below until it has `size`; None leaves it."""
    if size is None or image.shape[1:3] == size:
        return np.ascontiguousarray(image)
    missing = [n - m for n, m in zip(size, image.shape[1:3], strict=True)]
    return np.pad(image, [(0, 0), (0, missing[0]), (0, missing[1]), (0, 0)], mode="symmetric")
