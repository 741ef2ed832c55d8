"""The best place of a search is accepted where it is beyond chance and stands out from all others."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.registration.acceptance import Place, outstanding
from hsr_tf.registration.match import Match
from hsr_tf.registration.pyramid import Evidence, evidence
from hsr_tf.registration.refinement import Fit
from hsr_tf.scene import Scene


@pytest.fixture(scope="module")
def pair() -> Evidence:
    rng = np.random.default_rng(0)
    return evidence(Scene(rng.random((16, 16, 4), np.float32)), Scene(rng.random((64, 64, 3))), 4.0)


def place(pair: Evidence, shift: float, *, correlation: float, log10_chance: float, share: float) -> Place:
    matrix = np.array([[4.0, 0, shift], [0, 4, 0], [0, 0, 1]])
    fit = Fit(pair.from_files(matrix), 1.0, np.ones((16, 16)), 3, share)
    return Place(pair, fit, Match(correlation, log10_chance, 0.4, 256))


def test_a_place_with_a_rival_elsewhere_is_chance(pair: Evidence) -> None:
    best = place(pair, 0.0, correlation=0.96, log10_chance=-70, share=0.017)
    rival = place(pair, 40.0, correlation=0.95, log10_chance=-58, share=0.008)
    beside = place(pair, 3.0, correlation=0.95, log10_chance=-65, share=0.018)
    assert outstanding([best]) is best
    assert outstanding([best, beside]) is best  # of the same place
    assert outstanding([best, rival]) is None
    assert outstanding([place(pair, 0.0, correlation=0.96, log10_chance=-9, share=0.017)]) is None


def test_either_figure_may_stand_out(pair: Evidence) -> None:
    rival = place(pair, 40.0, correlation=0.95, log10_chance=-58, share=0.02)
    unlikely = place(pair, 0.0, correlation=0.96, log10_chance=-110, share=0.017)
    clear = place(pair, -40.0, correlation=0.93, log10_chance=-50, share=0.001)
    assert outstanding([rival, unlikely]) is unlikely
    assert outstanding([rival, clear]) is clear
    assert outstanding([rival, unlikely, clear]) is clear
    assert outstanding([]) is None
