"""Shapes that blurs have, each with a few parameters that can be differentiated: where a PSF search starts.

Positions are in sharp pixels from the middle of the support, (rows, columns); widths enter as logarithms, so
that every vector of parameters is a kernel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from hsr_tf.physics.psf import FWHM_PER_SIGMA
from hsr_tf.typing import Array

STEP_SIZES = np.array([1.0, 1.0, 0.3, 0.3, 0.3])


class PsfShape(ABC):
    """A family of PSFs with five parameters, the first two being the position of the centre."""

    name: str

    @abstractmethod
    def start(self, scale: int, shift: tuple[float, float]) -> Array:
        """Parameters of the usual PSF of scale s, moved by `shift`."""

    @abstractmethod
    def bounds(self, scale: int, taps: int) -> tuple[Array, Array]:
        """Least and largest parameters on a support of `taps` x `taps`."""

    @abstractmethod
    def kernel(self, parameters: Array, taps: int) -> Array:
        """(taps, taps), non-negative, sums to one."""

    @abstractmethod
    def reach(self, parameters: Array) -> float:
        """Distance from the middle of the support, along rows or columns, that the PSF has mass to."""

    def moved(self, parameters: Array, shift: tuple[float, float]) -> Array:
        """The same PSF, moved."""
        return np.concatenate([parameters[:2] + shift, parameters[2:]])


@dataclass(frozen=True)
class GaussianShape(PsfShape):
    """Gaussian of any covariance, sampled at pixel centres.

    The parameters after the position are log a, b and log d of the Cholesky factor [[a, 0], [b, d]] of the
    covariance.

    Attributes:
        window: side of the square, in sharp pixels about its centre, that it is cut off by; None for none.
    """

    window: float | None = None
    name: str = "Gaussian"

    def start(self, scale: int, shift: tuple[float, float]) -> Array:
        """Full width at half maximum s."""
        log_sigma = np.log(scale / FWHM_PER_SIGMA)
        return np.array([*shift, log_sigma, 0.0, log_sigma])

    def bounds(self, scale: int, taps: int) -> tuple[Array, Array]:
        """Standard deviations from a seventh of a pixel to half the support."""
        least, most = np.log(0.15), np.log(max(taps / 2, 1.0))
        reach = taps / 2
        return np.array([-reach, -reach, least, -reach, least]), np.array([reach, reach, most, reach, most])

    def kernel(self, parameters: Array, taps: int) -> Array:
        """See `PsfShape.kernel`."""
        row, column, log_a, b, log_d = parameters
        rows, columns = (_offsets(taps) - row)[:, None], (_offsets(taps) - column)[None]
        first = rows / np.exp(log_a)
        second = (columns - b * first) / np.exp(log_d)
        exponent = 0.5 * (first**2 + second**2)
        values = np.exp(exponent.min() - exponent)
        if self.window is not None:
            values = values * _inside(rows, self.window) * _inside(columns, self.window)
        return values / max(values.sum(), 1e-300)

    def reach(self, parameters: Array) -> float:
        """Three standard deviations, or the window."""
        row, column, log_a, b, log_d = parameters
        widths = 3 * np.exp(log_a), 3 * np.hypot(b, np.exp(log_d))
        if self.window is not None:
            widths = tuple(min(width, self.window / 2) for width in widths)
        return float(max(abs(row) + widths[0], abs(column) + widths[1]))


@dataclass(frozen=True)
class DetectorShape(PsfShape):
    """A rectangular detector element behind Gaussian optics, integrated over each pixel.

    The parameters after the position are the logarithms of the element's two sides and of the optics'
    standard deviation. With no optics and whole sides it is exactly a box.
    """

    name: str = "detector"

    def start(self, scale: int, shift: tuple[float, float]) -> Array:
        """An element of s x s pixels, optics of 0.15 s."""
        return np.array([*shift, np.log(scale), np.log(scale), np.log(0.15 * scale)])

    def bounds(self, scale: int, taps: int) -> tuple[Array, Array]:
        """Sides from a tenth of a pixel to the support, optics from a thousandth."""
        reach, most = taps / 2, np.log(max(taps, 2))
        least = np.log([0.1, 0.1, 1e-3])
        return np.array([-reach, -reach, *least]), np.array([reach, reach, most, most, most])

    def kernel(self, parameters: Array, taps: int) -> Array:
        """See `PsfShape.kernel`."""
        row, column, log_height, log_width, log_sigma = parameters
        rows = _blurred_overlap(_offsets(taps) - row, np.exp(log_height), np.exp(log_sigma))
        columns = _blurred_overlap(_offsets(taps) - column, np.exp(log_width), np.exp(log_sigma))
        kernel = np.maximum(np.outer(rows, columns), 0.0)
        return kernel / max(kernel.sum(), 1e-300)

    def reach(self, parameters: Array) -> float:
        """Half a side and three standard deviations."""
        row, column, log_height, log_width, log_sigma = parameters
        blur = 3 * np.exp(log_sigma)
        return float(max(abs(row) + np.exp(log_height) / 2, abs(column) + np.exp(log_width) / 2) + blur)


def _offsets(taps: int) -> Array:
    return np.arange(taps, dtype=np.float64) - (taps - 1) / 2


def _inside(distance: Array, window: float) -> Array:
    """How much of the pixel at this distance from the middle of the window lies in it."""
    return np.clip(window / 2 + 0.5 - np.abs(distance), 0.0, 1.0)


def _blurred_overlap(distance: Array, width: float, sigma: float) -> Array:
    """Overlap of a pixel and an interval of `width`, `distance` apart, under a Gaussian of `sigma`.

    Second differences of the Gaussian's second integral.
    """
    outer, inner = (width + 1) / 2, (width - 1) / 2
    ramps = [_ramp(distance + edge, sigma) for edge in (outer, inner, -inner, -outer)]
    return ramps[0] - ramps[1] - ramps[2] + ramps[3]


def _ramp(distance: Array, sigma: float) -> Array:
    scaled = distance / sigma
    return distance * ndtr(scaled) + sigma * np.exp(-0.5 * np.minimum(scaled**2, 1400.0)) / np.sqrt(2 * np.pi)
