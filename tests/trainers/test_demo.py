"""The demonstration: runs from one command, tells honestly who won, refuses bad flags."""

from __future__ import annotations

import dataclasses
import io
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from hsr_tf.io import load
from hsr_tf.metrics.full_reference import Scorecard
from hsr_tf.metrics.table import Metric, metrics_for
from hsr_tf.networks.pretrained import read_card
from tests.app_for_tests import call_app
from trainers import demo
from trainers.demo import demo_plan, results_table, verdict

Start = Callable[..., "subprocess.Popen[str]"]
CARD = Scorecard(47.0, 40.0, 2.5, 0.95, 2.2, 3.5, 0.0)


def better(**changes: float) -> Scorecard:
    return dataclasses.replace(CARD, **changes)


@pytest.mark.parametrize(("psnr", "words"), [(48.5, "1.50 dB above"), (46.75, "0.25 dB below")])
def test_verdict_names_the_winner_whichever_it_is(psnr: float, words: str) -> None:
    assert words in verdict({"spectral_ls": CARD, "ms_ssfnet": better(psnr_bands=psnr)})


def test_methods_are_named_in_full_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    added = Metric("added", "one more metric of a long name", "higher", lambda pair: 0.0)
    monkeypatch.setattr(demo, "metrics_for", lambda: (*metrics_for(), added))
    card = better(added={"added": 0.5})
    console = Console(width=80, file=io.StringIO())
    console.print(results_table({"spectral_ls": card}, {"spectral_ls": 0.1}))
    assert "spectral_ls" in console.file.getvalue() and "0.50" in console.file.getvalue()


def test_table_marks_the_best_of_each_score_and_only_that() -> None:
    cards = {"spectral_ls": CARD, "ms_ssfnet": better(psnr_bands=48.0, sam_degrees=3.0)}
    table = results_table(cards, dict.fromkeys(cards, 0.1))
    cells = {str(column.header): list(column.cells) for column in table.columns}
    assert cells["PSNR (bands)"] == ["47.00", "[bold]48.00[/]"]
    assert cells["SAM"] == ["[bold]2.20[/]", "3.00"]


def test_plan_fits_any_number_of_steps(tmp_path: Path) -> None:
    for num_steps in (1, 3, 600):
        plan = demo_plan(tmp_path, num_steps, 0)
        assert plan.warmup_steps < num_steps
        assert 1 <= plan.validate_every <= num_steps


@pytest.mark.parametrize("flag", ["--num_steps=0", "--num_step=5"])
def test_bad_flags_end_in_one_line_and_exit_code_2(tmp_path: Path, flag: str) -> None:
    ended = call_app("trainers.demo", f"--output_dir={tmp_path / 'out'}", flag)
    assert (ended.code, ended.output) == (2, "")
    assert len(ended.errors.strip().splitlines()) == 1
    assert ended.errors.startswith("error: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_one_command_trains_compares_and_draws(start: Start, tmp_path: Path) -> None:
    pytest.importorskip("tensorly", reason="the scene comes with tensorly: install the extra demo")
    run = start("trainers.demo", f"--output_dir={tmp_path}", "--num_steps=4", "--seed=1")
    output, errors = run.communicate(timeout=290)
    assert run.returncode == 0, errors
    rows = [re.split(r"\s+", line.strip()) for line in output.splitlines()]
    scores = {row[0]: float(row[1]) for row in rows if row[0] in ("bicubic", "spectral_ls", "ms_ssfnet")}
    assert set(scores) == {"bicubic", "spectral_ls", "ms_ssfnet"}
    assert scores["spectral_ls"] > scores["bicubic"] + 4
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert f"picture sheet: {tmp_path / 'sheet.png'}" in output
    assert load(tmp_path / "lr_hsi.h5").shape == (18, 18, 200)
    assert load(tmp_path / "hr_msi.h5").shape == (72, 72, 4)
    assert read_card(tmp_path / "model").record["steps_done"] == 4
