"""Folders of pictures for single-image super-resolution, as 8-bit arrays that patches are cut from.

Y is the luminance of BT.601 in 8 bits, 16 to 235, as MATLAB's rgb2ycbcr gives it for 8-bit colour; a gray
picture is taken as it is, as the published protocols do. Pictures stay 8-bit: patches are converted where
they are degraded, on the device.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.arrays.color import luma_8bit
from hsr_tf.data.scenes import data_root
from hsr_tf.imports import deferred
from hsr_tf.io.pictures import SUFFIXES, picture_files, read_picture
from hsr_tf.io.source import decoding
from hsr_tf.physics.resize import BicubicResize

Image, natsort = deferred("PIL.Image"), deferred("natsort")
_BOTH = ("image_SRF_4", "image_SRF_3", "image_SRF_2", "HR", "original", "GTmod12")
SET_FOLDERS = {
    "training": ("DIV2K_train_HR", "Flickr2K_HR", "BSDS300/images/train", "images/train", *_BOTH),
    "test": ("DIV2K_valid_HR", "BSDS300/images/test", "images/test", *_BOTH),
}
BITMAP = ".bmp"  # of Set5 and Set14 as their authors gave them
SRF_NAME = re.compile(r"_SRF_\d_")


@dataclass(frozen=True, eq=False)
class NamedPicture:
    """A picture and what it is called.

    Attributes:
        name: the file's name without its suffix.
        values: (H, W, C) uint8, C is 1 (Y, or a gray picture) or 3 (RGB).
    """

    name: str
    values: np.ndarray

    @property
    def is_gray(self) -> bool:
        """Whether the picture has one channel."""
        return self.values.shape[-1] == 1

    @property
    def luma(self) -> np.ndarray:
        """Y, (H, W, 1) uint8."""
        return self.values if self.is_gray else luma_8bit(self.values)[..., None]


def find_pictures(folder: str | os.PathLike[str], *, part: str = "test") -> list[Path]:
    """The picture files of a folder, in natural order.

    A public set is found within the folder that it is distributed as: DIV2K and Flickr2K in
    `DIV2K_train_HR`, `DIV2K_valid_HR` and `Flickr2K_HR`; Set5, Set14, BSD100 and Urban100 in `image_SRF_4`
    (of SelfExSR), where only the files `*_HR` count, or in `HR`, `original`, `GTmod12`; BSDS300 in
    `images/train` and `images/test`.

    Args:
        folder: a path, or a folder of the data root such as "sisr/Set5" where no such path exists.
        part: "training" or "test", for sets that have both.

    Raises:
        OSError: when the folder is missing or holds no picture.
    """
    checks.require_choice("part", part, SET_FOLDERS)
    root = data_root()
    if not Path(folder).is_dir() and root is not None and (root / folder).is_dir():
        folder = root / folder
    places = [Path(folder), *(Path(folder, name) for name in SET_FOLDERS[part])]
    found = next(filter(None, map(_pictures_of, places)), None) or picture_files(folder)
    high = [path for path in found if SRF_NAME.search(path.stem)]
    return [path for path in high if path.stem.endswith("_HR")] if high else found


def _pictures_of(folder: Path) -> list[Path]:
    """The pictures of a folder, bitmaps too, in natural order; none where there is no such folder."""
    files = [path for path in folder.glob("[!.]*") if path.suffix.lower() in (*SUFFIXES, BITMAP)]
    return natsort.natsorted(files, key=lambda path: path.name)


def load_picture(path: Path) -> NamedPicture:
    """Read a picture: gray or RGB, an alpha channel left out, 16 bits rounded to 8; bitmaps (.bmp) too.

    Raises:
        OSError: for a file that is no picture, or a damaged one.
    """
    if path.suffix.lower() == BITMAP:
        with decoding(path, "bitmap"), Image.open(path) as opened:
            stored = np.atleast_3d(np.asarray(opened.convert("L" if opened.mode in ("1", "L") else "RGB")))
    else:
        stored = read_picture(path).values
    values = stored if stored.dtype == np.uint8 else np.rint(stored / 257.0).astype(np.uint8)
    return NamedPicture(path.stem, np.ascontiguousarray(values[..., : 3 if values.shape[-1] >= 3 else 1]))


def hold_back(paths: Sequence[Path], number: int) -> tuple[list[Path], list[Path]]:
    """Pictures to train on and `number` held back, evenly spread over the sequence.

    Raises:
        ValueError: when none is left to train on.
    """
    checks.require(
        0 <= number < len(paths),
        "num_validation",
        expected=f"fewer than the {len(paths)} pictures of the folder",
        received=str(number),
        remedy="hold fewer back",
    )
    chosen = {int((place + 0.5) * len(paths) / number) for place in range(number)}
    parts: tuple[list[Path], list[Path]] = ([], [])
    for place, path in enumerate(paths):
        parts[place in chosen].append(path)
    return parts


def with_rescaled(values: np.ndarray, factors: Sequence[float], *, smallest: int) -> list[np.ndarray]:
    """A picture (H, W, C) uint8 in several sizes, antialiased bicubic, rounded to 8 bits as imresize does.

    Args:
        values: the picture.
        factors: 1 for the picture itself, smaller ones to reduce it.
        smallest: sizes with a side below this are left out.
    """
    found = []
    for factor in factors:
        checks.require(
            0 < factor <= 1,
            "rescales",
            expected="factors above 0, at most 1",
            received=str(factor),
            remedy="give e.g. 1,0.9,0.8,0.7,0.6",
        )
        if factor == 1:
            copy = values
        else:
            resize = BicubicResize((values.shape[0], values.shape[1]), factor)
            sized = ops.convert_to_numpy(
                resize.forward(ops.convert_to_tensor(values[None].astype(np.float32)))
            )
            copy = np.clip(np.rint(sized[0]), 0, 255).astype(np.uint8)
        if min(copy.shape[:2]) >= smallest:
            found.append(copy)
    return found
