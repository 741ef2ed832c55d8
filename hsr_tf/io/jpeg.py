"""JPEG pictures: gray and RGB of 8 bits, upright as their EXIF orientation says, with their colour profile.

Read and written: EXIF, resolution in pixels per inch. Written: quality 95, colour at full resolution. JPEG
has no opacity and no more than 8 bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hsr_tf.checks import file_error, require
from hsr_tf.imports import deferred
from hsr_tf.io.exif import PREFIX, exif_orientation, exif_resolution, upright_exif
from hsr_tf.io.picture import Picture, PictureMetadata, Resolution, upright_picture
from hsr_tf.io.source import decoding
from hsr_tf.tiling.memory import require_memory

if TYPE_CHECKING:
    from PIL import Image, JpegImagePlugin
else:
    Image = deferred("PIL.Image")
    JpegImagePlugin = deferred("PIL.JpegImagePlugin")

FORMAT = "JPEG"
SIGNATURE = b"\xff\xd8\xff"
END = b"\xff\xd9"
QUALITY = 95
LONGEST_SIDE = 65500
LONGEST_EXIF = 65000
JFIF_UNITS = {0: "", 1: "inch", 2: "centimetre"}
# fmt: off
LUMINANCE_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17,
    22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78,
    87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)
# fmt: on
CHANNELS = {"L": 1, "RGB": 3}


def read_jpeg(path: Path, max_gib: float | None) -> Picture:
    """Read a JPEG picture.

    Raises:
        OSError: a file that is damaged or cut short, CMYK, a picture beyond the limit.
    """
    with decoding(path, FORMAT):
        image = JpegImagePlugin.JpegImageFile(path)
    with image:
        if image.mode not in CHANNELS:
            raise file_error(path, f"its colours are stored as {image.mode}", "save it as gray or RGB")
        require_memory(path, (image.height, image.width, CHANNELS[image.mode]), 1, max_gib)
        with decoding(path, FORMAT):
            values = np.asarray(image)
        exif, resolution = image.info.get("exif"), None
        density, unit = image.info.get("jfif_density"), image.info.get("jfif_unit")
        if (
            density is not None
            and unit in JFIF_UNITS
            and min(density) > 0
            and (unit or density[0] != density[1])
        ):
            resolution = Resolution(float(density[0]), float(density[1]), JFIF_UNITS[unit])
        metadata = PictureMetadata(
            exif=None if exif is None else exif.removeprefix(PREFIX),
            resolution=resolution or exif_resolution(exif),
            jpeg_quality=estimated_quality(image.quantization),
        )
        profile = image.info.get("icc_profile")
        return upright_picture(path, values, exif_orientation(exif), profile, metadata)


def write_jpeg(picture: Picture, file: Path) -> None:
    """Write a gray or RGB picture of 8 bits."""
    values = picture.values[..., 0] if picture.values.shape[2] == 1 else picture.values
    metadata = picture.metadata
    extra: dict[str, Any] = {}
    block = upright_exif(metadata.exif, picture.size)
    if picture.icc_profile is not None:
        extra["icc_profile"] = picture.icc_profile
    if block is not None and len(block) <= LONGEST_EXIF:
        extra["exif"] = PREFIX + block
    if metadata.resolution is not None and metadata.resolution.unit:
        extra["dpi"] = metadata.resolution.per("inch")
    if metadata.made_by is not None:
        extra["comment"] = metadata.made_by.encode()
    Image.fromarray(values).save(file, format=FORMAT, quality=QUALITY, subsampling=0, **extra)


def jpeg_made_by(path: Path) -> str | None:
    """Return the comment of a JPEG file that reaches its end; None without one."""
    with open(path, "rb") as file:
        file.seek(-len(END), 2)
        whole = file.read() == END
    with JpegImagePlugin.JpegImageFile(path) as image:
        comment = image.info.get("comment")
    return comment.decode("utf-8", "replace") if whole and comment else None


def require_jpeg(path: Path, *, has_alpha: bool, size: tuple[int, int]) -> None:
    """Refuse what JPEG cannot hold.

    Raises:
        ValueError: a picture with opacity, or of a side that is too long.
    """
    require(
        not has_alpha,
        "output",
        expected="a PNG or TIFF name, as the picture has alpha and JPEG holds none",
        received=str(path),
        remedy="write to a .png file",
    )
    require(
        max(size) <= LONGEST_SIDE,
        "output",
        expected=f"at most {LONGEST_SIDE} pixels a side in a JPEG",
        received=f"{size[0]}x{size[1]}",
        remedy="write to a .png or .tif file",
    )


def estimated_quality(tables: Mapping[int, Sequence[int]]) -> int | None:
    """Return the quality, 1 to 100, whose luminance table in libjpeg is nearest to that of a file, or None.

    libjpeg scales the table of ITU-T T.81, annex K.1, by 5000 / q below q = 50 and by 200 - 2 q above, in
    per cent; the mean ratio of the two tables gives the scaling back.
    """
    if not tables:
        return None
    table = np.asarray(tables[min(tables)], np.float64)
    unclipped = (table > 1) & (table < 255)
    if not unclipped.any():
        return 100 if table.mean() < 2 else 1
    percent = 100 * float(table[unclipped].mean() / np.asarray(LUMINANCE_TABLE)[unclipped].mean())
    quality = (200 - percent) / 2 if percent <= 100 else 5000 / percent
    return int(np.clip(round(quality), 1, 100))
