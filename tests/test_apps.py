"""Every application is started by `python -m`, and refuses what it does not know in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from absl import app, flags

from tests.app_for_tests import call_app

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("trainers", "export", "serving", "benchmarks")
APPS = sorted(
    f"{package}.{path.stem}"
    for package in PACKAGES
    for path in (ROOT / package).glob("*.py")
    if "    run_app(" in path.read_text(encoding="utf-8")
)


def test_the_applications_are_found() -> None:
    assert {"trainers.fusion", "export.tflite", "serving.server", "benchmarks.solvers"} <= {*APPS}


@pytest.mark.parametrize("module", APPS)
def test_a_mistyped_flag_is_one_line_and_exit_code_2(module: str) -> None:
    app.define_help_flags()
    known = {*flags.FLAGS}
    ended = call_app(module, "--no_such_flag=1")
    assert (ended.code, ended.output) == (2, "")
    assert ended.errors.startswith("error: Unknown command line flag 'no_such_flag'")
    assert len(ended.errors.strip().splitlines()) == 1
    assert {*flags.FLAGS} == known


# The client is the one that starts without TensorFlow.
@pytest.mark.parametrize(
    "module",
    [name if name == "serving.client" else pytest.param(name, marks=pytest.mark.slow) for name in APPS],
)
def test_a_process_of_its_own_says_the_same(module: str) -> None:
    command = [sys.executable, "-m", module, "--no_such_flag=1"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250, check=False
    )
    here = call_app(module, "--no_such_flag=1")
    assert (done.returncode, done.stdout) == (here.code, here.output)
    assert done.stderr.strip().splitlines()[-1] == here.last_error and "Traceback" not in done.stderr
