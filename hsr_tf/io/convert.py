"""One file into another, part by part: stored values as they are, and everything that the file tells of them.

Integers stay integers with their scale, bit for bit; another type comes only on demand. Towards a
floating-point type integers are scaled as `load` scales them; between floating-point types and between
integers values are cast, and refused where they do not fit; from floating point to integers a white level
says what 1.0 becomes. Formats that are written at once (.npz, .mat) are held in memory within `max_gib`;
pictures (.png and folders of them) hold 16 bits and go through `load` and `save`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf import io
from hsr_tf.checks import file_error, require, require_choice
from hsr_tf.io.envi import create_envi
from hsr_tf.io.geotiff import create_geotiff
from hsr_tf.io.masking import Creator, without_mask
from hsr_tf.io.mat import write_mat_cube
from hsr_tf.io.npz import write_npz_cube
from hsr_tf.io.source import require_size
from hsr_tf.io.stream import CubeHeader, CubeReader

PART_BYTES = 64 * 2**20
AT_ONCE = {".npz": write_npz_cube, ".mat": write_mat_cube}
TYPES = (*(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float32", "float64")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ConvertOptions:
    """What the caller asks for.

    Args:
        key, layout, white_level: as for `load`; the white level is written as well.
        wavelengths_nm: of the bands, in place of those in the file.
        interleave: bsq, bil or bip, of an ENVI output.
        cog: a cloud-optimised GeoTIFF.
        dtype: type of the written values; by default that of the file.
        nodata: the value for pixels without data.
        max_gib: the largest cube, as it is stored, that is held in memory where a format needs that.
    """

    key: str | None = None
    layout: str | None = None
    white_level: float | None = None
    wavelengths_nm: NDArray[Any] | None = None
    interleave: str | None = None
    cog: bool = False
    dtype: str | None = None
    nodata: float | None = None
    max_gib: float = 16.0


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    options: ConvertOptions | None = None,
    *,
    progress: Progress = lambda num_done, num_bytes: None,
) -> Path:
    """Write what one file holds into another; the target appears whole or not at all.

    Args:
        source, target: the files; the suffix says the format.
        options: what is asked for beyond that.
        progress: called with the number of stored bytes done and of all.

    Raises:
        OSError: as `load` and `save`; a target that is the source.
        ValueError: an option that means nothing for the target, values that the type cannot hold.
    """
    asked = options or ConvertOptions()
    source, target = Path(source), Path(target)
    _require_options(target, asked)
    io.writer_for(target)
    if target.exists() and source.exists() and target.samefile(source):
        raise file_error(target, "is the input as well", "write to another name")
    reading: dict[str, Any] = {"key": asked.key, "layout": asked.layout, "white_level": asked.white_level}
    reading["wavelengths_nm"] = asked.wavelengths_nm
    if target.suffix.lower() not in (*AT_ONCE, *io.CREATORS):
        scene = io.load(source, **reading, max_gib=asked.max_gib)
        return io.save(scene, target)
    with io.open_cube(source, **reading, max_gib=asked.max_gib) as reader:
        law = _Law(reader, asked)
        place = Path(os.path.realpath(target))
        if target.suffix.lower() in AT_ONCE:
            _write_at_once(place, law, asked)
        else:
            with _creator(target, asked)(place, law.header) as writer:
                for rows, cols, num_done in _parts(reader):
                    writer.write(rows, cols, law.part(rows, cols))
                    progress(num_done, _num_bytes(reader))
    return target


class _Law:
    """The header of the output, and what is done to stored values on their way.

    Args:
        reader: the input.
        asked: the options.
    """

    def __init__(self, reader: CubeReader, asked: ConvertOptions) -> None:
        held = reader.header
        self._reader, self._nodata = reader, asked.nodata
        self._from, self._to = np.dtype(held.dtype), np.dtype(asked.dtype or held.dtype)
        header = replace(held, dtype=self._to, nodata_mask=reader.mask())
        if asked.white_level is not None:
            header = replace(header, white_level=asked.white_level, gain=None, offset=0.0)
        self.scaled = self._from.kind in "ui" and self._to.kind == "f"
        if self.scaled:
            header = replace(
                header, white_level=None, gain=None, offset=0.0, nodata=_hole_after_scaling(held)
            )
        if self._from.kind == "f" and self._to.kind in "ui":
            require(
                asked.white_level is not None,
                "white_level",
                expected=f"the {self._to.name} that stands for 1.0",
                received="none",
                remedy="give e.g. --white_level=10000",
            )
        if self._nodata is not None:
            header = replace(header, nodata=float(self._nodata))
        self._level = asked.white_level
        self._old_nodata = held.nodata
        self.header: CubeHeader = header

    def part(self, rows: slice, cols: slice) -> NDArray[Any]:
        """The values of a part, (h, w, C), as they are to be stored."""
        if self.scaled:
            values, mask = self._reader.read_with_mask(rows, cols)
            values = values.astype(self._to)
            if mask is not None and self.header.nodata is not None:
                values[mask] = self.header.nodata
            return values
        stored = self._reader.stored(rows, cols)
        if self._nodata is not None:
            self._require_free(stored, rows, cols)
        if self._from.kind == "f" and self._to.kind in "ui":
            return self._counted(stored)
        return stored if self._from == self._to else _cast(stored, self._to)

    def _counted(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Floating-point values as whole numbers, 1.0 as the white level; the nodata value as it is."""
        counted = np.rint(stored.astype(np.float64) * float(self._level or 1))
        if self._old_nodata is not None:
            old = np.isnan(stored) if np.isnan(self._old_nodata) else stored == self._old_nodata
            counted[old] = self._old_nodata if self.header.nodata is None else self.header.nodata
        return _cast(counted, self._to)

    def _require_free(self, stored: NDArray[Any], rows: slice, cols: slice) -> None:
        """Refuse a new nodata value that a pixel with data holds."""
        taken = stored == self._nodata
        mask = self.header.nodata_mask
        if mask is not None:
            taken &= ~np.asarray(mask)[rows, cols].astype(bool)[..., None]
        require(
            self._nodata == self._old_nodata or not taken.any(),
            "nodata",
            expected="a value that no pixel with data holds",
            received=f"{self._nodata:g}, which {int(taken.sum())} values are",
            remedy="give another one",
        )


