"""ENVI images: a header in text and the values beside it, band by band, line by line or pixel by pixel.

Read through a memory map, after the size of the file has been compared with its header. Written part by
part into a map of a file whose room has been taken beforehand, so that a full disk is an error and no
crash. `.bsq`, `.bil` and `.bip` say the interleave; else it is BIL: a row of one band and a tile of all bands
both are runs of neighbouring values there, as they are in no other. The data take their place first, the
header last; while they change places there is no header, so none ever describes other data.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error, require_choice
from hsr_tf.files import replacing_file
from hsr_tf.findings import WARNING
from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.account import Account
from hsr_tf.io.envi_header import (
    DATA_SUFFIXES,
    FORMAT,
    INTERLEAVES,
    NOT_METADATA,
    EnviFiles,
    EnviHeader,
    find_files,
    header_fields,
    namesakes,
    read_header,
    wavelengths_of,
)
from hsr_tf.io.envi_map import georeference_of, map_fields
from hsr_tf.io.format import PartsFormat, WriteOptions
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.nanometres import number_or_nan
from hsr_tf.io.own_record import record_from_text
from hsr_tf.io.source import BandSource, ReadRequest, decoded, refuse_options
from hsr_tf.io.stream import CubeWriter, PartsWriter

DEFAULT_INTERLEAVE = "bil"
AXES = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}
TO_BAND_ROW_COL = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (2, 0, 1)}


class Envi(PartsFormat):
    """ENVI images, named by their header or by their data."""

    name = FORMAT
    suffixes = (".hdr", *DATA_SUFFIXES)
    reads = "BSQ, BIL, BIP; all real types; both byte orders; data without suffix beside a .hdr"
    writes = "yes, `--interleave`"
    options = ("interleave",)
    keeps_mask = False

    def recognises(self, path: Path) -> bool:
        return path.is_file() and (path.suffix.lower() in self.suffixes or find_files(path) is not None)

    def files(self, path: Path) -> tuple[Path, ...]:
        found = find_files(path)
        return () if found is None else (found.data, found.header)

    @contextmanager
    def open(self, path: Path, request: ReadRequest) -> Iterator[BandSource]:
        refuse_options(path, request, FORMAT)
        files, account = find_files(path) or _by_size(path), Account()
        header = read_header(files.header)
        _require_whole(files.data, header, account)
        shape = tuple(header.shape[axis] for axis in AXES[header.interleave])
        stored = np.memmap(files.data, dtype=header.dtype, mode="r", offset=header.offset, shape=shape)
        bands_first = stored.transpose(TO_BAND_ROW_COL[header.interleave])
        native = header.dtype.newbyteorder("=")

        def read(bands: slice, rows: slice, cols: slice) -> NDArray[Any]:
            part = np.array(bands_first[bands, rows, cols], dtype=native, order="C")
            _let_go(stored)
            return part

        order = "big" if header.dtype.str[0] == ">" else "little"
        yield BandSource(
            files.data,
            FORMAT,
            _cube_header(header, account),
            decoded(files.data, FORMAT, read),
            chunks=(1 if header.interleave == "bsq" else header.shape[2], 1, header.shape[1]),
            storage=f"{header.interleave.upper()}, {order} endian",
        )

    @contextmanager
    def new(self, path: Path, header: CubeHeader, options: WriteOptions) -> Iterator[CubeWriter]:
        from spectral.io.envi import write_envi_header

        suffix = path.suffix.lower().removeprefix(".")
        by_suffix = suffix if suffix in INTERLEAVES else DEFAULT_INTERLEAVE
        chosen = (options.interleave or by_suffix).lower()
        require_choice("interleave", chosen, INTERLEAVES)
        dtype = np.dtype(header.dtype).newbyteorder("<")
        fields = header_fields(replace(header, dtype=dtype), chosen, map_fields(header.georeference))
        shape = tuple(header.shape[axis] for axis in AXES[chosen])
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        with _both_replaced(files_to_write(path)) as drafts:
            with open(drafts.data, "r+b") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(size)
            stored = np.memmap(drafts.data, dtype=dtype, mode="r+", shape=shape)
            upright = stored.transpose(np.argsort(AXES[chosen]))

            def write(rows: slice, cols: slice, values: NDArray[Any]) -> None:
                upright[rows, cols] = values
                _let_go(stored)

            yield PartsWriter(write)
            stored.flush()
            write_envi_header(str(drafts.header), fields)


def files_to_write(path: Path) -> EnviFiles:
    """Return the two files of an output: `a.img` or what is named, and `a.hdr`.

    Raises:
        OSError: the header's name is taken by another image.
    """
    if path.suffix.lower() == ".hdr":
        old = find_files(path) if path.exists() else None
        return EnviFiles(path, path.with_suffix(".img") if old is None else old.data)
    appended, replaced = path.with_name(path.name + ".hdr"), path.with_suffix(".hdr")
    header = appended if appended.exists() else replaced
    if header == replaced and header.exists():
        others = [path.with_suffix(""), *(path.with_suffix(suffix) for suffix in DATA_SUFFIXES)]
        other = next((one for one in others if one != path and one.is_file()), None)
        if other is not None and not path.exists():
            raise file_error(header, f"is the header of {other.name}", "choose another name")
    return EnviFiles(header, path)


def _let_go(stored: NDArray[Any]) -> None:
    """Have the mapped pages no longer count as this process's memory; the system keeps what was written."""
    mapped = getattr(stored, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _by_size(path: Path) -> EnviFiles:
    """Return a header with the only file of its name, whatever the suffix, that has the size of its data.

    Raises:
        OSError: there is none.
    """
    if path.suffix.lower() != ".hdr":
        raise file_error(path, "has no ENVI header (.hdr) beside it", "put the two files into one folder")
    others = namesakes(path)
    if others:
        header = read_header(path)
        fitting = [one for one in others if one.stat().st_size == _size_of_data(header)]
        if len(fitting) == 1:
            return EnviFiles(path, fitting[0])
    names = ", ".join(one.name for one in others[:3])
    remedy = "put the two files into one folder"
    if others:
        remedy = f"if {names} is meant, give it, with --wavelengths={path.name} where a command takes that"
    raise file_error(path, "has no ENVI data beside it", remedy)


def _size_of_data(header: EnviHeader) -> int:
    height, width, num_bands = header.shape
    return header.offset + height * width * num_bands * header.dtype.itemsize


def _require_whole(data: Path, header: EnviHeader, account: Account) -> None:
    """Compare the size of the data with what the header says, before anything is read."""
    height, width, num_bands = header.shape
    needed, held = _size_of_data(header), data.stat().st_size
    size = f"{height}x{width}x{num_bands} {header.dtype.name}"
    if held < needed:
        problem = (
            f"has {held} bytes, {needed} are needed for {size} as {header.path.name} says; it is cut short"
        )
        raise file_error(data, problem, "fetch it again, or repair the header")
    if held > needed:
        times, rest = divmod(held - header.offset, needed - header.offset)
        found = f"{data.name} has {held} bytes, the header describes {needed} ({size})"
        if rest == 0:
            found = f"{found}: {times} times as many"
        advice = "check data type, size and header offset of the header"
        account.take(found, advice, severity=WARNING)


def _scaling(header: EnviHeader, dtype: np.dtype[Any], account: Account) -> dict[str, Any]:
    """Return white level, or gain and offset of each band."""
    num_bands = header.shape[2]
    gain = account.numbers("data gain values", header.listed("data gain values"), num_bands)
    shift = account.numbers("data offset values", header.listed("data offset values"), num_bands)
    if gain is not None or shift is not None:
        return {
            "gain": np.ones(num_bands) if gain is None else gain,
            "offset": np.zeros(num_bands) if shift is None else shift,
        }
    name = "reflectance scale factor"
    factor = account.numbers(name, header.text(name), 1)
    if factor is None or not factor[0] > 0:
        return {}
    level = float(factor[0])
    if dtype.kind in "ui":
        return {"white_level": level}
    return {} if level == 1 else {"gain": 1 / level}


def _grid(header: EnviHeader, account: Account) -> Georeference | None:
    """Return the grid, and take down what of it is not understood."""
    grid, name, system = georeference_of(header), "map info", "coordinate system string"
    if grid is not None:
        account.use(name)
    elif header.text(name):
        account.leave(name, "not understood, no grid is known")
    if grid is not None and grid.crs is not None:
        account.use(*([system] if header.text(system) else []))
    else:
        for one in (system, "projection info"):
            if header.text(one):
                account.leave(one, "not understood" if grid is not None else "not used without map info")
    for one in ("rpc info", "geo points"):
        if header.text(one):
            account.leave(one, "kept as text, no grid is derived from it", "project the image onto a grid")
    return grid


def _cube_header(header: EnviHeader, account: Account) -> CubeHeader:
    """Return what an ENVI header says of its cube."""
    num_bands, dtype = header.shape[2], header.dtype.newbyteorder("=")
    text = header.text("hsr record")
    record = record_from_text(None if text is None else unquote(text))
    centres, widths = wavelengths_of(header, account)
    free = {name: header.text(name) for name in header.fields if name not in NOT_METADATA}
    ignored = header.text("data ignore value")
    nodata = number_or_nan(ignored)
    if ignored is not None:
        if nodata is None:
            account.leave("data ignore value", "is not one number")
        else:
            account.use("data ignore value")
    found = CubeHeader(
        shape=header.shape,
        dtype=dtype,
        wavelengths_nm=centres,
        metadata={name: value for name, value in free.items() if value},
        nodata=nodata,
        fwhm_nm=widths,
        band_names=account.texts("band names", header.listed("band names"), num_bands),
        good_bands=account.flags("bbl", header.listed("bbl"), num_bands),
        georeference=_grid(header, account),
        **_scaling(header, dtype, account),
    )
    return replace(record.complete(found), used=account.used, findings=account.findings)


@contextmanager
def _both_replaced(files: EnviFiles) -> Iterator[EnviFiles]:
    """Drafts of both files; the data take their place first, and no old header outlives the old data."""
    aside = files.header.with_name(f".{files.header.name}.old.tmp")
    with replacing_file(files.header) as header_draft:
        try:
            with replacing_file(files.data) as data_draft:
                yield EnviFiles(header_draft, data_draft)
                if files.header.exists():
                    os.replace(files.header, aside)
        except BaseException:
            if aside.exists() and not files.header.exists():
                os.replace(aside, files.header)
            raise
    aside.unlink(missing_ok=True)
