"""Sensor noise, seeded: Gaussian by signal-to-noise ratio, and photon (Poisson) noise.

The ratio is 10 log10(mean(x^2) / variance), taken over the pixels of each band (or channel) of each image, so
that every band gets the ratio that is asked for; `per_band=False` takes one mean over the whole cube.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.typing import Tensor

Seed = Any
PHOTON_TRIALS = float(2**24)


@dataclass(frozen=True)
class GaussianNoise:
    """Additive white Gaussian noise.

    Attributes:
        snr_db: signal-to-noise ratio in decibels.
        per_band: one variance a band (the default), or one for the whole image.
    """

    snr_db: float
    per_band: bool = True

    def __post_init__(self) -> None:
        checks.require(
            math.isfinite(self.snr_db),
            "snr_db",
            expected="a finite number of decibels",
            received=str(self.snr_db),
            remedy="leave the noise out for a perfect camera",
        )

    def __call__(self, x: Tensor, seed: Seed) -> Tensor:
        """Add noise to (B, H, W, C); `seed` is an integer or a keras.random.SeedGenerator."""
        from keras import random

        return x + self.deviation(x) * random.normal(ops.shape(x), dtype=ops.dtype_name(x), seed=seed)

    def deviation(self, x: Tensor) -> Tensor:
        """Standard deviation of the noise that belongs to (B, H, W, C): (B, 1, 1, C), or (B, 1, 1, 1)."""
        power = ops.mean(ops.square(x), axis=(1, 2) if self.per_band else (1, 2, 3), keepdims=True)
        return ops.sqrt(power) * 10.0 ** (-self.snr_db / 20.0)


@dataclass(frozen=True)
class PoissonNoise:
    """Photon noise: a value v becomes n / photons with n Poisson distributed about v * photons.

    Drawn as a binomial number of 2^24 trials, whose variance is short of Poisson's by the factor
    1 - v * photons / 2^24: less than 0.1 % up to 16,000 photons. Negative values count as zero.

    Attributes:
        photons: mean number of photons at value 1, at most 2^20.
    """

    photons: float

    def __post_init__(self) -> None:
        checks.require(
            0 < self.photons <= 2**20,
            "photons",
            expected="a number in (0, 2^20]",
            received=str(self.photons),
            remedy="use Gaussian noise for more",
        )

    def __call__(self, x: Tensor, seed: Seed) -> Tensor:
        """Draw counts for (B, H, W, C); `seed` is an integer or a keras.random.SeedGenerator."""
        from keras import random

        rate = ops.clip(x * (self.photons / PHOTON_TRIALS), 0.0, 1.0)
        trials = ops.full_like(rate, PHOTON_TRIALS)
        return ops.cast(random.binomial(ops.shape(x), trials, rate, seed=seed), x.dtype) / self.photons
