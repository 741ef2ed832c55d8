"""PNG pictures of 8 and 16 bits, palettes and gray of few bits included, with profile and metadata.

`hsr_tf.io.png` decodes and encodes; the chunks that it skips are read and written here: eXIf, iCCP, cICP,
cHRM, gAMA, sRGB (colours), pHYs (resolution) and the Software line of tEXt. Animations are refused. PNG
specification, third edition, sections 5 and 11.3.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from hsr_tf.checks import file_error
from hsr_tf.io.exif import exif_orientation, exif_resolution, upright_exif
from hsr_tf.io.picture import Picture, upright
from hsr_tf.io.picture_metadata import PictureMetadata, Resolution
from hsr_tf.io.png import FORMAT, decode_png, encode_png, read_png_header
from hsr_tf.io.png_chunks import SIGNATURE, chunk, read_chunks
from hsr_tf.io.source import decoding
from hsr_tf.tiling.memory import require_memory

PROFILE_NAME = b"ICC profile\0\0"
HEADER_END = len(SIGNATURE) + 25
LARGEST_PROFILE = 16 * 2**20
COLOUR_CHUNKS = ("cICP", "sRGB", "gAMA", "cHRM")
SOFTWARE = b"Software\0"
READ = (b"IHDR", b"eXIf", b"iCCP", b"pHYs", b"acTL", *(name.encode() for name in COLOUR_CHUNKS))
PER_METRE = 1


def read_png_picture(path: Path, max_gib: float | None) -> Picture:
    """Read a PNG picture; palettes become RGB, or RGB and alpha where the palette has transparent entries.

    Raises:
        OSError: a file that is damaged or cut short, an animation, a picture beyond the limit.
    """
    header = read_png_header(path)
    require_memory(path, (*header.size, header.num_channels), header.dtype.itemsize, max_gib)
    with decoding(path, FORMAT), open(path, "rb") as file:
        chunks = {one.name: one.data for one in read_chunks(file, READ)}
        num_frames = struct.unpack(">I", chunks[b"acTL"][:4])[0] if b"acTL" in chunks else 1
        profile = _profile(chunks[b"iCCP"]) if b"iCCP" in chunks else None
    if num_frames > 1:
        raise file_error(path, f"is an animation of {num_frames} frames", "save one frame as a picture")
    exif = chunks.get(b"eXIf")
    orientation = 1 if exif is None else exif_orientation(exif)
    values = upright(decode_png(path), orientation)
    resolution = _resolution(chunks.get(b"pHYs", b"")) or exif_resolution(exif)
    metadata = PictureMetadata(
        exif=exif,
        resolution=None if resolution is None else resolution.rotated(orientation),
        colour_chunks=_colour_chunks(chunks),
        one_bit=chunks[b"IHDR"][8] == 1,
    )
    return Picture(values, profile, path.stem, metadata)


def write_png_picture(picture: Picture, file: Path) -> None:
    """Write a picture of 1 to 4 channels with its bits and metadata."""
    data = encode_png(picture.values)
    with open(file, "wb") as target:
        target.write(data[:HEADER_END])
        for name, content in _written(picture):
            target.write(chunk(name, content))
        target.write(memoryview(data)[HEADER_END:])


def png_made_by(path: Path) -> str | None:
    """The Software line of a PNG file that reaches its end; None without one."""
    with open(path, "rb") as file:
        chunks = [*read_chunks(file, (b"tEXt", b"IEND"))]
    texts = [one.data for one in chunks if one.data.startswith(SOFTWARE)]
    whole = bool(chunks) and chunks[-1].name == b"IEND"
    return texts[0].removeprefix(SOFTWARE).decode("latin-1") if whole and texts else None


def _written(picture: Picture) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of the chunks beside the pixels."""
    metadata, colours = picture.metadata, dict(picture.metadata.colour_chunks)
    for name in (name for name in COLOUR_CHUNKS if name in colours):
        yield name.encode(), colours[name]
    if picture.icc_profile is not None:
        yield b"iCCP", PROFILE_NAME + zlib.compress(picture.icc_profile)
    if metadata.resolution is not None:
        x, y = metadata.resolution.per("metre")
        unit = PER_METRE if metadata.resolution.unit else 0
        yield b"pHYs", struct.pack(">IIB", round(x), round(y), unit)
    block = upright_exif(metadata.exif, picture.size) if metadata.exif is not None else None
    if block is not None:
        yield b"eXIf", block
    if metadata.made_by is not None:
        yield b"tEXt", SOFTWARE + metadata.made_by.encode("latin-1", "replace")


def _colour_chunks(chunks: Mapping[bytes, bytes]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, chunks[name.encode()]) for name in COLOUR_CHUNKS if name.encode() in chunks)


def _resolution(data: bytes) -> Resolution | None:
    """That of a pHYs chunk; None where it is missing, damaged, or says no more than square pixels."""
    if len(data) != 9:
        return None
    x, y, unit = struct.unpack(">IIB", data)
    known = min(x, y) > 0 and (unit == PER_METRE or x != y)
    return Resolution(float(x), float(y), "metre" if unit == PER_METRE else "") if known else None


def _profile(data: bytes) -> bytes | None:
    """The profile in an iCCP chunk; a damaged one is no reason to refuse the picture."""
    try:
        stream = zlib.decompressobj()
        return stream.decompress(data.partition(b"\0")[2][1:], LARGEST_PROFILE)
    except zlib.error:
        return None
