"""What a file holds, found from its header and one pass over its values, without the whole cube in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.findings import Finding
from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.nanometres import UNIT_ADVICE, doubtful_widths
from hsr_tf.io.source import EVERYTHING
from hsr_tf.io.stream import CubeReader, fill_findings
from hsr_tf.io.white_level import WhiteLevel


@dataclass(frozen=True, eq=False)
class FileSummary:
    """A file that holds a cube, in numbers.

    Args:
        path: the file or folder.
        format: its format, in words.
        header: what the file says of the cube.
        white: what stored values are divided by, and where that comes from.
        has_gain: whether gain and offset of the file are applied instead.
        minimum, maximum, mean: of the finite values as `load` returns them, pixels without data left out; NaN
            if there is none.
        num_not_finite: infinite values in pixels with data; `load` refuses a file with any.
        num_nodata: pixels without data.
        storage: how the file stores the values, in words, or "".
        chunks: (bands, rows, columns) stored together, or None.
        findings: what the reader left of the file, and what it took for granted.
    """

    path: Path
    format: str
    header: CubeHeader
    white: WhiteLevel
    has_gain: bool
    minimum: float
    maximum: float
    mean: float
    num_not_finite: int
    num_nodata: int
    storage: str = ""
    chunks: tuple[int, int, int] | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def name(self) -> str:
        """Name of the scene."""
        return self.header.name

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.header.shape

    @property
    def dtype(self) -> str:
        """Name of the type of the stored values."""
        return self.header.dtype.name

    @property
    def wavelengths_nm(self) -> tuple[float, float] | None:
        """Shortest and longest wavelength in nanometres, or None."""
        return _span(self.header.wavelengths_nm)

    @property
    def fwhm_nm(self) -> tuple[float, float] | None:
        """Smallest and largest width in nanometres, or None."""
        return _span(self.header.fwhm_nm)

    @property
    def band_names(self) -> tuple[str, str] | None:
        """First and last name, or None."""
        names = self.header.band_names
        return None if names is None else (names[0], names[-1])

    @property
    def num_bad_bands(self) -> int | None:
        """Number of bands on the bad-band list, or None without one."""
        good = self.header.good_bands
        return None if good is None else int((~np.asarray(good, bool)).sum())

    @property
    def nodata(self) -> float | None:
        """Stored value of pixels without data, or None."""
        return self.header.nodata

    @property
    def georeference(self) -> Georeference | None:
        """Where the pixels lie on the ground, or None."""
        return self.header.georeference

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Everything else that the file holds."""
        return self.header.metadata

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the items of the file that the header is made of."""
        return self.header.used

    @property
    def white_level(self) -> float | None:
        """What stored values are divided by, or None if they are taken as they are."""
        return self.white.level

    @property
    def white_level_origin(self) -> str:
        """The origin: "file", "argument", "guessed", "largest uint8", or "" without a white level."""
        return self.white.origin

    @property
    def white_level_sample(self) -> float:
        """The largest value that a guess of the white level is based on, else NaN."""
        return np.nan if self.white.largest is None else self.white.largest

    @property
    def doubts(self) -> tuple[str, ...]:
        """What looks wrong in the header, one sentence each."""
        doubt = doubtful_widths(self.header.wavelengths_nm, self.header.fwhm_nm)
        return (f"{doubt}: {UNIT_ADVICE}",) if doubt else ()


def summarise(reader: CubeReader) -> FileSummary:
    """Read an open file once and keep only statistics; values that are the nodata value are left out."""
    source = reader.source
    mask = source.stored_mask(EVERYTHING, EVERYTHING)
    holes = reader.holes(source.shape[:2])
    lowest, highest, total, count, num_not_finite = np.inf, -np.inf, 0.0, 0, 0
    for window in reader.windows(holes):
        for index in range(window.values.shape[2]):
            values = window.values[..., index]
            hole = None if mask is None else mask[window.rows, window.cols]
            if window.holes is not None:
                hole = window.holes[index] if hole is None else window.holes[index] | hole
            counted = values if hole is None else values[~hole]
            finite = counted[np.isfinite(counted)]
            num_not_finite += counted.size - finite.size
            if finite.size:
                lowest, highest = min(lowest, float(finite.min())), max(highest, float(finite.max()))
                total += float(finite.sum(dtype=np.float64))
                count += finite.size
    mask = holes.joined(mask)
    return FileSummary(
        path=source.path,
        format=source.format,
        header=reader.header,
        white=reader.white_level,
        has_gain=reader.scaling.gain is not None,
        minimum=lowest if count else np.nan,
        maximum=highest if count else np.nan,
        mean=total / count if count else np.nan,
        num_not_finite=num_not_finite,
        num_nodata=0 if mask is None else int(mask.sum()),
        storage=source.storage,
        chunks=source.chunks,
        findings=(*reader.header.findings, *fill_findings(holes, mask)),
    )


def _span(values: NDArray[Any] | None) -> tuple[float, float] | None:
    return None if values is None else (float(np.min(values)), float(np.max(values)))
