"""What ends a command becomes an exit code and one line, the same for every program."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest

from hsr_tf.checks import InputError, file_error
from hsr_tf.console.errors import exit_code, tell_finding
from hsr_tf.findings import ERROR, WARNING, Finding, FindingWarning


def raising(error: BaseException) -> int:
    raise error


ADVICE = InputError("psf", expected="a blur", received="none", remedy='add psf="estimate"')


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ADVICE, 2, "error: psf: expected a blur, got none; add --psf=estimate\n"),
        (file_error("x.h5", "is empty", "write it again"), 2, "error: x.h5: is empty; write it again\n"),
        (ValueError("two\nlines"), 2, "error: two lines\n"),
        (MemoryError(), 2, "error: the memory of this machine is not enough; use smaller"),
        (KeyError("k"), 1, "error: the program failed (KeyError: 'k'); run it again with HSR_DEBUG=1"),
        (KeyboardInterrupt(), 130, "\ninterrupted; nothing was written\n"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_one_line_and_an_exit_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(lambda: raising(error), interrupted="nothing was written") == code
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(line)
    assert len(printed.err.strip().splitlines()) == 1


def test_the_traceback_is_shown_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HSR_DEBUG", "1")
    assert exit_code(lambda: raising(ADVICE)) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_command_ends_with_its_own_code_and_its_warnings_are_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def command() -> int:
        warnings.warn('try srf="estimate"', stacklevel=1)
        warnings.warn("for programmers", DeprecationWarning, stacklevel=1)
        return 1

    assert (exit_code(command), exit_code(lambda: None)) == (1, 0)
    assert capsys.readouterr().err == "warning: try --srf=estimate\n"


def test_a_library_knows_its_own_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    def usage(error: Exception) -> str | None:
        return "no such flag" if isinstance(error, LookupError) else None

    assert exit_code(lambda: raising(LookupError()), usage_line=usage) == 2
    assert capsys.readouterr().err == "error: no such flag\n"


def test_the_runner_imports_no_framework() -> None:
    heavy = {"keras", "tensorflow", "rich", "typer", "absl"}
    code = f"import sys, hsr_tf.console.errors; print(*{heavy} & {{*sys.modules}})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


@pytest.mark.parametrize(("severity", "prefix"), [(WARNING, "warning"), (ERROR, "error")])
def test_a_finding_is_called_by_its_severity(
    severity: str, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = Finding(severity, "agreement", "the images differ", 'try srf="estimate"')
    assert exit_code(lambda: warnings.warn(FindingWarning.of(finding), stacklevel=1)) == 0
    assert capsys.readouterr().err == f"{prefix}: the images differ; try --srf=estimate\n"


def test_errors_are_red_on_a_terminal_that_shows_colors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    tell_finding("bad", error=True)
    tell_finding("doubtful")
    monkeypatch.setenv("NO_COLOR", "1")
    tell_finding("bad", error=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["\x1b[1;31merror: bad\x1b[0m", "warning: doubtful", "error: bad"]
