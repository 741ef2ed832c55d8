"""Pixels without data in formats that hold no mask: they take the nodata value as they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import require
from hsr_tf.io.source import EVERYTHING
from hsr_tf.io.stream import CubeHeader, CubeWriter, header_of
from hsr_tf.scene import Scene

ROWS_AT_ONCE_BYTES = 64 * 2**20
Creator = Callable[[Path, CubeHeader], AbstractContextManager[CubeWriter]]


def storable_nodata(nodata: float | None, dtype: np.dtype[Any]) -> float | None:
    """The nodata value where the type can hold it; a value that it cannot hold marks no pixel."""
    if nodata is None:
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            held = float(np.asarray(nodata, np.float64).astype(dtype))
        return None if np.isinf(held) and not np.isinf(nodata) else held
    bounds = np.iinfo(dtype)
    whole = np.isfinite(nodata) and float(nodata).is_integer() and bounds.min <= nodata <= bounds.max
    return nodata if whole else None


@contextmanager
def without_mask(create: Creator, path: Path, header: CubeHeader) -> Iterator[CubeWriter]:
    """A writer of a format without masks; the header's mask is written as its nodata value.

    Without such a value floating-point pixels become NaN.

    Raises:
        ValueError: integers with a mask and no nodata value that they can hold.
    """
    if header.nodata_mask is None:
        with create(path, header) as writer:
            yield writer
        return
    hole = storable_nodata(header.nodata, np.dtype(header.dtype))
    if hole is None and np.dtype(header.dtype).kind == "f":
        hole = np.nan
    require(
        hole is not None,
        "nodata",
        expected=f"a value for the pixels without data that {np.dtype(header.dtype).name} can hold",
        received=str(header.nodata),
        remedy="give one that no pixel holds, or write .h5, .nc, .zarr or .npz, which keep a mask",
    )
    with create(path, replace(header, nodata=hole, nodata_mask=None)) as writer:
        yield _Burning(writer, np.asarray(header.nodata_mask).astype(bool), hole)


def write_scene(create: Creator, scene: Scene, path: Path) -> None:
    """Write a scene, its mask included, through a format's writer of parts, some rows at a time."""
    height, width, num_bands = scene.shape
    step = max(1, ROWS_AT_ONCE_BYTES // (width * num_bands * 4))
    with create(path, replace(header_of(scene), nodata_mask=scene.nodata_mask)) as writer:
        for top in range(0, height, step):
            rows = slice(top, min(top + step, height))
            writer.write(rows, EVERYTHING, scene.cube[rows])


@dataclass(frozen=True)
class _Burning:
    writer: CubeWriter
    mask: NDArray[np.bool_]
    hole: Any

    def write(self, rows: slice, cols: slice, values: NDArray[Any]) -> None:
        """Put values into their place, the nodata value where there is no data."""
        part = self.mask[rows, cols]
        if part.any():
            values = values.copy()
            values[part] = self.hole
        self.writer.write(rows, cols, values)
