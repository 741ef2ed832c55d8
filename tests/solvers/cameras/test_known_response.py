"""Gain, offset and curve of a sharp image whose response is known are measured where there are any."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.radiometry import Radiometry
from hsr_tf.solvers.cameras.known_response import known_radiometry
from tests.pairs_for_tests import KnownPair, known_pair, noisy, srgb


@pytest.fixture(scope="module")
def pair() -> KnownPair:
    return known_pair()


def found_in(
    pair: KnownPair, hr_msi: np.ndarray, *, width: float = 1.0, curve: str | None = None
) -> Radiometry:
    taps = pair.psf.kernel.sum(1) ** (1 / width**2)  # a Gaussian of another width
    psf = Psf(np.outer(taps, taps) / taps.sum() ** 2)
    model = ObservationModel(SpatialDegradation(psf, pair.scale), pair.srf)
    images = pair.observation(hr_msi.astype(np.float32))
    return known_radiometry(model, images, np.ones(pair.lr_hsi.shape[:2], bool), curve=curve)


@pytest.mark.parametrize("snr_db", [None, 40.0, 30.0, 20.0])
@pytest.mark.parametrize("width", [1.0, 0.7, 1.3])
def test_values_that_fit_are_left_alone_even_with_a_wrong_psf(
    pair: KnownPair, snr_db: float | None, width: float
) -> None:
    hr_msi = pair.hr_msi if snr_db is None else noisy(pair.hr_msi, snr_db, 1)
    assert found_in(pair, hr_msi, width=width).is_identity


@pytest.mark.parametrize("snr_db", [None, 35.0])
def test_gains_and_offsets_of_every_channel_are_measured(pair: KnownPair, snr_db: float | None) -> None:
    gains, offsets = np.array([0.55, 1.3, 2.0]), np.array([0.08, -0.02, 0.1])
    changed = pair.hr_msi * gains + offsets
    found = found_in(pair, changed if snr_db is None else noisy(changed, snr_db, 2))
    tolerance = 1e-3 if snr_db is None else 0.02
    np.testing.assert_allclose(found.divisor, gains, rtol=tolerance)
    np.testing.assert_allclose(found.offset, offsets, atol=tolerance)
    assert found.curve == "linear"


def test_changed_ground_and_clipped_highlights_are_no_evidence(pair: KnownPair) -> None:
    changed = 0.5 * pair.hr_msi + 0.1
    changed[:30, :40] = changed[40:70, 50:90]
    found = found_in(pair, np.minimum(changed, np.quantile(changed, 0.99)))
    np.testing.assert_allclose(found.divisor, 0.5, rtol=0.02)
    np.testing.assert_allclose(found.offset, 0.1, atol=0.01)


@pytest.mark.parametrize("gamma", [0.7, 1.45, 2.6])
def test_any_gamma_is_found(pair: KnownPair, gamma: float) -> None:
    assert found_in(pair, 255 * pair.hr_msi ** (1 / gamma)).curve == f"gamma {gamma:g}"


def test_a_curve_that_is_named_is_taken_and_the_rest_measured(pair: KnownPair) -> None:
    found = found_in(pair, srgb(0.5 * pair.hr_msi), curve="sRGB")
    assert found.curve == "sRGB"
    np.testing.assert_allclose(found.divisor, 0.5, rtol=1e-3)
    assert found.offset == ()


def test_a_response_that_is_wrong_gets_no_gain(pair: KnownPair) -> None:
    matrix = np.roll(pair.srf.matrix, 1, axis=0)
    model = ObservationModel(SpatialDegradation(pair.psf, pair.scale), SpectralResponse(matrix))
    trusted = np.ones(pair.lr_hsi.shape[:2], bool)
    assert known_radiometry(model, pair.observation(pair.hr_msi), trusted).is_identity
