"""Noise of an image, estimated from the image alone, and what becomes of it in products of channels.

Bands of a cube: a linear regression of one band on the others leaves mostly noise, as bands of real materials
go together (Roger and Arnold, Int. J. Remote Sensing 17, 1996; used by HySime, Bioucas-Dias and Nascimento,
IEEE TGRS 46, 2008, section II, for all other bands at once). It is an upper bound where materials mix other
than linearly, and too low where neighbouring bands share their noise. With few pixels only the nearest bands
are used.

Channels of a sharp image: the difference of two Laplacians removes smooth shading (Immerkaer, Computer Vision
and Image Understanding 64(2), 1996), the regression on the other channels so filtered removes texture that
all channels share, and the median absolute value in place of the mean makes edges count less. Fine texture of
one channel alone is still taken for noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsr_tf.imports import deferred
from hsr_tf.tiling.region import Region, regions
from hsr_tf.typing import Array, Cube

ndimage = deferred("scipy.ndimage")

PIXELS_PER_BAND = 4
RIDGE, TINY = 1e-10, 1e-30
FEWEST_BANDS_TO_REGRESS = 4
LAPLACIAN_GAIN = 6.0
NORMAL_MEDIAN, PLACES = 0.6745, 4
LEVEL_PIXELS, FEWEST_LEVELS, PIXELS_PER_LEVEL, UNEVEN = 2**16, 16, 4, 0.3


def band_noise(cube: Cube) -> Array:
    """Standard deviation of the noise of each band.

    Args:
        cube: (h, w, C), any units.

    Returns:
        (C,) in the units of the cube; of a single band, or fewer than eight pixels, their own deviation.
    """
    pixels = cube.reshape(-1, cube.shape[-1]).astype(np.float64)
    pixels -= pixels.mean(0)
    return band_noise_of(pixels.T @ pixels, len(pixels))


def band_noise_of(scatter: Array, num_pixels: float) -> Array:
    """The same from the scatter matrix of the bands, for scenes that are gathered part by part.

    Args:
        scatter: (C, C), sum over the pixels of the products of centred bands.
        num_pixels: number of pixels, or the sum of their weights.
    """
    num_bands = len(scatter)
    num_used = min(num_bands - 1, int(num_pixels // PIXELS_PER_BAND) - 1)
    if num_used < 1:
        return np.sqrt(np.maximum(np.diag(scatter), 0.0) / max(num_pixels, 1))
    gram = scatter + (RIDGE * np.trace(scatter) / num_bands + TINY) * np.eye(num_bands)
    if num_used == num_bands - 1:
        residual = 1.0 / np.diag(np.linalg.inv(gram))
    else:
        residual = np.array([_band_residual(gram, band, num_used) for band in range(num_bands)])
    return np.sqrt(np.maximum(residual, 0.0) / max(1.0, num_pixels - 1 - num_used))


def channel_noise(windows: list[Cube], counted: list[NDArray[np.bool_]] | None = None) -> Array:
    """Standard deviation of the noise of each channel of a sharp image.

    Args:
        windows: parts (n, m, c) of the image, at least 3 x 3 pixels each; smaller ones are ignored.
        counted: (n, m) of each part, False for pixels without data; None for none.

    Returns:
        (c,) in the units of the image; zero where no window is large enough.
    """
    masks = counted or [np.ones(window.shape[:2], bool) for window in windows]
    filtered = [
        _high_pass(window)[~_near_holes(~mask)]
        for window, mask in zip(windows, masks, strict=True)
        if min(window.shape[:2]) >= 3
    ]
    pixels = np.concatenate([np.zeros((0, windows[0].shape[-1])), *filtered])
    return _filtered_noise(pixels) if len(pixels) else np.zeros(pixels.shape[1])


def image_noise(cube: Cube, nodata_mask: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Standard deviation of the noise of each band: `band_noise`, of up to three bands `channel_noise`.

    Args:
        cube: (h, w, C), any units.
        nodata_mask: (h, w), True where there is no data.
    """
    if cube.shape[-1] >= FEWEST_BANDS_TO_REGRESS:
        return band_noise(cube if nodata_mask is None else cube[~nodata_mask][None])
    if min(cube.shape[:2]) < 3:
        return np.zeros(cube.shape[-1])
    filtered = _high_pass(cube)
    if nodata_mask is not None:
        with_data = ~_near_holes(nodata_mask)
        filtered = filtered[with_data] if with_data.any() else filtered
    return _filtered_noise(filtered)


