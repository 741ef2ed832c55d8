"""Small scenes for the tests of solvers: smooth mixtures of a few spectra, asymmetric, seeded."""

from __future__ import annotations

import numpy as np
from keras import ops
from scipy.ndimage import gaussian_filter

from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf, gaussian_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.solvers.solver import Cube


def mixture(
    height: int, width: int, num_bands: int, *, num_spectra: int = 4, seed: int = 0, edge: float = 1.5
) -> Cube:
    """A cube (H, W, C) in [0, 1]: smooth spectra, abundances with soft edges that sum to one, and shading."""
    rng = np.random.default_rng(seed)
    spectra = gaussian_filter(rng.uniform(0, 1, (num_spectra, num_bands)), (0, max(1.0, num_bands / 10)))
    spectra = 0.1 + 0.8 * (spectra - spectra.min()) / np.ptp(spectra)
    fields = np.stack([gaussian_filter(rng.standard_normal((height, width)), 4 * edge) for _ in spectra], -1)
    sharpened = np.exp(fields / fields.std() * 4)
    abundances = sharpened / sharpened.sum(-1, keepdims=True)
    shading = 0.7 + 0.3 * gaussian_filter(rng.standard_normal((height, width)), 6) * 6
    return np.clip(abundances @ spectra * np.clip(shading, 0.3, 1)[..., None], 0, 1).astype(np.float32)


def response(num_bands: int, num_channels: int) -> SpectralResponse:
    """Bell curves of unit sum, one a channel."""
    bands = np.arange(num_bands)[:, None]
    centres = (np.arange(num_channels) + 0.5) * num_bands / num_channels
    matrix = np.exp(-0.5 * ((bands - centres) / (0.6 * num_bands / num_channels + 0.5)) ** 2)
    return SpectralResponse(matrix / matrix.sum(0))


def cameras(
    num_bands: int, num_channels: int = 3, *, scale: int = 4, psf: Psf | None = None
) -> ObservationModel:
    """Cameras without noise."""
    return ObservationModel(
        SpatialDegradation(psf or gaussian_psf(scale), scale), response(num_bands, num_channels)
    )


def pair(cube: Cube, model: ObservationModel, *, seed: int = 0) -> tuple[Cube, Cube]:
    """X and Y of a cube as arrays."""
    lr_hsi, hr_msi = model.simulate(ops.convert_to_tensor(cube[None]), seed)
    return np.asarray(lr_hsi)[0], np.asarray(hr_msi)[0]


def psnr(reference: Cube, estimate: Cube) -> float:
    """Mean over bands, peak 1."""
    return float(np.mean(-10 * np.log10(np.mean((reference - estimate) ** 2, axis=(0, 1)))))
