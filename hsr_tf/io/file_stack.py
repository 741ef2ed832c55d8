"""Files that a pattern names, such as `bands/B*.tif`, as one image: the bands of one file after the other.

Files come in the natural order of their names, and must be of one size and type. Scale, nodata value and grid
are those of the first file; others are refused, or reported where only one file states them. Bands of files
with one band each are named after the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error
from hsr_tf.imports import deferred
from hsr_tf.io.account import Account
from hsr_tf.io.format import Format
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.source import BandSource, ReadRequest, refuse_options

natsort = deferred("natsort")

FORMAT = "files of a pattern"
WILD = frozenset("*?[")
MOST_FILES = 512


class FileStack(Format):
    """A pattern that names one file per band, or several files."""

    name = FORMAT
    reads = "`folder/B*.tif`: files of one size as one image, in natural order"
    holds_cubes = False

    def recognises(self, path: Path) -> bool:
        return bool(WILD & {*path.name}) and bool(self.files(path))

    def files(self, path: Path) -> tuple[Path, ...]:
        if path.exists() or not path.parent.is_dir():
            return ()
        found = (one for one in path.parent.glob(path.name) if one.is_file())
        return tuple(natsort.natsorted(found, key=lambda one: one.name))

    @contextmanager
    def open(self, path: Path, request: ReadRequest) -> Iterator[BandSource]:
        from hsr_tf.io.formats import format_of

        refuse_options(path, replace(request, layout=None), FORMAT)
        files = self.files(path)
        if len(files) > MOST_FILES:
            raise file_error(path, f"names {len(files)} files", f"name at most {MOST_FILES}")
        with ExitStack() as stack:
            opened = [stack.enter_context(format_of(one).open(one, request)) for one in files]
            yield _stacked(path, opened)


def _stacked(path: Path, sources: list[BandSource]) -> BandSource:
    first = sources[0]
    for one in sources[1:]:
        if (one.shape[:2], one.dtype) != (first.shape[:2], first.dtype):
            kinds = [f"{s.shape[0]}x{s.shape[1]} {s.dtype.name} ({s.path.name})" for s in (first, one)]
            raise file_error(path, f"its files differ: {' and '.join(kinds)}", "name files of one image")
        if one.header.scale.keys() != first.header.scale.keys() or _facts(one) != _facts(first):
            names = f"{first.path.name} and {one.path.name}"
            problem = f"{names} state other scales, nodata values or grids"
            raise file_error(path, problem, "convert them to one kind first")
    ends = np.cumsum([one.shape[2] for one in sources])
    place = [(file, band) for file, one in enumerate(sources) for band in range(one.shape[2])]

    def read(bands: slice, rows: slice, cols: slice) -> NDArray[Any]:
        parts = [
            sources[file].read(slice(band, band + 1), rows, cols)
            for file, band in place[slice(*bands.indices(int(ends[-1])))]
        ]
        return np.concatenate(parts)

    def mask(rows: slice, cols: slice) -> NDArray[np.bool_]:
        held = [one.stored_mask(rows, cols) for one in sources]
        return np.asarray(np.logical_or.reduce([one for one in held if one is not None]))

    has_mask = any(one.read_mask is not None or one.header.nodata_mask is not None for one in sources)
    header = replace(_header(sources), nodata_mask=None)
    return BandSource(path.parent, FORMAT, header, read, mask if has_mask else None, storage="one file each")


def _header(sources: list[BandSource]) -> CubeHeader:
    """Return the header of the first file with the bands of all."""
    account, headers = Account(), [one.header for one in sources]
    account.use(*(one.path.name for one in sources))
    lists: dict[str, Any] = {}
    for name in ("wavelengths_nm", "fwhm_nm", "good_bands"):
        held = [getattr(one, name) for one in headers]
        known = [one for one in held if one is not None]
        lists[name] = np.concatenate(known) if len(known) == len(held) else None
        if 0 < len(known) < len(held):
            account.leave(name, f"{len(known)} of {len(held)} files state it")
    names = [
        header.band_names or tuple(_names(source.path.stem, source.shape[2]))
        for source, header in zip(sources, headers, strict=True)
    ]
    for one in headers:
        for finding in one.findings:
            account.take(finding.line, severity=finding.severity)
    scale: dict[str, Any] = {n: np.concatenate([one.scale[n] for one in headers]) for n in headers[0].scale}
    return replace(
        headers[0],
        shape=(*headers[0].shape[:2], sum(one.shape[2] for one in headers)),
        band_names=tuple(name for one in names for name in one),
        name=sources[0].path.parent.resolve().name,
        used=account.used,
        findings=account.findings,
        **lists,
        **scale,
    )


def _names(stem: str, num_bands: int) -> list[str]:
    return [stem] if num_bands == 1 else [f"{stem} {band + 1}" for band in range(num_bands)]


def _facts(source: BandSource) -> tuple[Any, ...]:
    """What files of one image state alike: white level, nodata value, place on the ground."""
    grid = source.header.georeference
    nodata = None if source.header.nodata is None else repr(source.header.nodata)
    return source.header.white_level, nodata, None if grid is None else grid.transform
