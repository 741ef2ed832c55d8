"""A picture enlarged a tile at a time, bicubically or by a network on its luminance.

`PictureGrid` gives any part of a picture and of its bicubic enlargement as float tensors; `BicubicTiles` and
`NetworkTiles` plan the tiles of the result and compute each. Colour (Cb and Cr) and alpha are always bicubic.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from keras import ops

from hsr_tf import checks
from hsr_tf.color import gray_to_y, rgb_to_y, rgb_to_ycbcr, y_to_gray, ycbcr_to_rgb
from hsr_tf.networks.image_network import ImageNetwork
from hsr_tf.physics.resize import AxisResize
from hsr_tf.tiling import AxisTile, even_parts, plan_axis

Tensor = Any
MARGIN_WITHOUT_REACH = 16


class PictureGrid:
    """A picture and its bicubic enlargement.

    Args:
        values: (H, W, C), integers or fractions; C as in `hsr_tf.io.picture.Picture`.
        scale: factor of the enlargement, at least 1.
    """

    def __init__(self, values: np.ndarray, scale: float) -> None:
        self.values, self.scale = values, scale
        height, width = values.shape[:2]
        self.size = (height, width)
        self.enlarged_size = (enlarged_length(height, scale), enlarged_length(width, scale))
        self._axes = [AxisResize(n, m, scale) for n, m in zip(self.size, self.enlarged_size, strict=True)]

    def part(self, rows: slice, columns: slice) -> Tensor:
        """(1, r, c, C) float32 of the picture itself, integers divided by the largest of their type."""
        window = self.values[rows, columns][None]
        if window.dtype.kind == "u":
            window = window / np.float32(np.iinfo(window.dtype).max)
        return ops.convert_to_tensor(window.astype(np.float32, copy=False))

    def enlarged(self, rows: slice, columns: slice) -> Tensor:
        """(1, r, c, C) float32 of the enlargement."""
        parts = (rows, columns)
        window = self.part(*(axis.source(part) for axis, part in zip(self._axes, parts, strict=True)))
        for i in range(2):
            window = self._axes[i].forward(window, i + 1, parts[i])
        return window


class Tiles(ABC):
    """The tiles of an enlarged picture.

    Attributes:
        rows, columns: the tiles along both axes.
        kernel: (k, k) blur that was found, mean over the tiles so far, or None.
    """

    rows: list[AxisTile]
    columns: list[AxisTile]
    kernel: np.ndarray | None = None

    @abstractmethod
    def compute(self, rows: AxisTile, columns: AxisTile) -> np.ndarray:
        """(r, c, C) float32 of one tile of the result."""


class BicubicTiles(Tiles):
    """Bicubic enlargement of every channel.

    Args:
        grid: the picture.
        tile: longest side of a tile.
    """

    def __init__(self, grid: PictureGrid, tile: int) -> None:
        self._grid = grid
        self.rows, self.columns = (
            plan_axis(even_parts(n, tile), lambda part: part, num_samples=n, scale=1, reach=0)
            for n in grid.enlarged_size
        )

    def compute(self, rows: AxisTile, columns: AxisTile) -> np.ndarray:
        return np.asarray(ops.convert_to_numpy(self._grid.enlarged(rows.out, columns.out)))[0]


class NetworkTiles(Tiles):
    """A network on luminance (or RGB, when it takes three channels), the rest bicubic.

    Args:
        grid: the picture.
        network: with or without a factor of its own.
        kernel: (k, k) blur of the picture for networks that need it.
        tile: longest side of a tile.

    Raises:
        ValueError: a kernel that is missing, too large or of no use.
    """

    def __init__(
        self, grid: PictureGrid, network: ImageNetwork, *, kernel: np.ndarray | None, tile: int
    ) -> None:
        self._grid, self._network = grid, network
        self._extra = kernel_input(network, kernel)
        own = network.spec.scale
        self._read = grid.enlarged if own is None else grid.part
        inputs = grid.enlarged_size if own is None else grid.size
        self._last = _last_resize(grid, own)
        reach = MARGIN_WITHOUT_REACH if network.reach is None else network.reach
        fine = [(lambda part: part) if resize is None else resize.source for resize in self._last]
        self.rows, self.columns = (
            plan_axis(
                even_parts(grid.enlarged_size[i], tile),
                fine[i],
                num_samples=inputs[i],
                scale=own or 1,
                reach=reach,
            )
            for i in range(2)
        )
        self._kernels: list[np.ndarray] = []

    def compute(self, rows: AxisTile, columns: AxisTile) -> np.ndarray:
        estimate = self._estimate(self._read(rows.window, columns.window))
        estimate = estimate[:, rows.kept, columns.kept]
        for axis, (resize, tile) in enumerate(zip(self._last, (rows, columns), strict=True), start=1):
            if resize is not None:
                estimate = resize.forward(estimate, axis, tile.out)
        joined = _joined(self._grid.enlarged(rows.out, columns.out), estimate)
        return np.asarray(ops.convert_to_numpy(joined))[0]

    def _estimate(self, window: Tensor) -> Tensor:
        """The network's picture (1, r, c, 1 or 3) of a window (1, r, c, C)."""
        num_channels = self._network.spec.num_channels
        image = _luminance(window) if num_channels == 1 else _as_rgb(window)
        outputs = self._network.predict_on_batch({"lr_image": image, **self._extra})
        if "kernel" in outputs:
            self._kernels.append(np.asarray(outputs["kernel"])[0])
            self.kernel = np.mean(self._kernels, axis=0)
        return ops.convert_to_tensor(outputs["estimate"])


