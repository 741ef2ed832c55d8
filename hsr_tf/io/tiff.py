"""TIFF pictures and cubes: 8, 16 and 32-bit integers and floating point, one page or one page a band.

Read: one page gives its channels, several pages of one size give one band each; a layout given by the caller
overrides the order that the file declares. An alpha channel and a transparency mask become the mask of pixels
without data, and an orientation tag is applied. A picture of a palette or with white as zero is left to
`hsr_tf.io.tiff_picture`. Integers are divided by their white level (`hsr_tf.io.white_level`),
floating-point values are taken as they are.
Written: 1 or 3 bands, 16 bits, clipped to [0, 1] with a warning; pixels without data become
transparent black.
TIFF 6.0, section 18 (extra samples), tags NewSubfileType and Orientation.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from hsr_tf.checks import file_error
from hsr_tf.files import replacing_file
from hsr_tf.io.arrays import band_reader
from hsr_tf.io.opacity import FROM_ALPHA, FROM_MASK, split_opacity
from hsr_tf.io.opacity import REPORT as OPACITY
from hsr_tf.io.orientation import upright_source
from hsr_tf.io.png import require_picture, to_uint16, with_opacity
from hsr_tf.io.source import (
    BandSource,
    MaskReader,
    ReadRequest,
    decoded,
    decoding,
    refuse_option,
    require_real,
    require_room,
)
from hsr_tf.io.tiff_chain import require_ending_chain
from hsr_tf.scene import Scene

FORMAT = "TIFF"
DAMAGE = ("invalid page offset", "invalid value offset", "failed to reshape", "corrupted", "missing data")
LOOKED_UP = (0, 3)  # white as zero, a colour palette
MULTIPLIED_ALPHA, ALPHA, ORIENTATION = 1, (1, 2), 274
SOFTWARE, FULL_RANGE = "hsr_tf", 65535.0


def needs_colours(path: Path) -> bool:
    """Whether the stored values are not the colours: a palette, or white as zero."""
    with decoding(path, FORMAT), damage_raised(), tifffile.TiffFile(path) as file:
        return len(file.pages) > 0 and int(file.pages[0].photometric) in LOOKED_UP


@contextmanager
def open_tiff(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    """Open a TIFF file as a source of bands; pages are read a few at a time where each is a band.

    Raises:
        OSError: a damaged file, pages of different sizes, a picture beyond the size limit.
        ValueError: a key, which means nothing here; a layout that does not name the three axes.
    """
    refuse_option(path, "key", request.key, FORMAT)
    require_ending_chain(path)
    with decoding(path, FORMAT), damage_raised():
        file = tifffile.TiffFile(path)
    with file:
        with decoding(path, FORMAT), damage_raised():
            num_pages = sum(not page.is_mask for page in file.pages)
            series = [one for one in file.series if not (one.keyframe.is_reduced or one.keyframe.is_mask)]
            end = max(
                (blocks_end(page) for one in series for page in one.pages if page is not None), default=0
            )
        if end > path.stat().st_size:
            problem = "cannot be read as TIFF, its values reach beyond its end: it is damaged or cut short"
            raise file_error(path, problem, "fetch or write it again")
        _require_one_picture(path, series)
        yield _cube_source(path, file, _Pages(path, series[0], num_pages), request)


def _cube_source(path: Path, file: Any, array: _Pages, request: ReadRequest) -> BandSource:
    page = array.keyframe
    require_real(path, array.dtype)
    require_room(path, array.stored_shape, array.dtype, request)
    (height, width, num_bands), read = band_reader(array, request.layout or array.layout)
    extras = [int(kind) for kind in page.extrasamples]
    alpha = next((i for i, kind in enumerate(extras) if kind in ALPHA), None)
    read_mask, opacity = None, {}
    if alpha is not None and num_bands == page.samplesperpixel > 1:
        num_bands -= 1
        multiplied = extras[alpha] == MULTIPLIED_ALPHA
        place = num_bands + 1 - len(extras) + alpha
        read, read_mask = split_opacity(read, place, num_bands=num_bands, multiplied=multiplied)
        opacity = {OPACITY: FROM_ALPHA}
    else:
        read_mask = _mask_reader(path, file, (height, width))
        opacity = {} if read_mask is None else {OPACITY: FROM_MASK}
    source = BandSource(
        path=path,
        format=FORMAT,
        shape=(height, width, num_bands),
        dtype=array.dtype,
        read=decoded(path, FORMAT, read),
        read_mask=read_mask,
        white_level=FULL_RANGE if str(page.software).startswith(SOFTWARE) else None,
        metadata=opacity,
    )
    orientation = int(page.tags[ORIENTATION].value) if ORIENTATION in page.tags else 1
    return upright_source(source, orientation)


def _mask_reader(path: Path, file: Any, size: tuple[int, int]) -> MaskReader | None:
    """The transparency mask of an image of this size, 0 in pixels without data; None where there is none."""
    masks = [page for page in file.pages if page.is_mask and not page.is_reduced]
    fitting = [page for page in masks if (page.imagelength, page.imagewidth) == size]
    if not fitting:
        return None
    with decoding(path, FORMAT), damage_raised():
        without = np.asarray(fitting[0].asarray()).reshape(size) == 0
    return lambda rows, cols: without[rows, cols]


def write_tiff(scene: Scene, path: Path) -> None:
    """Write a scene of 1 or 3 bands as a 16-bit picture; see the head of this file.

    Raises:
        ValueError: another number of bands.
        OSError: the disk is full or the place cannot be written; an older file stays as it was.
    """
    require_picture(scene, path)
    values = with_opacity(to_uint16(scene.cube, scene.nodata_mask), scene.nodata_mask)
    num_channels = values.shape[2]
    with replacing_file(path) as temporary, open(temporary, "wb") as file:
        tifffile.imwrite(
            file,
            values[..., 0] if num_channels == 1 else values,
            photometric="minisblack" if scene.num_bands == 1 else "rgb",
            planarconfig=None if num_channels == 1 else "contig",
            extrasamples=("unassalpha",) if num_channels > scene.num_bands else None,
            compression="zlib",
            software=SOFTWARE,
        )


class _Pages:
    """A TIFF series as an array without axes of length one, read page by page where pages come first.

    Args:
        path: the file.
        series: what tifffile found.
        num_pages: pages in the file.
    """

    def __init__(self, path: Path, series: Any, num_pages: int) -> None:
        kept = [i for i, axis in enumerate(series.axes) if axis in "YX" or series.shape[i] > 1]
        axes = "".join(series.axes[i] for i in kept)
        self.shape = tuple(int(series.shape[i]) for i in kept)
        self.ndim = len(kept)
        self._series = series
        self.keyframe, self.dtype = series.keyframe, np.dtype(series.dtype)
        self.stored_shape = tuple(map(int, series.shape))
        self._whole: NDArray[Any] | None = None
        others = [axis for axis in axes if axis not in "YX"]
        if self.ndim not in (2, 3) or "Y" not in axes or "X" not in axes:
            problem = f"holds an array of {self.ndim} dimensions {series.shape}, not one picture or one cube"
            raise file_error(path, problem, "save one cube a file")
        names = {"Y": "row", "X": "col", **dict.fromkeys(others, "band")}
        self.layout = ",".join(names[axis] for axis in axes) if self.ndim == 3 else "band,row,col"
        self._by_page = self.ndim == 3 and num_pages == len(series.pages) == self.shape[0] > 1

    def __getitem__(self, window: Any) -> NDArray[Any]:
        with damage_raised():
            if self._by_page and isinstance(window, tuple) and window[0] != slice(None):
                pages = range(*window[0].indices(self.shape[0]))
                return np.stack([self._series.pages[page].asarray() for page in pages])[:, *window[1:]]
            if self._whole is None:
                self._whole = self._series.asarray().reshape(self.shape)
            return np.asarray(self._whole[window])


def blocks_end(page: Any) -> int:
    """Where the last block of a page ends: more than the file has would be allocated before it is missed."""
    return max(
        (int(o) + int(n) for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)), default=0
    )


def _require_one_picture(path: Path, series: list[Any]) -> None:
    if len(series) != 1:
        sizes = ", ".join("x".join(str(length) for length in one.shape) for one in series[:6])
        problem = (
            f"holds {len(series)} pictures of different kinds ({sizes})" if series else "holds no picture"
        )
        raise file_error(path, problem, "save one picture, or one page a band, in a file")


class _Damage(logging.Handler):
    """Collects what tifffile only logs about files that it can still open in part."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if any(words in message for words in DAMAGE):
            self.found.append(message)


@contextmanager
def damage_raised() -> Iterator[None]:
    """Raise a ValueError when tifffile logs damage; its messages do not reach the terminal."""
    logger, handler = logging.getLogger("tifffile"), _Damage()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
    if handler.found:
        raise ValueError(handler.found[0])
