"""EXIF blocks: the orientation in them, and the same block for pixels that were made upright and enlarged.

A block is kept byte for byte, so that what cameras write with offsets of their own (maker notes) stays
readable; only the orientation, the sizes and the link to the thumbnail, which shows the old picture, change.
CIPA DC-008 (EXIF 3.0), sections 4.5 and 4.6.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hsr_tf.imports import deferred
from hsr_tf.io.picture import Resolution

if TYPE_CHECKING:
    from PIL import Image, TiffImagePlugin
else:
    Image = deferred("PIL.Image")
    TiffImagePlugin = deferred("PIL.TiffImagePlugin")

PREFIX = b"Exif\0\0"
ORIENTATION, WIDTH, HEIGHT = 0x0112, 0x0100, 0x0101
EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x8769, 0x8825, 0xA005
PIXEL_WIDTH, PIXEL_HEIGHT = 0xA002, 0xA003
X_RESOLUTION, Y_RESOLUTION, UNIT = 282, 283, 296
UNITS = {2: "inch", 3: "centimetre"}
MOST_PER_INCH = 1e6
SHORT, LONG = 3, 4
DESCRIPTIVE = (270, 271, 272, 306, 315, 33432)
ORDERS = {b"II": "<", b"MM": ">"}
Found = TypeVar("Found")
DAMAGE = (OSError, SyntaxError, ValueError, TypeError, KeyError, ZeroDivisionError, struct.error)


def exif_orientation(exif: bytes | None) -> int:
    """Return the orientation in an EXIF block, with or without `Exif` in front; 1 without one."""
    found = _read(exif, lambda block: block.get(ORIENTATION), None)
    return int(found) if isinstance(found, int) else 1


def exif_resolution(exif: bytes | None) -> Resolution | None:
    """Return the resolution in an EXIF block, in pixels per inch or centimetre; None without one."""
    found = _read(
        exif,
        lambda one: Resolution(float(one[X_RESOLUTION]), float(one[Y_RESOLUTION]), UNITS[one.get(UNIT, 2)]),
        None,
    )
    known = found is not None and 0 < min(found.x, found.y) <= max(found.x, found.y) < MOST_PER_INCH
    return found if known else None


def exif_tags(exif: bytes | None) -> dict[int, str]:
    """Return the descriptive texts of an EXIF block by the TIFF tag that holds them."""
    missing: dict[int, Any] = {}
    found = _read(exif, lambda block: {tag: block.get(tag) for tag in DESCRIPTIVE}, missing)
    return {tag: text for tag, text in found.items() if isinstance(text, str)}


def exif_directories(exif: bytes | None) -> dict[int, dict[int, Any]]:
    """Return the EXIF and GPS directories of a block by the TIFF tag that points to them."""
    return _read(exif, _directories, {})


def upright_exif(exif: bytes | None, size: tuple[int, int]) -> bytes | None:
    """Return the block for upright pixels of another size; None without one, or for one that is damaged.

    Args:
        exif: the block, with or without `Exif` in front.
        size: (H, W) of the pixels that it is written beside.

    Returns:
        The block without `Exif` in front: orientation 1, the sizes it states set to `size`, no thumbnail.
    """
    block = bytearray((exif or b"").removeprefix(PREFIX))
    height, width = size
    try:
        order = ORDERS[bytes(block[:2])]
        (first,) = struct.unpack_from(f"{order}I", block, 4)
        end, inner = _change(block, order, first, {ORIENTATION: 1, WIDTH: width, HEIGHT: height})
        struct.pack_into(f"{order}I", block, end, 0)
        if inner is not None:
            _change(block, order, inner, {PIXEL_WIDTH: width, PIXEL_HEIGHT: height})
    except (struct.error, KeyError):
        return None
    return bytes(block)


def exif_of_tiff(path: Path) -> bytes | None:
    """Return the descriptive tags, EXIF and GPS directories of a TIFF file as a block; None without any."""
    block = Image.Exif()
    try:
        with Image.open(path, formats=("TIFF",)) as image:
            found = image.getexif()
            for tag, value in [(tag, found[tag]) for tag in DESCRIPTIVE if tag in found]:
                block[tag] = value
            for tag, directory in _directories(found).items():
                block[tag] = directory
        return block.tobytes().removeprefix(PREFIX) if len(block) else None
    except DAMAGE:
        return None


def _read(exif: bytes | None, get: Callable[[Image.Exif], Found], missing: Found) -> Found:
    """Return what `get` finds in a block; `missing` without a block, or for a damaged one."""
    if exif is None:
        return missing
    block = Image.Exif()
    try:
        block.load(PREFIX + exif.removeprefix(PREFIX))
        return get(block)
    except DAMAGE:
        return missing


def _directories(block: Image.Exif) -> dict[int, dict[int, Any]]:
    both = {
        tag: {code: value for code, value in block.get_ifd(tag).items() if code != INTEROP_IFD}
        for tag in (EXIF_IFD, GPS_IFD)
    }
    return {tag: values for tag, values in both.items() if values}


def _change(block: bytearray, order: str, start: int, values: Mapping[int, int]) -> tuple[int, int | None]:
    """Set whole numbers of a directory; return where it ends, and where its EXIF directory starts."""
    (number,) = struct.unpack_from(f"{order}H", block, start)
    inner = None
    for place in range(start + 2, start + 2 + 12 * number, 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", block, place)
        if tag == EXIF_IFD:
            (inner,) = struct.unpack_from(f"{order}I", block, place + 8)
        elif tag in values and count == 1 and kind in (SHORT, LONG):
            form = "H" if kind == SHORT and values[tag] < 2**16 else "I"
            struct.pack_into(f"{order}HHI", block, place, tag, SHORT if form == "H" else LONG, 1)
            struct.pack_into(f"{order}{form}", block, place + 8, values[tag])
    return start + 2 + 12 * number, inner
