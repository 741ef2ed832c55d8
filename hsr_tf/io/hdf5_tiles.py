"""Parts of a compressed HDF5 cube, their chunks packed by several threads.

HDF5 packs one chunk after the other, which takes most of the time of writing a cube. Parts that end where
chunks end are packed here as HDF5 would, bytes shuffled and then deflated, and handed over chunk by chunk in
order, so that the file does not depend on how many threads there were.
"""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hsr_tf.io.guarded import GuardedFile

MOST_THREADS = 8


@dataclass(frozen=True)
class Hdf5TileWriter:
    """Writes parts of a cube; see `hsr_tf.io.stream.CubeWriter`.

    Args:
        dataset: (C, H, W), in chunks of all bands, shuffled and deflated with `level`.
        guarded: the file that it lies in.
        level: of the compression, 1 to 9.
    """

    dataset: h5py.Dataset
    guarded: GuardedFile
    level: int

    def write(self, rows: slice, cols: slice, values: NDArray[Any]) -> None:
        """Put (h, w, C) values into their place."""
        bands_first = np.moveaxis(values, -1, 0)
        if self._ends_with_chunks(rows, 1) and self._ends_with_chunks(cols, 2):
            self._write_chunks(rows, cols, bands_first)
        else:
            self.dataset[:, rows, cols] = bands_first
        self.guarded.raise_failure()

    def _ends_with_chunks(self, part: slice, axis: int) -> bool:
        chunk, size = self.dataset.chunks[axis], self.dataset.shape[axis]
        return part.start % chunk == 0 and (part.stop % chunk == 0 or part.stop == size)

    def _write_chunks(self, rows: slice, cols: slice, values: NDArray[Any]) -> None:
        shape: tuple[int, int, int] = self.dataset.chunks
        whole = np.asarray(values, self.dataset.dtype)
        starts = [
            range(0, part.stop - part.start, n) for part, n in zip((rows, cols), shape[1:], strict=True)
        ]
        places = list(product(*starts))
        parts = (whole[:, row : row + shape[1], col : col + shape[2]] for row, col in places)
        # HDF5 knows one thread alone: the others are given plain arrays
        with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as threads:
            packed = threads.map(lambda part: packed_chunk(part, shape, self.level), parts)
            for (row, col), data in zip(places, packed, strict=True):
                self.dataset.id.write_direct_chunk((0, rows.start + row, cols.start + col), data)


def packed_chunk(part: NDArray[Any], shape: tuple[int, int, int], level: int) -> bytes:
    """A chunk as the file holds it: bytes shuffled, then deflated.

    Args:
        part: (C, h, w), at most of the chunk's shape; zeros fill the rest of it.
        shape: of the chunk.
        level: of the compression.
    """
    chunk = np.zeros(shape, part.dtype)
    chunk[:, : part.shape[1], : part.shape[2]] = part
    shuffled = chunk.reshape(-1, 1).view(np.uint8).T
    return zlib.compress(np.ascontiguousarray(shuffled).data, level)
