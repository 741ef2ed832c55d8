"""Cameras of tensors: the degradation that they are, their start, and gradients to every weight."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from hsr_tf.physics.learned import LearnedCameras, degrade, reach
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spatial import SpatialDegradation


@pytest.mark.parametrize("border", ["mirrored", "circular"])
@pytest.mark.parametrize(
    ("scale", "taps"), [(2, (4, 4)), (3, (7, 5)), (4, (3, 10)), (3, (1, 1)), (2, (5, 6)), (4, (2, 2))]
)
def test_it_is_the_spatial_degradation_of_the_same_kernel(
    scale: int, taps: tuple[int, int], border: str
) -> None:
    rng = np.random.default_rng(0)
    psf = Psf(rng.random(taps) ** 2)
    image = ops.convert_to_tensor(rng.random((2, 8 * scale, 6 * scale, 3)).astype(np.float32))
    known = SpatialDegradation(psf, scale, border=border).forward(image)
    kernel = ops.convert_to_tensor(psf.kernel.astype(np.float32))
    np.testing.assert_allclose(degrade(image, kernel, scale, border=border), known, atol=2e-6)


def test_reach_counts_the_cells_that_a_pixel_sees() -> None:
    assert reach(4, 4) == (0, 0)
    assert reach(8, 4) == (1, 1)
    assert reach(5, 4) == (1, 0)
    kernel = np.zeros((8, 8), np.float32)
    kernel[0, 0] = 1.0
    image = np.zeros((1, 16, 16, 1), np.float32)
    image[0, 9, 9] = 1.0
    assert np.argwhere(np.asarray(degrade(ops.convert_to_tensor(image), kernel, 4))[0, ..., 0]).tolist() == [
        [1, 1]
    ]


@pytest.mark.parametrize("num_scales", [1, 4])
def test_learnt_cameras_start_where_they_are_told_and_stay_cameras(num_scales: int) -> None:
    rng = np.random.default_rng(1)
    psf, srf = Psf(rng.random((5, 4)) + 0.1), rng.random((7, 3)) * 0.2
    cameras = LearnedCameras(psf, srf, num_scales=num_scales)
    np.testing.assert_allclose(cameras.kernel(), psf.kernel, rtol=1e-5)
    np.testing.assert_allclose(cameras.response(), srf, atol=1e-6)
    for variable in cameras.variables:
        variable.assign(3 * rng.standard_normal(variable.shape))
    model = cameras.model(2)
    assert model.spatial.psf.kernel.sum() == pytest.approx(1.0)
    assert model.spectral.matrix.min() >= 0
    assert model.spatial.scale == 2


def test_gradients_find_a_kernel_and_a_response_from_a_flat_start() -> None:
    rng = np.random.default_rng(2)
    sharp = rng.random((1, 24, 18, 5)).astype(np.float32)
    psf, srf = Psf(rng.random((3, 5)) ** 3), rng.random((5, 2))
    coarse = SpatialDegradation(psf, 3).forward(ops.convert_to_tensor(sharp))
    colour = sharp @ srf.astype(np.float32)
    cameras = LearnedCameras(Psf(np.ones((3, 5))), np.full((5, 2), 0.5))
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build(cameras.variables)

    @tf.function(autograph=False)
    def step() -> None:
        with tf.GradientTape() as tape:
            gaps = (
                coarse - degrade(sharp, cameras.kernel(), 3),
                colour - ops.matmul(sharp, cameras.response()),
            )
            loss = sum(tf.reduce_mean(tf.square(gap)) for gap in gaps)
        optimizer.apply(tape.gradient(loss, cameras.variables), cameras.variables)

    for _ in range(300):
        step()
    np.testing.assert_allclose(cameras.kernel(), psf.kernel, atol=0.02)
    np.testing.assert_allclose(cameras.response(), srf, atol=0.02)
