"""What a registration looks at: principal components of the coarse cube, and the sharp image on fewer pixels.

The coarse cube is averaged to at most 128 pixels a side. The sharp image is averaged to 4 to 8 pixels per
coarse pixel: nothing finer passes the coarse camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hsr_tf.physics.nodata import filled
from hsr_tf.scene import Scene
from hsr_tf.typing import Array, Mask

LARGEST_COARSE, MOST_COMPONENTS, MOST_CHANNELS, PIXELS_PER_COMPONENT = 128, 12, 6, 24
FINEST = 4
ENERGY = 1e-7


@dataclass(frozen=True, eq=False)
class Evidence:
    """Two images, reduced for registration.

    Attributes:
        components: (h, w, p) principal components of the coarse cube.
        valid: (h, w), where the coarse cube holds data.
        channels: (H, W, c) standardised channels of the sharp image, or means of groups of them.
        sharp_valid: (H, W), where it holds data.
        lr_step, hr_step: pixels of the files along one side of a pixel here.
        lr_size, hr_size: (rows, columns) of the files.
    """

    components: Array
    valid: Mask
    channels: Array
    sharp_valid: Mask
    lr_step: int
    hr_step: int
    lr_size: tuple[int, int]
    hr_size: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.valid.shape[0], self.valid.shape[1]

    def to_files(self, matrix: Array) -> Array:
        """A matrix between these pixels as one between those of the files."""
        finer, coarser = (
            np.diag([self.hr_step, self.hr_step, 1.0]),
            np.diag([self.lr_step, self.lr_step, 1.0]),
        )
        return np.asarray(finer @ matrix @ np.linalg.inv(coarser))

    def from_files(self, matrix: Array) -> Array:
        """The inverse of `to_files`."""
        finer, coarser = (
            np.diag([self.hr_step, self.hr_step, 1.0]),
            np.diag([self.lr_step, self.lr_step, 1.0]),
        )
        return np.asarray(np.linalg.inv(finer) @ matrix @ coarser)


def evidence(lr_hsi: Scene, hr_msi: Scene, ratio: float) -> Evidence:
    """Reduce two images.

    Args:
        lr_hsi: the coarse cube.
        hr_msi: the sharp image.
        ratio: about how many sharp pixels there are per coarse pixel along one side.
    """
    lr_step = max(1, -(-max(lr_hsi.shape[:2]) // LARGEST_COARSE))
    cube, valid = reduced(lr_hsi, lr_step)
    hr_step = sharp_step(ratio, lr_step)
    channels, sharp_valid = reduced(hr_msi, hr_step)
    most = max(2, min(MOST_COMPONENTS, int(valid.sum()) // PIXELS_PER_COMPONENT))
    components = _components(cube, valid, most)
    return Evidence(
        components,
        valid,
        _grouped(_standardised(channels, sharp_valid), sharp_valid),
        sharp_valid,
        lr_step,
        hr_step,
        lr_hsi.shape[:2],
        hr_msi.shape[:2],
    )


def sharp_step(ratio: float, lr_step: int) -> int:
    """Over how many pixels along one side the sharp image is averaged, see `evidence`."""
    return max(1, int(ratio * lr_step / FINEST))


def reduced(scene: Scene, step: int) -> tuple[Array, Mask]:
    """Means over step x step pixels, without what fills no cell, and which of them hold data."""
    hole = scene.nodata_mask
    cube = scene.cube if scene.good_bands is None else scene.cube[..., scene.good_bands]
    cube = filled(cube, hole) if hole is not None and not hole.all() else cube
    valid = np.ones(scene.shape[:2], bool) if hole is None else ~hole
    if step == 1:
        return np.asarray(cube, np.float64), valid
    rows, cols = (n // step for n in scene.shape[:2])
    whole = cube[: rows * step, : cols * step]
    means = whole.reshape(rows, step, cols, step, -1).mean((1, 3), dtype=np.float64)
    cells = valid[: rows * step, : cols * step].reshape(rows, step, cols, step)
    return means, np.asarray(cells.all((1, 3)))


def _standardised(cube: Array, valid: Mask) -> Array:
    """The channels that vary, with mean 0 and deviation 1 where there is data."""
    pixels = cube[valid] if valid.any() else cube.reshape(-1, cube.shape[2])
    mean, spread = pixels.mean(0), pixels.std(0)
    varied = spread > 1e-6 * max(float(np.abs(pixels).max(initial=0)), 1e-30)
    return np.asarray((cube[..., varied] - mean[varied]) / spread[varied])


def _grouped(channels: Array, valid: Mask) -> Array:
    """Means of neighbouring channels where there are more than enough."""
    if channels.shape[2] <= MOST_CHANNELS:
        return channels
    groups = np.array_split(np.arange(channels.shape[2]), MOST_CHANNELS)
    return _standardised(np.stack([channels[..., group].mean(-1) for group in groups], -1), valid)


def _components(cube: Array, valid: Mask, most: int) -> Array:
    """The leading principal components of the standardised channels, the first with deviation 1."""
    scaled = _standardised(cube, valid)
    pixels = scaled[valid] if valid.any() else scaled.reshape(-1, scaled.shape[2])
    energy, vectors = np.linalg.eigh(pixels.T @ pixels)
    largest = max(float(energy.max(initial=0)), 1e-30)
    kept = np.flatnonzero(energy > ENERGY**2 * largest)[::-1][:most]
    return np.asarray(scaled @ vectors[:, kept] / np.sqrt(largest / len(pixels)))


def blurred(channels: Array, sigma: float) -> Array:
    """(H, W, c) blurred by a Gaussian of this deviation, mirrored at the border."""
    return np.asarray(ndimage.gaussian_filter(channels, (sigma, sigma, 0), mode="reflect", truncate=4))
