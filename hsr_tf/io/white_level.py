"""The stored value that stands for 1.0: given, recorded in the file, or guessed from the values.

Integers of 16 bits or more whose file says nothing are judged by their values, in one way for every type, so
that one image stored as int16 and as uint16 is read as one image. Values that end exactly at 1023, 2047,
4095, 16383 or 32767 come from a sensor of that many bits. Otherwise the value that 99.9 % of all stay below
decides: up to 255, 8 bits; up to 20000, reflectance times 10000 (bright clouds exceed 1); up to 65535, 16
bits. A guess is marked as such wherever a file is described. It is made once for a file, from a bounded
sample of its values at fixed places, so that parts of a file are scaled as the whole is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.io.nanometres import numbers

GUESSED = "guessed"
SATURATED = (1023.0, 2047.0, 4095.0, 16383.0, 32767.0)
LARGEST_OF_8_BITS, LARGEST_REFLECTANCE, LARGEST_OF_16_BITS = 255.0, 20_000.0, 65_535.0
REFLECTANCE_FACTOR, LARGEST_OF_12_BITS = 10_000.0, 4095.0
HIGH_PERCENTILE = 99.9
LEVEL_NAMES = ("quantification_value", "reflectance_scale_factor", "reflectance_scale", "scale_reflectance")
BITS_NAMES = ("significant_bits", "bit_depth", "bits_per_sample", "nbits")
SAME_UNITS_RATIO, SATURATED_RATIO = 2.0, 4.0


@dataclass(frozen=True)
class WhiteLevel:
    """What stored values are divided by.

    Attributes:
        level: the divisor; None where values are taken as they are.
        origin: "argument", "file", "guessed", "largest uint8", or "" without a level.
        largest: the largest value seen, where the level is a guess, else None.
    """

    level: float | None
    origin: str = ""
    largest: float | None = None

    @property
    def is_guess(self) -> bool:
        """Whether neither the caller nor the file says it."""
        return self.origin == GUESSED

    def as_metadata(self) -> dict[str, Any]:
        """Return the metadata of a scene that was read with it; `of` is the inverse."""
        if self.level is None:
            return {}
        found = {"white_level": self.level, "white_level_origin": self.origin}
        return found if self.largest is None else {**found, "white_level_sample": self.largest}

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> WhiteLevel:
        """Return the white level that a loaded scene with these metadata was read with."""
        names = ("white_level", "white_level_origin", "white_level_sample")
        level, origin, largest = (metadata.get(name) for name in names)
        return cls(level, str(origin or ""), largest)


def level_in_metadata(metadata: Mapping[str, Any]) -> float | None:
    """Return a white level in free metadata: a scale of reflectance, a number of bits, units of 1 / 10000."""
    low = {str(name).lower(): value for name, value in metadata.items()}
    for name in LEVEL_NAMES:
        found = numbers(low.get(name), 1)
        if found is not None and found[0] > 1:
            return float(found[0])
    for name in BITS_NAMES:
        found = numbers(low.get(name), 1)
        if found is not None and found[0] in range(2, 33):
            return float(2 ** int(found[0]) - 1)
    for name in ("units", "unit", "data_units"):
        if re.search(r"reflectance\D*10[ ,_]?000\b", str(low.get(name, "")).lower()):
            return REFLECTANCE_FACTOR
    return None


def guessed_level(values: NDArray[Any], dtype: np.dtype[Any]) -> WhiteLevel:
    """Return the level of integers of 16 bits or more with these values of pixels with data."""
    if marking_end(values, dtype) is not None:
        values = values[(values != np.iinfo(dtype).max) & (values != np.iinfo(dtype).min)]
    if not values.size or values.max() <= 0:
        return WhiteLevel(float(np.iinfo(dtype).max), f"largest {dtype.name}")
    largest, high = float(values.max()), float(np.percentile(values, HIGH_PERCENTILE))
    if largest in SATURATED:
        level = largest
    elif largest <= LARGEST_OF_8_BITS:
        level = LARGEST_OF_8_BITS
    elif high <= LARGEST_REFLECTANCE:
        level = REFLECTANCE_FACTOR
    elif high <= LARGEST_OF_16_BITS:
        level = LARGEST_OF_16_BITS
    else:
        return WhiteLevel(float(np.iinfo(dtype).max), f"largest {dtype.name}")
    return WhiteLevel(level, GUESSED, largest)


def marking_end(values: NDArray[Any], dtype: np.dtype[Any]) -> float | None:
    """Return the end of the type that marks pixels without data: it lies far from every other value."""
    bounds = np.iinfo(dtype)
    inner = values[(values != bounds.max) & (values != bounds.min)]
    if not inner.size or 2 * float(inner.max()) >= float(bounds.max):
        return None
    if bool((values == bounds.max).any()):
        return float(bounds.max)
    return float(bounds.min) if bounds.min < 0 and bool((values == bounds.min).any()) else None


def agreed_levels(first: WhiteLevel, second: WhiteLevel) -> tuple[WhiteLevel, WhiteLevel]:
    """Return the levels of two images of one place, so that two guesses do not set them apart.

    A camera of 12 bits reaches 4095 in the sharp image and not in the coarse one, whose pixels are means: the
    level of the one that is saturated then counts for both, if the values differ by a factor of 4 at most.
    Guesses from values that are alike, up to a factor of 2, become that of the larger values. Other levels
    stay.
    """
    if not (first.is_guess and second.is_guess) or first.level == second.level:
        return first, second
    low, high = sorted((first, second), key=lambda one: one.largest or 0.0)
    assert low.largest is not None and high.largest is not None
    ratio = SATURATED_RATIO if high.level == high.largest else SAME_UNITS_RATIO
    saturated = high.level == high.largest or low.level != low.largest
    if not saturated or high.largest > ratio * low.largest:
        return first, second
    return replace(first, level=high.level), replace(second, level=high.level)
