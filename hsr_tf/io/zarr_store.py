"""Zarr version 3: a folder of chunks that several processes may write at once; read by xarray.

A chunk holds all bands of one tile, compressed by Zstandard with its checksum. `create_zarr` writes a store
in one process. For many: `new_zarr_store` makes the folder with its metadata, each process opens it by
`open_zarr_tiles` and writes tiles that meet no other's chunk, which is checked; a tile written twice is the
same tile. Every chunk is written, also one of fill values only: a missing chunk is an error on reading, not
a hole of zeros.
Read: stores of version 3 with the standard's own codecs; their metadata are checked before zarr reads them,
so that no store can name a codec that runs code. `hsr_tf.io.cf` lists the variables and attributes.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error, require
from hsr_tf.files import replacing_folder
from hsr_tf.io import cf
from hsr_tf.io.format import PartsFormat, WriteOptions
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.source import BandSource, ReadRequest, decoding
from hsr_tf.io.stream import CubeWriter, PartsWriter

FORMAT = "Zarr"
METADATA = "zarr.json"
TILE = 256
LONGEST_METADATA = 4 * 2**20
LARGEST_CHUNK_BYTES = 2**30
CODECS = {
    "bytes", "transpose", "sharding_indexed", "blosc", "gzip", "zstd", "crc32c", "zlib", "lz4", "vlen-utf8",
}  # fmt: skip
TYPES = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)} | {
    "float16",
    "float32",
    "float64",
    "bool",
    "string",
}
ALL_CHUNKS = "hsr_every_chunk_is_written"
MOST_CHILDREN = 1000


class Zarr(PartsFormat):
    """Zarr stores, which are folders."""

    name = "Zarr 3"
    suffixes = (".zarr",)
    reads = "CF attributes, any order of axes"
    writes = "yes, by several processes at once"
    is_folder = True

    def recognises(self, path: Path) -> bool:
        is_store = path.suffix.lower() in self.suffixes or (path / METADATA).is_file()
        return path.is_dir() and is_store

    @contextmanager
    def open(self, path: Path, request: ReadRequest) -> Iterator[BandSource]:
        arrays = _checked(path)
        import xarray

        with decoding(path, FORMAT), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = xarray.open_zarr(
                path,
                chunks=None,
                consolidated=False,
                decode_cf=False,
                drop_variables=[
                    name for name, about in arrays.items() if str(about["data_type"]) not in TYPES
                ],
            )
        with dataset, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with decoding(path, FORMAT, arguments=("layout",)):
                held = cf.Variables.of({"": dataset})
                source = cf.cf_source(path, held, request, format_name=FORMAT)
            yield source

    def require_target(self, path: Path) -> None:
        if path.is_dir() and any(path.iterdir()) and not (path / METADATA).is_file():
            problem = "is a folder that is no Zarr store, which is not overwritten"
            raise file_error(path, problem, "choose a new name")

    @contextmanager
    def new(self, path: Path, header: CubeHeader, options: WriteOptions) -> Iterator[CubeWriter]:
        self.require_target(path)
        with replacing_folder(path) as fresh:
            new_zarr_store(fresh, header)
            yield _tiles_writer(fresh, aligned=False)
            for place, _, files in os.walk(fresh):  # every chunk is on the disk before the store has its name
                for name in files:
                    descriptor = os.open(os.path.join(place, name), os.O_RDONLY)
                    try:
                        os.fsync(descriptor)
                    finally:
                        os.close(descriptor)


def new_zarr_store(folder: Path, header: CubeHeader, *, tile: tuple[int, int] = (TILE, TILE)) -> Path:
    """Make a store with its metadata and no chunks yet, for `open_zarr_tiles` in this or other processes.

    Args:
        folder: the store; made if need be, and empty. Give it a temporary name and rename it in the end.
        header: of the cube.
        tile: (rows, columns) of a chunk, which holds all bands.

    Raises:
        OSError: the folder is not empty.
        ValueError: a type of number that Zarr does not know.
    """
    import zarr
    from xarray.backends.zarr import FillValueCoder
    from zarr.codecs import ZstdCodec

    dtype = np.dtype(header.dtype).newbyteorder("=")
    require(
        dtype.name in TYPES and dtype.kind in "uif",
        "dtype",
        expected="integers or floating-point numbers of 8 to 64 bits",
        received=str(dtype),
        remedy="convert with --dtype=float32",
    )
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    if any(folder.iterdir()):
        raise file_error(folder, "is not empty", "give a new folder")
    group = zarr.open_group(str(folder), mode="w", zarr_format=3, attributes=cf.global_attributes(header))
    for name, variable in cf.small_variables(header).items():
        array = group.create_array(
            name,
            shape=variable.values.shape,
            dtype=variable.values.dtype,
            chunks=variable.values.shape or "auto",
            dimension_names=variable.dims,
            attributes=dict(variable.attributes),
            config={"write_empty_chunks": True},
        )
        array[...] = variable.values
    attributes = cf.cube_attributes(header) | {ALL_CHUNKS: True}
    if header.band_names is not None:
        attributes["band_names"] = list(header.band_names)
    fill = cf.fill_value(header)
    if fill is not None:  # as xarray keeps it in Zarr 3
        attributes["_FillValue"] = FillValueCoder.encode(fill, dtype)
    group.create_array(
        cf.CUBE,
        shape=(header.shape[2], *header.shape[:2]),
        dtype=dtype,
        chunks=cf.chunk_shape(header, tile),
        dimension_names=("band", "y", "x"),
        attributes=attributes,
        compressors=[ZstdCodec(level=3, checksum=True)],
        fill_value=0,
        config={"write_empty_chunks": True},
    )
    return folder


def open_zarr_tiles(folder: str | os.PathLike[str]) -> CubeWriter:
    """Return a writer for a store of `new_zarr_store`; several processes may have one each.

    Its `write` takes tiles that begin and end where chunks do.
    """
    return _tiles_writer(Path(folder), aligned=True)


def _tiles_writer(folder: Path, *, aligned: bool) -> CubeWriter:
    """Write parts of the cube of an open store; `aligned` refuses parts that share a chunk with others."""
    import zarr

    options: Any = {"write_empty_chunks": True}
    array = zarr.open_array(str(folder / cf.CUBE), mode="r+", zarr_format=3, config=options)

    def write(rows: slice, cols: slice, values: NDArray[Any]) -> None:
        lengths, chunks = array.shape[1:], array.chunks[1:]
        for name, part, length, chunk in zip(("rows", "cols"), (rows, cols), lengths, chunks, strict=True):
            start, stop, _ = part.indices(length)
            require(
                not aligned or (start % chunk == 0 and (stop % chunk == 0 or stop == length)),
                name,
                expected=f"a tile that begins and ends at multiples of {chunk} or at the border",
                received=f"{start} to {stop}",
                remedy="two processes must not write one chunk; cut the tiles along the chunks",
            )
        array[:, rows, cols] = np.ascontiguousarray(np.moveaxis(values, -1, 0))

    return PartsWriter(write)


def _checked(path: Path) -> dict[str, dict[str, Any]]:
    """Return the metadata of the arrays of a store, once they are known to be harmless.

    Raises:
        OSError: version 2, damaged metadata, unknown codecs, missing chunks.
    """
    if not (path / METADATA).is_file():
        is_old = any((path / name).exists() for name in (".zgroup", ".zarray", ".zmetadata"))
        problem = "is Zarr version 2" if is_old else f"has no {METADATA}"
        raise file_error(path, problem, "give a store of version 3")
    _metadata(path, "group")
    with os.scandir(path) as entries:
        children = sorted(entry.name for entry in entries if entry.is_dir())[:MOST_CHILDREN]
    arrays = {}
    for name in (name for name in children if (path / name / METADATA).is_file()):
        arrays[name] = _metadata(path / name, "array")
        with decoding(path / name, FORMAT):
            _require_harmless(path / name, arrays[name])
    return arrays


def _metadata(folder: Path, kind: str) -> dict[str, Any]:
    file = folder / METADATA
    with decoding(file, "Zarr metadata"):
        if file.stat().st_size > LONGEST_METADATA:
            raise ValueError("too long")
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or found.get("zarr_format") != 3 or found.get("node_type") != kind:
            raise ValueError(f"no {kind} of version 3")
    return dict(found)


def _require_harmless(folder: Path, array: dict[str, Any]) -> None:
    """Raise a ValueError for metadata of an array that the zarr library must not see."""
    shape, grid = [int(length) for length in array["shape"]], array["chunk_grid"]
    if grid["name"] != "regular" or not isinstance(array["data_type"], str | dict):
        raise ValueError(f"chunk grid {grid['name']!r}")
    chunk = [int(length) for length in grid["configuration"]["chunk_shape"]]
    if len(chunk) != len(shape) or min([*chunk, *shape], default=1) < 1:
        raise ValueError(f"chunks {chunk} of an array {shape}")
    if prod(chunk) * 8 > LARGEST_CHUNK_BYTES and prod(chunk) > 4 * prod(shape):
        raise ValueError(f"chunks {chunk} far larger than the array {shape}")
    if prod(chunk) > LARGEST_CHUNK_BYTES:
        raise ValueError(f"chunks {chunk} beyond any memory")
    unknown = set(_codec_names(array["codecs"])) - CODECS
    if unknown:
        raise ValueError(f"codec {sorted(unknown)[0][:40]!r} is not one of the standard's")
    if array.get("storage_transformers"):
        raise ValueError("storage transformers are not read")
    if array.get("attributes", {}).get(ALL_CHUNKS):
        needed = prod(-(-length // size) for length, size in zip(shape, chunk, strict=True))
        held = sum(len(files) for _, _, files in os.walk(folder / "c"))
        if held < needed:
            raise ValueError(f"{needed - held} of {needed} chunks are missing")


def _codec_names(codecs: Any) -> Iterator[str]:
    for codec in codecs:
        yield str(codec["name"])
        inner = codec.get("configuration", {}) or {}
        for part in ("codecs", "index_codecs"):
            yield from _codec_names(inner.get(part, []))
