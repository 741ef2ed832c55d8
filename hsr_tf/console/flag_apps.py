"""Applications that are started with flags: parse, run, and say what is wrong in one line.

Trainers, exports and servers start the same way: `--name=value` or `--flagfile=F`, exit code 2 and one line
for bad input, 130 for Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from absl import app, flags, logging

from hsr_tf.wording import error_line

FLAGS = flags.FLAGS
RESUMES = "the same command goes on from the last checkpoint"


def run_app(main: Callable[[], None], *, interrupted: str = RESUMES) -> None:
    """Parse flags and run; an expected error is one line and exit code 2, Ctrl-C is exit code 130.

    Args:
        main: what is run, on the flags of `absl.flags`.
        interrupted: said after Ctrl-C.
    """

    def guarded(arguments: list[str]) -> None:
        if not FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        if len(arguments) > 1:
            _fail(f"unexpected argument {arguments[1]!r}: flags are written --name=value")
        try:
            main()
        except (ValueError, OSError) as error:
            if os.environ.get("HSR_DEBUG"):
                raise
            _fail(error_line(error))
        except KeyboardInterrupt:
            sys.stderr.write(f"\ninterrupted; {interrupted}\n")
            sys.exit(130)

    app.run(guarded, flags_parser=_parse)


def _parse(arguments: list[str]) -> list[str]:
    """Flags from the command line, one line and exit code 2 for a mistyped one."""
    try:
        return FLAGS(arguments)
    except (flags.Error, OSError) as error:
        _fail(str(error).replace("\n", " "))
        raise


def _fail(message: str) -> None:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    sys.exit(2)
