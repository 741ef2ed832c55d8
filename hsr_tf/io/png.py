"""PNG pictures with all their bits: 8 and 16 bits, 1 to 4 channels, palettes, with profile and metadata.

Pillow reads 16-bit colour as 8-bit, so imagecodecs (libpng) decodes. libpng prints about interlaced files and
about ancillary chunks (a profile that it knows, a gamma that does not fit it). It gets only the chunks that
pixels are made of, and interlaced files pass by pass, each as a small file. Channels are as the file has
them: gray 1, gray and alpha 2, RGB 3, RGB and alpha 4; palettes are looked up. Read and written beside the
pixels: eXIf, iCCP, cICP, cHRM, gAMA, sRGB (colours), pHYs (resolution) and the Software line of tEXt.
Animations are refused. PNG specification, third edition, sections 5, 8.1 and 11.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error
from hsr_tf.imports import deferred
from hsr_tf.io.exif import exif_orientation, exif_resolution, upright_exif
from hsr_tf.io.picture import Picture, PictureMetadata, Resolution, upright_picture
from hsr_tf.io.source import decoding
from hsr_tf.tiling.memory import require_memory

imagecodecs = deferred("imagecodecs")

FORMAT = "PNG"
SIGNATURE, END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # per pixel, by the colour type
CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
PIXEL_CHUNKS = (*CRITICAL, b"tRNS")
COLOUR_CHUNKS = ("cICP", "sRGB", "gAMA", "cHRM")
METADATA_CHUNKS = (b"IHDR", b"eXIf", b"iCCP", b"pHYs", b"acTL", *(name.encode() for name in COLOUR_CHUNKS))
# First row and column, and steps between rows and columns, of the passes of Adam7.
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
PROFILE_NAME, SOFTWARE = b"ICC profile\0\0", b"Software\0"
HEADER_END = len(SIGNATURE) + 25
LARGEST_PROFILE = 16 * 2**20
PER_METRE = 1


@dataclass(frozen=True)
class PngHeader:
    """(height, width) in pixels, channels once decoded, and the type of the decoded values."""

    size: tuple[int, int]
    num_channels: int
    dtype: np.dtype[Any]


def read_png_header(path: Path) -> PngHeader:
    """Return size and type from the first chunk alone.

    Raises:
        OSError: not a PNG file, or cut within its header.
    """
    with decoding(path, FORMAT):
        with open(path, "rb") as file:
            head = file.read(33)
        if not head.startswith(SIGNATURE) or head[12:16] != b"IHDR":
            raise ValueError("no PNG signature")
        width, height, depth, kind = struct.unpack(">IIBB", head[16:26])
        dtype = np.dtype(np.uint16 if depth == 16 else np.uint8)
        return PngHeader((height, width), 3 if kind == 3 else SAMPLES[kind], dtype)


def read_png_picture(path: Path, max_gib: float | None) -> Picture:
    """Read a PNG picture; palettes become RGB, or RGB and alpha if the palette has transparent entries.

    Raises:
        OSError: a file that is damaged or cut short, an animation, a picture beyond the limit.
    """
    header = read_png_header(path)
    require_memory(path, (*header.size, header.num_channels), header.dtype.itemsize, max_gib)
    with decoding(path, FORMAT), open(path, "rb") as file:
        chunks = dict(_read_chunks(file, METADATA_CHUNKS))
        num_frames = struct.unpack(">I", chunks[b"acTL"][:4])[0] if b"acTL" in chunks else 1
        try:
            packed = chunks.get(b"iCCP", b"").partition(b"\0")[2][1:]
            profile = zlib.decompressobj().decompress(packed, LARGEST_PROFILE) if packed else None
        except zlib.error:  # a damaged profile is no reason to refuse the picture
            profile = None
    if num_frames > 1:
        raise file_error(path, f"is an animation of {num_frames} frames", "save one frame as a picture")
    exif, resolution = chunks.get(b"eXIf"), None
    if len(chunks.get(b"pHYs", b"")) == 9:
        x, y, unit = struct.unpack(">IIB", chunks[b"pHYs"])
        if min(x, y) > 0 and (unit == PER_METRE or x != y):  # else it says no more than square pixels
            resolution = Resolution(float(x), float(y), "metre" if unit == PER_METRE else "")
    colours = ((name, chunks.get(name.encode())) for name in COLOUR_CHUNKS)
    metadata = PictureMetadata(
        exif=exif,
        resolution=resolution or exif_resolution(exif),
        colour_chunks=tuple((name, data) for name, data in colours if data is not None),
        one_bit=chunks[b"IHDR"][8] == 1,
    )
    return upright_picture(path, decode_png(path), exif_orientation(exif), profile, metadata)


def write_png_picture(picture: Picture, file: Path) -> None:
    """Write a picture of 1 to 4 channels with its bits and metadata."""
    data = encode_png(picture.values)
    with open(file, "wb") as target:
        target.write(data[:HEADER_END])
        for name, content in _metadata_chunks(picture):
            target.write(_chunk(name, content))
        target.write(memoryview(data)[HEADER_END:])


def png_made_by(path: Path) -> str | None:
    """Return the Software line of a PNG file that reaches its end; None without one."""
    with open(path, "rb") as file:
        chunks = [*_read_chunks(file, (b"tEXt", b"IEND"))]
    texts = [data for _, data in chunks if data.startswith(SOFTWARE)]
    is_whole = bool(chunks) and chunks[-1][0] == b"IEND"
    return texts[0].removeprefix(SOFTWARE).decode("latin-1") if is_whole and texts else None


def decode_png(path: Path) -> NDArray[Any]:
    """Return the stored values, (H, W, channels) uint8 or uint16.

    Raises:
        OSError: a damaged file, one that does not reach its end mark included.
    """
    with decoding(path, FORMAT):
        data = path.read_bytes()
        if END not in data[-4096:]:
            raise ValueError("its end is missing")
        chunks = [*_read_chunks(BytesIO(data), PIXEL_CHUNKS)]
        if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
            raise ValueError("its header is missing")
        is_interlaced = chunks[0][1][12] != 0
        return _interlaced(chunks) if is_interlaced else _decoded(*(_chunk(*one) for one in chunks))


def encode_png(values: NDArray[Any]) -> bytes:
    """Return the PNG bytes of (H, W) or (H, W, channels) values.

    The copy has the strides of its shape: the encoder refuses others, even along axes of one sample.
    """
    squeezed = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    return bytes(imagecodecs.png_encode(squeezed.copy(order="C"), level=3))


def gray_png(path: Path) -> NDArray[Any]:
    """Return one band, (H, W), from a gray PNG or a colour one with equal channels (CAVE has some).

    Raises:
        OSError: a damaged file, or a picture with colours.
    """
    picture = decode_png(path)
    colours = picture[..., :3] if picture.shape[2] >= 3 else picture[..., :1]
    if np.any(colours != colours[..., :1]):
        raise file_error(path, "is a colour picture, not one band", "move it out of the folder of bands")
    return np.asarray(colours[..., 0])


def _chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk as it lies in a file."""
    return struct.pack(">I4s", len(data), name) + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


