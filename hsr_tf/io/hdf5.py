"""HDF5: the project's own form, and any HDF5 file that holds a 3-D array.

Read: dataset `cube` (or the key given, or the only 3-D array), order of axes in its attribute `layout`
(band,row,col when absent), white level in an attribute `white_level`, `reflectance_scale` or `scale` (of
255 or more) of the dataset or the file, `wavelength_nm` (C,), optional `nodata_mask` (row, col). Other
attributes become the metadata.
Also read where they are there: `fwhm_nm`, `band_names`, `good_bands` (C,), and of the cube the attributes
`nodata`, `gain` and `offset` (value = gain * stored + offset), `transform` (six numbers
in rasterio's order) and `crs_wkt`.
Of other makers: what `hsr_tf.io.foreign_hdf5` and `hsr_tf.io.prisma` tell. Data that lie in other files
(external and virtual data sets, links) are not read.
Written: `cube` float32, band,row,col, one compressed chunk a band; the values are those of the scene, so no
white level belongs to them, and the one of the original file is kept as `source_white_level`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error, require
from hsr_tf.files import replacing_file
from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.arrays import band_reader, choose_key, find_white_level, parse_layout
from hsr_tf.io.foreign_hdf5 import UNIT_NAMES, foreign_facts
from hsr_tf.io.foreign_hdf5 import WAVELENGTH_NAMES as FOREIGN_WAVELENGTHS
from hsr_tf.io.foreign_hdf5 import WIDTH_NAMES as FOREIGN_WIDTHS
from hsr_tf.io.guarded import GuardedFile, created_hdf5
from hsr_tf.io.hdf5_tiles import Hdf5TileWriter
from hsr_tf.io.prisma import prisma_fields, prisma_source
from hsr_tf.io.probe import require_harmless
from hsr_tf.io.source import BandSource, ReadRequest, decoded, decoding
from hsr_tf.io.stream import CubeHeader, CubeWriter, header_of
from hsr_tf.scene import Scene

FORMAT = "HDF5"
DEFAULT_LAYOUT = "band,row,col"
WAVELENGTH_NAMES = ("wavelength_nm", "wavelengths_nm")
MAX_ATTRIBUTE_BYTES = 60_000
TILE_CHUNK, LEVEL = 64, 1
LONGEST_LIST = 100_000
OF_THE_CUBE = ("nodata", "gain", "offset", "transform", "crs_wkt")


@contextmanager
def open_hdf5(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    """Open an HDF5 file as a source of bands.

    Raises:
        OSError: a damaged file, no or several 3-D arrays, an unknown key.
        ValueError: a layout that does not name the three axes.
    """
    with opened(path, FORMAT) as file:
        with decoding(path, FORMAT):
            fields = None if request.key is not None else prisma_fields(file)
        if fields is not None:
            require_local_data(path, file)
            with decoding(path, FORMAT):
                source = prisma_source(path, file, fields, request)
            yield source
            return
        dataset = find_dataset(path, file, request.key, preferred=("cube",))
        with decoding(path, FORMAT):
            own = _attributes(dataset)
            told = {name: own.pop(name, None) for name in OF_THE_CUBE}
            attributes = {**_attributes(file), **own}
            facts = foreign_facts(dataset.shape, attributes, _lists(file))
        layout = request.layout or str(attributes.pop("layout", facts.layout or DEFAULT_LAYOUT))
        shape, read = band_reader(dataset, layout)
        level = find_white_level(path, attributes, given=request.white_level)
        level = facts.white_level if level is None and request.white_level is None else level
        for name in ("layout", "white_level"):
            attributes.pop(name, None)
        if "source_white_level" in attributes:
            attributes["white_level"] = attributes.pop("source_white_level")
        with decoding(path, FORMAT):
            wavelengths = _companion(file, WAVELENGTH_NAMES, (shape[2],), strict=request.key is None)
            mask = _companion(file, ("nodata_mask",), shape[:2], strict=False)
            widths, good = (
                _companion(file, (name,), (shape[2],), strict=False) for name in ("fwhm_nm", "good_bands")
            )
            names = _names(file, shape[2])
            grid = (
                None if told["transform"] is None else Georeference(tuple(told["transform"]), told["crs_wkt"])
            )
        wavelengths = _fitting(facts.wavelengths_nm, shape[2]) if wavelengths is None else wavelengths
        gain = facts.gain if told["gain"] is None and level is None else told["gain"]
        offset = facts.offset if told["gain"] is None else told["offset"]
        yield BandSource(
            path=path,
            format=FORMAT,
            shape=shape,
            dtype=dataset.dtype,
            read=decoded(path, FORMAT, read),
            white_level=level,
            wavelengths_nm=None if wavelengths is None else wavelengths.ravel(),
            metadata=attributes,
            name=str(attributes.get("scene", "")),
            nodata_mask=mask,
            nodata=facts.nodata if told["nodata"] is None else float(told["nodata"]),
            fwhm_nm=_fitting(facts.fwhm_nm, shape[2]) if widths is None else widths,
            band_names=names,
            good_bands=good,
            georeference=grid,
            gain=gain,
            offset=0.0 if offset is None else offset,
            chunks=_chunks(dataset, layout),
            storage=f"axes {layout.replace(',', ', ')}",
        )


def write_hdf5(scene: Scene, path: Path) -> None:
    """Write a scene in the project's own form; see the head of this file.

    Raises:
        OSError: the disk is full or the place cannot be written; an older file stays as it was.
        ValueError: metadata too large for an HDF5 attribute.
    """
    header = header_of(scene)
    with _created(path, header, chunk=_band_chunk(*scene.shape[:2])) as (file, dataset, guarded):
        for band in range(scene.num_bands):
            dataset[band] = scene.cube[..., band]
            guarded.raise_failure()
        if scene.nodata_mask is not None:
            file.create_dataset("nodata_mask", data=scene.nodata_mask.astype(np.uint8), compression="gzip")


@contextmanager
def create_hdf5(path: Path, header: CubeHeader) -> Iterator[CubeWriter]:
    """The same file, written part by part: chunks of all bands and 64 x 64 pixels.

    Raises:
        OSError: the disk is full or the place cannot be written; an older file stays as it was.
    """
    height, width, num_bands = header.shape
    chunk = (num_bands, min(height, TILE_CHUNK), min(width, TILE_CHUNK))
    with _created(path, header, chunk=chunk) as (file, dataset, guarded):
        if header.nodata_mask is not None:
            mask = np.asarray(header.nodata_mask).astype(np.uint8)
            file.create_dataset("nodata_mask", data=mask, compression="gzip")
        yield Hdf5TileWriter(dataset, guarded, LEVEL)


@contextmanager
def _created(
    path: Path, header: CubeHeader, *, chunk: tuple[int, int, int]
) -> Iterator[tuple[h5py.File, h5py.Dataset, GuardedFile]]:
    """A new file with all that the header tells, and an empty cube to fill."""
    attributes = _writable(header.metadata)
    height, width, num_bands = header.shape
    with replacing_file(path) as temporary, created_hdf5(temporary) as (file, guarded):
        file.attrs.update({**attributes, "scene": header.name})
        dataset = file.create_dataset(
            "cube",
            (num_bands, height, width),
            header.dtype,
            chunks=chunk,
            compression="gzip",
            compression_opts=LEVEL,
            shuffle=True,
        )
        dataset.attrs["layout"] = DEFAULT_LAYOUT
        _write_header(file, dataset, header)
        yield file, dataset, guarded


def _write_header(file: h5py.File, dataset: h5py.Dataset, header: CubeHeader) -> None:
    """Wavelengths, widths, names and the bad-band list as data sets; the rest as attributes of the cube."""
    for name, values in (("wavelength_nm", header.wavelengths_nm), ("fwhm_nm", header.fwhm_nm)):
        if values is not None:
            file.create_dataset(name, data=values)
    if header.band_names is not None:
        file.create_dataset("band_names", data=list(header.band_names), dtype=h5py.string_dtype())
    if header.good_bands is not None:
        file.create_dataset("good_bands", data=np.asarray(header.good_bands).astype(np.uint8))
    told: dict[str, Any] = {
        "white_level": header.white_level,
        "nodata": header.nodata,
        "gain": header.gain,
        "offset": None if header.gain is None else header.offset,
    }
    if header.georeference is not None:
        told |= {"transform": header.georeference.transform, "crs_wkt": header.georeference.crs}
    dataset.attrs.update({name: value for name, value in told.items() if value is not None})


@contextmanager
def opened(path: Path, format_name: str) -> Iterator[h5py.File]:
    """An HDF5 file open for reading, or one clear line."""
    require_harmless(path, format_name)
    with decoding(path, format_name):
        file = h5py.File(path, "r")
    try:
        yield file
    finally:
        file.close()


def find_dataset(path: Path, file: h5py.File, key: str | None, *, preferred: tuple[str, ...]) -> h5py.Dataset:
    """The dataset of this key, or the first preferred one that is there, or the only 3-D one.

    Raises:
        OSError: there is no such dataset, or there are several; the message lists what the file holds.
    """
    with decoding(path, FORMAT):
        datasets = _datasets(file)
    require_local_data(path, file)
    shapes = {name: dataset.shape for name, dataset in datasets.items()}
    return datasets[choose_key(path, shapes, key, preferred=preferred)]


def require_local_data(path: Path, file: h5py.File) -> None:
    """Refuse data sets whose values lie in other files, which a file from elsewhere could make us read.

    Raises:
        OSError: there is one.
    """
    with decoding(path, FORMAT):
        elsewhere = [n for n, one in _datasets(file).items() if one.is_virtual or one.external]
    if elsewhere:
        problem = f"its {elsewhere[0]} lies in other files"
        raise file_error(path, problem, "copy the values into the file, e.g. with h5repack")


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("#"):
            found[name] = item

    file.visititems(visit)
    return found


def _attributes(item: h5py.File | h5py.Dataset) -> dict[str, Any]:
    return {str(name): _plain(value) for name, value in item.attrs.items()}


def _plain(value: Any) -> Any:
    """Python numbers, text and arrays for HDF5's own types."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value.item() if isinstance(value, np.generic) else value


