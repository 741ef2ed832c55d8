"""Parts of a compressed HDF5 cube, their chunks packed by several threads.

HDF5 packs one chunk after the other, which takes most of the time of writing a cube. Parts that end where
chunks end are packed here as HDF5 would, bytes shuffled and then deflated, and handed over chunk by chunk in
order, so that the file does not depend on how many threads there were.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from itertools import product
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import require
from hsr_tf.io.guarded import GuardedFile
from hsr_tf.tiling.tiles import map_ordered

MOST_THREADS = 8


@dataclass(frozen=True)
class Hdf5TileWriter:
    """Writes parts of a cube; see `hsr_tf.io.stream.CubeWriter`.

    Args:
        dataset: (C, H, W), in chunks that are shuffled and deflated with `level`.
        guarded: the file that it lies in.
        level: of the compression, 1 to 9.
    """

    dataset: h5py.Dataset
    guarded: GuardedFile
    level: int

    def write(self, rows: slice, cols: slice, values: NDArray[Any]) -> None:
        """Put (h, w, C) values into their place.

        Raises:
            ValueError: values of another shape than their place.
        """
        num_bands, *size = self.dataset.shape
        rows, cols = (slice(*part.indices(n)[:2]) for part, n in zip((rows, cols), size, strict=True))
        place = (rows.stop - rows.start, cols.stop - cols.start, num_bands)
        require(
            values.shape == place,
            "values",
            expected=f"{place} for this part of the cube",
            received=str(values.shape),
            remedy="give rows, columns and bands as the part has them",
        )
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
        # HDF5 knows one thread alone: the others are given plain arrays
        shape: tuple[int, int, int] = self.dataset.chunks
        whole = np.asarray(values, self.dataset.dtype)
        ends = (0, whole.shape[0]), (rows.start, rows.stop), (cols.start, cols.stop)
        places = product(*(range(*end, length) for end, length in zip(ends, shape, strict=True)))

        def packed(place: tuple[int, ...]) -> bytes:
            band, row, col = (at - start for at, (start, _) in zip(place, ends, strict=True))
            part = whole[band : band + shape[0], row : row + shape[1], col : col + shape[2]]
            return packed_chunk(part, shape, self.level)

        num_threads = min(MOST_THREADS, os.cpu_count() or 1)
        for place, data in map_ordered(places, packed, num_parallel=num_threads):
            self.dataset.id.write_direct_chunk(place, data)


def packed_chunk(part: NDArray[Any], shape: tuple[int, int, int], level: int) -> bytes:
    """Return a chunk as the file holds it: bytes shuffled, then deflated.

    Args:
        part: (bands, h, w), at most of the chunk's shape; zeros fill the rest of it.
        shape: of the chunk.
        level: of the compression.
    """
    chunk = np.zeros(shape, part.dtype)
    chunk[: part.shape[0], : part.shape[1], : part.shape[2]] = part
    shuffled = chunk.reshape(-1, 1).view(np.uint8).T
    return zlib.compress(np.ascontiguousarray(shuffled).data, level)
