"""The HyperBench benchmark: its ridge regression and its scores, without the package itself."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from benchmarks import hyperbench
from benchmarks.hyperbench import CASES, Pair, Row, kernel_ridge, markdown, psnr_8bit


def test_scores_are_on_8_bit_values() -> None:
    truth = np.full((2, 2, 1), 0.5, np.float32)
    assert psnr_8bit(truth, truth + 10 / 255) == pytest.approx(20 * np.log10(255 / 10), abs=1e-6)
    assert psnr_8bit(truth, truth + 2) == psnr_8bit(truth, truth + 3)  # clipped


def test_the_ridge_regression_finds_a_map_from_colours() -> None:
    rng = np.random.default_rng(0)
    response = np.array([[0.5, 0.0], [0.5, 0.2], [0.0, 0.8]])
    truth = (rng.random((24, 24, 1)) * np.array([0.9, 0.6, 0.3]) + 0.05).astype(np.float32)
    pair = Pair(truth, truth[::2, ::2], (truth @ response).astype(np.float32), response, np.ones((2, 2)) / 4)
    assert psnr_8bit(truth, kernel_ridge(pair)) > 45


def test_the_table_has_a_line_a_case() -> None:
    rows = [Row("flowers, gaussian", CASES[0], "auto", 38.04, 3.2)]
    assert "| flowers, gaussian | x4, 4 channels | 38.0 (3 s) |" in markdown(rows, ["auto"])


def test_without_the_package_a_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    hyperbench.main()
    assert capsys.readouterr().out.startswith(
        "skipped: No module named 'hyperbench.degradations'; pip install"
    )
