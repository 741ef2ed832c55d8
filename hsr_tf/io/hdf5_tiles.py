"""Parts of a compressed HDF5 cube, their chunks packed by several threads.

HDF5 packs one chunk after the other, which takes most of the time of writing a cube. Parts that end where
chunks end are packed here as HDF5 would, bytes shuffled and then deflated, and handed over chunk by chunk in
order, so that the file does not depend on how many threads there were.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
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
        places = list(self._places(rows, cols))
        with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as threads:
            packed = threads.map(lambda place: self._packed(values, rows, cols, place), places)
            for (row, col), data in zip(places, packed, strict=True):
                self.dataset.id.write_direct_chunk((0, row, col), data)

    def _places(self, rows: slice, cols: slice) -> Iterator[tuple[int, int]]:
        """First row and column of the chunks of a part."""
        _, height, width = self.dataset.chunks
        return product(range(rows.start, rows.stop, height), range(cols.start, cols.stop, width))

    def _packed(self, values: NDArray[Any], rows: slice, cols: slice, place: tuple[int, int]) -> bytes:
        """One chunk as the file holds it; beyond the end of the cube it is filled with zeros."""
        _, height, width = self.dataset.chunks
        row, col = place[0] - rows.start, place[1] - cols.start
        part = values[:, row : row + height, col : col + width]
        chunk = np.zeros(self.dataset.chunks, self.dataset.dtype)
        chunk[:, : part.shape[1], : part.shape[2]] = part
        shuffled = chunk.reshape(-1, 1).view(np.uint8).T
        return zlib.compress(np.ascontiguousarray(shuffled).data, self.level)
