"""Files and scenes: `load`, `save` and `describe`, one module a format.

| suffix | read | written |
| --- | --- | --- |
| .h5 .hdf5 | `cube` band,row,col (attribute `layout`), or any 3-D array | float32, with metadata |
| .mat | version 5 and 7.3, row,col,band | version 5, float32, with metadata |
| .npz | `cube` row,col,band, or the only 3-D array | float32, with metadata |
| .png | 8 and 16 bits | 1, 3 or 4 bands, 16 bits, clipped to [0, 1] |
| .tif .tiff | 8, 16, 32 bits and floating point, one page or one page a band | as .png |
| a folder | one PNG a band, natural order | one 16-bit PNG a band, clipped to [0, 1] |

Scaling is the same for every format. Integer values are divided by the white level that the caller or the
file gives, else by the largest value of their type (255, 65535); floating-point values are taken as they
are unless the caller gives a white level; nothing is clipped on reading. Every file is written under a
temporary name and then renamed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from difflib import get_close_matches
from pathlib import Path

from hsr_tf.checks import file_error
from hsr_tf.io.hdf5 import create_hdf5, open_hdf5, write_hdf5
from hsr_tf.io.mat import open_mat, write_mat
from hsr_tf.io.npz import open_npz, write_npz
from hsr_tf.io.png import open_png, write_png
from hsr_tf.io.png_folder import open_png_folder, write_png_folder
from hsr_tf.io.source import BandSource, ReadRequest, to_scene
from hsr_tf.io.stream import CubeHeader, CubeReader, CubeWriter
from hsr_tf.io.summary import FileSummary, summarise
from hsr_tf.io.tiff import open_tiff, write_tiff
from hsr_tf.scene import Scene

__all__ = [
    "CubeHeader",
    "CubeReader",
    "CubeWriter",
    "FileSummary",
    "create_cube",
    "describe",
    "load",
    "open_cube",
    "save",
    "writer_for",
]

Creator = Callable[[Path, CubeHeader], AbstractContextManager[CubeWriter]]
Opener = Callable[[Path, ReadRequest], AbstractContextManager[BandSource]]
Writer = Callable[[Scene, Path], None]

_OPENERS: dict[str, Opener] = {
    ".h5": open_hdf5,
    ".hdf5": open_hdf5,
    ".mat": open_mat,
    ".npz": open_npz,
    ".png": open_png,
    ".tif": open_tiff,
    ".tiff": open_tiff,
}
_WRITERS: dict[str, Writer] = {
    ".h5": write_hdf5,
    ".hdf5": write_hdf5,
    ".mat": write_mat,
    ".npz": write_npz,
    ".png": write_png,
    ".tif": write_tiff,
    ".tiff": write_tiff,
}
# What `create_cube` writes part by part.
_CREATORS: dict[str, Creator] = {".h5": create_hdf5, ".hdf5": create_hdf5}


def load(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    layout: str | None = None,
    white_level: float | None = None,
    max_gib: float = 16.0,
) -> Scene:
    """Read a scene; the suffix says the format, a folder is one PNG a band.

    Args:
        path: the file or folder.
        key: which array, where the file holds several; a 2-D one is a scene of one band.
        layout: order of the axes, e.g. "row,col,band"; by default what the file or its format says.
        white_level: stored value that stands for 1.0; by default what the file says.
        max_gib: refuse cubes that take more than so many GiB as float32, before reading them.

    Raises:
        OSError: the file is missing, damaged, too large, or does not hold one cube of real numbers.
        ValueError: values that are not finite, wavelengths that do not match, an option not understood.
    """
    request = ReadRequest(key=key, layout=layout, white_level=white_level, max_gib=max_gib)
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
    max_gib: float = 16.0,
) -> Iterator[CubeReader]:
    """A file of which parts are read as they are needed; arguments and errors as in `load`.

    `max_gib` counts for formats that can only be read at once.
    """
    request = ReadRequest(key=key, layout=layout, white_level=white_level, max_gib=max_gib)
    with _open_source(Path(path), request) as source:
        yield CubeReader(source, request)


@contextmanager
def create_cube(path: str | os.PathLike[str], header: CubeHeader) -> Iterator[CubeWriter]:
    """A file that is written part by part, in any order; it appears when the block ends without error.

    Raises:
        OSError: a format that cannot be written so (the message names those that can), a full disk.
    """
    writer_for(path)
    suffix = Path(path).suffix.lower()
    if suffix not in _CREATORS:
        raise file_error(Path(path), "cannot be written part by part", f"use one of {', '.join(_CREATORS)}")
    with _CREATORS[suffix](Path(os.path.realpath(path)), header) as writer:
        yield writer


def save(scene: Scene, path: str | os.PathLike[str]) -> Path:
    """Write a scene; the suffix says the format, a folder or a name without suffix is one PNG a band.

    The file appears whole or not at all. PNG and TIFF hold 16 bits: values are clipped to [0, 1], with a
    warning when any lay outside.

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
    if target.is_dir() or not suffix or os.fspath(path).endswith("/"):
        return write_png_folder
    if suffix not in _WRITERS:
        raise _unknown_suffix(Path(path), _WRITERS)
    return _WRITERS[suffix]


@contextmanager
def _open_source(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    if not path.exists():
        raise _missing(path)
    if path.is_dir():
        opener: Opener = open_png_folder
    elif path.suffix.lower() in _OPENERS:
        opener = _OPENERS[path.suffix.lower()]
    else:
        raise _unknown_suffix(path, _OPENERS)
    if path.is_file() and path.stat().st_size == 0:
        raise file_error(path, "is empty", "fetch or write it again")
    with opener(path, request) as source:
        yield source


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
