"""Where the pixels of training patches are read from: a table in memory, or files of any total size.

Files are NumPy's `.npy`, a cube (H, W, C) each. The window around a patch is read by its rows, without a
memory map, so that what was read before takes no memory of the process.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import tensorflow as tf


class Pixels(ABC):
    """The pixels of several images of one type and number of bands.

    Args:
        cubes: (H, W, C) each; sizes may differ.

    Attributes:
        sizes: rows and columns of every image, (N, 2).
        num_bands: C.
    """

    def __init__(self, cubes: Sequence[np.ndarray]) -> None:
        self.sizes = np.array([cube.shape[:2] for cube in cubes], np.int64)
        self.num_bands = int(cubes[0].shape[-1])

    @abstractmethod
    def take(self, image: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        """Patches (B, p, p, C) of images `image` (B,), of their pixels at `rows` and `columns` (B, p, p)."""


class PixelsInMemory(Pixels):
    """All pixels in one table of spectra, from which a batch is one gather."""

    def __init__(self, cubes: Sequence[np.ndarray]) -> None:
        super().__init__(cubes)
        self._table = tf.concat([tf.reshape(tf.constant(cube), (-1, cube.shape[-1])) for cube in cubes], 0)
        self._widths = tf.constant(self.sizes[:, 1])
        self._starts = tf.constant(np.cumsum(self.sizes.prod(1)) - self.sizes.prod(1))

    def take(self, image: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        """See `Pixels.take`."""
        width = tf.gather(self._widths, image)[:, None, None]
        return tf.gather(self._table, tf.gather(self._starts, image)[:, None, None] + rows * width + columns)


class PixelsInFiles(Pixels):
    """Images that are memory maps of `.npy` files are read by windows; others stay in memory as they are."""

    def __init__(self, cubes: Sequence[np.ndarray]) -> None:
        super().__init__(cubes)
        self._cubes, self._dtype = cubes, cubes[0].dtype

    def take(self, image: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        """See `Pixels.take`."""
        found = tf.numpy_function(self._read, (image, rows, columns), self._dtype, stateful=False)
        return tf.ensure_shape(found, (*rows.shape, self.num_bands))

    def _read(self, image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        patches = np.empty((*rows.shape, self.num_bands), self._dtype)
        for patch, index, row, column in zip(patches, image, rows, columns, strict=True):
            top, left = row.min(), column.min()
            window = _window(self._cubes[index], slice(top, row.max() + 1), slice(left, column.max() + 1))
            patch[...] = window[row - top, column - left]
        return patches


def pixels_of(cubes: Sequence[np.ndarray]) -> Pixels:
    """Keep the pixels in memory, unless one of the cubes is a memory map of a `.npy` file."""
    in_files = any(isinstance(cube, np.memmap) for cube in cubes)
    return PixelsInFiles(cubes) if in_files else PixelsInMemory(cubes)


def _window(cube: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """The window (h, w, C) of a cube; that of a memory map is read from its file."""
    if not isinstance(cube, np.memmap):
        return cube[rows, columns]
    _, width, num_bands = cube.shape
    spectrum = num_bands * cube.itemsize
    window = np.empty((rows.stop - rows.start, columns.stop - columns.start, num_bands), cube.dtype)
    file = os.open(str(cube.filename), os.O_RDONLY)
    try:
        for row, line in zip(range(rows.start, rows.stop), window, strict=True):
            os.preadv(file, [line], cube.offset + (row * width + columns.start) * spectrum)
    finally:
        os.close(file)
    return window
