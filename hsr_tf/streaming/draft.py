"""The finished tiles of a job, kept in a folder beside its output until that is whole.

A tile is one file a field, `<field>/<number>.npy`, written under another name, synced and then renamed: a
file that is there is whole, so that the folder is its own journal, and several processes may fill it.
`request.json` is the fingerprint of what was asked for; another request does not go on with these tiles.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hsr_tf import checks
from hsr_tf.streaming.memory import in_words
from hsr_tf.tiling.stages import TileStore

REQUEST, LOCK = "request.json", "lock"


class Draft(TileStore):
    """The folder of a job's tiles.

    Args:
        folder: where it is, made by `opened`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, field: str, index: int) -> bool:
        """Whether this tile of a field is finished."""
        return self._path(field, index).is_file()

    def save(self, field: str, index: int, values: NDArray[Any]) -> None:
        """Keep a tile of a field; once this returns it outlives the process and the power.

        Raises:
            OSError: a full disk; what was finished before stays.
        """
        with self._whole_file(self._path(field, index)) as file:
            np.lib.format.write_array(file, np.ascontiguousarray(values), allow_pickle=False)

    def load(self, field: str, index: int) -> NDArray[Any]:
        """A tile of a field."""
        path = self._path(field, index)
        try:
            return cast("NDArray[Any]", np.load(path, allow_pickle=False))
        except (ValueError, EOFError) as error:
            raise checks.file_error(
                path, f"is damaged ({error})", "remove it and run the same command again"
            ) from error

    def save_json(self, name: str, data: Mapping[str, Any]) -> None:
        """Keep plain data under a name."""
        with self._whole_file(self.folder / f"{name}.json") as file:
            file.write(json.dumps(data).encode())

    def load_json(self, name: str) -> dict[str, Any] | None:
        """What was kept under a name, None for nothing."""
        path = self.folder / f"{name}.json"
        return json.loads(path.read_bytes()) if path.is_file() else None

    def remove(self) -> None:
        """Remove the folder with all its tiles."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def num_bytes(self) -> int:
        """What its files take."""
        return sum(path.stat().st_size for path in self.folder.rglob("*.npy"))

    def _path(self, field: str, index: int) -> Path:
        return self.folder / field / f"{index:07d}.npy"

    @contextmanager
    def _whole_file(self, path: Path) -> Iterator[Any]:
        temporary = None
        try:
            path.parent.mkdir(exist_ok=True)
            handle, name = tempfile.mkstemp(suffix=".tmp", dir=path.parent)
            temporary = Path(name)
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            descriptor = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            reason = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error))
            explained = checks.file_error(
                self.folder,
                f"a tile cannot be written ({reason})",
                "the finished ones are kept: free some space and run the same command again",
            )
            explained.errno = error.errno
            raise explained from error
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)


@contextmanager
def opened(folder: Path, request: Mapping[str, Any], *, restart: bool) -> Iterator[Draft]:
    """The draft of a request, new or as an earlier run left it; no other process opens it meanwhile.

    Args:
        folder: where it lies.
        request: plain data that name all that decides the result.
        restart: whether the tiles of another request are thrown away.

    Raises:
        OSError: another process works on it, or the place cannot be written.
        ValueError: it holds tiles of another request; the message tells what differs.
    """
    wanted = json.loads(json.dumps(request))
    try:
        folder.mkdir(exist_ok=True)
        with open(folder / LOCK, "w", encoding="ascii") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise checks.file_error(
                    folder, "is in use by another process", "wait for it, or choose another output"
                ) from error
            draft = Draft(folder)
            _take_over(draft, wanted, restart)
            yield draft
    except PermissionError as error:
        raise checks.file_error(folder, "cannot be written", "choose another output") from error


def draft_folder(output: Path) -> Path:
    """Where the tiles of an output are kept: beside it, hidden."""
    return output.parent / f".{output.name[:200]}.tiles"


def require_space(folder: Path, num_bytes: int) -> None:
    """Refuse a job that the disk has no room for, before it begins.

    Raises:
        OSError: in one line.
    """
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        needed = f"needs {in_words(num_bytes)} for its tiles and the result"
        problem = f"the job {needed}, {in_words(free)} are free"
        raise checks.file_error(folder, problem, "free some space or choose another output")


def _take_over(draft: Draft, wanted: dict[str, Any], restart: bool) -> None:
    """Leave the tiles of the same request, or empty the folder."""
    earlier = None if restart else draft.load_json("request")
    if earlier == wanted:
        return
    if earlier is not None:
        differs = sorted(n for n in {*earlier, *wanted} if earlier.get(n) != wanted.get(n))
        raise checks.InputError(
            str(draft.folder),
            expected="unfinished tiles of this request",
            received=f"those of another (other {', '.join(differs)})",
            remedy="add --restart to throw them away, or choose another output",
        )
    for entry in draft.folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != LOCK:
            entry.unlink()
    draft.save_json("request", wanted)
