"""PNG and JPEG files as scenes: upright, gray as one band, colour as three, alpha as the mask
(`hsr_tf.io.opacity`).

Values are divided by 255 or 65535, which stand for white in these formats. Scenes of 1 or 3 bands are written
with 16 bits, clipped to [0, 1] with a warning; pixels without data become transparent black. A fourth band is
refused: readers would take it for opacity.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import require
from hsr_tf.files import replacing_file
from hsr_tf.io import jpeg, png
from hsr_tf.io.account import Account
from hsr_tf.io.format import Format, PictureFormat
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.jpeg import read_jpeg
from hsr_tf.io.opacity import FROM_ALPHA, REPORT
from hsr_tf.io.picture import Picture, PictureMetadata
from hsr_tf.io.png import read_png_header, read_png_picture, write_png_picture
from hsr_tf.io.source import BandSource, ReadRequest, refuse_options, require_room
from hsr_tf.scene import Scene

FLOAT32_BYTES = 4
PICTURE_BANDS = (1, 3)
SOFTWARE = "hsr_tf"


class Png(PictureFormat):
    """PNG pictures."""

    name = "PNG"
    suffixes = (".png",)
    reads = "8 and 16 bits, alpha as the mask"
    writes = "1 or 3 bands, 16 bits, clipped to [0, 1]"
    reads_parts = holds_cubes = False

    @contextmanager
    def open(self, path: Path, request: ReadRequest) -> Iterator[BandSource]:
        refuse_options(path, request, png.FORMAT)
        header = read_png_header(path)
        require_room(path, (*header.size, header.num_channels), header.dtype, request)
        yield picture_source(path, read_png_picture(path, None), png.FORMAT)

    def save(self, scene: Scene, path: Path) -> None:
        picture = scene_picture(scene, path)
        with replacing_file(path) as temporary:
            write_png_picture(picture, temporary)


class Jpeg(Format):
    """JPEG pictures."""

    name = "JPEG"
    suffixes = (".jpg", ".jpeg")
    reads = "gray and RGB"
    reads_parts = holds_cubes = False

    @contextmanager
    def open(self, path: Path, request: ReadRequest) -> Iterator[BandSource]:
        refuse_options(path, request, jpeg.FORMAT)
        yield picture_source(path, read_jpeg(path, held_gib(request)), jpeg.FORMAT)


def held_gib(request: ReadRequest) -> float:
    """Return the limit for a picture as its file stores it, one byte per value."""
    return request.max_gib if request.in_parts else request.max_gib / FLOAT32_BYTES


def picture_source(path: Path, picture: Picture, format_name: str) -> BandSource:
    """Return a picture in memory as a source of its bands."""
    values = picture.values
    colours = values[..., :-1] if picture.has_alpha else values
    mask = np.asarray(values[..., -1] == 0) if picture.has_alpha else None

    def read(bands: slice, rows: slice, cols: slice) -> NDArray[Any]:
        return np.moveaxis(colours[rows, cols, bands], -1, 0)

    account, metadata = Account(), picture.metadata
    colour = [name for name, _ in metadata.colour_chunks if name != "sRGB"]
    account.leave_all("colour", [*(["ICC profile"] if picture.icc_profile else []), *colour])
    account.leave_all("metadata", metadata.left_out)
    header = CubeHeader(
        shape=(*picture.size, colours.shape[2]),
        dtype=values.dtype,
        white_level=float(np.iinfo(values.dtype).max),
        metadata={} if mask is None else {REPORT: FROM_ALPHA},
        used=account.used,
        findings=account.findings,
    )
    read_mask = None if mask is None else lambda rows, cols: mask[rows, cols]
    return BandSource(path, format_name, header, read, read_mask)


def scene_picture(scene: Scene, path: Path) -> Picture:
    """Return a scene of 1 or 3 bands as a picture of 16 bits.

    Raises:
        ValueError: another number of bands.
    """
    require(
        scene.num_bands in PICTURE_BANDS,
        "scene",
        expected=f"1 or 3 bands for a {path.suffix} picture",
        received=f"{scene.num_bands} bands",
        remedy="save it as .h5, .mat, .npz or a folder of PNG files",
    )
    values, mask = to_uint16(scene), scene.nodata_mask
    if mask is not None and mask.any():
        alpha = np.where(mask, np.uint16(0), np.uint16(65535))[..., None]
        values = np.concatenate([values, alpha], axis=-1)
    return Picture(values, metadata=PictureMetadata(made_by=SOFTWARE if path.suffix != ".png" else None))


def to_uint16(scene: Scene) -> NDArray[np.uint16]:
    """Return the values clipped to [0, 1] (with a warning) times 65535, rounded; 0 without data."""
    mask = scene.nodata_mask
    kept = scene.cube if mask is None else np.where(mask[..., None], np.float32(0), scene.cube)
    lowest, highest = float(kept.min()), float(kept.max())
    if lowest < 0 or highest > 1:
        message = f"values from {lowest:.4g} to {highest:.4g} were clipped to [0, 1] for a 16-bit picture"
        warnings.warn(message, stacklevel=4)
    return np.rint(np.clip(kept, 0, 1) * np.float32(65535)).astype(np.uint16)
