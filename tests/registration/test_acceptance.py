"""A place is accepted where the match is beyond chance and the parts of the images agree."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from hsr_tf.registration.acceptance import Place, outstanding
from hsr_tf.registration.match import Match
from hsr_tf.registration.motion import SIMILARITY
from hsr_tf.registration.pyramid import Evidence, evidence
from hsr_tf.registration.refinement import Fit, Refinement
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


def ground(rng: np.random.Generator) -> np.ndarray:
    """The corner of a bright block before a dark ground, both with a texture of their own."""
    cube = ndimage.gaussian_filter(rng.standard_normal((96, 96, 8)), (4, 4, 0)) * 2.7 + 3
    cube[40:, 44:] += 4 + rng.random(8)
    return cube


@pytest.mark.parametrize("seed", range(3))
def test_a_corner_that_both_images_show_is_not_enough(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second, response = ground(rng), ground(rng), rng.random((8, 3))
    blurred = ndimage.gaussian_filter(first, (1.7, 1.7, 0)).reshape(24, 4, 24, 4, 8).mean((1, 3))
    seen = Scene((blurred + 0.01 * rng.standard_normal(blurred.shape)).astype(np.float32))
    places = []
    for cube in (first, second):
        refinement = Refinement(evidence(seen, Scene((cube @ response).astype(np.float32)), 4.0))
        fit = refinement.fit(np.diag([4.0, 4, 1]), SIMILARITY, steps=12)
        assert fit is not None
        places.append(Place.of(refinement, fit))
    same, other = places
    assert other.match.correlation > 0.98
    assert other.match.log10_chance < -50
    assert outstanding([other]) is None
    assert outstanding([same, other]) is same
