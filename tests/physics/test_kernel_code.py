"""Kernel shapes against the point-spread functions and scikit-image; the code against an explicit SVD."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from skimage.draw import line_aa

from hsr_tf.physics.kernel_code import KernelCode, fit_kernel_code, gaussian_code
from hsr_tf.physics.kernel_shapes import anisotropic_kernels, gaussian_kernels, motion_kernels
from hsr_tf.physics.psf import anisotropic_gaussian_psf, gaussian_psf


def batch(*values: float) -> tf.Tensor:
    return tf.constant(values, tf.float64)


def test_gaussians_are_the_projects_point_spread_functions() -> None:
    found = gaussian_kernels(batch(0.2, 1.3, 2.6))
    for kernel, sigma in zip(found, (0.2, 1.3, 2.6), strict=True):
        np.testing.assert_allclose(kernel, gaussian_psf(1, sigma=sigma, support=21).kernel, atol=1e-15)


def test_slanted_gaussians_are_too() -> None:
    found = anisotropic_kernels(batch(1.5, 3.0), batch(0.7, 2.0), batch(math.pi / 6, 2.0), 15)
    for kernel, (sigmas, angle) in zip(
        found, (((1.5, 0.7), 30), ((3.0, 2.0), math.degrees(2.0))), strict=True
    ):
        expected = anisotropic_gaussian_psf(1, sigmas=sigmas, angle_degrees=angle, support=15).kernel
        np.testing.assert_allclose(kernel, expected, atol=1e-15)


def test_straight_motion_along_the_rows_is_a_box_with_linear_flanks() -> None:
    (kernel,) = np.asarray(motion_kernels(batch(8.0), batch(0.0), batch(0.0)))
    assert kernel.sum() == pytest.approx(1)
    assert kernel[10].sum() == pytest.approx(1)
    np.testing.assert_allclose(kernel[10, 7:14], 1 / 8, rtol=0.02)
    np.testing.assert_allclose(kernel[10, [6, 14]], 1 / 16, rtol=0.15)
    assert kernel[10, :6].max() < 0.01


def test_slanted_motion_covers_the_line_that_it_follows() -> None:
    (kernel,) = np.asarray(motion_kernels(batch(10.0), batch(math.atan2(3, 4)), batch(0.0)))
    rows, columns, weight = line_aa(7, 6, 13, 14)
    drawn = np.zeros((21, 21))
    drawn[rows, columns] = weight
    assert np.corrcoef(kernel.ravel(), drawn.ravel())[0, 1] > 0.85
    assert kernel[drawn > 0].sum() > 0.85


def test_a_bent_path_keeps_its_mean_on_the_middle_tap_and_turns_to_one_side() -> None:
    kernels = np.asarray(motion_kernels(batch(12.0, 12.0), batch(0.0, 0.0), batch(1.5, -1.5)))
    rows, columns = np.mgrid[-10:11, -10:11]
    for kernel in kernels:
        assert (kernel * rows).sum() == pytest.approx(0, abs=1e-12)
        assert (kernel * columns).sum() == pytest.approx(0, abs=1e-12)
    ends = [(kernel * (np.abs(columns) > 3) * rows).sum() for kernel in kernels]
    assert ends[0] > 0.2
    assert ends[1] == pytest.approx(-ends[0])


def test_no_motion_is_no_blur() -> None:
    (kernel,) = np.asarray(motion_kernels(batch(0.0), batch(1.0), batch(0.5), 5))
    np.testing.assert_array_equal(kernel, np.pad([[1.0]], 2))


def test_the_code_is_the_projection_on_the_principal_directions() -> None:
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 25)) + rng.random(25)
    code = fit_kernel_code(hidden.reshape(40, 5, 5), 3)
    kernels = tf.constant(hidden[:7].reshape(7, 5, 5), tf.float32)
    np.testing.assert_allclose(code.basis.T @ code.basis, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(code.decode(code.encode(kernels)), kernels, atol=1e-5)
    variances = np.linalg.eigvalsh(np.cov(hidden.T))[::-1][:3]
    spread = np.asarray(code.encode(tf.constant(hidden.reshape(40, 5, 5)))).var(0, ddof=1)
    np.testing.assert_allclose(spread, variances, rtol=1e-4)


def test_the_code_of_the_published_kernels_keeps_what_they_are() -> None:
    code = gaussian_code()
    kernels = gaussian_kernels(tf.constant([0.2, 0.7, 1.3, 2.6, 3.9]))
    assert code.basis.shape == (441, 21)
    np.testing.assert_allclose(code.decode(code.encode(kernels)), kernels, atol=1e-3)
    np.testing.assert_array_equal(gaussian_code().basis, code.basis)
    assert (code.basis[np.abs(code.basis).argmax(0), np.arange(21)] > 0).all()


@pytest.mark.parametrize(("shape", "length"), [((4, 5, 5), 4), ((30, 3, 3), 10), ((30, 3, 3), 0)])
def test_a_length_that_the_kernels_cannot_give_is_refused(shape: tuple[int, ...], length: int) -> None:
    with pytest.raises(ValueError, match="length: expected 1 to"):
        fit_kernel_code(np.random.default_rng(0).random(shape), length)


def test_kernels_that_are_no_squares_are_refused() -> None:
    with pytest.raises(ValueError, match=r"kernels: expected \(N, k, k\)"):
        fit_kernel_code(np.ones((9, 3, 5)), 2)


def test_an_even_size_is_refused() -> None:
    with pytest.raises(ValueError, match="size: expected an odd number"):
        gaussian_kernels(batch(1.0), 20)


def test_components_of_isotropic_kernels_keep_those_and_not_others() -> None:
    """The figures in the docstrings of the networks that are given a code."""
    sigmas = np.random.default_rng(0).uniform([[0.6], [0.6], [0.0]], [[5.0], [5.0], [math.pi]], (3, 400))
    slanted = np.asarray(anisotropic_kernels(*map(tf.constant, sigmas)))
    isotropic = np.asarray(gaussian_kernels(tf.constant(np.linspace(0.2, 4.0, 60))))

    def apart(code: KernelCode, kernels: np.ndarray) -> float:
        return float(np.abs(code.decode(code.encode(tf.constant(kernels))) - kernels).sum((1, 2)).mean())

    for length, least in ((10, 1e-3), (15, 1e-4)):
        code = gaussian_code(length, size=21)
        assert apart(code, isotropic) < least
        assert apart(code, slanted[200:]) == pytest.approx(0.38, abs=0.04)
    assert apart(fit_kernel_code(slanted[:200], 15), slanted[200:]) == pytest.approx(0.11, abs=0.03)
