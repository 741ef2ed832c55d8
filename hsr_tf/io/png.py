"""PNG pictures with all their bits: 8 and 16 bit, 1 to 4 channels.

Pillow reads 16-bit colour as 8-bit, so imagecodecs (libpng) decodes, and the header is read here first.
Decoded: channels as the file has them (gray 1, gray and alpha 2, RGB 3, RGB and alpha 4).
Written: 1 or 3 bands of 16 bits, clipped to [0, 1], with a warning when something was cut off; pixels without
data become fully transparent black. A fourth band is refused: readers would take it for opacity.
"""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error, require
from hsr_tf.files import replacing_file
from hsr_tf.io.png_chunks import SIGNATURE, decode_quietly
from hsr_tf.io.source import decoding
from hsr_tf.scene import Scene

FORMAT = "PNG"
END = b"IEND\xaeB`\x82"
NUM_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
PICTURE_CHANNELS = (1, 3)


@dataclass(frozen=True)
class PngHeader:
    """(height, width) in pixels, channels once decoded, and the type of the decoded values."""

    size: tuple[int, int]
    num_channels: int
    dtype: np.dtype[Any]


def write_png(scene: Scene, path: Path) -> None:
    """Write a scene of 1 or 3 bands as a 16-bit picture; see the head of this file.

    Raises:
        ValueError: another number of bands.
        OSError: the disk is full or the place cannot be written; an older file stays as it was.
    """
    require_picture(scene, path)
    values = with_opacity(to_uint16(scene.cube, scene.nodata_mask), scene.nodata_mask)
    with replacing_file(path) as temporary:
        temporary.write_bytes(encode_png(values))


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


def to_uint16(values: NDArray[np.float32], nodata_mask: NDArray[np.bool_] | None) -> NDArray[np.uint16]:
    """Values clipped to [0, 1] (warns when any lie outside) times 65535, rounded; 0 without data."""
    kept = values if nodata_mask is None else np.where(nodata_mask[..., None], np.float32(0), values)
    lowest, highest = float(kept.min()), float(kept.max())
    if lowest < 0 or highest > 1:
        message = f"values from {lowest:.4g} to {highest:.4g} were clipped to [0, 1] for a 16-bit picture"
        warnings.warn(message, stacklevel=3)
    return np.rint(np.clip(kept, 0, 1) * np.float32(65535)).astype(np.uint16)


def with_opacity(values: NDArray[np.uint16], nodata_mask: NDArray[np.bool_] | None) -> NDArray[np.uint16]:
    """(H, W, C) with an alpha channel that is 0 where there is no data; unchanged without such pixels."""
    if nodata_mask is None or not nodata_mask.any():
        return values
    alpha = np.where(nodata_mask, np.uint16(0), np.uint16(65535))[..., None]
    return np.concatenate([values, alpha], axis=-1)


def require_picture(scene: Scene, path: Path) -> None:
    """Refuse scenes that are no gray or colour picture."""
    require(
        scene.num_bands in PICTURE_CHANNELS,
        "scene",
        expected=f"1 or 3 bands for a {path.suffix} picture",
        received=f"{scene.num_bands} bands",
        remedy="save it as .h5, .mat, .npz or a folder of PNG files",
    )


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