def _read_chunks(file: BinaryIO, names: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes]]:
    """Return name and content of the chunks of these names in their order.

    Raises:
        ValueError: one of them is cut short, or the checksum of one that pixels need is wrong.
    """
    file.seek(len(SIGNATURE))
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name not in names:
            file.seek(length + 4, 1)
            continue
        data, checksum = file.read(length), file.read(4)
        if len(checksum) < 4:
            raise ValueError(f"its chunk {name.decode('latin-1')} is cut short")
        if name in CRITICAL and checksum != struct.pack(">I", zlib.crc32(data, zlib.crc32(name))):
            raise ValueError(f"the checksum of its chunk {name.decode()} is wrong")
        yield name, data


def _decoded(*chunks: bytes) -> NDArray[Any]:
    picture = np.asarray(imagecodecs.png_decode(SIGNATURE + b"".join(chunks)))
    return picture if picture.ndim == 3 else picture[..., None]


def _interlaced(chunks: list[tuple[bytes, bytes]]) -> NDArray[Any]:
    """Decode a picture of seven passes, each as a small picture."""
    header = chunks[0][1]
    width, height, depth, kind = struct.unpack(">IIBB", header[:10])
    bits = depth * SAMPLES[kind]
    sizes = [(-((top - height) // down), -((left - width) // right)) for top, left, down, right in PASSES]
    lengths = [h * (1 + -(-w * bits // 8)) if w else 0 for h, w in sizes]
    packed = b"".join(data for name, data in chunks if name == b"IDAT")
    stream = zlib.decompressobj().decompress(packed, max(sum(lengths), 1))
    if len(stream) < sum(lengths):
        raise ValueError("its pixels are cut short")
    tables = b"".join(_chunk(*one) for one in chunks if one[0] in (b"PLTE", b"tRNS"))
    picture, start = None, 0
    for (top, left, down, right), (h, w), length in zip(PASSES, sizes, lengths, strict=True):
        if not length:
            continue
        head = struct.pack(">II", w, h) + header[8:12] + b"\0"
        pixels = zlib.compress(stream[start : start + length], 1)
        parts = (_chunk(b"IHDR", head), tables, _chunk(b"IDAT", pixels), _chunk(b"IEND", b""))
        part = _decoded(*parts)
        if picture is None:
            picture = np.empty((height, width, part.shape[2]), part.dtype)
        picture[top::down, left::right] = part
        start += length
    if picture is None:
        raise ValueError("it has no pixels")
    return picture


def _metadata_chunks(picture: Picture) -> Iterator[tuple[bytes, bytes]]:
    """Return name and content of the chunks beside the pixels."""
    metadata, colours = picture.metadata, dict(picture.metadata.colour_chunks)
    for name in (name for name in COLOUR_CHUNKS if name in colours):
        yield name.encode(), colours[name]
    if picture.icc_profile is not None:
        yield b"iCCP", PROFILE_NAME + zlib.compress(picture.icc_profile)
    if metadata.resolution is not None:
        x, y = metadata.resolution.per("metre")
        unit = PER_METRE if metadata.resolution.unit else 0
        yield b"pHYs", struct.pack(">IIB", round(x), round(y), unit)
    block = upright_exif(metadata.exif, picture.size)
    if block is not None:
        yield b"eXIf", block
    if metadata.made_by is not None:
        yield b"tEXt", SOFTWARE + metadata.made_by.encode("latin-1", "replace")
