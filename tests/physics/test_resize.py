"""Bicubic resizing: MATLAB's published scores, Pillow and a dense reference, integers, ramps, the adjoint."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import loadmat
from scipy.signal import fftconvolve

from hsr_tf.arrays.cubic import keys_cubic
from hsr_tf.physics.operator import adjoint_error
from hsr_tf.physics.resize import (
    BicubicResize,
    bicubic_enlarge,
    bicubic_enlarge_by,
    bicubic_reduce,
)
from tests.arrays.test_cubic import dense

FACTORS = st.sampled_from([0.2, 0.25, 1 / 3, 0.5, 0.7, 1.0, 1.3, 2.0, 2.5, 3.0, 4.0])
SIZES = st.tuples(st.integers(1, 17), st.integers(1, 17))


@given(size=SIZES, factor=FACTORS)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_it_is_the_dense_matrix_product_along_both_axes(size: tuple[int, int], factor: float) -> None:
    operator = BicubicResize(size, factor)
    x = np.random.default_rng(1).random((1, *size, 2))
    rows, columns = (dense(n, m, factor) for n, m in zip(size, operator.output_size, strict=True))
    expected = np.einsum("ih,jw,bhwc->bijc", rows, columns, x)
    np.testing.assert_allclose(operator(x), expected, atol=1e-12)


@given(size=SIZES, factor=FACTORS)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_forward_and_adjoint_agree_under_the_inner_product(size: tuple[int, int], factor: float) -> None:
    operator = BicubicResize(size, factor)
    assert adjoint_error(operator, (2, *size, 2)) < 1e-12
    assert adjoint_error(operator, (2, *size, 2), dtype="float32") < 1e-6


@pytest.mark.parametrize("out", [(12, 20), (9, 14), (48, 80), (31, 47)])
def test_the_interior_agrees_with_pillow(out: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((24, 40)).astype(np.float32)
    pillow = np.asarray(Image.fromarray(image).resize(out[::-1], Image.Resampling.BICUBIC))
    found = np.asarray(BicubicResize((24, 40), output_size=out)(image[None, :, :, None]))[0, :, :, 0]
    edge = 2 + math.ceil(2 * max(1, out[0] / 24))
    inside = (slice(edge, -edge), slice(edge, -edge))
    assert found[inside].size > 0
    np.testing.assert_allclose(found[inside], pillow[inside], atol=2e-6)


@given(size=SIZES, factor=FACTORS)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_a_constant_image_stays_constant(size: tuple[int, int], factor: float) -> None:
    out = np.asarray(BicubicResize(size, factor)(np.full((1, *size, 1), 0.7)))
    np.testing.assert_allclose(out, 0.7, atol=1e-13)


@pytest.mark.parametrize("factor", [0.25, 1 / 3, 0.5, 1.7, 2.0, 3.0, 8.0])
def test_a_ramp_stays_the_same_ramp_in_the_interior(factor: float) -> None:
    operator = BicubicResize((48, 40), factor)
    ramp = np.arange(48.0)[:, None] * 0.5 - np.arange(40.0) + 3
    found = np.asarray(operator(ramp[None, :, :, None]))[0, :, :, 0]
    row, column = ((np.arange(n) + 0.5) / factor - 0.5 for n in found.shape)
    expected = row[:, None] * 0.5 - column + 3
    reach = 2 / min(factor, 1)
    inside = np.ix_((row >= reach) & (row <= 47 - reach), (column >= reach) & (column <= 39 - reach))
    assert expected[inside].size > 0
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-10)


def test_halving_weighs_eight_neighbours_as_worked_by_hand() -> None:
    # keys(1/4, 3/4, 5/4, 7/4) / 2 = (111, 29, -9, -3) / 256
    x = np.zeros((1, 16, 16, 1))
    x[0, :, :, 0] = np.eye(16)[7][:, None]
    found = np.asarray(BicubicResize((16, 16), 0.5)(x))[0, :, 4, 0]
    np.testing.assert_allclose(found[2:6] * 256, [-9, 111, 29, -3], atol=1e-10)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5, 8])
def test_enlarging_and_reducing_by_integers_give_the_same_numbers(scale: int) -> None:
    rng = np.random.default_rng(scale)
    small, large = rng.random((2, 3, 5, 2)), rng.random((2, 3 * scale, 4 * scale, 2))
    np.testing.assert_allclose(
        bicubic_enlarge(tf.constant(small), scale), BicubicResize((3, 5), scale)(small), atol=1e-12
    )
    np.testing.assert_allclose(
        bicubic_reduce(tf.constant(large), scale),
        BicubicResize((3 * scale, 4 * scale), 1 / scale)(large),
        atol=1e-12,
    )


@pytest.mark.parametrize("resize", [bicubic_enlarge, bicubic_reduce])
def test_integers_work_compiled_for_sizes_not_known_in_advance(resize) -> None:
    compiled = tf.function(
        lambda x: resize(x, 4), input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)]
    )
    for shape in ((1, 8, 12, 3), (2, 16, 8, 3)):
        x = tf.random.stateless_uniform(shape, (3, 4))
        np.testing.assert_allclose(compiled(x), resize(x, 4), atol=1e-6)


@pytest.mark.parametrize(("size", "factor", "out"), [((7, 10), 0.5, (4, 5)), ((7, 10), 1.3, (10, 13))])
def test_output_sizes_are_rounded_up(size: tuple[int, int], factor: float, out: tuple[int, int]) -> None:
    assert BicubicResize(size, factor).output_size == out


def test_without_antialiasing_every_sample_is_interpolated() -> None:
    x = np.random.default_rng(0).random((1, 12, 12, 1))
    found = np.asarray(BicubicResize((12, 12), 1 / 3, antialias=False)(x))
    np.testing.assert_allclose(found, x[:, 1::3, 1::3], atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"factor": None}, "one of the two"),
        ({"factor": 2.0, "output_size": (2, 2)}, "one of the two"),
        ({"factor": 0.0}, "a positive number"),
        ({"factor": float("nan")}, "a positive number"),
        ({"output_size": (0, 4)}, "positive sizes"),
    ],
)
def test_impossible_sizes_are_refused(arguments: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BicubicResize((8, 8), **arguments)


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"height and width \(8, 6\), got \(6, 8\)"):
        BicubicResize((8, 6), 2.0)(np.zeros((1, 6, 8, 1)))


@pytest.mark.parametrize(("scale", "published_db"), [(2, 33.66), (3, 30.39), (4, 28.42)])
def test_set5_gets_the_published_scores_of_imresize(
    shared_data: Path, scale: int, published_db: float
) -> None:
    scores = []
    for path in sorted((shared_data / "sisr" / "Set5").glob("*.png")):
        rgb = np.asarray(Image.open(path).convert("RGB")) / 255.0
        luma = np.round(16 + rgb @ np.array([65.481, 128.553, 24.966])) / 255
        height, width = (n // scale * scale for n in luma.shape)
        truth = luma[None, :height, :width, None]
        small = BicubicResize((height, width), 1 / scale)(truth)
        found = np.asarray(BicubicResize((height // scale, width // scale), scale)(small))
        gap = np.round(np.clip(found, 0, 1) * 255) - np.round(truth * 255)
        inner = gap[0, scale:-scale, scale:-scale]
        scores.append(10 * np.log10(255**2 / np.mean(inner**2)))
    assert len(scores) == 5
    assert np.mean(scores) == pytest.approx(published_db, abs=0.02)


@pytest.mark.parametrize(("index", "scale"), [(0, 2), (1, 3), (2, 4)])
def test_kernels_fitted_to_imresize_do_nearly_the_same(shared_data: Path, index: int, scale: int) -> None:
    # These were fitted to imresize on photographs: to be convolved, keeping the samples 0, s, 2 s, ...
    kernel = np.squeeze(loadmat(shared_data / "kernels" / "kernels_bicubicx234.mat")["kernels"][0, index])
    taps = keys_cubic((np.arange(25) - 12 + (scale - 1) / 2) / scale)
    assert np.abs(kernel.sum(0) - taps / taps.sum()).max() < 0.05
    photo = (
        np.asarray(Image.open(shared_data / "sisr" / "Set5" / "baby.png").convert("L"))[:480, :480] / 255.0
    )
    fitted = fftconvolve(photo, kernel, mode="same")[::scale, ::scale]
    exact = np.asarray(BicubicResize((480, 480), 1 / scale)(photo[None, :, :, None]))[0, :, :, 0]
    inside = (slice(8, -8), slice(8, -8))
    assert np.abs(fitted[inside] - exact[inside]).max() < 0.02
    assert np.sqrt(np.mean((fitted[inside] - exact[inside]) ** 2)) < 0.002


@pytest.mark.parametrize("factor", [1.0, 1.1, 1.2, 1.6, 2.0, 3.3])
def test_a_factor_told_at_run_time_gives_the_same_picture(factor: float) -> None:
    compiled = tf.function(
        bicubic_enlarge_by,
        input_signature=[tf.TensorSpec((None, None, None, 2)), tf.TensorSpec((), tf.float64)],
    )
    for size in ((10, 7), (1, 13), (30, 41)):
        x = np.random.default_rng(3).random((2, *size, 2)).astype(np.float32)
        expected = BicubicResize(size, factor).forward(tf.constant(x))
        np.testing.assert_allclose(compiled(x, factor), expected, atol=2e-6)
