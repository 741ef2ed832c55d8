"""What HDF5 files of other makers say of a cube, by the names that products of sensors use.

Read, in upper or lower case, of the data set or its file: `scale_factor` and `add_offset` (value =
scale_factor * stored + add_offset; a factor above 1 divides instead, as that of NEON does), `_FillValue`,
`missing_value`, `data_ignore_value`, `interleave` (bsq, bil or bip); wavelengths and widths as attributes or
as data sets anywhere in the file, with their units; `Map_Info` and `Coordinate_System_String` as data sets
of text in the form of ENVI headers, and `Band_Window_1_Nanometers` (first, last) as bad bands, both as in
files of NEON. Without a layout the band axis is the only one that is as long as the list of wavelengths, as
in files like those of EnMAP and PRISMA with bands on the middle axis; the other two are rows and columns, in
this order. That goes before `interleave`, which NEON states wrongly; without both, lengths decide
(`likely_layout`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.account import Account
from hsr_tf.io.envi_map import map_grid
from hsr_tf.io.nanometres import Listing, is_unknown, number_or_nan, spectral_lists

WAVELENGTH_NAMES = (
    "wavelength", "wavelengths", "wavelength_nm", "wavelengths_nm", "center_wavelength",
    "centre_wavelength", "central_wavelength", "center_wavelengths", "centre_wavelengths",
    "wavelengthcenterofband", "cw",
)  # fmt: skip
WIDTH_NAMES = ("fwhm", "fwhm_nm", "fwhms", "bandwidth", "bandwidths", "fwhmofband")
LIST_NAMES = {*WAVELENGTH_NAMES, *WIDTH_NAMES}
UNIT_NAMES = ("wavelength_units", "wavelength_unit", "units", "unit")
NODATA_NAMES = ("_fillvalue", "missing_value", "data_ignore_value", "nodata_value")
MAP_NAMES = ("map_info", "coordinate_system_string")
BAD_WINDOW = re.compile(r"band_window_\d+_nanometers")
LAYOUTS = {"bsq": "band,row,col", "bil": "row,band,col", "bip": "row,col,band"}


def foreign_facts(
    shape: tuple[int, ...], attributes: Mapping[str, Any], listed: Mapping[str, Listing], account: Account
) -> dict[str, Any]:
    """Return what attributes and small data sets say of a data set, as arguments of a header, and its
    `layout`.

    Args:
        shape: of the data set.
        attributes: of the file and the data set.
        listed: 1-D data sets by the last part of their names in lower case.
        account: takes down what was used and what was left.
    """
    low = {name.lower(): value for name, value in attributes.items()}
    layout = LAYOUTS.get(str(low.get("interleave", "")).strip().lower())
    marks = {name: low[name] for name in NODATA_NAMES if name in low}
    usable = {n: m for n, m in marks.items() if isinstance(m, np.ndarray | np.generic | int | float)}
    values = {name: number_or_nan(mark) for name, mark in usable.items()}
    nodata = next((value for value in values.values() if value is not None), None)
    account.use(*(name for name, value in values.items() if value is not None))
    for name in marks:
        if values.get(name) is None:
            account.leave(name, "is not one number")
    found: dict[str, Any] = {"layout": layout, "nodata": nodata}
    scale, shift = (account.numbers(name, low.get(name), 1) for name in ("scale_factor", "add_offset"))
    offset = 0.0 if shift is None else float(shift[0])
    factor = None if scale is None or not scale[0] > 0 else float(scale[0])
    if factor is not None and factor > 1 and offset == 0:
        found["white_level"] = factor
    elif factor is not None or offset != 0:
        found |= {"gain": 1.0 if factor is None else factor, "offset": offset}
    for one in _candidates(WAVELENGTH_NAMES, low, listed):
        count = int(np.size(one.values))
        if not count or count not in shape:
            account.leave(one.name, f"{count} values, but no axis of {shape} is as long")
            continue
        widths = _candidates(WIDTH_NAMES, low, listed)
        found["wavelengths_nm"], found["fwhm_nm"] = spectral_lists([one], widths, count, account)
        if found["wavelengths_nm"] is not None:
            if len(shape) == 3 and shape.count(count) == 1:
                axes = ["row", "col"]
                axes.insert(shape.index(count), "band")
                found["layout"] = ",".join(axes)
            break
    return {name: value for name, value in found.items() if value is not None}


def good_bands(attributes: Mapping[str, Any], wavelengths_nm: Any, account: Account) -> NDArray[Any] | None:
    """Return (C,) bool, False in the windows of wavelengths that attributes call bad; None without any."""
    windows = {name: one for name, one in attributes.items() if BAD_WINDOW.fullmatch(name.lower())}
    if wavelengths_nm is None or not windows:
        return None
    good = np.ones(len(wavelengths_nm), bool)
    for name, values in windows.items():
        ends = account.numbers(name, values, 2)
        if ends is not None:
            good &= (wavelengths_nm < ends.min()) | (wavelengths_nm > ends.max())
    return good


def foreign_grid(texts: Mapping[str, str], account: Account) -> Georeference | None:
    """Return the grid in texts in the form of ENVI headers, by the last part of their names in lower case."""
    words = texts.get(MAP_NAMES[0])
    if words is None:
        return None
    grid = map_grid(words.strip().strip("{}").split(","), texts.get(MAP_NAMES[1], ""))
    if grid is None:
        account.leave("Map_Info", "not understood, no grid is known")
    else:
        account.use("Map_Info")
    return grid


def _candidates(
    names: tuple[str, ...], attributes: Mapping[str, Any], listed: Mapping[str, Listing]
) -> Iterator[Listing]:
    """Return lists of these names, each with its own unit, else with that in the attributes."""
    units = next((str(attributes[name]) for name in UNIT_NAMES[:2] if name in attributes), None)
    for name in names:
        for one in (listed.get(name), Listing(name, attributes.get(name))):
            if one is not None and one.values is not None:
                own = "nm" if name.endswith("_nm") and is_unknown(one.units) else one.units
                yield Listing(one.name, one.values, units if is_unknown(own) else own)