def _companion(
    file: h5py.File, names: tuple[str, ...], shape: tuple[int, ...], *, strict: bool
) -> NDArray[Any] | None:
    """A dataset that belongs to the cube; unless strict, one of another shape belongs to something else."""
    for name in names:
        item = _local(file, name)
        if isinstance(item, h5py.Dataset) and (strict or item.shape == shape):
            return np.asarray(item[...])
    return None


def _local(file: h5py.File, name: str) -> Any:
    """What has this name in the file itself; None for a link elsewhere."""
    return file.get(name) if isinstance(file.get(name, getlink=True), h5py.HardLink) else None


def _lists(file: h5py.File) -> dict[str, tuple[Any, str | None]]:
    """Short lists of numbers by the last part of their names in lower case, with their units."""
    found: dict[str, tuple[Any, str | None]] = {}
    for name, item in _datasets(file).items():
        if item.ndim == 1 and 0 < item.size <= LONGEST_LIST and item.dtype.kind in "uif":
            units = _attributes(item)
            told = next((str(value) for key, value in units.items() if key.lower() in UNIT_NAMES), None)
            last = name.rpartition("/")[2].lower()
            if last in (*FOREIGN_WAVELENGTHS, *FOREIGN_WIDTHS):
                found.setdefault(last, (item[...], told))
    return found


