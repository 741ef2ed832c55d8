"""What a file holds, found from its header and one pass over its bands, without the whole cube in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.io.source import BandSource, each_block, require_real, scaling_of


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
        white_level_origin: "file", "argument", "largest uint16", or "" without a white level.
        minimum, maximum, mean: of the finite values as `load` would give them, pixels without data left out;
            NaN when there is none.
        num_not_finite: NaN and infinite values among the pixels with data; `load` refuses a file with any.
        num_nodata: pixels without data.
        metadata: everything else that the file tells.
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
    """Read the bands of an open file once and keep only their statistics."""
    require_real(source.path, source.dtype)
    scaling = scaling_of(source, white_level)
    mask = None if source.nodata_mask is None else np.asarray(source.nodata_mask).astype(bool)
    found = _Statistics()
    for start, stored in each_block(source):
        for index, band in enumerate(stored, start):
            scaled = np.empty((*band.shape, 1), dtype=np.float32)
            scaling.into(scaled, band[..., None], slice(index, index + 1))
            found.add(scaled if mask is None else scaled[~mask])
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
    )


def _span(wavelengths_nm: NDArray[Any] | None) -> tuple[float, float] | None:
    return None if wavelengths_nm is None else (float(np.min(wavelengths_nm)), float(np.max(wavelengths_nm)))
