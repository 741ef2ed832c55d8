"""Two networks of `prior` become one whose second member says how far the first is followed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.networks.pretrained import load_model, save_model
from tests.app_for_tests import call_app
from tests.networks.test_conformance import NUM_BANDS, cameras, observe


def member(seed: int, features: int = 6) -> FusionModel:
    options = (("features", features),)
    config = FusionConfig("prior", 4, NUM_BANDS, 3, "spectral_ls", True, options)
    model, rng = FusionModel(config, cameras(4)), np.random.default_rng(seed)
    for weight in model.network.weights:
        weight.assign(weight + rng.normal(0, 0.1, weight.shape))
    return model


def test_a_joined_model_follows_its_first_member_where_the_second_agrees(tmp_path: Path) -> None:
    first, other = (save_model(member(seed), tmp_path / str(seed), {"seed": seed}) for seed in (1, 2))
    found = {}
    for name, second in (("same", first), ("other", other)):
        folder = tmp_path / name
        ended = call_app(
            "trainers.join_priors", f"--first={first}", f"--second={second}", f"--output_dir={folder}"
        )
        assert ended.code == 0, ended.errors
        found[name] = np.asarray(load_model(folder)(observe(cameras(4), (8, 9))))
    alone = np.asarray(member(1)(observe(cameras(4), (8, 9))))
    np.testing.assert_allclose(found["same"], alone, atol=1e-4)
    assert np.abs(found["other"] - alone).max() > 1e-3
    record = json.loads((tmp_path / "other" / "model.json").read_text(encoding="utf-8"))["record"]
    assert record["seed"] == 1 and record["second"] == {"seed": 2}


def test_other_networks_and_other_widths_are_refused_in_one_line(tmp_path: Path) -> None:
    first = save_model(member(1), tmp_path / "first", {})
    wide = save_model(member(2, 8), tmp_path / "wide", {})
    where = f"--output_dir={tmp_path / 'joined'}"
    ended = call_app("trainers.join_priors", f"--first={first}", f"--second={wide}", where)
    assert ended.code == 2 and "second: expected the widths of the first, 6, got 8" in ended.last_error
    ssf_cnn = FusionModel(FusionConfig("ssf_cnn", 4, NUM_BANDS, 3), None)
    given = save_model(ssf_cnn, tmp_path / "ssf_cnn", {})
    ended = call_app("trainers.join_priors", f"--first={given}", f"--second={first}", where)
    assert (
        ended.code == 2
        and "first: expected a model of prior with one member, or ms_ssfnet" in ended.last_error
    )
    assert not (tmp_path / "joined").exists()
