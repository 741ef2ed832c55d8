"""A place is accepted where the match is beyond chance and the parts of the images agree."""

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


def place(
    pair: Evidence, shift: float, *, correlation: float = 0.96, log10_chance: float = -30, agreement: float
) -> Place:
    matrix = np.array([[4.0, 0, shift], [0, 4, 0], [0, 0, 1]])
    fit = Fit(pair.from_files(matrix), 1.0, np.ones((16, 16)), 3, 0.017)
    return Place(pair, fit, Match(correlation, log10_chance, 0.4, 256), agreement)


def test_a_match_in_one_part_alone_is_chance(pair: Evidence) -> None:
    edge = place(pair, 0.0, log10_chance=-55, agreement=0.82)
    everywhere = place(pair, 40.0, log10_chance=-25, agreement=0.96)
    assert outstanding([edge]) is None
    assert outstanding([edge, everywhere]) is everywhere
    assert outstanding([]) is None


def test_parts_that_agree_are_not_enough(pair: Evidence) -> None:
    assert outstanding([place(pair, 0.0, log10_chance=-3, agreement=0.96)]) is None
    assert outstanding([place(pair, 0.0, correlation=0.6, agreement=0.96)]) is None


def test_of_two_places_the_one_whose_parts_agree_best_is_taken(pair: Evidence) -> None:
    places = [place(pair, 40.0 * number, agreement=value) for number, value in enumerate((0.9, 0.97, 0.95))]
    assert outstanding(places) is places[1]
