"""Evaluation: what it writes agrees with the metrics, and bad input is one line."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.metrics.full_reference import Scorecard, scorecard
from tests.app_for_tests import call_app
from tests.solver_for_tests import blended, registered
from tests.trainers.conftest import waves
from trainers.evaluate import Entry, Row, markdown_table, parse_entries, score, write_tables


def test_rows_tables_and_sheets_of_a_folder(tmp_path, scene_folder):
    flags = ["--methods=bicubic,spectral_ls", f"--scenes={scene_folder}", "--scales=2,4"]
    places = [f"--output_dir={tmp_path / 'out'}", f"--report={tmp_path / 'report.html'}"]
    ended = call_app("trainers.evaluate", *flags, *places)
    assert ended.code == 0, ended.errors
    pages = [path.read_text() for path in tmp_path.glob("report*.html")]
    assert pages and all("spectral_ls" in page and "PSNR" in page for page in pages)
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").open()))
    assert len(rows) == 2 * 2 * 3
    scene = waves(1)
    solution = fuse(simulate(scene, scale=4), "spectral_ls")
    expected = scorecard(scene.cube, solution.estimate.cube, scale=4)
    found = next(r for r in rows if (r["method"], r["scale"], r["scene"]) == ("spectral_ls", "4", "scene_1"))
    assert float(found["psnr_bands"]) == pytest.approx(expected.psnr_bands, abs=1e-3)
    assert (tmp_path / "out" / "scores.md").read_text() in ended.output
    plain = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert {mean["scenes"] for mean in plain["mean"]} == {3}
    assert len(list((tmp_path / "out").glob("scene_*_x*.png"))) == 6
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
