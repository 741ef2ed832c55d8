"""Whether a place where two images match is more than chance.

Four figures say so: the correlation, its probability for unrelated images (`match`), the share of the
variance that no response explains (`refinement`), and the agreement of the parts of the images with each
other (`agreement`).

The best of the thousands of places of a search needs more of each than one that sizes or grids imply, as the
probability that chance reaches it cannot be calculated. One straight edge, or one corner, in each image can
be brought to cover the other, and then explains most of the variance of a small image. The agreement is what
tells such places from the right one: away from that edge the images have nothing in common.

All limits were chosen on other pairs than those of the rates that docs/registration.md states.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hsr_tf.registration.match import Match
from hsr_tf.registration.motion import distance
from hsr_tf.registration.pyramid import Evidence
from hsr_tf.registration.refinement import Fit, Refinement
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
        agreement: of the parts at least.
    """

    correlation: float
    log10_chance: float
    unexplained: float
    agreement: float


NEAR = (
    Limits(0.6, -5.0, 0.3, 0.8),
    Limits(0.6, -12.0, 0.15, 0.5),
    Limits(0.85, -5.0, 1.0, 0.6),
    Limits(0.4, -12.0, 0.003, 0.0),
)
FAR = (
    Limits(0.8, -8.0, 0.1, 0.88),
    Limits(0.7, -12.0, 0.003, 0.88),
    Limits(0.8, -5.0, 0.03, 0.93),
)
# Nothing else is looked for once a match reaches this.
NEAR_CERTAIN, FAR_CERTAIN = (Limits(0.985, -15.0, 0.05, 0.6),), (Limits(0.985, -15.0, 0.004, 0.93),)


@dataclass(frozen=True, eq=False)
class Place:
    """A fit with the evidence that it is of, and how well the images match and their parts agree there."""

    pair: Evidence
    fit: Fit
    match: Match
    agreement: float

    @classmethod
    def of(cls, refinement: Refinement, fit: Fit) -> Place:
        """The place of a fit."""
        return cls(refinement.pair, fit, refinement.match(fit), refinement.agreement(fit))

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
            and self.agreement >= limit.agreement
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
    """The place of a search that is accepted: of those beyond the limits the one whose parts agree best."""
    found = [place for place in places if place.passes(FAR)]
    return max(found, key=lambda place: place.agreement, default=None)
