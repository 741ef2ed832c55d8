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

    def slopes(self, colours: Array) -> tuple[Array, Array, Array]:
        """Places and weights of colours (n, c), and what a weight changes by with a channel, (n,)."""
        places, weights = self(colours)
        slope = 1 / (self.level * colours.shape[1])
        return places, weights, np.where(weights > 1, slope, 0.0)


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
        """N: the mean of what noise of this variance (c,) adds to the products of the features.

        With p = a / b(a) and z the place of a landmark, the kernel changes with channel k of the colour by

            k(a, z) (t + q (z_k - p_k)),   t = b' / b - q b' / u (z - p) . p,   q = u / (b l^2),

        u the stretch and b' what b changes by with a channel, the same for all. The products of these, summed
        over the channels with their variances, are products of a few matrices.
        """
        num_linear, num_pixels = 1 + colours.shape[1], len(colours)
        places, brightness, slope = self.metric.slopes(colours)
        landmarks = self.metric(self.landmarks)[0]
        middle = landmarks.mean(0)  # differences of places far from the origin would be rounding errors
        seen, landmarks = places - middle, landmarks - middle
        kernel = kernel_values(colours, self.landmarks, self.metric, self.length)
        stretch = 1.0 if np.isinf(self.metric.level) else self.metric.stretch
        fall = stretch / (brightness * self.length**2)
        steep, weighted = kernel * fall[:, None], seen * variance
        across = steep * (weighted @ landmarks.T - (weighted * seen).sum(1)[:, None] / 2)
        mixed = across.T @ steep
        curved = (landmarks * variance) @ landmarks.T * (steep.T @ steep) - mixed - mixed.T
        linear = landmarks.T * steep.sum(0) - seen.T @ steep
        if slope.any():
            off = (places @ landmarks.T - (places * seen).sum(1)[:, None]) / stretch
            turned = kernel * (slope / brightness)[:, None] - steep * (slope[:, None] * off)
            pull = steep * (landmarks @ variance - (seen @ variance)[:, None])
            mixed = turned.T @ pull
            curved += variance.sum() * (turned.T @ turned) + mixed + mixed.T
            linear += turned.sum(0)
        added = np.zeros((num_linear + self.whitening.shape[1],) * 2)
        added[1:num_linear, 1:num_linear] = np.diag(variance)
        added[num_linear:, num_linear:] = self.whitening.T @ curved @ self.whitening / num_pixels
        added[1:num_linear, num_linear:] = variance[:, None] * linear @ self.whitening / num_pixels
        added[num_linear:, 1:num_linear] = added[1:num_linear, num_linear:].T
        return added


def kernel_values(
    colours: NDArray[Any], landmarks: NDArray[Any], metric: ColourMetric, length: float
) -> NDArray[Any]:
    """k of colours (n, c) and landmarks (m, c), (n, m), in the precision of the colours."""
    scale = colours.dtype.type(np.sqrt(0.5) / length)
    (a, brightness), (z, others) = metric(colours), metric(landmarks)
    middle = z.mean(0)  # squares of places far from the origin would hide their distances
    a, z = (a - middle) * scale, (z - middle) * scale
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
