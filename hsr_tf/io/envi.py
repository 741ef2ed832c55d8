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
from hsr_tf.io.envi_header import (
    DATA_SUFFIXES,
    FORMAT,
    INTERLEAVES,
    NOT_METADATA,
    EnviFiles,
    EnviHeader,
    find_files,
    header_fields,
    read_header,
    wavelengths_of,
)
from hsr_tf.io.envi_map import georeference_of, map_fields
from hsr_tf.io.format import PartsFormat, WriteOptions
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.nanometres import flags, number_or_nan, numbers
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
        files = find_files(path)
        if files is None:
            other = "data" if path.suffix.lower() == ".hdr" else "header (.hdr)"
            raise file_error(path, f"has no ENVI {other} beside it", "put the two files into one folder")
        header = read_header(files.header)
        _require_whole(files.data, header)
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
            _cube_header(header),
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


def _require_whole(data: Path, header: EnviHeader) -> None:
    """Compare the size of the data with what the header says, before anything is read."""
    height, width, num_bands = header.shape
    needed = header.offset + height * width * num_bands * header.dtype.itemsize
    held = data.stat().st_size
    if held < needed:
        size = f"{height}x{width}x{num_bands} {header.dtype.name}"
        problem = (
            f"has {held} bytes, {needed} are needed for {size} as {header.path.name} says; it is cut short"
        )
        raise file_error(data, problem, "fetch it again, or repair the header")


def _cube_header(header: EnviHeader) -> CubeHeader:
    """Return what an ENVI header says of its cube."""
    num_bands, dtype = header.shape[2], header.dtype.newbyteorder("=")
    text = header.text("hsr record")
    record = record_from_text(None if text is None else unquote(text))
    centres, widths = wavelengths_of(header)
    names = header.listed("band names")
    free = {name: header.text(name) for name in header.fields if name not in NOT_METADATA}
    level: float | None = None
    offset: Any = 0.0
    gain: Any = numbers(header.listed("data gain values"), num_bands)
    factor = numbers(header.text("reflectance scale factor") or "", 1)
    if gain is not None:
        shift = numbers(header.listed("data offset values"), num_bands)
        offset = np.zeros(num_bands) if shift is None else shift
    elif factor is not None and factor[0] > 0:
        level = float(factor[0])
        if dtype.kind not in "ui":
            gain = None if level == 1 else 1 / level
            level = None
    found = CubeHeader(
        shape=header.shape,
        dtype=dtype,
        white_level=level,
        wavelengths_nm=centres,
        metadata={name: value for name, value in free.items() if value},
        nodata=number_or_nan(header.text("data ignore value")),
        fwhm_nm=widths,
        band_names=tuple(names) if names is not None and len(names) == num_bands else None,
        good_bands=flags(header.listed("bbl"), num_bands),
        georeference=georeference_of(header),
        gain=gain,
        offset=offset,
    )
    return record.complete(found)


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
