"""A first look at an HDF5 file in a process of its own, so that a damaged one cannot bring ours down.

The HDF5 library trusts what a file says of itself: a few changed bytes make it free memory that it does not
own, read beyond an array, or follow a circle for ever. Another process opens the file, walks over its groups,
attributes, chunk indices and small arrays, and ends; where it crashes or does not come back, the file is
refused. What it survives is then opened here; values of large arrays are not read twice.

The process is a fork (milliseconds) only while this one has a single thread of Python's and no TensorFlow,
whose threads a fork would leave behind with their locks held. Else, as in a server, it is a new interpreter
with h5py alone. On Windows and macOS the file is opened at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py

SECONDS = 30.0
CPU_SECONDS = 5
FEW_VALUES = 2**16
LONGEST_PAUSE = 0.02
THREADED = {"grpc", "tensorflow"}


def require_harmless(path: Path, format_name: str) -> None:
    """Refuse a file on which the HDF5 library crashes or hangs.

    Raises:
        OSError: it does.
    """
    if not hasattr(os, "fork") or sys.platform == "darwin":
        return
    alone = threading.active_count() == 1 and not THREADED & sys.modules.keys()
    code = _code_of_fork(path) if alone else _code_of_interpreter(path)
    if code is None or code < 0:
        from hsr_tf.checks import file_error

        how = "does not come to an end" if code is None else "crashes"
        problem = f"cannot be read as {format_name}, the library {how} on it: it is damaged"
        raise file_error(path, problem, "fetch or write it again")


def _code_of_fork(path: Path) -> int | None:
    """The exit code of a copy of this process that looks at the file; None where it had to be ended."""
    child = os.fork()
    if child == 0:
        _look_and_leave(path)
    give_up, pause = time.monotonic() + SECONDS, 0.0005
    while time.monotonic() < give_up:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None


def _code_of_interpreter(path: Path) -> int | None:
    """The same of a new interpreter, which runs this file as a script."""
    try:
        return subprocess.run([sys.executable, "-P", __file__, path], timeout=SECONDS, check=False).returncode
    except subprocess.TimeoutExpired:
        return None


def _look_and_leave(path: Path) -> None:
    """The other process: whatever Python can report, the parent will meet and report itself."""
    import resource

    def look(item: Any) -> None:
        for name in item.attrs:
            with suppress(Exception):  # one that h5py cannot turn into Python's types
                item.attrs[name]
        if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
            return
        if item.chunks is not None:
            item.id.get_num_chunks()
        if 0 < item.size <= FEW_VALUES:
            item[()]

    def visit(_: str, item: Any) -> None:
        with suppress(Exception):  # the next item may still be one on which the library crashes
            look(item)

    try:  # no word on stderr, no core file, and an end to circles
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        with h5py.File(path, "r") as file:
            look(file)
            file.visititems(visit)
    except BaseException:
        pass
    finally:
        os._exit(0)


if __name__ == "__main__":
    _look_and_leave(Path(sys.argv[1]))
