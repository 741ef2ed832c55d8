"""JPEG pictures: gray and RGB of 8 bits, upright as their EXIF orientation says, with their colour profile.

Written: quality 95, colour at full resolution. JPEG has no opacity and no more than 8 bits.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from hsr_tf.checks import file_error, require
from hsr_tf.io.picture import Picture, upright, with_channels
from hsr_tf.io.source import decoding
from hsr_tf.memory import require_memory

FORMAT = "JPEG"
SIGNATURE = b"\xff\xd8\xff"
ORIENTATION = 0x0112
QUALITY = 95
LONGEST_SIDE = 65500
CHANNELS = {"L": 1, "RGB": 3}


def read_jpeg(path: Path, max_gib: float | None) -> Picture:
    """Read a JPEG picture.

    Raises:
        OSError: a file that is damaged or cut short, CMYK, a picture beyond the limit.
    """
    with decoding(path, FORMAT):
        image = JpegImageFile(path)
    with image:
        if image.mode not in CHANNELS:
            raise file_error(path, f"its colours are stored as {image.mode}", "save it as gray or RGB")
        require_memory(path, (image.height, image.width, CHANNELS[image.mode]), 1, max_gib)
        with decoding(path, FORMAT):
            values = np.asarray(image)
            orientation = int(image.getexif().get(ORIENTATION, 1))
        return Picture(upright(with_channels(values), orientation), image.info.get("icc_profile"), path.stem)


def write_jpeg(picture: Picture, file: Path) -> None:
    """Write a gray or RGB picture of 8 bits."""
    values = picture.values[..., 0] if picture.values.shape[2] == 1 else picture.values
    extra = {} if picture.icc_profile is None else {"icc_profile": picture.icc_profile}
    Image.fromarray(values).save(file, format=FORMAT, quality=QUALITY, subsampling=0, **extra)


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


def exif_orientation(exif: bytes) -> int:
    """The orientation in an EXIF block, with or without `Exif` in front; 1 where there is none."""
    found: Any = 1
    try:
        block = Image.Exif()
        block.load(exif)
        found = block.get(ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, struct.error):
        return 1
    return int(found) if isinstance(found, int) else 1


def to_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """16 bits rounded to 8, 8 as they are."""
    if values.dtype == np.uint8:
        return values
    rounded = (values.astype(np.uint32) + 128) // 257
    return rounded.astype(np.uint8)
