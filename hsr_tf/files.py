"""Files that appear whole or not at all: written under a temporary name beside the target, then renamed.

A full disk, an interrupt or a killed process leaves the previous file as it was. Errors and interrupts also
remove the temporary; a killed process leaves one behind, a hidden name that ends in `.tmp` and that no
reader takes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hsr_tf.checks import FileError, file_error


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; when the block ends without error it takes the place of `path`.

    Raises:
        OSError: the folder is missing, the target is a folder, or the disk is full; in one line.
    """
    _require_parent(path)
    if path.is_dir():
        raise file_error(path, "is a folder", "give the name of a file")
    temporary = _temporary_file(path)
    try:
        with _explained(path):
            yield temporary
            _sync(temporary)
            os.chmod(temporary, _mode_for(path))
            os.replace(temporary, path)
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; when the block ends without error it takes the place of folder `path`.

    An old folder is moved aside, the new one put in its place, then the old one removed.

    Raises:
        OSError: the parent is missing, the target is a file, or the disk is full; in one line.
    """
    _require_parent(path)
    if path.exists() and not path.is_dir():
        raise file_error(path, "is a file", "give the name of a folder")
    with _explained(path):
        workplace = Path(tempfile.mkdtemp(prefix=f".{path.name[:100]}.", suffix=".tmp", dir=path.parent))
    try:
        with _explained(path):
            fresh = workplace / "new"
            fresh.mkdir()
            yield fresh
            for written in fresh.iterdir():
                _sync(written)
            _exchange(path, fresh, workplace / "old")
            _sync(path.parent)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def _exchange(path: Path, fresh: Path, aside: Path) -> None:
    had_old = path.exists()
    if had_old:
        os.rename(path, aside)
    try:
        os.rename(fresh, path)
    except BaseException:
        if had_old:
            os.rename(aside, path)
        raise


def _require_parent(path: Path) -> None:
    if not path.parent.is_dir():
        raise file_error(path, f"the folder {path.parent} does not exist", "make it first")


def _temporary_file(path: Path) -> Path:
    with _explained(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
    return Path(name)


def _mode_for(path: Path) -> int:
    """Permissions of the file that is replaced, or those that a new file gets."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn an operating system's error into one line that says that the target was not touched."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        reason = " ".join((error.strerror or str(error)).split())[:200]
        remedy = "nothing was written; free some space or choose another place"
        problem = f"cannot be written ({reason})"
        raise FileError(path, problem, remedy=remedy, errno=error.errno) from error
