"""What HDF5 files of other makers tell of a cube, in the words that sensors' products use.

Read, in upper or lower case, of the data set or its file: `scale_factor` and `add_offset` (value =
scale_factor * stored + add_offset; a factor above 1 divides instead, as NEON's does), `_FillValue`,
`missing_value`, `data_ignore_value`, `interleave` (bsq, bil or bip); wavelengths and widths as attributes or
as data sets anywhere in the file, with their units. Without a layout the band axis is the only one that is as
long as the list of wavelengths, which finds bands in the middle axis as EnMAP-like and PRISMA-like files have
them; the other two are rows and columns in this order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.io.nanometres import Listed, is_unknown, number_or_nan, numbers, spectral_lists

WAVELENGTH_NAMES = (
    "wavelength", "wavelengths", "center_wavelength", "centre_wavelength", "central_wavelength",
    "center_wavelengths", "centre_wavelengths", "wavelengthcenterofband", "cw",
)  # fmt: skip
WIDTH_NAMES = ("fwhm", "fwhms", "bandwidth", "bandwidths", "fwhmofband")
LIST_NAMES = {*WAVELENGTH_NAMES, *WIDTH_NAMES}
UNIT_NAMES = ("wavelength_units", "wavelength_unit", "units", "unit")
NODATA_NAMES = ("_fillvalue", "missing_value", "data_ignore_value", "nodata_value")
LAYOUTS = {"bsq": "band,row,col", "bil": "row,band,col", "bip": "row,col,band"}


@dataclass(frozen=True, eq=False)
class ForeignFacts:
    """What was found.

    Args:
        layout: order of the axes, or None.
        wavelengths_nm, fwhm_nm: (C,) or None.
        gain, offset: value = gain * stored + offset, or None and 0.
        white_level: what stored values are divided by, or None.
        nodata: the stored value of pixels without data, or None.
    """

    layout: str | None
    wavelengths_nm: NDArray[np.float64] | None
    fwhm_nm: NDArray[np.float64] | None
    gain: float | None
    offset: float
    white_level: float | None
    nodata: float | None


def foreign_facts(
    shape: tuple[int, ...], attributes: Mapping[str, Any], listed: Mapping[str, Listed]
) -> ForeignFacts:
    """What attributes and small data sets tell of a data set of this shape.

    Args:
        shape: of the data set.
        attributes: of the file and the data set.
        listed: 1-D data sets by the last part of their names in lower case, each with its units.
    """
    low = {name.lower(): value for name, value in attributes.items()}
    wavelengths = widths = band_axis = None
    for values, units in _candidates(WAVELENGTH_NAMES, low, listed):
        count = int(np.size(values))
        if count and count in shape:
            candidates = _candidates(WIDTH_NAMES, low, listed)
            wavelengths, widths = spectral_lists([(values, units)], candidates, count)
            if wavelengths is not None:
                band_axis = shape.index(count) if shape.count(count) == 1 else None
                break
    gain, offset, level = _law(low)
    return ForeignFacts(
        _layout(shape, low, band_axis), wavelengths, widths, gain, offset, level, _nodata(low)
    )


def _candidates(
    names: tuple[str, ...], attributes: Mapping[str, Any], listed: Mapping[str, Listed]
) -> Iterator[Listed]:
    """Lists of these names, each with its own unit, else the one that the attributes give for all."""
    units = next((str(attributes[name]) for name in UNIT_NAMES[:2] if name in attributes), None)
    for name in names:
        for values, own in (listed.get(name, (None, None)), (attributes.get(name), None)):
            if values is not None:
                yield values, units if is_unknown(own) else own


def _layout(shape: tuple[int, ...], low: Mapping[str, Any], band_axis: int | None) -> str | None:
    told = LAYOUTS.get(str(low.get("interleave", "")).strip().lower())
    if told is not None or band_axis is None or len(shape) != 3:
        return told
    words = ["row", "col"]
    words.insert(band_axis, "band")
    return ",".join(words)


def _law(low: Mapping[str, Any]) -> tuple[float | None, float, float | None]:
    """Gain, offset, white level."""
    scale, shift = numbers(low.get("scale_factor"), 1), numbers(low.get("add_offset"), 1)
    offset = 0.0 if shift is None else float(shift[0])
    if scale is None or not scale[0] > 0:
        return (None, 0.0, None) if shift is None or offset == 0 else (1.0, offset, None)
    factor = float(scale[0])
    return (None, 0.0, factor) if factor > 1 and offset == 0 else (factor, offset, None)


def _nodata(low: Mapping[str, Any]) -> float | None:
    values = (
        low[name] for name in NODATA_NAMES if isinstance(low.get(name), np.ndarray | np.generic | int | float)
    )
    return next((found for value in values if (found := number_or_nan(value)) is not None), None)
