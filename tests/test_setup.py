"""tools/venv.sh installs what is needed, once, and recovers: a stand-in interpreter logs what it is asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

STAND_IN = """#!/usr/bin/env bash
case "$*" in
    *version_info*) echo "$FAKE_VERSION" ;;
    *_base_executable*) echo "$FAKE_BASE" ;;
    "-m venv --clear "*)
        echo "venv" >>"$FAKE_LOG"
        rm -rf "$4" && mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && touch "$4/pyvenv.cfg" ;;
    "-m pip --version") ;;
    *.hsr_tf/uv) echo "uv" >>"$FAKE_LOG" ;;
    "-m uv "*) echo "lock-by-uv" >>"$FAKE_LOG"; exit "${FAKE_UV:-0}" ;;
    *requirements.lock) echo "lock" >>"$FAKE_LOG"; exit "${FAKE_PIP:-0}" ;;
    *editable*) echo "project" >>"$FAKE_LOG" ;;
    *) exit 9 ;;
esac
"""


@dataclass(frozen=True)
class Checkout:
    """A folder with what tools/venv.sh reads, and an interpreter that logs instead of installing."""

    root: Path

    def run(
        self, *, python: str = "", version: str = "3.11", pip: int = 0, uv: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run the script; `version` is what the stand-in claims to be, `pip` and `uv` their exit status."""
        environment = os.environ | {
            "FAKE_BASE": str(self.root / "bin" / "python3"),
            "FAKE_LOG": str(self.root / "log"),
            "FAKE_PIP": str(pip),
            "FAKE_UV": str(uv),
            "FAKE_VERSION": version,
            "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
        }
        command = ["bash", str(self.root / "tools" / "venv.sh"), ".venv", *([python] if python else [])]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def steps(self) -> list[str]:
        """What was installed since the last question."""
        log = self.root / "log"
        lines = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Checkout:
    for folder in ("bin", "tools"):
        (tmp_path / folder).mkdir()
    shutil.copy(repository / "tools" / "venv.sh", tmp_path / "tools")
    for name in ("requirements.lock", "setup.cfg", "pyproject.toml"):
        (tmp_path / name).write_text(f"{name}, first\n")
    stand_in = tmp_path / "bin" / "python3"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    return Checkout(tmp_path)


def test_the_first_run_makes_everything_and_the_second_nothing(checkout: Checkout) -> None:
    assert checkout.run().returncode == 0
    assert checkout.steps() == ["venv", "lock", "project"]
    assert checkout.run().returncode == 0
    assert checkout.steps() == []


def test_only_the_content_of_the_inputs_counts(checkout: Checkout) -> None:
    checkout.run()
    checkout.steps()
    os.utime(checkout.root / "requirements.lock", (2e9, 2e9))
    checkout.run()
    assert checkout.steps() == []
    (checkout.root / "setup.cfg").write_text("second\n")
    checkout.run()
    assert checkout.steps() == ["project"]
    (checkout.root / "requirements.lock").write_text("second\n")
    checkout.run()
    assert checkout.steps() == ["lock", "project"]


def test_uv_installs_where_the_lock_names_it_and_pip_where_uv_cannot(checkout: Checkout) -> None:
    blocks = [
        "tqdm==4 \\\n    --hash=sha256:a\n",
        "uv==1 \\\n    --hash=sha256:b\n    # via hsr_tf\n",
        "wheel==1 \\\n    --hash=sha256:c\n",
    ]
    (checkout.root / "requirements.lock").write_text("".join(blocks))
    assert checkout.run().returncode == 0
    assert checkout.steps() == ["venv", "uv", "lock-by-uv", "project"]
    assert (checkout.root / ".venv" / ".hsr_tf" / "uv").read_text() == blocks[1]
    shutil.rmtree(checkout.root / ".venv")
    assert checkout.run(uv=2).returncode == 0
    assert checkout.steps() == ["venv", "uv", "lock-by-uv", "lock", "project"]


def test_an_installation_cut_short_is_made_anew(checkout: Checkout) -> None:
    assert checkout.run(pip=1).returncode != 0
    assert checkout.steps() == ["venv", "lock"]
    assert checkout.run().returncode == 0
    assert checkout.steps() == ["venv", "lock", "project"]


def test_an_environment_made_by_something_else_is_kept_and_brought_up_to_date(checkout: Checkout) -> None:
    foreign = checkout.root / ".venv" / "bin"
    foreign.mkdir(parents=True)
    shutil.copy(checkout.root / "bin" / "python3", foreign / "python")
    (checkout.root / ".venv" / "pyvenv.cfg").touch()
    assert checkout.run().returncode == 0
    assert checkout.steps() == ["lock", "project"]


def test_a_folder_that_is_no_environment_is_left_alone(checkout: Checkout) -> None:
    (checkout.root / ".venv").mkdir()
    (checkout.root / ".venv" / "mine").touch()
    answer = checkout.run()
    assert answer.returncode == 2
    assert "expected a virtual environment" in answer.stderr
    assert (checkout.root / ".venv" / "mine").exists()


@pytest.mark.parametrize("version", ["2.7", "3.10", "3.14"])
def test_a_python_too_old_or_too_new_is_refused_in_one_line(checkout: Checkout, version: str) -> None:
    answer = checkout.run(version=version)
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert f"expected Python 3.11, 3.12 or 3.13, got {version}" in line
    assert checkout.steps() == []
    assert not (checkout.root / ".venv").exists()


def test_a_python_that_is_not_there_is_named(checkout: Checkout) -> None:
    answer = checkout.run(python="no-such-python")
    assert answer.returncode == 2
    assert "no-such-python: expected Python 3.11, 3.12 or 3.13, got no working interpreter" in answer.stderr
