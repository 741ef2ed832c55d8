"""Ctrl-C ends the `hsr` command with 130 and leaves every file as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.cli.command_for_tests import FUSE, SIMULATE, Answer, everything


def interrupted(folder: Path, code: str, *arguments: str, after: str) -> tuple[int, str, str]:
    """Exit code and output of a program that gets Ctrl-C as soon as it has printed a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == f"{after}\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize(
    "arguments", [FUSE, (*SIMULATE, "--scale=8"), ("convert", "x.h5", "old.h5")], ids=lambda given: given[0]
)
def test_an_interrupt_while_writing_leaves_the_old_files(
    arguments: Sequence[str], folder: Path, hsr: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just before the new file takes the place of the old one."""

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(folder)
    before = everything(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        answer = hsr(*arguments)
    assert answer == Answer(130, "", "interrupted\n")
    assert everything(folder) == before


def test_ctrl_c_stops_the_installed_command_while_it_writes(folder: Path) -> None:
    """A command that needs no framework, as a process; what it does is the same for all of them."""
    code = """
        import os, sys, time
        from hsr_tf import cli

        def wait(_):
            print("written", flush=True)
            time.sleep(60)

        os.fsync = wait
        sys.argv[0] = "hsr"
        cli.main()
    """
    before = everything(folder)
    answer = interrupted(folder, code, "convert", "x.h5", "old.h5", after="written")
    assert answer == (130, "", "interrupted\n")
    assert everything(folder) == before


@pytest.mark.slow
def test_an_interrupted_solver_ends_with_130_and_writes_nothing(folder: Path) -> None:
    """The command itself, stopped within an iteration."""
    code = """
        import sys, time
        import hsr_tf
        from hsr_tf import cli, methods
        from hsr_tf.solvers.solver import Solver

        methods.names()

        class Slow(Solver):
            def solve(self, lr_hsi, hr_msi, controls):
                print("solving", flush=True)
                time.sleep(60)

        methods._REGISTRY["slow"] = methods.Method("slow", "solver", "s", "t", (), lambda model: Slow())
        sys.argv[0] = "hsr"
        cli.main()
    """
    before = everything(folder)
    code_out_err = interrupted(folder, code, *FUSE, "--method=slow", "--picture=c.png", after="solving")
    assert code_out_err[:2] == (130, "") and code_out_err[2].endswith("interrupted\n"), code_out_err
    assert everything(folder) == before
