"""MATLAB .mat files: up to version 7 through SciPy, version 7.3 (which is HDF5) through h5py.

Axes are in the order of MATLAB: that of the text `layout` in the file, else the one that the wavelengths or
the lengths suggest (`companion_layout`), row,col,band by default. A layout given by the caller is meant so
too, whatever the version (version 7.3 stores the axes reversed, which is undone here). The cube is the key
given, else the first known name below that is 3-D, else the only 3-D array. The other variables are those of
`hsr_tf.io.companions`. Floating-point values are taken as they are, so that ICVL's `rad`, 0 to 4095 in
floating point, needs white_level=4095.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error
from hsr_tf.files import replacing_file
from hsr_tf.io.account import Account
from hsr_tf.io.arrays import Squeezed, band_reader, choose_key, kept_axes, parse_layout
from hsr_tf.io.companions import (
    NAMES,
    companion_arrays,
    companion_header,
    companion_layout,
    leave_others,
    stated_layout,
)
from hsr_tf.io.format import WholeFormat
from hsr_tf.io.hdf5 import find_dataset, open_file
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.mat_check import require_true_sizes
from hsr_tf.io.source import BandSource, ReadRequest, decoded, decoding, require_real, require_room

FORMAT_73 = "MATLAB 7.3"
DEFAULT_LAYOUT = "row,col,band"
KNOWN_KEYS = (
    "cube",  # this project
    "hsi", "HSI", "msi",  # CAVE as the fusion papers repack it
    "ref",  # Harvard
    "rad",  # ICVL, with its wavelengths in `bands`
    "tensor",  # NUS
    "pavia", "paviaU",
    "chikusei",
    "indian_pines_corrected", "indian_pines",
)  # fmt: skip
COMPANIONS = {*NAMES} - {"scale"}
DTYPES: dict[str, np.dtype[Any]] = {
    "double": np.dtype(np.float64),
    "single": np.dtype(np.float32),
    **{f"{sign}int{bits}": np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
MAX_VARIABLE_BYTES = 2**31 - 1


class Matlab(WholeFormat):
    """MATLAB files; version 7.3 is read in parts, older versions at once, and version 5 is written."""

    name = "MATLAB"
    suffixes = (".mat",)
    reads = "versions 5 and 7.3; 7.3 in parts"
    writes = "version 5, up to 2 GiB"
    reads_parts = False

    @contextmanager
    def open(self, path: Path, request: ReadRequest) -> Iterator[BandSource]:
        with decoding(path, self.name), open(path, "rb") as file:
            is_version_73 = file.read(10) == b"MATLAB 7.3" or h5py.is_hdf5(path)
        with (_open_73 if is_version_73 else _open_5)(path, request) as source:
            yield source

    def write(self, path: Path, header: CubeHeader, cube: NDArray[Any]) -> None:
        if cube.nbytes > MAX_VARIABLE_BYTES:
            problem = f"cannot hold a cube of {cube.nbytes / 2**30:.1f} GiB, the format ends at 2 GiB"
            raise file_error(path, problem, "save it as .h5, which MATLAB reads with h5read")
        variables = {"layout": DEFAULT_LAYOUT, **companion_arrays(header)}
        variables["cube"] = cube  # last: a file cut short anywhere then lacks a part of the cube
        from scipy.io import savemat

        with replacing_file(path) as temporary, open(temporary, "wb") as file:
            savemat(file, variables, do_compression=False)


@contextmanager
def _open_73(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    with open_file(path, FORMAT_73) as file:
        dataset, account = (
            find_dataset(path, file, request.key, preferred=KNOWN_KEYS),
            Account(one_of_several=request.key is not None),
        )
        array = dataset if dataset.ndim <= 3 else Squeezed(dataset)
        with decoding(path, FORMAT_73):
            small = {name: item for name, item in file.items() if name in COMPANIONS}
            small = {n: one for n, one in small.items() if isinstance(one, h5py.Dataset) and one.size}
            held = {n: np.asarray(one[...]) for n, one in small.items() if one.size <= max(array.shape)}
        usual = companion_layout(tuple(reversed(array.shape)), held, DEFAULT_LAYOUT, account)
        layout = request.layout or usual
        parse_layout(layout)
        shape, read = band_reader(array, ",".join(reversed(layout.split(","))))
        names = [name for name in file if not name.startswith("#")]
        leave_others(names, dataset.name.lstrip("/"), account)
        header = companion_header(
            path, held, shape, dataset.dtype, given=request.white_level, account=account
        )
        yield BandSource(path, FORMAT_73, header, decoded(path, FORMAT_73, read))


@contextmanager
def _open_5(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    from scipy.io import loadmat, whosmat

    with decoding(path, Matlab.name):
        require_true_sizes(path)
        listed = whosmat(path, appendmat=False)
    shapes = {name: tuple(shape) for name, shape, kind in listed if kind in DTYPES}
    kinds = {name: kind for name, _, kind in listed}
    if request.key in kinds and kinds[request.key] not in DTYPES:
        problem = f"{request.key!r} is a {kinds[request.key]}, not an array of numbers"
        held_words = ", ".join(f"{name} ({kind})" for name, kind in sorted(kinds.items()))
        raise file_error(path, problem, f"the file holds {held_words}")
    key = choose_key(path, shapes, request.key, preferred=KNOWN_KEYS)
    require_room(path, shapes[key], DTYPES[kinds[key]], request)
    readable = {name for name, kind in kinds.items() if kind in DTYPES or kind == "char"}
    with decoding(path, Matlab.name):
        held = loadmat(path, appendmat=False, variable_names=sorted({key, "layout", *COMPANIONS} & readable))
    cube = held.pop(key)
    require_real(path, cube.dtype)
    account, dtype = Account(one_of_several=request.key is not None), cube.dtype.newbyteorder("=")
    cube = cube.reshape([cube.shape[axis] for axis in kept_axes(cube.shape)])
    stated = request.layout or stated_layout(held)
    layout = stated or companion_layout(cube.shape, held, DEFAULT_LAYOUT, account)
    shape, read = band_reader(cube, layout)
    leave_others(kinds.keys() - {"layout"}, key, account)
    header = companion_header(path, held, shape, dtype, given=request.white_level, account=account)
    yield BandSource(path, Matlab.name, header, read)
