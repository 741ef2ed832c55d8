"""HDF5: the form of this project, and any HDF5 file that holds a 3-D array.

Read: data set `cube` (or the key given, or the only 3-D array), order of axes in its attribute `layout`
(band,row,col if absent), white level in an attribute `white_level`, `reflectance_scale` or `scale` (of 255 or
more) of the data set or the file, `wavelength_nm` (C,), optional `nodata_mask` (row, col), `fwhm_nm`,
`band_names`, `good_bands` (C,), `sensor_model` (JSON), and the attributes `nodata`, `gain` and `offset`
(value = gain * stored + offset), `transform` (six numbers in the order of rasterio) and `crs_wkt` of the
cube. Other attributes become the metadata. Files of other makers: `hsr_tf.io.foreign_hdf5` and
`hsr_tf.io.prisma`. Data in other files
(external and virtual data sets, links) are not read. Written: `cube`, band,row,col, compressed; chunks are
one band of a scene, or all bands of 64 x 64 pixels. The white level that a scene was read with is kept as
`source_white_level`, as it does not belong to the values of the scene.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error, require
from hsr_tf.files import replacing_file
from hsr_tf.geo.georeference import Georeference
from hsr_tf.geo.sensor_model import SensorModel
from hsr_tf.io.account import Account
from hsr_tf.io.arrays import (
    Squeezed,
    axes_guess,
    band_reader,
    choose_key,
    find_white_level,
    likely_layout,
    parse_layout,
    plain_value,
)
from hsr_tf.io.foreign_hdf5 import (
    LIST_NAMES,
    MAP_NAMES,
    UNIT_NAMES,
    foreign_facts,
    foreign_grid,
    good_bands,
)
from hsr_tf.io.format import Format, PartsFormat, WriteOptions
from hsr_tf.io.guarded import created_hdf5
from hsr_tf.io.hdf5_tiles import Hdf5TileWriter
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.nanometres import Listing
from hsr_tf.io.prisma import PAN_KEY, prisma_fields, prisma_pan_source, prisma_source
from hsr_tf.io.probe import require_harmless
from hsr_tf.io.source import EVERYTHING, BandSource, ReadRequest, decoded, decoding
from hsr_tf.io.stream import CubeWriter
from hsr_tf.scene import Scene

FORMAT = "HDF5"
DEFAULT_LAYOUT = "band,row,col"
WAVELENGTH_NAMES = ("wavelength_nm", "wavelengths_nm")
MAX_ATTRIBUTE_BYTES = 60_000
TILE_CHUNK, LEVEL = 64, 1
LARGEST_CHUNK = 4 * 1024**2
LONGEST_LIST = 100_000
SCALE = ("white_level", "gain", "offset")
OF_THE_CUBE = ("nodata", "gain", "offset", "transform", "crs_wkt")


class Hdf5(PartsFormat):
    """HDF5 files."""

    name = FORMAT
    suffixes = (".h5", ".hdf5")
    reads = "the project's own, other makers' 3-D arrays, PRISMA"
    writes = "yes"

    @contextmanager
    def open(self, path: Path, request: ReadRequest) -> Iterator[BandSource]:
        with open_file(path, FORMAT) as file:
            with decoding(path, FORMAT):
                is_pan = (request.key or "").upper() == PAN_KEY and PAN_KEY not in _datasets(file)
                fields = prisma_fields(file) if request.key is None or is_pan else None
            if fields is not None:
                require_local_data(path, file)
                with decoding(path, FORMAT):
                    made = prisma_pan_source if is_pan else prisma_source
                    source = made(path, file, fields)
            else:
                source = _source(path, file, request)
            yield source

    def new(
        self, path: Path, header: CubeHeader, options: WriteOptions
    ) -> AbstractContextManager[CubeWriter]:
        height, width, num_bands = header.shape
        return _new_file(path, header, (num_bands, min(height, TILE_CHUNK), min(width, TILE_CHUNK)))

    def save(self, scene: Scene, path: Path) -> None:
        height, width, _ = scene.shape
        chunk = 1, max(1, min(height, LARGEST_CHUNK // width)), width
        with _new_file(path, CubeHeader.of(scene), chunk) as writer:
            writer.write(EVERYTHING, EVERYTHING, scene.cube)


class Prisma(Format):
    """HDF-EOS5 files, as PRISMA products are; `hsr_tf.io.prisma` says what is read."""

    name = "PRISMA"
    suffixes = (".he5",)
    reads = "levels 1, 2B, 2C, 2D: VNIR and SWIR joined; the panchromatic image by the key PAN"

    def open(self, path: Path, request: ReadRequest) -> AbstractContextManager[BandSource]:
        return Hdf5().open(path, request)


def _source(path: Path, file: h5py.File, request: ReadRequest) -> BandSource:
    dataset, account = (
        find_dataset(path, file, request.key, preferred=("cube",)),
        Account(one_of_several=request.key is not None),
    )
    account.use(dataset.name.lstrip("/"))
    array = dataset if dataset.ndim <= 3 else Squeezed(dataset)
    if array.ndim < dataset.ndim:
        account.take(f"axes of length one of {dataset.name} {dataset.shape} are dropped")
    with decoding(path, FORMAT):
        own, datasets = _attributes(dataset), _datasets(file)
        stored = {name: own.pop(name, None) for name in OF_THE_CUBE}
        groups = _group_attributes(file, dataset)
        attributes = {**_attributes(file), **own}
        listed = _lists(datasets)
        foreign = foreign_facts(array.shape, {**groups, **attributes}, listed, account)
        texts = _texts(datasets)
    layout = _layout(array.shape, (request.layout, attributes.pop("layout", None)), foreign, account)
    shape, read = band_reader(array, layout)
    num_bands = shape[2]
    level = find_white_level(path, attributes, given=request.white_level)
    for name in ("layout", "white_level"):
        attributes.pop(name, None)
    if "source_white_level" in attributes:
        attributes["white_level"] = attributes.pop("source_white_level")
    left_out = SCALE if level is not None or stored["gain"] is not None else ()
    fitting = {name: one for name, one in foreign.items() if name not in left_out}
    fitting = {name: one for name, one in fitting.items() if np.ndim(one) == 0 or len(one) == num_bands}
    # With a key `wavelength_nm` may belong to another array; else one of another length is an error.
    wanted = None if request.key is None else (num_bands,)
    with decoding(path, FORMAT):
        found = {"white_level": level, **_own_facts(file, stored, shape, wanted, account)}
        if stored["transform"] is None:
            found["georeference"] = foreign_grid(texts, account)
    facts = fitting | {name: value for name, value in found.items() if value is not None}
    facts.setdefault("good_bands", good_bands(groups, facts.get("wavelengths_nm"), account))
    _leave_the_rest(datasets, account)
    header = CubeHeader(
        shape=shape,
        dtype=dataset.dtype,
        name=str(attributes.get("scene", "")),
        metadata=attributes,
        used=account.used,
        findings=account.findings,
        **facts,
    )
    return BandSource(
        path,
        FORMAT,
        header,
        decoded(path, FORMAT, read),
        chunks=_chunks(dataset, layout),
        storage=f"axes {layout.replace(',', ', ')}",
    )


def _own_facts(
    file: h5py.File,
    stored: Mapping[str, Any],
    shape: tuple[int, int, int],
    wanted: tuple[int, ...] | None,
    account: Account,
) -> dict[str, Any]:
    """Return what data sets and attributes of the project's own names say of a cube.

    Args:
        file: the file.
        stored: the attributes of the cube that are about it, each or None.
        shape: (H, W, C).
        wanted: shape of wavelengths that belong to the cube; None for any.
        account: takes down what was used and what was left.
    """
    per_band = (shape[2],)
    shapes: dict[str, tuple[int, ...] | None] = dict.fromkeys(WAVELENGTH_NAMES, wanted)
    shapes |= {"fwhm_nm": per_band, "band_names": per_band, "good_bands": per_band}
    shapes["nodata_mask"] = shape[:2]
    about = {name: _companion(file, name, known) for name, known in shapes.items()}
    for name, one in about.items():
        item = file.get(name) if one is None else None
        if isinstance(item, h5py.Dataset) and shapes[name] is not None and name not in account.used:
            account.leave(name, f"its shape {item.shape} is not the {shapes[name]} of the cube")
    account.use(*(name for name, one in about.items() if one is not None))
    account.use(*(name for name, one in stored.items() if one is not None))
    listed = (about[name] for name in WAVELENGTH_NAMES)
    names, grid = about["band_names"], stored["transform"]
    return {
        "gain": stored["gain"],
        "offset": stored["offset"],
        "nodata": None if stored["nodata"] is None else float(stored["nodata"]),
        "wavelengths_nm": next((one.ravel() for one in listed if one is not None), None),
        "fwhm_nm": about["fwhm_nm"],
        "band_names": None if names is None else tuple(str(plain_value(name)) for name in names),
        "good_bands": about["good_bands"],
        "georeference": None if grid is None else Georeference(tuple(grid), stored["crs_wkt"]),
        "sensor_model": _sensor_model(file, account),
        "nodata_mask": about["nodata_mask"],
    }


def _sensor_model(file: h5py.File, account: Account) -> SensorModel | None:
    item = file.get("sensor_model")
    if not isinstance(item, h5py.Dataset) or item.shape != () or h5py.check_string_dtype(item.dtype) is None:
        return None
    with suppress(ValueError, RecursionError):
        found = SensorModel.of(json.loads(item.asstr()[()]))
        if found is not None:
            account.use("sensor_model")
        return found
    return None


def _layout(
    shape: tuple[int, ...], stated: tuple[Any, Any], foreign: dict[str, Any], account: Account
) -> str:
    """Return the order of the axes: given, stated, that of the wavelengths, else what the lengths suggest."""
    known = foreign.pop("layout", None)
    for layout in (*stated, known):
        if layout is not None:
            return str(layout)
    likely = likely_layout(shape, DEFAULT_LAYOUT)
    if likely != DEFAULT_LAYOUT:
        account.take(*axes_guess(shape, likely))
    return likely


def _chunks(dataset: h5py.Dataset, layout: str) -> tuple[int, int, int] | None:
    """Return (bands, rows, columns) of a chunk; of a data set without chunks, its slowest axis."""
    if dataset.ndim != 3:
        return None
    chunk = dataset.chunks or (1, *dataset.shape[1:])
    band, row, col = parse_layout(layout)
    return int(chunk[band]), int(chunk[row]), int(chunk[col])


def _leave_the_rest(datasets: Mapping[str, h5py.Dataset], account: Account) -> None:
    """Take down the data sets that nothing was read from."""
    used = {name.lower() for name in account.used} | {
        name.rpartition("/")[2].lower() for name in account.used
    }
    left = [
        name for name in datasets if name not in account.used and name.rpartition("/")[2].lower() not in used
    ]
    named = {finding.found.partition(":")[0] for finding in account.findings}
    account.leave_all("data sets", [name for name in left if name not in named])


def _group_attributes(file: h5py.File, dataset: h5py.Dataset) -> dict[str, Any]:
    """Return the attributes of the groups that a data set lies in, those of the innermost last."""
    found: dict[str, Any] = {}
    parts = dataset.name.strip("/").split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        found |= _attributes(file["/".join(parts[:depth])])
    return found


@contextmanager
def _new_file(path: Path, header: CubeHeader, chunk: tuple[int, int, int]) -> Iterator[CubeWriter]:
    height, width, num_bands = header.shape
    attributes = _writable(header.metadata)
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
        _write_header(file, dataset, header)
        yield Hdf5TileWriter(dataset, guarded, LEVEL)


def _write_header(file: h5py.File, dataset: h5py.Dataset, header: CubeHeader) -> None:
    """Write lists of one value per band and the mask as data sets, the rest as attributes of the cube."""
    lists: dict[str, Any] = {"wavelength_nm": header.wavelengths_nm, "fwhm_nm": header.fwhm_nm}
    if header.good_bands is not None:
        lists["good_bands"] = np.asarray(header.good_bands).astype(np.uint8)
    for name, values in lists.items():
        if values is not None:
            file.create_dataset(name, data=values)
    if header.band_names is not None:
        file.create_dataset("band_names", data=list(header.band_names), dtype=h5py.string_dtype())
    if header.nodata_mask is not None:
        mask = np.asarray(header.nodata_mask).astype(np.uint8)
        file.create_dataset("nodata_mask", data=mask, compression="gzip")
    if header.sensor_model is not None:
        text = json.dumps(header.sensor_model.plain())
        file.create_dataset("sensor_model", data=text, dtype=h5py.string_dtype())
    grid = header.georeference
    attributes = {
        "layout": DEFAULT_LAYOUT,
        "white_level": header.white_level,
        "nodata": header.nodata,
        "gain": header.gain,
        "offset": None if header.gain is None else header.offset,
        "transform": None if grid is None else grid.transform,
        "crs_wkt": None if grid is None else grid.crs,
    }
    dataset.attrs.update({name: value for name, value in attributes.items() if value is not None})


@contextmanager
def open_file(path: Path, format_name: str) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, with one clear line for a damaged one."""
    require_harmless(path, format_name)
    with decoding(path, format_name):
        file = h5py.File(path, "r")
    try:
        yield file
    finally:
        file.close()


