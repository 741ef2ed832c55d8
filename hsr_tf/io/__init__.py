"""Files and scenes: `load`, `save`, one module a format.

Scaling is the same for every format. Integer values are divided by the white level that the caller or the file gives,
else by the largest value of their type (255, 65535); floating-point values are taken as they are; nothing is clipped on
reading.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from hsr_tf.checks import file_error
from hsr_tf.io.hdf5 import open_hdf5, write_hdf5
from hsr_tf.io.source import BandSource, ReadRequest, to_scene
from hsr_tf.scene import Scene

__all__ = ["load", "save"]

_OPENERS = {".h5": open_hdf5, ".hdf5": open_hdf5}
_WRITERS = {".h5": write_hdf5, ".hdf5": write_hdf5}


def load(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    layout: str | None = None,
    white_level: float | None = None,
    max_gib: float = 16.0,
) -> Scene:
    """Read a scene.

    Args:
        path: .h5 or .hdf5.
        key: which array, where the file holds several.
        layout: order of the axes, e.g. "row,col,band"; by default what the file or its format says.
        white_level: stored value that stands for 1.0; by default what the file says.
        max_gib: refuse cubes that take more than so many GiB as float32, before reading them.

    Raises:
        OSError: the file is missing, damaged, too large, or does not hold one cube.
        ValueError: values that are not finite, wavelengths that do not match, a layout not understood.
    """
    request = ReadRequest(key=key, layout=layout, white_level=white_level, max_gib=max_gib)
    with _open_source(Path(path), request) as source:
        return to_scene(source, request)


def save(scene: Scene, path: str | os.PathLike[str]) -> Path:
    """Write a scene; the suffix chooses the format. The file appears whole or not at all.

    Raises:
        OSError: an unknown suffix, a missing folder, a full disk; an older file stays as it was.
    """
    target = Path(path)
    writer = _WRITERS.get(target.suffix.lower())
    if writer is None:
        raise file_error(target, f"unknown suffix {target.suffix!r}", f"use one of {', '.join(_WRITERS)}")
    writer(scene, target)
    return target


@contextmanager
def _open_source(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    if not path.exists():
        raise _missing(path)
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        raise file_error(path, f"unknown suffix {path.suffix!r}", f"use one of {', '.join(_OPENERS)}")
    with opener(path, request) as source:
        yield source


def _missing(path: Path) -> OSError:
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = get_close_matches(path.name, siblings, n=3)
    remedy = f"did you mean {' or '.join(near)}?" if near else "check the name and the folder"
    return file_error(path, "no such file", remedy)
