"""The papers' tables: the flags of every run are right, costs are equal, the same command goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import _equal_budgets, papers
from benchmarks._equal_budgets import Budget, Stage, train
from benchmarks._paper_tables import BLIND, FUSION, SINGLE, PaperTable, kbpn, ms_ssfnet, vdsr
from benchmarks.papers import Figure
from hsr_tf import methods
from hsr_tf.checks import InputError
from hsr_tf.data.storage import TrainingScenes
from hsr_tf.scene import Scene
from tests.app_for_tests import own_flags
from trainers import _flags, blind_sr, fusion, single_image
from trainers._optimizers import make_optimizer
from trainers._pictures import network_plan

TRAINERS = {FUSION: fusion, BLIND: blind_sr, SINGLE: single_image}
WAVELENGTHS_NM = np.arange(400, 701, 10.0)
TABLES = [ms_ssfnet(16), ms_ssfnet(8), kbpn(), vdsr()]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_flags_of_every_run_describe_a_task(table: PaperTable, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = [Scene(np.zeros((256, 256, 31), np.float32), WAVELENGTHS_NM, name) for name in ("a", "flowers")]
    monkeypatch.setattr(fusion._scene_sets, "read_scenes", lambda: TrainingScenes(scenes, None))
    plans = set()
    for row in table.rows:
        for stage in row.stages:
            trainer = TRAINERS[stage.module]
            with own_flags(_flags.define_run_flags, trainer.define_flags) as given:
                given(["trainer", *stage.flags, "--run_dir=unused"])
                assert given.method == row.method
                if trainer is fusion:
                    fusion.task_from_flags()
                elif stage is row.stages[0]:
                    plans.add(network_plan(4 if trainer is blind_sr else None))
                make_optimizer(_flags.run_plan())
    assert all(plan.build().count_params() > 0 for plan in plans)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_rows_are_methods_of_their_own_and_published_figures_belong_to_columns(table: PaperTable) -> None:
    assert len({row.folder for row in table.rows}) == len(table.rows)
    for row in table.rows:
        assert row.method == "bicubic" or methods.get(row.method)
        assert set(row.published) <= set(table.columns)


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A training run that takes 3 ms of processor time a step, and stops in its first full run."""
    (tmp_path / "fake_trainer.py").write_text(
        "import pathlib, sys, time\n"
        "flags = dict(word.lstrip('-').split('=', 1) for word in sys.argv[1:])\n"
        "steps, folder = int(flags['num_steps']), pathlib.Path(flags['run_dir'])\n"
        "while time.process_time() < 0.003 * min(steps, 30): pass\n"
        "folder.mkdir(parents=True, exist_ok=True)\n"
        "with (folder / 'starts.txt').open('a') as log: print(*sys.argv[1:], file=log)\n"
        "first = len((folder / 'starts.txt').read_text().splitlines()) == 1\n"
        "if steps > 30 and first and 'stop' in flags: sys.exit(3)\n"
        "(folder / 'model').mkdir()\n"
        "(folder / 'model' / 'model.json').write_text('{}')\n"
    )
    monkeypatch.setattr(_equal_budgets, "ROOT", tmp_path)
    monkeypatch.setattr(_equal_budgets, "TIMED_SECONDS", 0.0)
    return Stage("fake_trainer", ("--method=a", "--stop=1"))


def test_a_run_has_the_steps_of_its_budget_and_goes_on_where_it_stopped(
    trainer: Stage, tmp_path: Path
) -> None:
    budget, folder = Budget(minutes=0.05, cores=2), tmp_path / "runs"
    with pytest.raises(ChildProcessError, match="exit code 3"):
        train([trainer], folder, budget)
    plan = json.loads((folder / "1.plan" / "plan.json").read_text())
    assert plan["num_steps"] == pytest.approx(6.0 / plan["seconds_per_step"], rel=0.02)
    model = train([trainer], folder, Budget(minutes=1.0, cores=2))
    assert model == folder / "1" / "model" and (model / "model.json").is_file()
    first, second = (folder / "1" / "starts.txt").read_text().splitlines()
    assert first == second  # the plan counts, not the new budget
    assert f"--num_steps={plan['num_steps']} " in first
    assert train([trainer], folder, budget) == model
    assert len((folder / "1" / "starts.txt").read_text().splitlines()) == 2


def test_the_time_of_a_step_is_measured_over_more_than_a_start_varies_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng, taken = np.random.default_rng(0), []

    def run(command: list[str]) -> float:
        taken.append(int(command[-2].partition("=")[2]))
        return 20.0 + rng.normal(0, 0.5) + 0.05 * taken[-1]

    monkeypatch.setattr(_equal_budgets, "run_to_end", run)
    assert _equal_budgets.seconds_per_step("trainer", []) == pytest.approx(0.05, rel=0.1)
    assert taken == [4, 20, 80, 320]


def test_stages_share_the_budget_and_start_from_each_other(trainer: Stage, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    stages = [Stage(trainer.module, ("--part=a",)), Stage(trainer.module, ("--start_from={before}",))]
    train(stages, folder, Budget(minutes=0.1, cores=1))
    plans = [json.loads((folder / f"{n}.plan" / "plan.json").read_text()) for n in (1, 2)]
    assert [plan["minutes"] for plan in plans] == [0.05, 0.05]
    assert f"--start_from={folder / '1' / 'model'}" in (folder / "2" / "starts.txt").read_text()


def test_the_table_shows_our_figures_and_the_papers() -> None:
    table = vdsr()
    found = {"VDSR": papers.picture_figures([{"set": "Set5", "scale": 2.0, "sigma": None, "psnr": 37.234}])}
    assert papers.markdown(table, found).splitlines()[-1] == "| VDSR | 37.23 (37.53) |"
    blind = [{"set": "Set5", "scale": 4.0, "sigma": 1.3, "psnr": 30.0}]
    assert papers.markdown(kbpn(), {"KBPN": papers.picture_figures(blind)}).endswith(
        "| KBPN | 30.00 (30.83) |"
    )
    assert str(Figure(1.5, 0.25, 2)) == "1.50 ± 0.25"


def test_scores_that_are_there_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = ms_ssfnet(16)
    row = next(row for row in table.rows if row.label == "CNMF")
    values = dict.fromkeys(papers.CUBE_COLUMNS, 1.25)
    commands = []

    def run(command: list[str]) -> None:
        commands.append(command)
        folder = Path(command[-1].partition("=")[2])
        folder.mkdir(parents=True)
        (folder / "scores.json").write_text(json.dumps({"mean": [{"mean": values, "std": values}]}))

    monkeypatch.setattr(papers, "run_to_end", run)
    for _ in range(2):
        found = papers.scores_of(row, table, tmp_path, tmp_path)
    assert str(found["PSNR, dB"]) == "1.25 ± 1.25"
    assert len(commands) == 1
    assert commands[0][:4] == [sys.executable, "-m", "trainers.evaluate", "--methods=cnmf"]


def test_a_page_without_the_marks_is_refused() -> None:
    with pytest.raises(InputError, match="marks <!-- vdsr: begin -->"):
        papers._report.with_section("text", "vdsr", "new")
