"""What lies beside a cube in files of named arrays (NumPy, MATLAB): one array for each field of its header.

`wavelength_nm`, `fwhm_nm`, `good_bands`, `gain`, `offset` (C,), `band_names` (text), `transform` (six numbers
in the order of rasterio), `crs_wkt`, `nodata`, `white_level`, `nodata_mask` (row, col), `name`, and
`metadata` as JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.arrays import WHITE_LEVEL_NAMES, find_white_level, metadata_to_text
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.nanometres import flags, number_or_nan, numbers

WAVELENGTH_NAMES = ("wavelength_nm", "wavelengths_nm", "wavelengths", "wavelength", "bands")
NAMES = (
    *WAVELENGTH_NAMES, *WHITE_LEVEL_NAMES, "fwhm_nm", "good_bands", "gain", "offset", "band_names",
    "transform", "crs_wkt", "nodata", "nodata_mask", "name", "metadata",
)  # fmt: skip
SHORTEST_NM = 100


def companion_arrays(header: CubeHeader) -> dict[str, Any]:
    """Return the arrays to write beside a cube."""
    grid = header.georeference
    found: dict[str, Any] = {
        "name": header.name,
        "metadata": metadata_to_text(header.metadata),
        "wavelength_nm": header.wavelengths_nm,
        "fwhm_nm": header.fwhm_nm,
        "good_bands": _bytes(header.good_bands),
        "band_names": None if header.band_names is None else np.array(header.band_names, dtype=str),
        "transform": None if grid is None else np.array(grid.transform),
        "crs_wkt": None if grid is None else grid.crs,
        "nodata": header.nodata,
        "white_level": None if header.scale else header.white_level,
        "nodata_mask": _bytes(header.nodata_mask),
        **header.scale,
    }
    return {name: value for name, value in found.items() if value is not None}


def companion_header(
    path: Path,
    held: Mapping[str, Any],
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    given: float | None,
) -> CubeHeader:
    """Return the header of a cube from the arrays beside it; those of another size belong to something else.

    Args:
        path: the file.
        held: the arrays by name.
        shape: (H, W, C).
        dtype: type of the stored values.
        given: the white level that the caller gives.

    Raises:
        OSError: a white level that is no positive number.
    """
    num_bands, grid, terms = shape[2], None, numbers(held.get("transform"), 6)
    if terms is not None:
        with suppress(ValueError):
            grid = Georeference(tuple(terms.tolist()), _text(held.get("crs_wkt")) or None)
    metadata = None
    with suppress(ValueError):
        metadata = json.loads(_text(held.get("metadata")))
    names = np.asarray(held.get("band_names"))
    are_names = names.dtype.kind == "U" and names.size == num_bands
    gain, offset = (numbers(held.get(name), num_bands) for name in ("gain", "offset"))
    widths = numbers(held.get("fwhm_nm"), num_bands)
    return CubeHeader(
        shape=shape,
        dtype=dtype,
        name=_text(held.get("name")),
        metadata=metadata if isinstance(metadata, dict) else {},
        wavelengths_nm=_wavelengths(held, num_bands),
        fwhm_nm=widths if widths is not None and bool((widths > 0).all()) else None,
        # MATLAB pads texts to one length.
        band_names=tuple(str(name).rstrip(" ") for name in names.ravel()) if are_names else None,
        good_bands=flags(held.get("good_bands"), num_bands),
        georeference=grid,
        nodata=number_or_nan(held.get("nodata")),
        white_level=find_white_level(path, held, given=given),
        gain=gain,
        offset=0.0 if gain is None or offset is None else offset,
        nodata_mask=held.get("nodata_mask"),
    )


def _bytes(values: NDArray[Any] | None) -> NDArray[np.uint8] | None:
    return None if values is None else np.asarray(values).astype(np.uint8)


def _wavelengths(held: Mapping[str, Any], num_bands: int) -> NDArray[np.float64] | None:
    """Return the first list of one number per band in nanometres.

    `bands` may hold indices, and some files count in micrometres: values below 100 are not in nanometres.
    """
    for name in WAVELENGTH_NAMES:
        found = numbers(held.get(name), num_bands) if np.asarray(held.get(name)).dtype.kind in "uif" else None
        if found is not None and bool(np.all(found >= SHORTEST_NM)):
            return found
    return None


def _text(value: Any) -> str:
    is_text = value is not None and np.asarray(value).dtype.kind == "U" and np.size(value)
    return str(np.asarray(value).ravel()[0]) if is_text else ""
