"""How the recorded values of the sharp image follow from light: a tone curve and an offset of each channel.

    Y = g(Z R + o),   undone by   (f(Y) - o) / d,   f the inverse of g.

Fusion is linear in light. Images for the eye are stored with a tone curve g (IEC 61966-2-1 for sRGB, a power
for older displays); dark current and haze add an offset o. A gain of each channel needs nothing, as the
estimated R contains it; networks, whose R is fixed, get it divided out (d).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsr_tf import checks

LINEAR = "linear"
WHITE_LEVELS = (1.0, 100.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)
HEADROOM = 1.05


def _srgb_to_linear(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values <= 0.04045, values / 12.92, ((np.maximum(values, 0.0) + 0.055) / 1.055) ** 2.4)


def _power(exponent: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    return lambda values: np.sign(values) * np.abs(values) ** exponent


INVERSE_CURVES: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    LINEAR: lambda values: values,
    "sRGB": _srgb_to_linear,
    "gamma 1.8": _power(1.8),
    "gamma 2.2": _power(2.2),
}


@dataclass(frozen=True)
class Radiometry:
    """What was done to the values of the sharp image, and how to undo it.

    Attributes:
        curve: name of the tone curve g, one of `INVERSE_CURVES`.
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
        checks.require_choice("curve", self.curve, tuple(INVERSE_CURVES))
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
            light = INVERSE_CURVES[self.curve](np.asarray(hr_msi, np.float64) / self.white)
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
