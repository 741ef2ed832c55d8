"""Whether this process is a command of ours, which rules its stderr; library calls leave a process alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_command: ContextVar[bool] = ContextVar("hsr_tf_command", default=False)


def prepare() -> None:
    """Set what NumPy and TensorFlow read when they are loaded, unless the user has.

    Threads of OpenBLAS wait for each other in busy loops: on small matrices, beside other programs, several
    take many times as long as one. On an idle machine one is as fast here.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@contextmanager
def command() -> Iterator[None]:
    """Say that a command runs in the block: it owns the interpreter's hooks and the stderr descriptor."""
    token = _command.set(True)
    try:
        yield
    finally:
        _command.reset(token)


def is_command() -> bool:
    """Return whether a command runs here."""
    return _command.get()
