"""NumPy .npz archives; pickled objects are never read.

The cube is the key given, else `cube`, else the only 3-D array. Axes: the entry `layout`, else
row,col,band. Integers are divided by the entry `white_level`, else by the largest value of their type;
floating-point values are taken as they are.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hsr_tf.files import replacing_file
from hsr_tf.io.arrays import (
    WHITE_LEVEL_NAMES,
    band_reader,
    choose_key,
    find_white_level,
    metadata_from_text,
    usable_wavelengths,
)
from hsr_tf.io.companions import NAMES, companion_arrays, companions_of
from hsr_tf.io.source import BandSource, ReadRequest, decoding, require_real, require_room
from hsr_tf.io.stream import CubeHeader, header_of
from hsr_tf.scene import Scene

FORMAT = "NumPy .npz"
DEFAULT_LAYOUT = "row,col,band"
WAVELENGTH_NAMES = ("wavelength_nm", "wavelengths_nm", "wavelengths")
COMPANIONS = (*WAVELENGTH_NAMES, *WHITE_LEVEL_NAMES, "layout", "name", "metadata", "nodata_mask", *NAMES)


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@contextmanager
def open_npz(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    """Open an archive as a source of bands; the cube is read at once, after its header has been checked.

    Raises:
        OSError: a damaged file, no or several 3-D arrays, an unknown key, pickled objects, a cube beyond the
            limit.
        ValueError: a layout that does not name the three axes.
    """
    with decoding(path, FORMAT):
        archive = zipfile.ZipFile(path)
    with archive:
        with decoding(path, FORMAT):
            headers = {
                _key(name): _header(archive, name) for name in archive.namelist() if name.endswith(".npy")
            }
        shapes = {name: header.shape for name, header in headers.items()}
        key = choose_key(path, shapes, request.key, preferred=("cube",))
        require_real(path, headers[key].dtype)
        require_room(path, shapes[key], headers[key].dtype, request)
        with decoding(path, FORMAT):
            cube = _read(archive, key)
            held = {
                name: _read(archive, name)
                for name in COMPANIONS
                if name != key and _is_small(headers.get(name))
            }
        shape, read = band_reader(cube, request.layout or str(held.get("layout", DEFAULT_LAYOUT)))
        beside = companions_of(held, shape[2])
        found = (usable_wavelengths(held.get(name), shape[2]) for name in WAVELENGTH_NAMES)
        yield BandSource(
            path=path,
            format=FORMAT,
            shape=shape,
            dtype=cube.dtype,
            read=read,
            white_level=find_white_level(path, held, given=request.white_level),
            wavelengths_nm=next((wavelengths for wavelengths in found if wavelengths is not None), None),
            metadata=metadata_from_text(held.get("metadata", "")),
            name=str(held.get("name", "")),
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


def write_npz(scene: Scene, path: Path) -> None:
    """Write `cube` (row,col,band) float32, `layout` and what `hsr_tf.io.companions` lists.

    Raises:
        OSError: the disk is full or the place cannot be written; an older file stays as it was.
    """
    write_npz_cube(replace(header_of(scene), nodata_mask=scene.nodata_mask), scene.cube, path)


def write_npz_cube(header: CubeHeader, cube: NDArray[Any], path: Path) -> None:
    """Write stored values (H, W, C) of any type, and what the header tells; errors as in `write_npz`."""
    entries = {"layout": DEFAULT_LAYOUT, **companion_arrays(header)}
    with replacing_file(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, cube=cube, **entries)


def _key(name: str) -> str:
    return name.removesuffix(".npy")


def _header(archive: zipfile.ZipFile, name: str) -> _Header:
    with archive.open(name) as member:
        version = npy.read_magic(member)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(member)
    return _Header(shape=shape, dtype=dtype)


def _is_small(header: _Header | None) -> bool:
    """There, no larger than a mask, and no pickled object."""
    return header is not None and len(header.shape) <= 2 and not header.dtype.hasobject


def _read(archive: zipfile.ZipFile, key: str) -> NDArray[Any]:
    with archive.open(f"{key}.npy") as member:
        array: NDArray[Any] = npy.read_array(member, allow_pickle=False)
        _finish(member)
    return array


def _finish(member: IO[bytes]) -> None:
    """Read to the end, so that the checksum of the archive is compared."""
    member.read()
