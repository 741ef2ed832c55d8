"""`hsr evaluate` holds several estimates beside one another, in a table and in maps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import hsr_tf
from hsr_tf.scene import Scene
from tests.cli.command_for_tests import Answer


@pytest.fixture
def estimates(folder: Path) -> list[Path]:
    """Two noisy versions of the truth."""
    truth, rng = hsr_tf.load(folder / "z.h5"), np.random.default_rng(4)
    paths = []
    for name, noise in (("near", 0.01), ("far", 0.05)):
        cube = truth.cube + np.float32(noise) * rng.standard_normal(truth.shape).astype("f4")
        paths.append(folder / f"{name}.h5")
        hsr_tf.save(Scene(np.clip(cube, 0, 1)), paths[-1])
    return paths


def test_several_estimates_stand_in_one_table_and_one_picture(
    folder: Path, hsr: Callable[..., Answer], estimates: list[Path]
) -> None:
    given = [f"--estimate={path}" for path in estimates]
    outputs = (f"--json={folder / 's.json'}", f"--maps={folder / 'm.png'}", "--maps_band=3")
    answer = hsr("evaluate", f"--reference={folder / 'z.h5'}", *given, "--scale=8", *outputs)
    assert answer.code == 0 and answer.err == ""
    head = next(line for line in answer.out.splitlines() if "score" in line).split()
    assert head == ["score", "near", "far", "better"]
    scores = json.loads((folder / "s.json").read_text())["estimates"]
    assert scores["near"]["scores"]["psnr_bands"] > scores["far"]["scores"]["psnr_bands"]
    assert imread(folder / "m.png").shape[1] > 800


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--maps_band=3",), "--maps=FILE.png"),
        (("--maps=m.jpg",), "maps: expected a name that ends in .png"),
        (("--maps=m.png", "--maps_band=32"), "band: expected a band from 1 to 31, got 32"),
    ],
)
def test_maps_that_cannot_be_drawn_are_refused(
    folder: Path,
    hsr: Callable[..., Answer],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(folder)
    answer = hsr("evaluate", "--reference=z.h5", "--estimate=z.h5", "--scale=8", *arguments)
    assert answer.code == 2 and said in answer.err and len(answer.err.splitlines()) == 1
    assert not (folder / "m.png").exists()
