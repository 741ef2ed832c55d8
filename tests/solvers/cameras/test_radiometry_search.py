"""Tone curves and offsets are found where they are, and never where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.fusion.check.cameras import fwhm_pixels
from hsr_tf.solvers.cameras.camera_search import PsfSrfConfig
from hsr_tf.solvers.cameras.psf_srf import estimate_psf_srf
from hsr_tf.solvers.cameras.radiometry_search import linear_search
from tests.pairs_for_tests import GAIN, OFFSET, KnownPair, known_pair, noisy, srgb

LOOKING = PsfSrfConfig(radiometry=True)


@pytest.fixture(scope="module")
def pair() -> KnownPair:
    return known_pair()


@pytest.mark.parametrize("snr_db", [None, 40.0, 30.0])
def test_a_linear_image_is_left_as_it_is(pair: KnownPair, snr_db: float | None) -> None:
    images = pair.lr_hsi, pair.hr_msi
    if snr_db is not None:
        images = noisy(pair.lr_hsi, snr_db, 1), noisy(pair.hr_msi, snr_db, 2)
    found = linear_search(*images, pair.scale, LOOKING)
    assert found.radiometry.is_identity
    assert not found.has_offset


@pytest.mark.parametrize(
    ("coded", "curve"),
    [
        (srgb, "sRGB"),
        (lambda light: srgb(light, 256), "sRGB"),
        (lambda light: 255 * srgb(light, 256), "sRGB"),
        (lambda light: srgb(np.clip(noisy(light, 35.0, 3), 0, 1), 65536), "sRGB"),
        (lambda light: light ** np.float32(1 / 2.2), "gamma 2.2"),
        (lambda light: 400 * light ** np.float32(1 / 1.8), "gamma 1.8"),
    ],
    ids=["sRGB", "8 bits", "counts", "16 bits of noise", "gamma 2.2", "gamma 1.8"],
)
def test_a_tone_curve_is_named(pair: KnownPair, coded, curve: str) -> None:  # type: ignore[no-untyped-def]
    found = linear_search(pair.lr_hsi, coded(pair.hr_msi), pair.scale, LOOKING)
    assert found.radiometry.curve == curve


def test_offset_and_gain_are_measured_and_the_psf_is_that_of_the_clean_pair(pair: KnownPair) -> None:
    config = PsfSrfConfig(radiometry=True, max_refinements=0)
    clean = estimate_psf_srf(pair.lr_hsi, pair.hr_msi, pair.scale, config)
    changed = np.float32(GAIN) * pair.hr_msi + np.float32(OFFSET)
    found = estimate_psf_srf(pair.lr_hsi, changed, pair.scale, config)
    assert clean.radiometry.is_identity
    np.testing.assert_allclose(found.radiometry.offset, OFFSET, atol=5e-4)
    np.testing.assert_allclose(found.srf.sum(0) / clean.srf.sum(0), GAIN, rtol=0.01)
    np.testing.assert_allclose(fwhm_pixels(found.psf), fwhm_pixels(clean.psf), atol=0.02)
    assert found.explained.max() < 1e-3
