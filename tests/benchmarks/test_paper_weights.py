"""Weights of the papers' tables in the package: cards tell what they score, and after how many minutes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._paper_weights import keep, name_of
from hsr_tf.files import write_json
from hsr_tf.networks.cards import FusionConfig, read_card
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.networks.pretrained import load_model, save_model
from hsr_tf.networks.selection import describe_card
from tests.solvers.scenes import cameras

FIGURES = {"psnr_bands": 30.5}


def row(folder: Path, mean: dict[str, Any]) -> Path:
    """A trained row of a table: its model, plan and scores."""
    for name in ("1", "1.plan", "scores"):
        (folder / name).mkdir(parents=True)
    model = FusionModel(FusionConfig("ssf_cnn", 4, 5), cameras(5))
    save_model(model, folder / "1" / "model", {"flags": {"srf": "nikon_d700"}})
    for name, data in {"1.plan/plan.json": {"minutes": 2.0}, "scores/scores.json": {"mean": [mean]}}.items():
        write_json(folder / name, data)
    return folder / "1" / "model"


def test_a_copy_is_the_model_and_tells_its_minutes_and_scores(tmp_path: Path) -> None:
    model = row(tmp_path / "row", {"scale": 4, "mean": FIGURES})
    kept = keep(model, tmp_path / "row", [], tmp_path / "shipped")
    assert kept is not None and kept.name == name_of(read_card(model)) == "ssf_cnn_nikon_d700_5_x4"
    card = read_card(kept)
    assert card.record["scores"] == {"cave_test x4": FIGURES}
    assert describe_card(card) == "ssf_cnn, 5 bands + 3 channels, x4, trained for 2 minutes only"
    lr_hsi, hr_msi = np.ones((1, 3, 4, 5), np.float32), np.ones((1, 12, 16, 3), np.float32)
    found = [np.asarray(load_model(folder)({"lr_hsi": lr_hsi, "hr_msi": hr_msi})) for folder in (model, kept)]
    np.testing.assert_array_equal(*found)


def test_a_method_with_weights_for_these_sizes_keeps_those(tmp_path: Path) -> None:
    model = row(tmp_path / "row", {"scale": 4, "mean": FIGURES})
    (tmp_path / "shipped").mkdir()
    better = save_model(load_model(model), tmp_path / "shipped" / name_of(read_card(model)), {})
    assert keep(model, tmp_path / "row", [read_card(better)], tmp_path / "shipped") is None
    assert "scores" not in read_card(better).record
    shutil.rmtree(better)
    first = keep(model, tmp_path / "row", [], tmp_path / "shipped")
    assert first is not None
    assert keep(model, tmp_path / "row", [read_card(first)], tmp_path / "shipped") == first


def test_scores_of_pictures_are_by_set_and_case(tmp_path: Path) -> None:
    mean = {"set": "Set5", "scale": 4.0, "sigma": 1.3, "psnr": 30.123}
    model = row(tmp_path / "row", mean)
    kept = keep(model, tmp_path / "row", [], tmp_path / "shipped")
    assert kept is not None
    told = json.loads((kept / "model.json").read_text(encoding="utf-8"))
    assert told["record"]["scores"] == {"Set5": {"x4 sigma 1.3": {"psnr": 30.12}}}
