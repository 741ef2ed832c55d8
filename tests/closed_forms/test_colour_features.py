"""Features of colours: what noise of the colours adds to their products."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.closed_forms.colour_features import ColourFeatures, ColourMetric, kernel_values


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


def even_surface() -> tuple[np.ndarray, np.ndarray, ColourMetric]:
    """Landmarks and colours that differ by a hundredth of their brightness."""
    rng = np.random.default_rng(1)
    landmarks, colours = rng.standard_normal((120, 3)), rng.standard_normal((400, 3))
    return landmarks, colours, ColourMetric.of(landmarks, np.full(3, -100.0), 30.0)


def test_noise_never_lowers_the_energy_of_a_map_of_an_even_surface() -> None:
    """N has no negative eigenvalue: a fit that it seems to gain by would be preferred to all others."""
    landmarks, colours, metric = even_surface()
    features = ColourFeatures.of(landmarks, metric, 2.0)
    values = np.linalg.eigvalsh(features.noise(colours, np.array([0.1, 0.2, 0.3])))
    assert values[0] > -1e-8 * values[-1]


def test_kernels_of_an_even_surface_do_not_depend_on_the_precision() -> None:
    landmarks, colours, metric = even_surface()
    exact = kernel_values(colours, landmarks, metric, 2.0)
    found = kernel_values(colours.astype(np.float32), landmarks.astype(np.float32), metric, 2.0)
    np.testing.assert_allclose(found, exact, rtol=3e-4)
