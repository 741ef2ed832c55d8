"""Files and scenes: `load`, `save`, `describe`, `open_cube`, `create_cube`, one module a format.

| suffix | read | written |
| --- | --- | --- |
| .h5 .hdf5 .he5 | `cube` band,row,col (attribute `layout`), any 3-D array, PRISMA | any type, part by part |
| .hdr .img .dat .raw .bsq .bil .bip | ENVI, also data without suffix beside a .hdr | any type, part by part |
| .tif .tiff | GeoTIFF and COG; pictures of 8, 16, 32 bits, one page or one page a band | GeoTIFF or picture |
| .nc .nc4 | NetCDF 4 with CF attributes | any type, part by part |
| .zarr, a folder | Zarr 3 with CF attributes | any type, part by part, by many processes |
| .mat | version 5 and 7.3, row,col,band | version 5 |
| .npz | `cube` row,col,band, or the only 3-D array | any type |
| .png | 8 and 16 bits, alpha as the mask | 1 or 3 bands, 16 bits, clipped to [0, 1] |
| .jpg .jpeg | gray and RGB | no |
| a folder | one PNG a band, natural order | one 16-bit PNG a band, clipped to [0, 1] |

Scaling is the same for every format. A file's own gain and offset are applied; else integer values are
divided by the white level that the caller or the file gives; else 8 bits are divided by 255, and the level of
more bits is guessed from the values (`hsr_tf.io.white_level`); floating-point values are taken as they are
unless the caller gives a white level; nothing is clipped on reading. Every file is written under a temporary
name and then renamed. docs/formats.md says what each format keeps.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hsr_tf.checks import file_error
from hsr_tf.io.envi import create_envi, open_envi
from hsr_tf.io.envi_header import DATA_SUFFIXES, find_files
from hsr_tf.io.geotiff import create_geotiff, is_geographic, open_geotiff, wants_geotiff
from hsr_tf.io.hdf5 import create_hdf5, open_hdf5, write_hdf5
from hsr_tf.io.masking import without_mask, write_scene
from hsr_tf.io.mat import open_mat, write_mat
from hsr_tf.io.netcdf import create_netcdf, open_netcdf
from hsr_tf.io.npz import open_npz, write_npz
from hsr_tf.io.picture_source import open_jpeg, open_png, open_tiff_picture
from hsr_tf.io.png import write_png
from hsr_tf.io.png_folder import open_png_folder, write_png_folder
from hsr_tf.io.source import (
    BandSource,
    ReadRequest,
    require_plausible,
    require_size,
    to_scene,
    with_wavelengths,
)
from hsr_tf.io.stream import CubeHeader, CubeReader, CubeWriter
from hsr_tf.io.summary import FileSummary, summarise
from hsr_tf.io.tiff import needs_colours, open_tiff, write_tiff
from hsr_tf.io.zarr_store import (
    create_zarr,
    is_zarr,
    new_zarr_store,
    open_zarr,
    open_zarr_tiles,
    require_replaceable,
)
from hsr_tf.scene import Scene

__all__ = [
    "CubeHeader",
    "CubeReader",
    "CubeWriter",
    "FileSummary",
    "create_cube",
    "describe",
    "load",
    "new_zarr_store",
    "open_cube",
    "open_zarr_tiles",
    "save",
    "writer_for",
]

Creator = Callable[[Path, CubeHeader], AbstractContextManager[CubeWriter]]
Opener = Callable[[Path, ReadRequest], AbstractContextManager[BandSource]]
Writer = Callable[[Scene, Path], None]


def _read_tiff(path: Path, request: ReadRequest) -> AbstractContextManager[BandSource]:
    """GeoTIFF or a picture; `hsr_tf.io.geotiff` says which."""
    if is_geographic(path):
        return open_geotiff(path, request)
    return (open_tiff_picture if needs_colours(path) else open_tiff)(path, request)


def _save_tiff(scene: Scene, path: Path) -> None:
    if wants_geotiff(scene):
        write_scene(partial(without_mask, create_geotiff), scene, path)
    else:
        write_tiff(scene, path)


ENVI_SUFFIXES = (".hdr", *DATA_SUFFIXES)
_OPENERS: dict[str, Opener] = {
    ".h5": open_hdf5,
    ".hdf5": open_hdf5,
    ".he5": open_hdf5,
    ".mat": open_mat,
    ".npz": open_npz,
    ".png": open_png,
    ".jpg": open_jpeg,
    ".jpeg": open_jpeg,
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
    ".nc": open_netcdf,
    ".nc4": open_netcdf,
    ".zarr": open_zarr,
    **dict.fromkeys(ENVI_SUFFIXES, open_envi),
}
# What `create_cube` writes part by part; GeoTIFF and ENVI hold no mask.
CREATORS: dict[str, Creator] = {
    ".h5": create_hdf5,
    ".hdf5": create_hdf5,
    ".tif": partial(without_mask, create_geotiff),
    ".tiff": partial(without_mask, create_geotiff),
    ".nc": create_netcdf,
    ".nc4": create_netcdf,
    ".zarr": create_zarr,
    **dict.fromkeys(ENVI_SUFFIXES, partial(without_mask, create_envi)),
}
_WRITERS: dict[str, Writer] = {
    ".h5": write_hdf5,
    ".hdf5": write_hdf5,
    ".mat": write_mat,
    ".npz": write_npz,
    ".png": write_png,
    ".tif": _save_tiff,
    ".tiff": _save_tiff,
    **{suffix: partial(write_scene, CREATORS[suffix]) for suffix in (".nc", ".nc4", ".zarr", *ENVI_SUFFIXES)},
}


def load(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    layout: str | None = None,
    white_level: float | None = None,
    wavelengths_nm: NDArray[Any] | None = None,
    max_gib: float = 16.0,
) -> Scene:
    """Read a scene; the suffix says the format, a folder is one PNG a band.

    Args:
        path: the file or folder.
        key: which array, where the file holds several; a 2-D one is a scene of one band.
        layout: order of the axes, e.g. "row,col,band"; by default what the file or its format says.
        white_level: stored value that stands for 1.0; by default what the file says, else a guess from the
            values (`hsr_tf.io.white_level`).
        wavelengths_nm: (C,) centre of each band in nanometres; by default what the file says.
        max_gib: refuse cubes that take more than so many GiB as float32, before reading them.

    Raises:
        OSError: the file is missing, damaged, too large, or does not hold one cube of real numbers.
        ValueError: values that are not finite, wavelengths that do not match, an option not understood.
    """
    request = ReadRequest(
        key=key, layout=layout, white_level=white_level, wavelengths_nm=wavelengths_nm, max_gib=max_gib
    )
    with _open_source(Path(path), request) as source:
        return to_scene(source, request)


def describe(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    layout: str | None = None,
    white_level: float | None = None,
) -> FileSummary:
    """What a file holds, from its header and one pass over its bands; arguments and errors as in `load`.

    Values that are not finite are counted, not refused.
    """
    request = ReadRequest(key=key, layout=layout, white_level=white_level)
    with _open_source(Path(path), request) as source:
        return summarise(source, white_level)


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
    """A file of which parts are read as they are needed; arguments and errors as in `load`.

    `max_gib` counts for formats that can only be read at once, which are held as they are stored.
    """
    request = ReadRequest(
        key=key,
        layout=layout,
        white_level=white_level,
        wavelengths_nm=wavelengths_nm,
        max_gib=max_gib,
        in_parts=True,
    )
    with _open_source(Path(path), request) as source:
        require_size(source.path, source.shape, math.inf)
        require_plausible(source)
        yield CubeReader(source, request)


@contextmanager
def create_cube(path: str | os.PathLike[str], header: CubeHeader) -> Iterator[CubeWriter]:
    """A file that is written part by part, in any order; it appears when the block ends without error.

    Raises:
        OSError: a format that cannot be written so (the message names those that can), a full disk.
    """
    writer_for(path)
    suffix = Path(path).suffix.lower()
    if suffix not in CREATORS:
        raise file_error(Path(path), "cannot be written part by part", f"use one of {', '.join(CREATORS)}")
    with CREATORS[suffix](Path(os.path.realpath(path)), header) as writer:
        yield writer


def save(scene: Scene, path: str | os.PathLike[str]) -> Path:
    """Write a scene; the suffix says the format, a folder or a name without suffix is one PNG a band.

    The file appears whole or not at all. PNG and pictures in TIFF hold 16 bits: values are clipped to [0, 1],
    with a warning when any lay outside. A .tif is a picture where the scene has 1 or 3 bands and tells
    nothing that only GeoTIFF holds (grid, widths, names, bad bands, nodata value).

    Raises:
        OSError: an unknown suffix, a missing folder, a full disk; an older file stays as it was.
        ValueError: a number of bands that the format does not take.
    """
    writer = writer_for(path)
    target = Path(os.path.realpath(path))
    writer(scene, target)
    return Path(path)


def writer_for(path: str | os.PathLike[str]) -> Writer:
    """The function that `save` would use, so that a name can be refused before an hour of work.

    Raises:
        OSError: an unknown suffix, a missing parent folder, or a target that is no ordinary file.
    """
    target = Path(os.path.realpath(path))
    suffix = Path(path).suffix.lower()
    if not target.parent.is_dir():
        raise file_error(target, f"the folder {target.parent} does not exist", "make it first")
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise file_error(target, "is neither a file nor a folder", "choose another name")
    if suffix == ".zarr":
        require_replaceable(target)
    elif target.is_dir() or not suffix or os.fspath(path).endswith("/"):
        return write_png_folder
    if suffix not in _WRITERS:
        raise _unknown_suffix(Path(path), _WRITERS)
    return _WRITERS[suffix]


@contextmanager
def _open_source(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    if not path.exists():
        raise _missing(path)
    if path.is_dir():
        opener: Opener = open_zarr if is_zarr(path) else open_png_folder
    elif path.suffix.lower() in _OPENERS:
        opener = _OPENERS[path.suffix.lower()]
    elif find_files(path) is not None:
        opener = open_envi
    else:
        raise _unknown_suffix(path, _OPENERS)
    if path.is_file() and path.stat().st_size == 0:
        raise file_error(path, "is empty", "fetch or write it again")
    with opener(path, request) as source:
        yield with_wavelengths(source, request.wavelengths_nm)


def _unknown_suffix(path: Path, known: dict[str, Opener] | dict[str, Writer]) -> OSError:
    problem = f"unknown suffix {path.suffix!r}" if path.suffix else "has no suffix that tells its format"
    return file_error(path, problem, f"use one of {', '.join(known)} or a folder of PNG files")


def _missing(path: Path) -> OSError:
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = get_close_matches(path.name, siblings, n=3)
    if near:
        remedy = f"did you mean {' or '.join(near)}?"
    elif path.parent.is_dir():
        remedy = "check the name"
    else:
        remedy = f"the folder {path.parent} does not exist either"
    return file_error(path, "no such file or folder", remedy)
