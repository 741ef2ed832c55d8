"""Wavelengths that a user gives for a file without them: a range, a list, or a file of numbers.

`400:700:10` is a range with both ends, `450,550,650` a list; a file holds one number for each band, separated
by line ends, blanks or commas, lines that start with # left out, or is an ENVI header. Numbers that are all
below 100 are micrometres.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error, require
from hsr_tf.io.envi_header import read_header, wavelengths_of
from hsr_tf.io.nanometres import nanometres

NUMBERS = re.compile(r"[0-9.,:;\s+eE-]+")
EXAMPLES = "a range 400:700:10, a list 450,550,650, or a file of numbers"
LARGEST_FILE, MOST_BANDS = 2**22, 100_000


def parse_wavelengths(text: str) -> NDArray[np.float64]:
    """Return the wavelengths of a range, a list or a file, in nanometres.

    Raises:
        ValueError: a text that is none of these, a range that does not end on a step, numbers that are not
            positive.
        OSError: a file that is missing or holds something else.
    """
    if not NUMBERS.fullmatch(text):
        return _from_file(Path(text))
    values = _range(text) if ":" in text else _numbers(text)
    found = None if values is None else nanometres(values, None, len(values))
    require(
        found is not None and len(found) > 0,
        "wavelengths",
        expected=EXAMPLES,
        received=repr(text),
        remedy="give positive numbers in nanometres",
    )
    assert found is not None
    return found


def _range(text: str) -> NDArray[np.float64] | None:
    parts = _numbers(text.replace(":", ","))
    if parts is None or len(parts) != 3 or text.count(":") != 2:
        return None
    first, last, step = parts.tolist()
    num_steps = (last - first) / step if step != 0 else -1.0
    whole = round(num_steps)
    require(
        0 <= whole < MOST_BANDS and abs(num_steps - whole) < 1e-6 * max(1, whole),
        "wavelengths",
        expected="first:last:step, the last a whole number of steps from the first",
        received=repr(text),
        remedy="give e.g. 400:700:10",
    )
    return np.linspace(first, last, whole + 1)


def _numbers(text: str) -> NDArray[np.float64] | None:
    try:
        return np.array([float(word) for word in re.split(r"[,;\s]+", text.strip(" \t\r\n,;"))])
    except ValueError:
        return None


def _from_file(path: Path) -> NDArray[np.float64]:
    if not path.is_file():
        raise file_error(path, "no such file of wavelengths", f"give {EXAMPLES}")
    if path.suffix.lower() == ".hdr":
        found, _ = wavelengths_of(read_header(path))
    else:
        with open(path, "rb") as file:
            text = file.read(LARGEST_FILE).decode("utf-8-sig", errors="replace")
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        values = _numbers("\n".join(lines))
        found = None if values is None else nanometres(values, None, len(values))
    if found is None or not len(found):
        raise file_error(path, "holds no list of wavelengths", "write one positive number for each band")
    return found
