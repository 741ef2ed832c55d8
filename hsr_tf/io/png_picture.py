"""PNG pictures of 8 and 16 bits, palettes and gray of few bits included, with orientation and profile.

`hsr_tf.io.png` decodes and encodes; the chunks eXIf (orientation) and iCCP (colour profile), which it skips,
are read and written here. PNG specification, third edition, sections 5 and 11.3.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from hsr_tf.io.jpeg import exif_orientation
from hsr_tf.io.picture import Picture, upright
from hsr_tf.io.png import FORMAT, SIGNATURE, decode_png, encode_png, read_png_header
from hsr_tf.io.source import decoding
from hsr_tf.memory import require_memory

PROFILE_NAME = b"ICC profile\0\0"
HEADER_END = len(SIGNATURE) + 25
LARGEST_PROFILE = 16 * 2**20


def read_png_picture(path: Path, max_gib: float | None) -> Picture:
    """Read a PNG picture; palettes become RGB, or RGB and alpha where the palette has transparent entries.

    Raises:
        OSError: a file that is damaged or cut short, a picture beyond the limit.
    """
    header = read_png_header(path)
    require_memory(path, (*header.size, header.num_channels), header.dtype.itemsize, max_gib)
    values = decode_png(path)
    with decoding(path, FORMAT):
        chunks = _chunks(path, (b"eXIf", b"iCCP"))
        profile = _profile(chunks[b"iCCP"]) if b"iCCP" in chunks else None
    orientation = exif_orientation(chunks[b"eXIf"]) if b"eXIf" in chunks else 1
    return Picture(upright(values, orientation), profile, path.stem)


def write_png_picture(picture: Picture, file: Path) -> None:
    """Write a picture of 1 to 4 channels with its bits."""
    data = encode_png(picture.values)
    with open(file, "wb") as target:
        target.write(data[:HEADER_END])
        if picture.icc_profile is not None:
            target.write(_chunk(b"iCCP", PROFILE_NAME + zlib.compress(picture.icc_profile)))
        target.write(memoryview(data)[HEADER_END:])


def _chunks(path: Path, wanted: tuple[bytes, ...]) -> dict[bytes, bytes]:
    """The wanted chunks; the picture's own data are skipped."""
    found = {}
    with open(path, "rb") as file:
        file.seek(len(SIGNATURE))
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name in wanted:
                found[name] = file.read(length)
                file.seek(4, 1)
            else:
                file.seek(length + 4, 1)
    return found


def _profile(chunk: bytes) -> bytes | None:
    """The profile in an iCCP chunk; a damaged one is no reason to refuse the picture."""
    try:
        stream = zlib.decompressobj()
        return stream.decompress(chunk.partition(b"\0")[2][1:], LARGEST_PROFILE)
    except zlib.error:
        return None


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
