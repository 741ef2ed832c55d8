"""The benchmark as a process, as users start it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def start_benchmark() -> Callable[..., subprocess.Popen[str]]:
    """Start `python -m benchmarks.fusion FLAGS...` from the repository's root."""
    return _starter("benchmarks.fusion")


@pytest.fixture
def start_solvers() -> Callable[..., subprocess.Popen[str]]:
    """Start `python -m benchmarks.solvers FLAGS...` from the repository's root."""
    return _starter("benchmarks.solvers")


def _starter(module: str) -> Callable[..., subprocess.Popen[str]]:
    def run(*flags: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", module, *flags]
        pipe = subprocess.PIPE
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=pipe, stderr=pipe)

    return run
