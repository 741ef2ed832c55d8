"""An open cube of which any part is read, or the whole, and files that are written part by part.

`open_cube` returns a `CubeReader` for every format; `load` and `describe` use the same reader. A format that
can only be read at once is held in memory, within the limit of the request. `create_cube` returns a
`CubeWriter`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import InputError
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.scaling import Scaling
from hsr_tf.io.source import EVERYTHING, BandSource, Holes, ReadRequest, require_real, require_size
from hsr_tf.io.white_level import WhiteLevel
from hsr_tf.scene import Scene


@dataclass(frozen=True, eq=False)
class Window:
    """A window of a pass over all values of a cube.

    Attributes:
        bands, rows, cols: where it lies.
        values: (h, w, n) float32, scaled.
        holes: (n, h, w), True where a stored value is the nodata value; None without such a value.
    """

    bands: slice
    rows: slice
    cols: slice
    values: NDArray[np.float32]
    holes: NDArray[np.bool_] | None


class CubeReader:
    """An open cube.

    Args:
        source: the open file.
        request: what the caller knows better than the file.
    """

    def __init__(self, source: BandSource, request: ReadRequest) -> None:
        require_real(source.path, source.dtype)
        self.source = source
        name = source.header.name or source.path.stem
        self.header: CubeHeader = replace(source.header, name=name, nodata_mask=None)
        self.scaling = Scaling.of(source, request.white_level)
        self._max_gib = request.max_gib

    @property
    def white_level(self) -> WhiteLevel:
        """What stored values are divided by, and where that comes from."""
        return self.scaling.white_level

    def scaled_by(self, level: WhiteLevel) -> CubeReader:
        """Return the same open cube with another white level."""
        other = copy(self)
        other.scaling = Scaling(level)
        return other

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.source.shape

    def stored(self, rows: slice, cols: slice) -> NDArray[Any]:
        """Return the stored values of a part, (h, w, C)."""
        return np.moveaxis(self.source.read(EVERYTHING, rows, cols), 0, -1)

    def read(self, rows: slice, cols: slice) -> NDArray[np.float32]:
        """Return the values of a part, (h, w, C) float32, scaled as `load` does; 0 where there is no data."""
        part, mask = self.read_with_mask(rows, cols)
        return part if mask is None else np.where(mask[..., None], np.float32(0), part)

    def read_with_mask(
        self, rows: slice, cols: slice
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Return the values of a part and where it holds no data, (h, w) bool or None for nowhere."""
        stored = self.source.read(EVERYTHING, rows, cols)
        part = np.empty((*stored.shape[1:], stored.shape[0]), dtype=np.float32)
        self.scaling.into(part, np.moveaxis(stored, 0, -1))
        holes = Holes(self.source.header, part.shape[:2])
        holes.add(stored, EVERYTHING)
        return self._emptied(part, holes.joined(self.source.stored_mask(rows, cols)))

    def mask(self) -> NDArray[np.bool_] | None:
        """Return (H, W), True where the mask of the file marks no data; None if it marks no pixel."""
        mask = self.source.stored_mask(EVERYTHING, EVERYTHING)
        return mask if mask is not None and mask.any() else None

    def windows(self, holes: Holes) -> Iterator[Window]:
        """Read all values once, a few MiB at a time, and count the nodata value in `holes`."""
        for bands, rows, cols in self.source.windows():
            stored = self.source.read(bands, rows, cols)
            values = np.empty((*stored.shape[1:], stored.shape[0]), dtype=np.float32)
            self.scaling.into(values, np.moveaxis(stored, 0, -1), bands)
            yield Window(bands, rows, cols, values, holes.add(stored, bands, rows, cols))

    def scene(self) -> Scene:
        """Read the whole cube.

        Raises:
            OSError: it takes more than the request allows.
            ValueError: values that are not finite, wavelengths that do not match.
        """
        source = self.source
        require_size(source.path, self.shape, self._max_gib)
        cube, holes = np.empty(self.shape, dtype=np.float32), Holes(source.header, self.shape[:2])
        for window in self.windows(holes):
            cube[window.rows, window.cols, window.bands] = window.values
        cube, mask = self._emptied(cube, holes.joined(source.stored_mask(EVERYTHING, EVERYTHING)))
        metadata = {"source": source.path.name, **self.header.metadata, **self.white_level.as_metadata()}
        info = replace(self.header.info, metadata=metadata)
        try:
            return Scene(cube, nodata_mask=mask if mask is not None and mask.any() else None, **info.facts())
        except InputError as error:
            raise InputError(
                f"{source.path}: {error.argument}",
                expected=error.expected,
                received=error.received,
                remedy=error.remedy,
            ) from error

    def _emptied(
        self, part: NDArray[np.float32], mask: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Set pixels without data to 0, but where the file stores a mask beside values of any kind."""
        if mask is not None and self.source.header.nodata_mask is None:
            part[mask] = 0
        return part, mask


class CubeWriter(Protocol):
    """A file that takes its parts in any order."""

    def write(self, rows: slice, cols: slice, values: NDArray[Any], /) -> None:
        """Write stored values (h, w, C), of the header's dtype, to their place."""


@dataclass(frozen=True)
class PartsWriter:
    """A `CubeWriter` that is one function."""

    write: Callable[[slice, slice, NDArray[Any]], None]
