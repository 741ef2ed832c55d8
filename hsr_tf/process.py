"""Whether this process is a command of ours, which rules its stderr; library calls leave a process alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_command: ContextVar[bool] = ContextVar("hsr_tf_command", default=False)


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
