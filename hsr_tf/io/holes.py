"""Which pixels of a file hold no data, found from windows of its stored values.

A pixel without data holds the nodata value, NaN or a value that stands for no data wherever it is found, in
every band that is not on the bad-band list. For a value other than 0, which no sensor measures, one band is
enough, unless that band holds nothing else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsr_tf.io.header import CubeHeader

EVERYTHING = slice(None)
# Of files that state no nodata value: GDAL's, ENVI's and netCDF's defaults, and the ends of number types.
FILLS = (
    -9999.0, -99999.0, -32768.0, -2147483648.0, -1e34, -1e20, 1e20, 9.969209968386869e36,
    float(np.finfo(np.float32).min), float(np.finfo(np.float32).max),
    float(np.finfo(np.float64).min), float(np.finfo(np.float64).max),
)  # fmt: skip


class Holes:
    """Find the pixels without data from windows of the stored values in any order.

    Args:
        header: of the cube. A `nodata_mask` in it is complete but for NaN: the nodata value then marks
            nothing more.
        size: (h, w) of the part that is looked at.
        fills: values that mark no data as well.

    Attributes:
        seen: those of the fills that were found.
    """

    def __init__(self, header: CubeHeader, size: tuple[int, int], fills: tuple[float, ...] = ()) -> None:
        num_bands, dtype = header.shape[2], np.dtype(header.dtype)
        self._nodata = None if header.nodata_mask is not None else header.nodata
        self._is_float, self._fills = dtype.kind == "f", fills
        self.seen: set[float] = set()
        self._good = (
            np.ones(num_bands, bool) if header.good_bands is None else np.asarray(header.good_bands, bool)
        )
        if self._looks:
            self._num_holes = np.zeros(size, np.uint32)
            self._num_in_band = np.zeros(num_bands, np.int64)

    @property
    def _looks(self) -> bool:
        return self._nodata is not None or self._is_float or bool(self._fills)

    def add(
        self, stored: NDArray[np.generic], bands: slice, rows: slice = EVERYTHING, cols: slice = EVERYTHING
    ) -> NDArray[np.bool_] | None:
        """Add a window (n, h, w); return where it marks no data, or None for nowhere."""
        here = self._marked(stored) if self._looks else None
        if here is not None:
            self._num_holes[rows, cols] += here[self._good[bands]].sum(axis=0, dtype=np.uint32)
            self._num_in_band[bands] += here.sum(axis=(1, 2))
        return here

    def _marked(self, stored: NDArray[np.generic]) -> NDArray[np.bool_] | None:
        found = []
        with np.errstate(over="ignore", invalid="ignore"):  # a value beyond float32 is in no pixel
            if self._nodata is not None and not np.isnan(self._nodata):
                found.append(stored == self._nodata)
            if self._is_float and np.isnan(stored.min()):
                found.append(np.isnan(stored))
            if self._fills:
                low, high = np.fmin.reduce(stored, axis=None), np.fmax.reduce(stored, axis=None)
                for value in self._fills:
                    here = stored == stored.dtype.type(value) if low <= value <= high else None
                    if here is not None and here.any():
                        self.seen.add(value)
                        found.append(here)
        return np.asarray(np.logical_or.reduce(found)) if found else None

    def joined(self, mask: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """Return (h, w), True without data by the values or the mask of the file; None without both."""
        if not self._looks or (self._nodata is None and not self._num_holes.any()):
            return mask
        num_good = int(self._good.sum())
        num_dead = int((self._num_in_band == self._num_holes.size)[self._good].sum())
        if self._nodata == 0 or num_dead == num_good:
            found = self._num_holes == num_good
        else:
            found = self._num_holes > num_dead
        return np.asarray(found if mask is None else found | mask)
