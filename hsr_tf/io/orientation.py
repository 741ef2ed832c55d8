"""Images whose file says that rows and columns are stored in another order (EXIF or TIFF orientation 1 to 8).

`upright` of `hsr_tf.io.picture` says what each number means; here windows of the upright image are read from
the stored one. A file that places its rows and columns on the ground is not touched: its grid counts them as
they are stored.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.findings import WARNING, Finding
from hsr_tf.io.account import LEFT
from hsr_tf.io.picture import upright
from hsr_tf.io.source import BandSource

TRANSPOSED, ROWS_REVERSED, COLS_REVERSED = (5, 6, 7, 8), (3, 4, 7, 8), (2, 3, 6, 7)
REPORT = "orientation"


def upright_source(source: BandSource, orientation: int) -> BandSource:
    """Return the source of the upright image; the same source for orientation 1 and unknown numbers.

    Sources with a georeference, and with a mask held as an array, are not for this function.
    """
    if orientation not in range(2, 9):
        return source
    height, width, num_bands = source.shape
    transposed, read_mask = orientation in TRANSPOSED, source.read_mask
    size = (width, height) if transposed else (height, width)

    def read(bands: slice, rows: slice, cols: slice) -> NDArray[Any]:
        values = source.read(bands, *stored_window(rows, cols, size, orientation))
        return np.moveaxis(upright(np.moveaxis(values, 0, -1), orientation), -1, 0)

    def mask(rows: slice, cols: slice) -> NDArray[np.bool_]:
        assert read_mask is not None
        held = read_mask(*stored_window(rows, cols, size, orientation))
        return np.asarray(upright(held[..., None], orientation)[..., 0])

    chunks = source.chunks
    if chunks is not None and transposed:
        chunks = (chunks[0], chunks[2], chunks[1])
    line = f"{orientation} in the file; rows and columns were put upright"
    findings = source.header.findings
    if source.header.sensor_model is not None:
        said = "GCP, RPC: of rows and columns as they are stored, not kept in the upright image"
        findings = (*findings, Finding(WARNING, LEFT, said))
    metadata = {**source.header.metadata, REPORT: line}
    return replace(
        source,
        header=replace(
            source.header,
            shape=(*size, num_bands),
            metadata=metadata,
            findings=findings,
            sensor_model=None,
        ),
        read=read,
        read_mask=None if read_mask is None else mask,
        chunks=chunks,
    )


def stored_window(rows: slice, cols: slice, size: tuple[int, int], orientation: int) -> tuple[slice, slice]:
    """(rows, columns) of the stored image that hold this window of an upright image of (H, W) `size`."""
    down, across = (slice(*part.indices(length)[:2]) for part, length in zip((rows, cols), size, strict=True))
    if orientation in ROWS_REVERSED:
        down = slice(size[0] - down.stop, size[0] - down.start)
    if orientation in COLS_REVERSED:
        across = slice(size[1] - across.stop, size[1] - across.start)
    return (across, down) if orientation in TRANSPOSED else (down, across)
