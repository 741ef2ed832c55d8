"""Pictures (PNG, JPEG, TIFF with a palette) as sources of bands: upright, opacity as the mask.

Gray is one band, colour three; alpha marks the pixels without data (`hsr_tf.io.opacity`). Values are divided
by 255 or 65535, which stand for white in these formats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.io import jpeg, png, tiff
from hsr_tf.io.jpeg import read_jpeg
from hsr_tf.io.opacity import FROM_ALPHA, REPORT
from hsr_tf.io.picture import Picture
from hsr_tf.io.png import read_png_header
from hsr_tf.io.png_picture import read_png_picture
from hsr_tf.io.source import BandSource, ReadRequest, refuse_option, require_room
from hsr_tf.io.tiff_picture import read_tiff_picture

FLOAT32_BYTES = 4
PictureReader = Callable[[Path, float | None], Picture]


@contextmanager
def open_png(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    """Open a PNG picture as a source of bands.

    Raises:
        OSError: a damaged file, a picture beyond the size limit.
        ValueError: a key or layout, which mean nothing here.
    """
    refuse_axes(path, request, png.FORMAT)
    header = read_png_header(path)
    require_room(path, (*header.size, header.num_channels), header.dtype, request)
    yield picture_source(path, read_png_picture(path, None), png.FORMAT)


@contextmanager
def open_jpeg(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    """Open a JPEG picture as a source of bands; errors as in `open_png`."""
    refuse_axes(path, request, jpeg.FORMAT)
    yield picture_source(path, read_jpeg(path, held_gib(request)), jpeg.FORMAT)


@contextmanager
def open_tiff_picture(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    """Open a TIFF picture of a palette, or with white as zero; errors as in `open_png`."""
    refuse_axes(path, request, f"{tiff.FORMAT} pictures")
    yield picture_source(path, read_tiff_picture(path, held_gib(request)), tiff.FORMAT)


def held_gib(request: ReadRequest) -> float:
    """The limit for a picture as its file stores it, one byte a value."""
    return request.max_gib if request.in_parts else request.max_gib / FLOAT32_BYTES


def refuse_axes(path: Path, request: ReadRequest, format_name: str) -> None:
    """Refuse a key and a layout, which mean nothing for a picture."""
    refuse_option(path, "key", request.key, format_name)
    refuse_option(path, "layout", request.layout, format_name)


def picture_source(path: Path, picture: Picture, format_name: str) -> BandSource:
    """A picture in memory as a source of its bands."""
    values = picture.values
    colours = values[..., :-1] if picture.has_alpha else values
    mask = np.asarray(values[..., -1] == 0) if picture.has_alpha else None

    def read(bands: slice, rows: slice, cols: slice) -> NDArray[Any]:
        return np.moveaxis(colours[rows, cols, bands], -1, 0)

    return BandSource(
        path=path,
        format=format_name,
        shape=(*picture.size, colours.shape[2]),
        dtype=values.dtype,
        read=read,
        read_mask=None if mask is None else lambda rows, cols: mask[rows, cols],
        white_level=float(np.iinfo(values.dtype).max),
        metadata={} if mask is None else {REPORT: FROM_ALPHA},
        in_memory=True,
    )