def rounding_noise(cube: Cube, nodata_mask: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Standard deviation of what was lost when each band was rounded to the levels of a file.

    Of levels d apart it is d / sqrt(12) (Bennett, Bell System Technical Journal 27, 1948). They are seen in
    the values, also after a tone curve or gains were undone: 16 or more of them, each about as far from the
    next as its neighbour is, taken by four pixels each and more on the mean. The rounding of finer values, of
    12 bits and more in most images, is not found; it is negligible.

    Args:
        cube: (h, w, C), any units.
        nodata_mask: (h, w), True where there is no data.

    Returns:
        (C,) in the units of the cube, zero for bands without such levels.
    """
    pixels = cube.reshape(-1, cube.shape[-1]) if nodata_mask is None else cube[~nodata_mask]
    pixels = pixels[:: max(1, len(pixels) // LEVEL_PIXELS)]
    found = np.zeros(cube.shape[-1])
    for band, values in enumerate(pixels.T):
        levels, counts = np.unique(values, return_counts=True)
        if len(levels) < FEWEST_LEVELS or len(values) < PIXELS_PER_LEVEL * len(levels):
            continue
        apart = np.diff(levels.astype(np.float64), prepend=-np.inf, append=np.inf)
        nearest = np.minimum(apart[:-1], apart[1:])
        if np.median(np.abs(np.diff(np.log(nearest)))) > UNEVEN:  # values of a scene, not of a file
            continue
        found[band] = np.sqrt(counts @ np.square(nearest) / counts.sum() / 12)
    return found


def relative_noise(cube: Cube, nodata_mask: NDArray[np.bool_] | None = None) -> float:
    """Norm of the noise over the norm of the image, both over all bands; see `image_noise`."""
    pixels = cube.reshape(-1, cube.shape[-1]) if nodata_mask is None else cube[~nodata_mask]
    energy = float(np.square(pixels.astype(np.float64)).mean(0).sum())
    return float(np.sqrt(np.square(image_noise(cube, nodata_mask)).sum() / max(energy, 1e-30)))


def colour_noise(cube: Cube, response: Array, nodata_mask: NDArray[np.bool_] | None = None) -> float:
    """Mean square of the noise of X R over that of X R, by `band_noise` of the pixels with data.

    Args:
        cube: X, (h, w, C).
        response: R, (C, c).
        nodata_mask: (h, w), True where there is no data.
    """
    pixels = cube.reshape(-1, cube.shape[-1]) if nodata_mask is None else cube[~nodata_mask]
    if not len(pixels):
        return float("inf")
    noise = np.square(band_noise(pixels[None])) @ np.square(response)
    return float(noise.sum() / max(np.square(pixels @ response).mean(0).sum(), TINY))


def noise_regions(
    size: tuple[int, int], scale: int, counted: NDArray[np.bool_] | None = None
) -> list[Region]:
    """Up to 16 regions of the coarse grid, of 64 sharp pixels a side, on which noise of Y is estimated.

    Args:
        size: (h, w).
        scale: s.
        counted: (h, w), False for coarse pixels that take no part; the regions with most of the others are
            taken then. None for none.
    """
    side, per_axis = -(-64 // scale), PLACES if counted is None else 2 * PLACES
    spans = []
    for length in size:
        number = min(per_axis, -(-length // side))
        starts = np.unique(np.linspace(0, max(0, length - side), number).astype(int))
        spans.append([slice(int(a), int(min(length, a + side))) for a in starts])
    found = regions(*spans)
    if counted is not None:
        found = sorted(found, key=lambda region: -float(counted[region.slices].mean()))[: PLACES**2]
    return found


def feature_noise(moments: Array, variance: Array) -> Array:
    """Covariance of the noise in the quadratic features of an image whose channels have independent noise.

    For y = clean + n, the features 1, y_i and y_i y_j deviate from their means given the clean image by
    n_i and y_i n_j + y_j n_i + n_i n_j; the expectation over the pixels follows from the second moments.

    Args:
        moments: (K, K), mean products of the observed features over the sharp pixels, in the order of
            `quadratic_features`.
        variance: (c,), noise of each channel.

    Returns:
        (K, K).
    """
    num_channels = len(variance)
    linear, noise = slice(1, 1 + num_channels), np.diag(variance)
    mean, second = moments[0, linear], moments[linear, linear]
    first, other = np.triu_indices(num_channels)
    covariance = np.zeros_like(moments)
    covariance[linear, linear] = noise
    mixed = noise[:, first] * mean[other] + noise[:, other] * mean[first]
    covariance[linear, 1 + num_channels :] = mixed
    covariance[1 + num_channels :, linear] = mixed.T
    products = -noise[np.ix_(first, first)] * noise[np.ix_(other, other)]
    products -= noise[np.ix_(first, other)] * noise[np.ix_(other, first)]
    for a, b in ((first, other), (other, first)):
        products += second[np.ix_(a, a)] * noise[np.ix_(b, b)] + second[np.ix_(a, b)] * noise[np.ix_(b, a)]
    covariance[1 + num_channels :, 1 + num_channels :] = products
    return covariance


def _high_pass(window: Cube) -> Array:
    """(pixels, c): the difference of two Laplacians, of unit gain for white noise, away from the border.

    It is the outer product of two second differences.
    """
    values = np.moveaxis(window.astype(np.float64), -1, 0)
    for axis in (1, 2):
        values = np.diff(values, 2, axis)
    return values.reshape(len(values), -1).T / LAPLACIAN_GAIN


def _near_holes(nodata_mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(pixels,), True for those of `_high_pass` into which pixels without data are mixed."""
    mixed = ndimage.binary_dilation(nodata_mask, np.ones((3, 3))) if nodata_mask.any() else nodata_mask
    return np.asarray(mixed[1:-1, 1:-1]).ravel()


def _band_residual(gram: Array, band: int, num_used: int) -> float:
    """What the regression of a band on its `num_used` nearest neighbours leaves, summed over the pixels."""
    first = int(np.clip(band - num_used // 2, 0, len(gram) - 1 - num_used))
    near = slice(first, first + num_used + 1)
    return float(1.0 / np.linalg.inv(gram[near, near])[band - first, band - first])


def _filtered_noise(pixels: Array) -> Array:
    """(c,), noise of the channels of filtered pixels (n, c), without the texture that all channels share."""
    noise = _median_size(pixels)
    if pixels.shape[1] > 1:
        gram = pixels.T @ pixels
        inverse = np.linalg.inv(gram + (RIDGE * np.trace(gram) + TINY) * np.eye(len(gram)))
        noise = np.minimum(noise, _median_size(pixels @ (inverse / np.diag(inverse))))
    return noise / NORMAL_MEDIAN


def _median_size(pixels: Array) -> Array:
    """(c,), the medians of |x| over the pixels (n, c)."""
    return np.asarray(np.median(np.ascontiguousarray(np.abs(pixels).T), 1))
