"""Pairs by SciPy whose coarse image lies anywhere on the sharp one: the transform is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hsr_tf.scene import Scene
from tests.pairs_for_tests import noisy
from tests.solvers.scenes import mixture

Array = np.ndarray
FINE = 4


@dataclass(frozen=True, eq=False)
class PlacedPair:
    """X, Y, and the matrix from coarse to sharp pixels, counted from the outer corner of the first one."""

    lr_hsi: Scene
    hr_msi: Scene
    matrix: Array
    truth: Array

    def error(self, matrix: Array) -> float:
        """By how many sharp pixels another matrix is wrong at most."""
        rows, cols = self.lr_hsi.shape[:2]
        corners = np.array([(r, c, 1) for r in (0, rows) for c in (0, cols)], float)
        ends = [corners @ m.T for m in (matrix, self.matrix)]
        return float(
            np.linalg.norm(ends[0][:, :2] / ends[0][:, 2:] - ends[1][:, :2] / ends[1][:, 2:], axis=1).max()
        )


def similarity(
    degrees: float,
    ratio: float,
    shift: tuple[float, float],
    *,
    mirrored: bool = False,
    sizes: tuple[int, int],
) -> Array:
    """A matrix that turns and shifts about the middles of square images of these sides."""
    angle = np.deg2rad(degrees)
    slope = ratio * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    slope = slope @ np.diag([1.0, -1.0 if mirrored else 1.0])
    matrix = np.eye(3)
    matrix[:2, :2] = slope
    matrix[:2, 2] = sizes[1] / 2 + np.array(shift) - slope @ np.full(2, sizes[0] / 2)
    return matrix


def placed_pair(
    matrix: Array, *, side: int, sharp_side: int = 128, snr_db: float | None = None
) -> PlacedPair:
    """A pair of a scene of materials in random maps; the PSF is a Gaussian of one coarse pixel."""
    cube = mixture(sharp_side, sharp_side, 12, num_spectra=8, edge=0.6).astype(np.float64)
    margin = 2
    steps = (np.arange(-margin * FINE, (side + margin) * FINE) + 0.5) / FINE
    mesh = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    ends = np.column_stack([mesh, np.ones(len(mesh))]) @ matrix.T
    places = (ends[:, :2] / ends[:, 2:] - 0.5).T
    coarse = np.empty((side, side, cube.shape[2]))
    for band in range(cube.shape[2]):
        # Finer pixels than the sharp ones would be needed for ratios over FINE: the scene is blurred first.
        plane = ndimage.gaussian_filter(cube[..., band], 0.5)
        fine = ndimage.map_coordinates(plane, places, order=3, mode="reflect").reshape(len(steps), -1)
        seen = ndimage.gaussian_filter(fine, FINE / 2.3548)[
            margin * FINE : -margin * FINE, margin * FINE : -margin * FINE
        ]
        coarse[..., band] = seen.reshape(side, FINE, side, FINE)[:, 1:3, :, 1:3].mean((1, 3))
    bands, centres = np.arange(12)[:, None], np.array([0.7, 0.45, 0.2]) * 11
    response = np.exp(-0.5 * ((bands - centres) / 1.2) ** 2)
    sharp = cube @ (response / response.sum(0))
    if snr_db is not None:
        coarse, sharp = noisy(coarse, snr_db, 1), noisy(sharp, snr_db + 5, 2)
    wavelengths = np.linspace(450, 680, 12)
    return PlacedPair(Scene(coarse, wavelengths), Scene(sharp), matrix, cube)
