"""MATLAB .mat files: up to version 7 through SciPy, version 7.3 (which is HDF5) through h5py.

Axes. MATLAB's own order is taken to be row,col,band; a layout given by the caller is in MATLAB's order too,
whatever the version (version 7.3 stores the axes reversed, which is undone here).
The cube is the key given, else the first known name below that is 3-D, else the only 3-D array. Integers
are divided by a variable `white_level` or `reflectance_scale`, else by the largest value of their type;
floating-point values are taken as they are (so ICVL's `rad`, 0 to 4095 in floating point, wants
white_level=4095).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error
from hsr_tf.files import replacing_file
from hsr_tf.io.arrays import (
    band_reader,
    choose_key,
    find_white_level,
    metadata_from_text,
    parse_layout,
    usable_wavelengths,
)
from hsr_tf.io.companions import NAMES, companion_arrays, companions_of
from hsr_tf.io.hdf5 import find_dataset, opened
from hsr_tf.io.mat_check import require_true_sizes
from hsr_tf.io.source import BandSource, ReadRequest, decoded, decoding, require_real, require_room
from hsr_tf.io.stream import CubeHeader, header_of
from hsr_tf.scene import Scene

FORMAT_5 = "MATLAB"
FORMAT_73 = "MATLAB 7.3"
DEFAULT_LAYOUT = "row,col,band"
KNOWN_KEYS = (
    "cube",  # this project
    "hsi", "HSI", "msi",  # CAVE as the fusion papers repack it
    "ref",  # Harvard
    "rad",  # ICVL, with its wavelengths in `bands`
    "pavia", "paviaU",
    "chikusei",
    "indian_pines_corrected", "indian_pines",
)  # fmt: skip
WAVELENGTH_NAMES = ("wavelength_nm", "wavelengths_nm", "wavelengths", "wavelength", "bands")
NUMERIC_CLASSES = (
    "double",
    "single",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)
MAX_VARIABLE_BYTES = 2**31 - 1


@contextmanager
def open_mat(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    """Open a .mat file of any version as a source of bands; version 7.3 streams, older ones are read at once.

    Raises:
        OSError: a damaged file, no or several 3-D arrays, an unknown key, a cube beyond the size limit.
        ValueError: a layout that does not name the three axes.
    """
    with decoding(path, FORMAT_5), open(path, "rb") as file:
        is_version_73 = file.read(10) == b"MATLAB 7.3" or h5py.is_hdf5(path)
    with (_open_73 if is_version_73 else _open_5)(path, request) as source:
        yield source


def write_mat(scene: Scene, path: Path) -> None:
    """Write version 5: `cube` (row,col,band) single and what `hsr_tf.io.companions` lists.

    Raises:
        OSError: more than 2 GiB, which version 5 cannot hold; a full disk (an older file stays as it was).
    """
    write_mat_cube(replace(header_of(scene), nodata_mask=scene.nodata_mask), scene.cube, path)


def write_mat_cube(header: CubeHeader, cube: NDArray[Any], path: Path) -> None:
    """Write stored values (H, W, C) of any type, and what the header tells; errors as in `write_mat`."""
    if cube.nbytes > MAX_VARIABLE_BYTES:
        problem = f"cannot hold a cube of {cube.nbytes / 2**30:.1f} GiB, the format ends at 2 GiB"
        raise file_error(path, problem, "save it as .h5, which MATLAB reads with h5read")
    variables = companion_arrays(header)
    variables["cube"] = cube  # last: a file cut short anywhere then lacks a part of the cube
    from scipy.io import savemat

    with replacing_file(path) as temporary, open(temporary, "wb") as file:
        savemat(file, variables, do_compression=False)


@contextmanager
def _open_73(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    with opened(path, FORMAT_73) as file:
        dataset = find_dataset(path, file, request.key, preferred=KNOWN_KEYS)
        layout = request.layout or DEFAULT_LAYOUT
        parse_layout(layout)
        shape, read = band_reader(dataset, ",".join(reversed(layout.split(","))))
        with decoding(path, FORMAT_73):
            small = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
            small = {name: np.asarray(item[...]) for name, item in small.items() if 0 < item.size <= shape[2]}
        yield BandSource(
            path=path,
            format=FORMAT_73,
            shape=shape,
            dtype=dataset.dtype,
            read=decoded(path, FORMAT_73, read),
            white_level=_white_level(path, small, request),
            wavelengths_nm=_wavelengths(small, shape[2]),
        )


@contextmanager
def _open_5(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    from scipy.io import loadmat, whosmat

    with decoding(path, FORMAT_5):
        require_true_sizes(path)
        listed = whosmat(path, appendmat=False)
    shapes = {name: tuple(shape) for name, shape, kind in listed if kind in NUMERIC_CLASSES}
    _refuse_other_class(path, {name: kind for name, _, kind in listed}, request.key)
    kinds = {name: kind for name, _, kind in listed if kind in (*NUMERIC_CLASSES, "char")}
    key = choose_key(path, shapes, request.key, preferred=KNOWN_KEYS)
    require_room(path, shapes[key], _dtype(kinds[key]), request)
    wanted = {
        key,
        *WAVELENGTH_NAMES,
        *NAMES,
        "white_level",
        "reflectance_scale",
        "nodata_mask",
        "name",
        "metadata",
    }
    with decoding(path, FORMAT_5):
        held = loadmat(path, appendmat=False, variable_names=sorted(wanted & kinds.keys()))
    require_real(path, held[key].dtype)
    shape, read = band_reader(held[key], request.layout or DEFAULT_LAYOUT)
    beside = companions_of(held, shape[2])
    yield BandSource(
        path=path,
        format=FORMAT_5,
        shape=shape,
        dtype=held[key].dtype.newbyteorder("="),
        read=read,
        white_level=_white_level(path, held, request),
        wavelengths_nm=_wavelengths(held, shape[2]),
        metadata=metadata_from_text(_text(held, "metadata")),
        name=_text(held, "name"),
        nodata_mask=held.get("nodata_mask"),
        nodata=beside.nodata,
        fwhm_nm=beside.fwhm_nm,
        band_names=beside.band_names,
        good_bands=beside.good_bands,
        georeference=beside.georeference,
        gain=beside.gain,
        offset=beside.offset,
        in_memory=True,
    )


def _dtype(kind: str) -> np.dtype[Any]:
    """The type of a class of numbers; numbers that are whole may be stored in less."""
    return np.dtype({"double": "float64", "single": "float32"}.get(kind, kind))


def _refuse_other_class(path: Path, kinds: dict[str, str], key: str | None) -> None:
    kind = kinds.get(key or "")
    if kind is not None and kind not in NUMERIC_CLASSES:
        held = ", ".join(f"{name} ({kind})" for name, kind in sorted(kinds.items()))
        raise file_error(path, f"{key!r} is a {kind}, not an array of numbers", f"the file holds {held}")


def _white_level(path: Path, held: dict[str, Any], request: ReadRequest) -> float | None:
    found: dict[str, Any] = {name: value for name, value in held.items() if name != "scale"}
    return find_white_level(path, found, given=request.white_level)


def _wavelengths(held: dict[str, NDArray[Any]], num_bands: int) -> NDArray[np.float64] | None:
    found = (usable_wavelengths(held.get(name), num_bands) for name in WAVELENGTH_NAMES)
    return next((wavelengths for wavelengths in found if wavelengths is not None), None)


def _text(held: dict[str, Any], name: str) -> str:
    value = held.get(name)
    return str(value.ravel()[0]) if value is not None and value.dtype.kind == "U" and value.size else ""
