"""Trainers of one scene: everything is written, a killed run goes on, flags are refused in one line."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import hsr_tf
from hsr_tf.closed_forms.bicubic import Bicubic
from hsr_tf.io.pair import save_pair
from hsr_tf.methods import Method
from hsr_tf.metrics.cameras import kernel_l1
from hsr_tf.metrics.full_reference import psnr_bands
from hsr_tf.options import with_options
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf, gaussian_psf, load_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse, load_srf
from hsr_tf.solvers.solver import Controls, Cube, Iterations, Outcome, Solver, Step
from tests.app_for_tests import call_app
from tests.solver_for_tests import RUN, blended
from tests.trainers.conftest import waves
from trainers import _solving
from trainers._course import Recorder, read_course, read_kernels
from trainers._scene import Truth, told_truth
from trainers._solving import Job, SolvePlan, solve

WRITTEN = {"solution.json", "estimate.h5", "curve.csv", "curve.png"}


@dataclass(frozen=True)
class CountingConfig:
    num_iterations: int = 6
    killed_after: int = 99


class Counting(Solver):
    """Counts up to `num_iterations`, keeps its count in the checkpoint, is killed after some of them."""

    def __init__(self, model: ObservationModel, config: CountingConfig = CountingConfig()) -> None:
        self.model, self.config = model, config

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = RUN) -> Outcome:
        cube = np.asarray(Bicubic(self.model)(lr_hsi[None], hr_msi[None]))[0]
        path = controls.checkpoint
        start = int(np.load(path)["done"]) if path is not None and path.is_file() else 0
        iterations = Iterations("counting", self.config.num_iterations, controls, start=start)
        for _ in iterations:
            if iterations.done == self.config.killed_after:
                raise KeyboardInterrupt
            iterations.report(1.0 / (1 + iterations.done), lambda: cube)
            if path is not None:
                np.savez(path, done=iterations.done)
        details = {"limit": controls.max_seconds or math.nan, "started": start, "many": np.arange(3)}
        return Outcome(cube, iterations.done, False, details=details)


@pytest.fixture
def job() -> Job:
    scene = waves(0)
    observation = hsr_tf.simulate(scene, scale=4)
    truth = Truth(scene, told_truth(observation).psf, told_truth(observation).srf)
    return Job(observation, truth, Method("counting", "solver", "s", "t", (), Counting), None, None)


def changed(job: Job, *options: str) -> Job:
    return Job(job.observation, job.truth, with_options(job.method, options), None, None)


def test_all_is_written_and_agrees_with_itself(job: Job, tmp_path: Path) -> None:
    record = solve(job, SolvePlan(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == WRITTEN | {"checkpoint.npz"}
    assert json.loads((tmp_path / "solution.json").read_text()) == record
    estimate = hsr_tf.load(tmp_path / "estimate.h5")
    expected = psnr_bands(job.truth.scene.cube, np.clip(estimate.cube, 0, 1))
    assert record["scores"]["psnr_bands"] == pytest.approx(float(expected), abs=1e-4)
    assert (record["iterations"], record["converged"]) == (6, False)
    assert record["details"] == {"limit": None, "started": 0, "many": [0, 1, 2]}
    rows = list(csv.DictReader((tmp_path / "curve.csv").open()))
    assert rows[0]["iteration"] == "1" and float(rows[0]["objective"]) == 1.0
    measured = [float(row["psnr_bands"]) for row in rows if row["psnr_bands"]]
    assert len(measured) >= 2 and measured == pytest.approx([float(expected)] * len(measured), abs=1e-3)
    assert SolvePlan(tmp_path).is_done


def test_a_killed_run_goes_on_where_it_was_and_its_time_counts(job: Job, tmp_path: Path) -> None:
    plan = SolvePlan(tmp_path, max_seconds=100.0)
    with pytest.raises(KeyboardInterrupt):
        solve(changed(job, "killed_after=3"), plan)
    assert not plan.is_done and read_course(tmp_path / "curve.csv")
    before = read_course(tmp_path / "curve.csv")[-1]
    record = solve(job, plan)
    assert record["details"]["started"] == 3
    assert record["details"]["limit"] == pytest.approx(100.0 - before.seconds)
    course = read_course(tmp_path / "curve.csv")
    assert [sample.iteration for sample in course] == sorted(sample.iteration for sample in course)
    assert all(a.seconds <= b.seconds for a, b in pairwise(course))


class Narrowing(Solver):
    """Its PSF narrows from iteration to iteration; killed after some, it goes on where it was."""

    def __init__(self, model: ObservationModel, config: CountingConfig = CountingConfig()) -> None:
        self.model, self.config = model, config

    def _cameras(self, done: int) -> ObservationModel:
        psf = gaussian_psf(self.model.scale, fwhm=3 + 4 / done)
        return ObservationModel(SpatialDegradation(psf, self.model.scale), self.model.spectral)

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = RUN) -> Outcome:
        start = int(np.load(controls.checkpoint)["done"]) if controls.checkpoint.is_file() else 0
        cube = np.zeros((*hr_msi.shape[:2], lr_hsi.shape[2]), np.float32)
        iterations = Iterations("narrowing", self.config.num_iterations, controls, start=start)
        for _ in iterations:
            if iterations.done == self.config.killed_after:
                raise KeyboardInterrupt
            now = iterations.done + 1
            iterations.report(1.0, lambda: cube, lambda now=now: self._cameras(now))
            np.savez(controls.checkpoint, done=iterations.done)
        return Outcome(cube, iterations.done, True, psf=self._cameras(iterations.done).spatial.psf)


@pytest.mark.filterwarnings("ignore:the estimate does not explain")
@pytest.mark.parametrize("is_known", [True, False])
def test_kernels_of_a_few_iterations_outlive_an_interrupt_and_are_drawn(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    rows = []
    monkeypatch.setattr(_solving, "kernel_sheet", lambda path, drawn, *, title: rows.extend(drawn))
    method = Method("narrowing", "solver", "s", "t", (), Narrowing)
    known = job.truth if is_known else Truth()
    job, plan = Job(job.observation, known, method, None, None), SolvePlan(tmp_path, kernels=True)
    with pytest.raises(KeyboardInterrupt):
        solve(changed(job, "num_iterations=10", "killed_after=4"), plan)
    solve(changed(job, "num_iterations=10"), plan)
    (row,) = rows
    assert row.names == ("iteration 1", "iteration 3", "iteration 5", "found")
    assert (row.truth is not None) == is_known
    kernels = read_kernels(tmp_path / "kernels.npz")
    assert list(kernels) == [1, 3, 5]
    for at, kernel in kernels.items():
        np.testing.assert_allclose(kernel, gaussian_psf(4, fwhm=3 + 4 / at).kernel)
    if is_known:  # the true one is as wide as a coarse pixel
        distances = [kernel_l1(row.truth, found) for found in row.found]
        assert distances[0] > distances[1] > distances[2] and len(distances) == 4


def test_a_run_without_checkpoint_begins_again_with_its_whole_time(job: Job, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        solve(changed(job, "killed_after=3"), SolvePlan(tmp_path, max_seconds=100.0))
    (tmp_path / "checkpoint.npz").unlink()
    record = solve(job, SolvePlan(tmp_path, max_seconds=100.0))
    assert (record["details"]["started"], record["details"]["limit"]) == (0, 100.0)
    assert [s.iteration for s in read_course(tmp_path / "curve.csv")].count(1) == 1


def test_estimated_cameras_are_scored_drawn_and_come_back_from_their_files(job: Job, tmp_path: Path) -> None:
    method = Method("blended", "solver", "s", "t", (), blended)
    record = solve(Job(job.observation, job.truth, method, None, None), SolvePlan(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == WRITTEN | {
        "cameras.png",
        "kernel.csv",
        "response.csv",
    }
    assert record["cameras"]["kernel_l1"] == pytest.approx(0, abs=1e-12)
    assert record["cameras"]["response_sam_degrees"] == pytest.approx(0, abs=1e-4)
    assert record["shift_pixels"] == [0.5, -1.0]
    psf = load_psf(tmp_path / "kernel.csv")
    assert psf.kernel.shape == (10, 10) and psf.kernel.sum() == pytest.approx(1)
    srf = load_srf(tmp_path / "response.csv", job.observation.lr_hsi.wavelengths_nm)
    np.testing.assert_allclose(srf.matrix, job.truth.srf, atol=1e-6)


def test_without_a_truth_nothing_is_scored(job: Job, tmp_path: Path) -> None:
    record = solve(Job(job.observation, Truth(), job.method, None, None), SolvePlan(tmp_path))
    assert record["scores"] is None and set(record["cameras"].values()) == {None}
    assert all(math.isnan(sample.psnr_bands) for sample in read_course(tmp_path / "curve.csv"))


def test_the_quality_is_measured_within_its_share_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = {"now": 0.0}
    monkeypatch.setattr("trainers._course.time.monotonic", lambda: clock["now"])
    recorder, measured = Recorder(tmp_path / "c.csv", waves(0)), []

    def estimate() -> np.ndarray:
        measured.append(clock["now"])
        clock["now"] += 2.0
        return waves(1).cube

    for iteration in range(1, 301):
        clock["now"] += 1.0
        recorder(Step("s", iteration, 300, clock["now"], 1.0, estimate))
    assert 2 * len(measured) <= 0.06 * clock["now"] and len(measured) >= 5


def test_the_course_holds_the_cameras_of_each_step(tmp_path: Path) -> None:
    kernel, srf = np.full((2, 2), 0.25), np.eye(3, 2) + 0.1
    other = Psf(np.array([[1.0, 0.0], [0.0, 1.0]]))
    model = ObservationModel(SpatialDegradation(other, 2), SpectralResponse(2 * srf))
    recorder = Recorder(tmp_path / "c.csv", None, (kernel, srf))
    recorder(Step("s", 1, 2, 1.0, 0.5, lambda: np.zeros((1, 1, 1), np.float32), lambda: model))
    recorder.finish(2.0, 2, math.nan)
    first, last = read_course(tmp_path / "c.csv")
    assert first.kernel_l1 == pytest.approx(1.0)
    assert first.response_sam_degrees == pytest.approx(0.0, abs=1e-4)
    assert math.isnan(last.kernel_l1)


def test_commands_write_a_folder_say_so_and_do_not_repeat(tmp_path, scene_folder) -> None:
    flags = [f"--reference={scene_folder / 'scene_1.h5'}", "--scale=4", "--method=sylvester", "--noisy"]
    flags += [f"--run_dir={tmp_path / 'run'}", f"--report={tmp_path / 'report.html'}"]
    ended = call_app("trainers.unsupervised", *flags)
    assert ended.code == 0, ended.errors
    report = (tmp_path / "report.html").read_text()
    assert report.startswith("<!DOCTYPE html>") and "sylvester" in report and "flags.txt" in report
    assert f"written to {tmp_path / 'run'}" in ended.output and "PSNR " in ended.output
    assert {path.name for path in (tmp_path / "run").iterdir()} >= WRITTEN | {"flags.txt"}
    assert f"--flagfile={tmp_path}" not in (tmp_path / "run" / "flags.txt").read_text()
    again = call_app("trainers.unsupervised", *flags)
    assert again.code == 0 and again.output.startswith("done before"), again.errors


@pytest.mark.slow
def test_the_blind_command_finds_the_cameras_of_files(tmp_path, start, shared_data) -> None:
    scene = hsr_tf.load(shared_data / "hsi" / "cave_train" / "flowers.h5")
    scene = hsr_tf.Scene(scene.cube[:160, :192], scene.wavelengths_nm, "flowers")
    save_pair(hsr_tf.simulate(scene, scale=8), tmp_path / "pair")
    pair = (f"--{name}={tmp_path / 'pair' / name}.h5" for name in ("lr_hsi", "hr_msi"))
    run = start("trainers.blind_fusion", *pair, "--method=spectral_ls", f"--run_dir={tmp_path / 'run'}")
    _, errors = run.communicate(timeout=280)
    assert run.returncode == 0, errors
    record = json.loads((tmp_path / "run" / "solution.json").read_text())
    assert record["cameras"]["kernel_l1"] < 0.15 and record["cameras"]["response_sam_degrees"] < 5
    assert (tmp_path / "run" / "cameras.png").is_file()


@pytest.mark.parametrize(
    ("module", "flags", "words"),
    [
        ("unsupervised", ["--method=sylvester"], "two images, or a reference alone, got none"),
        ("unsupervised", ["--method=bicubic", "--reference=a.h5"], "method: expected a solver"),
        ("unsupervised", ["--method=sylvester", "--option=wait=1"], "option of sylvester: expected one of"),
        ("blind_fusion", ["--method=sylvester", "--lr_hsi=a", "--hr_msi=b", "--psf=box"], "as they are est"),
    ],
)
def test_bad_flags_are_one_line(module, flags, words, tmp_path) -> None:
    ended = call_app(f"trainers.{module}", *flags, f"--run_dir={tmp_path / 'run'}")
    assert ended.code == 2 and words in ended.last_error, ended.errors
