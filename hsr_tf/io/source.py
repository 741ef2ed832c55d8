"""What every reader offers: the header of a cube and its bands on demand, so that no file is held twice."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import FileError, InputError, file_error, require
from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.white_level import WhiteLevel, guessed_level, level_in_metadata
from hsr_tf.scene import Scene
from hsr_tf.tiling.memory import GIB

BANDS_AT_ONCE = 16
MOST_SAMPLED, SAMPLED_BANDS, PATCH = 2**22, 8, 128
LARGEST_RATIO, ROOM_BYTES = 20_000, 2**26
PartReader = Callable[[slice, slice, slice], NDArray[Any]]
MaskReader = Callable[[slice, slice], NDArray[np.bool_]]
EVERYTHING = slice(None)


@dataclass(frozen=True)
class ReadRequest:
    """What the caller knows better than the file; None leaves it to the file.

    Args:
        key: the array to read where a file holds several.
        layout: order of its axes, e.g. "band,row,col".
        white_level: stored value that stands for 1.0.
        wavelengths_nm: centre of each band in nanometres, (C,).
        max_gib: refuse cubes whose float32 form takes more than so many GiB.
        in_parts: parts are read, so that a cube takes memory only as it is stored, and only in a format that
            can but be read at once; `max_gib` counts for these.
    """

    key: str | None = None
    layout: str | None = None
    white_level: float | None = None
    wavelengths_nm: NDArray[Any] | None = None
    max_gib: float = 16.0
    in_parts: bool = False


@dataclass(frozen=True, eq=False)
class BandSource:
    """An open file that holds a cube.

    Args:
        path: the file or folder.
        format: what it is, in words.
        shape: (H, W, C).
        dtype: type of the stored values.
        read: `read(bands, rows, cols)` gives the stored values of these slices, (bands, rows, columns).
        white_level: stored value that stands for 1.0 as the file tells it; None when it does not.
        wavelengths_nm: centre of each band, (C,), or None.
        metadata: everything else that the file tells.
        name: name of the scene; the stem of the file when empty.
        nodata_mask: (H, W), True where there is no data, where the file holds a mask, else None.
        read_mask: `read_mask(rows, cols)` gives (rows, columns), True where there is no data, of a file whose
            mask is read in parts (opacity, a mask inside a TIFF), else None; the nodata value counts as well.
        nodata: the stored value of pixels without data, or None; the mask is then found from the values.
        fwhm_nm: full width at half maximum of each band, (C,), or None.
        band_names: one for each band, or None.
        good_bands: (C,), False for bands of a bad-band list, or None.
        georeference: where the pixels lie, or None.
        gain: (C,) or a number, and
        offset: the file's own law, value = gain * stored + offset; it stands in place of `white_level`.
        in_memory: whether opening has read the whole cube.
        chunks: (bands, rows, columns) of the piece that the file stores together, or None when unknown.
        storage: how it is stored, in words, e.g. "bil, big endian".
    """

    path: Path
    format: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    read: PartReader
    white_level: float | None = None
    wavelengths_nm: NDArray[Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    nodata_mask: NDArray[Any] | None = None
    read_mask: MaskReader | None = None
    nodata: float | None = None
    fwhm_nm: NDArray[Any] | None = None
    band_names: tuple[str, ...] | None = None
    good_bands: NDArray[Any] | None = None
    georeference: Georeference | None = None
    gain: NDArray[Any] | float | None = None
    offset: NDArray[Any] | float = 0.0
    in_memory: bool = False
    chunks: tuple[int, int, int] | None = None
    storage: str = ""


@dataclass(frozen=True, eq=False)
class Scaling:
    """How stored values become those of a scene: divided by a level, or gain * stored + offset, or kept.

    Args:
        level: what stored values are divided by, or None.
        origin: where that comes from: "argument", "file", "guessed", "largest uint8", or "".
        gain: (C,) or a number, where the file has a law of its own, else None.
        offset: (C,) or a number, of that law.
        largest: the largest value seen, where the level is a guess, else None.
    """

    level: float | None
    origin: str
    gain: NDArray[Any] | None = None
    offset: NDArray[Any] | None = None
    largest: float | None = None

    @property
    def white_level(self) -> WhiteLevel:
        """The level with its origin."""
        return WhiteLevel(self.level, self.origin, self.largest)

    def into(self, out: NDArray[np.float32], stored: NDArray[Any], bands: slice = EVERYTHING) -> None:
        """Write the scaled values of these bands, last axis of both arrays, into `out`."""
        if self.gain is None or self.offset is None:
            scale_into(out, stored, self.level)
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                out[...] = stored * self.gain[bands] + self.offset[bands]


def scaling_of(source: BandSource, given: float | None) -> Scaling:
    """The scaling of a source; the caller's white level comes first, then the file's own law."""
    if given is None and source.gain is not None:
        shape = (source.shape[2],)
        gain, offset = (
            np.broadcast_to(np.asarray(x, np.float64), shape) for x in (source.gain, source.offset)
        )
        return Scaling(None, "file", gain, offset)
    white = effective_white_level(source, given)
    return Scaling(white.level, white.origin, largest=white.largest)


def without_data(source: BandSource, stored: NDArray[Any], bands: slice) -> NDArray[np.bool_] | None:
    """(n, h, w) where stored values of these bands are the source's nodata value; None without one."""
    if source.nodata is None:
        return None
    found = np.isnan(stored) if np.isnan(source.nodata) else stored == source.nodata
    if source.good_bands is not None:
        found = found | ~np.asarray(source.good_bands).astype(bool)[bands, None, None]
    return found


