"""Amounts of memory in words ("3GB", "2GiB"), what this process holds, and what a tile of a method will take.

The bytes a sharp pixel are those that peaks of processes of 512 x 512 to 2048 x 2048 pixels showed (`python
-m benchmarks.streaming`), rounded up; what a framework holds before the first tile is measured anew in every
process.
"""

from __future__ import annotations

import math
import re
import resource
import sys
from pathlib import Path

from hsr_tf import checks
from hsr_tf.tiling.memory import GIB, default_limit_gib

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
WORDS = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]+)\s*")
SPARE_BYTES = 250 * 10**6


def parse_memory(text: str) -> int:
    """Bytes of "3GB", "500MB" (powers of 1000) or "2GiB", "512MiB" (powers of 1024); case does not count.

    Raises:
        ValueError: for anything else, a number without a unit too.
    """
    found = WORDS.fullmatch(text)
    unit = found.group(2).upper() if found else ""
    num_bytes = float(found.group(1)) * UNITS[unit] if found and unit in UNITS else 0.0
    checks.require(
        math.isfinite(num_bytes) and num_bytes >= 1,
        "memory_limit",
        expected="a positive number and a unit (B, KB, MB, GB, TB, KiB, MiB, GiB, TiB)",
        received=repr(text),
        remedy="write e.g. 3GB or 2GiB",
    )
    return int(num_bytes)


def default_limit() -> int:
    """Half of the machine's memory, in bytes."""
    return int(default_limit_gib() * GIB)


def resident_bytes() -> int:
    """What this process holds in memory now; the largest it ever held where the system does not tell."""
    statm = Path("/proc/self/statm")
    if statm.is_file():
        return int(statm.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    return peak_bytes()


def peak_bytes() -> int:
    """The largest memory that this process ever held; Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def in_words(num_bytes: float) -> str:
    """Bytes for people: 3.1 GB, 512 MB."""
    return f"{num_bytes / 1e9:.3g} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.3g} MB"
