"""Wrong cameras and changed ground are told apart, and noise is neither."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.closed_forms.agreement import Agreement, agreement_of
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spatial import SpatialDegradation
from tests.pairs_for_tests import KnownPair, known_pair, noisy


@pytest.fixture(scope="module")
def pair() -> KnownPair:
    return known_pair((24, 28))


def agreement(
    pair: KnownPair, *, hr_msi: np.ndarray | None = None, width: float = 1.0, snr_db: float | None = None
) -> Agreement:
    taps = pair.psf.kernel.sum(1) ** (1 / width**2)
    spatial = SpatialDegradation(Psf(np.outer(taps, taps) / taps.sum() ** 2), pair.scale)
    images = pair.lr_hsi, pair.hr_msi if hr_msi is None else hr_msi
    if snr_db is not None:
        images = noisy(images[0], snr_db, 1), noisy(images[1], snr_db, 2)
    return agreement_of(ObservationModel(spatial, pair.srf), *images)


def moved(pair: KnownPair) -> np.ndarray:
    changed = pair.hr_msi.copy()
    changed[10:42, 16:48] = pair.hr_msi[50:82, 60:92]
    return changed


@pytest.mark.parametrize("snr_db", [None, 40.0, 30.0, 25.0])
def test_noise_is_neither_a_wrong_camera_nor_a_change(pair: KnownPair, snr_db: float | None) -> None:
    found = agreement(pair, snr_db=snr_db)
    assert found.suspicion is None
    assert found.changed_share == 0


@pytest.mark.parametrize("snr_db", [None, 30.0])
@pytest.mark.parametrize("width", [0.7, 1.3])
def test_a_psf_of_another_width_is_suspected_and_nothing_has_changed(
    pair: KnownPair, width: float, snr_db: float | None
) -> None:
    found = agreement(pair, width=width, snr_db=snr_db)
    assert found.suspicion is not None
    assert found.suspicion.cause == "psf"
    assert found.changed_share < 0.01


@pytest.mark.parametrize("snr_db", [None, 30.0])
def test_changed_ground_is_found_and_no_camera_suspected(pair: KnownPair, snr_db: float | None) -> None:
    found = agreement(pair, hr_msi=moved(pair), snr_db=snr_db)
    assert found.suspicion is None
    assert found.changed is not None
    assert found.changed[4:9, 6:10].mean() > 0.8
    outside = found.changed.copy()
    outside[1:12, 3:13] = False
    assert not outside.any()


def test_a_wrong_psf_is_suspected_beside_changed_ground(pair: KnownPair) -> None:
    found = agreement(pair, hr_msi=moved(pair), width=1.4)
    assert found.suspicion is not None
    assert found.suspicion.cause == "psf"
    assert 0.05 < found.changed_share < 0.15