def enlarged_length(length: int, scale: float) -> int:
    """Samples of an enlarged axis, rounded up as MATLAB's imresize does."""
    return math.ceil(length * scale - 1e-9)


def kernel_input(network: ImageNetwork, kernel: np.ndarray | None) -> dict[str, Tensor]:
    """The input `kernel` (1, k, k), with zeros around a smaller one; nothing for networks without it.

    Raises:
        ValueError: a kernel that is missing, too large, of even sides or of no use.
    """
    side = next((given.shape[-1] for given in network.inputs if given.name == "kernel"), None)
    checks.require(
        (side is not None) == (kernel is not None),
        "kernel",
        expected="none, as this method is not told the blur" if side is None else "the blur of the picture",
        received="none" if kernel is None else "one",
        remedy="leave it out" if side is None else "give it, or use a method that finds it",
    )
    if kernel is None or side is None:
        return {}
    found = np.asarray(kernel, dtype=np.float32)
    checks.require(
        found.ndim == 2 and all(n % 2 == 1 and n <= side for n in found.shape) and found.sum() > 0,
        "kernel",
        expected=f"odd sides of at most {side} and a positive sum",
        received=f"{found.shape}, sum {found.sum():.3g}",
        remedy="crop or centre it",
    )
    margins = [((side - n) // 2, (side - n) // 2) for n in found.shape]
    return {"kernel": ops.convert_to_tensor(np.pad(found / found.sum(), margins)[None])}


def _last_resize(grid: PictureGrid, own: int | None) -> list[AxisResize | None]:
    """What takes the estimate to the size asked for along both axes, None where it has it."""
    if own is None or own == grid.scale:
        return [None, None]
    return [
        AxisResize(own * n, m, grid.scale / own) for n, m in zip(grid.size, grid.enlarged_size, strict=True)
    ]


def _luminance(image: Tensor) -> Tensor:
    return gray_to_y(image[..., :1]) if image.shape[-1] < 3 else rgb_to_y(image[..., :3])


def _as_rgb(image: Tensor) -> Tensor:
    return ops.repeat(image[..., :1], 3, axis=-1) if image.shape[-1] < 3 else image[..., :3]


def _joined(bicubic: Tensor, estimate: Tensor) -> Tensor:
    """All channels: those of the network, colour and alpha of the bicubic picture."""
    num_colours = 1 if bicubic.shape[-1] < 3 else 3
    alpha = bicubic[..., num_colours:]
    if estimate.shape[-1] == 3:
        colours = estimate if num_colours == 3 else ops.mean(estimate, axis=-1, keepdims=True)
    elif num_colours == 1:
        colours = y_to_gray(estimate)
    else:
        ycbcr = rgb_to_ycbcr(bicubic[..., :3])
        colours = ycbcr_to_rgb(ops.concatenate([estimate, ycbcr[..., 1:]], -1))
    return ops.concatenate([colours, alpha], -1)
