"""What `prior` is told of bands, scenes and cameras, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.networks.prior_scene import describe_bands, describe_pair, psf_deviations, scene_statistics
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import gaussian_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse


def test_bands_are_described_by_how_channels_see_them() -> None:
    response = np.zeros((5, 2))
    response[0, 0] = response[3, 1] = 1.0
    described = describe_bands([400, 500, 600, 700, 800], response)
    assert described[:, -2].tolist() == [1, 0, 0, 1, 0]
    assert np.isfinite(describe_bands([500.0], np.ones((1, 1)))).all()


def test_white_noise_is_rough_and_a_ramp_is_not() -> None:
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((1, 60, 60, 1))
    ramp = np.broadcast_to(np.arange(60.0)[:, None, None], (60, 60, 1))[None]
    found = scene_statistics(np.ones((1, 60, 60, 2)), np.concatenate([noise, ramp], -1))
    np.testing.assert_allclose(found[0, :, 2], [1.25, 0.0], atol=0.1)
    np.testing.assert_allclose(found[0, 0, :2], [1.0, 1.0], atol=0.05)


def test_the_width_of_a_psf_is_given_in_coarse_pixels() -> None:
    for scale in (4, 8):
        wide_enough = gaussian_psf(scale, support=6 * scale)
        own = ObservationModel(SpatialDegradation(wide_enough, scale), SpectralResponse(np.ones((3, 1))))
        assert psf_deviations(own) == pytest.approx((1 / 2.35482, 1 / 2.35482), rel=1e-4)
    assert len(describe_pair(8, (0.4, 0.4), 3)) == len(describe_pair(32, (1, 0.2), 16, 0.5))
