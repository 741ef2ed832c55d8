"""Wavelengths and band widths in the units that files use, as nanometres."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

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
UNKNOWN = ("", "unknown", "undefined", "none")
AROUND_UNITS = " \t()[]{}\"'."
SHORTEST_NM = 100.0


@dataclass(frozen=True, eq=False)
class Listing:
    """A list of lengths in a file.

    Args:
        name: as the file calls it.
        values: text or numbers.
        units: text, or None.
    """

    name: str
    values: Any
    units: str | None = None


class Notes(Protocol):
    """Takes down what was used and what was left; `hsr_tf.io.account.Account` does."""

    def use(self, *names: str) -> None: ...

    def leave(self, name: str, why: str, advice: str = "", *, matters: bool = True) -> None: ...


def numbers_of(values: Any, count: int) -> NDArray[np.float64]:
    """Return `count` finite numbers from text or an array; empty texts at the end of a list do not count.

    Raises:
        ValueError: it is something else; the text says what.
    """
    if isinstance(values, list):
        while values and isinstance(values[-1], str) and not values[-1].strip():
            values = values[:-1]
    try:
        found = np.asarray(values, dtype=np.float64).ravel()
    except (ValueError, TypeError, OverflowError):
        raise ValueError("holds something else than numbers") from None
    if found.size != count:
        plural = "" if found.size == 1 else "s"
        raise ValueError(
            f"{found.size} value{plural} where {count} are needed" if count != 1 else "not one number"
        )
    if not bool(np.isfinite(found).all()):
        raise ValueError("holds NaN or infinite values")
    return found


def numbers(values: Any, count: int) -> NDArray[np.float64] | None:
    """`count` finite numbers from text or an array; None of anything else."""
    try:
        return numbers_of(values, count)
    except ValueError:
        return None


def number_or_nan(value: Any) -> float | None:
    """Return one number, NaN included; None of anything else."""
    try:
        found = np.asarray(value, dtype=np.float64).ravel()
    except (ValueError, TypeError, OverflowError):
        return None
    return float(found[0]) if value is not None and found.size == 1 else None


def spectral_lists(
    centres: Iterable[Listing], widths: Iterable[Listing], count: int, notes: Notes | None = None
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Return `count` wavelengths and `count` widths (FWHM) in nanometres, each None if there are none.

    The first list of each that holds positive lengths counts. Widths without a unit have that of the
    wavelengths; without wavelengths they are unknown, as 5 may be nanometres or, of a thermal band,
    micrometres.

    Args:
        centres, widths: lists; those without values are passed over.
        count: number of bands.
        notes: takes down which list was used and why others were not.
    """
    wavelengths, factor = _first_lengths(centres, count, notes)
    found, own = _first_lengths(widths, count, notes, without_unit=factor, needs_unit=wavelengths is None)
    nanometres_per_band = None if wavelengths is None or factor is None else wavelengths * factor
    return nanometres_per_band, None if found is None or own is None else found * own


def _first_lengths(
    listings: Iterable[Listing],
    count: int,
    notes: Notes | None,
    *,
    without_unit: float | None = None,
    needs_unit: bool = False,
) -> tuple[NDArray[np.float64] | None, float | None]:
    for one in listings:
        if one.values is None:
            continue
        try:
            values, factor = _lengths(one.values, one.units, count)
            if is_unknown(one.units):
                if needs_unit:
                    raise ValueError("has no unit, and there are no wavelengths to take it from")
                factor = factor if without_unit is None else without_unit
        except ValueError as problem:
            if notes is not None:
                notes.leave(one.name, str(problem))
            continue
        if notes is not None:
            notes.use(one.name)
        return values, factor
    return None, None


def nanometres(values: Any, units: str | None, count: int) -> NDArray[np.float64] | None:
    """Return `count` positive lengths in nanometres; None if they are not that, or in a unit that is no
    length.

    Without units, values of which the largest is below 100 are in micrometres: no optical sensor has bands
    below 100 nm, and none beyond 100 micrometres.
    """
    try:
        found, factor = _lengths(values, units, count)
    except ValueError:
        return None
    return found * factor


def _lengths(values: Any, units: str | None, count: int) -> tuple[NDArray[np.float64], float]:
    """Return `count` positive numbers and the nanometres of their unit.

    Raises:
        ValueError: they are something else; the text says what.
    """
    found = numbers_of(values, count)
    if not bool((found > 0).all()):
        raise ValueError("holds values that are not positive")
    if is_unknown(units):
        return found, 1.0 if float(found.max()) >= SHORTEST_NM else 1e3
    word = (units or "").strip(AROUND_UNITS).lower()
    factor = NANOMETRES.get(word, NANOMETRES.get(word.removesuffix("s")))
    if factor is None:
        raise ValueError(f"its unit {(units or '').strip()[:30]!r} is no length that is known")
    return found, factor


def is_unknown(units: str | None) -> bool:
    """Return whether a text says nothing about a unit."""
    return (units or "").strip(AROUND_UNITS).lower() in UNKNOWN


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


def flags_of(values: Any, count: int) -> NDArray[np.bool_]:
    """Return a bad-band list of `count` numbers as True for good bands.

    Raises:
        ValueError: it is something else; the text says what.
    """
    return numbers_of(values, count) != 0


def flags(values: Any, count: int) -> NDArray[np.bool_] | None:
    """Return a bad-band list of `count` numbers as True for good bands; None of anything else."""
    found = None if values is None else numbers(values, count)
    return None if found is None else found != 0
