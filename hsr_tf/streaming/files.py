"""Parts of the two images, with the value of the nearest pixel that has data where there is none.

Within `MOST_FAR` pixels these are the values that `hsr_tf.fusion.repair` gives the whole scene: the part is
widened until every hole in it has its nearest pixel inside. Deeper in a hole the nearest one within that
distance stands, and zero where there is none: too far away to be seen in any pixel with data.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hsr_tf.checks import MARK_NOT_FINITE, require
from hsr_tf.imports import deferred
from hsr_tf.io.formats import known_format
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.remote_names import known_name
from hsr_tf.tiling.region import Region
from hsr_tf.typing import Cube as Cube
from hsr_tf.typing import Mask as Mask

ndimage = deferred("scipy.ndimage")

FIRST_STEP, MOST_FAR = 32, 512


class Parts(Protocol):
    """An image of which parts are read: a `CubeReader`, or one that brings an image onto another grid."""

    @property
    def header(self) -> CubeHeader:
        """What is known of the image."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""

    def read(self, rows: slice, cols: slice) -> Cube:
        """The values of a part, (h, w, C); 0 where there is no data."""

    def read_with_mask(self, rows: slice, cols: slice) -> tuple[Cube, Mask | None]:
        """The values of a part, and where it holds no data, (h, w), or None where nothing tells."""


@dataclass(frozen=True, eq=False)
class Image:
    """An open image of which parts are read.

    Attributes:
        name: of the argument that it is.
        reader: what reads it.
        holes: whether any pixel is without data; None where nobody looked yet.
    """

    name: str
    reader: Parts
    holes: bool | None = None

    @property
    def header(self) -> CubeHeader:
        """What is known of it."""
        return self.reader.header

    def with_mask(self, rows: slice, cols: slice) -> tuple[Cube, Mask | None]:
        """Values (h, w, C), zero where there is no data, and where that is.

        Raises:
            ValueError: NaN or infinity in a pixel that holds data.
        """
        cube, mask = self.reader.read_with_mask(rows, cols)
        mask = None if mask is None or not mask.any() else mask
        if mask is not None:
            cube[mask] = 0
        if not np.isfinite(cube.sum(dtype=np.float64)):
            bad = np.argwhere(~np.isfinite(cube))
            row, col, band = (int(i) for i in bad[0] + (rows.start, cols.start, 0))
            require(
                not len(bad),
                self.name,
                expected="finite values",
                received=f"{len(bad)} NaN or infinite ones in a tile, the first at {(row, col, band)}",
                remedy=MARK_NOT_FINITE,
            )
        return cube, mask

    def filled(self, rows: slice, cols: slice) -> Cube:
        """Values (h, w, C), those of the nearest pixel with data where there is none."""
        cube, mask = self.with_mask(rows, cols) if self.holes else (self.reader.read(rows, cols), None)
        part, image, margin = Region.of(rows, cols), Region.whole(self.reader.shape[:2]), FIRST_STEP
        while mask is not None:
            wide = part.grown(margin, image)
            whole, hole = self.with_mask(*wide.slices)
            assert hole is not None
            inner = part.inside(wide).slices
            if not hole.all():
                far, nearest = ndimage.distance_transform_edt(hole, return_indices=True)
                if margin >= MOST_FAR or wide == image or far[inner].max() <= margin:
                    return np.ascontiguousarray(whole[tuple(axis[inner] for axis in nearest)])
            elif margin >= MOST_FAR or wide == image:
                return cube
            margin *= 2
        return cube

    def mask(self, rows: slice, cols: slice) -> Mask | None:
        """Where a part has no data, None for nowhere."""
        return self.with_mask(rows, cols)[1] if self.holes else None


def stamp(path: Path, remote: Callable[[], str] | None = None) -> Mapping[str, Any]:
    """What tells whether an image is the same as before: sizes and times, to the nanosecond.

    All files of a folder count, and all that the format of a file knows as parts of the image.

    Args:
        path: of the image.
        remote: returns the same of a file that is none of this machine.
    """
    if remote is not None:
        return {"path": known_name(path), "files": remote()}
    found = known_format(path)
    parts = path.rglob("*") if path.is_dir() else [path, *(() if found is None else found.files(path))]
    entries = sorted({part for part in parts if part.is_file()})
    digest = hashlib.sha256()
    for entry in entries:
        status = entry.stat()
        digest.update(f"{os.path.relpath(entry, path)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return {"path": str(path.resolve()), "files": digest.hexdigest()}
