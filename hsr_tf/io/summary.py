"""What a file holds, found from its header and one pass over its bands, without the whole cube in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.nanometres import UNIT_ADVICE, doubtful_widths
from hsr_tf.io.source import (
    EVERYTHING,
    BandSource,
    require_plausible,
    require_real,
    require_size,
    scaling_of,
    stored_mask,
)

WINDOW_BYTES = 4 * 2**20


@dataclass(frozen=True)
class FileSummary:
    """A file that holds a cube, in numbers.

    Args:
        path: the file or folder.
        format: what it is, in words.
        name: the scene's name.
        shape: (H, W, C).
        dtype: type of the stored values.
        wavelengths_nm: shortest and longest in nanometres, or None.
        white_level: what stored values are divided by, or None when they are taken as they are.
        white_level_origin: "file", "argument", "guessed", "largest uint8", or "" without a white level.
        minimum, maximum, mean: of the finite values as `load` would give them, pixels without data left out;
            NaN when there is none.
        num_not_finite: NaN and infinite values among the pixels with data; `load` refuses a file with any.
        num_nodata: pixels without data.
        metadata: everything else that the file tells.
        fwhm_nm: narrowest and widest in nanometres, or None.
        doubts: what looks wrong in the header, one sentence each.
        white_level_sample: the largest value that a guess of the white level is based on, else NaN.
        band_names: first and last, or None.
        num_bad_bands: of the bad-band list, or None without one.
        nodata: stored value of pixels without data, or None.
        georeference: where the pixels lie, or None.
        storage: how the file stores the values, in words, or "".
        chunks: (bands, rows, columns) stored together, or None.
        has_gain: whether the file has a gain and an offset of its own.
    """

    path: Path
    format: str
    name: str
    shape: tuple[int, int, int]
    dtype: str
    wavelengths_nm: tuple[float, float] | None
    white_level: float | None
    white_level_origin: str
    minimum: float
    maximum: float
    mean: float
    num_not_finite: int
    num_nodata: int
    metadata: Mapping[str, Any] = field(default_factory=dict)
    fwhm_nm: tuple[float, float] | None = None
    band_names: tuple[str, str] | None = None
    num_bad_bands: int | None = None
    nodata: float | None = None
    georeference: Georeference | None = None
    storage: str = ""
    chunks: tuple[int, int, int] | None = None
    has_gain: bool = False
    doubts: tuple[str, ...] = ()
    white_level_sample: float = np.nan


@dataclass
class _Statistics:
    minimum: float = np.inf
    maximum: float = -np.inf
    total: float = 0.0
    count: int = 0
    num_not_finite: int = 0

    def add(self, values: NDArray[np.float32]) -> None:
        finite = values[np.isfinite(values)]
        self.num_not_finite += values.size - finite.size
        if finite.size:
            self.minimum = min(self.minimum, float(finite.min()))
            self.maximum = max(self.maximum, float(finite.max()))
            self.total += float(finite.sum(dtype=np.float64))
            self.count += finite.size


def summarise(source: BandSource, white_level: float | None) -> FileSummary:
    """Read an open file once and keep only its statistics; single values that are nodata are left out."""
    require_real(source.path, source.dtype)
    require_size(source.path, source.shape, np.inf)
    require_plausible(source)
    scaling = scaling_of(source, white_level)
    mask = stored_mask(source, EVERYTHING, EVERYTHING)
    by_value = source.nodata is not None and source.nodata_mask is None
    found, holes = _Statistics(), _Holes(source)
    doubt = doubtful_widths(source.wavelengths_nm, source.fwhm_nm)
    for bands, rows, cols in windows(source):
        stored = source.read(bands, rows, cols)
        for index, band in enumerate(stored, bands.start):
            scaled = np.empty((*band.shape, 1), dtype=np.float32)
            scaling.into(scaled, band[..., None], slice(index, index + 1))
            here = holes.add(index, band, (rows, cols)) if by_value else None
            if mask is not None:
                here = mask[rows, cols] if here is None else here | mask[rows, cols]
            found.add(scaled if here is None else scaled[~here])
    if by_value:
        hole = holes.joined()
        mask = hole if mask is None or hole is None else hole | mask
    return FileSummary(
        path=source.path,
        format=source.format,
        name=source.name or source.path.stem,
        shape=source.shape,
        dtype=source.dtype.name,
        wavelengths_nm=_span(source.wavelengths_nm),
        white_level=scaling.level,
        white_level_origin=scaling.origin,
        minimum=found.minimum if found.count else np.nan,
        maximum=found.maximum if found.count else np.nan,
        mean=found.total / found.count if found.count else np.nan,
        num_not_finite=found.num_not_finite,
        num_nodata=0 if mask is None else int(mask.sum()),
        metadata=dict(source.metadata),
        fwhm_nm=_span(source.fwhm_nm),
        band_names=None if source.band_names is None else (source.band_names[0], source.band_names[-1]),
        num_bad_bands=None
        if source.good_bands is None
        else int((~np.asarray(source.good_bands, bool)).sum()),
        nodata=source.nodata,
        georeference=source.georeference,
        storage=source.storage,
        chunks=source.chunks,
        has_gain=scaling.gain is not None,
        white_level_sample=np.nan if scaling.largest is None else scaling.largest,
        doubts=(f"{doubt}: {UNIT_ADVICE}",) if doubt else (),
    )


def windows(source: BandSource) -> Iterator[tuple[slice, slice, slice]]:
    """Windows of bounded size that cover a cube once and follow its chunks."""
    height, width, num_bands = source.shape
    chunk = source.chunks or (1, height, width)
    rows = min(height, max(1, WINDOW_BYTES // (chunk[0] * width * source.dtype.itemsize)))
    rows = min(height, max(chunk[1], rows - rows % chunk[1]))
    cols = width
    if chunk[0] * rows * width * source.dtype.itemsize > 2 * WINDOW_BYTES:
        cols = min(width, max(chunk[2], WINDOW_BYTES // (chunk[0] * rows * source.dtype.itemsize)))
        cols = min(width, -(-cols // chunk[2]) * chunk[2])
    bands = chunk[0]
    if rows == height and cols == width:
        fitting = max(1, WINDOW_BYTES // (rows * cols * source.dtype.itemsize * chunk[0]))
        bands = min(num_bands, fitting * chunk[0])
    for first in range(0, num_bands, bands):
        for top in range(0, height, rows):
            for left in range(0, width, cols):
                yield (
                    slice(first, min(first + bands, num_bands)),
                    slice(top, min(top + rows, height)),
                    slice(left, min(left + cols, width)),
                )


class _Holes:
    """Which pixels hold the nodata value, by the rule of `joined_mask`, from one band's window at a time.

    Args:
        source: the open file.
    """

    def __init__(self, source: BandSource) -> None:
        self._source = source
        if source.nodata is not None:
            self._num_holes = np.zeros(source.shape[:2], np.uint16)
            self._num_in_band = np.zeros(source.shape[2], np.int64)

    def add(self, index: int, band: NDArray[Any], place: tuple[slice, slice]) -> NDArray[np.bool_] | None:
        """Count the holes of a band's window, (h, w); where they are, or None without a nodata value."""
        nodata = self._source.nodata
        if nodata is None:
            return None
        here = np.isnan(band) if np.isnan(nodata) else band == nodata
        good = self._source.good_bands
        if good is None or bool(good[index]):
            self._num_holes[place] += here
            self._num_in_band[index] += int(here.sum())
        return np.asarray(here)

    def joined(self) -> NDArray[np.bool_] | None:
        """(H, W) of the pixels without data; None without a nodata value."""
        source = self._source
        if source.nodata is None:
            return None
        good = np.ones(source.shape[2], bool) if source.good_bands is None else np.asarray(source.good_bands)
        full = self._num_in_band == self._num_holes.size
        num_dead, num_good = int((full & good).sum()), int(good.sum())
        if source.nodata == 0 or num_dead == num_good:
            return np.asarray(self._num_holes == num_good)
        return np.asarray(self._num_holes > num_dead)


def _span(wavelengths_nm: NDArray[Any] | None) -> tuple[float, float] | None:
    return None if wavelengths_nm is None else (float(np.min(wavelengths_nm)), float(np.max(wavelengths_nm)))
