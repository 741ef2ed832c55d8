"""Applications that are started with flags: parse, run, and say what is wrong in one line.

Trainers, exports, servers and benchmarks start the same way: `--name=value` or `--flagfile=F`, exit code
2 and one line for bad input, 130 for Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from absl import app, flags, logging

from hsr_tf.console.errors import exit_code, report

FLAGS = flags.FLAGS
RESUMES = "the same command resumes from the last checkpoint"


def run_app(main: Callable[[], None], *, interrupted: str = RESUMES) -> None:
    """Parse flags, run, and exit with the code of `hsr_tf.console.errors.exit_code`.

    Args:
        main: what is run, on the flags of `absl.flags`.
        interrupted: said after Ctrl-C.
    """

    def guarded(arguments: list[str]) -> int:
        if not FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        if len(arguments) > 1:
            problem = f"unexpected argument {arguments[1]!r}: flags are written --name=value"
            return report(ValueError(problem))
        return exit_code(main, interrupted=interrupted)

    app.run(guarded, flags_parser=_parse)


def _parse(arguments: list[str]) -> list[str]:
    """Flags from the command line; one line and exit code 2 for a mistyped one."""
    try:
        return FLAGS(arguments)
    except (flags.Error, OSError) as error:
        sys.exit(report(error, " ".join(str(error).split())))
