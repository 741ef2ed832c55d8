"""Applications of absl started in this process: `python -m MODULE FLAGS...` without a second TensorFlow.

The module is executed as `__main__`, so its flags are defined, parsed and refused as for a user; they are
forgotten afterwards. What only a process of its own shows (signals, what it imports) needs one.
"""

from __future__ import annotations

import io
import runpy
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from absl import app, flags
from absl.testing import flagsaver


@dataclass(frozen=True)
class Ended:
    """How an application ended: exit code, and what it wrote to stdout and stderr."""

    code: int
    output: str
    errors: str

    @property
    def last_error(self) -> str:
        """The last line of stderr."""
        return self.errors.strip().splitlines()[-1] if self.errors.strip() else ""


def call_app(module: str, *given: str) -> Ended:
    """Run `python -m module given...` here; an exception that the application lets out comes out."""
    code, output, errors = 0, io.StringIO(), io.StringIO()
    with (
        own_flags(),
        redirect_stdout(output),
        redirect_stderr(errors),
        mock.patch.object(sys, "argv", [module, *given]),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message=".*found in sys.modules after import of package")
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return Ended(code, output.getvalue(), errors.getvalue())


@contextmanager
def own_flags(*defined_by: Callable[[], None]) -> Iterator[flags.FlagValues]:
    """Flags that are defined within the block, or by these functions, are forgotten after it."""
    app.define_help_flags()
    before = flagsaver.save_flag_values(flags.FLAGS)
    try:
        for define in defined_by:
            define()
        yield flags.FLAGS
    finally:
        flags.FLAGS.unparse_flags()
        flagsaver.restore_flag_values(before, flags.FLAGS)
