"""One file into another, part by part: stored values as they are, with all that the file says of them.

Integers stay integers with their scale, bit for bit; another type comes only on demand. Towards a
floating-point type integers are scaled as `load` scales them; between floating-point types and between
integers values are cast, and refused where they do not fit; from floating point to integers a white level
says what 1.0 becomes. Formats that are written at once (.npz, .mat) are held in memory within `max_gib`;
pictures (.png and folders of them) hold 16 bits and go through `load` and `save`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf import io
from hsr_tf.checks import require, require_choice
from hsr_tf.files import require_apart
from hsr_tf.findings import NOTE, WARNING, Finding
from hsr_tf.io.format import (
    FIELD_WORDS,
    PartsFormat,
    PictureFormat,
    WholeFormat,
    WritableFormat,
    WriteOptions,
)
from hsr_tf.io.formats import format_for, formats
from hsr_tf.io.geotiff_model import written_model
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.opacity import REPORT as OPACITY
from hsr_tf.io.orientation import REPORT as ORIENTATION
from hsr_tf.io.remote_names import remote_name
from hsr_tf.io.source import EVERYTHING, ReadRequest, References, require_size
from hsr_tf.io.stream import CubeReader
from hsr_tf.radiometry import LINEAR, NONE, Radiometry, parse_linearize

PART_BYTES = 64 * 2**20
TYPES = (*(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float32", "float64")
OF_READERS = (OPACITY, ORIENTATION)
Progress = Callable[[int, int], None]
Report = Callable[[Finding], None]


@dataclass(frozen=True)
class ConvertOptions:
    """What the caller asks for.

    Args:
        key, layout, white_level: as for `load`; the white level is written as well.
        wavelengths_nm: of the bands, in place of those in the file.
        linearize: the tone curve to undo, "srgb" or e.g. "gamma:2.2"; light is written as floating point, 1
            for the white level. "none" keeps the values.
        interleave: bsq, bil or bip, of an ENVI output.
        cog: a cloud-optimised GeoTIFF.
        dtype: type of the written values; by default that of the file.
        nodata: the value for pixels without data.
        alpha: "mask" or "band", what a channel marked as alpha is.
        ortho: whether to put a swath on the grid of the lookup table in its file.
        references: images of a white and a dark panel, by which raw counts become reflectance.
        allow_remote: whether a source on a server or in an archive is opened.
        max_gib: the largest cube, as it is stored, that is held in memory where a format needs that.
    """

    key: str | None = None
    layout: str | None = None
    white_level: float | None = None
    wavelengths_nm: NDArray[Any] | None = None
    linearize: str = NONE
    interleave: str | None = None
    cog: bool = False
    dtype: str | None = None
    nodata: float | None = None
    max_gib: float = 16.0
    alpha: str | None = None
    ortho: bool = False
    references: References | None = None
    allow_remote: bool = False

    @property
    def curve(self) -> str:
        """The tone curve that is undone, "linear" for none.

        Raises:
            ValueError: a curve that is not known, or is to be found out.
        """
        curve = parse_linearize(self.linearize)
        require(
            curve is not None,
            "linearize",
            expected="none, srgb or gamma:G",
            received=self.linearize,
            remedy="name the curve; hsr check finds it from a pair of images",
        )
        assert curve is not None
        return curve

    @property
    def type_written(self) -> str | None:
        """The type that was named, else float32 for light, else None for that of the file."""
        return self.dtype or (None if self.curve == LINEAR else "float32")

    @property
    def writing(self) -> WriteOptions:
        """The options of single formats."""
        return WriteOptions(self.interleave, self.cog)


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    options: ConvertOptions | None = None,
    *,
    progress: Progress = lambda num_done, num_bytes: None,
    report: Report = lambda finding: None,
) -> Path:
    """Write what one file holds into another; the target appears whole or not at all.

    Args:
        source, target: the files; the suffix says the format.
        options: of the conversion.
        progress: called with the number of stored bytes done and of all.
        report: called with what is left of the source, and what the target cannot hold.

    Raises:
        OSError: as `load` and `save`; a target that is the source.
        ValueError: an option that means nothing for the target, values that the type cannot hold.
    """
    options = options or ConvertOptions()
    target = Path(target)
    made = format_for(target)
    _require_options(target, made, options)
    if remote_name(source) is None:
        require_apart([target], [Path(source)])
    reading = ReadRequest(
        options.key,
        options.layout,
        options.white_level,
        options.wavelengths_nm,
        options.max_gib,
        in_parts=not isinstance(made, PictureFormat),
        alpha=options.alpha,
        ortho=options.ortho,
        references=options.references,
        allow_remote=options.allow_remote,
    )
    with io.open_reader(source, reading) as reader:
        for finding in (*reader.header.findings, *lost_findings(reader.header, made)):
            report(finding)
        if isinstance(made, PictureFormat):
            scene = reader.scene()
            light = Radiometry(options.curve).linear(scene.cube)
            return io.save(scene if light is scene.cube else replace(scene, cube=light), target)
        conversion, place = _Conversion(reader, options), Path(os.path.realpath(target))
        if isinstance(made, WholeFormat):
            require_size(target, reader.shape, options.max_gib)
            made.write(place, conversion.header, conversion.part(EVERYTHING, EVERYTHING))
        elif isinstance(made, PartsFormat):
            num_bytes = math.prod(reader.shape) * reader.header.dtype.itemsize
            with made.create(place, conversion.header, options.writing) as writer:
                for rows, cols, num_done in _parts(reader):
                    writer.write(rows, cols, conversion.part(rows, cols))
                    progress(num_done, num_bytes)
    return target


def lost_findings(header: CubeHeader, made: WritableFormat) -> list[Finding]:
    """Return a warning where a format cannot hold what is known of a cube, a note where only we read it back.

    Args:
        header: of the cube.
        made: the format that is written.
    """
    notes = []
    if ".tif" in made.suffixes and written_model(header) != header.sensor_model:
        found = "GeoTIFF has no field for ground control points (GCP) beside a map grid: only hsr reads them"
        notes.append(Finding(NOTE, "not written", found, "write .h5, or read them with hsr"))
    known = {name: getattr(header, name) for name in FIELD_WORDS if name not in ("scale", "metadata")}
    free = [name for name in header.metadata if name not in OF_READERS]
    known |= {"scale": header.scale or header.white_level, "metadata": free or None}
    lost = [
        words for name, words in FIELD_WORDS.items() if known[name] is not None and name not in made.keeps
    ]
    if not lost:
        return notes
    found = f"{made.name} has no place for {', '.join(lost)}: not written"
    advice = "write .h5, .nc, .zarr, .tif or ENVI to keep them"
    return [*notes, Finding(WARNING, "not written", found, advice)]


class _Conversion:
    """The header of the output, and what is done to stored values on their way.

    Args:
        reader: the input.
        options: of the caller.
    """

    def __init__(self, reader: CubeReader, options: ConvertOptions) -> None:
        held = reader.header
        self._reader, self._nodata = reader, options.nodata
        self._level, self._old_nodata = options.white_level, held.nodata
        self._fills = {held.nodata, *reader.fills}
        self._from, self._to = np.dtype(held.dtype), np.dtype(options.type_written or held.dtype)
        self._light = Radiometry(options.curve)
        require(
            self._light.is_identity or self._to.kind == "f",
            "dtype",
            expected="float32 or float64, as linear light needs",
            received=self._to.name,
            remedy="leave it out",
        )
        self.scaled = self._from.kind in "ui" and self._to.kind == "f"
        self.counted = self._from.kind == "f" and self._to.kind in "ui"
        linear = self._light.is_identity
        self.scaled = not linear or (self._from.kind in "ui" and self._to.kind == "f")
        require(
            not self.counted or options.white_level is not None,
            "white_level",
            expected=f"the {self._to.name} that stands for 1.0",
            received="none",
            remedy="give e.g. --white_level=10000",
        )
        header = replace(held, dtype=self._to, nodata_mask=reader.mask())
        if options.white_level is not None:
            header = replace(header.unscaled(), white_level=options.white_level)
        if self.scaled:
            header = replace(header.unscaled(), nodata=None if held.nodata is None else float("nan"))
        if self._nodata is not None:
            header = replace(header, nodata=float(self._nodata))
        self.header: CubeHeader = header

    def part(self, rows: slice, cols: slice) -> NDArray[Any]:
        """Return the values of a part, (h, w, C), as they are to be stored."""
        if self.scaled:
            values, mask = self._reader.read_with_mask(rows, cols)
            values = self._light.linear(values).astype(self._to)
            if mask is not None and self.header.nodata_mask is None:
                values[mask] = np.nan if self.header.nodata is None else self.header.nodata
            return values
        stored = self._reader.stored(rows, cols)
        if self._nodata is not None:
            taken, mask = stored == self._nodata, self.header.nodata_mask
            if mask is not None:
                taken &= ~np.asarray(mask)[rows, cols].astype(bool)[..., None]
            require(
                self._nodata in self._fills or not taken.any(),
                "nodata",
                expected="a value that no pixel with data holds",
                received=f"{self._nodata:g}, which {int(taken.sum())} values are",
                remedy="give another one",
            )
        if self.counted:  # 1.0 as the white level, the nodata value as it is
            counted = np.rint(stored.astype(np.float64) * float(self._level or 1))
            lost = np.isnan(counted)
            require(
                self.header.nodata is not None or not lost.any(),
                "nodata",
                expected=f"the {self._to.name} that stands for NaN",
                received="none",
                remedy="give one that no pixel holds, e.g. --nodata=0",
            )
            counted[lost] = self.header.nodata
            if self._old_nodata is not None:
                old = np.isnan(stored) if np.isnan(self._old_nodata) else stored == self._old_nodata
                counted[old] = self._old_nodata if self.header.nodata is None else self.header.nodata
            return _cast(counted, self._to)
        return stored if self._from == self._to else _cast(stored, self._to)


def _cast(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the same values in another type.

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


def _require_options(target: Path, made: WritableFormat, options: ConvertOptions) -> None:
    taken = made.options if isinstance(made, PartsFormat) else ()
    for name in options.writing.given:
        takers = [one for one in formats() if isinstance(one, PartsFormat) and name in one.options]
        require(
            name in taken,
            name,
            expected=" or ".join(f"{one.name} output ({', '.join(one.suffixes)})" for one in takers),
            received=target.suffix.lower() or "a folder",
            remedy="leave it out",
        )
    if options.dtype is not None:
        require_choice("dtype", options.dtype, TYPES)
    for name in ("dtype", "nodata"):
        require(
            getattr(options, name) is None or not isinstance(made, PictureFormat),
            name,
            expected="nothing for pictures, which hold 16 bits",
            received=str(getattr(options, name)),
            remedy="leave --dtype and --nodata out",
        )


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
