"""A scene through an exported fusion model, in one piece or in tiles, at a server's client and on a device.

Tiles overlap by the receptive field of the model, so that they are the parts of the whole. Needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hsr_tf import checks
from hsr_tf.tiling.memory import require_memory
from hsr_tf.tiling.progress import Progress
from hsr_tf.tiling.region import Region, even_parts
from hsr_tf.tiling.tiles import Tile, map_ordered, plan_tiles
from hsr_tf.typing import Size

Estimator = Callable[[np.ndarray, np.ndarray], np.ndarray | None]


@dataclass(frozen=True)
class SceneModel:
    """The sizes of an exported fusion model, see `hsr_tf.networks.model_info.ModelInfo`.

    Attributes:
        scale: sharp pixels per coarse pixel along one side, s.
        num_bands: of the LR-HSI, C.
        num_channels: of the HR-MSI, c.
        reach: receptive field, coarse pixels on each side that an estimated pixel depends on; None for all.
    """

    scale: int
    num_bands: int
    num_channels: int
    reach: int | None

    def require_pair(self, lr_hsi: np.ndarray, hr_msi: np.ndarray) -> None:
        """Refuse images that do not fit the model or each other, and integers, whose white level is unknown.

        Raises:
            ValueError: in one line.
        """
        checks.require(
            lr_hsi.ndim == 3 and lr_hsi.shape[-1] == self.num_bands and min(lr_hsi.shape) > 0,
            "lr_hsi",
            expected=f"(h, w, {self.num_bands})",
            received=str(lr_hsi.shape),
            remedy="give the bands that the model was trained for",
        )
        expected = (*(self.scale * n for n in lr_hsi.shape[:2]), self.num_channels)
        checks.require(
            hr_msi.shape == expected,
            "hr_msi",
            expected=f"{expected}, {self.scale} times the size of lr_hsi",
            received=str(hr_msi.shape),
            remedy="crop or resample one of them",
        )
        for name, image in (("lr_hsi", lr_hsi), ("hr_msi", hr_msi)):
            checks.require(
                image.dtype.kind == "f",
                name,
                expected="floating-point values as the model was trained on, usually in [0, 1]",
                received=str(image.dtype),
                remedy="divide integers by their white level",
            )

    def tiles(self, size: Size, sides: Size) -> list[Tile]:
        """Tiles of a scene of `size` coarse pixels, at most `sides` each, in coarse pixels."""
        parts = [even_parts(*lengths) for lengths in zip(size, sides, strict=True)]
        return plan_tiles(size, parts, scale=1, margin=self.reach or 0)


def whole_tile(size: Size) -> Tile:
    """The tile that is the whole scene."""
    return Tile(*[Region.whole(size)] * 3)


@dataclass(frozen=True, eq=False)
class ScenePair:
    """The two images of a scene, checked against a model.

    Args:
        model: its sizes.
        lr_hsi: X, (h, w, C), floating point.
        hr_msi: Y, (s h, s w, c), floating point.

    Raises:
        ValueError: images that do not fit the model or each other, integers, values that are not finite.
    """

    model: SceneModel
    lr_hsi: np.ndarray
    hr_msi: np.ndarray

    def __post_init__(self) -> None:
        self.model.require_pair(self.lr_hsi, self.hr_msi)
        for name in ("lr_hsi", "hr_msi"):
            checks.require_finite(name, getattr(self, name))
            object.__setattr__(self, name, getattr(self, name).astype(np.float32, copy=False))

    @property
    def size(self) -> Size:
        """(h, w)."""
        height, width, _ = self.lr_hsi.shape
        return height, width

    def fuse(
        self, tiles: list[Tile], estimate: Estimator, *, progress: Progress, num_parallel: int = 1
    ) -> np.ndarray:
        """The estimate (s h, s w, C) float32, not clipped.

        Args:
            tiles: in coarse pixels.
            estimate: the model: from a window of both images, (1, h', w', C) and (1, s h', s w', c), to
                (1, s h', s w', C). Called from several threads at once where `num_parallel` is more than one.
            progress: called with the number of tiles done and of all tiles.
            num_parallel: tiles in work at a time.

        Raises:
            ValueError: an estimate of another shape or with values that are not finite.
            OSError: too little memory for the result.
        """
        shape = (*self.hr_msi.shape[:2], self.model.num_bands)
        require_memory("estimate", shape, 4, None)

        def compute(tile: Tile) -> np.ndarray:
            sharp = tile.scaled(self.model.scale)
            windows = self.lr_hsi[tile.window.slices], self.hr_msi[sharp.window.slices]
            found = estimate(*(np.ascontiguousarray(window[None]) for window in windows))
            shape = (1, *sharp.window.size, self.model.num_bands)
            if found is None or found.shape != shape:
                raise checks.InputError(
                    "estimate",
                    expected=f"the shape {shape}",
                    received="none" if found is None else str(found.shape),
                    remedy="the model does not do what its metadata say; export it again",
                )
            checks.require_finite("estimate", found)
            return found[0][sharp.kept.slices]

        result = np.empty(shape, np.float32)
        for num_done, (tile, values) in enumerate(
            map_ordered(tiles, compute, num_parallel=num_parallel), start=1
        ):
            result[tile.scaled(self.model.scale).out.slices] = values
            progress(num_done, len(tiles))
        return result
