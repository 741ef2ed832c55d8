"""The benchmark of missing pixels: shares and shapes of the holes, and what counts as equal."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.holes import KINDS, Case, Row, alike, psnr, summary


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.01, 0.05, 0.3])
def test_holes_cover_their_share(kind: str, share: float) -> None:
    mask = KINDS[kind](128, share, np.random.default_rng(0))
    assert mask.mean() == pytest.approx(share, rel=0.05, abs=1 / 128**2)


def test_a_case_names_the_image_that_loses_pixels() -> None:
    coarse, sharp = Case("holes", "both", 0.2).masks(32, 4)
    assert coarse is not None and sharp is not None
    assert coarse.shape == (32, 32) and sharp.shape == (128, 128)
    assert coarse.mean() == pytest.approx(0.1, abs=0.02)
    assert Case("frame", "X", 0.2).masks(32, 4)[1] is None
    assert Case("frame", "Y", 0.2).masks(32, 4)[0] is None


def test_shares_are_equal_to_one_percent_or_a_thousandth() -> None:
    assert alike(0.995, 1.0) and not alike(0.98, 1.0)
    assert alike(0.0009, 0.0) and not alike(0.0021, 0.001)
    assert alike(float("nan"), 1.0)


def test_the_summary_is_the_worst_of_each_group() -> None:
    about = ("scene", "x4", "method")
    case = Case("holes", "X", 0.05)
    rows = [
        Row(about, case, far, far - 0.1, (1.0, trust), (0.01, 0.01), (0.02, 0.02))
        for far, trust in ((-0.05, 1.0), (-0.3, 0.9))
    ]
    assert list(summary(rows)) == [
        ["method", "5 %", "X", "-0.30", "-0.40", "10 %", "under 0.001 %", "1 of 2"]
    ]


def test_the_score_is_the_mean_over_the_bands() -> None:
    truth = np.full((4, 4, 2), 0.5)
    estimate = (truth + np.array([0.1, 0.01])).astype(np.float32)
    assert psnr(truth, estimate, np.ones((4, 4), bool)) == pytest.approx(30, abs=0.01)
    assert np.isnan(psnr(truth, estimate, np.zeros((4, 4), bool)))
