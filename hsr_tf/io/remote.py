"""GeoTIFF files on a server or inside an archive, read in windows by GDAL's virtual file systems.

Nothing of this is opened unless the caller allows it (`ReadRequest.allow_remote`, `--allow_remote`): a name
alone must neither reach a network nor unpack an archive. Read are http:, https:, s3:, gs: and az: addresses,
and the names of GDAL's file systems for these, for zip, tar and gzip. GDAL looks for credentials itself.

GDAL's GTiff driver alone is used. tifffile cannot look at such a file first, as it does for files of this
machine: what is checked is what GDAL says of the open file. An orientation tag is not applied. Servers have
to answer requests for ranges of bytes; they get 10 seconds to connect, 30 to answer, and two more tries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hsr_tf.checks import file_error
from hsr_tf.io.gdal_calls import gdal_options
from hsr_tf.io.geotiff import FORMAT, LARGEST_BLOCK_BYTES, dataset_source
from hsr_tf.io.remote_names import refusal
from hsr_tf.io.source import BandSource, ReadRequest, decoding, refuse_options

FILE_SYSTEMS = ("vsicurl", "vsis3", "vsigs", "vsiaz", "vsizip", "vsitar", "vsigzip")


@contextmanager
def open_remote(name: str, request: ReadRequest) -> Iterator[BandSource]:
    """Open a remote GeoTIFF as a source of bands; `name` as `hsr_tf.io.remote_names.remote_name`
    returns it.

    Raises:
        OSError: it is not allowed, cannot be reached, is no GeoTIFF, or has blocks beyond any memory.
        ValueError: a key or layout, which mean nothing here.
    """
    import rasterio
    from rasterio.errors import RasterioIOError

    if not request.allow_remote:
        raise refusal(name)
    if name.startswith("/vsi") and name[1:].partition("/")[0] not in FILE_SYSTEMS:
        known = ", ".join(f"/{one}/" for one in FILE_SYSTEMS)
        raise file_error(name, "is of a virtual file system that is not read", f"use one of {known}")
    refuse_options(Path(name), request, FORMAT)
    with gdal_options():
        try:
            dataset = rasterio.open(name, driver="GTiff", sharing=False)
        except RasterioIOError as error:
            reason = " ".join(str(error).split())[:160]
            remedy = "check the address; the server has to send ranges of a GeoTIFF"
            raise file_error(name, f"cannot be opened ({reason})", remedy) from error
    try:
        with decoding(Path(name), FORMAT), gdal_options():
            rows, cols = dataset.block_shapes[0]
            depth = dataset.count if dataset.profile.get("interleave") == "pixel" else 1
            num_bytes = rows * cols * depth * np.dtype(dataset.dtypes[0]).itemsize
            if num_bytes > LARGEST_BLOCK_BYTES:
                raise file_error(name, f"its blocks of {rows}x{cols} are beyond 1 GiB", "write it in tiles")
            source = dataset_source(Path(name), dataset, request, multiplied=False)
        yield source
    finally:
        dataset.close()
