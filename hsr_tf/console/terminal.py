"""How a command talks: tables, a spinner on a terminal, one line for a warning or a wrong flag."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module

from rich.console import Console, RenderableType
from rich.text import Text
from typer.exceptions import TyperException

from hsr_tf.console.errors import tell_finding

PLAIN_WIDTH = 160


def show(renderable: RenderableType) -> None:
    """Print to stdout; wide enough for whole lines where that is no terminal."""
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    console.print(renderable, soft_wrap=isinstance(renderable, Text))


def warn(line: str, *, error: bool = False) -> None:
    """One line about a doubtful result on stderr, after what was shown; `error` for a result that is none."""
    sys.stdout.flush()
    tell_finding(line, error=error)


def usage_line(error: Exception) -> str | None:
    """Return the line about a wrong command line, with the nearest flag and the place of the help.

    None for other errors.
    """
    if not isinstance(error, TyperException):
        return None
    context = getattr(error, "ctx", None)
    message = " ".join(error.format_message().split())
    mistyped = getattr(error, "option_name", None)
    if mistyped is not None and context is not None:
        known = [name for parameter in context.command.params for name in parameter.opts]
        near = get_close_matches(mistyped, known, n=1)
        message = f"{error.message}; did you mean {near[0]}?" if near else f"{error.message}"
    place = "hsr" if context is None else context.command_path
    return f"{message.rstrip('.')}; see {place} --help" if not message.endswith("?") else message


@contextmanager
def working(task: str) -> Iterator[None]:
    """A spinner while the block runs, on a terminal only.

    It writes to a copy of stderr, which stays visible while `load_quietly` silences the descriptor itself.
    """
    if not sys.stderr.isatty():
        yield
        return
    with os.fdopen(os.dup(sys.stderr.fileno()), "w") as copy, Console(file=copy).status(f"{task} ..."):
        yield


def load_keras() -> None:
    """Import Keras without the start-up messages of its backend."""
    if "keras" not in sys.modules:
        load_quietly(lambda: import_module("keras"))


def load_quietly(load: Callable[[], object]) -> None:
    """Run what imports modules without the messages that TensorFlow then writes to the stderr descriptor.

    They are shown where the import fails. Only commands call this: the descriptor is their own.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            load()
        except Exception:
            messages.seek(0)
            os.write(kept, messages.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
