"""Evaluation: what it writes agrees with the metrics, and bad input is one line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.io import save
from hsr_tf.metrics.full_reference import Scorecard, scorecard
from hsr_tf.physics.spectral import load_srf
from hsr_tf.scene import Scene
from tests.app_for_tests import call_app
from tests.solver_for_tests import blended, registered
from tests.trainers.conftest import waves
from trainers.evaluate import Entry, Row, markdown_table, parse_entries, score, write_tables


def test_rows_tables_and_sheets_of_a_folder(tmp_path):
    (tmp_path / "scenes").mkdir()
    for index in range(2):
        save(waves(index), tmp_path / "scenes" / f"scene_{index}.h5")
    flags = ["--methods=bicubic,spectral_ls", f"--scenes={tmp_path / 'scenes'}", "--scales=2,4"]
    places = [f"--output_dir={tmp_path / 'out'}", f"--report={tmp_path / 'report.html'}"]
    ended = call_app("trainers.evaluate", *flags, *places)
    assert ended.code == 0, ended.errors
    pages = [path.read_text() for path in tmp_path.glob("report*.html")]
    assert pages and all("spectral_ls" in page and "PSNR" in page for page in pages)
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").open()))
    assert len(rows) == 2 * 2 * 2
    scene = waves(1)
    solution = fuse(simulate(scene, scale=4), "spectral_ls")
    expected = scorecard(scene.cube, solution.estimate.cube, scale=4)
    found = next(r for r in rows if (r["method"], r["scale"], r["scene"]) == ("spectral_ls", "4", "scene_1"))
    assert float(found["psnr_bands"]) == pytest.approx(expected.psnr_bands, abs=1e-3)
    assert (tmp_path / "out" / "scores.md").read_text() in ended.output
    plain = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert {mean["scenes"] for mean in plain["mean"]} == {2}
    assert len(list((tmp_path / "out").glob("scene_*_x*.png"))) == 4
    assert (tmp_path / "out" / "times.png").is_file()


def test_the_table_gives_mean_and_deviation_over_the_scenes(tmp_path):
    cards = [Scorecard(40.0, 39.0, 2.0, 0.98, 1.0, 3.0, 0), Scorecard(44.0, 43.0, 4.0, 0.99, 2.0, 5.0, 0)]
    rows = [Row("m", 8, f"s{i}", card, 0.5) for i, card in enumerate(cards)]
    assert "| x8 | m | 42.00 ± 2.00 | 41.00 ± 2.00 |" in markdown_table(rows)
    write_tables(tmp_path, rows, {})
    means = json.loads((tmp_path / "scores.json").read_text())["mean"]
    assert means[0]["mean"]["psnr_bands"] == 42.0 and means[0]["std"]["psnr_bands"] == 2.0


def test_blind_methods_are_scored_by_their_cameras_too(tmp_path, monkeypatch):
    registered(monkeypatch, "blended", blended, needs=())
    scene = waves(1)
    row, solution = score(Entry("blended"), scene, simulate(scene, scale=4), blind=True)
    assert solution.iterations == 2 and row.cameras.kernel_l1 == pytest.approx(0, abs=1e-12)
    other, _ = score(Entry("spectral_ls"), scene, simulate(scene, scale=4))
    assert other.cameras.kernel_l1 is None and other.as_dict()["kernel_l1"] is None
    text = markdown_table([row, other])
    assert "| x4 | blended | 0.000 | 0.00 |" in text and text.count("spectral_ls") == 1
    write_tables(tmp_path, [row, other], {})
    assert json.loads((tmp_path / "scores.json").read_text())["rows"][0]["kernel_l1"] < 1e-9


def test_networks_without_weights_for_a_scale_are_left_out():
    observation = simulate(waves(0), scale=4)
    assert Entry("spectral_ls").fits(observation)
    assert not Entry("ssf_cnn").fits(observation)
    assert np.isfinite(observation.lr_hsi.cube).all()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["spectral_l"], "did you mean 'spectral_ls'"),
        (["bicubic@folder"], "not trained"),
        (["bicubic", "bicubic"], "each once"),
        ([], "at least one method"),
        (["ms_ssfnet@/nowhere"], "no trained model"),
    ],
)
def test_methods_that_cannot_be_scored_are_refused(texts, message):
    with pytest.raises((ValueError, OSError), match=message):
        parse_entries(texts)


def test_bad_flags_end_in_one_line_and_exit_code_2(tmp_path, scene_folder):
    given = (f"--scenes={scene_folder}", "--scales=x8", f"--output_dir={tmp_path}")
    ended = call_app("trainers.evaluate", *given)
    assert ended.code == 2
    assert ended.last_error.startswith("error: scales: expected positive integers")


def cube_of(index: int) -> np.ndarray:
    """Counts of 12 bits, (20, 24, 31), different for each index."""
    rows, columns, bands = np.mgrid[:20, :24, :31]
    values = 2 + np.sin(columns / 3 + index) + np.cos(rows / 4 - index * bands / 31)
    return np.rint(4095 * values / 4.1)


def harvard(folder: Path) -> None:
    (folder / "CZ_hsdb").mkdir()
    for i in range(5):
        savemat(folder / "CZ_hsdb" / f"img{i}.mat", {"lbl": np.ones((20, 24)), "ref": cube_of(i) / 4095})


def icvl(folder: Path) -> None:
    for i in range(3):
        with h5py.File(folder / f"BGU_0403-{i}.mat", "w") as file:
            file["rad"] = cube_of(i).transpose(2, 1, 0)
            file["bands"] = np.arange(400.0, 701.0, 10.0)[:, None]


def nus(folder: Path) -> None:
    for inner, names in (("Training", (0, 1)), ("Testing", (2, 3))):
        (folder / inner).mkdir()
        for i in names:
            savemat(folder / inner / f"Scene{i}.mat", {"tensor": cube_of(i) / 4095})


def cave(folder: Path) -> None:
    for i in range(3):
        inner = folder / f"toy{i}_ms" / f"toy{i}_ms"
        inner.mkdir(parents=True)
        for band in range(31):
            values = np.rint(cube_of(i)[..., band] / 4095 * 65535).astype(np.uint16)
            Image.fromarray(values).save(inner / f"toy{i}_ms_{band + 1:02d}.png")


@pytest.mark.parametrize(
    ("name", "make", "first_nm", "counts"),
    [
        ("harvard", harvard, 420, (4, 1)),
        ("icvl", icvl, 400, (2, 1)),
        ("nus", nus, 400, (2, 2)),
        ("cave", cave, 400, (2, 1)),
    ],
)
def test_the_test_part_of_a_public_set_is_scored(
    name: str, make: Callable[[Path], None], first_nm: int, counts: tuple[int, int], tmp_path: Path
) -> None:
    (tmp_path / "set").mkdir()
    make(tmp_path / "set")
    given = (f"--data_set={name}", f"--data_dir={tmp_path / 'set'}", f"--output_dir={tmp_path / 'out'}")
    ended = call_app("trainers.evaluate", *given, "--methods=spectral_ls", "--scales=4", "--nosheets")
    assert ended.code == 0, ended.errors
    assert f": {counts[0]} scenes to train on, {counts[1]} to test on, of {sum(counts)}" in ended.output
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").open()))
    assert len(rows) == counts[1]
    for row in rows:
        index = int("".join(filter(str.isdigit, row["scene"].removeprefix("BGU_0403-"))))
        truth = Scene((cube_of(index) / 4095).astype(np.float32), np.linspace(first_nm, first_nm + 300, 31))
        srf = load_srf("nikon_d700", truth.wavelengths_nm, outside="zero")
        solution = fuse(simulate(truth, scale=4, srf=srf), "spectral_ls")
        expected = scorecard(truth.cube, solution.estimate.cube, scale=4).psnr_bands
        assert float(row["psnr_bands"]) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--data_dir=set"], "data_set: expected the set that --data_dir holds, got none"),
        (["--data_set=cave"], "data_dir: expected the folder of CAVE, got none"),
        (["--data_set=set5", "--task=scenes"], "task: expected pictures, as set5 is a set of pictures"),
        (["--data_set=nus", "--scenes=mine"], "data_set: expected --data_dir for the folder of the set"),
        (["--data_set=set5", "--data_dir=none"], "none: no such folder"),
    ],
)
def test_flags_of_public_sets_that_exclude_one_another_are_one_line(given, message, tmp_path):
    ended = call_app("trainers.evaluate", *given, f"--output_dir={tmp_path / 'out'}")
    assert ended.code == 2 and ended.last_error.startswith(f"error: {message}"), ended.errors
    assert not (tmp_path / "out").exists()
