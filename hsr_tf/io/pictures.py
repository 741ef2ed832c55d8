"""Pictures from and to files: PNG, JPEG and TIFF of 8 and 16 bits, gray or RGB, with or without alpha.

The content of a file decides what it is, not its name. Pictures are upright, as their orientation says, and
keep their bits, colour profile, EXIF (with orientation 1), resolution and, in PNG, their colour chunks.
Texts, XMP and IPTC are not kept. Files appear whole or not at all.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hsr_tf import files
from hsr_tf.checks import file_error
from hsr_tf.files import replacing_file
from hsr_tf.imports import deferred
from hsr_tf.io import jpeg, png
from hsr_tf.io.exif import upright_exif
from hsr_tf.io.jpeg import LONGEST_EXIF, jpeg_made_by, read_jpeg, require_jpeg, write_jpeg
from hsr_tf.io.picture import Picture, lost_colour
from hsr_tf.io.png import png_made_by, read_png_picture, write_png_picture
from hsr_tf.io.tiff_picture import fits_exif, read_tiff_picture, tiff_made_by, write_tiff_picture

natsort = deferred("natsort")


@dataclass(frozen=True)
class _Codec:
    """A picture format.

    Attributes:
        suffixes: of its files; the first bytes of a file are one of `signatures`.
        read, write: the whole picture.
        made_by: reads the settings that a picture was made with.
    """

    suffixes: tuple[str, ...]
    signatures: tuple[bytes, ...]
    read: Callable[[Path, float | None], Picture]
    write: Callable[[Picture, Path], None]
    made_by: Callable[[Path], str | None]


_PNG = _Codec((".png",), (png.SIGNATURE,), read_png_picture, write_png_picture, png_made_by)
_JPEG = _Codec((".jpg", ".jpeg"), (jpeg.SIGNATURE,), read_jpeg, write_jpeg, jpeg_made_by)
_TIFF = _Codec(
    (".tif", ".tiff"),
    (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    read_tiff_picture,
    write_tiff_picture,
    tiff_made_by,
)
_CODECS = {suffix: one for one in (_PNG, _JPEG, _TIFF) for suffix in one.suffixes}
SUFFIXES = tuple(_CODECS)


def read_picture(path: str | os.PathLike[str], *, max_gib: float | None = None) -> Picture:
    """Read a picture.

    Args:
        path: a PNG, JPEG or TIFF file; CMYK is refused.
        max_gib: refuse pictures that take more memory; None for half of the machine's.

    Raises:
        OSError: a file that is missing, no picture, damaged, cut short, of a kind that is not read, or beyond
            the limit; in one line.
    """
    file = Path(path)
    if not file.is_file():
        problem = "is a folder" if file.is_dir() else "no such file"
        raise file_error(file, problem, "give the name of a PNG, JPEG or TIFF file")
    with open(file, "rb") as opened:
        start = opened.read(16)
    for codec in (_PNG, _JPEG, _TIFF):
        if start.startswith(codec.signatures):
            return codec.read(file, max_gib)
    problem = "is no PNG, JPEG or TIFF picture" if start else "is empty"
    raise file_error(file, problem, "convert it to one of these")


def write_picture(picture: Picture, path: str | os.PathLike[str]) -> Path:
    """Write a picture; the suffix says the format, and an older file is replaced.

    Raises:
        ValueError: another suffix, or what the format cannot hold (alpha in a JPEG).
        OSError: the place cannot be written; an older file stays as it was.

    Warns:
        UserWarning: 16 bits that a JPEG rounds to 8, metadata that the format cannot hold, a damaged EXIF
            block.
    """
    target = Path(path)
    require_writable(target, has_alpha=picture.has_alpha, size=picture.size)
    codec = _CODECS[target.suffix.lower()]
    if codec is _JPEG and picture.values.dtype.itemsize > 1:
        warnings.warn(f"{target}: JPEG holds 8 bits, the 16 of the picture were rounded", stacklevel=2)
        rounded = (picture.values.astype(np.uint32) + 128) // 257
        picture = replace(picture, values=rounded.astype(np.uint8))
    for message in _losses(picture, codec):
        warnings.warn(f"{target}: {message}", stacklevel=2)
    with replacing_file(target) as draft:
        codec.write(picture, draft)
    return target


def _losses(picture: Picture, codec: _Codec) -> Iterator[str]:
    """Return what a format cannot hold of a picture, one line each."""
    metadata, resolution = picture.metadata, picture.metadata.resolution
    lost = list(metadata.left_out)
    if codec is not _PNG:
        lost += lost_colour(metadata, has_profile=picture.icc_profile is not None)
    if lost:
        remedy = "" if codec is _PNG or metadata.left_out else "; write a .png file to keep it"
        yield f"the colour description of the source ({', '.join(lost)}) is not kept{remedy}"
    if codec is _JPEG and resolution is not None and not resolution.unit:
        yield f"the pixel aspect ratio of the source ({resolution.x:g} to {resolution.y:g}) is not kept"
    if metadata.exif is not None:
        block = upright_exif(metadata.exif, picture.size)
        if block is None:
            yield "the EXIF block of the source is damaged and not kept"
        elif (codec is _JPEG and len(block) > LONGEST_EXIF) or (codec is _TIFF and not fits_exif(picture)):
            yield f"the EXIF block of the source ({len(block)} bytes) does not fit and is not kept"


def made_by(path: str | os.PathLike[str]) -> str | None:
    """Return the settings that a picture file was made with (`PictureMetadata.made_by`).

    Only the structure of the file is read. None for a file that is cut short or damaged, says nothing, or has
    another suffix than those of `SUFFIXES`.
    """
    file = Path(path)
    codec = _CODECS.get(file.suffix.lower())
    try:
        return None if codec is None else codec.made_by(file)
    except Exception:  # decoders raise about a dozen unrelated types on damaged files
        return None


def require_writable(path: str | os.PathLike[str], *, has_alpha: bool, size: tuple[int, int]) -> None:
    """Refuse a name that `write_picture` would refuse for such a picture, before work is put into it.

    Raises:
        ValueError: another suffix, or what the format cannot hold.
    """
    target = Path(path)
    require_suffix(target)
    if _CODECS[target.suffix.lower()] is _JPEG:
        require_jpeg(target, has_alpha=has_alpha, size=size)


def require_suffix(path: str | os.PathLike[str]) -> None:
    """Refuse a name that is not that of a picture.

    Raises:
        ValueError: another suffix than those of `SUFFIXES`.
    """
    files.require_suffix("output", path, SUFFIXES)


def picture_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the pictures of a folder by their suffix, in natural order, hidden files left out.

    Raises:
        OSError: no such folder, or none in it.
    """
    place = Path(folder)
    if not place.is_dir():
        raise file_error(place, "no such folder", "give a folder of pictures")
    found: Iterable[Path] = (
        entry
        for entry in place.iterdir()
        if entry.suffix.lower() in _CODECS and entry.is_file() and not entry.name.startswith(".")
    )
    files = natsort.natsorted(found, key=lambda file: file.name)
    if not files:
        raise file_error(place, "holds no PNG, JPEG or TIFF pictures", "give a folder of pictures")
    return list(files)
