"""Shifted PSFs: the direction, what stays, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops
from scipy import ndimage

from hsr_tf.physics.psf import Psf, gaussian_psf
from hsr_tf.physics.psf_shift import centroid, image_shift, on_support, recentred_psf, shifted_psf
from hsr_tf.physics.spatial import SpatialDegradation

ASYMMETRIC = Psf(np.array([[1.0, 2.0, 0.0], [0.0, 5.0, 3.0], [0.0, 1.0, 0.0], [2.0, 0.0, 0.0]]))


@pytest.mark.parametrize("shift", [(1.0, 0.0), (1.3, -0.6), (-2.4, 0.0), (0.0, 3.0)])
def test_a_shift_moves_the_centroid_against_it_and_keeps_the_mass(shift: tuple[float, float]) -> None:
    moved = shifted_psf(ASYMMETRIC, shift)
    change = np.subtract(centroid(moved), centroid(ASYMMETRIC))
    np.testing.assert_allclose(change, np.negative(shift), atol=1e-9)
    assert moved.kernel.sum() == pytest.approx(1.0)
    assert [(n - m) % 2 for n, m in zip(moved.kernel.shape, ASYMMETRIC.kernel.shape, strict=True)] == [0, 0]


def test_a_whole_shift_looks_at_the_moved_image_as_at_the_unmoved_one() -> None:
    image = np.random.default_rng(0).random((30, 24, 2)).astype(np.float32)
    moved = np.roll(image, (2, -1), axis=(0, 1))
    plain = SpatialDegradation(ASYMMETRIC, 3, border="circular").forward(ops.convert_to_tensor(image[None]))
    shifted = SpatialDegradation(shifted_psf(ASYMMETRIC, (2.0, -1.0)), 3, border="circular")
    np.testing.assert_allclose(shifted.forward(ops.convert_to_tensor(moved[None])), plain, atol=1e-6)


def test_a_part_of_a_pixel_fits_an_image_moved_by_it() -> None:
    rough = np.random.default_rng(1).random((64, 48))
    image = ndimage.gaussian_filter(rough, 2.0, mode="wrap").astype(np.float32)[..., None]
    moved = ndimage.shift(image, (0.4, -1.3, 0), order=5, mode="grid-wrap")
    kernel = gaussian_psf(4)
    plain = SpatialDegradation(kernel, 4, border="circular").forward(ops.convert_to_tensor(image[None]))
    seen = SpatialDegradation(shifted_psf(kernel, (0.4, -1.3)), 4, border="circular")
    unmoved = SpatialDegradation(kernel, 4, border="circular")
    gap, blind = (
        float(np.abs(np.asarray(d.forward(ops.convert_to_tensor(moved[None]))) - np.asarray(plain)).max())
        for d in (seen, unmoved)
    )
    assert gap < 0.1 * blind


def test_recentring_finds_the_middle_and_undoes_a_shift() -> None:
    assert np.abs(centroid(recentred_psf(ASYMMETRIC))).max() < 1e-9
    smooth = gaussian_psf(8)
    back = recentred_psf(shifted_psf(smooth, (1.3, -0.6)))
    np.testing.assert_allclose(
        on_support(back.kernel, smooth.kernel.shape), smooth.kernel, atol=0.05 * smooth.kernel.max()
    )
    np.testing.assert_allclose(image_shift(shifted_psf(smooth, (1.3, -0.6))), (1.3, -0.6), atol=1e-9)


def test_a_support_of_the_other_parity_is_refused() -> None:
    assert on_support(ASYMMETRIC.kernel, (6, 1)).shape == (6, 1)
    with pytest.raises(ValueError, match="taps: expected numbers of the parities"):
        on_support(ASYMMETRIC.kernel, (5, 3))
