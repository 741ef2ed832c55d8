"""The benchmark of single-image networks: complete, positive figures, operations counted as by hand."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import single_image
from benchmarks.fusion import CEILING
from benchmarks.single_image import Shape, StepFigure

ROOT = Path(__file__).resolve().parents[2]


def test_forward_figures_count_vdsr_s_convolutions() -> None:
    figures = single_image.measure_forward(24, 1, Shape(depth=3, features=4))
    named = {figure.name: figure for figure in figures}
    assert figures[0].name == CEILING and figures[0].share == pytest.approx(1.0)
    expected = 2e-9 * 24 * 24 * 9 * (4 + 16 + 4)
    for precision in ("float32", "mixed_bfloat16"):
        figure = named[f"vdsr 24 x 24, Keras, {precision}"]
        assert figure.gflop == pytest.approx(expected)
        assert figure.seconds > 0 and figure.share > 0
    with_torch = importlib.util.find_spec("torch") is not None
    assert len(figures) == 3 + with_torch


def test_steps_of_both_precisions_update_the_weights_they_time() -> None:
    steps = single_image.measure_steps(12, 3, repeats=1, shape=Shape(depth=2, features=2))
    assert [step.precision for step in steps] == ["float32", "mixed_bfloat16"]
    assert steps[0].speed_up == 1.0 and steps[1].speed_up == pytest.approx(
        steps[0].seconds / steps[1].seconds
    )
    text = single_image.steps_table([StepFigure("float32", 0.4, 1.0), StepFigure("x", 0.25, 1.6)], 41, 16)
    assert "| training step, 16 patches of 41 |" in text and "| x | 0.250 | 1.60 x |" in text


def test_torch_has_the_same_convolutions() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is measured only where it is installed")
    image = np.zeros((1, 8, 9, 1), np.float32)
    assert tuple(single_image.torch_vdsr(image, Shape(3, 4))().shape) == (1, 1, 8, 9)
    assert torch.is_inference_mode_enabled() is False


@pytest.mark.slow
def test_one_command_prints_tables_and_writes_json(tmp_path: Path) -> None:
    flags = ["--size=24", "--patch_size=12", "--batch_size=3", "--repeats=1", "--depth=2"]
    command = [sys.executable, "-m", "benchmarks.single_image", *flags, f"--json={tmp_path / 'speed.json'}"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "| vdsr 24 x 24, Keras, float32 |" in done.stdout
    found = json.loads((tmp_path / "speed.json").read_text())
    assert len(found["training_steps"]) == 2 and found["settings"]["depth"] == 2
