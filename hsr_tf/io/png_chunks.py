"""The chunks of a PNG file, and its pixels decoded without a word of the decoder on stderr.

libpng prints about interlaced files and about ancillary chunks (a profile that it knows, a gamma that does
not go with it). It gets the chunks that pixels are made of alone, and interlaced files pass by pass, each as
a small file of its own. PNG specification, third edition, sections 5, 8.1 and 11.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hsr_tf.imports import deferred

imagecodecs = deferred("imagecodecs")

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# First row and column, and steps between rows and columns, of the passes of Adam7.
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


@dataclass(frozen=True)
class Chunk:
    """Name, content and checksum, as the file has them."""

    name: bytes
    data: bytes
    checksum: bytes

    @property
    def encoded(self) -> bytes:
        """The chunk as it lies in a file."""
        return struct.pack(">I4s", len(self.data), self.name) + self.data + self.checksum


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk as it lies in a file, with its checksum."""
    return Chunk(name, data, struct.pack(">I", zlib.crc32(name + data))).encoded


def read_chunks(file: BinaryIO, wanted: tuple[bytes, ...]) -> Iterator[Chunk]:
    """The wanted chunks of an open file in their order; the others are skipped.

    Raises:
        ValueError: a wanted chunk that is cut short.
    """
    file.seek(len(SIGNATURE))
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name not in wanted:
            file.seek(length + 4, 1)
            continue
        data, checksum = file.read(length), file.read(4)
        if len(checksum) < 4:
            raise ValueError(f"its chunk {name.decode('latin-1')} is cut short")
        yield Chunk(name, data, checksum)


def decode_quietly(data: BinaryIO) -> NDArray[Any]:
    """The pixels of a PNG file, (H, W, channels) uint8 or uint16, palettes looked up.

    Raises:
        ValueError, imagecodecs.PngError: a damaged file.
    """
    chunks = [*read_chunks(data, PIXEL_CHUNKS)]
    if not chunks or chunks[0].name != b"IHDR" or len(chunks[0].data) != 13:
        raise ValueError("its header is missing")
    if chunks[0].data[12] == 0:
        return _decoded(SIGNATURE + b"".join(one.encoded for one in chunks))
    return _interlaced(chunks)


def _decoded(data: bytes) -> NDArray[Any]:
    picture = np.asarray(imagecodecs.png_decode(data))
    return picture if picture.ndim == 3 else picture[..., None]


def _interlaced(chunks: list[Chunk]) -> NDArray[Any]:
    """A picture of its seven passes."""
    width, height, depth, kind = struct.unpack(">IIBB", chunks[0].data[:10])
    _require_sums(chunks)
    bits = depth * SAMPLES[kind]
    sizes = [(-((top - height) // down), -((left - width) // right)) for top, left, down, right in PASSES]
    lengths = [h * (1 + -(-w * bits // 8)) if w else 0 for h, w in sizes]
    stream = zlib.decompressobj().decompress(
        b"".join(one.data for one in chunks if one.name == b"IDAT"), max(sum(lengths), 1)
    )
    if len(stream) < sum(lengths):
        raise ValueError("its pixels are cut short")
    tables = b"".join(one.encoded for one in chunks if one.name in (b"PLTE", b"tRNS"))
    picture, start = None, 0
    for (top, left, down, right), (h, w), length in zip(PASSES, sizes, lengths, strict=True):
        if not length:
            continue
        head = struct.pack(">II", w, h) + chunks[0].data[8:12] + b"\0"
        pixels = chunk(b"IDAT", zlib.compress(stream[start : start + length], 1))
        part = _decoded(SIGNATURE + chunk(b"IHDR", head) + tables + pixels + chunk(b"IEND", b""))
        if picture is None:
            picture = np.empty((height, width, part.shape[2]), part.dtype)
        picture[top::down, left::right] = part
        start += length
    if picture is None:
        raise ValueError("it has no pixels")
    return picture


def _require_sums(chunks: list[Chunk]) -> None:
    """Checksums that the decoder does not see, as the chunks are made anew."""
    for one in chunks:
        if (
            one.name in (b"IHDR", b"IDAT")
            and struct.pack(">I", zlib.crc32(one.name + one.data)) != one.checksum
        ):
            raise ValueError(f"the checksum of its chunk {one.name.decode()} is wrong")
