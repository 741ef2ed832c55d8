"""Random features of colour and position: what a kernel or a wide network sees of a sharp pixel.

Fourier features of a shift-invariant kernel,

    phi(u) = sqrt(2 / M) cos(u W + b),   E phi(u) . phi(v) = exp(-|u - v|^2 / 2)

with W standard normal and b uniform (Rahimi and Recht, NIPS 2007, section 3; Gaussian kernel), and the hidden
layer of a wide network with random weights, of which only the output layer is learnt (Rahimi and Recht, NIPS
2008, "Weighted sums of random kitchen sinks"). A unit of it is linear on one side of a plane in colour, and a
wave gates it in position:

    phi(q, p) = g max(0, (q, 1) V) cos(p W + b)

with V standard normal. Its mean product is the arc-cosine kernel of order 1 (Cho and Saul, NIPS 2009, section
2) of the colours times a Gaussian kernel of the positions: far from the colours that were seen a Gaussian
kernel falls back to nothing, and such a network goes on linearly, with other slopes in another place.

Here u = (q, p) holds the channels of Y in units of their common standard deviation and the position in coarse
pixels, each over its own length, so that pixels of like colour that lie near each other share a spectrum.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hsr_tf.solvers.solver import Cube

FLOATS_AT_ONCE = 2**23


@dataclass(frozen=True, eq=False)
class RandomFeatures(ABC):
    """One draw of random features.

    Attributes:
        frequencies: W, float32, the lengths divided out.
        phases: b, (M,) float32.
    """

    frequencies: NDArray[np.float32]
    phases: NDArray[np.float32]

    @property
    def num_features(self) -> int:
        """M."""
        return len(self.phases)

    def chunks(self, num_pixels: int) -> list[slice]:
        """Parts of the features whose images fit into memory together, of equal size but for the last."""
        size = int(np.clip(FLOATS_AT_ONCE // num_pixels, 8, 64))
        return [slice(k, min(k + size, self.num_features)) for k in range(0, self.num_features, size)]

    @abstractmethod
    def images(self, inputs: NDArray[np.float32], part: slice = slice(None)) -> NDArray[np.float32]:
        """phi of every pixel: (H, W, d) to (H, W, m), for the m features of a part of them."""


class Member(Protocol):
    """What features are drawn of, for the pixels (H, W, c + 2) that they are fitted to."""

    def draw(self, inputs: NDArray[np.float32], rng: np.random.Generator) -> RandomFeatures:
        """Its features."""


@dataclass(frozen=True)
class Kernel:
    """A Gaussian kernel.

    Attributes:
        colour: length over which it falls off, in standard deviations of Y.
        position: likewise, in coarse pixels.
        num_features: M.
    """

    colour: float
    position: float
    num_features: int

    def draw(self, inputs: NDArray[np.float32], rng: np.random.Generator) -> FourierFeatures:
        """Features whose mean product is the kernel."""
        lengths = np.array([self.colour] * (inputs.shape[-1] - 2) + [self.position] * 2)
        frequencies = rng.standard_normal((len(lengths), self.num_features)) / lengths[:, None]
        phases = rng.uniform(0, 2 * np.pi, self.num_features)
        return FourierFeatures(frequencies.astype(np.float32), phases.astype(np.float32))


@dataclass(frozen=True)
class WideNetwork:
    """The hidden layer of a network: as many units of each pair of lengths.

    Attributes:
        lengths: of colour, whose distance from the mean of the pixels counts as much as the bias, in standard
            deviations of Y; and of the wave in position, in coarse pixels.
        num_units: of each pair.
    """

    lengths: tuple[tuple[float, float], ...]
    num_units: int

    def draw(self, inputs: NDArray[np.float32], rng: np.random.Generator) -> GatedFeatures:
        """Units with random weights; |phi|^2 is 1 on the mean over draws and pixels."""
        colours = inputs[..., :-2]
        centre, variance = (found((0, 1), dtype=np.float64) for found in (colours.mean, colours.var))
        parts = []
        for colour, position in self.lengths:
            slopes = rng.standard_normal((len(centre), self.num_units)) / colour
            biases = rng.standard_normal(self.num_units) - centre @ slopes
            num_units = len(self.lengths) * self.num_units
            gain = 2.0 / np.sqrt(num_units * (1.0 + variance.sum() / colour**2))
            waves = rng.standard_normal((2, self.num_units)) / position
            parts.append((waves, rng.uniform(0, 2 * np.pi, self.num_units), gain * slopes, gain * biases))
        return GatedFeatures(
            *(np.concatenate(part, -1).astype(np.float32) for part in zip(*parts, strict=True))
        )


@dataclass(frozen=True, eq=False)
class FourierFeatures(RandomFeatures):
    """sqrt(2 / M) cos(u W + b); W is (c + 2, M)."""

    def images(self, inputs: NDArray[np.float32], part: slice = slice(None)) -> NDArray[np.float32]:
        """See `RandomFeatures.images`."""
        angles = inputs @ self.frequencies[:, part]
        angles += self.phases[part]
        np.cos(angles, out=angles)
        angles *= np.float32(np.sqrt(2.0 / self.num_features))
        return angles


@dataclass(frozen=True, eq=False)
class GatedFeatures(RandomFeatures):
    """max(0, q V + a) cos(p W + b), the gain within V and a; W is (2, M).

    Attributes:
        slopes: V, (c, M) float32.
        biases: a, (M,) float32.
    """

    slopes: NDArray[np.float32]
    biases: NDArray[np.float32]

    def images(self, inputs: NDArray[np.float32], part: slice = slice(None)) -> NDArray[np.float32]:
        """See `RandomFeatures.images`."""
        waves = inputs[..., -2:] @ self.frequencies[:, part]
        waves += self.phases[part]
        np.cos(waves, out=waves)
        units = inputs[..., :-2] @ self.slopes[:, part]
        units += self.biases[part]
        np.maximum(units, 0.0, out=units)
        units *= waves
        return units


def pixel_inputs(hr_msi: Cube, scale: int) -> NDArray[np.float32]:
    """u of every sharp pixel, (H, W, c + 2): colours in standard deviations, rows and columns in cells."""
    height, width, _ = hr_msi.shape
    deviation = float(hr_msi.std(axis=(0, 1)).mean()) or 1.0
    rows, columns = ((np.arange(n, dtype=np.float32) - (n - 1) / 2) / scale for n in (height, width))
    grid = np.broadcast_arrays(rows[:, None], columns[None])
    return np.concatenate([hr_msi / np.float32(deviation), np.stack(grid, -1)], -1).astype(np.float32)
