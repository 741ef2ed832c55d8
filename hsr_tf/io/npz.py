"""NumPy .npz archives; pickled objects are never read.

The cube is the key given, else `cube`, else the only 3-D array. Axes: the entry `layout`, else row,col,band.
The other entries are those of `hsr_tf.io.companions`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hsr_tf.files import replacing_file
from hsr_tf.io.account import Account
from hsr_tf.io.arrays import band_reader, choose_key, kept_axes
from hsr_tf.io.companions import (
    NAMES,
    companion_arrays,
    companion_header,
    companion_layout,
    leave_others,
    stated_layout,
)
from hsr_tf.io.format import WholeFormat
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.source import BandSource, ReadRequest, decoding, require_real, require_room

DEFAULT_LAYOUT = "row,col,band"


class Npz(WholeFormat):
    """NumPy archives, read after the headers of their arrays have been checked."""

    name = "NumPy .npz"
    suffixes = (".npz",)
    reads = "no pickles"
    writes = "yes"
    reads_parts = False

    @contextmanager
    def open(self, path: Path, request: ReadRequest) -> Iterator[BandSource]:
        with decoding(path, self.name), zipfile.ZipFile(path) as archive:
            headers = {}
            for name in (name for name in archive.namelist() if name.endswith(".npy")):
                with archive.open(name) as member:
                    is_old = npy.read_magic(member) == (1, 0)
                    read_header = npy.read_array_header_1_0 if is_old else npy.read_array_header_2_0
                    shape, _, dtype = read_header(member)
                headers[name.removesuffix(".npy")] = shape, dtype
            shapes = {name: shape for name, (shape, _) in headers.items()}
            key = choose_key(path, shapes, request.key, preferred=("cube",))
            require_real(path, headers[key][1])
            require_room(path, *headers[key], request)
            cube = _read(archive, key)
            held = {}
            for name in {"layout", *NAMES} & headers.keys() - {key}:
                shape, dtype = headers[name]
                if len(shape) <= 2 and not dtype.hasobject:  # no larger than a mask, no pickled object
                    held[name] = _read(archive, name)
        account = Account(one_of_several=request.key is not None)
        cube = cube.reshape([cube.shape[axis] for axis in kept_axes(cube.shape)])
        stated = request.layout or stated_layout(held)
        shape, read = band_reader(cube, stated or companion_layout(cube.shape, held, DEFAULT_LAYOUT, account))
        leave_others(headers.keys() - {"layout"}, key, account)
        header = companion_header(path, held, shape, cube.dtype, given=request.white_level, account=account)
        yield BandSource(path, self.name, header, read)

    def write(self, path: Path, header: CubeHeader, cube: NDArray[Any]) -> None:
        entries = {"layout": DEFAULT_LAYOUT, **companion_arrays(header)}
        with replacing_file(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, cube=cube, **entries)


def _read(archive: zipfile.ZipFile, key: str) -> NDArray[Any]:
    with archive.open(f"{key}.npy") as member:
        array: NDArray[Any] = npy.read_array(member, allow_pickle=False)
        member.read()  # to the end, so that the checksum of the archive is compared
    return array
