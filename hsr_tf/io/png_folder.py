"""A folder of one gray PNG per band, in the natural order of their names: the form that CAVE comes in.

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
from numpy.typing import NDArray

from hsr_tf.checks import file_error
from hsr_tf.files import replacing_folder
from hsr_tf.imports import deferred
from hsr_tf.io.account import Account
from hsr_tf.io.format import PictureFormat
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.picture_formats import to_uint16
from hsr_tf.io.png import encode_png, gray_png, read_png_header
from hsr_tf.io.source import BandSource, ReadRequest, decoding, refuse_options
from hsr_tf.scene import Scene

natsort = deferred("natsort")

FORMAT = "folder of PNG bands"
WIDEN = np.uint16(257)  # 8 bits as the same fraction of 16
WAVELENGTH_FILE = "wavelength_nm.txt"
CAVE_NAME = re.compile(r".*_ms_\d\d\.png", re.IGNORECASE)
CAVE_WAVELENGTHS_NM = np.arange(400.0, 701.0, 10.0)
OUR_NAME = re.compile(r"band_\d+\.png")


class PngFolder(PictureFormat):
    """Folders of one gray PNG per band."""

    name = "folder of PNG bands"
    reads = "8 and 16 bits, one band per file in natural order"
    writes = "16 bits, clipped to [0, 1]"
    is_folder, reads_parts = True, False
    keeps = frozenset({"wavelengths_nm"})

    def recognises(self, path: Path) -> bool:
        return path.is_dir()

    def files(self, path: Path) -> tuple[Path, ...]:
        return (path,) if any(path.glob("*.[pP][nN][gG]")) else ()

    @contextmanager
    def open(self, path: Path, request: ReadRequest) -> Iterator[BandSource]:
        refuse_options(path, request, FORMAT)
        files, account = _band_files(path), Account()
        listed = path / WAVELENGTH_FILE
        account.use(*([listed.name] if listed.is_file() else []))
        others = (one.name for one in path.iterdir() if one not in files and one != listed)
        account.leave_all("files", sorted(name for name in others if not name.startswith(".")))
        headers = [read_png_header(file) for file in files]
        height, width = headers[0].size
        for file, header in zip(files, headers, strict=True):
            if header.size != (height, width):
                size = f"{header.size[0]}x{header.size[1]}"
                problem = f"is {size} pixels, the first band ({files[0].name}) {height}x{width}"
                raise file_error(file, problem, "keep one scene a folder")
        dtype = max((header.dtype for header in headers), key=lambda held: held.itemsize)

        def read(bands: slice, rows: slice, cols: slice) -> NDArray[Any]:
            found = [gray_png(file)[rows, cols] for file in files[bands]]
            return np.stack([one if one.dtype == dtype else one.astype(dtype) * WIDEN for one in found])

        cube_header = CubeHeader(
            shape=(*headers[0].size, len(files)),
            dtype=dtype,
            white_level=float(np.iinfo(dtype).max),
            wavelengths_nm=_wavelengths(path, files),
            name=path.resolve().name,
            used=account.used,
            findings=account.findings,
        )
        yield BandSource(path, FORMAT, cube_header, read)

    def require_target(self, path: Path) -> None:
        """Refuse a folder that holds other files than an earlier result; they are never removed."""
        for entry in path.iterdir() if path.is_dir() else ():
            is_ours = entry.name == WAVELENGTH_FILE or OUR_NAME.fullmatch(entry.name) is not None
            if not (entry.is_file() and is_ours):
                problem = f"is a folder with other files in it ({entry.name}), which are not overwritten"
                raise file_error(path, problem, "choose a new folder")

    def save(self, scene: Scene, path: Path) -> None:
        self.require_target(path)
        values, digits = to_uint16(scene), max(2, len(str(scene.num_bands)))
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
        hint = f"give {inside[0]}, which does" if inside else "give a folder with one PNG per band"
        raise file_error(path, "is a folder that holds no PNG files", hint)
    return natsort.natsorted(files, key=lambda file: file.name)


def _wavelengths(path: Path, files: list[Path]) -> NDArray[np.float64] | None:
    listed = path / WAVELENGTH_FILE
    if listed.is_file():
        with decoding(listed, "list of wavelengths"):
            return np.array([float(word) for word in listed.read_text(encoding="utf-8").split()])
    if len(files) == CAVE_WAVELENGTHS_NM.size and all(CAVE_NAME.fullmatch(file.name) for file in files):
        return CAVE_WAVELENGTHS_NM
    return None
