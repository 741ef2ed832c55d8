"""Kernels a sample and a cell: the adjoint, SciPy's convolution, small images, gradients, refused shapes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import convolve

from hsr_tf.physics.noise import GaussianNoise
from hsr_tf.physics.operator import LinearOperator, adjoint_error
from hsr_tf.physics.resize import BicubicResize
from hsr_tf.physics.sample_blur import BlindDegradation, CellBlur, SampleBlur

FLOAT32_BOUND = 1e-6


def some_kernels(*shape: int, seed: int = 0) -> np.ndarray:
    """Kernels without any symmetry that sum to one."""
    kernels = np.random.default_rng(seed).random(shape) ** 3
    return kernels / kernels.sum((-1, -2), keepdims=True)


def explicit(x: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """SciPy's convolution, one image and channel at a time."""
    blurred = np.empty_like(x)
    for b, c in np.ndindex(x.shape[0], x.shape[3]):
        blurred[b, :, :, c] = convolve(x[b, :, :, c], kernels[b], mode="reflect")
    return blurred


def explicit_cells(x: np.ndarray, kernels: np.ndarray, cell: int) -> np.ndarray:
    """Each sample from the convolution of the whole image with the kernel of its cell."""
    blurred = np.empty_like(x)
    for b, i, j in np.ndindex(*kernels.shape[:3]):
        place = (b, slice(i * cell, (i + 1) * cell), slice(j * cell, (j + 1) * cell))
        for c in range(x.shape[3]):
            whole = convolve(x[b, :, :, c], kernels[b, i, j], mode="reflect")
            blurred[(*place, c)] = whole[place[1:]]
    return blurred


@pytest.mark.parametrize(
    ("size", "taps"), [((24, 31), 21), ((8, 16), 9), ((5, 3), 7), ((1, 9), 5), ((17, 8), 1)]
)
def test_a_kernel_a_sample_is_scipys_convolution_for_any_size(size: tuple[int, int], taps: int) -> None:
    x, kernels = np.random.default_rng(1).random((3, *size, 2)), some_kernels(3, taps, taps)
    np.testing.assert_allclose(SampleBlur(kernels)(tf.constant(x)), explicit(x, kernels), atol=1e-12)


@pytest.mark.parametrize(("cell", "taps"), [(1, 5), (2, 7), (3, 3), (4, 9)])
def test_a_kernel_a_cell_is_scipys_convolution_with_the_kernel_of_the_place(cell: int, taps: int) -> None:
    x, kernels = (
        np.random.default_rng(1).random((2, 3 * cell, 5 * cell, 2)),
        some_kernels(2, 3, 5, taps, taps),
    )
    found = CellBlur(kernels, cell)(tf.constant(x))
    np.testing.assert_allclose(found, explicit_cells(x, kernels, cell), atol=1e-12)


def test_equal_kernels_everywhere_are_a_kernel_a_sample() -> None:
    x, kernels = tf.random.stateless_uniform((2, 12, 20, 1), (0, 1)), some_kernels(2, 7, 7)
    everywhere = np.broadcast_to(kernels[:, None, None], (2, 3, 5, 7, 7)).astype(np.float32)
    one, many = SampleBlur(kernels.astype(np.float32))(x), CellBlur(everywhere, 4)(x)
    np.testing.assert_allclose(one, many, atol=1e-6)


