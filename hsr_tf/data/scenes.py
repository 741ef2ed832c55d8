"""Folders of scenes for training and evaluation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hsr_tf import checks
from hsr_tf.imports import deferred
from hsr_tf.io import load
from hsr_tf.io.formats import formats, known_format, suffixes
from hsr_tf.scene import Scene

natsort = deferred("natsort")


def data_root() -> Path | None:
    """$HSR_DATA, else ../shared/data where it exists, else None."""
    named = os.environ.get("HSR_DATA")
    root = Path(named) if named else Path("../shared/data")
    return root if root.is_dir() else None


def find_scenes(
    folder: str | os.PathLike[str] | None, *, default: str, names: Sequence[str] = ()
) -> list[Path]:
    """Return the scenes of a folder in natural order: the files and folders of every format that holds cubes.

    An ENVI image is named by its data, and counts only if both of its files are there.

    Args:
        folder: where they lie; None for the folder `default` of `data_root`.
        default: e.g. "hsi/cave_train".
        names: of the scenes, without suffix; none for all.

    Raises:
        OSError: when the folder is missing or holds no scene.
        ValueError: a name of which the folder holds no scene.
    """
    if folder is None:
        root = data_root()
        checks.require(
            root is not None,
            "data_dir",
            expected="a folder of sharp cubes",
            received="none, and no $HSR_DATA",
            remedy="give --data_dir, or set HSR_DATA",
        )
        folder = Path(root or ".") / default
    folder = Path(folder)
    if not folder.is_dir():
        raise checks.file_error(folder, "no such folder", "give a folder of sharp cubes")
    found: set[Path] = set()
    for path in (entry for entry in folder.iterdir() if not entry.name.startswith(".")):
        known = known_format(path)
        if known is not None and known.holds_cubes:
            found |= {*known.files(path)[:1]}
    if not found:
        cubes = suffixes(one for one in formats() if one.holds_cubes)
        problem = f"holds no scene ({cubes} or folders of PNG bands)"
        raise checks.file_error(folder, problem, "check the path")
    for name in names:
        checks.require_choice("scenes", name, {path.stem for path in found})
    chosen = [path for path in found if not names or path.stem in names]
    return natsort.natsorted(chosen, key=lambda path: path.name)


def load_scenes(paths: Sequence[Path]) -> list[Scene]:
    """Read every scene."""
    return [load(path) for path in paths]


def top_left(scene: Scene, side: int | None) -> Scene:
    """The top left `side` x `side` pixels, or what there is of them; the whole scene for None."""
    return scene.cropped(slice(side), slice(side))


def crop_to_multiple(scene: Scene, scale: int) -> Scene:
    """The largest part from the top left whose sides are multiples of `scale`."""
    height, width = (n - n % scale for n in scene.shape[:2])
    return scene.cropped(slice(height), slice(width))
