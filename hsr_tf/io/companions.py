"""What stands beside a cube in files of named arrays (NumPy, MATLAB): one array for each fact.

`wavelength_nm`, `fwhm_nm`, `good_bands`, `gain`, `offset` (C,), `band_names` (text), `transform` (six
numbers in rasterio's order), `crs_wkt`, `nodata`, `white_level`, `nodata_mask` (row, col), `name`, and
`metadata` as JSON text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.arrays import metadata_to_text
from hsr_tf.io.nanometres import flags, numbers
from hsr_tf.io.stream import CubeHeader

NAMES = ("fwhm_nm", "good_bands", "gain", "offset", "band_names", "transform", "crs_wkt", "nodata")


@dataclass(frozen=True, eq=False)
class Companions:
    """What was found; None where there is nothing of the right size."""

    fwhm_nm: NDArray[np.float64] | None
    good_bands: NDArray[np.bool_] | None
    gain: NDArray[np.float64] | None
    offset: NDArray[np.float64] | float
    band_names: tuple[str, ...] | None
    georeference: Georeference | None
    nodata: float | None


def companion_arrays(header: CubeHeader) -> dict[str, Any]:
    """The arrays to be written beside a cube."""
    found: dict[str, Any] = {"name": header.name, "metadata": metadata_to_text(header.metadata)}
    lists = {"wavelength_nm": header.wavelengths_nm, "fwhm_nm": header.fwhm_nm}
    found |= {name: np.asarray(values, np.float64) for name, values in lists.items() if values is not None}
    if header.good_bands is not None:
        found["good_bands"] = np.asarray(header.good_bands).astype(np.uint8)
    if header.band_names is not None:
        found["band_names"] = np.array(header.band_names, dtype=str)
    if header.georeference is not None:
        found["transform"] = np.array(header.georeference.transform)
        if header.georeference.crs is not None:
            found["crs_wkt"] = header.georeference.crs
    if header.nodata is not None:
        found["nodata"] = np.float64(header.nodata)
    if header.gain is not None:
        for name, values in (("gain", header.gain), ("offset", header.offset)):
            found[name] = np.broadcast_to(np.asarray(values, np.float64), (header.shape[2],))
    elif header.white_level is not None:
        found["white_level"] = np.float64(header.white_level)
    if header.nodata_mask is not None:
        found["nodata_mask"] = np.asarray(header.nodata_mask).astype(np.uint8)
    return found


def companions_of(held: Mapping[str, Any], num_bands: int) -> Companions:
    """What stands beside a cube of so many bands."""
    gain, offset = (numbers(held.get(name), num_bands) for name in ("gain", "offset"))
    return Companions(
        fwhm_nm=_positive(numbers(held.get("fwhm_nm"), num_bands)),
        good_bands=flags(held.get("good_bands"), num_bands),
        gain=gain,
        offset=0.0 if gain is None or offset is None else offset,
        band_names=_names(held.get("band_names"), num_bands),
        georeference=_grid(held),
        nodata=_number(held.get("nodata")),
    )


def _positive(values: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    return values if values is not None and bool((values > 0).all()) else None


def _names(values: Any, num_bands: int) -> tuple[str, ...] | None:
    """One text a band; MATLAB pads texts to one length, which is undone."""
    if values is None or np.asarray(values).dtype.kind != "U" or np.size(values) != num_bands:
        return None
    return tuple(str(name).rstrip(" ") for name in np.asarray(values).ravel())


def _number(value: Any) -> float | None:
    if value is None or np.asarray(value).dtype.kind not in "uif" or np.size(value) != 1:
        return None
    return float(np.asarray(value).ravel()[0])


def _grid(held: Mapping[str, Any]) -> Georeference | None:
    terms = numbers(held.get("transform"), 6)
    crs = held.get("crs_wkt")
    text = None if crs is None or np.size(crs) != 1 else str(np.asarray(crs).ravel()[0])
    try:
        return None if terms is None else Georeference(tuple(float(term) for term in terms), text)  # type: ignore[arg-type]
    except ValueError:
        return None
