"""PNG pictures with all their bits: 8 and 16 bit, 1 to 4 channels.

Pillow reads 16-bit colour as 8-bit, so imagecodecs (libpng) decodes, and the header is read here first.
Channels are as the file has them: gray 1, gray and alpha 2, RGB 3, RGB and alpha 4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error
from hsr_tf.imports import deferred
from hsr_tf.io.png_chunks import SIGNATURE, decode_quietly
from hsr_tf.io.source import decoding

imagecodecs = deferred("imagecodecs")

FORMAT = "PNG"
END = b"IEND\xaeB`\x82"
NUM_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


@dataclass(frozen=True)
class PngHeader:
    """(height, width) in pixels, channels once decoded, and the type of the decoded values."""

    size: tuple[int, int]
    num_channels: int
    dtype: np.dtype[Any]


def read_png_header(path: Path) -> PngHeader:
    """Size and type from the first chunk alone.

    Raises:
        OSError: not a PNG file, or cut within its header.
    """
    with decoding(path, FORMAT):
        with open(path, "rb") as file:
            head = file.read(33)
        if not head.startswith(SIGNATURE) or head[12:16] != b"IHDR":
            raise ValueError("no PNG signature")
        width, height, depth, color = struct.unpack(">IIBB", head[16:26])
        dtype = np.dtype(np.uint16 if depth == 16 else np.uint8)
        return PngHeader(size=(height, width), num_channels=NUM_CHANNELS[color], dtype=dtype)


def decode_png(path: Path) -> NDArray[Any]:
    """The stored values, (H, W, channels) uint8 or uint16.

    Raises:
        OSError: a damaged file, one that does not reach its end mark included.
    """
    with decoding(path, FORMAT):
        data = path.read_bytes()
        if END not in data[-4096:]:
            raise ValueError("its end is missing")
        return decode_quietly(BytesIO(data))


def encode_png(values: NDArray[np.uint16]) -> bytes:
    """PNG bytes of (H, W) or (H, W, channels) values.

    The copy has the strides of its shape: the encoder refuses others, even along axes of one sample.
    """
    squeezed = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    return bytes(imagecodecs.png_encode(squeezed.copy(order="C"), level=3))


def gray_png(path: Path) -> NDArray[Any]:
    """One band, (H, W), from a gray PNG or a colour one with equal channels (CAVE has some).

    Raises:
        OSError: a damaged file, or a picture with colours.
    """
    picture = decode_png(path)
    colors = picture[..., :3] if picture.shape[2] >= 3 else picture[..., :1]
    if np.any(colors != colors[..., :1]):
        raise file_error(path, "is a colour picture, not one band", "move it out of the folder of bands")
    return np.asarray(colors[..., 0])
