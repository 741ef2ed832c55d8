"""Features of colours for `colour_kernel`: the colours themselves, and a Gaussian kernel at landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.typing import Array

SMALLEST, SMALLEST_EIGENVALUE = 1e-12, 1e-10


@dataclass(frozen=True, eq=False)
class ColourMetric:
    """Where the kernel sees colours, and with which weight.

    Attributes:
        black: (c,), the colours of no light.
        level: mean of the colours, above that of no light, at which b is 2.
        stretch: factor that makes the mean standard deviation 1.
    """

    black: Array
    level: float
    stretch: float = 1.0

    @classmethod
    def of(cls, colours: Array, black: Array, level: float) -> ColourMetric:
        """The metric of a scene with these colours (n, c)."""
        deviation = float(cls(black, level)(colours)[0].std(0).mean())
        return cls(black, level, 1.0 / max(deviation, SMALLEST))

    def __call__(self, colours: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Places a / b(a) (n, c) and weights b(a) (n,), in the precision of the colours."""
        if np.isinf(self.level):
            return colours, np.ones(len(colours), colours.dtype)
        light = colours - self.black.astype(colours.dtype)
        weights = 1 + np.maximum(light.mean(-1), 0) / colours.dtype.type(self.level)
        return light * (colours.dtype.type(self.stretch) / weights[:, None]), weights


@dataclass(frozen=True, eq=False)
class ColourFeatures:
    """phi of centred colours in units of their mean standard deviation.

    Attributes:
        landmarks: (m, c).
        whitening: (m, r), takes kernel values to Nystroem features.
        metric: of the kernel.
        length: of the kernel.
    """

    landmarks: Array
    whitening: Array
    metric: ColourMetric
    length: float

    @classmethod
    def of(cls, landmarks: Array, metric: ColourMetric, length: float) -> ColourFeatures:
        """Features whose products are the kernel, for colours at the landmarks."""
        values, vectors = np.linalg.eigh(kernel_values(landmarks, landmarks, metric, length))
        kept = values > SMALLEST_EIGENVALUE * values[-1]
        return cls(landmarks, vectors[:, kept] / np.sqrt(values[kept]), metric, length)

    def __call__(self, colours: Array) -> Array:
        """(n, c) to (n, 1 + c + r)."""
        kernel = kernel_values(colours, self.landmarks, self.metric, self.length) @ self.whitening
        return np.concatenate([np.ones((len(colours), 1), colours.dtype), colours, kernel], -1)

    def noise(self, colours: Array, variance: Array) -> Array:
        """N: the mean of what noise of this variance (c,) adds to the products of the features."""
        num_linear = 1 + colours.shape[1]
        size = num_linear + len(self.landmarks)
        total, change = np.zeros((size, size)), np.zeros((len(colours), size))
        for channel in np.flatnonzero(variance > 0):
            step = np.zeros(colours.shape[1])
            step[channel] = np.sqrt(variance[channel])
            change[:, :num_linear] = 0.0
            change[:, 1 + channel] = step[channel]
            ends = (
                kernel_values(place, self.landmarks, self.metric, self.length)
                for place in (colours + step, colours - step)
            )
            change[:, num_linear:] = np.subtract(*ends) / 2
            total += change.T @ change / len(colours)
        whitening = np.zeros((size, num_linear + self.whitening.shape[1]))
        whitening[:num_linear, :num_linear] = np.eye(num_linear)
        whitening[num_linear:, num_linear:] = self.whitening
        return np.asarray(whitening.T @ total @ whitening)


def kernel_values(
    colours: NDArray[Any], landmarks: NDArray[Any], metric: ColourMetric, length: float
) -> NDArray[Any]:
    """k of colours (n, c) and landmarks (m, c), (n, m), in the precision of the colours."""
    scale = colours.dtype.type(np.sqrt(0.5) / length)
    (a, brightness), (z, others) = metric(colours), metric(landmarks)
    a, z = a * scale, z * scale
    squares = a @ z.T
    squares *= -2
    squares += np.square(a).sum(-1)[:, None]
    squares += np.square(z).sum(-1)
    np.maximum(squares, 0, out=squares)
    np.negative(squares, out=squares)
    np.exp(squares, out=squares)
    if not np.isinf(metric.level):
        squares *= brightness[:, None]
        squares *= others
    return squares
