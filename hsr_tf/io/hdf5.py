"""HDF5: the project's own form, and any HDF5 file that holds a 3-D array.

Read: dataset `cube` (or the key given, or the only 3-D array), order of axes in its attribute `layout` (band,row,col
when absent), white level in an attribute `white_level`, `reflectance_scale` or `scale` of the dataset or the file,
`wavelength_nm` (C,), optional `nodata_mask` (row, col). Other attributes become the metadata.
Written: `cube` float32, band,row,col, one compressed chunk a band; the values are those of the scene, so no white level
belongs to them, and the one of the original file is kept as `source_white_level`.
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
from hsr_tf.io.atomic import replacing_file
from hsr_tf.io.source import BandSource, ReadRequest, decoding, parse_layout
from hsr_tf.scene import Scene

FORMAT = "HDF5"
DEFAULT_LAYOUT = "band,row,col"
WAVELENGTH_NAMES = ("wavelength_nm", "wavelengths_nm")
WHITE_LEVEL_NAMES = ("white_level", "reflectance_scale", "scale")
MAX_ATTRIBUTE_BYTES = 60_000


@contextmanager
def open_hdf5(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    """Open an HDF5 file as a source of bands.

    Raises:
        OSError: a damaged file, no or several 3-D arrays, an unknown key.
        ValueError: a layout that does not name the three axes.
    """
    with opened(path, FORMAT) as file:
        dataset = find_dataset(path, file, request.key, preferred=("cube",))
        with decoding(path, FORMAT):
            attributes = {**_attributes(file), **_attributes(dataset)}
        layout = request.layout or str(attributes.pop("layout", DEFAULT_LAYOUT))
        shape, read_bands = band_reader(dataset, layout)
        level = next((attributes[name] for name in WHITE_LEVEL_NAMES if name in attributes), None)
        attributes.pop("layout", None)
        attributes.pop("white_level", None)
        if "source_white_level" in attributes:
            attributes["white_level"] = attributes.pop("source_white_level")
        with decoding(path, FORMAT):
            wavelengths = _companion(file, WAVELENGTH_NAMES, (shape[2],), strict=request.key is None)
            mask = _companion(file, ("nodata_mask",), shape[:2], strict=False)
        yield BandSource(
            path=path,
            format=FORMAT,
            shape=shape,
            dtype=dataset.dtype,
            read_bands=read_bands,
            white_level=_positive(path, level),
            wavelengths_nm=wavelengths,
            metadata=attributes,
            name=str(attributes.get("scene", "")),
            nodata_mask=mask,
        )


def write_hdf5(scene: Scene, path: Path) -> None:
    """Write a scene in the project's own form; see the head of this file.

    Raises:
        OSError: the disk is full or the place cannot be written; an older file stays as it was.
        ValueError: metadata too large for an HDF5 attribute.
    """
    attributes = _writable(scene.metadata)
    with replacing_file(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update({**attributes, "scene": scene.name})
        height, width, num_bands = scene.shape
        dataset = file.create_dataset(
            "cube",
            (num_bands, height, width),
            np.float32,
            chunks=_chunk(height, width),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        dataset.attrs["layout"] = DEFAULT_LAYOUT
        for band in range(num_bands):
            dataset[band] = scene.cube[..., band]
        if scene.wavelengths_nm is not None:
            file.create_dataset("wavelength_nm", data=scene.wavelengths_nm)
        if scene.nodata_mask is not None:
            file.create_dataset("nodata_mask", data=scene.nodata_mask.astype(np.uint8), compression="gzip")


@contextmanager
def opened(path: Path, format_name: str) -> Iterator[h5py.File]:
    """An HDF5 file open for reading, or one clear line."""
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
    shapes = {name: dataset.shape for name, dataset in datasets.items()}
    return datasets[choose_key(path, shapes, key, preferred=preferred)]


def choose_key(
    path: Path, shapes: Mapping[str, tuple[int, ...]], key: str | None, *, preferred: tuple[str, ...]
) -> str:
    """Which of several named arrays is the cube: the key, a preferred 3-D one, or the only 3-D one.

    Raises:
        OSError: none fits; the message lists the names with their shapes.
    """
    held = ", ".join(f"{name} {tuple(shape)}" for name, shape in sorted(shapes.items())) or "no arrays"
    cubes = [name for name, shape in shapes.items() if len(shape) == 3]
    if key is not None:
        if key not in shapes:
            raise file_error(path, f"has no array {key!r}", f"give the key of one of these: {held}")
        if len(shapes[key]) not in (2, 3):
            problem = f"array {key!r} has {len(shapes[key])} dimensions, not 3"
            raise file_error(path, problem, f"give the key of a cube; the file holds {held}")
        return key
    for name in preferred:
        if name in cubes:
            return name
    if len(cubes) != 1:
        problem = f"holds {len(cubes) or 'no'} 3-D arrays" if len(cubes) != 1 else ""
        raise file_error(path, problem, f"give the key of the cube; the file holds {held}")
    return cubes[0]


def band_reader(dataset: h5py.Dataset, layout: str) -> tuple[tuple[int, int, int], Any]:
    """(H, W, C) of a 2-D (one band) or 3-D dataset and a function that reads bands as (n, H, W)."""
    if dataset.ndim == 2:
        height, width = dataset.shape
        return (height, width, 1), lambda start, stop: dataset[...][None][start:stop]
    order = parse_layout(layout)
    bands, height, width = (int(dataset.shape[axis]) for axis in order)

    def read_bands(start: int, stop: int) -> NDArray[Any]:
        window = [slice(None)] * 3
        window[order[0]] = slice(start, stop)
        return np.asarray(dataset[tuple(window)]).transpose(order)

    return (height, width, bands), read_bands


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
        item = file.get(name)
        if isinstance(item, h5py.Dataset) and (strict or item.shape == shape):
            return np.asarray(item[...])
    return None


def _positive(path: Path, level: Any) -> float | None:
    if level is None:
        return None
    value = float(level) if np.ndim(level) == 0 and not isinstance(level, str) else np.nan
    if not (np.isfinite(value) and value > 0):
        raise file_error(path, f"its white level is {level!r}, not a positive number", "give white_level")
    return value


def _chunk(height: int, width: int) -> tuple[int, int, int]:
    """One band a chunk, in several pieces where a band is beyond about 16 MiB."""
    return 1, max(1, min(height, 4 * 1024**2 // width)), width


def _writable(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as HDF5 attributes: numbers, text and numeric arrays as they are, the rest as JSON text."""
    attributes: dict[str, Any] = {}
    for name, value in metadata.items():
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
