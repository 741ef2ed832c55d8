"""Damaged files of every format, hundreds in the slow tests: a scene or one clear line, never anything else.

A process of its own reads them, with its address space limited: a crash of a C library, a hang, a traceback,
a word on stderr, memory beyond the limit or half a file left behind is a failure here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.io.fuzz_for_tests import FORMATS, MOST_BYTES, complaint

SCRIPT = Path(__file__).with_name("fuzz_for_tests.py")
ROOT = SCRIPT.parents[2]


def run_cases(folder: Path, first: int, last: int, *formats: str) -> int:
    """Run the cases of these seeds; fails with what went wrong, returns their number."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), str(first), str(last), *formats],
        capture_output=True,
        text=True,
        timeout=1200,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    lines = ended.stdout.splitlines()
    wrong = [line for line in lines if line.startswith("WRONG")]
    assert not wrong, "\n".join(wrong[:20])
    where = lines[-1] if lines else "the start"
    assert ended.returncode == 0, f"ended by {ended.returncode} in {where}: {ended.stderr[-2000:]}"
    assert ended.stderr == ""
    return sum(line.startswith("case") for line in lines)


def test_damaged_files_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    assert run_cases(tmp_path, 0, 1) == len(FORMATS)


@pytest.mark.slow
@pytest.mark.timeout(1300)  # NetCDF takes five minutes, much longer on a busy machine
@pytest.mark.parametrize("name", FORMATS)
def test_many_more_damaged_files(name: str, tmp_path: Path) -> None:
    assert run_cases(tmp_path, 1000, 1400, name) == 400


def raise_key_error() -> None:
    raise KeyError("x")


def take_memory() -> None:
    bytearray(MOST_BYTES + 2**20)


@pytest.mark.parametrize(("action", "said"), [(raise_key_error, "KeyError"), (take_memory, "took 3")])
def test_what_must_not_happen_is_noticed(action: Callable[[], None], said: str) -> None:
    tracemalloc.start()
    try:
        assert said in str(complaint(action))
        assert complaint(lambda: None) is None
    finally:
        tracemalloc.stop()
