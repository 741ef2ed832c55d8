"""Files that appear whole or not at all: written under a temporary name beside the target, then renamed.

A full disk, an interrupt or a killed process leaves the previous file as it was. Errors and interrupts also
remove the temporary; a killed process leaves one behind, a hidden name that ends in `.tmp` and that no
reader takes.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hsr_tf.checks import FileError, file_error, require

HTML = (".html", ".htm")


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; when the block ends without error it takes the place of `path`.

    Raises:
        OSError: the folder is missing, the target is a folder, or the disk is full; in one line.
    """
    require_output("path", path)
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


def require_output(
    name: str,
    path: str | os.PathLike[str],
    *,
    inputs: Iterable[str | os.PathLike[str]] = (),
    suffixes: Sequence[str] = (),
    free: str | None = None,
    made: Path | None = None,
) -> Path:
    """Return the path of a file that can be written, so that a name is refused before an hour of work.

    Args:
        name: of the argument.
        path: the file.
        inputs: files that are read; the output may be none of them.
        suffixes: what its name may end in; none for anything.
        free: what to do about a file that exists, e.g. "add --overwrite"; None where it is replaced.
        made: a folder that is yet to be made and in which the file may lie.

    Raises:
        ValueError: the name ends in something else.
        OSError: the path is a folder, an input or not free, or its own folder does not exist.
    """
    if suffixes:
        require_suffix(name, path, suffixes)
    target = Path(path)
    parent = target.absolute().parent
    if target.is_dir():
        raise file_error(target, "is a folder", "give the name of a file")
    if not parent.is_dir() and (made is None or parent != made.absolute()):
        raise file_error(target, f"the folder {parent} does not exist", "make it first")
    require_apart([target], inputs)
    if free is not None and target.exists():
        raise file_error(target, "exists", free)
    return target


def require_suffix(name: str, path: str | os.PathLike[str], suffixes: Sequence[str]) -> Path:
    """Return the path, whose name must end in one of these suffixes."""
    require(
        Path(path).suffix.lower() in suffixes,
        name,
        expected=f"a name that ends in {', '.join(suffixes)}",
        received=repr(os.fspath(path)),
        remedy="change the suffix",
    )
    return Path(path)


def require_apart(
    outputs: Iterable[str | os.PathLike[str]], inputs: Iterable[str | os.PathLike[str]]
) -> None:
    """Refuse to write over what is read."""
    read = {identity for given in inputs if (identity := _identity(given)) is not None}
    for output in outputs:
        if _identity(output) in read:
            raise file_error(output, "is an input as well", "write to another name")


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What tells files apart whatever their names; None for a path that does not exist."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def write_json(path: str | os.PathLike[str], data: Any) -> None:
    """Write a JSON file, whole or not at all; NaN and infinite values become null, arrays become lists."""
    with replacing_file(Path(path)) as draft:
        text = json.dumps(plain(data), indent=1, allow_nan=False)
        draft.write_text(f"{text}\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: arrays as lists, what is not finite as None, other objects as text."""
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    import numpy as np

    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)


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
