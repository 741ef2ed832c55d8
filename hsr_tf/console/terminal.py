"""How a command talks: exit codes, one line for an error or a warning, a spinner on a terminal, tables."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from rich.console import Console, RenderableType
from rich.text import Text
from typer.exceptions import TyperException

from hsr_tf.wording import as_flags, error_line

BAD_INPUT, BUG, INTERRUPTED = 2, 1, 130
PLAIN_WIDTH = 160


def exit_code(command: Callable[[], int | None]) -> int:
    """Run a command and turn whatever ends it into an exit code and at most one line on stderr.

    0: done. 2: bad input (`ValueError`, `OSError`, a wrong flag). 130: interrupted. 1: an error of the
    program itself. With HSR_DEBUG set the traceback is shown as well.
    """
    try:
        with warnings_as_lines():
            code = int(command() or 0)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:  # the last resort: no traceback for users
        return _report(error)
    if code == INTERRUPTED:
        _tell("interrupted")
    return code


def show(renderable: RenderableType) -> None:
    """Print to stdout; wide enough for whole lines where that is no terminal."""
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    console.print(renderable, soft_wrap=isinstance(renderable, Text))


def warn(line: str) -> None:
    """One line about a doubtful result on stderr, after what was shown."""
    sys.stdout.flush()
    _tell(f"warning: {as_flags(line)}")


def _report(error: Exception) -> int:
    """One line about an error, and its exit code."""
    if os.environ.get("HSR_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, TyperException):
        _tell(f"error: {_usage_line(error)}")
    elif isinstance(error, ValueError | OSError):
        _tell(f"error: {error_line(error)}")
    elif isinstance(error, MemoryError):
        _tell("error: the memory of this machine is not enough for these images; crop them first")
    else:
        line = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        _tell(f"error: the program failed ({line}); run it again with HSR_DEBUG=1 and report what it shows")
        return BUG
    return BAD_INPUT


def _usage_line(error: TyperException) -> str:
    """A wrong command line in one line, with the nearest flag and the place of the help."""
    context = getattr(error, "ctx", None)
    message = " ".join(error.format_message().split())
    mistyped = getattr(error, "option_name", None)
    if mistyped is not None and context is not None:
        known = [name for parameter in context.command.params for name in parameter.opts]
        near = get_close_matches(mistyped, known, n=1)
        message = f"{error.message}; did you mean {near[0]}?" if near else f"{error.message}"
    place = "hsr" if context is None else context.command_path
    return f"{message.rstrip('.')}; see {place} --help" if not message.endswith("?") else message


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Show the warnings meant for users as one line each on stderr, and no others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: _tell(f"warning: {as_flags(str(message))}")
        yield


@contextmanager
def working(task: str) -> Iterator[None]:
    """A spinner while the block runs, on a terminal only.

    It writes to a copy of stderr, which stays visible while `load_keras` silences the descriptor itself.
    """
    if not sys.stderr.isatty():
        yield
        return
    with os.fdopen(os.dup(sys.stderr.fileno()), "w") as copy, Console(file=copy).status(f"{task} ..."):
        yield


def load_keras() -> None:
    """Import Keras without the start-up messages that its backend writes to the stderr descriptor."""
    if "keras" in sys.modules:
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            import keras  # noqa: F401
        except Exception:
            messages.seek(0)
            os.write(kept, messages.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