def _hole_after_scaling(held: CubeHeader) -> float | None:
    return None if held.nodata is None else float("nan")


def _cast(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The same values in another type.

    Raises:
        ValueError: where the type does not reach.
    """
    if dtype.kind in "ui":
        bounds = np.iinfo(dtype)
        with np.errstate(invalid="ignore"):
            fits = bool(((values >= bounds.min) & (values <= bounds.max)).all())
        require(
            fits,
            "dtype",
            expected=f"a type that holds values from {np.min(values)} to {np.max(values)}",
            received=dtype.name,
            remedy="give a wider type, or another white level",
        )
        return values.astype(dtype)
    with np.errstate(over="ignore"):
        cast = values.astype(dtype)
    beyond = np.isinf(cast) & np.isfinite(values)
    require(not beyond.any(), "dtype", expected="a wider type", received=dtype.name, remedy="give float64")
    return cast


def _creator(target: Path, asked: ConvertOptions) -> Creator:
    suffix = target.suffix.lower()
    if suffix in io.ENVI_SUFFIXES:
        return partial(without_mask, partial(create_envi, interleave=asked.interleave))
    if suffix in (".tif", ".tiff"):
        return partial(without_mask, partial(create_geotiff, cog=asked.cog))
    return io.CREATORS[suffix]


def _require_options(target: Path, asked: ConvertOptions) -> None:
    suffix = target.suffix.lower()
    for name, given, known, kind in (
        ("interleave", asked.interleave is not None, io.ENVI_SUFFIXES, "an ENVI output (.img, .hdr)"),
        ("cog", asked.cog, (".tif", ".tiff"), "a .tif output"),
    ):
        remedy = "leave it out"
        require(
            not given or suffix in known, name, expected=kind, received=suffix or "a folder", remedy=remedy
        )
    if asked.dtype is not None:
        require_choice("dtype", asked.dtype, TYPES)
    picture = suffix not in (*AT_ONCE, *io.CREATORS)
    told = asked.dtype is not None or asked.nodata is not None
    kind, remedy = "nothing for pictures, which hold 16 bits", "leave --dtype and --nodata out"
    require(not (picture and told), "dtype", expected=kind, received=str(asked.dtype), remedy=remedy)


def _write_at_once(target: Path, law: _Law, asked: ConvertOptions) -> None:
    require_size(target, law.header.shape, asked.max_gib)
    everything = slice(None)
    AT_ONCE[target.suffix.lower()](law.header, law.part(everything, everything), target)


def _num_bytes(reader: CubeReader) -> int:
    height, width, num_bands = reader.shape
    return height * width * num_bands * np.dtype(reader.header.dtype).itemsize


def _parts(reader: CubeReader) -> Iterator[tuple[slice, slice, int]]:
    """Windows of all bands that follow the file's chunks, of bounded size, and the bytes after each."""
    height, width, num_bands = reader.shape
    pixel = num_bands * np.dtype(reader.header.dtype).itemsize
    _, chunk_rows, chunk_cols = reader.source.chunks or (1, 1, width)
    budget = max(1, PART_BYTES // pixel)
    cols = width
    if chunk_rows * width > budget:
        cols = min(width, max(1, budget // chunk_rows // chunk_cols) * chunk_cols)
    rows = max(1, budget // cols)
    if rows > chunk_rows:
        rows -= rows % chunk_rows
    num_done = 0
    for top in range(0, height, rows):
        for left in range(0, width, cols):
            window = slice(top, min(top + rows, height)), slice(left, min(left + cols, width))
            num_done += (window[0].stop - window[0].start) * (window[1].stop - window[1].start) * pixel
            yield *window, num_done
