"""Whether a place where two images match is more than chance.

A place near the one that sizes or grids imply is accepted by three figures: the correlation, its probability
for unrelated images (`match`), and the share of the variance that no response explains (`refinement`).

The best of the thousands of places of a search needs more. Its probability by chance cannot be calculated:
one straight edge in each image can be brought to cover the other, and then explains most of the variance of a
small image. But such a place has rivals, along the edge, on the other side of it, mirrored: where chance
reaches one, it reaches others nearly as good. The place where both images show the same has none. So the best
place has to stand out from the best of all others: by the logarithm of its probability, or by what it leaves
unexplained. It is the ratio test that Lowe uses for features (IJCV 60(2), 2004,
doi:10.1023/B:VISI.0000029664.99615.94), of places instead of features.

All limits were chosen on other pairs than those of the rates that docs/registration.md states.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hsr_tf.registration.match import Match
from hsr_tf.registration.motion import distance
from hsr_tf.registration.pyramid import Evidence
from hsr_tf.registration.refinement import Fit
from hsr_tf.registration.search import fewest_shared
from hsr_tf.typing import Array

FEWEST_SHARED = 100
NEAR_PIXELS = 4.0


@dataclass(frozen=True)
class Limits:
    """What a match has to reach.

    Attributes:
        correlation: R at least.
        log10_chance: decimal logarithm of its probability for unrelated images at most.
        unexplained: share of the variance at most.
    """

    correlation: float
    log10_chance: float
    unexplained: float


NEAR = (Limits(0.6, -5.0, 0.1), Limits(0.85, -5.0, 1.0), Limits(0.4, -12.0, 0.003))
FAR = (Limits(0.9, -8.0, 0.1), Limits(0.8, -25.0, 0.03), Limits(0.7, -12.0, 0.003))
# Nothing else is looked for once a match reaches this.
NEAR_CERTAIN, FAR_CERTAIN = (Limits(0.985, -15.0, 0.05),), (Limits(0.985, -15.0, 0.004),)
# A search that finds a single place has gone past thousands that reach this.
USUAL_LOG10 = -8.0
ADVANTAGE, CLEARER = 1.7, 0.2


@dataclass(frozen=True, eq=False)
class Place:
    """A fit with the evidence that it is of, and how well the images match there."""

    pair: Evidence
    fit: Fit
    match: Match

    @property
    def matrix(self) -> Array:
        """Between the pixels of the files."""
        return self.pair.to_files(self.fit.matrix)

    def is_near(self, matrix: Array) -> bool:
        """Whether it lies within a few coarse pixels of another matrix between the pixels of the files."""
        return distance(self.pair.from_files(matrix), self.fit.matrix, self.pair.size) <= NEAR_PIXELS

    def passes(self, limits: tuple[Limits, ...]) -> bool:
        """Whether the match is beyond one of these limits."""
        return any(
            self.match.correlation >= limit.correlation
            and self.match.log10_chance <= limit.log10_chance
            and self.fit.share <= limit.unexplained
            for limit in limits
        )

    def shares_enough(self) -> bool:
        """Whether a good part of the smaller image is in sight: of few pixels nearly all."""
        ratio = abs(float(np.linalg.det(self.fit.matrix[:2, :2])))
        areas = int(self.pair.valid.sum()), float(self.pair.sharp_valid.sum()) / ratio
        return self.match.pixels >= max(FEWEST_SHARED, fewest_shared(int(min(areas))))


def best_place(places: Iterable[Place]) -> Place | None:
    """The place that chance reaches least; None of none."""
    return min(places, key=lambda place: (place.match.log10_chance, place.fit.share), default=None)


def outstanding(places: Sequence[Place]) -> Place | None:
    """The place of a search that is accepted: beyond the limits, and clearly better than all elsewhere.

    Of two, one by each of the two figures, it is the one that leaves less unexplained.
    """
    found = [place for place in places if place.passes(FAR) and _stands_out(place, places)]
    return min(found, key=lambda place: place.fit.share, default=None)


def _stands_out(place: Place, places: Sequence[Place]) -> bool:
    others = [other for other in places if not place.is_near(other.matrix)]
    log10 = min([USUAL_LOG10, *(other.match.log10_chance for other in others)])
    if place.passes(FAR_CERTAIN) or place.match.log10_chance <= ADVANTAGE * log10:
        return True
    return bool(others) and place.fit.share <= CLEARER * min(other.fit.share for other in others)
