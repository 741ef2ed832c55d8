"""Wavelengths and band widths in the units that files use, as nanometres."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Listed = tuple[Any, str | None]
UNIT_ADVICE = "check the unit"
NANOMETRES = {
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1.0),
    **dict.fromkeys(("um", "µm", "μm", "mu", "micron", "micrometer", "micrometre"), 1e3),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e6),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e7),
    **dict.fromkeys(("m", "meter", "metre"), 1e9),
    "angstrom": 0.1,
}
UNKNOWN = ("", "unknown", "undefined", "none")
SHORTEST_NM = 100.0


def numbers(values: Any, count: int) -> NDArray[np.float64] | None:
    """`count` finite numbers from text or an array; None of anything else."""
    try:
        found = np.asarray(values, dtype=np.float64).ravel()
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.size == count and bool(np.isfinite(found).all()) else None


def number_or_nan(value: Any) -> float | None:
    """Return one number, NaN included; None of anything else."""
    try:
        found = np.asarray(value, dtype=np.float64).ravel()
    except (ValueError, TypeError, OverflowError):
        return None
    return float(found[0]) if value is not None and found.size == 1 else None


def spectral_lists(
    centres: Iterable[Listed], widths: Iterable[Listed], count: int
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Return `count` wavelengths and `count` widths (FWHM) in nanometres, each None if there are none.

    The first list of each that holds positive lengths counts. Widths without a unit have that of the
    wavelengths; without wavelengths they are unknown, as 5 may be nanometres or, of a thermal band,
    micrometres.

    Args:
        centres, widths: lists as text or numbers, each with its unit or None.
        count: number of bands.
    """
    wavelengths = factor = None
    for values, units in centres:
        found = _lengths(values, units, count)
        if found is not None:
            wavelengths, factor = found[0] * found[1], found[1]
            break
    for values, units in widths:
        found = _lengths(values, units, count)
        scale = None if found is None else factor if is_unknown(units) else found[1]
        if found is not None and scale is not None:
            return wavelengths, found[0] * scale
    return wavelengths, None


def nanometres(values: Any, units: str | None, count: int) -> NDArray[np.float64] | None:
    """Return `count` positive lengths in nanometres; None if they are not that, or in a unit that is no
    length.

    Without units, values of which the largest is below 100 are in micrometres: no optical sensor has bands
    below 100 nm, and none beyond 100 micrometres.
    """
    found = _lengths(values, units, count)
    return None if found is None else found[0] * found[1]


def _lengths(values: Any, units: str | None, count: int) -> tuple[NDArray[np.float64], float] | None:
    """Return `count` positive numbers and the nanometres of their unit; None for anything else."""
    found = numbers(values, count)
    if found is None or not bool((found > 0).all()):
        return None
    word = (units or "").strip().lower()
    factor = NANOMETRES.get(word, NANOMETRES.get(word.removesuffix("s")))
    if is_unknown(units):
        factor = 1.0 if float(found.max()) >= SHORTEST_NM else 1e3
    return None if factor is None else (found, factor)


def is_unknown(units: str | None) -> bool:
    """Return whether a text says nothing about a unit."""
    return (units or "").strip().lower() in UNKNOWN


def unit_in_name(name: str, units: str | None) -> str | None:
    """Return the unit, or nanometres where none is given and the name of the list ends in _nm."""
    return "nm" if is_unknown(units) and name.lower().endswith("_nm") else units


def doubtful_widths(wavelengths_nm: Any, fwhm_nm: Any) -> str:
    """Return a line if bands are wider than the whole range of wavelengths, else "".

    A file with another unit for widths than it states gives such widths; `UNIT_ADVICE` says what to do.
    """
    if wavelengths_nm is None or fwhm_nm is None or np.size(wavelengths_nm) < 2:
        return ""
    span, width = float(np.ptp(wavelengths_nm)), float(np.median(fwhm_nm))
    if width <= span:
        return ""
    return f"bands of {width:g} nm (FWHM) are wider than the {span:g} nm that all bands span"


def flags(values: Sequence[Any] | NDArray[Any] | None, count: int) -> NDArray[np.bool_] | None:
    """Return a bad-band list of `count` numbers as True for good bands; None of anything else."""
    found = None if values is None else numbers(values, count)
    return None if found is None else found != 0
