"""The two files of an observation, lr_hsi.h5 and hr_msi.h5 in one folder: both appear, or neither."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from hsr_tf.checks import file_error
from hsr_tf.files import replacing_file
from hsr_tf.io.hdf5 import Hdf5
from hsr_tf.scene import Observation

PAIR_NAMES = ("lr_hsi.h5", "hr_msi.h5")


def save_pair(observation: Observation, folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write both images of an observation into a folder, which is made if need be.

    Returns:
        The two paths.

    Raises:
        OSError: the folder cannot be made, the disk is full; older files stay as they were.
    """
    folder = Path(folder)
    require_pair_folder(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    first, second = (Path(os.path.realpath(folder / name)) for name in PAIR_NAMES)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing_file(first) as lr_draft, replacing_file(second) as hr_draft:
            Hdf5().save(observation.lr_hsi, lr_draft)
            Hdf5().save(observation.hr_msi, hr_draft)
    except BaseException as error:
        with suppress(OSError):
            for path in made:
                path.rmdir()
        if not isinstance(error, OSError):
            raise
        # Speak of the folder, not of the temporary names in it.
        reason = os.strerror(error.errno) if error.errno else str(error)
        remedy = "nothing was written; free some space or choose another place"
        raise file_error(folder, f"cannot be written ({reason})", remedy) from error
    return folder / PAIR_NAMES[0], folder / PAIR_NAMES[1]


def require_pair_folder(folder: str | os.PathLike[str]) -> None:
    """Refuse a folder that could not take the two files, before any work is done for them.

    Raises:
        OSError: a file is in the way, or the folder cannot be written.
    """
    folder = Path(folder)
    for path in (folder / name for name in PAIR_NAMES):
        if path.is_dir():
            raise file_error(path, "is a folder", "choose another folder")
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise file_error(folder, f"{existing} is a file", "choose another folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise file_error(folder, f"{existing} cannot be written", "choose another folder")
