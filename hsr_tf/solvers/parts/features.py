"""Random Fourier features of colour and position: what a shift-invariant kernel sees of a sharp pixel.

    phi(u) = sqrt(2 / M) cos(u W + b),   E phi(u) . phi(v) = exp(-|u - v|^2 / 2)

with W standard normal and b uniform (Rahimi and Recht, NIPS 2007, section 3; Gaussian kernel). Here u holds
the channels of Y in units of their common standard deviation and the position in coarse pixels, each over
its own length, so that pixels of like colour that lie near each other share a spectrum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsr_tf.solvers.solver import Cube

FLOATS_AT_ONCE = 2**23


@dataclass(frozen=True)
class Kernel:
    """The lengths over which a Gaussian kernel falls off.

    Attributes:
        colour: in standard deviations of Y.
        position: in coarse pixels.
    """

    colour: float
    position: float


@dataclass(frozen=True, eq=False)
class FourierFeatures:
    """One draw of random features.

    Attributes:
        frequencies: W, (c + 2, M) float32, the lengths divided out.
        phases: b, (M,) float32.
    """

    frequencies: NDArray[np.float32]
    phases: NDArray[np.float32]

    @classmethod
    def draw(
        cls, kernel: Kernel, *, num_channels: int, num_features: int, rng: np.random.Generator
    ) -> FourierFeatures:
        """Features whose mean product is the kernel."""
        lengths = np.array([kernel.colour] * num_channels + [kernel.position] * 2)
        normal = rng.standard_normal((len(lengths), num_features)) / lengths[:, None]
        phases = rng.uniform(0, 2 * np.pi, num_features)
        return cls(normal.astype(np.float32), phases.astype(np.float32))

    @property
    def num_features(self) -> int:
        """M."""
        return len(self.phases)

    def chunks(self, num_pixels: int) -> list[slice]:
        """Parts of the features whose images fit into memory together, of equal size but for the last."""
        size = int(np.clip(FLOATS_AT_ONCE // num_pixels, 8, 64))
        return [slice(k, min(k + size, self.num_features)) for k in range(0, self.num_features, size)]


def pixel_inputs(hr_msi: Cube, scale: int) -> NDArray[np.float32]:
    """u of every sharp pixel, (H, W, c + 2): colours in standard deviations, rows and columns in cells."""
    height, width, _ = hr_msi.shape
    deviation = float(hr_msi.std(axis=(0, 1)).mean()) or 1.0
    rows, columns = ((np.arange(n, dtype=np.float32) - (n - 1) / 2) / scale for n in (height, width))
    grid = np.broadcast_arrays(rows[:, None], columns[None])
    return np.concatenate([hr_msi / np.float32(deviation), np.stack(grid, -1)], -1).astype(np.float32)


def feature_images(
    inputs: NDArray[np.float32], features: FourierFeatures, part: slice = slice(None)
) -> NDArray[np.float32]:
    """phi of every pixel: (H, W, d) to (H, W, m), for the m features of a part of them."""
    angles = inputs @ features.frequencies[:, part]
    angles += features.phases[part]
    np.cos(angles, out=angles)
    angles *= np.float32(np.sqrt(2.0 / features.num_features))
    return angles
