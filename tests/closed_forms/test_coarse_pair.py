"""Weights of coarse pixels by the agreement of the images, with and without completed ones."""

from __future__ import annotations

import numpy as np

from hsr_tf.closed_forms.coarse_pair import CoarsePair, pixel_weights
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse

MODEL = ObservationModel(SpatialDegradation(Psf(np.ones((2, 2))), 2), SpectralResponse(np.eye(3)))


def coarse_pair(apart: np.ndarray, compared: np.ndarray | None = None) -> CoarsePair:
    """Images that differ by so much, (h, w)."""
    lr_hsi = np.random.default_rng(0).uniform(0.3, 0.7, (*apart.shape, 3)).astype("f4")
    colours = lr_hsi + apart[..., None].astype("f4")
    features = np.concatenate([np.ones_like(colours[..., :1]), colours], -1)
    return CoarsePair(apart.shape, lambda rows: (features[rows], lr_hsi[rows]), compared=compared)


def test_what_a_completion_left_costs_no_weight_and_changed_ground_does() -> None:
    rng = np.random.default_rng(1)
    compared = np.arange(400).reshape(20, 20) < 200
    apart = np.where(compared, 0, 5e-3 * rng.random((20, 20)) ** 2)
    apart[15, 7] *= 8
    apart[3, 4] = apart[17, 9] = 0.5
    found = pixel_weights(coarse_pair(apart, compared), MODEL)
    changed = np.zeros((20, 20), bool)
    changed[3, 4] = changed[17, 9] = True
    assert found.weights[~changed].min() == 1
    assert found.weights[changed].max() < 0.3
    np.testing.assert_array_equal(found.compared, compared)


def test_without_enough_compared_pixels_all_are_and_outliers_are_not_summed() -> None:
    apart = np.full((20, 20), 1e-3)
    apart[10, 10] = 0.3
    found = pixel_weights(coarse_pair(apart, np.zeros((20, 20), bool)), MODEL)
    assert found.compared.all()
    assert found.gaps.sum() < 1.2 * 3 * 400 * 1e-6
