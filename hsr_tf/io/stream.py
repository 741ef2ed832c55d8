"""An open cube of which any part is read, or the whole, and files that are written part by part.

`open_cube` returns a `CubeReader` for every format; `load` and `describe` use the same reader. A format that
can only be read at once is held in memory, within the limit of the request. `create_cube` returns a
`CubeWriter`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import InputError, require
from hsr_tf.findings import NOTE, Finding
from hsr_tf.io.account import SCENE_KEY, TAKEN, as_metadata
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.holes import FILLS, Holes
from hsr_tf.io.source import EVERYTHING, BandSource, ReadRequest, require_real, require_size
from hsr_tf.io.white_level import WhiteLevel, guessed_level, level_in_metadata, marking_end
from hsr_tf.scene import Scene

MOST_SAMPLED, SAMPLED_BANDS, PATCH = 2**22, 8, 128


@dataclass(frozen=True, eq=False)
class Scaling:
    """How stored values become those of a scene.

    Args:
        white_level: what stored values are divided by, and where that comes from.
        gain, offset: (C,) of value = gain * stored + offset, which take the place of the level, or None.
        fill: the end of the type of the stored values, where it marks pixels without data.
    """

    white_level: WhiteLevel
    gain: NDArray[Any] | None = None
    offset: NDArray[Any] | None = None
    fill: float | None = None

    @classmethod
    def of(cls, source: BandSource, given: float | None) -> Scaling:
        """Return the scaling by the white level given, else by the gain, offset or level in the file.

        Floating-point values are taken as they are unless a level is given. Integers of 8 bits are divided by
        the largest value of their type; for other integers without a level it is guessed from their values.

        Raises:
            ValueError: a given level that is no positive number.
        """
        header = source.header
        if given is not None:
            usable = bool(np.isfinite(given)) and given > 0
            require(
                usable, "white_level", expected="a positive number", received=given, remedy="give e.g. 4095"
            )
            return cls(WhiteLevel(float(given), "argument"))
        if header.gain is not None:
            return cls(WhiteLevel(None, "file"), header.scale["gain"], header.scale["offset"])
        if header.dtype.kind == "f":
            return cls(WhiteLevel(None))
        recorded = header.white_level or level_in_metadata(header.metadata)
        if recorded is not None:
            return cls(WhiteLevel(recorded, "file"))
        if header.dtype.itemsize == 1:
            return cls(WhiteLevel(float(np.iinfo(header.dtype).max), f"largest {header.dtype.name}"))
        sample = _sample(source)
        end = None if header.nodata is not None else marking_end(sample, header.dtype)
        return cls(guessed_level(sample, header.dtype), fill=end)

    def into(self, out: NDArray[np.float32], stored: NDArray[Any], bands: slice = EVERYTHING) -> None:
        """Write the scaled values of these bands, last axis of both arrays, into `out`.

        They are computed in double precision where float32 cannot hold the stored ones.
        """
        level = self.white_level.level
        with np.errstate(over="ignore", invalid="ignore"):
            if self.gain is not None and self.offset is not None:
                out[...] = stored * self.gain[bands] + self.offset[bands]
            elif level is None:
                out[...] = stored
            elif stored.dtype.itemsize <= 2 or stored.dtype == np.float32:
                np.divide(stored, np.float32(level), out=out, casting="same_kind")
            else:
                out[...] = stored / level


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

    Attributes:
        fills: stored values that mark no data although the file does not state them.
    """

    def __init__(self, source: BandSource, request: ReadRequest) -> None:
        require_real(source.path, source.dtype)
        self.source = source
        name = source.header.name or source.path.stem
        # An account that was saved with a scene is that of another file.
        kept = {key: value for key, value in source.header.metadata.items() if key != SCENE_KEY}
        self.header: CubeHeader = replace(source.header, name=name, metadata=kept, nodata_mask=None)
        self.scaling = Scaling.of(source, request.white_level)
        self._max_gib = request.max_gib
        self.fills: tuple[float, ...] = ()
        if source.header.nodata is None and source.header.nodata_mask is None:
            self.fills = _fills_of(source.dtype, self.scaling.fill)

    @property
    def white_level(self) -> WhiteLevel:
        """What stored values are divided by, and where that comes from."""
        return self.scaling.white_level

    def scaled_by(self, level: WhiteLevel) -> CubeReader:
        """Return the same open cube with another white level."""
        other = copy(self)
        other.scaling = Scaling(level, fill=self.scaling.fill)
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
        holes = self.holes(part.shape[:2])
        holes.add(stored, EVERYTHING)
        return self._emptied(part, holes.joined(self.source.stored_mask(rows, cols)))

    def holes(self, size: tuple[int, int]) -> Holes:
        """Return what finds the pixels without data of a part of (h, w) pixels."""
        return Holes(self.source.header, size, self.fills)

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
        cube, holes = np.empty(self.shape, dtype=np.float32), self.holes(self.shape[:2])
        for window in self.windows(holes):
            cube[window.rows, window.cols, window.bands] = window.values
        cube, mask = self._emptied(cube, holes.joined(source.stored_mask(EVERYTHING, EVERYTHING)))
        kept = {name: value for name, value in self.header.metadata.items() if name != SCENE_KEY}
        found = [*self.header.findings, *fill_findings(holes, mask)]
        metadata = {
            "source": source.path.name,
            **kept,
            **self.white_level.as_metadata(),
            **as_metadata(found),
        }
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
        """Set pixels without data to 0, but where the file stores a mask beside values of any kind.

        NaN that is left in pixels with data, in bands that hold nothing else, becomes 0.
        """
        if mask is not None and self.source.header.nodata_mask is None:
            part[mask] = 0
        if self.source.dtype.kind == "f" and np.isnan(part.min()):
            found = np.isnan(part)
            part[found if mask is None else found & ~mask[..., None]] = 0
        return part, mask


