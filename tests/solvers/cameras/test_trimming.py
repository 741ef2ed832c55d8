"""Ground that the images show differently does not bend the cameras, and takes part where nothing changed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from hsr_tf.fusion.check.cameras import fwhm_pixels
from hsr_tf.solvers.cameras.camera_search import PsfSrfConfig
from hsr_tf.solvers.cameras.psf_srf import CameraEstimate, estimate_psf_srf
from hsr_tf.solvers.cameras.trimming import agreeing_pixels, trimmed_mean
from tests.pairs_for_tests import KnownPair, known_pair, noisy

QUICK = PsfSrfConfig(radiometry=True, max_refinements=0)


@pytest.fixture(scope="module")
def pair() -> KnownPair:
    return known_pair((24, 28))


def estimated(pair: KnownPair, hr_msi: np.ndarray, snr_db: float | None = None) -> CameraEstimate:
    images = pair.lr_hsi, hr_msi.astype(np.float32)
    if snr_db is not None:
        images = noisy(images[0], snr_db, 1), noisy(images[1], snr_db, 2)
    return estimate_psf_srf(*images, pair.scale, QUICK)


def moved(hr_msi: np.ndarray) -> np.ndarray:
    """A tenth of the ground shows what lies elsewhere."""
    changed = hr_msi.copy()
    changed[10:42, 16:48] = hr_msi[50:82, 60:92]
    return changed


def clouded(hr_msi: np.ndarray) -> np.ndarray:
    """A cloud with soft edges over an eighth of the ground."""
    rows, cols = np.mgrid[: hr_msi.shape[0], : hr_msi.shape[1]]
    cover = np.clip(1.5 - np.hypot(rows - 40, cols - 60) / 16, 0, 0.9)[..., None]
    return (1 - cover) * hr_msi + 0.9 * cover


@pytest.mark.parametrize("snr_db", [None, 35.0])
@pytest.mark.parametrize("change", [moved, clouded])
def test_cameras_are_those_of_the_unchanged_ground(
    pair: KnownPair,
    change,
    snr_db: float | None,  # type: ignore[no-untyped-def]
) -> None:
    plain, found = estimated(pair, pair.hr_msi, snr_db), estimated(pair, change(pair.hr_msi), snr_db)
    assert found.radiometry.is_identity
    np.testing.assert_allclose(fwhm_pixels(found.psf), fwhm_pixels(plain.psf), atol=0.15)
    np.testing.assert_allclose(found.srf.sum(0), 1.0, atol=0.04)
    assert np.abs(found.shift).max() < 0.05
    assert found.explained.max() < 0.03
    apart = np.abs(change(pair.hr_msi) - pair.hr_msi).max(-1) > 0.1
    coarse = apart.reshape(24, 4, 28, 4).mean((1, 3)) > 0.5
    assert found.disagreeing[ndimage.binary_erosion(coarse)].all()
    assert not plain.disagreeing.any()


@pytest.mark.parametrize("mode", ["constant", "wrap", "nearest"])
def test_what_lies_outside_of_the_image_does_not_matter(pair: KnownPair, mode: str) -> None:
    taps = pair.psf.kernel.sum(0)
    coarse = pair.truth.astype(np.float64)
    for axis in (0, 1):
        blurred = ndimage.correlate1d(coarse, taps, axis=axis, mode=mode)
        coarse = np.take(blurred, np.arange(pair.scale // 2, blurred.shape[axis], pair.scale), axis=axis)
    found = estimate_psf_srf(coarse.astype(np.float32), pair.hr_msi, pair.scale, QUICK)
    np.testing.assert_allclose(fwhm_pixels(found.psf), 3.76, rtol=0.01)
    assert found.explained.max() < 1e-3


def test_outliers_and_their_neighbours_are_left_out() -> None:
    sizes = np.full((9, 9), 0.02)
    sizes[4, 4] = 1.0
    kept = agreeing_pixels(sizes, np.ones((9, 9), bool))
    assert not kept[3:6, 3:6].any()
    assert kept.sum() == 81 - 9
    everywhere = np.where(np.arange(81).reshape(9, 9) % 2, 1.0, 0.02)
    assert agreeing_pixels(everywhere, np.ones((9, 9), bool)).all()


def test_a_trimmed_mean_leaves_out_the_largest() -> None:
    assert trimmed_mean(np.array([1.0, 2.0, 3.0, 100.0, 1000.0]), 0.6) == 2.0
