"""A folder of one gray PNG a band, in the natural order of their names: the form that CAVE comes in.

Read: 8 or 16 bits, divided by 255 or 65535; a folder that mixes both is read as 16 bits (v 257 is the same
fraction). Colour PNGs with equal channels count as gray and alpha is dropped. Wavelengths: one number a
line in `wavelength_nm.txt`; 31 files named like CAVE's own (`..._ms_01.png` to `..._ms_31.png`) are 400 to
700 nm by 10.
Written: `band_01.png` ..., 16 bits, clipped to [0, 1] with a warning, and `wavelength_nm.txt`. Metadata has
no place here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from natsort import natsorted
from numpy.typing import NDArray

from hsr_tf.checks import file_error
from hsr_tf.files import replacing_folder
from hsr_tf.io.png import PngHeader, encode_png, gray_png, read_png_header, to_uint16
from hsr_tf.io.source import BandSource, ReadRequest, decoding, refuse_option
from hsr_tf.scene import Scene

FORMAT = "folder of PNG bands"
WAVELENGTH_FILE = "wavelength_nm.txt"
CAVE_NAME = re.compile(r".*_ms_\d\d\.png", re.IGNORECASE)
CAVE_WAVELENGTHS_NM = np.arange(400.0, 701.0, 10.0)
OUR_NAME = re.compile(r"band_\d+\.png")


@contextmanager
def open_png_folder(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    """Open a folder as a source of bands; one file is read at a time.

    Raises:
        OSError: no PNG in the folder, bands of different sizes, a damaged or coloured band.
        ValueError: a key or layout, which mean nothing here.
    """
    refuse_option(path, "key", request.key, FORMAT)
    refuse_option(path, "layout", request.layout, FORMAT)
    files = _band_files(path)
    headers = [read_png_header(file) for file in files]
    _require_one_size(files, headers)
    dtype = max((header.dtype for header in headers), key=lambda held: held.itemsize)
    yield BandSource(
        path=path,
        format=FORMAT,
        shape=(*headers[0].size, len(files)),
        dtype=dtype,
        read=lambda bands, rows, cols: np.stack(
            [_widened(gray_png(file)[rows, cols], dtype) for file in files[bands]]
        ),
        white_level=float(np.iinfo(dtype).max),
        wavelengths_nm=_wavelengths(path, files),
        name=path.resolve().name,
    )


def write_png_folder(scene: Scene, path: Path) -> None:
    """Write one 16-bit PNG a band; the folder appears whole or not at all.

    Raises:
        OSError: the folder holds files of another kind, which are never removed; the disk is full.
    """
    _require_replaceable(path)
    values = to_uint16(scene.cube, scene.nodata_mask)
    digits = max(2, len(str(scene.num_bands)))
    with replacing_folder(path) as fresh:
        for band in range(scene.num_bands):
            (fresh / f"band_{band + 1:0{digits}d}.png").write_bytes(encode_png(values[..., band]))
        if scene.wavelengths_nm is not None:
            lines = "".join(f"{wavelength!r}\n" for wavelength in scene.wavelengths_nm.tolist())
            (fresh / WAVELENGTH_FILE).write_text(lines, encoding="utf-8")


def _band_files(path: Path) -> list[Path]:
    with decoding(path, FORMAT):
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    files = [entry for entry in entries if entry.suffix.lower() == ".png" and entry.is_file()]
    if not files:
        inside = [entry for entry in entries if entry.is_dir() and any(entry.glob("*.png"))]
        hint = f"give {inside[0]}, which does" if inside else "give a folder with one PNG a band"
        raise file_error(path, "is a folder that holds no PNG files", hint)
    return natsorted(files, key=lambda file: file.name)


def _require_one_size(files: list[Path], headers: list[PngHeader]) -> None:
    height, width = headers[0].size
    for file, header in zip(files, headers, strict=True):
        if header.size != (height, width):
            size = f"{header.size[0]}x{header.size[1]}"
            problem = f"is {size} pixels, the first band ({files[0].name}) {height}x{width}"
            raise file_error(file, problem, "keep one scene a folder")


def _widened(band: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    return band if band.dtype == dtype else band.astype(dtype) * dtype.type(257)


def _wavelengths(path: Path, files: list[Path]) -> NDArray[np.float64] | None:
    listed = path / WAVELENGTH_FILE
    if listed.is_file():
        with decoding(listed, "list of wavelengths"):
            return np.array([float(word) for word in listed.read_text(encoding="utf-8").split()])
    if len(files) == CAVE_WAVELENGTHS_NM.size and all(CAVE_NAME.fullmatch(file.name) for file in files):
        return CAVE_WAVELENGTHS_NM
    return None


def _require_replaceable(path: Path) -> None:
    """An existing folder is replaced only when it holds nothing but an earlier result."""
    if not path.is_dir():
        return
    foreign = [entry.name for entry in path.iterdir() if not _is_ours(entry)]
    if foreign:
        problem = f"is a folder with other files in it ({foreign[0]}), which are not overwritten"
        raise file_error(path, problem, "choose a new folder")


def _is_ours(entry: Path) -> bool:
    return entry.is_file() and (entry.name == WAVELENGTH_FILE or OUR_NAME.fullmatch(entry.name) is not None)
