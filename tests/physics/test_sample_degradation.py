"""A batch whose images have a PSF each is degraded as each image alone."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from hsr_tf.closed_forms.consistency import DataConsistency
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.operator import adjoint_error
from hsr_tf.physics.psf import Psf, anisotropic_gaussian_psf, box_psf, gaussian_psf, motion_psf
from hsr_tf.physics.sample_degradation import SampleCameras, SampleDegradation, inverse_taps, psf_cells
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse

SCALES = (2, 3, 4)


def psfs(scale: int) -> list[Psf]:
    """Separable or not, symmetric or not, of both parities."""
    skew = np.random.default_rng(scale).random((scale + 1, scale + 2))
    oblique = anisotropic_gaussian_psf(scale, sigmas=(0.5 * scale, 0.3 * scale), angle_degrees=30.0)
    return [
        gaussian_psf(scale),
        box_psf(scale),
        oblique,
        motion_psf(scale, length=1.5 * scale, angle_degrees=20.0),
        Psf(skew),
    ]


@pytest.mark.parametrize("scale", SCALES)
def test_each_image_is_degraded_by_its_own_psf(scale: int) -> None:
    own = psfs(scale)
    images = np.random.default_rng(0).random((len(own), 5 * scale, 6 * scale, 2)).astype(np.float32)
    operator = SampleDegradation(np.stack([psf_cells(psf, scale, 2) for psf in own]), scale)
    found = operator(images)
    for psf, image, seen in zip(own, images, found, strict=True):
        np.testing.assert_allclose(seen, SpatialDegradation(psf, scale)(image[None])[0], atol=2e-6)


@pytest.mark.parametrize("border", ["mirrored", "circular", "zero"])
def test_the_adjoint_is_one(border: str) -> None:
    cells = np.stack([psf_cells(psf, 3, 2).astype(np.float64) for psf in psfs(3)])
    operator = SampleDegradation(tf.constant(cells), 3, border=border)
    assert adjoint_error(operator, (len(cells), 12, 15, 2)) < 1e-12


@pytest.mark.parametrize("scale", SCALES)
def test_the_free_part_of_a_change_is_what_the_projection_leaves_of_it(scale: int) -> None:
    rng, size = np.random.default_rng(1), 12 * scale
    response = SpectralResponse(rng.random((5, 2)))
    model = ObservationModel(SpatialDegradation(gaussian_psf(scale), scale), response)
    change = rng.standard_normal((1, size, size, 5)).astype(np.float32)
    cameras = SampleCameras(
        response.matrix[None].astype(np.float32),
        response.pseudo_inverse()[None].astype(np.float32),
        psf_cells(model.spatial.psf, scale, 1)[None],
        inverse_taps(model.spatial.psf, scale)[None],
    )
    free = cameras.free(change, scale)
    nothing = [np.zeros(shape, np.float32) for shape in ((1, 12, 12, 5), (1, size, size, 2))]
    np.testing.assert_allclose(free, DataConsistency(model)(change, *nothing), atol=2e-3)
    for seen in model.simulate(free):
        assert np.abs(seen).max() < 3e-3
    # Its gradient: <free(a), b> = <a, free(b)> for the adjoint that it is taken as.
    other = rng.standard_normal(change.shape).astype(np.float32)
    given = tf.constant(change)
    with tf.GradientTape() as tape:
        tape.watch(given)
        product = tf.reduce_sum(cameras.free(given, scale) * other)
    gradient = tape.gradient(product, given)
    np.testing.assert_array_equal(gradient, cameras.free(tf.constant(other), scale))
    assert float(tf.reduce_sum(gradient * change)) == pytest.approx(
        float(product), abs=2e-3 * change.size**0.5
    )


def test_a_psf_that_looks_too_far_is_refused() -> None:
    with pytest.raises(ValueError, match="psf: expected at most 3 cells of 4 pixels"):
        psf_cells(gaussian_psf(4, fwhm=12), 4, 1)
