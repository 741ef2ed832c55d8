"""TIFF pictures and cubes: 8, 16 and 32-bit integers and floating point, one page or one page a band.

Read: one page gives its channels as they are (alpha included), several pages of one size give one band
each; a layout given by the caller overrides the order that the file declares. Integers are divided by the
largest value of their type, floating-point values are taken as they are.
Written: 1, 3 or 4 bands, 16 bits, clipped to [0, 1] with a warning; pixels without data become 0.
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

from hsr_tf.atomic import replacing_file
from hsr_tf.checks import file_error
from hsr_tf.io.arrays import band_reader
from hsr_tf.io.png import require_picture, to_uint16
from hsr_tf.io.source import (
    BandSource,
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
UNUSABLE = {0: "white as zero", 3: "a colour palette"}


@contextmanager
def open_tiff(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    """Open a TIFF file as a source of bands; pages are read a few at a time where each is a band.

    Raises:
        OSError: a damaged file, pages of different sizes, a palette, a picture beyond the size limit.
        ValueError: a key, which means nothing here; a layout that does not name the three axes.
    """
    refuse_option(path, "key", request.key, FORMAT)
    require_ending_chain(path)
    with decoding(path, FORMAT), damage_raised():
        file = tifffile.TiffFile(path)
    with file:
        with decoding(path, FORMAT), damage_raised():
            num_pages, series = len(file.pages), [one for one in file.series if not one.keyframe.is_reduced]
            end = max(
                (blocks_end(page) for one in series for page in one.pages if page is not None), default=0
            )
        if end > path.stat().st_size:
            problem = "cannot be read as TIFF, its values reach beyond its end: it is damaged or cut short"
            raise file_error(path, problem, "fetch or write it again")
        _require_one_picture(path, series)
        require_real(path, series[0].dtype)
        require_room(path, series[0].shape, series[0].dtype, request)
        array = _Pages(path, series[0], num_pages)
        shape, read = band_reader(array, request.layout or array.layout)
        yield BandSource(path, FORMAT, shape, series[0].dtype, decoded(path, FORMAT, read))


def write_tiff(scene: Scene, path: Path) -> None:
    """Write a scene of 1, 3 or 4 bands as a 16-bit picture; see the head of this file.

    Raises:
        ValueError: another number of bands.
        OSError: the disk is full or the place cannot be written; an older file stays as it was.
    """
    require_picture(scene, path)
    values = to_uint16(scene.cube, scene.nodata_mask)
    with replacing_file(path) as temporary, open(temporary, "wb") as file:
        tifffile.imwrite(
            file,
            values[..., 0] if scene.num_bands == 1 else values,
            photometric="minisblack" if scene.num_bands == 1 else "rgb",
            extrasamples=("unassalpha",) if scene.num_bands == 4 else None,
            compression="zlib",
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
    photometric = int(series[0].keyframe.photometric)
    if photometric in UNUSABLE:
        raise file_error(path, f"its pixels are stored as {UNUSABLE[photometric]}", "save it as gray or RGB")


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
