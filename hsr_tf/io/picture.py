"""A picture as its file stores it: whole steps, channels last, upright, with colour profile and metadata."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import require

DEPTHS = (np.dtype(np.uint8), np.dtype(np.uint16))
METRES = {"metre": 1.0, "centimetre": 0.01, "inch": 0.0254}
SRGB_GAMMA = 45455
SRGB_CHROMATICITIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
SLACK = 500


@dataclass(frozen=True)
class Resolution:
    """Pixels per unit of length.

    Attributes:
        x, y: horizontally and vertically.
        unit: "metre", "centimetre" or "inch"; "" if only the ratio of x and y means something.
    """

    x: float
    y: float
    unit: str

    def per(self, unit: str) -> tuple[float, float]:
        """Return pixels per another unit; x and y themselves if only their ratio is known."""
        if not self.unit or self.unit == unit:
            return self.x, self.y
        factor = METRES[unit] / METRES[self.unit]
        return self.x * factor, self.y * factor


@dataclass(frozen=True)
class PictureMetadata:
    """What a file says beside the pixels and the colour profile.

    Attributes:
        exif: the EXIF block without `Exif` in front, as the file has it; writers set its orientation to 1.
        resolution: pixels per unit of length.
        colour_chunks: name and content of the PNG chunks cICP, cHRM, gAMA and sRGB.
        one_bit: whether the file stores one bit per pixel; 8 bits of gray or colour are written.
        left_out: names of what a reader found and cannot keep.
        made_by: settings that the pixels were computed with, in words; written into the file, and read back
            by `hsr_tf.io.pictures.made_by` alone.
        jpeg_quality: estimated quality of a JPEG file, 1 to 100; None for other formats.
    """

    exif: bytes | None = None
    resolution: Resolution | None = None
    colour_chunks: tuple[tuple[str, bytes], ...] = ()
    one_bit: bool = False
    left_out: tuple[str, ...] = ()
    made_by: str | None = None
    jpeg_quality: int | None = None


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture in memory.

    Attributes:
        values: (H, W, C) uint8 or uint16; C is 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha). Alpha is
            not multiplied into the colours.
        icc_profile: colour profile of the file; None for sRGB.
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
    """Return (H, W, C) upright by its EXIF or TIFF orientation, 1 to 8; other numbers mean nothing."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


def upright_picture(
    path: Path, values: NDArray[Any], orientation: int, profile: bytes | None, metadata: PictureMetadata
) -> Picture:
    """Return stored values (H, W) or (H, W, C) as an upright picture.

    Args:
        path: of the file.
        values: uint8 or uint16.
        orientation: EXIF or TIFF orientation, 1 to 8.
        profile: colour profile, or None.
        metadata: with the resolution of the stored values.
    """
    channels = values[..., None] if values.ndim == 2 else values
    resolution = metadata.resolution
    if resolution is not None and orientation in (5, 6, 7, 8):
        turned = replace(resolution, x=resolution.y, y=resolution.x)
        metadata = replace(metadata, resolution=turned)
    return Picture(upright(channels, orientation), profile, path.stem, metadata)


def lost_colour(metadata: PictureMetadata, *, has_profile: bool) -> list[str]:
    """Return the names of the colour chunks whose meaning a format without them loses.

    A colour profile says more than gAMA, cHRM and sRGB, which readers then ignore; values of sRGB are what
    other formats imply. PNG specification, third edition, section 4.3.
    """
    chunks = dict(metadata.colour_chunks)
    lost = ["cICP"] if "cICP" in chunks else []
    if has_profile or "sRGB" in chunks:
        return lost
    gamma, chromaticities = _numbers(chunks.get("gAMA")), _numbers(chunks.get("cHRM"))
    if gamma and abs(gamma[0] - SRGB_GAMMA) > SLACK:
        lost.append("gAMA")
    if chromaticities and any(
        abs(n - m) > SLACK for n, m in zip(chromaticities, SRGB_CHROMATICITIES, strict=False)
    ):
        lost.append("cHRM")
    return lost


def _numbers(chunk: bytes | None) -> tuple[int, ...]:
    whole = b"" if chunk is None else chunk[: len(chunk) // 4 * 4]
    return struct.unpack(f">{len(whole) // 4}I", whole)
