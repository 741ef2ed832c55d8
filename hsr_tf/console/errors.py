"""From error to exit code: how every command, application and server ends when something goes wrong.

Imports neither Keras nor a library for terminals, so that the device runner can use it.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from hsr_tf import process
from hsr_tf.findings import ERROR
from hsr_tf.imports import MissingPackage, missing_package, require_package
from hsr_tf.wording import as_flags, error_line

BAD_INPUT, BUG, INTERRUPTED = 2, 1, 130
BOLD_RED, PLAIN = "\x1b[1;31m", "\x1b[0m"


def exit_code(
    command: Callable[[], int | None],
    *,
    interrupted: str = "",
    usage_line: Callable[[Exception], str | None] = lambda _: None,
) -> int:
    """Run a command and turn whatever ends it into an exit code and at most one line on stderr.

    0: done. 2: bad input (`ValueError`, `OSError`, too little memory, a wrong flag). 130: interrupted. 1: an
    error of the program itself. With HSR_DEBUG set the traceback is shown as well.

    Args:
        command: what is run; its exit code, or None for 0.
        interrupted: what an interrupt leaves behind, said after Ctrl-C.
        usage_line: the line about an error of the library that parses the command line, else None.
    """
    try:
        with warnings_as_lines(), process.command():
            code = int(command() or 0)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:  # the last resort: no traceback for users
        return report(error, usage_line(error))
    if code == INTERRUPTED:
        tell(f"\ninterrupted; {interrupted}" if interrupted else "interrupted")
    return code


def report(error: Exception, usage: str | None = None) -> int:
    """Write one line about an error to stderr, and return its exit code.

    Args:
        error: what was raised.
        usage: the line, for an error in the command line.
    """
    if os.environ.get("HSR_DEBUG"):
        traceback.print_exception(error)
    if usage is not None:
        tell(f"error: {usage}")
    elif isinstance(error, ModuleNotFoundError) and error.name and not isinstance(error, ValueError):
        tell(f"error: {error_line(missing_package(error.name, error))}")
    elif isinstance(error, ValueError | OSError):
        tell(f"error: {error_line(error)}")
    elif isinstance(error, MemoryError):
        tell("error: the memory of this machine is not enough; use smaller images, tiles or batches")
    else:
        line = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        tell(f"error: the program failed ({line}); run it again with HSR_DEBUG=1 and report what it shows")
        return BUG
    return BAD_INPUT


def require_for_commands(packages: Mapping[str, Sequence[str]]) -> None:
    """End `python -m COMMAND` with one line if a package that the command needs cannot be imported.

    For the `__init__` of a package whose modules import packages of an extra. Other imports of the package
    are left alone.

    Args:
        packages: what each command needs, by the name of its module.
    """
    if sys.argv[:1] != ["-m"]:
        return
    for command, names in packages.items():
        if any(f".{argument}".endswith(f".{command}") for argument in sys.orig_argv):
            try:
                for name in names:
                    require_package(name)
            except MissingPackage as error:
                sys.exit(report(error))


def tell_finding(line: str, *, error: bool = False) -> None:
    """Write a finding to stderr as a warning or as an error; errors are red on a terminal, as a red verdict.

    Args:
        line: the finding and what to do.
        error: whether the result is not to be relied on.
    """
    said = f"{'error' if error else 'warning'}: {as_flags(line)}"
    in_color = error and sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    tell(f"{BOLD_RED}{said}{PLAIN}" if in_color else said)


def tell(line: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(f"{line}\n")


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Show the warnings meant for users as one line each on stderr, and no others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: tell_finding(str(message), error=_is_error(message))
        yield


def _is_error(warning: Warning | str) -> bool:
    """Whether a warning is a finding that makes the verdict red."""
    return getattr(warning, "severity", None) == ERROR
