"""What a picture file says beside its pixels and colour profile, and what other formats cannot hold."""

from __future__ import annotations

import struct
from dataclasses import dataclass

METRES = {"metre": 1.0, "centimetre": 0.01, "inch": 0.0254}
SRGB_GAMMA = 45455
SRGB_CHROMATICITIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
SLACK = 500


@dataclass(frozen=True)
class Resolution:
    """Pixels per unit of length.

    Attributes:
        x, y: horizontally and vertically.
        unit: "metre", "centimetre" or "inch"; "" where only the ratio of x and y means something.
    """

    x: float
    y: float
    unit: str

    def per(self, unit: str) -> tuple[float, float]:
        """Pixels per another unit; x and y themselves where only their ratio is known."""
        if not self.unit or self.unit == unit:
            return self.x, self.y
        factor = METRES[unit] / METRES[self.unit]
        return self.x * factor, self.y * factor

    def rotated(self, orientation: int) -> Resolution:
        """The resolution once the pixels are upright: orientations 5 to 8 exchange x and y."""
        return Resolution(self.y, self.x, self.unit) if orientation in (5, 6, 7, 8) else self


@dataclass(frozen=True)
class PictureMetadata:
    """What a file says beside the pixels and the colour profile.

    Attributes:
        exif: the EXIF block without `Exif` in front, as the file has it; writers set its orientation to 1.
        resolution: pixels per unit of length. colour_chunks: name and content of the PNG chunks cICP, cHRM,
        gAMA and sRGB. one_bit: whether the file stores one bit per pixel; 8 bits of gray or colour are
        written. left_out: names of what a reader found and cannot keep. made_by: settings that the pixels
        were computed with, in words; written into the file, and read back by
            `hsr_tf.io.pictures.made_by` alone.
        jpeg_quality: estimated quality of a JPEG file, 1 to 100; None for other formats.
    """

    exif: bytes | None = None
    resolution: Resolution | None = None
    colour_chunks: tuple[tuple[str, bytes], ...] = ()
    one_bit: bool = False
    left_out: tuple[str, ...] = ()
    made_by: str | None = None
    jpeg_quality: int | None = None


def lost_colour(metadata: PictureMetadata, *, has_profile: bool) -> list[str]:
    """Names of the colour chunks whose meaning a format without them loses.

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
