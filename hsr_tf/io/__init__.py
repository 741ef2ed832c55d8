"""Files and scenes: `load`, `save`, `describe`, `open_cube`, `create_cube`; one class per format.

`hsr_tf.io.formats` lists the formats, and docs/formats.md shows what each keeps. Scaling is the same for
every format. Gain and offset of a file are applied. Otherwise integers are divided by the white level that
the caller or the file gives; without one, 8 bits are divided by 255, and the level of more bits is guessed
from the values (`hsr_tf.io.white_level`). Floating-point values are taken as they are unless the caller gives
a white level. Nothing is clipped on reading. Every file is written under a temporary name and then renamed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hsr_tf.checks import require_choice
from hsr_tf.io.formats import format_for, format_of, parts_format_for
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.references import found_references, in_reflectance
from hsr_tf.io.remote import open_remote
from hsr_tf.io.remote_names import remote_name
from hsr_tf.io.source import (
    ALPHA_CHOICES,
    ReadRequest,
    refuse_ortho,
    require_plausible,
    require_size,
    with_nodata,
    with_wavelengths,
)
from hsr_tf.io.stream import CubeReader, CubeWriter
from hsr_tf.io.summary import FileSummary, summarise
from hsr_tf.io.zarr_store import new_zarr_store, open_zarr_tiles
from hsr_tf.scene import Scene

__all__ = [
    "CubeHeader",
    "CubeReader",
    "CubeWriter",
    "FileSummary",
    "ReadRequest",
    "create_cube",
    "describe",
    "load",
    "new_zarr_store",
    "open_cube",
    "open_reader",
    "open_zarr_tiles",
    "save",
    "writer_for",
]


def load(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    layout: str | None = None,
    white_level: float | None = None,
    wavelengths_nm: NDArray[Any] | None = None,
    max_gib: float = 16.0,
) -> Scene:
    """Read a scene; the suffix sets the format, and a folder holds one PNG per band.

    Args:
        path: the file or folder.
        key: which array, where the file holds several; a 2-D one is a scene of one band.
        layout: order of the axes, e.g. "row,col,band"; by default that of the file or its format.
        white_level: stored value that stands for 1.0; by default that of the file, else a guess from the
            values (`hsr_tf.io.white_level`).
        wavelengths_nm: (C,) centre of each band in nanometres; by default those of the file.
        max_gib: refuse cubes that take more GiB as float32, before reading them.

    Returns:
        The scene. Pixels that hold NaN or the nodata value of the file are masked. Its metadata
        `source_findings` say what was left of the file, and what was taken for granted.

    Raises:
        OSError: the file is missing, damaged, too large, or does not hold one cube of real numbers.
        ValueError: values that are not finite, wavelengths that do not match, an option not understood.
    """
    request = ReadRequest(key, layout, white_level, wavelengths_nm, max_gib)
    with open_reader(path, request) as reader:
        return reader.scene()


def describe(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    layout: str | None = None,
    white_level: float | None = None,
    nodata: float | None = None,
    alpha: str | None = None,
) -> FileSummary:
    """Summarise a file from its header and one pass over its bands; arguments and errors as in `load`.

    `nodata` is the stored value of pixels without data, `alpha` ("mask" or "band") what a channel marked as
    alpha is taken for; both by default as the file says.

    Infinite values are counted, not refused.
    """
    request = ReadRequest(key, layout, white_level, in_parts=True, nodata=nodata, alpha=alpha)
    with open_reader(path, request) as reader:
        return summarise(reader)


@contextmanager
def open_cube(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    layout: str | None = None,
    white_level: float | None = None,
    wavelengths_nm: NDArray[Any] | None = None,
    max_gib: float = 16.0,
) -> Iterator[CubeReader]:
    """Open a file of which parts are read as they are needed; arguments and errors as in `load`.

    `max_gib` counts for formats that can only be read at once, which are held as they are stored.
    """
    request = ReadRequest(key, layout, white_level, wavelengths_nm, max_gib, in_parts=True)
    with open_reader(path, request) as reader:
        yield reader


@contextmanager
def create_cube(path: str | os.PathLike[str], header: CubeHeader) -> Iterator[CubeWriter]:
    """Create a file that is written part by part, in any order; it appears when the block ends without error.

    Raises:
        OSError: a format that cannot be written so (the message names those that can), a full disk.
    """
    with parts_format_for(path).create(Path(os.path.realpath(path)), header) as writer:
        yield writer


def save(scene: Scene, path: str | os.PathLike[str]) -> Path:
    """Write a scene; the suffix sets the format, and a folder or a name without suffix is one PNG per band.

    The file appears whole or not at all. PNG and pictures in TIFF hold 16 bits: values are clipped to [0, 1],
    with a warning when any lie outside. A .tif is a picture if the scene has 1 or 3 bands and nothing that
    only GeoTIFF holds (grid, widths, names, bad bands, nodata value).

    Raises:
        OSError: an unknown suffix, a missing folder, a full disk; an older file stays as it was.
        ValueError: a number of bands that the format does not take.
    """
    format_for(path).save(scene, Path(os.path.realpath(path)))
    return Path(path)


def writer_for(path: str | os.PathLike[str]) -> Callable[[Scene, Path], None]:
    """Return the function that `save` would use, so that a name can be refused before an hour of work.

    Raises:
        OSError: an unknown suffix, a missing parent folder, or a target that is no ordinary file.
    """
    return format_for(path).save


@contextmanager
def open_reader(path: str | os.PathLike[str], request: ReadRequest) -> Iterator[CubeReader]:
    """Open a file with all that the caller knows better than it; errors as in `load`."""
    if request.alpha is not None:
        require_choice("alpha", request.alpha, ALPHA_CHOICES)
    name, path = remote_name(path), Path(path)
    with ExitStack() as stack:
        if name is not None:
            refuse_ortho(path, request)
            source = stack.enter_context(open_remote(name, request))
        else:
            found = format_of(path)
            if ".nc" not in found.suffixes:
                refuse_ortho(path, request)
            source = stack.enter_context(found.open(path, request))
        if request.references is not None:
            panels = found_references(path, request.references)
            white, dark = (stack.enter_context(format_of(one).open(one, ReadRequest())) for one in panels)
            source = in_reflectance(source, white, dark)
        source = with_nodata(with_wavelengths(source, request.wavelengths_nm), request.nodata)
        require_size(path, source.shape, math.inf if request.in_parts else request.max_gib)
        if request.in_parts:
            require_plausible(source)
        yield CubeReader(source, request)
