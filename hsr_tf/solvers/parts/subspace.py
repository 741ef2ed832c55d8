"""The spectral subspace of a scene: a few directions that hold nearly all of what varies in a coarse cube.

Bands of a cube go together, so that work done on r singular directions costs the same for 31 bands and for
200. Directions come from a singular value decomposition of the pixels x bands matrix, without subtracting a
mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsr_tf.solvers.solver import Cube


@dataclass(frozen=True, eq=False)
class SpectralSubspace:
    """An orthonormal set of spectra.

    Attributes:
        vectors: V, (r, C) float32, rows orthonormal, the strongest first.
        strengths: (r,) root mean square of the cube along each.
    """

    vectors: NDArray[np.float32]
    strengths: NDArray[np.float32]

    @classmethod
    def of(cls, cube: Cube, *, energy: float = 0.9999, most: int = 16) -> SpectralSubspace:
        """The leading directions of a cube (h, w, C) that hold the share `energy` of it, at most `most`."""
        pixels = cube.reshape(-1, cube.shape[-1]).astype(np.float64)
        values, vectors = np.linalg.eigh(pixels.T @ pixels)
        values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1].T
        missing = np.cumsum(values) < (1 - 1e-12) * energy * values.sum()
        rank = min(most, int(missing.sum()) + 1, len(values))
        signs = np.where(vectors.sum(1) < 0, -1.0, 1.0)[:, None]
        strengths = np.sqrt(values[:rank] / len(pixels)) + 1e-12
        return cls((signs * vectors)[:rank].astype(np.float32), strengths.astype(np.float32))

    @classmethod
    def whole(cls, num_bands: int) -> SpectralSubspace:
        """Every band by itself."""
        return cls(np.eye(num_bands, dtype=np.float32), np.ones(num_bands, np.float32))

    @property
    def rank(self) -> int:
        """r."""
        return len(self.vectors)

    def codes(self, cube: Cube) -> NDArray[np.float32]:
        """A = Z V^T, (..., C) to (..., r)."""
        return (cube @ self.vectors.T).astype(np.float32)

    def expand(self, codes: NDArray[np.float32]) -> Cube:
        """A V, (..., r) to (..., C)."""
        return (codes @ self.vectors).astype(np.float32)
