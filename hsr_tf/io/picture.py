"""A picture as its file stores it: whole steps, channels last, upright, with its colour profile."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error, require
from hsr_tf.io.source import GIB

DEPTHS = (np.dtype(np.uint8), np.dtype(np.uint16))
MEMORY_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture in memory.

    Attributes:
        values: (H, W, C) uint8 or uint16; C is 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha). Alpha is
            not multiplied into the colours.
        icc_profile: what the colours mean, as the file tells it; None for sRGB.
        name: of the file, without its suffix.

    Raises:
        ValueError: another shape or type, or no pixels.
    """

    values: NDArray[Any]
    icc_profile: bytes | None = None
    name: str = ""

    def __post_init__(self) -> None:
        shape = self.values.shape
        require(
            len(shape) == 3 and shape[2] in (1, 2, 3, 4) and min(shape) > 0 and self.values.dtype in DEPTHS,
            "picture",
            expected="(H, W, 1 to 4) uint8 or uint16",
            received=f"{shape}, {self.values.dtype}",
            remedy="round it to whole steps first",
        )

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is opacity."""
        return self.values.shape[2] in (2, 4)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.values.shape[:2]


def upright(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn (H, W, C) as its EXIF or TIFF orientation, 1 to 8, says; other numbers mean nothing."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


def with_channels(values: NDArray[Any]) -> NDArray[Any]:
    """(H, W) as (H, W, 1)."""
    return values[..., None] if values.ndim == 2 else values


def default_limit_gib() -> float:
    """Half of the machine's memory, in GiB; 16 where it does not tell."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 16.0
    return MEMORY_SHARE * total / GIB


def require_memory(path: str | Path, shape: tuple[int, ...], itemsize: int, max_gib: float | None) -> None:
    """Refuse an empty picture, and one beyond the limit, before memory is taken for it.

    Args:
        path: of the picture, for the message.
        shape: (H, W, C).
        itemsize: bytes a value.
        max_gib: the limit; None for half of the machine's memory.

    Raises:
        OSError: in one line.
    """
    height, width, channels = (int(length) for length in shape)
    if min(height, width) < 1:
        raise file_error(path, f"is an empty picture of {height}x{width} pixels", "give one with pixels")
    limit = default_limit_gib() if max_gib is None else max_gib
    gib = height * width * channels * itemsize / GIB
    if gib > limit:
        problem = f"a picture of {height}x{width} pixels takes {gib:.3g} GiB, over the limit of {limit:.3g}"
        raise file_error(path, problem, "crop it, or use a machine with more memory")
