"""`hsr network` fits 80 columns, adds up, and refuses in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command_for_tests import Answer

NARROW = ("network", "ms_ssfnet", "--scale=2", "--num_bands=4", "--option=features=3")


def test_the_table_fits_80_columns_and_the_json_adds_up(hsr: Callable[..., Answer], tmp_path: Path) -> None:
    answer = hsr(*NARROW, f"--json={tmp_path / 'n.json'}", f"--output={tmp_path / 'n.html'}")
    assert answer.code == 0 and answer.err == ""
    assert max(len(line) for line in answer.out.splitlines() if not line.startswith("wrote")) <= 80
    assert "4 bands + 3 channels, x2" in answer.out and "2h×2w×4" in answer.out
    found = json.loads((tmp_path / "n.json").read_text())
    assert sum(layer["parameters"] for layer in found["layers"]) == found["parameters"]
    assert found["receptive_field"].keys() == {"lr_hsi", "hr_msi"}
    assert found["config"]["options"] == {"features": 3}
    assert "<svg" in (tmp_path / "n.html").read_text()


def test_weights_that_come_with_the_package_are_described_by_their_folder(
    hsr: Callable[..., Answer],
) -> None:
    answer = hsr("network", "srmdnf_x4", "--all")
    assert answer.code == 0 and "again" not in answer.out
    assert "srmdnf, luminance, x4" in answer.out and "pixel shuffle" in " ".join(answer.out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("vdr",), "did you mean 'vdsr'?"),
        (("kbpn_x3",), "did you mean 'kbpn_x4'?"),
        (("spectral_ls",), "network: expected one of"),
        (
            ("kbpn_x4", "--scale=3"),
            "scale: expected none for a trained model, whose model.json has them, got",
        ),
        (("vdsr", "--scale=4"), "scale: expected None for vdsr"),
        (("vdsr", "--num_bands=3"), "num_bands: expected none for vdsr"),
        (("vdsr", "--option=deph=3"), "did you mean 'depth'?"),
        (("ms_ssfnet", "--base=spectral"), "did you mean 'spectral_ls'?"),
        (("vdsr", "--output=network.svg"), "output: expected a name that ends in .html"),
    ],
)
def test_what_is_not_known_is_refused_in_one_line(
    hsr: Callable[..., Answer], arguments: tuple[str, ...], said: str
) -> None:
    answer = hsr("network", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err and len(answer.err.splitlines()) == 1


def test_a_folder_without_a_model_is_refused(hsr: Callable[..., Answer], tmp_path: Path) -> None:
    answer = hsr("network", tmp_path)
    assert answer.code == 2 and "no trained model here (model.json is missing)" in answer.err
