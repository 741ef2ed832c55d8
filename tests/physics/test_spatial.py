"""Spatial degradation: the adjoint, plain convolution and slicing, borders, phase, refused sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import convolve, correlate1d
from scipy.signal import convolve2d

from hsr_tf.physics.operator import adjoint_error
from hsr_tf.physics.psf import (
    Psf,
    anisotropic_gaussian_psf,
    bicubic_psf,
    box_psf,
    gaussian_psf,
    motion_psf,
)
from hsr_tf.physics.spatial import SpatialDegradation

NUMPY_BORDER = {"mirrored": "symmetric", "circular": "wrap", "zero": "constant"}
SCIPY_BORDER = {"mirrored": "reflect", "circular": "wrap", "zero": "constant"}
FLOAT32_BOUND = 1e-6


def some_psf(kind: str, scale: int, seed: int) -> Psf:
    """A PSF of the kind named; the random ones have no symmetry and sides that differ."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 8, 2)
    shapes = {
        "gaussian": lambda: gaussian_psf(scale),
        "box": lambda: box_psf(scale),
        "bicubic": lambda: bicubic_psf(scale),
        "anisotropic": lambda: anisotropic_gaussian_psf(scale, sigmas=(1.5, 0.7), angle_degrees=30.0),
        "motion": lambda: motion_psf(scale, length=4.0, angle_degrees=20.0),
        "asymmetric": lambda: Psf(rng.random((rows, columns)) ** 3),
        "separable_asymmetric": lambda: Psf(np.outer(rng.random(rows) ** 3, rng.random(columns) ** 3)),
    }
    return shapes[kind]()


KINDS = ("gaussian", "box", "bicubic", "anisotropic", "motion", "asymmetric", "separable_asymmetric")
CASES = {
    "kind": st.sampled_from(KINDS),
    "scale": st.integers(1, 9),
    "border": st.sampled_from(tuple(NUMPY_BORDER)),
    "cells": st.tuples(st.integers(0, 2), st.integers(0, 2)),
    "seed": st.integers(0, 2**16),
}


