"""The two images of a scene on the coarse grid, and how far their pixels agree.

X R and D Y show the same thing; where they differ by more than three times the upper quartile of the
differences away from the border, or six times their median (a wrong border, a cloud, a moved object,
saturation), the weight of a coarse pixel falls with the square of the difference. Pixels in which Y was
completed differ by what the completion left; they lose weight from thirty times the usual on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsr_tf.physics.nodata import is_enough
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.typing import Array, Cube

USUAL, USUAL_COMPLETED, OUTLIER, TIMES_COMPLETED = 0.75, 0.95, 3.0, 10.0
SMALLEST_GAP, SMALLEST_EDGE, SPREAD = 1e-4, 0.02, 2.0
FLOATS_AT_ONCE = 2**20
TINY = 1e-30


@dataclass(frozen=True, eq=False)
class CoarsePair:
    """The two images on the coarse grid, row by row.

    Attributes:
        size: (h, w).
        read: gives D F (n, w, K) and X (n, w, C) of some rows.
        counted: (h, w), False for pixels that take no part, see `hsr_tf.physics.nodata`; None for none.
        compared: (h, w), False for pixels in which the images agree because Y was completed from X
            (`hsr_tf.physics.completed_holes`), and which say nothing of their agreement; None for none.
        gap: gives the mean square of X R - D Y, summed over the channels, for the weights (h, w) of the
            pixels; None to take it of the pixels that are compared.
    """

    size: tuple[int, int]
    read: Callable[[slice], tuple[Cube, Cube]]
    counted: NDArray[np.bool_] | None = None
    compared: NDArray[np.bool_] | None = None
    gap: Callable[[Cube], float] | None = None

    @property
    def inside(self) -> NDArray[np.bool_]:
        """(h, w), the pixels that take part; all where none would."""
        counted = self.counted
        return np.ones(self.size, bool) if counted is None or not counted.any() else counted

    @property
    def judged(self) -> NDArray[np.bool_]:
        """(h, w), the pixels by which the agreement of the images is measured: `compared` if enough are."""
        compared = self.compared
        return compared if compared is not None and is_compared(compared) else self.inside

    def strips(self, halo: int = 0) -> Iterator[tuple[slice, slice, Cube, Cube]]:
        """Rows of the strip, rows that were read (with a halo), D F and X of the latter."""
        height, width = self.size
        features, lr_hsi = self.read(slice(0, 1))
        step = max(1, FLOATS_AT_ONCE // (width * (features.shape[-1] + lr_hsi.shape[-1])))
        for start in range(0, height, step):
            rows = slice(start, min(start + step, height))
            around = slice(max(0, rows.start - halo), min(height, rows.stop + halo))
            yield rows, around, *self.read(around)


@dataclass(frozen=True, eq=False)
class PixelWeights:
    """How far the images agree, pixel by pixel.

    Attributes:
        weights: w, (h, w) float32, 1 for a coarse pixel in which the images agree. Where Y was completed it
            is the weight in fit and estimate, not in `gaps`.
        wrong_edges: (h, w), pixels along an edge of X that does not show what Y shows.
        compared: (h, w), pixels by which the agreement of the images is measured.
        gaps: (c,), sum over those of w^2 (X R - D Y)^2.
    """

    weights: Cube
    wrong_edges: NDArray[np.bool_]
    compared: NDArray[np.bool_]
    gaps: Array


def is_compared(compared: NDArray[np.bool_]) -> bool:
    """Whether enough coarse pixels say how far the images agree."""
    return is_enough(int(compared.sum()), compared.size)


def pixel_weights(pair: CoarsePair, model: ObservationModel) -> PixelWeights:
    """Weights of the coarse pixels by the agreement of the images."""
    response = model.spectral.matrix
    num_channels = response.shape[1]
    squares = np.empty((*pair.size, num_channels))
    level = np.zeros(num_channels)
    for rows, _, features, lr_hsi in pair.strips():
        colours = features[..., 1 : 1 + num_channels].astype(np.float64)
        squares[rows] = np.square(lr_hsi @ response - colours)
        level += np.square(colours).sum((0, 1))
    level = np.maximum(level / max(1, pair.size[0] * pair.size[1]), TINY)
    inside, compared = pair.inside, pair.judged
    gap = np.sqrt((squares / level).mean(-1))
    reach = model.spatial.reach_cells
    usual, largest = np.empty(inside.shape), np.empty(inside.shape)
    for alike, share in ((compared, USUAL), (~compared, USUAL_COMPLETED)):
        away = alike & inside & _inner(inside.shape, reach)
        some = away if away.any() else alike & inside
        middle, upper = np.quantile(gap[some], (0.5, share)) if some.any() else (0.0, 0.0)
        usual[alike] = max(float(upper), SMALLEST_GAP)
        # Where more than a quarter of the pixels disagree, the upper quartile is one of theirs. Completed
        # pixels differ by what their completion left, so that their median says nothing.
        usable_gap = min(upper, SPREAD * middle) if share == USUAL else upper
        largest[alike] = max(float(usable_gap), SMALLEST_GAP)
    wrong = inside & _wrong_edges(gap / np.maximum(usual, SMALLEST_EDGE / OUTLIER), reach)
    largest *= OUTLIER
    weights = np.square(np.minimum(1.0, largest / np.maximum(gap, TINY))) * inside
    gaps = squares * (np.square(weights) * compared)[..., None]
    completed = inside & ~wrong & ~(inside if pair.compared is None else pair.compared)
    if completed.any():
        usual_left = max(float(np.quantile(gap[completed], USUAL_COMPLETED)), SMALLEST_GAP)
        left = OUTLIER * TIMES_COMPLETED * usual_left
        weights[completed] = np.square(np.minimum(1.0, left / np.maximum(gap[completed], TINY)))
    return PixelWeights(weights.astype(np.float32), wrong, compared, gaps.sum((0, 1)))


def _inner(size: tuple[int, ...], width: int) -> NDArray[np.bool_]:
    """Pixels of (h, w) further than `width` from the border."""
    rows, columns = (np.minimum(np.arange(n), np.arange(n)[::-1]) >= width for n in size)
    return rows[:, None] & columns


def _wrong_edges(gap: Array, width: int) -> NDArray[np.bool_]:
    """Pixels that disagree along those edges of (h, w) that disagree as a whole; gap is 1 for a usual one."""
    wrong = np.zeros(gap.shape, bool)
    for turned in (slice(None), slice(None, None, -1)):
        for view, marks in ((gap[turned], wrong[turned]), (gap.T[turned], wrong.T[turned])):
            for row in range(width if len(view) > 3 * width else 0):
                if np.median(view[row]) <= OUTLIER:
                    break
                marks[row] |= view[row] > OUTLIER
    return wrong