OPERATORS: dict[str, tuple[LinearOperator, tuple[int, int]]] = {
    "sample": (SampleBlur(some_kernels(2, 9, 9)), (13, 18)),
    "sample, small image": (SampleBlur(some_kernels(2, 9, 9)), (3, 2)),
    "pixel": (CellBlur(some_kernels(2, 6, 4, 5, 5), 1), (6, 4)),
    "cell": (CellBlur(some_kernels(2, 3, 2, 7, 7), 3), (9, 6)),
    "degradation": (BlindDegradation(some_kernels(2, 9, 9), 4), (12, 20)),
    "degradation of cells": (BlindDegradation(some_kernels(2, 3, 5, 9, 9), 4), (12, 20)),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_forward_and_adjoint_agree_under_the_inner_product(name: str) -> None:
    operator, size = OPERATORS[name]
    assert adjoint_error(operator, (2, *size, 2)) < 1e-12


def test_the_adjoint_holds_in_float32_too() -> None:
    operator = BlindDegradation(some_kernels(2, 21, 21).astype(np.float32), 4)
    assert adjoint_error(operator, (2, 24, 32, 1), dtype="float32") < FLOAT32_BOUND


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_the_degradation_is_the_blur_and_then_matlabs_reduction(scale: int) -> None:
    x, kernels = np.random.default_rng(2).random((2, 6 * scale, 8 * scale, 1)), some_kernels(2, 5, 5)
    reduce = BicubicResize((6 * scale, 8 * scale), 1 / scale)
    expected = reduce(tf.constant(explicit(x, kernels)))
    np.testing.assert_allclose(BlindDegradation(kernels, scale)(tf.constant(x)), expected, atol=1e-12)


def test_a_point_is_drawn_with_each_kernel_unflipped() -> None:
    kernels, x = some_kernels(2, 5, 5), np.zeros((2, 11, 9, 1))
    x[:, 5, 4] = 1
    np.testing.assert_allclose(SampleBlur(kernels)(tf.constant(x))[:, 3:8, 2:7, 0], kernels, atol=1e-15)


def test_gradients_reach_image_and_kernel_as_finite_differences_say() -> None:
    rng = np.random.default_rng(3)
    x, kernels = tf.constant(rng.random((2, 8, 12, 1))), tf.constant(some_kernels(2, 5, 5))
    many = tf.constant(some_kernels(2, 2, 3, 5, 5))

    def loss(x: tf.Tensor, kernels: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.square(BlindDegradation(kernels, 4)(x)))

    for own in (kernels, many):
        with tf.GradientTape() as tape:
            tape.watch([x, own])
            value = loss(x, own)
        for slot, gradient in enumerate(tape.gradient(value, [x, own])):
            step = tf.constant(rng.standard_normal(gradient.shape))
            moved = [[x, own], [x, own]]
            moved[0][slot], moved[1][slot] = moved[0][slot] - 1e-5 * step, moved[1][slot] + 1e-5 * step
            slope = (loss(*moved[1]) - loss(*moved[0])) / 2e-5
            np.testing.assert_allclose(tf.reduce_sum(gradient * step), slope, rtol=1e-6)


@pytest.mark.parametrize("many", [False, True])
def test_it_runs_compiled_for_sizes_not_known_in_advance(many: bool) -> None:
    unknown = tf.TensorSpec((None, None, None, 2), tf.float64)
    kernel_shape = (None, None, None, 9, 9) if many else (None, 9, 9)
    compiled = tf.function(
        lambda x, kernels: BlindDegradation(kernels, 2)(x),
        input_signature=[unknown, tf.TensorSpec(kernel_shape, tf.float64)],
        autograph=False,
    )
    for batch, height, width in ((2, 8, 14), (1, 4, 6)):
        x = tf.random.stateless_uniform((batch, height, width, 2), (0, 1), dtype=tf.float64)
        kernels = some_kernels(batch, *((height // 2, width // 2) if many else ()), 9, 9)
        np.testing.assert_allclose(compiled(x, kernels), BlindDegradation(kernels, 2)(x), atol=1e-12)


def test_noise_comes_after_the_reduction_and_follows_its_seed() -> None:
    x, model = tf.random.stateless_uniform((1, 32, 32, 1), (0, 1)), BlindDegradation(np.ones((1, 1, 1)), 2)
    clean = model.simulate(x, noise=None, seed=None)
    noisy, again = (model.simulate(x, noise=GaussianNoise(20.0), seed=5) for _ in range(2))
    np.testing.assert_array_equal(noisy, again)
    ratio = np.sum(np.square(clean)) / np.sum(np.square(noisy - clean))
    assert 10 * np.log10(ratio) == pytest.approx(20, abs=0.6)


@pytest.mark.parametrize("shape", [(2, 4, 4), (2, 5, 3), (5, 5), (2, 3, 3, 4, 4)])
def test_kernels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"kernels: expected .* with an odd k"):
        BlindDegradation(np.ones(shape), 2)


@pytest.mark.parametrize("scale", [0, 2.5])
def test_a_scale_that_is_no_positive_integer_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale: expected a positive integer"):
        BlindDegradation(np.ones((1, 3, 3)), scale)  # type: ignore[arg-type]
