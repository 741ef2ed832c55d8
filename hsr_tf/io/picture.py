"""A picture as its file stores it: whole steps, channels last, upright, with its colour profile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import require
from hsr_tf.io.picture_metadata import PictureMetadata

DEPTHS = (np.dtype(np.uint8), np.dtype(np.uint16))


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture in memory.

    Attributes:
        values: (H, W, C) uint8 or uint16; C is 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha). Alpha is
            not multiplied into the colours.
        icc_profile: what the colours mean, as the file tells it; None for sRGB.
        name: of the file, without its suffix.
        metadata: EXIF, resolution and what else the file says; writers keep what their format can hold.

    Raises:
        ValueError: another shape or type, or no pixels.
    """

    values: NDArray[Any]
    icc_profile: bytes | None = None
    name: str = ""
    metadata: PictureMetadata = field(default_factory=PictureMetadata)

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
