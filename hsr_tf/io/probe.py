"""A first look at an HDF5 file in a process of its own, so that a damaged one cannot bring ours down.

The HDF5 library trusts what a file says of itself: a few changed bytes make it free memory that it does not
own, read beyond an array, or follow a circle for ever. Another process opens the file, walks over its groups,
attributes, chunk indices and small arrays, and ends; where it crashes or does not come back, the file is
refused. What it survives is then opened here; values of large arrays are not read twice.

The process is a fork (milliseconds) only while this one has a single thread of Python's and no TensorFlow,
whose threads a fork would leave behind with their locks held. Else, as in a server, it is a fork of an
interpreter with h5py alone, which is started for the first file (a tenth of a second) and kept for the next
ones. On Windows and macOS the file is opened at once.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
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
END = b"\0"  # of a path
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


class _Interpreter:
    """An interpreter that runs this file as a script: it forks for every path that it is sent.

    It has a session of its own, so that Ctrl-C does not reach it, and ends with this process at the latest.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=os.sep,
            start_new_session=True,
        )

    def is_alive(self) -> bool:
        """Whether it takes paths."""
        return self._process.poll() is None

    def code(self, path: Path) -> int | None:
        """The exit code of its fork, or its own where it gives none; None where it had to be ended."""
        sent, answers = self._process.stdin, self._process.stdout
        assert sent is not None and answers is not None
        try:
            with suppress(BrokenPipeError):
                sent.write(os.fsencode(os.path.abspath(path)) + END)
            waiting = select.poll()
            waiting.register(answers, select.POLLIN)
            if waiting.poll(1000 * SECONDS):
                answer = answers.readline()
                return int(answer) if answer else self._process.wait()
        except BaseException:
            self.end()  # or its answer would be taken for that of the next file
            raise
        self.end()
        return None

    def end(self) -> None:
        """End it, and what it has forked."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


_interpreter: _Interpreter | None = None
_one_at_a_time = threading.Lock()


def _code_of_interpreter(path: Path) -> int | None:
    """The same of another interpreter, which is started unless it is there."""
    global _interpreter
    with _one_at_a_time:
        if _interpreter is None or not _interpreter.is_alive():
            _interpreter = _Interpreter()
        return _interpreter.code(path)


def _forget_interpreter() -> None:
    """In a fork of this process: the interpreter is the parent's."""
    global _interpreter, _one_at_a_time
    _interpreter, _one_at_a_time = None, threading.Lock()


@atexit.register
def _end_interpreter() -> None:
    if _interpreter is not None:
        _interpreter.end()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_interpreter)


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


def _look_at_all() -> None:
    """In the other interpreter: fork for each path from stdin, and write the exit code to stdout."""
    rest = b""
    while data := os.read(0, 65536):
        *paths, rest = (rest + data).split(END)
        for path in paths:
            child = os.fork()
            if child == 0:
                _look_and_leave(Path(os.fsdecode(path)))
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            os.write(1, f"{code}\n".encode())


if __name__ == "__main__":
    _look_at_all()
