"""The report of a run's folder and of files: the scene is made again, errors are one line."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from hsr_tf import io
from hsr_tf.cli import run
from hsr_tf.fusion.alignment import align
from hsr_tf.fusion.api import fuse
from hsr_tf.fusion.simulated import SimulationPlan, simulated_scene
from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.pair import save_pair
from hsr_tf.report.run_folder import _scene_of, read_flags, run_report
from hsr_tf.scene import Scene
from trainers import _scene

PLAN = SimulationPlan(scale=2, crop=18, psf="box", shift=(1.0, 0.0))


@pytest.fixture(scope="module")
def cube_file(tmp_path_factory):
    rng = np.random.default_rng(2)
    cube = rng.random((26, 20, 8)).astype(np.float32)
    scene = Scene(cube, np.linspace(410.0, 690.0, 8), "patch")
    return io.save(scene, tmp_path_factory.mktemp("cube") / "patch.h5")


@pytest.fixture
def run_dir(tmp_path, cube_file):
    """What a solver's run leaves, as README lists it."""
    observation, _ = simulated_scene(cube_file, PLAN)
    estimate = fuse(observation, "bicubic").estimate
    folder = tmp_path / "a run"
    folder.mkdir()
    io.save(estimate, folder / "estimate.h5")
    flags = ["scale=2", "crop=18", "psf=box", "shift=1.0,0.0", "option=a=1", "option=b=2", "noisy=False"]
    lines = [f"--{flag}\n" for flag in (f"reference={cube_file}", *flags)]
    (folder / "flags.txt").write_text("".join(lines))
    (folder / "curve.csv").write_text("seconds,iteration,objective,psnr_bands\n0.5,1,4,20\n1.5,2,,21\n")
    record = {"method": "nnsr", "seconds": 1.5, "lr_hsi_residual": 0.1, "program": "trainers.unsupervised"}
    (folder / "solution.json").write_text(json.dumps(record))
    return folder


def test_a_run_is_shown_with_its_scene_curves_scores_and_command(run_dir, cube_file):
    observation, truth = simulated_scene(cube_file, PLAN)
    data = run_report(run_dir)
    np.testing.assert_array_equal(data.lr_hsi.cube, observation.lr_hsi.cube)
    np.testing.assert_array_equal(data.reference, truth.scene.cube)
    assert data.reference.shape == (18, 18, 8)
    np.testing.assert_array_equal(data.curves["PSNR (bands), dB"].series["psnr_bands"][1], [20, 21])
    np.testing.assert_array_equal(data.curves["objective"].series["objective"][1], [4, np.nan])
    assert data.scores["nnsr"]["lr_hsi_residual"] == 0.1 and data.scores["nnsr"]["psnr_bands"] > 5
    assert data.configuration["flags"]["option"] == ["a=1", "b=2"]
    assert list(data.command) == [
        "python",
        "-m",
        "trainers.unsupervised",
        f"--flagfile={run_dir / 'flags.txt'}",
    ]


def test_the_command_writes_one_page_from_a_run(run_dir, tmp_path, capsys):
    assert run(["report", f"--run={run_dir}", f"--output={tmp_path / 'r.html'}"]) == 0
    assert "wrote" in capsys.readouterr().out
    assert 'id="stage"' in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_command_writes_one_page_from_files(tmp_path, cube_file):
    observation, _ = simulated_scene(cube_file, PLAN)
    save_pair(observation, tmp_path / "pair")
    io.save(fuse(observation, "bicubic").estimate, tmp_path / "z.h5")
    pair = [f"--{name}={tmp_path / 'pair' / name}.h5" for name in ("lr_hsi", "hr_msi")]
    page = tmp_path / "r.html"
    assert run(["report", *pair, f"--estimate={tmp_path / 'z.h5'}", f"--output={page}"]) == 0
    text = page.read_text(encoding="utf-8")
    assert "Residual maps" in text and "bicubic" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--run=nowhere", "--output=r.html"], "nowhere: no such folder"),
        (["--run=.", "--output=r.html"], "holds neither solution.json nor model"),
        (["--run=.", "--output=r.png"], "output: expected a name that ends in .html"),
        (["--run=.", "--output=none/r.html"], "does not exist"),
        (["--output=r.html"], "run: expected the folder of a run"),
        (["--run=.", "--reference=x.h5", "--output=r.html"], "got run, reference"),
        (["--lr_hsi=x.h5", "--hr_msi=y.h5", "--output=r.html"], "got lr_hsi, hr_msi"),
        (["--lr_hsi=x.h5", "--hr_msi=y.h5", "--estimate=z.h5", "--output=r.html"], "x.h5"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["report", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_record_is_named(run_dir):
    (run_dir / "solution.json").write_text("{")
    with pytest.raises(OSError, match=r"solution.json: is no JSON"):
        run_report(run_dir)


def test_flags_that_are_given_again_become_a_list(tmp_path):
    path = tmp_path / "flags.txt"
    path.write_text("# a note\n--a=1\n--a=2\n--a=3\n--b=x=y\n")
    assert read_flags(path) == {"a": ["1", "2", "3"], "b": "x=y"}


def test_the_pair_of_a_run_is_paired_by_its_grids(tmp_path, monkeypatch):
    rng = np.random.default_rng(5)
    coarse = Scene(rng.random((6, 5, 8)), georeference=Georeference((4.0, 0, 0, 0, -4.0, 24.0)))
    sharp = Scene(rng.random((15, 12, 3)), georeference=Georeference((2.0, 0, -2.0, 0, -2.0, 28.0)))
    paths = [io.save(scene, tmp_path / name) for scene, name in ((coarse, "x.h5"), (sharp, "y.h5"))]
    expected = align(*(io.load(path) for path in paths)).observation
    assert expected.hr_msi.shape[:2] == (12, 10)
    flags = {"lr_hsi": str(paths[0]), "hr_msi": str(paths[1])}
    monkeypatch.setattr(_scene, "FLAGS", SimpleNamespace(reference=None, **flags))
    for observation in (_scene.read_scene()[0], _scene_of(flags)[0]):
        np.testing.assert_array_equal(observation.hr_msi.cube, expected.hr_msi.cube)
        np.testing.assert_array_equal(observation.lr_hsi.cube, expected.lr_hsi.cube)
