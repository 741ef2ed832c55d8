"""GeoTIFF files on a server or inside an archive, read in windows by GDAL's virtual file systems.

Nothing of this is opened unless the caller allows it (`ReadRequest.allow_remote`, `--allow_remote`): a name
alone must neither reach a network nor unpack an archive. Read are http:, https:, s3:, gs: and az: addresses,
and the names of GDAL's file systems for these, for zip, tar and gzip. GDAL looks for credentials itself.

GDAL's GTiff driver alone is used. tifffile cannot look at such a file first, as it does for files of this
machine: what is checked is what GDAL says of the open file. An orientation tag is not applied. Servers have
to answer requests for ranges of bytes; they get 10 seconds to connect, 30 to answer, and two more tries.

GDAL holds what a server without ranges sends, up to its end: such servers are refused first, unless the file
is small.

How many bytes such a file holds follows from its own table of blocks, which names a place and a length for
each. Where that is not so, reading the block fails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hsr_tf.checks import file_error
from hsr_tf.io.gdal_calls import CONNECT_SECONDS, gdal_options
from hsr_tf.io.geotiff import FORMAT, LARGEST_BLOCK_BYTES, dataset_source
from hsr_tf.io.remote_names import refusal
from hsr_tf.io.source import BandSource, ReadRequest, RemoteFile, decoding, refuse_options

MOST_BLOCKS, ENTRY_BYTES = 10_000, 16
OK_WHOLE, MOST_AT_ONCE = 200, 2**17
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
    _require_ranges(name)
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
            remote = _remote_file(name, dataset, depth)
        yield replace(source, remote=remote)
    finally:
        dataset.close()


def _require_ranges(name: str) -> None:
    """Refuse a server that answers a request for one byte of a large file with all of it.

    One that cannot be asked, for want of a login for example, is left to GDAL.

    Raises:
        OSError: it does.
    """
    address = name.removeprefix("/vsicurl/")
    if not address.startswith(("http://", "https://")):
        return
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    whole = False
    with suppress(OSError, ValueError, HTTPException):
        one_byte = Request(address, headers={"Range": "bytes=0-0"})
        with urlopen(one_byte, timeout=CONNECT_SECONDS) as answer:
            length = answer.headers.get("Content-Length")
            whole = answer.status == OK_WHOLE and (length is None or int(length) > MOST_AT_ONCE)
    if whole:
        remedy = "fetch it first, or use a server that sends ranges of bytes"
        raise file_error(name, "the server sends it whole where a part is requested", remedy)


def _remote_file(name: str, dataset: Any, depth: int) -> RemoteFile:
    """Return what is known of an open data set by its table of blocks, which is fetched when it is needed.

    Args:
        name: of the file.
        dataset: open by rasterio.
        depth: bands that lie in one block.
    """
    rows, cols = dataset.block_shapes[0]
    down, across = -(-dataset.height // rows), -(-dataset.width // cols)
    num_blocks = -(-dataset.count // depth) * down * across
    step = -(-num_blocks // MOST_BLOCKS)  # of very many blocks evenly spread ones are looked at

    def table() -> list[tuple[int, int]]:
        """The place and the length of blocks in bytes."""
        found = []
        for index in range(0, num_blocks, step):
            band, (row, col) = index // (down * across), divmod(index % (down * across), across)
            words = (f"BLOCK_{what}_{col}_{row}" for what in ("OFFSET", "SIZE"))
            at, size = (int(dataset.get_tag_item(word, "TIFF", bidx=band + 1) or 0) for word in words)
            found.append((at, size))
        return found

    def num_bytes() -> int:
        with decoding(Path(name), FORMAT), gdal_options():
            distinct = dict(table())  # blocks that share one place hold it once
        return ENTRY_BYTES * num_blocks + step * sum(distinct.values())

    def digest() -> str:
        with decoding(Path(name), FORMAT), gdal_options():
            found = hashlib.sha256(repr(table()).encode())
            for row, col in ((0, 0), (down // 2, across // 2), (down - 1, across - 1)):
                found.update(dataset.read(1, window=dataset.block_window(1, row, col)).tobytes())
        return found.hexdigest()

    return RemoteFile(num_bytes, digest)
