"""A pair of images by SciPy whose truth is known: shaded mixtures, a Gaussian PSF, three channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.scene import Observation, Scene
from tests.solvers.scenes import mixture

Array = np.ndarray
GAIN, OFFSET = 0.55, 0.08


@dataclass(frozen=True, eq=False)
class KnownPair:
    """X, Y and the truth, without noise, and the two cameras."""

    lr_hsi: Array
    hr_msi: Array
    truth: Array
    scale: int
    psf: Psf
    srf: SpectralResponse

    def observation(self, hr_msi: Array) -> Observation:
        """The pair with another sharp image; no file says anything about the cameras."""
        return Observation(Scene(self.lr_hsi), Scene(hr_msi), self.scale)


def known_pair(
    size: tuple[int, int] = (20, 24), *, num_bands: int = 12, scale: int = 4, num_spectra: int = 8
) -> KnownPair:
    """The pair of an even scale s: Gaussian of FWHM s over 2 s taps, mirrored."""
    height, width = (scale * n for n in size)
    cube = mixture(height, width, num_bands, num_spectra=num_spectra, edge=0.6).astype(np.float64)
    taps = np.exp(-0.5 * ((np.arange(2 * scale) - scale + 0.5) / (scale / 2.35482)) ** 2)
    coarse = cube
    for axis in (0, 1):
        blurred = ndimage.correlate1d(coarse, taps / taps.sum(), axis=axis, mode="reflect")
        coarse = np.take(blurred, np.arange(scale // 2, blurred.shape[axis], scale), axis=axis)
    bands, centres = np.arange(num_bands)[:, None], np.array([0.7, 0.45, 0.2]) * (num_bands - 1)
    matrix = np.exp(-0.5 * ((bands - centres) / (num_bands / 10)) ** 2)
    sharp = cube @ (matrix / matrix.sum(0))
    cubes = (one.astype(np.float32) for one in (coarse, sharp, cube))
    return KnownPair(*cubes, scale, Psf(np.outer(taps, taps)), SpectralResponse(matrix / matrix.sum(0)))


def srgb(light: Array, levels: int | None = None) -> Array:
    """IEC 61966-2-1 of light from 0 to 1, rounded to integers below `levels`, from 0 to 1 again."""
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)
    return (coded if levels is None else np.round(coded * (levels - 1)) / (levels - 1)).astype(np.float32)


def noisy(image: Array, snr_db: float, seed: int) -> Array:
    """With Gaussian noise."""
    sigma = np.sqrt(np.mean(np.square(image))) * 10 ** (-snr_db / 20)
    return (image + sigma * np.random.default_rng(seed).standard_normal(image.shape)).astype(np.float32)
