"""Folders of pictures for single-image super-resolution, as 8-bit arrays that patches are cut from.

Y is the luminance of BT.601 in 8 bits, 16 to 235, as MATLAB's rgb2ycbcr gives it for 8-bit colour; a gray
picture is taken as it is, as the published protocols do. Pictures stay 8-bit: patches are converted where
they are degraded, on the device.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.arrays.color import luma_8bit
from hsr_tf.data.scenes import data_root
from hsr_tf.io.pictures import picture_files, read_picture
from hsr_tf.physics.resize import BicubicResize


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


def find_pictures(folder: str | os.PathLike[str]) -> list[Path]:
    """The picture files of a folder, in natural order.

    Args:
        folder: a path, or a folder of the data root such as "sisr/Set5" where no such path exists.

    Raises:
        OSError: when the folder is missing or holds no picture.
    """
    root = data_root()
    if not Path(folder).is_dir() and root is not None and (root / folder).is_dir():
        return picture_files(root / folder)
    return picture_files(folder)


def load_picture(path: Path) -> NamedPicture:
    """Read a picture: gray or RGB, an alpha channel left out, 16 bits rounded to 8.

    Raises:
        OSError: for a file that is no picture, or a damaged one.
    """
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
