"""How the two cameras see the scene: X = D Z + n, Y = Z R + n. The only degradation of the project.

Training, evaluation, solvers and the command line all simulate with this class, and the solvers' data terms
use the same two operators.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from hsr_tf import checks
from hsr_tf.physics.noise import GaussianNoise
from hsr_tf.physics.psf import gaussian_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.typing import Tensor

Noise = Callable[[Tensor, Any], Tensor]


@dataclass(frozen=True)
class ObservationModel:
    """The two cameras.

    Attributes:
        spatial: D, the hyperspectral camera's blur and sampling.
        spectral: R, the colour camera's response.
        hsi_noise: noise of the hyperspectral camera, or None.
        msi_noise: noise of the colour camera, or None.
    """

    spatial: SpatialDegradation
    spectral: SpectralResponse
    hsi_noise: Noise | None = None
    msi_noise: Noise | None = None

    @property
    def scale(self) -> int:
        """s, sharp pixels a coarse pixel along one side."""
        return self.spatial.scale

    def simulate(self, hr_hsi: Tensor, seed: Any = 0) -> tuple[Tensor, Tensor]:
        """Both observations of a sharp cube.

        Args:
            hr_hsi: (B, H, W, C) with H and W multiples of the scale.
            seed: an integer (the colour camera's noise takes the next one), or a keras.random.SeedGenerator,
                whose state moves on with every call, inside a compiled training step.

        Returns:
            lr_hsi (B, H/s, W/s, C) and hr_msi (B, H, W, c).

        Raises:
            ValueError: for sizes that do not divide or a number of bands that is not the response's.
        """
        lr_hsi, hr_msi = self.spatial.forward(hr_hsi), self.spectral.forward(hr_hsi)
        hsi_seed, msi_seed = (int(seed), int(seed) + 1) if isinstance(seed, Integral) else (seed, seed)
        if self.hsi_noise is not None:
            lr_hsi = self.hsi_noise(lr_hsi, hsi_seed)
        if self.msi_noise is not None:
            hr_msi = self.msi_noise(hr_msi, msi_seed)
        return lr_hsi, hr_msi


def standard_model(spectral: SpectralResponse, scale: int, *, noisy: bool = False) -> ObservationModel:
    """The standard protocol: Gaussian PSF of FWHM s over 2 s taps, mirrored border.

    Args:
        spectral: the colour camera's response.
        scale: s.
        noisy: Gaussian noise of 35 dB (hyperspectral) and 40 dB (colour) signal-to-noise ratio; else none.
    """
    checks.require_positive_integers(scale=scale, remedy="give sharp pixels per coarse pixel")
    spatial = SpatialDegradation(gaussian_psf(scale), scale)
    noise = (GaussianNoise(35.0), GaussianNoise(40.0)) if noisy else (None, None)
    return ObservationModel(spatial, spectral, *noise)