def joined_mask(source: BandSource, found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(h, w) without data, from `without_data` of all bands.

    A pixel without data holds the nodata value in every band that is not on the bad-band list; of a value
    other than 0, which no sensor measures, one band is enough, unless that band holds nothing else.
    """
    if source.nodata == 0:
        return np.asarray(found.all(axis=0))
    alive = ~found.all(axis=(1, 2))
    return np.asarray(found[alive].any(axis=0) if alive.any() else np.ones(found.shape[1:], bool))


def stored_mask(source: BandSource, rows: slice, cols: slice) -> NDArray[np.bool_] | None:
    """(h, w) without data as the file's own mask says, the nodata value aside; None where it has no mask."""
    if source.nodata_mask is not None:
        return np.asarray(source.nodata_mask)[rows, cols].astype(bool)
    return None if source.read_mask is None else source.read_mask(rows, cols)


def to_scene(source: BandSource, request: ReadRequest) -> Scene:
    """Read a cube block by block into one float32 array, scaled, nothing clipped."""
    require_real(source.path, source.dtype)
    require_size(source.path, source.shape, request.max_gib)
    scaling = scaling_of(source, request.white_level)
    cube = np.empty(source.shape, dtype=np.float32)
    holes = []
    for start, stored in each_block(source):
        part = slice(start, start + stored.shape[0])
        scaling.into(cube[..., part], np.moveaxis(stored, 0, -1), part)
        holes.append(without_data(source, stored, part))
    mask = source.nodata_mask
    if mask is None:
        mask = stored_mask(source, EVERYTHING, EVERYTHING)
        if source.nodata is not None:
            hole = joined_mask(source, np.concatenate([hole for hole in holes if hole is not None]))
            mask = hole if mask is None else hole | mask
        if mask is not None:
            cube[mask] = 0
    return _scene(source, cube, mask, scaling)


def _scene(source: BandSource, cube: NDArray[np.float32], mask: Any, scaling: Scaling) -> Scene:
    metadata = {"source": source.path.name, **source.metadata}
    if scaling.level is not None:
        metadata |= {"white_level": scaling.level, "white_level_origin": scaling.origin}
    if scaling.largest is not None:
        metadata["white_level_sample"] = scaling.largest
    try:
        return Scene(
            cube=cube,
            wavelengths_nm=source.wavelengths_nm,
            name=source.name or source.path.stem,
            metadata=metadata,
            nodata_mask=None if mask is None or not np.any(mask) else mask,
            fwhm_nm=source.fwhm_nm,
            band_names=source.band_names,
            good_bands=source.good_bands,
            georeference=source.georeference,
            nodata=source.nodata,
        )
    except InputError as error:
        raise InputError(
            f"{source.path}: {error.argument}",
            expected=error.expected,
            received=error.received,
            remedy=error.remedy,
        ) from error


def each_block(source: BandSource) -> Iterator[tuple[int, NDArray[Any]]]:
    """The first band and the stored values (n, H, W) of each block of bands, in order."""
    num_bands = source.shape[2]
    for start in range(0, num_bands, BANDS_AT_ONCE):
        yield start, source.read(slice(start, min(start + BANDS_AT_ONCE, num_bands)), EVERYTHING, EVERYTHING)


def with_wavelengths(source: BandSource, wavelengths_nm: NDArray[Any] | None) -> BandSource:
    """The source with the wavelengths that the caller gives, if any.

    Raises:
        ValueError: another number of them than of bands.

    Warns:
        UserWarning: the file has others of its own.
    """
    if wavelengths_nm is None:
        return source
    num_bands, own = source.shape[2], source.wavelengths_nm
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
    return replace(source, wavelengths_nm=np.asarray(wavelengths_nm, np.float64))


def effective_white_level(source: BandSource, given: float | None) -> WhiteLevel:
    """The white level of a source: the caller's, else the file's, else a guess.

    Floating-point values are taken as they are unless the caller gives a level. Integers of 8 bits are
    divided by the largest value of their type.

    Raises:
        ValueError: a given level that is no positive number.
    """
    if given is not None:
        usable = bool(np.isfinite(given)) and given > 0
        require(usable, "white_level", expected="a positive number", received=given, remedy="give e.g. 4095")
        return WhiteLevel(float(given), "argument")
    if source.dtype.kind == "f":
        return WhiteLevel(None)
    recorded = source.white_level or level_in_metadata(source.metadata)
    if recorded is not None:
        return WhiteLevel(recorded, "file")
    if source.dtype.itemsize == 1:
        return WhiteLevel(float(np.iinfo(source.dtype).max), f"largest {source.dtype.name}")
    return guessed_level(sample(source), source.dtype)


def sample(source: BandSource) -> NDArray[Any]:
    """Stored values of pixels with data, (n,): all of a small cube, patches of some bands of a larger one."""
    parts = [np.empty(0, source.dtype)]
    for bands, rows, cols in _places(source):
        stored = source.read(bands, rows, cols)
        kept = np.ones(stored.shape, bool) if source.nodata is None else stored != source.nodata
        mask = stored_mask(source, rows, cols)
        if mask is not None:
            kept &= ~mask
        parts.append(stored[kept])
    return np.concatenate(parts)


def _places(source: BandSource) -> Iterator[tuple[slice, slice, slice]]:
    height, width, num_bands = source.shape
    bands = np.arange(num_bands)
    good = source.good_bands
    if good is not None and np.any(good):
        bands = bands[np.asarray(good).astype(bool)]
    if height * width * num_bands > MOST_SAMPLED:
        bands = bands[np.unique(np.linspace(0, len(bands) - 1, SAMPLED_BANDS).astype(int))]
        windows = [(row, col) for row in _patches(height) for col in _patches(width)]
    else:
        windows = [(slice(0, height), slice(0, width))]
    for band in bands.tolist():
        for rows, cols in windows:
            yield slice(band, band + 1), rows, cols


def _patches(length: int) -> list[slice]:
    """Three patches along an axis, evenly placed."""
    size = min(PATCH, length)
    starts = np.unique(np.linspace(0, length - size, 3).astype(int)).tolist()
    return [slice(start, start + size) for start in starts]


def scale_into(out: NDArray[np.float32], values: NDArray[Any], level: float | None) -> None:
    """Write `values / level` into `out` as float32; in double precision where float32 cannot hold them."""
    with np.errstate(over="ignore", invalid="ignore"):
        if level is None:
            out[...] = values
        elif values.dtype.itemsize <= 2 or values.dtype == np.float32:
            np.divide(values, np.float32(level), out=out, casting="same_kind")
        else:
            out[...] = values / level


def refuse_option(path: Path, name: str, value: object, format_name: str) -> None:
    """Refuse an option that means nothing for a format."""
    require(
        value is None,
        name,
        expected=f"nothing for {format_name}",
        received=repr(value),
        remedy=f"leave it out to read {path.name}",
    )


def require_real(path: Path, dtype: np.dtype[Any]) -> None:
    """Refuse complex, text, object and other arrays that are not of real numbers."""
    if dtype.kind not in "uif":
        raise file_error(
            path, f"holds values of type {dtype}, not real numbers", "convert them to float32 first"
        )


def require_size(path: Path, shape: tuple[int, ...], max_gib: float) -> None:
    """Refuse an empty cube, and one whose float32 form is beyond the limit, before memory is taken for it."""
    num_values = 1
    for length in shape:
        num_values *= int(length)
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
    if not request.in_parts:
        require_size(path, shape, request.max_gib)
        return
    require_size(path, shape, np.inf)
    gib = math.prod(int(length) for length in shape) * dtype.itemsize / GIB
    if gib > request.max_gib:
        size = "x".join(str(length) for length in shape)
        held = f"its {size} {dtype.name} take {gib:.3g} GiB, more than the {request.max_gib:.3g} GiB left"
        remedy = "turn it into .h5 or .zarr (hsr convert), which are read in parts, or raise the limit"
        raise file_error(path, f"can only be read at once, and {held} within the memory limit", remedy)


def require_plausible(source: BandSource) -> None:
    """Refuse a header that claims far more values than its file could hold, before hours are spent on them.

    Raises:
        OSError: more than 20000 bytes a stored byte, which no compression of an image reaches.
    """
    height, width, num_bands = source.shape
    claimed = height * width * num_bands * source.dtype.itemsize
    held = bytes_on_disk(source.path)
    if claimed > LARGEST_RATIO * held + ROOM_BYTES:
        size = f"{height}x{width}x{num_bands}"
        problem = f"a cube of {size} takes {claimed / GIB:.3g} GiB, the file has {held} bytes"
        raise file_error(source.path, problem, "fetch or write it again")


def bytes_on_disk(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if not path.is_dir():
        return path.stat().st_size
    places = ((place, name) for place, _, files in os.walk(path) for name in files)
    return sum(os.lstat(os.path.join(place, name)).st_size for place, name in places)


@contextmanager
def decoding(path: Path, format_name: str, *, arguments: Collection[str] = ()) -> Iterator[None]:
    """Turn whatever a decoder raises on a broken file into a `FileError`; a `FileError` stays as it is.

    Args:
        path: the file.
        format_name: what it is read as.
        arguments: of the caller, whose `InputError` is no damage of the file and stays as it is.
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
    """The same reader, with the errors of a broken file in one clear line."""

    def explained(bands: slice, rows: slice, cols: slice) -> NDArray[Any]:
        with decoding(path, format_name):
            return read(bands, rows, cols)

    return explained
