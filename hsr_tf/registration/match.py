"""Whether what two images have in common is more than chance: correlation, and what chance reaches.

The image is regressed on three principal components of the coarse cube. Both are band-pass filtered first,
which shortens their autocorrelation: any two smooth images correlate by chance. The multiple correlation R
(R^2 averaged over the channels) needs no response and no units. The cross-correlation theorem gives it for
every circular shift at once.

R^2 at the other shifts shows what chance reaches. With p components its mean over all shifts is p / (N - 1),
where N is the effective number of samples of Clifford, Richardson and Hemon, Biometrics 45(1), 1989
(doi:10.2307/2532039), and R^2 of unrelated images follows a beta distribution of p / 2 and (N - 1 - p) / 2
(Dutilleul, Biometrics 49(1), 1993, doi:10.2307/2532625, for p = 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, special

from hsr_tf.typing import Array, Mask

NUM_COMPONENTS = 3
PASS_BAND = (0.5, 2.0)
LOBE, FEWEST_PIXELS = 3, 30
UNLIKELY = -4.0


@dataclass(frozen=True)
class Match:
    """How well two images match at one transform.

    Attributes:
        correlation: R, 0 to 1.
        log10_chance: decimal logarithm of the probability that unrelated images reach it there.
        needed: the correlation that unrelated images reach in one case of ten thousand; 1 where any would.
        pixels: coarse pixels that both images cover.
    """

    correlation: float
    log10_chance: float
    needed: float
    pixels: int


NO_MATCH = Match(0.0, 0.0, 1.0, 0)


def match(components: Array, image: Array, inside: Mask) -> Match:
    """Compare an image on the coarse pixels with components of the coarse cube.

    Args:
        components: (h, w, p) as `filtered_components` gives them.
        image: (h, w, c), the sharp image as it is seen at the coarse pixels.
        inside: (h, w), the pixels that both images cover.
    """
    if inside.sum() < FEWEST_PIXELS or not components.shape[2]:
        return NO_MATCH
    cells = band_passed(image, inside)
    kept = _orthonormal(components * inside[..., None], inside)
    if not kept.shape[2]:
        return NO_MATCH
    explained = explained_by_shift(kept, cells)
    here = float(explained[0, 0])
    chance = ~around((explained.shape[0], explained.shape[1]), (0, 0), LOBE)
    mean = float(explained[chance].mean()) if chance.any() else 1.0
    # Shifts around leave the pixels that are not inside out of account: the mean is of so many pixels.
    number = int(inside.sum())
    log10, needed = likelihood(here, kept.shape[2], mean * inside.size / number, number)
    return Match(float(np.sqrt(here)), log10, needed, number)


def likelihood(
    explained: float, num_components: int, mean: float, number: float = np.inf
) -> tuple[float, float]:
    """(log10 of the probability of R^2 by chance, the R that one in ten thousand reaches).

    Args:
        explained: R^2.
        num_components: p.
        mean: R^2 of unrelated images on average.
        number: of pixels; the effective number of samples is no larger.
    """
    samples = max(min(num_components / max(mean, 1e-12) + 1, number), num_components + 1.5)
    # R^2 follows a beta distribution. `scipy.stats` would take a second to import for it.
    law = num_components / 2, (samples - 1 - num_components) / 2
    with np.errstate(divide="ignore"):
        log10 = float(np.log10(special.betaincc(*law, min(explained, 1 - 1e-9))))
    return log10, float(np.sqrt(special.betainccinv(*law, 10**UNLIKELY)))


def filtered_components(cube: Array, inside: Mask) -> Array:
    """(h, w, p) orthonormal principal components of a band-pass filtered cube; p is 0 for a flat one."""
    return _orthonormal(band_passed(cube, inside), inside)


def _orthonormal(image: Array, inside: Mask) -> Array:
    found, energy = principal((image * inside[..., None]).reshape(-1, image.shape[2]), NUM_COMPONENTS)
    return np.asarray((found / np.sqrt(energy)).reshape(*image.shape[:2], len(energy)))


def band_passed(cube: Array, inside: Mask | None = None) -> Array:
    """(h, w, c) band-pass filtered channels of zero mean, zero outside; from pixels inside only."""
    if inside is None or inside.all():
        low, high = (ndimage.gaussian_filter(cube, (sigma, sigma, 0)) for sigma in PASS_BAND)
        passed = low - high
        return np.asarray(passed - passed.mean((0, 1)))
    weight = inside.astype(float)
    parts = []
    for sigma in PASS_BAND:
        total = ndimage.gaussian_filter(cube * weight[..., None], (sigma, sigma, 0))
        parts.append(total / np.maximum(ndimage.gaussian_filter(weight, sigma), 1e-3)[..., None])
    passed = parts[0] - parts[1]
    return np.asarray((passed - passed[inside].mean(0)) * weight[..., None])


def standardised(pixels: Array) -> Array:
    """The columns that vary, with mean 0 and deviation 1."""
    spread = pixels.std(0)
    varied = spread > 1e-6 * np.abs(pixels).max(initial=0)
    return np.asarray((pixels[:, varied] - pixels[:, varied].mean(0)) / spread[varied])


def principal(pixels: Array, most: int) -> tuple[Array, Array]:
    """Scores (n, p) of the leading components and their energies (p,)."""
    if not pixels.shape[1]:
        return np.zeros((len(pixels), 0)), np.zeros(0)
    energy, vectors = np.linalg.eigh(pixels.T @ pixels)
    kept = np.arange(len(energy)) >= len(energy) - most
    kept &= energy > max(1e-9 * energy.max(), 1e-12 * len(pixels))
    return pixels @ vectors[:, kept], energy[kept]


def explained_by_shift(components: Array, cells: Array) -> Array:
    """(h, w) R^2, mean over the channels, of the cells shifted circularly against the components."""
    energy = np.square(cells).sum((0, 1))
    varied = energy > 1e-12 * max(float(energy.max(initial=0)), 1e-20)
    if not components.shape[2] or not varied.any():
        return np.zeros(components.shape[:2])
    first = np.fft.rfft2(components, axes=(0, 1)).conj()
    second = np.fft.rfft2(cells[..., varied] / np.sqrt(energy[varied]), axes=(0, 1))
    total = np.zeros(components.shape[:2])
    for channel in range(second.shape[2]):
        products = first * second[..., channel, None]
        total += np.square(np.fft.irfft2(products, components.shape[:2], axes=(0, 1))).sum(2)
    return total / second.shape[2]


def around(size: tuple[int, int], center: tuple[int, int], radius: int) -> Mask:
    """The circular shifts within `radius` of one of them."""
    away = [
        np.abs((np.arange(length) - place + length // 2) % length - length // 2)
        for length, place in zip(size, center, strict=True)
    ]
    return np.asarray(np.maximum(away[0][:, None], away[1]) <= radius)