def find_dataset(path: Path, file: h5py.File, key: str | None, *, preferred: tuple[str, ...]) -> h5py.Dataset:
    """Return the data set of this key, or the first preferred one that is there, or the only 3-D one.

    Raises:
        OSError: there is no such data set, or there are several; the message lists what the file holds.
    """
    require_local_data(path, file)
    with decoding(path, FORMAT):
        datasets = _datasets(file)
    shapes = {name: dataset.shape for name, dataset in datasets.items()}
    return datasets[choose_key(path, shapes, key, preferred=preferred)]


def require_local_data(path: Path, file: h5py.File) -> None:
    """Refuse data sets whose values lie in other files: no file may make the program read another one.

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
    return {str(name): plain_value(value) for name, value in item.attrs.items()}


def _companion(file: h5py.File, name: str, shape: tuple[int, ...] | None) -> NDArray[Any] | None:
    """Return a data set of the file itself, no link; one of another shape belongs to something else."""
    item = file.get(name) if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
    if not isinstance(item, h5py.Dataset) or shape not in (None, item.shape):
        return None
    return np.asarray(item[...])


def _lists(datasets: Mapping[str, h5py.Dataset]) -> dict[str, Listing]:
    """Return lists of wavelengths and widths with their units, by the last part of their names."""
    found: dict[str, Listing] = {}
    for name, item in datasets.items():
        last = name.rpartition("/")[2].lower()
        is_list = item.ndim == 1 and 0 < item.size <= LONGEST_LIST and item.dtype.kind in "uif"
        if last in LIST_NAMES and is_list:
            own = _attributes(item).items()
            units = next((str(value) for key, value in own if key.lower() in UNIT_NAMES), None)
            found.setdefault(last, Listing(name, item[...], units))
    return found


def _texts(datasets: Mapping[str, h5py.Dataset]) -> dict[str, str]:
    """Return the texts of a map grid, by the last part of their names."""
    found: dict[str, str] = {}
    for name, item in datasets.items():
        last = name.rpartition("/")[2].lower()
        if last in MAP_NAMES and item.size == 1 and item.dtype.kind in "OS":
            found[last] = str(plain_value(np.asarray(item[()]).reshape(-1)[0]))
    return found


def _writable(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata as HDF5 attributes: numbers, text, numeric arrays as they are, the rest as JSON text.

    HDF5 has no attributes without a name; such a value is left out.
    """
    found: dict[str, Any] = {}
    for name, value in ((str(name), value) for name, value in metadata.items() if str(name)):
        is_simple = isinstance(value, str | bool | int | float | np.generic)
        is_numeric = isinstance(value, np.ndarray) and value.dtype.kind in "buif"
        written = value if is_simple or is_numeric else json.dumps(value, default=str)
        size = np.asarray(written).nbytes
        require(
            size <= MAX_ATTRIBUTE_BYTES,
            f"metadata[{name!r}]",
            expected=f"at most {MAX_ATTRIBUTE_BYTES} bytes",
            received=f"{size} bytes",
            remedy="leave it out of the scene's metadata, or store it in a file of its own",
        )
        found["source_white_level" if name == "white_level" else name] = written
    return found
