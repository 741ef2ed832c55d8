"""Enlarging a picture by any factor: Y of BT.601 by a trained network, colour and alpha bicubic.

Networks without a factor of their own (VDSR, SRCNN) improve the bicubically enlarged picture. Those that
enlarge themselves run at the least factor that is enough, and bicubic reduction (or, past the largest there
is, enlargement) takes their estimate to the size asked for. Sizes are rounded up, as MATLAB's imresize does.

The picture is worked through in tiles, so that memory holds the input, the result and one tile. A network
that looks no further than its `reach` gives the same in tiles as in one piece. One that looks at the whole
picture, because it finds one kernel for it, sees each tile with a margin, and its kernels are averaged: it
has no whole to be equal to but that of a single tile.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hsr_tf import checks, methods
from hsr_tf.io.picture import require_memory
from hsr_tf.networks.image_network import ImageNetwork
from hsr_tf.networks.image_selection import loaded, select_image_network
from hsr_tf.networks.image_tiles import (
    BicubicTiles,
    NetworkTiles,
    PictureGrid,
    Tiles,
    enlarged_length,
    kernel_input,
)

BICUBIC = "bicubic"
IMAGE_NETWORK = "image_network"
SMALLEST_SIDE = 24


@dataclass(frozen=True)
class TileControls:
    """How a picture is worked through.

    Attributes:
        tile: longest side of a tile in pixels of the result.
        max_gib: refuse results that take more memory; None for half of the machine's.
        progress: called with the number of tiles done and of all of them.
    """

    tile: int = 512
    max_gib: float | None = None
    progress: Callable[[int, int], None] | None = None


@dataclass(frozen=True, eq=False)
class Upscaled:
    """An enlarged picture.

    Attributes:
        image: of the type and number of axes of the picture given, clipped to its range.
        kernel: (k, k) blur that the network found, mean over the tiles; None where it looks for none.
        seconds: time taken, loading the network left out.
        weights: name of the trained model, None for the method "bicubic".
    """

    image: np.ndarray
    kernel: np.ndarray | None
    seconds: float
    weights: str | None


@dataclass(frozen=True, eq=False)
class NamedNetwork:
    """A trained network and the name of its weights."""

    network: ImageNetwork
    name: str


def upscale(
    image: np.ndarray,
    scale: float,
    *,
    method: str = "vdsr",
    weights: str | os.PathLike[str] | None = None,
    kernel: np.ndarray | None = None,
    controls: TileControls | None = None,
) -> Upscaled:
    """Enlarge a picture.

    Args:
        image: (H, W) or (H, W, C), uint8, uint16 or floating point in [0, 1]; C is 1 (gray), 2 (gray, alpha),
            3 (RGB) or 4 (RGB, alpha). Gray counts as R = G = B.
        scale: the factor, at least 1; 2.5 makes 25 x 18 pixels of 10 x 7.
        method: "bicubic", or a network of single images (`hsr_tf.methods.names("image_network")`).
        weights: folder of a trained model; None for the one that comes with the package.
        kernel: (k, k) blur of the picture, odd, for networks that need it and no others.
        controls: size of tiles, memory limit, progress.

    Returns:
        The picture of ceil(scale H) x ceil(scale W) pixels, and the kernel that was found.

    Raises:
        ValueError: an unknown method, a factor below 1, weights that are missing or do not fit, a kernel that
            is missing or of no use, an image of another kind.
        OSError: damaged weights, a result beyond the memory limit.
    """
    controls = controls or TileControls()
    chosen = usable_network(scale, method=method, weights=weights, kernel=kernel)
    picture = _checked(image)
    size = _require_result(picture, scale, controls.max_gib)
    start = time.perf_counter()
    if chosen is None:
        tiles: Tiles = BicubicTiles(PictureGrid(picture, scale), controls.tile)
    else:
        grown = picture if chosen.network.spec.scale is None else _grown(picture)
        tiles = NetworkTiles(PictureGrid(grown, scale), chosen.network, kernel=kernel, tile=controls.tile)
    result = _computed(tiles, (*size, picture.shape[2]), picture.dtype, controls.progress)
    return Upscaled(
        image=result.reshape(*size, *np.shape(image)[2:]),
        kernel=tiles.kernel,
        seconds=time.perf_counter() - start,
        weights=None if chosen is None else chosen.name,
    )


def usable_network(
    scale: float,
    *,
    method: str,
    weights: str | os.PathLike[str] | None = None,
    kernel: np.ndarray | None = None,
) -> NamedNetwork | None:
    """The network that `upscale` runs with these arguments, None for the method "bicubic".

    Networks are kept, so that asking before the pictures are read costs nothing.

    Raises:
        ValueError, OSError: as `upscale`, for these arguments.
    """
    require_scale(scale)
    require_method(method, weights, kernel)
    if method == BICUBIC:
        return None
    card = select_image_network(method, weights, scale)
    network = loaded(card)
    kernel_input(network, kernel)
    return NamedNetwork(network, card.folder.name)


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


def require_method(
    method: str, weights: str | os.PathLike[str] | None = None, kernel: np.ndarray | None = None
) -> None:
    """Refuse a method that does not enlarge single pictures, and what bicubic enlargement has no use for.

    Raises:
        ValueError: in one line, with the known names.
    """
    checks.require_choice("method", method, [BICUBIC, *methods.names(IMAGE_NETWORK)])
    for name, given in (("weights", weights), ("kernel", kernel)):
        checks.require(
            method != BICUBIC or given is None,
            name,
            expected="none for bicubic",
            received="some",
            remedy="leave it out, or choose a network",
        )


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


def _require_result(picture: np.ndarray, scale: float, max_gib: float | None) -> tuple[int, int]:
    """(H, W) of the result, which must fit into memory."""
    height, width = (enlarged_length(n, scale) for n in picture.shape[:2])
    require_memory("result", (height, width, picture.shape[2]), picture.dtype.itemsize, max_gib)
    return height, width


def _grown(picture: np.ndarray) -> np.ndarray:
    """A very small picture mirrored to the right and below, so that blurs and filters fit into it."""
    missing = [max(0, SMALLEST_SIDE - n) for n in picture.shape[:2]]
    if not any(missing):
        return picture
    return np.pad(picture, [(0, missing[0]), (0, missing[1]), (0, 0)], mode="symmetric")


def _computed(
    tiles: Tiles,
    shape: tuple[int, int, int],
    dtype: np.dtype,
    progress: Callable[[int, int], None] | None,
) -> np.ndarray:
    """All tiles put together, in the type of the picture; what lies past `shape` is left out."""
    result = np.empty(shape, dtype)
    num_tiles = len(tiles.rows) * len(tiles.columns)
    num_done = 0
    for rows in tiles.rows:
        for columns in tiles.columns:
            place = result[rows.out, columns.out]
            place[...] = _in_type(tiles.compute(rows, columns)[: place.shape[0], : place.shape[1]], dtype)
            num_done += 1
            if progress is not None:
                progress(num_done, num_tiles)
    return result


def _in_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Fractions clipped to [0, 1] and rounded to whole steps where the type has them."""
    clipped = np.clip(values, 0, 1)
    return clipped if dtype.kind == "f" else np.rint(clipped * np.float32(np.iinfo(dtype).max)).astype(dtype)
