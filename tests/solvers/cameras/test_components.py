"""Cameras are found from more bands than coarse pixels, by components; what cannot be found is refused."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.fusion.check.cameras import fwhm_pixels
from hsr_tf.solvers.cameras.camera_search import PsfSrfConfig
from hsr_tf.solvers.cameras.components import num_components, on_components
from hsr_tf.solvers.cameras.psf_srf import estimate_psf_srf
from tests.pairs_for_tests import KnownPair, known_pair, noisy

QUICK = PsfSrfConfig(max_refinements=0)


@pytest.fixture(scope="module")
def pair() -> KnownPair:
    return known_pair((12, 14), num_bands=160, num_spectra=5)


@pytest.mark.parametrize("snr_db", [None, 35.0])
def test_cameras_are_found_with_more_bands_than_coarse_pixels(pair: KnownPair, snr_db: float | None) -> None:
    lr_hsi = pair.lr_hsi if snr_db is None else noisy(pair.lr_hsi, snr_db, 1)
    found = estimate_psf_srf(lr_hsi, pair.hr_msi, pair.scale, QUICK)
    np.testing.assert_allclose(fwhm_pixels(found.psf), 3.76, rtol=0.06)  # 4 without the cut at 8 taps
    np.testing.assert_allclose(found.srf.sum(0), 1.0, rtol=0.05)
    assert np.abs(found.shift).max() < 0.1
    assert found.explained.max() < 0.02
    assert found.srf.shape == (160, 3)


def test_components_are_those_above_the_noise(pair: KnownPair) -> None:
    rank = num_components(noisy(pair.lr_hsi, 30.0, 2))
    assert rank is not None
    assert 3 <= rank <= 6
    projected = on_components(pair.lr_hsi, 5)
    assert np.linalg.matrix_rank(projected.reshape(-1, 160), tol=1e-4) <= 5
    assert np.abs(projected - pair.lr_hsi).max() < 0.02


def test_many_pixels_keep_all_bands() -> None:
    assert num_components(np.ones((30, 30, 31), np.float32)) is None


def test_images_that_nothing_relates_are_refused() -> None:
    generator = np.random.default_rng(0)
    lr_hsi = generator.standard_normal((8, 8, 100)).astype(np.float32)
    hr_msi = generator.standard_normal((32, 32, 3)).astype(np.float32)
    with pytest.raises(
        ValueError, match=r"lr_hsi: expected two images of the same ground.*give both cameras"
    ):
        estimate_psf_srf(lr_hsi, hr_msi, 4, QUICK)