class CubeWriter(Protocol):
    """A file that takes its parts in any order."""

    def write(self, rows: slice, cols: slice, values: NDArray[Any], /) -> None:
        """Write stored values (h, w, C), of the header's dtype, to their place."""


@dataclass(frozen=True)
class PartsWriter:
    """A `CubeWriter` that is one function."""

    write: Callable[[slice, slice, NDArray[Any]], None]


def fill_findings(holes: Holes, mask: NDArray[np.bool_] | None) -> tuple[Finding, ...]:
    """Return a note where values that stand for no data were found in a file that states no such value."""
    if not holes.seen or mask is None:
        return ()
    values = " and ".join(f"{value:g}" for value in sorted(holes.seen))
    found = f"no nodata value is stated; {values} taken as no data ({int(mask.sum())} pixels)"
    return (Finding(NOTE, TAKEN, found, "give --nodata if another value marks them"),)


def _fills_of(dtype: np.dtype[Any], end: float | None) -> tuple[float, ...]:
    """Return the values of a type that mark no data in a file that states none."""
    if dtype.kind == "f":
        largest = float(np.finfo(dtype).max)
        return tuple(value for value in FILLS if abs(value) <= largest)
    bounds = np.iinfo(dtype)
    held = () if dtype.itemsize == 1 or dtype.kind == "u" else FILLS
    found = {value for value in held if bounds.min <= value <= bounds.max and value < 0}
    return tuple(sorted(found | ({end} if end is not None else set())))


def _sample(source: BandSource) -> NDArray[Any]:
    """Stored values of pixels with data, (n,): all of a small cube, patches of some bands of a larger one."""
    nodata, parts = source.header.nodata, [np.empty(0, source.dtype)]
    for bands, rows, cols in _places(source):
        stored = source.read(bands, rows, cols)
        kept = np.ones(stored.shape, bool) if nodata is None else stored != nodata
        mask = source.stored_mask(rows, cols)
        if mask is not None:
            kept &= ~mask
        parts.append(stored[kept])
    return np.concatenate(parts)


def _places(source: BandSource) -> Iterator[tuple[slice, slice, slice]]:
    height, width, num_bands = source.shape
    bands, good = np.arange(num_bands), source.header.good_bands
    if good is not None and np.any(good):
        bands = bands[np.asarray(good).astype(bool)]
    windows = [(slice(0, height), slice(0, width))]
    if height * width * num_bands > MOST_SAMPLED:
        bands = bands[np.unique(np.linspace(0, len(bands) - 1, SAMPLED_BANDS).astype(int))]
        # Three patches along each axis, evenly placed.
        sizes = [(length, min(PATCH, length)) for length in (height, width)]
        starts = [np.unique(np.linspace(0, length - size, 3).astype(int)).tolist() for length, size in sizes]
        parts = [[slice(i, i + size) for i in at] for at, (_, size) in zip(starts, sizes, strict=True)]
        windows = list(product(*parts))
    for band in bands.tolist():
        for rows, cols in windows:
            yield slice(band, band + 1), rows, cols
