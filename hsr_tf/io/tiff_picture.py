"""TIFF pictures of 8 and 16 bits: gray, RGB, palettes, with alpha, orientation and colour profile.

Read: one picture of one page; white as zero is inverted, palettes are looked up, 1 to 15 bits are spread over
the next depth (scans and faxes of one bit become gray of 8), colours that alpha was multiplied into are
divided by it again. CMYK and other colour spaces need a profile to become RGB and are refused. Written: zlib,
alpha not multiplied in. Descriptive tags, EXIF, GPS and resolution are kept. TIFF 6.0, sections 8 and 16 to
23.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error
from hsr_tf.imports import deferred
from hsr_tf.io.exif import exif_directories, exif_of_tiff, exif_tags, upright_exif
from hsr_tf.io.opacity import straight
from hsr_tf.io.picture import DEPTHS, Picture, PictureMetadata, Resolution, upright_picture
from hsr_tf.io.source import decoding
from hsr_tf.io.tiff_pages import blocks_end, damage_raised, open_pages, orientation_of, require_blocks
from hsr_tf.tiling.memory import require_memory

TiffImagePlugin = deferred("PIL.TiffImagePlugin")
tifffile = deferred("tifffile")

FORMAT = "TIFF"
X_RESOLUTION, Y_RESOLUTION, UNIT, SOFTWARE = 282, 283, 296, 305
COLOUR_TAGS = {301: "TransferFunction", 318: "WhitePoint", 319: "PrimaryChromaticities"}
UNITS = {1: "", 2: "inch", 3: "centimetre"}
UNIT_NAMES = {"": "NONE", "inch": "INCH", "centimetre": "CENTIMETER"}
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
PROFILE = 34675
MULTIPLIED_ALPHA = 1
BIG = 2**31


def read_tiff_picture(path: Path, max_gib: float | None) -> Picture:
    """Read a TIFF picture.

    Raises:
        OSError: a file that is damaged or cut short, several pages, CMYK and other colour spaces, other
            depths, a picture beyond the limit.
    """
    with open_pages(path, FORMAT) as file:
        page = _only_page(path, file)
        require_blocks(path, [page], FORMAT)
        shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
        require_memory(path, shape, np.dtype(page.dtype).itemsize, max_gib)
        with decoding(path, FORMAT), damage_raised():
            values = _colours(page, page.asarray())
        kept = (PROFILE, X_RESOLUTION, Y_RESOLUTION, UNIT)
        tags = {code: page.tags[code].value for code in kept if code in page.tags}
        lost = tuple(name for code, name in COLOUR_TAGS.items() if code in page.tags)
        one_bit, orientation = page.bitspersample == 1, orientation_of(page)
    resolution = None
    with suppress(KeyError, TypeError, ValueError, ZeroDivisionError):  # missing, or no positive number
        (a, b), (c, d) = tags[X_RESOLUTION], tags[Y_RESOLUTION]
        x, y, unit = a / b, c / d, UNITS.get(int(tags.get(UNIT, 2)), "")
        if min(x, y) > 0 and (unit or x != y):
            resolution = Resolution(x, y, unit)
    profile = bytes(tags[PROFILE]) if PROFILE in tags else None
    metadata = PictureMetadata(
        exif=exif_of_tiff(path),
        resolution=resolution,
        one_bit=one_bit,
        left_out=lost if profile is None else (),
    )
    return upright_picture(path, values, orientation, profile, metadata)


def write_tiff_picture(picture: Picture, file: Path) -> None:
    """Write a picture of 1 to 4 channels with its bits; see `fits_exif` for what becomes of EXIF."""

    values, metadata = picture.values, picture.metadata
    block = upright_exif(metadata.exif, picture.size) if fits_exif(picture) else None
    texts = exif_tags(block)
    if metadata.made_by is not None:
        texts[SOFTWARE] = metadata.made_by
    resolution: dict[str, Any] = {}
    if metadata.resolution is not None:
        unit = {"metre": "centimetre"}.get(
            metadata.resolution.unit, metadata.resolution.unit
        )  # TIFF has no metre
        resolution = {"resolution": metadata.resolution.per(unit), "resolutionunit": UNIT_NAMES[unit]}
    is_gray = values.shape[2] == 1
    with open(file, "wb") as target:
        tifffile.imwrite(
            target,
            values[..., 0] if is_gray else values,
            photometric="minisblack" if values.shape[2] <= 2 else "rgb",
            planarconfig=None if is_gray else "contig",
            extrasamples=("unassalpha",) if picture.has_alpha else None,
            compression="zlib",
            predictor=True,
            iccprofile=picture.icc_profile,
            bigtiff=values.nbytes > BIG,
            metadata=None,
            software=False,
            byteorder="<",
            extratags=[(code, 2, len(text) + 1, text, True) for code, text in sorted(texts.items())],
            **resolution,
        )
    _append_directories(file, exif_directories(block))


def tiff_made_by(path: Path) -> str | None:
    """Return the Software tag of a TIFF file whose pixels are all there; None without one."""
    with open_pages(path, FORMAT) as file, damage_raised():
        page = file.pages[0]
        is_whole, tag = blocks_end(page) <= path.stat().st_size, page.tags.get(SOFTWARE)
    return str(tag.value) if is_whole and tag is not None else None


def fits_exif(picture: Picture) -> bool:
    """Return whether `write_tiff_picture` keeps EXIF: not in a file of more than 2 GiB."""
    return picture.values.nbytes <= BIG


def _append_directories(file: Path, directories: Mapping[int, Mapping[int, Any]]) -> None:
    """Write directories behind the end of a classic little-endian TIFF file, whose one page points to them.

    The page's own list of tags is written again behind them, with the pointers in it.
    """
    if not directories:
        return
    with open(file, "r+b") as target:
        target.seek(4)
        target.seek(*struct.unpack("<I", target.read(4)))
        (number,) = struct.unpack("<H", target.read(2))
        entries = [target.read(12) for _ in range(number)]
        for code, values in directories.items():
            place = _even_end(target)
            directory = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
            directory.update(values)
            target.write(directory.tobytes(place))
            entries.append(struct.pack("<HHII", code, 4, 1, place))
        entries.sort(key=lambda entry: struct.unpack("<H", entry[:2]))
        place = _even_end(target)
        target.write(struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4))
        target.seek(4)
        target.write(struct.pack("<I", place))


def _even_end(target: BinaryIO) -> int:
    """Return the even offset at the end of a file, where directories begin."""
    target.write(bytes(target.seek(0, 2) % 2))
    return target.tell()


def _only_page(path: Path, file: Any) -> Any:
    """Return the page of the picture, once it is known to be one that can be read."""
    with decoding(path, FORMAT), damage_raised():
        pages = [page for page in file.pages if not page.is_reduced]
    if len(pages) != 1:
        raise file_error(path, f"holds {len(pages)} pages", "save one picture a file")
    page = pages[0]
    depth, extras = page.dtype, len(page.extrasamples)
    if depth is None or (depth not in DEPTHS and depth != np.dtype(bool)):
        raise file_error(path, f"its values are {depth}", "save it with 8 or 16 bits")
    kind = int(page.photometric)
    jpeg_colours = kind == YCBCR and int(page.compression) in (6, 7, 34892, 33007)
    if kind not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE) and not jpeg_colours:
        name = getattr(page.photometric, "name", str(kind))
        named = "CMYK" if name == "SEPARATED" else name
        raise file_error(path, f"its colours are stored as {named}", "save it as gray or RGB")
    num_colours = 3 if kind == RGB or jpeg_colours else 1
    if extras > 1 or page.samplesperpixel != num_colours + extras:
        problem = f"holds {page.samplesperpixel} channels, {extras} of them beside the colours"
        raise file_error(path, problem, "save it as gray or RGB, with one alpha channel at most")
    return page


def _colours(page: Any, values: NDArray[Any]) -> NDArray[Any]:
    """Return the channels of a picture in 8 or 16 bits, white the largest value, alpha not multiplied in."""
    values = values.reshape(values.shape[-3:]) if values.ndim > 3 else values
    if values.ndim == 2:
        values = values[..., None]
    elif values.shape[0] == page.samplesperpixel > 1 and page.planarconfig == 2:
        values = np.moveaxis(values, 0, -1)
    kind, largest = int(page.photometric), 2**page.bitspersample - 1
    if kind == PALETTE:
        colours = np.moveaxis(np.asarray(page.colormap)[:, values[..., 0].astype(np.intp)] >> 8, 0, -1)
        alpha = np.rint(values[..., 1:] * (255 / largest))
        values = np.concatenate([colours.astype(np.uint8), alpha.astype(np.uint8)], axis=-1)
        largest = 255
    elif kind == WHITE_IS_ZERO:
        inverted = values[..., :1] ^ (True if values.dtype == bool else np.asarray(largest, values.dtype))
        values = np.concatenate([inverted, values[..., 1:]], axis=-1)
    if values.dtype == bool:
        values = values.astype(np.uint8) * np.uint8(255)
    elif largest < np.iinfo(values.dtype).max:  # 2 to 7 and 9 to 15 bits
        values = np.rint(values * (np.iinfo(values.dtype).max / largest)).astype(values.dtype)
    if page.extrasamples and int(page.extrasamples[0]) == MULTIPLIED_ALPHA:
        alpha = values[..., -1:]
        values = np.concatenate([straight(values[..., :-1], alpha), alpha], axis=-1)
    return values
