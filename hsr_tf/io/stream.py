"""Cubes larger than memory: parts of a file read as they are needed, and files written part by part.

`open_cube` gives a `CubeReader` for every format that `load` reads; a format that can only be read at once
is held in memory, within the limit of the request. `create_cube` gives a `CubeWriter` for the formats that
can be written in any order; the file appears when the block ends without error, else nothing does.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.source import (
    EVERYTHING,
    BandSource,
    ReadRequest,
    Scaling,
    joined_mask,
    require_real,
    scaling_of,
    stored_mask,
    without_data,
)
from hsr_tf.io.white_level import WhiteLevel
from hsr_tf.scene import Scene


@dataclass(frozen=True, eq=False, kw_only=True)
class CubeHeader:
    """What a file tells about its cube, and what a writer is told.

    Args:
        shape: (H, W, C).
        dtype: type of the stored values.
        name: of the scene.
        wavelengths_nm, fwhm_nm: (C,) or None.
        band_names: one for each band, or None.
        good_bands: (C,), False for bands of a bad-band list, or None.
        georeference: where the pixels lie, or None.
        nodata: the stored value of pixels without data, or None.
        white_level: stored value that stands for 1.0, or None.
        gain, offset: (C,) or numbers, value = gain * stored + offset where the file has such a law.
        metadata: everything else.
        nodata_mask: (H, W), True where there is no data, for a writer that is to keep it; a reader's header
            does not carry it. A format without masks writes the nodata value there.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.float32))
    name: str = ""
    wavelengths_nm: NDArray[Any] | None = None
    fwhm_nm: NDArray[Any] | None = None
    band_names: tuple[str, ...] | None = None
    good_bands: NDArray[Any] | None = None
    georeference: Georeference | None = None
    nodata: float | None = None
    white_level: float | None = None
    gain: NDArray[Any] | float | None = None
    offset: NDArray[Any] | float = 0.0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    nodata_mask: NDArray[Any] | None = None


class CubeReader:
    """An open cube that gives its parts as `load` would give the whole.

    Args:
        source: the open file.
        request: what the caller knows better than the file.
    """

    def __init__(self, source: BandSource, request: ReadRequest) -> None:
        require_real(source.path, source.dtype)
        self.source = source
        self.header = _header(source)
        self._scaling = scaling_of(source, request.white_level)

    @property
    def white_level(self) -> WhiteLevel:
        """What stored values are divided by, and where that comes from."""
        return self._scaling.white_level

    def scaled_by(self, level: WhiteLevel) -> CubeReader:
        """The same open cube with another white level."""
        other = copy(self)
        other._scaling = Scaling(level.level, level.origin, largest=level.largest)
        return other

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.source.shape

    def stored(self, rows: slice, cols: slice) -> NDArray[Any]:
        """The stored values of a part, (h, w, C)."""
        return np.moveaxis(self.source.read(EVERYTHING, rows, cols), 0, -1)

    def read(self, rows: slice, cols: slice) -> NDArray[np.float32]:
        """The values of a part, (h, w, C) float32, scaled as `load` does; 0 where there is no data."""
        part, mask = self.read_with_mask(rows, cols)
        return part if mask is None else np.where(mask[..., None], np.float32(0), part)

    def read_with_mask(
        self, rows: slice, cols: slice
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """The values of a part, and where it holds no data: (h, w) bool, or None where nothing tells."""
        stored = self.source.read(EVERYTHING, rows, cols)
        part = np.empty((*stored.shape[1:], stored.shape[0]), dtype=np.float32)
        self._scaling.into(part, np.moveaxis(stored, 0, -1))
        mask = stored_mask(self.source, rows, cols)
        if self.source.nodata_mask is not None:
            return part, mask
        holes = without_data(self.source, stored, EVERYTHING)
        if holes is not None:
            hole = joined_mask(self.source, holes)
            mask = hole if mask is None else hole | mask
        if mask is not None:
            part[mask] = 0
        return part, mask

    def mask(self) -> NDArray[np.bool_] | None:
        """(H, W), True where the file's own mask says that there is no data; None where it marks no pixel."""
        mask = stored_mask(self.source, EVERYTHING, EVERYTHING)
        return mask if mask is not None and mask.any() else None


class CubeWriter(Protocol):
    """A file that takes its parts in any order."""

    def write(self, rows: slice, cols: slice, values: NDArray[Any]) -> None:
        """Put stored values (h, w, C), of the header's dtype, into their place."""


def header_of(scene: Scene) -> CubeHeader:
    """What a writer of a scene's float32 values is told."""
    return CubeHeader(
        shape=scene.shape,
        name=scene.name,
        wavelengths_nm=scene.wavelengths_nm,
        fwhm_nm=scene.fwhm_nm,
        band_names=scene.band_names,
        good_bands=scene.good_bands,
        georeference=scene.georeference,
        nodata=scene.nodata,
        metadata=scene.metadata,
    )


def _header(source: BandSource) -> CubeHeader:
    return CubeHeader(
        shape=source.shape,
        dtype=source.dtype,
        name=source.name or source.path.stem,
        wavelengths_nm=source.wavelengths_nm,
        fwhm_nm=source.fwhm_nm,
        band_names=source.band_names,
        good_bands=source.good_bands,
        georeference=source.georeference,
        nodata=source.nodata,
        white_level=source.white_level,
        gain=source.gain,
        offset=source.offset,
        metadata=source.metadata,
    )
