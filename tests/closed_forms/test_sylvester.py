"""The closed form solves its normal equations, for every border and PSF, and is its own adjoint."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from hsr_tf.closed_forms.sylvester import CoarseInverse, Sylvester, SylvesterBase, gram_spectrum
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf, anisotropic_gaussian_psf, box_psf, gaussian_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse

SKEW = Psf(np.random.default_rng(5).random((5, 4)), "skew")
TURNED = anisotropic_gaussian_psf(2, sigmas=(2.0, 0.7), angle_degrees=30, support=6)
DISC = Psf(np.array([[0, 1, 1, 0], [1, 2, 2, 1], [1, 2, 2, 1], [0, 1, 1, 0]]), "disc")
CASES = [
    (gaussian_psf(4), 4, (3, 5)),
    (gaussian_psf(3), 3, (5, 3)),
    (DISC, 2, (4, 5)),
    (TURNED, 2, (6, 5)),
    (SKEW, 3, (4, 5)),
]
every_case = pytest.mark.parametrize(("psf", "scale", "cells"), CASES, ids=lambda x: getattr(x, "name", None))
every_border = pytest.mark.parametrize("border", ["mirrored", "circular"])


def dense(spatial: SpatialDegradation, size: tuple[int, int]) -> np.ndarray:
    """D as a matrix (h w, H W)."""
    num_pixels = size[0] * size[1]
    images = tf.reshape(tf.eye(num_pixels, dtype=tf.float64), (1, *size, num_pixels))
    return np.reshape(spatial.forward(images), (-1, num_pixels))


def problem(spatial: SpatialDegradation, cells: tuple[int, int], num_bands: int, num_channels: int):
    """Random start, X, Y and R."""
    rng = np.random.default_rng(num_channels)
    size = tuple(spatial.scale * n for n in cells)
    shapes = ((1, *size, num_bands), (1, *cells, num_bands), (1, *size, num_channels))
    return [rng.random(shape) for shape in (*shapes, (num_bands, num_channels))]


@every_border
@every_case
def test_it_equals_a_dense_solution(psf, scale, cells, border) -> None:
    spatial, num_bands, msi_weight = SpatialDegradation(psf, scale, border=border), 3, 2.0
    num_channels, weight = {2: (1, 1e-1), 3: (2, 1e-3), 4: (4, 1e-5)}[scale]
    start, lr_hsi, hr_msi, response = problem(spatial, cells, num_bands, num_channels)
    blur, eye = dense(spatial, start.shape[1:3]), np.eye(num_bands)
    flat = [image.reshape(-1, image.shape[-1]) for image in (start, lr_hsi, hr_msi)]
    normal = np.kron(blur.T @ blur, eye) + np.kron(
        np.eye(blur.shape[1]), msi_weight * response @ response.T + weight * eye
    )
    right = blur.T @ flat[1] + msi_weight * flat[2] @ response.T + weight * flat[0]
    expected = np.linalg.solve(normal, right.ravel()).reshape(start.shape)
    solve = Sylvester(spatial, response, msi_weight=msi_weight)
    found = solve(*map(tf.constant, (start, lr_hsi, hr_msi)), weight)
    np.testing.assert_allclose(found, expected, atol=1e-8)
    single = solve(*(tf.constant(a, tf.float32) for a in (start, lr_hsi, hr_msi)), weight)
    assert single.dtype == tf.float32
    np.testing.assert_allclose(single, expected, atol=1e-4)


@every_border
def test_a_prior_of_any_covariance_equals_a_dense_solution(border: str) -> None:
    spatial, weight, msi_weight = SpatialDegradation(gaussian_psf(3), 3, border=border), 1e-2, 0.5
    start, lr_hsi, hr_msi, response = problem(spatial, (3, 4), 4, 2)
    mixed = np.random.default_rng(0).standard_normal((4, 4))
    covariance = mixed @ mixed.T + 0.1 * np.eye(4)
    blur, precision = dense(spatial, start.shape[1:3]), np.linalg.inv(covariance)
    flat = [image.reshape(-1, image.shape[-1]) for image in (start, lr_hsi, hr_msi)]
    spectrum = msi_weight * response @ response.T + weight * precision
    normal = np.kron(blur.T @ blur, np.eye(4)) + np.kron(np.eye(blur.shape[1]), spectrum)
    right = blur.T @ flat[1] + msi_weight * flat[2] @ response.T + weight * flat[0] @ precision
    expected = np.linalg.solve(normal, right.ravel()).reshape(start.shape)
    images = [tf.constant(image) for image in (start, lr_hsi, hr_msi)]
    general = Sylvester(spatial, response, msi_weight=msi_weight, covariance=covariance)
    np.testing.assert_allclose(general(*images, weight), expected, atol=1e-8)
    plain, equal = (Sylvester(spatial, response, covariance=one) for one in (None, np.eye(4)))
    np.testing.assert_allclose(equal(*images, weight), plain(*images, weight), atol=1e-8)
    with pytest.raises(ValueError, match="covariance: expected a positive definite"):
        Sylvester(spatial, response, covariance=np.zeros((4, 4)))


def test_only_what_is_no_convolution_is_iterated() -> None:
    exact = {(psf.name, b): CoarseInverse(SpatialDegradation(psf, s, border=b)).exact
             for psf, s, _ in CASES for b in ("mirrored", "circular")}  # fmt: skip
    assert {key for key, value in exact.items() if not value} == {
        (TURNED.name, "mirrored"),
        (SKEW.name, "mirrored"),
    }


def test_the_spectrum_is_that_of_the_coarse_gram_matrix() -> None:
    for border in ("mirrored", "circular"):
        spatial = SpatialDegradation(gaussian_psf(2), 2, border=border)
        blur = dense(spatial, (8, 10))
        inverse = CoarseInverse(spatial)
        found = gram_spectrum(inverse.taps, [4, 5], border, "float64")
        np.testing.assert_allclose(np.sort(np.ravel(found)), np.linalg.eigvalsh(blur @ blur.T), atol=1e-12)


def test_the_refinement_is_self_adjoint_and_that_is_its_gradient() -> None:
    response = np.random.default_rng(0).random((4, 2))
    model = ObservationModel(SpatialDegradation(TURNED, 2), SpectralResponse(response / response.sum(0)))
    start, lr_hsi, hr_msi, _ = (tf.constant(a) for a in problem(model.spatial, (5, 4), 4, 2))
    base, above = SylvesterBase(model), tf.constant(np.random.default_rng(1).random(start.shape))
    with tf.GradientTape() as tape:
        tape.watch(start)
        objective = tf.reduce_sum(above * base.refine(start, lr_hsi, hr_msi))
    gradient = tape.gradient(objective, start)
    direction = tf.constant(np.random.default_rng(2).random(start.shape))
    moved = base.refine(start + direction, lr_hsi, hr_msi) - base.refine(start, lr_hsi, hr_msi)
    assert float(tf.reduce_sum(above * moved)) == pytest.approx(float(tf.reduce_sum(gradient * direction)))


def test_the_base_explains_both_images_and_takes_any_size() -> None:
    response = np.random.default_rng(0).random((4, 3))
    model = ObservationModel(SpatialDegradation(box_psf(2), 2), SpectralResponse(response / response.sum(0)))
    base = SylvesterBase(model, weight=1e-6)
    signature = [tf.TensorSpec((None, None, None, n)) for n in (4, 3)]
    compiled = tf.function(base, input_signature=signature)
    for size in ((6, 8), (10, 4)):
        lr_hsi, hr_msi = model.simulate(tf.random.stateless_uniform((2, *size, 4), (0, 1)))
        estimate = base(lr_hsi, hr_msi)
        np.testing.assert_allclose(compiled(lr_hsi, hr_msi), estimate, atol=1e-5)
        for seen, expected in zip(model.simulate(estimate), (lr_hsi, hr_msi), strict=True):
            np.testing.assert_allclose(seen, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("response", "msi_weight", "said"),
    [(np.ones(3), 1.0, "response: expected a"), (np.ones((3, 2)), 0.0, "msi_weight: expected a positive"),
     (np.full((3, 2), np.nan), 1.0, "response: expected finite")],
)  # fmt: skip
def test_impossible_arguments_are_refused(response, msi_weight, said) -> None:
    with pytest.raises(ValueError, match=said):
        Sylvester(SpatialDegradation(box_psf(2), 2), response, msi_weight=msi_weight)
