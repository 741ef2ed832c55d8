"""The share of two estimates: least error for estimates that keep what they claim, and safe limits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hsr_tf.solvers.parts.shares import BELIEF, MOST, combine, second_shares

Cube = NDArray[np.float32]


def noisy_views(gains: tuple[float, float], seed: int) -> tuple[Cube, Cube, Cube, Cube]:
    """A truth of independent parts, a closed form that knows none of them, estimates that know one part each.

    Each estimate is the conditional mean given its part: it departs by just what it gains.
    """
    rng = np.random.default_rng(seed)
    shape = (70, 50, 2)
    parts = [gain * rng.standard_normal(shape) for gain in gains]
    closed_form = rng.random(shape)
    truth = closed_form + parts[0] + parts[1] + 0.1 * rng.standard_normal(shape)
    first, second = (closed_form + part for part in parts)
    return tuple(np.asarray(x, np.float32) for x in (closed_form, truth, first, second))  # type: ignore[return-value]


@pytest.mark.parametrize("gains", [(0.3, 0.3), (0.4, 0.3), (0.3, 0.5)])
def test_the_share_is_near_the_best_one_but_for_the_belief(gains: tuple[float, float]) -> None:
    closed_form, truth, first, second = noisy_views(gains, 1)
    grid = np.linspace(0, 1, 101)
    errors = [np.mean((truth - (1 - t) * first - t * second) ** 2) for t in grid]
    found = float(second_shares(closed_form, first, second).mean())
    doubt = (1 - BELIEF) * gains[1] ** 2 / (2 * (gains[0] ** 2 + gains[1] ** 2))
    assert found == pytest.approx(np.clip(grid[int(np.argmin(errors))] - doubt, 0, MOST), abs=0.03)


def test_an_estimate_that_departs_further_gets_more() -> None:
    base, _, first, second = noisy_views((0.3, 0.3), 2)
    shares = [second_shares(base, base + k * (first - base), second).mean() for k in (0.2, 0.6, 1.0, 2.0)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(MOST)
    assert shares[-1] < 0.2


def test_every_band_has_its_own_share() -> None:
    base, _, first, second = noisy_views((0.3, 0.3), 3)
    first[..., 1], second[..., 1] = base[..., 1] + 3 * (first - base)[..., 1], second[..., 1]
    shares = second_shares(base, first, second)
    assert shares[0] > 0.2
    assert shares[1] < 0.1


def test_two_equal_estimates_stay_as_they_are() -> None:
    base, _, first, _ = noisy_views((0.3, 0.3), 4)
    for second in (first.copy(), base):
        shares = second_shares(second, first if second is not base else base, second)
        assert np.isfinite(shares).all()
        mixed = second.copy()
        combine(mixed, second, shares)
        np.testing.assert_array_equal(mixed, second)


def test_combining_is_linear_in_every_band() -> None:
    _, _, first, second = noisy_views((0.3, 0.2), 5)
    shares = np.array([0.25, 0.0], np.float32)
    expected = (1 - shares) * first + shares * second
    combine(first, second, shares)
    np.testing.assert_allclose(first, expected, atol=1e-6)
