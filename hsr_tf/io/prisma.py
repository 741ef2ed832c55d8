"""PRISMA products in HDF-EOS5 (.he5): the VNIR and SWIR cubes joined into one, ordered by wavelength.

`HDFEOS/SWATHS/PRS_<level>_HCO/Data Fields/VNIR_Cube` and `SWIR_Cube` are (row, band, col) unsigned 16-bit
numbers. Wavelengths and widths are attributes of the file (`List_Cw_Vnir`, `List_Fwhm_Vnir`, and Swir), in
the order of the stored bands, longest first; a wavelength of 0, or a 0 in `List_Cw_Vnir_Flags`, marks a band
that was not measured, and a band without a wavelength has no place in the order: it is left out and counted
in the metadata. Level 2: value = Min + stored (Max - Min) / 65535 with `L2ScaleVnirMin` and so on; level 1:
radiance = stored / ScaleFactor_Vnir - Offset_Vnir. 0 marks pixels without data. Level 2D has a grid: the
corner attributes are centres of pixels, which the known 30 m spacing confirms or refutes file by file.
PRISMA products specification (ASI), issue 2.3, and the published readers of these files.
Both detectors see 920 to 1010 nm: the bands of both are kept.
The key "PAN" names the panchromatic image `PRS_<level>_PCO/Data Fields/Cube` of the same file, (row, col) in
pixels of a sixth of the size, on the same ground.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error
from hsr_tf.geo.crs import readable_crs
from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.account import Account
from hsr_tf.io.arrays import plain_value
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.nanometres import numbers
from hsr_tf.io.source import BandSource, decoded

FORMAT = "PRISMA HDF5"
DETECTORS = ("Vnir", "Swir")
SPACING_M = 30.0
LARGEST_DN = 65535
PAN_RATIO, PAN_KEY, CUBES = 6, "PAN", ("VNIR_Cube", "SWIR_Cube")
KEPT_METADATA = (
    "Product_Name", "Product_ID", "Processing_Level", "Product_StartTime", "Sun_zenith_angle", "Image_ID",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Detector:
    """One of the two cubes: its data set (row, band, col), and (bands,) what is known of each band."""

    dataset: h5py.Dataset
    names: tuple[str, ...]
    wavelengths_nm: NDArray[np.float64]
    fwhm_nm: NDArray[np.float64]
    measured: NDArray[np.bool_]
    gain: NDArray[np.float64]
    offset: NDArray[np.float64]


def prisma_fields(file: h5py.File) -> h5py.Group | None:
    """Return the group of the data fields of a PRISMA hyperspectral product, or None for any other file."""
    swaths = _child(_child(file, "HDFEOS"), "SWATHS")
    for name in sorted(name for name in swaths or () if name.startswith("PRS_") and name.endswith("_HCO")):
        swath = _child(swaths, name)
        for inner in swath or ():
            if inner.lower().replace("_", " ") == "data fields":
                fields = _child(swath, inner)
                if fields is not None and "VNIR_Cube" in fields:
                    return fields
    return None


def prisma_source(path: Path, file: h5py.File, fields: h5py.Group) -> BandSource:
    """Return both cubes as one source.

    Raises:
        OSError: cubes of different sizes, wavelengths or scales that are missing.
    """
    found = (_detector(path, file.attrs, fields, name) for name in DETECTORS)
    cubes = [one for one in found if one is not None]
    sizes = {(one.dataset.shape[0], one.dataset.shape[2]) for one in cubes}
    if len(sizes) != 1 or len({one.dataset.dtype for one in cubes}) != 1:
        raise file_error(path, f"its cubes differ ({[one.dataset.shape for one in cubes]})", "fetch it again")
    wavelengths, widths, usable, gain, offset = (
        np.concatenate([getattr(one, name) for one in cubes])
        for name in ("wavelengths_nm", "fwhm_nm", "measured", "gain", "offset")
    )
    if not usable.any():
        raise file_error(path, "has no band with a wavelength", "fetch it again")
    order = np.argsort(np.where(usable, wavelengths, np.inf), kind="stable")[: int(usable.sum())]
    metadata = {name: plain_value(file.attrs[name]) for name in KEPT_METADATA if name in file.attrs}
    metadata = {name: value for name, value in metadata.items() if isinstance(value, str | int | float)}
    if not usable.all():
        metadata["bands_left_out"] = int((~usable).sum())
    height, width = map(int, sizes.pop())
    account = Account()
    account.use(*(one.dataset.name.lstrip("/") for one in cubes), "List_Cw_Vnir", "List_Cw_Swir")
    if not usable.all():
        account.take(f"{int((~usable).sum())} bands without a wavelength are left out")
    _leave_the_rest(file, fields, account)
    names = [name for one in cubes for name in one.names]
    header = CubeHeader(
        shape=(height, width, len(order)),
        dtype=cubes[0].dataset.dtype,
        wavelengths_nm=wavelengths[order],
        metadata=metadata,
        nodata=0.0,
        fwhm_nm=widths[order] if (widths[order] > 0).all() else None,
        band_names=tuple(names[i] for i in order),
        georeference=_grid(file.attrs, height, width),
        gain=gain[order],
        offset=offset[order],
        used=account.used,
        findings=account.findings,
    )
    starts = np.cumsum([0, *(one.dataset.shape[1] for one in cubes)])

    def read(bands: slice, rows: slice, cols: slice) -> NDArray[Any]:
        stored_bands = order[bands]
        parts: dict[int, NDArray[Any]] = {}
        for one, start, stop in zip(cubes, starts[:-1], starts[1:], strict=True):
            own = stored_bands[(stored_bands >= start) & (stored_bands < stop)]
            if own.size:
                first, last = int(own.min() - start), int(own.max() - start)
                block = np.asarray(one.dataset[rows, first : last + 1, cols])
                parts |= {int(band): block[:, int(band - start) - first] for band in own}
        return np.stack([parts[int(band)] for band in stored_bands])

    storage = "rows, bands, columns in two cubes (VNIR, SWIR)"
    return BandSource(path, FORMAT, header, decoded(path, FORMAT, read), storage=storage)


def _leave_the_rest(file: h5py.File, fields: h5py.Group, account: Account) -> None:
    """Take down the other data sets: qualities of pixels, places, and the panchromatic image."""
    left = [n for n, one in fields.items() if isinstance(one, h5py.Dataset) and n not in CUBES]
    account.leave_all("data fields", sorted(left))
    swaths = _child(_child(file, "HDFEOS"), "SWATHS")
    others = [name for name in swaths or () if f"/{name}/" not in f"{fields.name}/"]
    account.leave_all("swaths", sorted(others))
    if any(name.endswith("_PCO") for name in others):
        account.take(f'the panchromatic image has the key "{PAN_KEY}"')


def _detector(path: Path, attributes: Mapping[str, Any], fields: h5py.Group, name: str) -> _Detector | None:
    dataset, label = fields.get(f"{name.upper()}_Cube"), name.upper()
    if not isinstance(dataset, h5py.Dataset):
        return None
    if dataset.ndim != 3:
        raise file_error(path, f"its {label} cube has {dataset.ndim} dimensions", "fetch it again")
    count = int(dataset.shape[1])
    centres, widths, marks = (
        numbers(attributes.get(f"List_{kind}"), count)
        for kind in (f"Cw_{name}", f"Fwhm_{name}", f"Cw_{name}_Flags")
    )
    if centres is None:
        raise file_error(path, f"its List_Cw_{name} has not {count} wavelengths", "fetch it again")
    gain, offset = _scale(path, attributes, name)
    return _Detector(
        dataset,
        tuple(f"{label} {i + 1}" for i in range(count)),
        centres,
        np.zeros(count) if widths is None else widths,
        (centres > 0) & (True if marks is None else marks != 0),
        np.full(count, gain),
        np.full(count, offset),
    )


def _scale(path: Path, attributes: Mapping[str, Any], name: str) -> tuple[float, float]:
    """Return gain and offset of a detector ("Vnir", "Swir" or "Pan")."""
    low, high, factor, shift = (
        numbers(attributes.get(key), 1)
        for key in (f"L2Scale{name}Min", f"L2Scale{name}Max", f"ScaleFactor_{name}", f"Offset_{name}")
    )
    if low is not None and high is not None and high[0] > low[0]:
        return float(high[0] - low[0]) / LARGEST_DN, float(low[0])
    if factor is not None and factor[0] > 0:
        return 1 / float(factor[0]), 0.0 if shift is None else -float(shift[0])
    raise file_error(path, f"has no scale of its {name.upper()} cube", "fetch it again")


def prisma_pan_source(path: Path, file: h5py.File, fields: h5py.Group) -> BandSource:
    """Return the panchromatic image of a product as a source of one band.

    Args:
        path: the file.
        file: open.
        fields: the data fields of its hyperspectral cubes.

    Raises:
        OSError: it holds none, or no scale of it.
    """
    swath = _child(
        _child(_child(file, "HDFEOS"), "SWATHS"), fields.name.split("/")[3].replace("_HCO", "_PCO")
    )
    inner = next((one for one in swath or () if one.lower().replace("_", " ") == "data fields"), "")
    group = _child(swath, inner) if inner else None
    dataset = None if group is None else group.get("Cube")
    if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 2:
        raise file_error(path, "holds no panchromatic image", "leave the key out to read its cubes")
    height, width = map(int, dataset.shape)
    gain, offset = _scale(path, file.attrs, "Pan")
    sizes = {(int(one.shape[0]), int(one.shape[2])) for n, one in fields.items() if n in CUBES}
    account, grid = Account(), None
    account.use(
        dataset.name.lstrip("/"), "L2ScalePanMin" if "L2ScalePanMin" in file.attrs else "ScaleFactor_Pan"
    )
    rows, cols = sizes.pop() if len(sizes) == 1 else (0, 0)
    if (height, width) == (rows * PAN_RATIO, cols * PAN_RATIO):
        coarse = _grid(file.attrs, rows, cols)
        grid = None if coarse is None else coarse.coarser(1 / PAN_RATIO)
    else:
        why = f"its {height}x{width} pixels are not {PAN_RATIO} times the {rows}x{cols} of the cubes"
        account.leave("grid of the panchromatic image", why)
    header = CubeHeader(
        shape=(height, width, 1),
        dtype=dataset.dtype,
        nodata=0.0,
        band_names=("PAN",),
        georeference=grid,
        gain=np.array([gain]),
        offset=np.array([offset]),
        used=account.used,
        findings=account.findings,
    )

    def read(_bands: slice, rows: slice, cols: slice) -> NDArray[Any]:
        return np.asarray(dataset[rows, cols])[None]

    return BandSource(path, FORMAT, header, decoded(path, FORMAT, read), storage="panchromatic image")


def _grid(attributes: Mapping[str, Any], height: int, width: int) -> Georeference | None:
    """Return the grid of a level 2D product from the corners of its image, else None."""
    names = ("ULcorner_easting", "ULcorner_northing", "LRcorner_easting", "LRcorner_northing")
    corners = [numbers(attributes.get(f"Product_{name}"), 1) for name in names]
    code = numbers(attributes.get("Epsg_Code"), 1)
    if any(corner is None for corner in corners) or code is None or min(height, width) < 2:
        return None
    left, top, right, bottom = (float(corner[0]) for corner in corners if corner is not None)
    between = ((right - left) / (width - 1), (top - bottom) / (height - 1))
    across = ((right - left) / width, (top - bottom) / height)
    centres = abs(between[0] - SPACING_M) <= abs(across[0] - SPACING_M)
    step_x, step_y = between if centres else across
    shift = 0.5 if centres else 0.0
    if not (step_x > 0 and step_y > 0):
        return None
    transform = (step_x, 0.0, left - shift * step_x, 0.0, -step_y, top + shift * step_y)
    return Georeference(transform, readable_crs(f"EPSG:{int(code[0])}"))


def _child(group: Any, name: str) -> h5py.Group | None:
    """Return a group inside a group, but no link into another file."""
    if not isinstance(group, h5py.Group) or not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    child = group.get(name)
    return child if isinstance(child, h5py.Group) else None
