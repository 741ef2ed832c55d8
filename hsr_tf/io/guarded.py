"""A file that HDF5 can write to on a full disk without bringing the process down.

The HDF5 library keeps unwritten blocks after a failed write and crashes the process when it closes the
file. So it is given a file object whose calls always succeed: the first failure is remembered, everything
after it is dropped, and `raise_failure` reports it once HDF5 has let go of the file.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


class GuardedFile(io.RawIOBase):
    """A raw binary file, created empty, that remembers its first failure instead of raising it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.failure: BaseException | None = None
        self._raw = open(path, "w+b", buffering=0)  # noqa: SIM115 (closed by close)
        self._position = 0
        self._size = 0

    def raise_failure(self) -> None:
        """Raise the failure that was remembered, if there was one."""
        if self.failure is not None:
            raise self.failure

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        try:
            written = 0
            while self.failure is None and written < len(view):
                self._raw.seek(self._position + written)
                written += self._raw.write(view[written:]) or 0
        except BaseException as error:  # an interrupt too: HDF5 must not see it
            self.failure = error
        self._position += len(view)
        self._size = max(self._size, self._position)
        return len(view)

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        try:
            self._raw.seek(self._position)
            num_read = self._raw.readinto(view) or 0
        except BaseException as error:
            self.failure, num_read = self.failure or error, 0
        view[num_read:] = bytes(len(view) - num_read)
        self._position += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        length = self._position if size is None else size
        try:
            if self.failure is None:
                self._raw.truncate(length)
        except BaseException as error:
            self.failure = error
        self._size = length
        return length

    def flush(self) -> None:
        return

    def close(self) -> None:
        self._raw.close()
        super().close()


@contextmanager
def guarded_file(path: Path) -> Iterator[GuardedFile]:
    """Create a file for HDF5 to write to; a failed write is raised when the block ends."""
    guarded = GuardedFile(path)
    try:
        yield guarded
        guarded.raise_failure()
    finally:
        guarded.close()


@contextmanager
def created_hdf5(path: Path) -> Iterator[tuple[h5py.File, GuardedFile]]:
    """Create an HDF5 file to fill; errors as in `guarded_file`."""
    with guarded_file(path) as guarded, h5py.File(guarded, "w") as file:
        yield file, guarded
