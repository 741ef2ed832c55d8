"""What `prior` is given: the images, and descriptions of scene, bands and cameras that any pair has.

All are plain functions of arrays or tensors, so that training describes whole scenes once, beside the step,
and a network describes the images that it is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsr_tf.arrays import ops
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.typing import Tensor

BAND_HARMONICS = 6
BAND_FEATURES, PAIR_FEATURES = 2 * BAND_HARMONICS + 7, 6
SMALLEST_RMS, SHORTEST_NM = 1e-6, 400.0


@dataclass(frozen=True, eq=False)
class PriorImages:
    """What the network looks at.

    Attributes:
        start: Z, (B, s h, s w, C).
        hr_msi: Y, (B, s h, s w, c).
        lr_hsi: X, (B, h, w, C).
        residual: E, (B, h, w, C).
    """

    start: Tensor
    hr_msi: Tensor
    lr_hsi: Tensor
    residual: Tensor


@dataclass(frozen=True, eq=False)
class PriorScene:
    """What the network knows of the whole scene and its cameras.

    Attributes:
        statistics: (B, C, 3) of `scene_statistics`.
        bands: (B or 1, C, BAND_FEATURES - 3) of `describe_bands`.
        lift: R^+, (B or 1, c, C).
        pair: (B or 1, PAIR_FEATURES) of `describe_pair`.
    """

    statistics: Tensor
    bands: Tensor
    lift: Tensor
    pair: Tensor


def scene_statistics(lr_hsi: Tensor, residual: Tensor) -> Tensor:
    """Of each band of a scene: RMS of X, RMS of E, and how rough E is, (B, C, 3).

    Roughness is the mean square of the difference from the mean of the four neighbours over that of E: 1.25
    for white noise, less for what is smooth.
    """
    rms = [ops.sqrt(ops.mean(ops.square(x), axis=(1, 2))) + SMALLEST_RMS for x in (lr_hsi, residual)]
    inner = residual[:, 1:-1, 1:-1]
    around = residual[:, :-2, 1:-1] + residual[:, 2:, 1:-1] + residual[:, 1:-1, :-2] + residual[:, 1:-1, 2:]
    rough = ops.mean(ops.square(inner - 0.25 * around), axis=(1, 2)) / ops.square(rms[1])
    return ops.stack([*rms, rough], axis=-1)


def describe_bands(wavelengths_nm: Sequence[float], response: NDArray[np.floating]) -> NDArray[np.float32]:
    """Of each band, (C, BAND_FEATURES - 3): place in the cube's range, wavelength, and how it is seen.

    Args:
        wavelengths_nm: (C,) centres.
        response: R, (C, c).
    """
    centres = np.asarray(wavelengths_nm, np.float64)
    place = (centres - centres.min()) / max(float(np.ptp(centres)), 1.0)
    waves = np.pi * place[:, None] * np.arange(1, BAND_HARMONICS + 1)
    octaves = np.log2(centres / SHORTEST_NM)
    seen = np.clip((response * np.linalg.pinv(response).T).sum(1), 0.0, 1.0)
    weight = response.sum(1) * len(response) / max(float(response.sum()), SMALLEST_RMS)
    columns = [np.cos(waves), np.sin(waves), octaves[:, None], np.sqrt(seen)[:, None], seen[:, None]]
    return np.concatenate([*columns, np.tanh(weight / 2)[:, None]], 1).astype(np.float32)


def describe_pair(
    scale: int, psf_cells: Sequence[float], num_channels: int, trust: float = 1.0
) -> NDArray[np.float32]:
    """Of the pair, (PAIR_FEATURES,): scale, deviations of the PSF, number of channels, agreement.

    Args:
        scale: s.
        psf_cells: standard deviation of the PSF along rows and columns, in coarse pixels.
        num_channels: c.
        trust: how far the images are believed, 0 to 1.
    """
    tall, wide = (float(n) for n in psf_cells)
    numbers = (math.log2(scale) / 3 - 1, 1 / scale, 2 * tall - 1, 2 * wide - 1, math.log2(num_channels) / 2)
    return np.array([*numbers, trust], np.float32)


def psf_deviations(cameras: ObservationModel) -> tuple[float, float]:
    """Standard deviations of the PSF along rows and columns, in coarse pixels."""
    kernel = np.abs(cameras.spatial.psf.kernel)
    found = []
    for weights in (kernel.sum(1), kernel.sum(0)):
        places = np.arange(len(weights))
        mean = weights @ places / weights.sum()
        found.append(float(np.sqrt(weights @ np.square(places - mean) / weights.sum())) / cameras.scale)
    return found[0], found[1]
