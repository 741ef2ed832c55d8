"""Public sets of hyperspectral scenes, read from the folders that they come in, split as in papers.

The splits are those of X.-H. Han, Y. Zheng, Y.-W. Chen, ICCV Workshops 2019, section 4.1, and for CAVE the
first 20 scenes by name against the last 12, as several papers on fusion have it. The paper draws Harvard's
and ICVL's training scenes at random and does not list them: here the hash of a file's name decides, so that
a scene stays on its side of the split wherever the set is copied to.

- Harvard (Chakrabarti and Zickler, CVPR 2011): the 50 daylight scenes of `CZ_hsdb`, MATLAB files with the
  cube `ref`, 420 to 720 nm; the 27 of `CZ_hsdbi`, indoors, do not count. `lbl`, which marks moving objects,
  is not used, as in the paper. Colour cameras see nothing of 710 and 720 nm: the published response of the
  Nikon D700 ends at 700 nm, and the papers do not say what they do there.
- ICVL (Arad and Ben-Shahar, ECCV 2016): MATLAB 7.3 files with the cube `rad`, counts of 12 bits, and its
  wavelengths `bands`. The paper takes 101 of the 201 scenes, which its reference does not list either.
- NUS (Nguyen, Prasad and Brown, ECCV 2014): MATLAB files with the cube `tensor`, 400 to 700 nm, in one folder
  to train and one to test.
- CAVE (Yasuma et al., IEEE TIP 19(9), 2010): a folder of 31 PNG files per scene, `balloons_ms/balloons_ms/`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hsr_tf import checks
from hsr_tf.imports import deferred
from hsr_tf.io import load
from hsr_tf.scene import Scene

natsort = deferred("natsort")


@dataclass(frozen=True)
class SceneSet:
    """A set of scenes.

    Attributes:
        title: its name in words.
        find: lists the scenes of a folder: those to train on, those to test on, or all in the first.
        num_training, num_test: of the published split.
        key: variable of the cube in MATLAB files.
        wavelengths_nm: of the bands, where the files do not say.
        white_level: stored value that stands for 1.0, where the files do not say.
        by_name: the first scenes by name are trained on; else a hash of the name decides.
        srf_outside: what to do with bands that a response does not cover, see `load_srf`.
    """

    title: str
    find: Callable[[Path], tuple[list[Path], list[Path]]]
    num_training: int
    num_test: int
    key: str | None = None
    wavelengths_nm: tuple[float, float] | None = None
    white_level: float | None = None
    by_name: bool = False
    srf_outside: str = "error"

    def read(self, path: Path) -> Scene:
        """Read one scene; values as `hsr_tf.io.load` scales them."""
        wavelengths = None if self.wavelengths_nm is None else np.linspace(*self.wavelengths_nm, 31)
        return load(path, key=self.key, wavelengths_nm=wavelengths)


@dataclass(frozen=True)
class SetSplit:
    """The files of a set.

    Attributes:
        training, test: one file or folder per scene, in natural order.
        found: scenes that the folder holds, with those that the split leaves out.
    """

    training: Sequence[Path]
    test: Sequence[Path]
    found: int


def split_set(name: str, folder: str | os.PathLike[str]) -> SetSplit:
    """Find the scenes of a set in its folder, and split them.

    Where some are missing, the others are split in the same proportion.

    Raises:
        ValueError: an unknown set.
        OSError: a folder that is missing, or that does not hold the set as it is distributed.
    """
    checks.require_choice("data_set", name, SCENE_SETS)
    known, folder = SCENE_SETS[name], Path(folder)
    if not folder.is_dir():
        raise checks.file_error(folder, "no such folder", f"give the folder of {known.title}")
    training, test = known.find(folder)
    if not training:
        raise checks.file_error(folder, f"holds no scenes of {known.title}", _LAYOUTS[name])
    number = len(training) + len(test)
    if not test:
        order = training if known.by_name else sorted(training, key=_rank)
        used = order[: known.num_training + known.num_test]
        share = known.num_training / (known.num_training + known.num_test)
        kept = max(1, round(share * len(used)))
        training, test = used[:kept], used[kept:]
    first, second = (natsort.natsorted(part, key=lambda path: path.name) for part in (training, test))
    return SetSplit(first, second, number)


def _rank(path: Path) -> str:
    """Place of a scene in the random order: a hash of its name."""
    return hashlib.sha256(path.stem.lower().encode()).hexdigest()


def _mat_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".mat" and path.is_file())


def _in_folder(folder: Path, subfolder: str) -> tuple[list[Path], list[Path]]:
    """The MATLAB files of a subfolder, or of the folder itself where there is no such."""
    inner = folder / subfolder
    return _mat_files(inner if inner.is_dir() else folder), []


def _in_two_folders(folder: Path) -> tuple[list[Path], list[Path]]:
    """The MATLAB files of the folders whose names say "train" and "test"."""
    inside = sorted(path for path in folder.rglob("*") if path.is_dir())
    parts = [[one for one in inside if word in one.name.lower()] for word in ("train", "test")]
    training, test = ([file for one in part for file in _mat_files(one)] for part in parts)
    return (training, test) if test else ([], [])


def _png_folders(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders named `*_ms` that hold PNG files themselves."""
    inside = [path for path in folder.rglob("*_ms") if path.is_dir() and any(path.glob("*.png"))]
    return natsort.natsorted(inside, key=lambda path: path.name), []


SCENE_SETS = {
    "cave": SceneSet("CAVE", _png_folders, 20, 12, by_name=True),
    "harvard": SceneSet(
        "Harvard",
        partial(_in_folder, subfolder="CZ_hsdb"),
        40,
        10,
        key="ref",
        wavelengths_nm=(420.0, 720.0),
        srf_outside="zero",
    ),
    "icvl": SceneSet("ICVL", partial(_in_folder, subfolder=""), 71, 30, key="rad", white_level=4095.0),
    "nus": SceneSet("NUS", _in_two_folders, 41, 25, key="tensor", wavelengths_nm=(400.0, 700.0)),
}
_LAYOUTS = {
    "cave": "give the folder that holds balloons_ms/balloons_ms/balloons_ms_01.png and so on",
    "harvard": "give the folder that holds CZ_hsdb/img1.mat and so on",
    "icvl": "give the folder that holds BGU_0403-1419-1.mat and so on",
    "nus": "give the folder whose subfolders to train and to test hold .mat files",
}
