"""A damaged HDF5 file is met by another process first, which is a fork only where that is safe."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

import h5py
import numpy as np
import pytest

from hsr_tf.io import probe


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "a.h5", "w") as made:
        made["cube"] = np.zeros((2, 3, 4))
    return tmp_path / "a.h5"


def _no_fork() -> NoReturn:
    raise AssertionError("forked")


def test_beside_other_threads_a_new_interpreter_looks(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", _no_fork)
    monkeypatch.setattr(probe, "THREADED", set())
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        probe.require_harmless(file, "HDF5")
    finally:
        end.set()
        thread.join()


def test_with_tensorflow_loaded_a_new_interpreter_looks(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", _no_fork)
    monkeypatch.setattr(probe, "THREADED", {"sys"})
    probe.require_harmless(file, "HDF5")


def test_both_ways_tell_a_crash_and_a_hang(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = file.with_name("crash.py")
    script.write_text("import os; os.abort()")
    monkeypatch.setattr(probe, "__file__", str(script))
    monkeypatch.setattr(probe, "THREADED", {"sys"})
    with pytest.raises(OSError, match="crashes on it: it is damaged"):
        probe.require_harmless(file, "HDF5")
    script.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(probe, "SECONDS", 0.3)
    with pytest.raises(OSError, match="does not come to an end"):
        probe.require_harmless(file, "HDF5")


def test_the_fork_tells_a_crash_and_a_hang(file: Path) -> None:
    code = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from hsr_tf.io import probe\n"
        "probe.SECONDS = 0.3\n"
        "for action in (os.abort, lambda: time.sleep(60)):\n"
        "    probe._look_and_leave = lambda path: action()\n"
        "    try: probe.require_harmless(Path(sys.argv[1]), 'HDF5')\n"
        "    except OSError as error: print(error)\n"
    )
    found: Any = subprocess.run(
        [sys.executable, "-c", code, file], capture_output=True, text=True, check=True
    )
    first, second = found.stdout.splitlines()
    assert "crashes" in first and "does not come to an end" in second
