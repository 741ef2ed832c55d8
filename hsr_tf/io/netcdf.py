"""NetCDF 4 with CF attributes: read by xarray on h5netcdf, written part by part by h5netcdf itself.

xarray writes whole variables only, so the parts go through h5netcdf, on the same guarded file as the
project's HDF5. Chunks hold all bands of 64 x 64 pixels, deflated, with checksums. NetCDF 3 is refused.
`hsr_tf.io.cf` lists the variables and attributes, `hsr_tf.io.lookup_table` puts a swath on its grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error
from hsr_tf.files import replacing_file
from hsr_tf.io import cf
from hsr_tf.io.format import PartsFormat, WriteOptions
from hsr_tf.io.guarded import guarded_file
from hsr_tf.io.hdf5 import TILE_CHUNK, open_file, require_local_data
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.lookup_table import on_its_grid
from hsr_tf.io.source import BandSource, ReadRequest, decoding
from hsr_tf.io.stream import CubeWriter, PartsWriter

FORMAT = "NetCDF"
MOST_GROUPS = 50


class NetCdf(PartsFormat):
    """NetCDF 4 files."""

    name = "NetCDF 4"
    suffixes = (".nc", ".nc4")
    reads = "CF attributes, groups, any order of axes; EMIT's lookup table with `--ortho`"
    writes = "yes"

    @contextmanager
    def open(self, path: Path, request: ReadRequest) -> Iterator[BandSource]:
        with decoding(path, FORMAT), open(path, "rb") as file:
            if file.read(3) == b"CDF":
                raise file_error(path, "is NetCDF 3", "turn it into NetCDF 4, e.g. with nccopy -k nc4")
        with open_file(path, FORMAT) as file:
            require_local_data(path, file)
            with decoding(path, FORMAT):
                groups = ["", *_groups(file)]
        import xarray

        with ExitStack() as stack:
            datasets = {}
            for group in groups:
                with decoding(path, FORMAT):
                    dataset = xarray.open_dataset(
                        path, group=group or None, engine="h5netcdf", decode_cf=False, cache=False
                    )
                datasets[group] = stack.enter_context(dataset)
            with decoding(path, FORMAT, arguments=("layout", "ortho")):
                held = cf.Variables.of(datasets)
                source = cf.cf_source(path, held, request, format_name=FORMAT)
                if request.ortho:
                    source = on_its_grid(path, source, held)
            yield source

    @contextmanager
    def new(self, path: Path, header: CubeHeader, options: WriteOptions) -> Iterator[CubeWriter]:
        import h5netcdf

        with (
            replacing_file(path) as temporary,
            guarded_file(temporary) as guarded,
            h5netcdf.File(guarded, "w") as file,
        ):
            height, width, num_bands = header.shape
            file.dimensions = {"band": num_bands, "y": height, "x": width}
            file.attrs.update(cf.global_attributes(header))
            for name, small in cf.small_variables(header).items():
                packing = "gzip" if len(small.dims) > 1 else None
                variable = file.create_variable(
                    name, small.dims, small.values.dtype, data=small.values, compression=packing
                )
                variable.attrs.update(small.attributes)
            if header.band_names is not None:
                names = np.array(header.band_names, dtype=object)
                file.create_variable("band_name", ("band",), h5py.string_dtype(), data=names)
            cube = file.create_variable(
                cf.CUBE,
                ("band", "y", "x"),
                np.dtype(header.dtype),
                fillvalue=cf.fill_value(header),
                chunks=cf.chunk_shape(header, (TILE_CHUNK, TILE_CHUNK)),
                compression="gzip",
                compression_opts=1,
                shuffle=True,
                fletcher32=True,
            )
            cube.attrs.update(cf.cube_attributes(header))

            def write(rows: slice, cols: slice, values: NDArray[Any]) -> None:
                cube[:, rows, cols] = np.moveaxis(values, -1, 0)
                guarded.raise_failure()

            yield PartsWriter(write)


def _groups(file: h5py.File) -> list[str]:
    """Return the paths of the groups in a file, links into other files left out."""
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Group) else None)
    return found[:MOST_GROUPS]
