"""Features of colours: what noise of the colours adds to their products."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.closed_forms.colour_features import ColourFeatures, ColourMetric


@pytest.mark.parametrize("level", [np.inf, 1.0])
def test_the_noise_of_features_is_that_of_small_changes_of_each_channel(level: float) -> None:
    rng = np.random.default_rng(0)
    landmarks, colours = rng.standard_normal((20, 3)), rng.standard_normal((50, 3))
    variance = np.array([1e-6, 0.0, 3e-6])
    metric = ColourMetric.of(landmarks, np.full(3, -2.5), level)
    features = ColourFeatures.of(landmarks, metric, 2.0)
    expected = 0.0
    for channel in range(3):
        step = np.sqrt(variance[channel]) * np.eye(3)[channel]
        change = (features(colours + step) - features(colours - step)) / 2
        expected = expected + change.T @ change / len(colours)
    np.testing.assert_allclose(features.noise(colours, variance), expected, rtol=1e-5, atol=1e-12)
    assert np.abs(expected).max() > 1e-6
