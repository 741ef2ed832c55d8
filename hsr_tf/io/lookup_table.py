"""A swath on the map grid that its own lookup table gives, as in EMIT's files (geometry lookup table, GLT).

`glt_x` and `glt_y` (rows and columns of the grid) hold, for each pixel of the grid, the column and the row of
the swath that was seen there, counted from 1; 0 where nothing was. The attribute `geotransform` of the file
(x, width, 0, y, 0, -height) places the grid, `spatial_ref` is its coordinate system. Nothing is interpolated:
each pixel of the grid takes the values of one pixel of the swath, as EMIT's user guide does.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import require
from hsr_tf.geo.crs import readable_crs
from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.account import Account
from hsr_tf.io.arrays import plain_value
from hsr_tf.io.cf import Variables
from hsr_tf.io.nanometres import numbers
from hsr_tf.io.source import BandSource

COLUMNS, ROWS = "glt_x", "glt_y"


def on_its_grid(path: Path, source: BandSource, held: Variables) -> BandSource:
    """Return a swath on the grid of its lookup table.

    Raises:
        ValueError: the file has no lookup table, or one that leads out of the swath.
    """
    columns, rows = (_indices(held, name) for name in (COLUMNS, ROWS))
    require(
        columns is not None and rows is not None and columns.shape == rows.shape,
        "ortho",
        expected=f"a file with a lookup table ({COLUMNS}, {ROWS}), such as EMIT's",
        received=path.name,
        remedy="leave --ortho out",
    )
    assert columns is not None and rows is not None
    height, width, num_bands = source.shape
    seen = (columns > 0) & (rows > 0)
    require(
        bool(seen.any()) and int(columns.max()) <= width and int(rows.max()) <= height,
        "ortho",
        expected=f"a lookup table into the {height}x{width} pixels of the swath",
        received=f"rows up to {rows.max()} and columns up to {columns.max()}",
        remedy="leave --ortho out",
    )

    def read(bands: slice, down: slice, across: slice) -> NDArray[Any]:
        window = seen[down, across]
        chosen = range(*bands.indices(num_bands))
        found = np.zeros((len(chosen), *window.shape), source.dtype)
        if window.any():
            at, to = rows[down, across][window] - 1, columns[down, across][window] - 1
            first = slice(int(at.min()), int(at.max()) + 1), slice(int(to.min()), int(to.max()) + 1)
            found[:, window] = source.read(bands, *first)[:, at - first[0].start, to - first[1].start]
        return found

    def mask(down: slice, across: slice) -> NDArray[np.bool_]:
        window = seen[down, across]
        without = ~window
        if source.read_mask is not None and window.any():
            at, to = rows[down, across][window] - 1, columns[down, across][window] - 1
            everywhere = source.read_mask(slice(0, height), slice(0, width))
            without[window] = everywhere[at, to]
        return np.asarray(without)

    account = Account.of(source.header, without=places_left(source))
    account.use(COLUMNS, ROWS)
    header = replace(
        source.header,
        shape=(*seen.shape, num_bands),
        nodata_mask=None,
        georeference=_grid(held, account),
    )
    header = replace(header, used=account.used, findings=account.findings)
    return replace(source, header=header, read=read, read_mask=mask, chunks=None)


def places_left(source: BandSource) -> str:
    """Return the name under which the places of all pixels are in the account, or ""."""
    names = (one.found.partition(": places of every pixel")[0] for one in source.header.findings)
    return next((name for name in names if ": " not in name), "")


def _grid(held: Variables, account: Account) -> Georeference | None:
    terms = numbers(held.attrs.get("geotransform"), 6)
    if terms is None:
        account.leave("geotransform", "is not six numbers, no grid is known")
        return None
    x, a, b, y, d, e = terms.tolist()
    account.use("geotransform", "spatial_ref")
    return Georeference((a, b, x, d, e, y), readable_crs(str(plain_value(held.attrs.get("spatial_ref", "")))))


def _table(held: Variables, name: str) -> Any:
    found = (one for path, one in held.variables.items() if path.rpartition("/")[2] == name)
    return next((one for one in found if one.ndim == 2 and one.dtype.kind in "ui"), None)


def _indices(held: Variables, name: str) -> NDArray[np.int64] | None:
    table = _table(held, name)
    return None if table is None else np.maximum(np.asarray(table.values, np.int64), 0)
