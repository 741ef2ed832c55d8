"""Public sets of pictures that super-resolution is scored on, read from the folders that they come in.

- Set5, Set14, BSD100 and Urban100 as SelfExSR distributes them (Huang, Singh and Ahuja, CVPR 2015): one
  folder per set with `image_SRF_2` to `image_SRF_4`, whose files `*_HR.png` are the sharp pictures; or as
  their authors do: folders of PNG or bitmap files.
- BSD100 also as the 100 pictures of `images/test` in BSDS300 (Martin et al., ICCV 2001).
- DIV2K (Agustsson and Timofte, CVPR Workshops 2017): the 100 pictures of `DIV2K_valid_HR`, which papers score
  on, because the truth of its test pictures was never published.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hsr_tf import checks
from hsr_tf.data.pictures import find_pictures


@dataclass(frozen=True)
class PictureSet:
    """A set of pictures.

    Attributes:
        title: its name, and that of its folder.
        number: of the pictures that are scored on.
    """

    title: str
    number: int


PICTURE_SETS = {
    "set5": PictureSet("Set5", 5),
    "set14": PictureSet("Set14", 14),
    "bsd100": PictureSet("BSD100", 100),
    "urban100": PictureSet("Urban100", 100),
    "div2k": PictureSet("DIV2K", 100),
}


def set_pictures(name: str, folder: str | os.PathLike[str] | None = None) -> list[Path]:
    """Find the sharp pictures of a set that are scored on, in natural order.

    Args:
        name: key of `PICTURE_SETS`.
        folder: the set's folder, or one that holds it under its name; None for `sisr/NAME` of the data root.

    Raises:
        ValueError: an unknown set.
        OSError: a folder that is missing, that holds no picture, or more than the set has.
    """
    checks.require_choice("data_set", name, PICTURE_SETS)
    known = PICTURE_SETS[name]
    if folder is None:
        folder = f"sisr/{known.title}"
    elif Path(folder, known.title).is_dir():
        folder = Path(folder, known.title)
    found = find_pictures(folder)
    if len(found) > known.number:
        raise checks.file_error(
            folder,
            f"holds {len(found)} pictures, {known.title} has {known.number}",
            f"give the folder of {known.title}",
        )
    return found
