"""Folders of scenes for training and evaluation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from natsort import natsorted

from hsr_tf import checks
from hsr_tf.io import load
from hsr_tf.scene import Scene

SUFFIXES = (".h5", ".hdf5", ".mat", ".npz")


def data_root() -> Path | None:
    """$HSR_DATA, else ../shared/data where it exists, else None."""
    named = os.environ.get("HSR_DATA")
    root = Path(named) if named else Path("../shared/data")
    return root if root.is_dir() else None


def find_scenes(folder: str | os.PathLike[str] | None, *, default: str) -> list[Path]:
    """The scene files of a folder, in natural order; a folder of PNG bands counts as one.

    Args:
        folder: where they lie; None for the folder `default` of `data_root`.
        default: e.g. "hsi/cave_train".

    Raises:
        OSError: when the folder is missing or holds no scene.
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
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES or (path.is_dir() and any(path.glob("*.png")))
    ]
    if not found:
        raise checks.file_error(
            folder, f"holds no scene ({', '.join(SUFFIXES)} or folders of PNG bands)", "check the path"
        )
    return natsorted(found, key=lambda path: path.name)


def load_scenes(paths: Sequence[Path]) -> list[Scene]:
    """Read every scene."""
    return [load(path) for path in paths]


def top_left(scene: Scene, side: int | None) -> Scene:
    """The top left `side` x `side` pixels, or what there is of them; the whole scene for None."""
    mask = None if scene.nodata_mask is None else scene.nodata_mask[:side, :side]
    return Scene(scene.cube[:side, :side], scene.wavelengths_nm, scene.name, scene.metadata, mask)


def crop_to_multiple(scene: Scene, scale: int) -> Scene:
    """The largest part from the top left whose sides are multiples of `scale`."""
    height, width = (n - n % scale for n in scene.cube.shape[:2])
    mask = None if scene.nodata_mask is None else scene.nodata_mask[:height, :width]
    return Scene(scene.cube[:height, :width], scene.wavelengths_nm, scene.name, scene.metadata, mask)
