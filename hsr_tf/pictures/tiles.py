"""A picture enlarged a tile at a time, on NumPy alone: whoever estimates a window, the rest is done here.

Luminance (or RGB) goes through a `PictureModel`: a network in this process, a server, an interpreter on a
device. Colour (Cb and Cr) and alpha are always bicubic; colours behind fully transparent pixels are filled
from the visible ones first (`hsr_tf.pictures.transparency`), so that they leave no ring. Models without a
factor of their own improve the bicubically enlarged picture; those that enlarge themselves are brought to the
size asked for by bicubic reduction (or, past their factor, enlargement). Sizes are rounded up, as MATLAB's
imresize does.

Memory holds the input, the result and the tiles in work. A model that looks no further than its `reach` gives
the same in tiles as in one piece. One that looks at the whole picture, because it finds one kernel for it,
sees each tile with a margin, and its kernels are averaged: it has no whole to be equal to but that of a
single tile.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hsr_tf import checks
from hsr_tf.arrays.color import gray_to_y, rgb_to_y, rgb_to_ycbcr, y_to_gray, ycbcr_to_rgb
from hsr_tf.arrays.cubic import AxisResize, enlarged_length
from hsr_tf.pictures.transparency import with_hidden_filled
from hsr_tf.tiling.memory import require_memory
from hsr_tf.tiling.region import Region, even_parts
from hsr_tf.tiling.tiles import Tile, map_ordered, plan_tiles, same_samples

Estimate = tuple[np.ndarray, np.ndarray | None]
MARGIN_WITHOUT_REACH = 16
SMALLEST_SIDE = 24


@dataclass(frozen=True, eq=False)
class PictureModel:
    """Whoever estimates a window of a picture.

    Attributes:
        scale: its own factor; None where it improves a picture that was enlarged before.
        num_channels: 1 for the luminance Y of BT.601 in [16, 235] / 255, 3 for RGB.
        reach: pixels of its input on each side that an estimated pixel looks at; None for all of them.
        run: from lr_image (1, h, w, num_channels) float32 to the estimate (1, s h, s w, num_channels) and the
            kernel (k, k) that it found, or None. Called from several threads at once when `num_parallel` is
            more than one.
    """

    scale: int | None
    num_channels: int
    reach: int | None
    run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]


@dataclass(frozen=True)
class TileControls:
    """How a picture is worked through.

    Attributes:
        tile: longest side of a tile in pixels of the result.
        max_gib: refuse results that take more memory; None for half of the machine's.
        progress: called with the number of tiles done and of all of them.
        num_parallel: tiles in work at a time; with 1 they are computed in order, in the calling thread.
    """

    tile: int = 512
    max_gib: float | None = None
    progress: Callable[[int, int], None] | None = None
    num_parallel: int = 1

    def __post_init__(self) -> None:
        checks.require(
            self.num_parallel >= 1,
            "num_parallel",
            expected="a positive whole number",
            received=str(self.num_parallel),
            remedy="1 works on one tile at a time",
        )


@dataclass(frozen=True, eq=False)
class Enlarged:
    """An enlarged picture.

    Attributes:
        image: of the type and number of axes of the picture given, clipped to its range.
        kernel: (k, k) blur that the model found, mean over the tiles; None where it looks for none.
    """

    image: np.ndarray
    kernel: np.ndarray | None


def enlarge(
    image: np.ndarray,
    scale: float,
    *,
    model: PictureModel | None = None,
    controls: TileControls | None = None,
) -> Enlarged:
    """Enlarge a picture.

    Args:
        image: (H, W) or (H, W, C), uint8, uint16 or floating point in [0, 1]; C is 1 (gray), 2 (gray, alpha),
            3 (RGB) or 4 (RGB, alpha). Gray counts as R = G = B.
        scale: the factor, at least 1; 2.5 makes 25 x 18 pixels of 10 x 7.
        model: who estimates; None for bicubic enlargement.
        controls: size of tiles, how many at a time, memory limit, progress.

    Returns:
        The picture of ceil(scale H) x ceil(scale W) pixels, and the kernel that was found.

    Raises:
        ValueError: a factor below 1, an image of another kind, an estimate of another shape or not finite.
        OSError: a result beyond the memory limit.
    """
    controls = controls or TileControls()
    require_scale(scale)
    picture = with_hidden_filled(_checked(image))
    size = tuple(enlarged_length(n, scale) for n in picture.shape[:2])
    require_memory("result", (*size, picture.shape[2]), picture.dtype.itemsize, controls.max_gib)
    seen = picture
    if model is not None and model.scale is not None and min(picture.shape[:2]) < SMALLEST_SIDE:
        # A very small picture is mirrored to the right and below, so that blurs and filters fit into it.
        missing = [(0, max(0, SMALLEST_SIDE - n)) for n in picture.shape[:2]]
        seen = np.pad(picture, [*missing, (0, 0)], mode="symmetric")
    tiles = PictureTiles(PictureGrid(seen, scale), model, tile=controls.tile)
    result = np.empty((*size, picture.shape[2]), picture.dtype)
    kernels = []
    whole = None if picture.dtype.kind == "f" else np.float32(np.iinfo(picture.dtype).max)
    found = map_ordered(tiles.all, tiles.compute, num_parallel=controls.num_parallel)
    for num_done, (tile, (values, kernel)) in enumerate(found, start=1):
        part = result[tile.out.slices]
        clipped = np.clip(values[: part.shape[0], : part.shape[1]], 0, 1)
        part[...] = clipped if whole is None else np.rint(clipped * whole)
        kernels += [] if kernel is None else [kernel]
        if controls.progress is not None:
            controls.progress(num_done, len(tiles.all))
    kernel = np.mean(kernels, axis=0) if kernels else None
    return Enlarged(result.reshape(*size, *np.shape(image)[2:]), kernel)


def require_scale(scale: float) -> None:
    """Refuse a factor that is not finite or below 1.

    Raises:
        ValueError: in one line.
    """
    checks.require(
        math.isfinite(scale) and scale >= 1,
        "scale",
        expected="a factor of at least 1",
        received=f"{scale:g}",
        remedy="give e.g. 2 or 2.5",
    )


class PictureGrid:
    """A picture and its bicubic enlargement.

    Args:
        values: (H, W, C), integers or fractions.
        scale: factor of the enlargement, at least 1.
    """

    def __init__(self, values: np.ndarray, scale: float) -> None:
        self.values, self.scale = values, scale
        height, width = values.shape[:2]
        self.size = (height, width)
        self.enlarged_size = (enlarged_length(height, scale), enlarged_length(width, scale))
        self._axes = [AxisResize(n, m, scale) for n, m in zip(self.size, self.enlarged_size, strict=True)]

    def part(self, region: Region) -> np.ndarray:
        """(1, r, c, C) float32 of the picture itself, integers divided by the largest of their type."""
        window = self.values[region.slices][None]
        if window.dtype.kind == "u":
            window = window / np.float32(np.iinfo(window.dtype).max)
        return window.astype(np.float32, copy=False)

    def enlarged(self, region: Region) -> np.ndarray:
        """(1, r, c, C) float32 of the enlargement."""
        sources = (axis.source(part) for axis, part in zip(self._axes, region.slices, strict=True))
        window = self.part(Region.of(*sources))
        for axis, (resize, part) in enumerate(zip(self._axes, region.slices, strict=True), start=1):
            window = resize.forward(window, axis, part)
        return window


class PictureTiles:
    """The tiles of an enlarged picture: a model on luminance (or RGB, when it takes that), the rest bicubic.

    Args:
        grid: the picture.
        model: with or without a factor of its own; None for bicubic enlargement of every channel.
        tile: longest side of a tile.

    Attributes:
        all: the tiles, row by row.
    """

    def __init__(self, grid: PictureGrid, model: PictureModel | None, *, tile: int) -> None:
        self._grid, self._model = grid, model
        own = None if model is None else model.scale
        self._read = grid.enlarged if own is None else grid.part
        # What takes the estimate to the size asked for along both axes, None where it has it.
        self._last: list[AxisResize | None] = [None, None]
        if own is not None and own != grid.scale:
            lengths = zip(grid.size, grid.enlarged_size, strict=True)
            self._last = [AxisResize(own * n, m, grid.scale / own) for n, m in lengths]
        reach = 0 if model is None else model.reach
        rows, columns = (same_samples if resize is None else resize.source for resize in self._last)
        self.all = plan_tiles(
            grid.enlarged_size if own is None else grid.size,
            [even_parts(length, tile) for length in grid.enlarged_size],
            scale=own or 1,
            margin=MARGIN_WITHOUT_REACH if reach is None else reach,
            sources=(rows, columns),
        )

    def compute(self, tile: Tile) -> Estimate:
        """(r, c, C) float32 of one tile of the result, and the kernel that was found."""
        bicubic = self._grid.enlarged(tile.out)
        if self._model is None:
            return bicubic[0], None
        estimate, kernel = _estimated(self._model, self._read(tile.window))
        estimate = estimate[:, *tile.kept.slices]
        for axis, (resize, part) in enumerate(zip(self._last, tile.out.slices, strict=True), start=1):
            if resize is not None:
                estimate = resize.forward(estimate, axis, part)
        return _joined(bicubic, estimate)[0], kernel


def _checked(image: np.ndarray) -> np.ndarray:
    """The image as (H, W, C)."""
    found = np.asarray(image)
    picture = found[..., None] if found.ndim == 2 else found
    right = picture.ndim == 3 and 1 <= picture.shape[2] <= 4 and min(picture.shape) > 0
    checks.require(
        right and (picture.dtype in (np.uint8, np.uint16) or picture.dtype.kind == "f"),
        "image",
        expected="(H, W) or (H, W, 1 to 4), uint8, uint16 or floating point in [0, 1]",
        received=f"{found.shape}, {found.dtype}",
        remedy="convert it first",
    )
    if picture.dtype.kind == "f":
        checks.require_finite("image", picture)
        checks.require(
            float(picture.min()) >= 0 and float(picture.max()) <= 1,
            "image",
            expected="values in [0, 1]",
            received=f"{picture.min():.4g} to {picture.max():.4g}",
            remedy="divide by the largest value, or clip it",
        )
    return picture


def _estimated(model: PictureModel, window: np.ndarray) -> Estimate:
    """The model's picture (1, s r, s c, 1 or 3) of a window (1, r, c, C), and the kernel it found."""
    is_gray = window.shape[-1] < 3
    if model.num_channels == 1:
        seen = gray_to_y(window[..., :1]) if is_gray else rgb_to_y(window[..., :3])
    else:
        seen = np.repeat(window[..., :1], 3, axis=-1) if is_gray else window[..., :3]
    seen = np.ascontiguousarray(seen)
    estimate, kernel = model.run(seen)
    estimate, factor = np.asarray(estimate), model.scale or 1
    expected = (1, factor * seen.shape[1], factor * seen.shape[2], model.num_channels)
    checks.require(
        estimate.shape == expected,
        "estimate",
        expected=f"the shape {expected}",
        received=str(estimate.shape),
        remedy="the model is not what it says it is; export it again",
    )
    checks.require_finite("estimate", estimate)
    return estimate, kernel


def _joined(bicubic: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """All channels: those of the model, colour and alpha of the bicubic picture."""
    num_colours = 1 if bicubic.shape[-1] < 3 else 3
    alpha = bicubic[..., num_colours:]
    if estimate.shape[-1] == 3:
        colours = estimate if num_colours == 3 else np.mean(estimate, axis=-1, keepdims=True)
    elif num_colours == 1:
        colours = y_to_gray(estimate)
    else:
        ycbcr = rgb_to_ycbcr(bicubic[..., :3])
        colours = ycbcr_to_rgb(np.concatenate([estimate, ycbcr[..., 1:]], -1))
    return np.concatenate([colours, alpha], -1)
