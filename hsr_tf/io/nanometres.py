"""Wavelengths and band widths in the units that files use, as nanometres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNIT_ADVICE = "check the unit"
NANOMETRES = {
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1.0),
    **dict.fromkeys(("um", "µm", "μm", "mu", "micron", "micrometer", "micrometre"), 1e3),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e6),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e7),
    **dict.fromkeys(("m", "meter", "metre"), 1e9),
    "angstrom": 0.1,
}
NANOMETRE_SUFFIX = "_nm"
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


def nanometres(values: Any, units: str | None, count: int) -> NDArray[np.float64] | None:
    """`count` positive lengths in nanometres; None where they are not that, or counted in something else.

    Without units, values of which the largest is below 100 are in micrometres: no optical sensor has bands
    below 100 nm, and none beyond 100 micrometres.
    """
    found = numbers(values, count)
    if found is None or not bool((found > 0).all()):
        return None
    factor = unit_factor(units, float(found.max()))
    return None if factor is None else found * factor


def widths_nm(
    values: Any, units: str | None, count: int, *, centre_factor: float | None
) -> NDArray[np.float64] | None:
    """`count` widths of bands in nanometres; without a unit of their own they have that of the wavelengths.

    Args:
        values: the widths, as text or numbers.
        units: their own unit, or None.
        count: the number of bands.
        centre_factor: nanometres in the unit of the wavelengths; None where there are no wavelengths, and
            then widths without a unit are unknown: 5 may be nanometres or, of a thermal band, micrometres.
    """
    found = numbers(values, count)
    if found is None or not bool((found > 0).all()):
        return None
    factor = centre_factor if is_unknown(units) else unit_factor(units, float(found.max()))
    return None if factor is None else found * factor


def is_unknown(units: str | None) -> bool:
    """Whether a text says nothing about a unit."""
    return (units or "").strip().lower() in UNKNOWN


def unit_in_name(name: str, units: str | None) -> str | None:
    """The unit, or nanometres where none is given and the name of the list ends in _nm."""
    return "nm" if is_unknown(units) and name.lower().endswith(NANOMETRE_SUFFIX) else units


def doubtful_widths(wavelengths_nm: Any, fwhm_nm: Any) -> str:
    """What is doubtful where bands are wider than the whole range of wavelengths; "" where all is well.

    A file with another unit for widths than it states gives such widths; `UNIT_ADVICE` says what to do.
    """
    if wavelengths_nm is None or fwhm_nm is None or np.size(wavelengths_nm) < 2:
        return ""
    span, width = float(np.ptp(wavelengths_nm)), float(np.median(fwhm_nm))
    if width <= span:
        return ""
    return f"bands of {width:g} nm (FWHM) are wider than the {span:g} nm that all bands span"


def unit_factor(units: str | None, largest: float) -> float | None:
    """Nanometres a unit; guessed from the largest value where the unit is not told; None for other units."""
    word = (units or "").strip().lower()
    if is_unknown(units):
        return 1.0 if largest >= SHORTEST_NM else 1e3
    return NANOMETRES.get(word, NANOMETRES.get(word.removesuffix("s")))


def flags(values: Sequence[Any] | NDArray[Any] | None, count: int) -> NDArray[np.bool_] | None:
    """A bad-band list of `count` numbers as True for good bands; None of anything else."""
    found = None if values is None else numbers(values, count)
    return None if found is None else found != 0
