"""The piece of the spectrum that each band of a cube stands for, so that sums over bands are integrals.

A sum over bands is an integral over wavelength only if each band is weighted by the width that it stands for:
from halfway to its lower neighbour to halfway to its upper one. Bands may come in any order. Where two
detectors overlap, the bands of both share the range between them, and bands at one wavelength share its cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
GAPS_NEAR, SPACING_OF_ONE_NM = 7, 20 / 3


@dataclass(frozen=True, eq=False)
class BandCells:
    """The cells of the bands, in the order of the bands.

    Attributes:
        lower_nm, upper_nm: (C,) edges; the outermost cells are symmetric about their centres.
        num_sharing: (C,) the number of bands at this wavelength, usually 1.
    """

    lower_nm: Numbers
    upper_nm: Numbers
    num_sharing: NDArray[np.intp]

    @property
    def widths_nm(self) -> Numbers:
        """(C,) the width that each band stands for, in nanometres; they add up to the whole range."""
        return (self.upper_nm - self.lower_nm) / self.num_sharing

    @property
    def weights(self) -> Numbers:
        """(C,) the widths over their mean: all 1 for evenly spaced bands, and for a single one."""
        widths = self.widths_nm
        return widths / widths.mean() if widths.sum() > 0 else np.ones_like(widths)


def band_cells(wavelengths_nm: NDArray[np.floating]) -> BandCells:
    """The cells of bands with these centres, (C,), in any order."""
    centres, place, counts = np.unique(
        np.asarray(wavelengths_nm, np.float64), return_inverse=True, return_counts=True
    )
    halves = np.diff(centres) / 2
    if not len(halves):
        halves = np.zeros(1)
    lower = centres - np.concatenate([halves[:1], halves])[: len(centres)]
    upper = centres + np.concatenate([halves, halves[-1:]])[: len(centres)]
    return BandCells(lower[place], upper[place], counts[place])


def spacing_nearby(wavelengths_nm: NDArray[np.floating]) -> Numbers:
    """(C,) the median gap between the bands around each one, in nanometres; bands come in any order.

    A gap in the range of the cube is no spacing. Bands at one wavelength count as one.
    """
    centres, place = np.unique(np.asarray(wavelengths_nm, np.float64), return_inverse=True)
    gaps = np.diff(centres)
    if not len(gaps):
        return np.full(len(place), SPACING_OF_ONE_NM)
    count = min(GAPS_NEAR, len(gaps))
    starts = np.clip(np.arange(len(centres)) - (count + 1) // 2, 0, len(gaps) - count)
    return np.asarray(np.median(sliding_window_view(gaps, count)[starts], axis=1)[place])
