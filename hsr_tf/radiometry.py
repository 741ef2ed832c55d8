"""How the recorded values of the sharp image follow from light: a tone curve and an offset of each channel.

    Y = g(Z R + o),   undone by   (f(Y) - o) / d,   f the inverse of g.

Fusion is linear in light. Images for the eye are stored with a tone curve g (IEC 61966-2-1 for sRGB, a power
for older displays); dark current and haze add an offset o. A gain of each channel needs nothing where R is
estimated, as R contains it; where R is given, and for networks, whose R is fixed, it is divided out (d).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsr_tf import checks

LINEAR, SRGB, GAMMA = "linear", "sRGB", "gamma "
AUTO, NONE = "auto", "none"
LEAST_GAMMA, MOST_GAMMA = 0.2, 5.0
WHITE_LEVELS = (1.0, 100.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)
HEADROOM = 1.05


def _srgb_to_linear(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values <= 0.04045, values / 12.92, ((np.maximum(values, 0.0) + 0.055) / 1.055) ** 2.4)


Inverse = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def gamma_curve(gamma: float) -> str:
    """The name of the curve light^(1 / gamma), e.g. "gamma 2.2"."""
    return f"{GAMMA}{gamma:.4g}"


def inverse_curve(curve: str) -> Inverse:
    """f, from recorded values over the white level to light.

    Args:
        curve: "linear", "sRGB" or "gamma G" with G from 0.2 to 5.

    Raises:
        ValueError: another name.
    """
    if curve == LINEAR:
        return lambda values: values
    if curve == SRGB:
        return _srgb_to_linear
    gamma = _number_in(curve.removeprefix(GAMMA)) if curve.startswith(GAMMA) else None
    checks.require(
        gamma is not None and LEAST_GAMMA <= gamma <= MOST_GAMMA,
        "curve",
        expected=f"{LINEAR}, {SRGB}, or gamma and a number from {LEAST_GAMMA:g} to {MOST_GAMMA:g}",
        received=curve,
        remedy=f"use e.g. {gamma_curve(2.2)!r}",
    )
    return lambda values: np.sign(values) * np.abs(values) ** gamma


def parse_linearize(word: str) -> str | None:
    """The tone curve that a user names: "none", "auto", "srgb" or "gamma:2.2".

    Returns:
        The name of the curve, "linear" for "none"; None for "auto", which looks for it.

    Raises:
        ValueError: another word, a gamma outside of 0.2 to 5.
    """
    name, _, value = word.strip().lower().partition(":")
    gamma = _number_in(value) if name == "gamma" else None
    known = {AUTO: None, NONE: LINEAR, "srgb": SRGB} if not value else {}
    if gamma is not None and LEAST_GAMMA <= gamma <= MOST_GAMMA:
        return gamma_curve(gamma)
    checks.require(
        name in known,
        "linearize",
        expected=f"{NONE}, srgb, gamma:G with G from {LEAST_GAMMA:g} to {MOST_GAMMA:g}, or {AUTO}",
        received=word,
        remedy="use gamma:2.2 for an old display, srgb for a photograph",
    )
    return known[name]


def _number_in(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


@dataclass(frozen=True)
class Radiometry:
    """What was done to the values of the sharp image, and how to undo it.

    Attributes:
        curve: name of the tone curve g, see `inverse_curve`.
        white: the value that the curve leaves as it is, in the units of Y.
        offset: o, one value per channel in the units of f(Y); empty for none.
        divisor: d, one value per channel; empty for ones.

    Raises:
        ValueError: an unknown curve, a white level or divisor that is not positive.
    """

    curve: str = LINEAR
    white: float = 1.0
    offset: tuple[float, ...] = ()
    divisor: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        inverse_curve(self.curve)
        for name, values in (("white", (self.white,)), ("divisor", self.divisor)):
            checks.require(
                all(value > 0 for value in values),
                name,
                expected="positive numbers",
                received=str(values),
                remedy="leave it out",
            )

    @property
    def is_identity(self) -> bool:
        """Whether the recorded values are linear in light, without an offset."""
        return self.curve == LINEAR and not any(self.offset) and not self.divisor

    def linear(self, hr_msi: NDArray[np.float32]) -> NDArray[np.float32]:
        """(f(Y) - o) / d of Y (..., c); Y itself where there is nothing to undo."""
        if self.is_identity:
            return hr_msi
        values = hr_msi
        if self.curve != LINEAR:
            light = inverse_curve(self.curve)(np.asarray(hr_msi, np.float64) / self.white)
            values = (self.white * light).astype(np.float32)
        if self.offset:
            values = values - np.asarray(self.offset, np.float32)
        if self.divisor:
            values = values * np.reciprocal(np.asarray(self.divisor, np.float32))
        return values

    def divisor_undone(self) -> Radiometry:
        """The radiometry that takes the division of `linear` back."""
        return Radiometry(divisor=tuple(1 / value for value in self.divisor))

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "curve": self.curve,
            "white": self.white,
            "offset": list(self.offset),
            "divisor": list(self.divisor),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Radiometry:
        """The inverse of `as_dict`."""
        offset, divisor = (tuple(float(value) for value in data[name]) for name in ("offset", "divisor"))
        return cls(str(data["curve"]), float(data["white"]), offset, divisor)

    def line(self, gains: ArrayLike | None = None) -> str:
        """One line for a reader: curve, offset and gain per channel, once where the channels agree.

        Args:
            gains: (c,), the value of each channel for a spectrum of ones; None where the response is given.
        """
        parts = [] if self.curve == LINEAR else [f"{self.curve} curve undone"]
        if gains is not None:
            parts.append(f"gain {channel_values(gains)}")
        parts.append(f"offset {channel_values(self.offset)}" if any(self.offset) else "offset 0")
        return ", ".join(parts)


AS_RECORDED = Radiometry()


def white_level(hr_msi: NDArray[np.float32]) -> float:
    """The smallest common white level that the values of an image stay below."""
    largest = float(hr_msi.max())
    return next((white for white in WHITE_LEVELS if largest <= HEADROOM * white), largest)


def channel_values(values: ArrayLike) -> str:
    """Values per channel as text: "0.080", or "0.080, 0.081, 0.079" where they differ."""
    words = [_number(float(value)) for value in np.atleast_1d(np.asarray(values, np.float64))]
    return words[0] if len(set(words)) == 1 else ", ".join(words)


def _number(value: float) -> str:
    """Three decimals below ten, no exponent."""
    decimals = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    word = f"{value:.{decimals}f}"
    return word.removeprefix("-") if float(word) == 0 else word