def _fitting(values: NDArray[Any] | None, count: int) -> NDArray[Any] | None:
    return values if values is not None and values.size == count else None


def _chunks(dataset: h5py.Dataset, layout: str) -> tuple[int, int, int] | None:
    """(bands, rows, columns) of a chunk."""
    if dataset.chunks is None or dataset.ndim != 3:
        return None
    band, row, col = parse_layout(layout)
    return int(dataset.chunks[band]), int(dataset.chunks[row]), int(dataset.chunks[col])


def _names(file: h5py.File, num_bands: int) -> tuple[str, ...] | None:
    """The names of the bands where there is one for each."""
    item = _local(file, "band_names")
    if not isinstance(item, h5py.Dataset) or item.shape != (num_bands,):
        return None
    return tuple(
        text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in item[...]
    )


def _band_chunk(height: int, width: int) -> tuple[int, int, int]:
    """One band a chunk, in several pieces where a band is beyond about 16 MiB."""
    return 1, max(1, min(height, 4 * 1024**2 // width)), width


def _writable(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as HDF5 attributes: numbers, text and numeric arrays as they are, the rest as JSON text.

    HDF5 has no attributes without a name; such a value is left out.
    """
    attributes: dict[str, Any] = {}
    for name, value in metadata.items():
        if not str(name):
            continue
        attributes["source_white_level" if name == "white_level" else str(name)] = _attribute(name, value)
    return attributes


def _attribute(name: str, value: Any) -> Any:
    simple = isinstance(value, str | bool | int | float | np.generic)
    numeric = not simple and isinstance(value, np.ndarray) and value.dtype.kind in "buif"
    written = value if simple or numeric else json.dumps(value, default=str)
    size = np.asarray(written).nbytes
    require(
        size <= MAX_ATTRIBUTE_BYTES,
        f"metadata[{name!r}]",
        expected=f"at most {MAX_ATTRIBUTE_BYTES} bytes",
        received=f"{size} bytes",
        remedy="leave it out of the scene's metadata, or store it in a file of its own",
    )
    return written
