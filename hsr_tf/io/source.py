"""What every reader returns: the header of a cube and a function that reads any part of its values."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import FileError, InputError, file_error, require
from hsr_tf.io.header import CubeHeader
from hsr_tf.tiling.memory import GIB

LARGEST_RATIO, ROOM_BYTES = 20_000, 2**26
WINDOW_BYTES = 2 * 2**20
PartReader = Callable[[slice, slice, slice], NDArray[Any]]
MaskReader = Callable[[slice, slice], NDArray[np.bool_]]
EVERYTHING = slice(None)
ALPHA_CHOICES = ("band", "mask")


@dataclass(frozen=True)
class References:
    """Images of a white and a dark panel.

    Attributes:
        white, dark: files; None for those that lie beside the raw image under the names of its maker.
    """

    white: Path | None = None
    dark: Path | None = None


@dataclass(frozen=True)
class ReadRequest:
    """What the caller knows better than the file; None leaves it to the file.

    Args:
        key: the array to read where a file holds several.
        layout: order of its axes, e.g. "band,row,col".
        white_level: stored value that stands for 1.0.
        wavelengths_nm: centre of each band in nanometres, (C,).
        max_gib: refuse cubes whose float32 form takes more GiB.
        in_parts: parts are read, so that a cube takes memory only in a format that can only be read at once,
            and only as it is stored; `max_gib` then limits that.
        nodata: stored value of pixels without data, in place of that of the file.
        alpha: "band" to read an alpha channel as a band, "mask" as the mask of pixels without data.
        ortho: whether to put a swath on the grid of the lookup table in its file.
        references: images of a white and a dark panel, by which raw counts become reflectance; None for none.
        allow_remote: whether files on servers and in archives are opened (`hsr_tf.io.remote`).
    """

    key: str | None = None
    layout: str | None = None
    white_level: float | None = None
    wavelengths_nm: NDArray[Any] | None = None
    max_gib: float = 16.0
    in_parts: bool = False
    nodata: float | None = None
    alpha: str | None = None
    ortho: bool = False
    references: References | None = None
    allow_remote: bool = False


@dataclass(frozen=True, eq=False)
class RemoteFile:
    """A file on a server or in an archive, of which this machine knows neither size nor time.

    Attributes:
        num_bytes: returns how many hold its values.
        digest: returns what tells whether the file is the same as before.
    """

    num_bytes: Callable[[], int]
    digest: Callable[[], str]


@dataclass(frozen=True, eq=False)
class BandSource:
    """An open file that holds a cube.

    Args:
        path: the file or folder.
        format: its format, in words.
        header: what the file says of the cube. A `nodata_mask` in it is complete: the nodata value then marks
            nothing more.
        read: `read(bands, rows, cols)` returns the stored values of these slices, (bands, rows, columns).
        read_mask: `read_mask(rows, cols)` returns (rows, columns), True where an alpha channel or a mask in
            the file says that there is no data, or None; the nodata value counts as well.
        chunks: (bands, rows, columns) stored together, or None if unknown.
        storage: how it is stored, in words, e.g. "BIL, big endian".
        remote: what is known of a file that is none of this machine; None for any other.
    """

    path: Path
    format: str
    header: CubeHeader
    read: PartReader
    read_mask: MaskReader | None = None
    chunks: tuple[int, int, int] | None = None
    storage: str = ""
    remote: RemoteFile | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.header.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored values."""
        return self.header.dtype

    def stored_mask(self, rows: slice, cols: slice) -> NDArray[np.bool_] | None:
        """Return (h, w), True without data by the mask of the file; None for a file without mask."""
        if self.header.nodata_mask is not None:
            return np.asarray(self.header.nodata_mask)[rows, cols].astype(bool)
        return None if self.read_mask is None else self.read_mask(rows, cols)

    def windows(self) -> Iterator[tuple[slice, slice, slice]]:
        """Return windows (bands, rows, columns) of a few MiB that cover the cube once, along its chunks."""
        height, width, num_bands = self.shape
        depth, chunk_rows, chunk_cols = self.chunks or (1, height, width)
        size = self.dtype.itemsize
        rows = WINDOW_BYTES // (depth * width * size)
        rows = min(height, max(chunk_rows, rows - rows % chunk_rows))
        cols, bands = width, depth
        if depth * rows * width * size > 2 * WINDOW_BYTES:
            cols = max(chunk_cols, WINDOW_BYTES // (depth * rows * size))
            cols = min(width, -(-cols // chunk_cols) * chunk_cols)
        if rows == height and cols == width:
            bands = max(1, WINDOW_BYTES // (rows * cols * size * depth)) * depth
        for first in range(0, num_bands, bands):
            for top in range(0, height, rows):
                for left in range(0, width, cols):
                    yield (
                        slice(first, min(first + bands, num_bands)),
                        slice(top, min(top + rows, height)),
                        slice(left, min(left + cols, width)),
                    )


def with_nodata(source: BandSource, nodata: float | None) -> BandSource:
    """Return the source with the nodata value that the caller gives, if any; a mask of the file still counts.

    Warns:
        UserWarning: the file has another one.
    """
    header = source.header
    if nodata is None or header.nodata == nodata:
        return source
    if header.nodata is not None and not np.isnan(header.nodata):
        message = (
            f"{source.path.name}: its own nodata value {header.nodata:g} is replaced by the given {nodata:g}"
        )
        warnings.warn(message, stacklevel=2)
    mask, read_mask = header.nodata_mask, source.read_mask
    if mask is not None:
        held = np.asarray(mask).astype(bool)
        read_mask = lambda rows, cols: held[rows, cols]  # noqa: E731
    return replace(source, header=replace(header, nodata=nodata, nodata_mask=None), read_mask=read_mask)


def with_wavelengths(source: BandSource, wavelengths_nm: NDArray[Any] | None) -> BandSource:
    """Return the source with the wavelengths that the caller gives, if any.

    Raises:
        ValueError: another number of them than of bands.

    Warns:
        UserWarning: the file has others of its own.
    """
    if wavelengths_nm is None:
        return source
    num_bands, own = source.shape[2], source.header.wavelengths_nm
    require(
        len(wavelengths_nm) == num_bands,
        "wavelengths",
        expected=f"one for each of the {num_bands} bands of {source.path.name}",
        received=str(len(wavelengths_nm)),
        remedy="give as many as the cube has bands",
    )
    if own is not None and not np.allclose(own, wavelengths_nm, rtol=0, atol=1e-6):
        span = f"{np.min(own):g} to {np.max(own):g} nm"
        message = f"{source.path.name}: its own wavelengths ({span}) are replaced by the given ones"
        warnings.warn(message, stacklevel=2)
    given = np.asarray(wavelengths_nm, np.float64)
    return replace(source, header=replace(source.header, wavelengths_nm=given))


def refuse_options(path: Path, request: ReadRequest, format_name: str) -> None:
    """Refuse a key and a layout, which mean nothing for formats with one cube in a fixed order.

    Raises:
        ValueError: one is given.
    """
    for name, value in (("key", request.key), ("layout", request.layout)):
        require(
            value is None,
            name,
            expected=f"nothing for {format_name}",
            received=repr(value),
            remedy=f"leave it out to read {path.name}",
        )


def refuse_ortho(path: Path, request: ReadRequest) -> None:
    """Refuse the request for a grid that no lookup table gives.

    Raises:
        ValueError: it is made.
    """
    require(
        not request.ortho,
        "ortho",
        expected="a NetCDF file with a lookup table (glt_x, glt_y), such as EMIT's",
        received=path.name,
        remedy="leave --ortho out",
    )


def require_real(path: Path, dtype: np.dtype[Any]) -> None:
    """Refuse complex, text, object and other arrays that are not of real numbers."""
    if dtype.kind not in "uif":
        raise file_error(
            path, f"holds values of type {dtype}, not real numbers", "convert them to float32 first"
        )


def require_size(path: Path, shape: tuple[int, ...], max_gib: float) -> None:
    """Refuse an empty cube, and one whose float32 form is beyond the limit, before memory is taken for it."""
    num_values = math.prod(int(length) for length in shape)
    if num_values < 1:
        raise file_error(path, f"its cube is empty (shape {tuple(shape)})", "give a file that holds data")
    gib = num_values * 4 / GIB
    if gib > max_gib:
        size = "x".join(str(length) for length in shape)
        problem = f"a cube of {size} takes {gib:.1f} GiB as float32, more than the limit of {max_gib:g} GiB"
        raise file_error(path, problem, "crop it, or raise max_gib if the machine has the memory")


def require_room(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], request: ReadRequest) -> None:
    """Refuse a cube of a format that can only be read at once, before memory is taken for it.

    Raises:
        OSError: more than the request allows, as it is held: float32, or as stored where parts are read.
    """
    require_size(path, shape, np.inf if request.in_parts else request.max_gib)
    gib = math.prod(int(length) for length in shape) * dtype.itemsize / GIB
    if request.in_parts and gib > request.max_gib:
        size = "x".join(str(length) for length in shape)
        held = f"its {size} {dtype.name} take {gib:.3g} GiB, more than the {request.max_gib:.3g} GiB left"
        remedy = "turn it into .h5 or .zarr (hsr convert), which are read in parts, or raise the limit"
        raise file_error(path, f"can only be read at once, and {held} within the memory limit", remedy)


def require_plausible(source: BandSource) -> None:
    """Refuse a header that claims far more values than its file could hold, before hours are spent on them.

    Raises:
        OSError: more than 20000 bytes per stored byte, which no compression of an image reaches.
    """
    claimed = math.prod(source.shape) * source.dtype.itemsize
    path = source.path
    if claimed <= ROOM_BYTES:
        return
    if source.remote is not None:
        held = source.remote.num_bytes()
    elif path.is_file():
        held = path.lstat().st_size
    else:
        files = (os.path.join(at, name) for at, _, found in os.walk(path) for name in found)
        held = sum(os.lstat(file).st_size for file in files)
    if claimed > LARGEST_RATIO * held + ROOM_BYTES:
        size = "x".join(str(length) for length in source.shape)
        problem = f"a cube of {size} takes {claimed / GIB:.3g} GiB, the file has {held} bytes"
        raise file_error(path, problem, "fetch or write it again")


@contextmanager
def decoding(path: Path, format_name: str, *, arguments: Collection[str] = ()) -> Iterator[None]:
    """Turn whatever a decoder raises on a broken file into a `FileError`; a `FileError` stays as it is.

    Args:
        path: the file.
        format_name: what it is read as.
        arguments: of the caller; an `InputError` about one of them is no damage of the file and stays as it
            is.
    """
    try:
        yield
    except FileError:
        raise
    except MemoryError:
        raise file_error(path, "too large for the memory of this machine", "crop it first") from None
    except Exception as error:  # decoders raise about a dozen unrelated types on damaged files
        if isinstance(error, InputError) and error.argument in arguments:
            raise
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        problem = f"cannot be read as {format_name}, it is damaged, cut short or of another kind ({reason})"
        raise file_error(path, problem, "fetch or write it again") from error


def decoded(path: Path, format_name: str, read: PartReader) -> PartReader:
    """Return the same reader with the errors of a broken file in one clear line."""

    def explained(bands: slice, rows: slice, cols: slice) -> NDArray[Any]:
        with decoding(path, format_name):
            return read(bands, rows, cols)

    return explained
