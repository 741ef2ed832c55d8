"""How stored values become those of a scene: divided by a white level, or gain * stored + offset, or kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import require
from hsr_tf.io.source import EVERYTHING, BandSource
from hsr_tf.io.white_level import WhiteLevel, guessed_level, level_in_metadata

MOST_SAMPLED, SAMPLED_BANDS, PATCH = 2**22, 8, 128


@dataclass(frozen=True, eq=False)
class Scaling:
    """How stored values become those of a scene.

    Args:
        white_level: what stored values are divided by, and where that comes from.
        gain, offset: (C,) of value = gain * stored + offset, which take the place of the level, or None.
    """

    white_level: WhiteLevel
    gain: NDArray[Any] | None = None
    offset: NDArray[Any] | None = None

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
            return cls(WhiteLevel(None, "file"), **header.scale)
        if header.dtype.kind == "f":
            return cls(WhiteLevel(None))
        recorded = header.white_level or level_in_metadata(header.metadata)
        if recorded is not None:
            return cls(WhiteLevel(recorded, "file"))
        if header.dtype.itemsize == 1:
            return cls(WhiteLevel(float(np.iinfo(header.dtype).max), f"largest {header.dtype.name}"))
        return cls(guessed_level(_sample(source), header.dtype))

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
