"""The benchmark of the solvers: its table says what was measured; memory is that of one process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from absl import flags

from benchmarks import solvers
from benchmarks._subjects import synthetic_scene
from hsr_tf.fusion.api import simulate
from hsr_tf.io import save
from hsr_tf.metrics.cameras import CameraScores
from hsr_tf.metrics.full_reference import Scorecard
from hsr_tf.scene import Scene
from tests.app_for_tests import call_app
from tests.solver_for_tests import blended, registered
from trainers.evaluate import Row

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def given_flags(monkeypatch: pytest.MonkeyPatch) -> Iterator[flags.FlagValues]:
    """The benchmark's flags, apart from those of other applications."""
    own = flags.FlagValues()
    flags.DEFINE_float("max_seconds", None, "", flag_values=own)
    flags.DEFINE_bool("noisy", False, "", flag_values=own)
    flags.DEFINE_string("srf", "nikon_d700", "", flag_values=own)
    flags.DEFINE_list("srf_channels", [], "", flag_values=own)
    own(["x"])
    monkeypatch.setattr(solvers, "FLAGS", own)
    yield own


def row(method: str, scene: str, psnr: float, seconds: float, **cameras: float) -> Row:
    scores = Scorecard(psnr, psnr - 1, 1.0, 0.9, 100 / psnr, 1.0, 0.0)
    return Row(method, 8, scene, scores, seconds, CameraScores(**cameras))


def test_gains_are_means_of_differences_and_lateness_is_that_of_the_slowest(given_flags) -> None:
    rows = [row("spectral_ls", "a", 40.0, 0.1), row("spectral_ls", "b", 50.0, 0.1)]
    rows += [row("sylvester", "a", 41.0, 10.0), row("sylvester", "b", 50.5, 130.0)]
    floor, line = solvers.summarise(rows)
    assert (floor.gain, line.gain, line.psnr, line.slowest) == (0.0, 0.75, 45.75, 130.0)
    assert line.limit == 120.0 and not line.in_time and floor.in_time
    text = solvers.markdown([floor, line])
    assert "| x8 | sylvester | 45.75 | +0.75 |" in text and "130.0 (late)" in text
    assert "kernel L1" not in text and len({one.count("|") for one in text.splitlines()}) == 1


def test_gains_over_another_method_are_those_of_each_scene(given_flags) -> None:
    rows = [row("kernel_ls", "a", 40.0, 1.0), row("kernel_ls", "b", 50.0, 1.0)]
    rows += [row("deep_prior", "a", 41.0, 1.0), row("deep_prior", "b", 50.5, 1.0)]
    assert [line.gain for line in solvers.summarise(rows, "kernel_ls")] == [0.0, 0.75]
    assert solvers.scenes_table(rows, "kernel_ls").splitlines() == [
        "| scale | method | a | b |",
        "| --- | --- | ---: | ---: |",
        "| x8 | kernel_ls | 40.00 | 50.00 |",
        "| x8 | deep_prior | 41.00 (+1.00) | 50.50 (+0.50) |",
    ]


def test_blind_methods_have_their_own_limit_and_columns(given_flags, monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, "blended", blended, needs=())
    rows = [row("blended", "a", 40.0, 1.0, kernel_l1=0.1, response_sam_degrees=2.0)]
    (line,) = solvers.summarise(rows)
    assert (line.limit, line.gain, line.kernel_l1) == (180.0, None, 0.1)
    text = solvers.markdown([line])
    assert "| 0.100 | 2.00 |" in text and len({one.count("|") for one in text.splitlines()}) == 1


def test_other_programs_are_compared_on_balloons_alone(given_flags) -> None:
    rows = [row("csu", "balloons", 44.0, 10.0), row("csu", "paints", 50.0, 1.0)]
    assert solvers.others_table(rows).splitlines()[2:] == [
        "| csu | 44.00 | 10.0 | coupled unmixing | 43.1 | 98 | yes |"
    ]
    assert solvers.others_table([row("csu", "balloons", 44.0, 30.0)]).endswith("| no |")
    assert solvers.others_table(rows[1:]) == ""


def test_a_tiled_pair_is_that_of_the_tiled_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solvers, "BASE_SIZE", 32)
    pair = solvers.tiled_observation(64, 4)
    cube = np.pad(synthetic_scene(32).cube, [(0, 32), (0, 32), (0, 0)], mode="symmetric")
    expected = simulate(Scene(cube, synthetic_scene(32).wavelengths_nm), scale=4)
    np.testing.assert_allclose(pair.lr_hsi.cube, expected.lr_hsi.cube, atol=1e-6)
    np.testing.assert_allclose(pair.hr_msi.cube, expected.hr_msi.cube, atol=1e-6)
    with pytest.raises(ValueError, match="size: expected a multiple of 32"):
        solvers.tiled_observation(80, 4)


def test_one_scene_through_all_of_it(given_flags, monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, "blended", blended, needs=("psf", "srf"))
    rows = solvers.measure(["spectral_ls", "blended"], [synthetic_scene(32)], [4])
    assert [one.method for one in rows] == ["spectral_ls", "blended"]
    lines = solvers.summarise(rows)
    assert lines[1].gain == pytest.approx(lines[1].psnr - lines[0].psnr)


@pytest.mark.slow
def test_one_command_prints_and_writes_quality_and_memory(start_solvers: Start, tmp_path: Path) -> None:
    (tmp_path / "scenes").mkdir()
    save(synthetic_scene(64), tmp_path / "scenes" / "waves.h5")
    flags_ = ["--methods=sylvester", "--scales=4", f"--json={tmp_path / 'found.json'}"]
    run = start_solvers(*flags_, f"--data_dir={tmp_path / 'scenes'}")
    output, errors = run.communicate(timeout=290)
    assert run.returncode == 0 and "| x4 | sylvester |" in output, errors
    assert json.loads((tmp_path / "found.json").read_text())["lines"][0]["method"] == "spectral_ls"
    run = start_solvers(*flags_, "--methods=sylvester,estimate_psf_srf", "--memory", "--size=64")
    output, errors = run.communicate(timeout=290)
    assert run.returncode == 0, errors
    memory = json.loads((tmp_path / "found.json").read_text())["memory"]
    assert [line["method"] for line in memory] == ["spectral_ls", "sylvester", "estimate_psf_srf"]
    assert all(0.1 < line["peak_gib"] < 3 for line in memory)


def test_estimating_the_cameras_is_a_method_of_the_memory_table_with_the_limit_of_blind_ones() -> None:
    assert solvers.limit_of("estimate_psf_srf") == solvers.limit_of("blind_deep_prior") == 180.0
    assert solvers.limit_of("deep_prior") == 120.0


def test_unknown_methods_are_one_line() -> None:
    ended = call_app("benchmarks.solvers", "--methods=sylvestr")
    assert ended.code == 2 and "did you mean 'sylvester'" in ended.last_error
