"""What HDF5 files of other makers say of a cube, by the names that products of sensors use.

Read, in upper or lower case, of the data set or its file: `scale_factor` and `add_offset` (value =
scale_factor * stored + add_offset; a factor above 1 divides instead, as that of NEON does), `_FillValue`,
`missing_value`, `data_ignore_value`, `interleave` (bsq, bil or bip); wavelengths and widths as attributes or
as data sets anywhere in the file, with their units. Without a layout the band axis is the only one that is as
long as the list of wavelengths, as in files like those of EnMAP and PRISMA with bands on the middle axis; the
other two are rows and columns, in this order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

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


def foreign_facts(
    shape: tuple[int, ...], attributes: Mapping[str, Any], listed: Mapping[str, Listed]
) -> dict[str, Any]:
    """Return what attributes and small data sets say of a data set, as arguments of a header, and its
    `layout`.

    Args:
        shape: of the data set.
        attributes: of the file and the data set.
        listed: 1-D data sets by the last part of their names in lower case, each with its units.
    """
    low = {name.lower(): value for name, value in attributes.items()}
    layout = LAYOUTS.get(str(low.get("interleave", "")).strip().lower())
    marks = (low.get(name) for name in NODATA_NAMES)
    marks = (mark for mark in marks if isinstance(mark, np.ndarray | np.generic | int | float))
    nodata = next((mark for mark in map(number_or_nan, marks) if mark is not None), None)
    found: dict[str, Any] = {"layout": layout, "nodata": nodata}
    scale, shift = (numbers(low.get(name), 1) for name in ("scale_factor", "add_offset"))
    offset = 0.0 if shift is None else float(shift[0])
    factor = None if scale is None or not scale[0] > 0 else float(scale[0])
    if factor is not None and factor > 1 and offset == 0:
        found["white_level"] = factor
    elif factor is not None or offset != 0:
        found |= {"gain": 1.0 if factor is None else factor, "offset": offset}
    for values, units in _candidates(WAVELENGTH_NAMES, low, listed):
        count = int(np.size(values))
        if count and count in shape:
            widths = _candidates(WIDTH_NAMES, low, listed)
            found["wavelengths_nm"], found["fwhm_nm"] = spectral_lists([(values, units)], widths, count)
            if found["wavelengths_nm"] is not None:
                if layout is None and len(shape) == 3 and shape.count(count) == 1:
                    axes = ["row", "col"]
                    axes.insert(shape.index(count), "band")
                    found["layout"] = ",".join(axes)
                break
    return {name: value for name, value in found.items() if value is not None}


def _candidates(
    names: tuple[str, ...], attributes: Mapping[str, Any], listed: Mapping[str, Listed]
) -> Iterator[Listed]:
    """Return lists of these names, each with its own unit, else with that in the attributes."""
    units = next((str(attributes[name]) for name in UNIT_NAMES[:2] if name in attributes), None)
    for name in names:
        for values, own in (listed.get(name, (None, None)), (attributes.get(name), None)):
            if values is not None:
                yield values, units if is_unknown(own) else own
