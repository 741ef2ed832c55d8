"""The scores of one estimate against the truth, and their mean and spread over a test set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from hsr_tf.checks import require


@dataclass(frozen=True)
class Scorecard:
    """The scores of one estimate, as Python floats.

    Attributes:
        psnr_bands: mean over the bands of each band's PSNR, dB; infinite as soon as one band is exact.
        psnr_cube: PSNR of the whole cube's mean squared error, dB; infinite for identical cubes.
        rmse_255: root mean squared error of the whole cube on the scale on which `data_range` is 255; the
            mean of the bands' own, `rmse_255_bands`, is in `added`.
        ssim: structural similarity, mean over windows and bands, at most 1.
        sam_degrees: mean spectral angle, degrees, over the pixels without a zero spectrum; NaN without any.
        ergas: relative global error; 0 is perfect.
        zero_spectra: number of pixels that `sam_degrees` leaves out.
        added: scores by name of the metrics that have no attribute here, such as those of other packages; NaN
            where one failed.
    """

    psnr_bands: float
    psnr_cube: float
    rmse_255: float
    ssim: float
    sam_degrees: float
    ergas: float
    zero_spectra: float
    added: Mapping[str, float] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, scores: Mapping[str, float]) -> Scorecard:
        """Return the scorecard of these scores by name."""
        own = [name.name for name in fields(cls)[:-1]]
        added = {name: value for name, value in scores.items() if name not in own}
        return cls(**{name: scores[name] for name in own}, added=added)

    def by_name(self) -> dict[str, float]:
        """Return the scores by name, in the order of the table of metrics, and the count of zero spectra."""
        own = {name.name: getattr(self, name.name) for name in fields(self)[:-1]}
        num_zero = own.pop("zero_spectra")
        return {**own, **self.added, "zero_spectra": num_zero}

    def as_dict(self) -> dict[str, float | None]:
        """Return the scores by name, for JSON: infinite and NaN become None."""
        return {name: plain(value) for name, value in self.by_name().items()}


@dataclass(frozen=True)
class Summary:
    """Mean and population standard deviation of `count` scorecards, score by score.

    An infinite PSNR among them makes that mean infinite and its deviation NaN; a NaN makes both NaN.
    """

    mean: Scorecard
    std: Scorecard
    count: int


def plain(value: Any) -> Any:
    """Return a score, or a tuple of some, for JSON: infinite and NaN become None."""
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def summarise(cards: Sequence[Scorecard]) -> Summary:
    """Compute mean and population standard deviation, score by score, over the scorecards of a test set.

    Raises:
        ValueError: without any scorecard.
    """
    require(
        len(cards) > 0,
        "cards",
        expected="at least one scorecard",
        received="none",
        remedy="score a scene first",
    )
    values = [card.by_name() for card in cards]
    table = np.asarray([[scores.get(name, math.nan) for name in values[0]] for scores in values], np.float64)
    with np.errstate(invalid="ignore"):
        rows = table.mean(axis=0).tolist(), table.std(axis=0).tolist()
    mean, std = (Scorecard.of(dict(zip(values[0], row, strict=True))) for row in rows)
    return Summary(mean, std, len(cards))
