"""Numbers in prose: at most three significant digits, never an exponent. Arguments as flags."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from hsr_tf.checks import InputError

LARGEST_PERCENT, SMALLEST_PERCENT = 1000.0, 0.001
PYTHON_ARGUMENT = re.compile(r'(?<![\w-])([a-z_]+)="([^"\s]+)"')


def as_flags(advice: str) -> str:
    """Return an advice with its arguments as they are typed: `psf="estimate"` becomes `--psf=estimate`.

    The library writes arguments the first way, which is Python's; commands show what this returns.
    """
    return PYTHON_ARGUMENT.sub(r"--\1=\2", advice)


def error_line(error: Exception) -> str:
    """Return the one line that a command shows of an error in its input."""
    text = f"{error.problem}; {as_flags(error.remedy)}" if isinstance(error, InputError) else str(error)
    return " ".join(text.split())


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
    return f"{_positional(value, digits)} %"


def number(value: float) -> str:
    """Return a number with three significant digits and without an exponent, e.g. "-9999" as "-10000"."""
    if not math.isfinite(value):
        return f"{value}"
    return _positional(value + 0.0, 3)  # no negative zero


def _positional(value: float, digits: int) -> str:
    """A number with so many significant digits and without an exponent."""
    import numpy as np

    return np.format_float_positional(value, digits, unique=False, fractional=False, trim="-")


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign and a fixed number of decimals; zero has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def size_words(shape: Sequence[int]) -> str:
    """Return a size as text.

    Args:
        shape: (rows, columns) of a picture, or (rows, columns, bands) of a cube.

    Returns:
        width x height of a picture, e.g. "640 x 480 pixels"; rows, columns and bands of a cube, e.g.
        "480x640x31".
    """
    if len(shape) == 2:
        return f"{shape[1]} x {shape[0]} pixels"
    return "x".join(map(str, shape))