def image_size(psf: Psf, scale: int, cells: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns that divide by the scale and hold the PSF, and a few cells more."""
    height, width = (scale * (n // scale + 1 + more) for n, more in zip(psf.kernel.shape, cells, strict=True))
    return height, width


def explicit(x: np.ndarray, psf: Psf, scale: int, border: str) -> np.ndarray:
    """Pad, convolve in full, keep the samples whose place is the centre of a cell; one band at a time."""
    reach = max(psf.kernel.shape)
    padded = np.pad(x, [(0, 0), (reach, reach), (reach, reach), (0, 0)], mode=NUMPY_BORDER[border])  # type: ignore[call-overload]
    first = [reach + (scale - 1 + n - 1) // 2 for n in psf.kernel.shape]
    height, width = x.shape[1:3]
    out = np.empty((x.shape[0], height // scale, width // scale, x.shape[3]))
    for b, c in np.ndindex(x.shape[0], x.shape[3]):
        full = convolve2d(padded[b, :, :, c], psf.kernel)
        out[b, :, :, c] = full[first[0] : first[0] + height : scale, first[1] : first[1] + width : scale]
    return out


@given(**CASES)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_forward_and_adjoint_agree_under_the_inner_product(
    kind: str, scale: int, border: str, cells: tuple[int, int], seed: int
) -> None:
    psf = some_psf(kind, scale, seed)
    operator = SpatialDegradation(psf, scale, border=border)
    shape = (2, *image_size(psf, scale, cells), 2)
    assert adjoint_error(operator, shape, seed=seed) < 1e-12
    assert adjoint_error(operator, shape, seed=seed, dtype="float32") < FLOAT32_BOUND


@given(**CASES)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_result_is_the_convolution_sampled_at_the_cell_centres(
    kind: str, scale: int, border: str, cells: tuple[int, int], seed: int
) -> None:
    psf = some_psf(kind, scale, seed)
    x = np.random.default_rng(seed).random((2, *image_size(psf, scale, cells), 3))
    found = np.asarray(SpatialDegradation(psf, scale, border=border)(x))
    np.testing.assert_allclose(found, explicit(x, psf, scale, border), atol=1e-12)


@pytest.mark.parametrize("border", NUMPY_BORDER)
@pytest.mark.parametrize("scale", [1, 3, 5])
def test_odd_kernels_and_scales_agree_with_scipy(border: str, scale: int) -> None:
    rng = np.random.default_rng(scale)
    kernel = rng.random((5, 3))
    psf, x = Psf(kernel), rng.random((1, 4 * scale + 15, 7 * scale, 1))
    x = x[:, : x.shape[1] // scale * scale]
    blurred = convolve(x[0, :, :, 0], psf.kernel, mode=SCIPY_BORDER[border])
    found = np.asarray(SpatialDegradation(psf, scale, border=border)(x))[0, :, :, 0]
    np.testing.assert_allclose(found, blurred[scale // 2 :: scale, scale // 2 :: scale], atol=1e-12)


@pytest.mark.parametrize("border", ["mirrored", "circular"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_image_stays_constant(kind: str, border: str) -> None:
    operator = SpatialDegradation(some_psf(kind, 4, 3), 4, border=border)
    out = np.asarray(operator(np.full((1, 12, 16, 2), 0.375)))
    np.testing.assert_allclose(out, 0.375, atol=1e-14)


@pytest.mark.parametrize("scale", [2, 3, 8])
def test_the_box_is_the_mean_of_each_cell(scale: int) -> None:
    x = np.random.default_rng(0).random((1, 3 * scale, 2 * scale, 2))
    means = x.reshape(1, 3, scale, 2, scale, 2).mean((2, 4))
    np.testing.assert_allclose(SpatialDegradation(box_psf(scale), scale)(x), means, atol=1e-14)


def test_a_point_is_drawn_with_the_kernel_unflipped() -> None:
    kernel = np.array([[0.0, 0.5, 0.0], [0.1, 0.2, 0.0], [0.0, 0.0, 0.2]])
    x = np.zeros((1, 7, 7, 1))
    x[0, 3, 3] = 1
    out = np.asarray(SpatialDegradation(Psf(kernel), 1)(x))[0, 2:5, 2:5, 0]
    np.testing.assert_allclose(out, kernel, atol=1e-15)


@given(**CASES)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_gram_taps_do_what_the_degradation_of_its_adjoint_does(
    kind: str, scale: int, border: str, cells: tuple[int, int], seed: int
) -> None:
    psf = some_psf(kind, scale, seed)
    operator = SpatialDegradation(psf, scale, border=border)
    taps = operator.gram_taps()
    if taps is None:
        assert psf.factors is None or border != "circular"
        return
    height, width = (n // scale + len(t) for n, t in zip(image_size(psf, scale, cells), taps, strict=True))
    y = np.random.default_rng(seed).random((1, height, width, 1))
    expected = np.asarray(operator(operator.adjoint(tf.constant(y))))
    for axis in (0, 1):
        y = correlate1d(y, taps[axis], axis + 1, mode=SCIPY_BORDER[border])
    np.testing.assert_allclose(y, expected, atol=1e-12)


def test_gram_taps_are_kept_to_what_is_a_convolution() -> None:
    assert SpatialDegradation(gaussian_psf(4), 4).gram_taps() is not None
    assert SpatialDegradation(gaussian_psf(4), 4, border="circular").gram_taps() is not None
    skewed = Psf(np.outer([1.0, 2.0, 4.0, 1.0], np.ones(4)))
    assert SpatialDegradation(skewed, 4).gram_taps() is None
    assert SpatialDegradation(skewed, 4, border="circular").gram_taps() is not None
    assert SpatialDegradation(gaussian_psf(4, support=7), 4).gram_taps() is None
    turned = anisotropic_gaussian_psf(4, sigmas=(3.0, 1.0), angle_degrees=30.0)
    assert SpatialDegradation(turned, 4, border="circular").gram_taps() is None


def test_centre_error_tells_where_parities_differ() -> None:
    assert SpatialDegradation(gaussian_psf(4), 4).centre_error == (0.0, 0.0)
    assert SpatialDegradation(Psf(np.ones((3, 4))), 4).centre_error == (0.5, 0.0)
    ramp = np.arange(40.0)[None, :, None, None] * np.ones((1, 1, 8, 1))
    sampled = np.asarray(SpatialDegradation(Psf(np.ones((3, 4))), 4)(ramp))[0, 3, 0, 0]
    assert sampled == pytest.approx(3 * 4 + 1.5 - 0.5)


@pytest.mark.parametrize("kind", ["gaussian", "asymmetric"])
@pytest.mark.parametrize("border", NUMPY_BORDER)
def test_it_runs_compiled_for_sizes_not_known_in_advance(kind: str, border: str) -> None:
    operator = SpatialDegradation(some_psf(kind, 4, 1), 4, border=border)
    unknown = tf.TensorSpec((None, None, None, 3), tf.float32)
    forward = tf.function(operator.forward, input_signature=[unknown], autograph=False)
    adjoint = tf.function(operator.adjoint, input_signature=[unknown], autograph=False)
    for shape in ((1, 16, 24, 3), (2, 20, 12, 3)):
        x = tf.random.stateless_uniform(shape, (1, 2))
        y = operator(x)
        np.testing.assert_allclose(forward(x), y, atol=1e-6)
        np.testing.assert_allclose(adjoint(y), operator.adjoint(y), atol=1e-6)


@pytest.mark.parametrize("size", [(15, 16), (16, 15), (4, 16)])
def test_sizes_that_do_not_divide_or_hold_the_psf_are_refused(size: tuple[int, int]) -> None:
    operator = SpatialDegradation(gaussian_psf(8), 8) if size[0] == 4 else SpatialDegradation(box_psf(8), 8)
    with pytest.raises(ValueError, match=f"image: expected .*, got .*{size[0]}"):
        operator(np.zeros((1, *size, 1), np.float32))


def test_an_image_within_the_reach_of_the_psf_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 12 samples along axis 1"):
        SpatialDegradation(gaussian_psf(4, sigma=4.0), 4)(np.zeros((1, 8, 16, 1), np.float32))


@pytest.mark.parametrize(
    ("scale", "border", "said"),
    [
        (0, "mirrored", "a positive integer"),
        (2.5, "mirrored", "a positive integer"),
        (2, "reflect", "circular"),
    ],
)
def test_bad_arguments_are_refused(scale: Any, border: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SpatialDegradation(box_psf(2), scale, border=border)


@pytest.mark.parametrize(("scale", "size"), [(2, (12, 16)), (3, (18, 12)), (8, (48, 64)), (16, (64, 80))])
def test_bicubic_degradation_is_that_of_pillow_up_to_the_border(scale: int, size: tuple[int, int]) -> None:
    """Pillow cuts its kernel at the border; on the image continued as a mirror it never gets there."""
    image = np.random.default_rng(scale).random(size).astype(np.float32)
    padded = np.pad(image, 2 * scale, mode="symmetric")
    reduced = Image.fromarray(padded).resize(
        (size[1] // scale + 4, size[0] // scale + 4), Image.Resampling.BICUBIC
    )
    found = SpatialDegradation(bicubic_psf(scale), scale).forward(image[None, ..., None])
    np.testing.assert_allclose(np.asarray(found)[0, ..., 0], np.asarray(reduced)[2:-2, 2:-2], atol=2e-6)
