"""Numbers in prose: at most three significant digits, never an exponent."""

from __future__ import annotations

import math

import numpy as np

LARGEST_PERCENT, SMALLEST_PERCENT = 1000.0, 0.001


def percent(share: float) -> str:
    """Return a share as a percentage: two significant digits, three from 100 % on.

    Args:
        share: a share of one, e.g. 0.024.

    Returns:
        e.g. "2.4 %", "100 %"; "under 0.001 %" and "over 1000 %" past these ends.
    """
    value = 100 * share
    if not math.isfinite(value) or abs(value) > LARGEST_PERCENT:
        return f"over {LARGEST_PERCENT:.0f} %"
    if abs(value) < SMALLEST_PERCENT:
        return f"under {SMALLEST_PERCENT:g} %"
    digits = 2 if abs(value) < 100 else 3
    return f"{np.format_float_positional(value, digits, unique=False, fractional=False, trim='-')} %"


def number(value: float) -> str:
    """Return a number with three significant digits and without an exponent, e.g. "-9999" as "-10000"."""
    if not math.isfinite(value):
        return f"{value}"
    return np.format_float_positional(value, 3, unique=False, fractional=False, trim="-")


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign and a fixed number of decimals; zero has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text
