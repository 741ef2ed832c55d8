"""`fit_psf`: the blur of a pair whose response is known, simulated by SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from hsr_tf.solvers.cameras.psf_fit import fit_psf
from hsr_tf.typing import Array

SCALE = 4
RNG = np.random.default_rng(5)
CUBE = np.stack([ndimage.gaussian_filter(RNG.random((96, 80)), width) for width in (1.0, 2.0, 3.0)], -1) @ (
    RNG.random((3, 12))
)
RESPONSE = RNG.random((12, 4)) / 6


def coarse(cube: Array, sigma: float, mode: str = "nearest") -> Array:
    """A Gaussian blur, and the mean over cells of s x s pixels."""
    blurred = ndimage.gaussian_filter(cube, (sigma, sigma, 0), mode=mode)
    return blurred.reshape(96 // SCALE, SCALE, 80 // SCALE, SCALE, -1).mean((1, 3))


@pytest.mark.parametrize("sigma", [0.5, 1.5, 3.0])
def test_the_width_of_the_blur_is_found_under_noise_and_changed_ground(sigma: float) -> None:
    lr_hsi = coarse(CUBE, sigma)
    lr_hsi += 0.01 * CUBE.std() * np.random.default_rng(1).standard_normal(lr_hsi.shape)
    lr_hsi[5:8, 6:9] += 1.0
    found = fit_psf(lr_hsi, CUBE @ RESPONSE, RESPONSE, SCALE)
    assert found is not None
    np.testing.assert_allclose(found.shift, 0.0, atol=1e-9)
    offsets = np.arange(len(found.psf.kernel)) - (len(found.psf.kernel) - 1) / 2
    variance = (found.psf.kernel.sum(0) * offsets**2).sum()
    assert np.isclose(variance, sigma**2 + (SCALE**2 - 1) / 12, rtol=0.08)


def test_a_shift_is_part_of_the_psf() -> None:
    moved = ndimage.shift(CUBE @ RESPONSE, (1.0, -2.0, 0.0), mode="nearest")
    found = fit_psf(coarse(CUBE, 1.5), moved, RESPONSE, SCALE)
    assert found is not None
    np.testing.assert_allclose(found.shift, (1.0, -2.0), atol=0.1)


@pytest.mark.parametrize("mode", ["reflect", "constant"])
def test_nine_coarse_pixels_still_tell_a_sharp_blur_from_a_soft_one(mode: str) -> None:
    part = CUBE[:12, :12]
    widths = []
    for sigma in (0.2, 1.6):
        blurred = ndimage.gaussian_filter(part, (sigma, sigma, 0), mode=mode)
        found = fit_psf(blurred.reshape(3, 4, 3, 4, -1).mean((1, 3)), part @ RESPONSE, RESPONSE, SCALE)
        assert found is not None
        widths.append(1.0 / np.square(found.psf.kernel).sum())
    assert widths[1] > 2 * widths[0]


def test_an_image_without_contrast_tells_nothing() -> None:
    assert fit_psf(np.ones((8, 8, 12)), np.ones((32, 32, 4)), RESPONSE, SCALE) is None
