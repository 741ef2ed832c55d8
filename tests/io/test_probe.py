"""A damaged HDF5 file is met by another process first, a fork of this one only where that is safe."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

import h5py
import numpy as np
import pytest

from hsr_tf.io import probe


def _ctrl_c() -> NoReturn:
    raise KeyboardInterrupt


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "a.h5", "w") as made:
        made["cube"] = np.zeros((2, 3, 4))
    return tmp_path / "a.h5"


def _no_fork() -> NoReturn:
    raise AssertionError("forked")


def test_beside_other_threads_another_interpreter_looks(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_with_tensorflow_loaded_another_interpreter_looks(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fork", _no_fork)
    monkeypatch.setattr(probe, "THREADED", {"sys"})
    probe.require_harmless(file, "HDF5")


def test_another_interpreter_tells_a_crash_and_a_hang(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = file.with_name("crash.py")
    script.write_text("import os; os.abort()")
    monkeypatch.setattr(probe, "__file__", str(script))
    monkeypatch.setattr(probe, "THREADED", {"sys"})
    monkeypatch.setattr(probe, "_interpreter", None)
    with pytest.raises(OSError, match="crashes on it: it is damaged"):
        probe.require_harmless(file, "HDF5")
    script.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(probe, "SECONDS", 0.3)
    with pytest.raises(OSError, match="does not come to an end"):
        probe.require_harmless(file, "HDF5")


def test_one_interpreter_looks_at_all_files_and_outlives_a_bad_one(
    file: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = file.with_name("crash.py")
    script.write_text(
        f"import os, sys\nsys.path.insert(0, {str(repository)!r})\n"
        "from hsr_tf.io import probe\n"
        "probe._look_and_leave = lambda path: os.abort() if path.stem == 'bad' else os._exit(0)\n"
        "probe._look_at_all()\n"
    )
    monkeypatch.setattr(probe, "__file__", str(script))
    monkeypatch.setattr(probe, "THREADED", {"sys"})
    monkeypatch.setattr(probe, "_interpreter", None)
    monkeypatch.chdir(file.parent)
    probe.require_harmless(Path("a.h5"), "HDF5")
    started = probe._interpreter
    assert started is not None
    with pytest.raises(OSError, match="crashes on it: it is damaged"):
        probe.require_harmless(file.with_name("bad.h5"), "HDF5")
    probe.require_harmless(file.with_name("name\nof two lines.h5"), "HDF5")
    assert probe._interpreter is started
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(select, "poll", _ctrl_c)
        probe.require_harmless(file.with_name("bad.h5"), "HDF5")
    probe.require_harmless(file, "HDF5")  # the answer for the other file is not taken for its own
    assert probe._interpreter is not started


def test_the_other_interpreter_ends_with_the_process_and_is_not_that_of_its_forks(file: Path) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from hsr_tf.io import probe\n"
        "probe.THREADED = {'sys'}\n"
        "probe.require_harmless(Path(sys.argv[1]), 'HDF5')\n"
        "print(probe._interpreter._process.pid, flush=True)\n"
        "if os.fork() == 0: os._exit(probe._interpreter is not None)\n"
        "assert os.wait()[1] == 0\n"
    )
    command = [sys.executable, "-c", code, file]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(ended.stdout), 0)


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
