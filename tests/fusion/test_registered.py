"""A pair is registered where that is clearly better than as it is, once, and another place is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import hsr_tf
from hsr_tf.findings import ERROR, NOTE, OK
from hsr_tf.fusion.alignment import align
from hsr_tf.fusion.registered import align_registered
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.registration.transform import Transform
from hsr_tf.scene import Scene
from tests.registered_for_tests import PlacedPair, placed_pair, similarity

BANDS, CENTRES = np.arange(12)[:, None], np.array([0.7, 0.45, 0.2]) * 11


def psnr(pair: PlacedPair) -> float:
    """dB of `spectral_ls` with the true cameras, on the inner pixels."""
    response = np.exp(-0.5 * ((BANDS - CENTRES) / 1.2) ** 2)
    registered = align_registered(pair.lr_hsi, pair.hr_msi)
    observation = registered.aligned.observation
    solution = registered.finished(hsr_tf.fuse(observation, srf=SpectralResponse(response / response.sum(0))))
    assert solution.estimate.shape == pair.truth.shape
    inner = np.s_[24:-24, 24:-24]
    return float(-10 * np.log10(np.square(solution.estimate.cube[inner] - pair.truth[inner]).mean()))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_estimate_of_a_registered_pair_is_as_good_on_the_sharp_pixels() -> None:
    straight = psnr(placed_pair(similarity(0.0, 4.0, (0.0, 0.0), sizes=(32, 128)), side=32, snr_db=40))
    for degrees, shift in ((3.0, (0.0, 0.0)), (90.0, (0.0, 0.0)), (0.0, (5.5, 5.5))):
        pair = placed_pair(similarity(degrees, 4.0, shift, sizes=(32, 128)), side=32, snr_db=40)
        assert psnr(pair) > straight - 1.0


def test_whole_shifts_are_named_and_crop_without_interpolation() -> None:
    pair = placed_pair(similarity(0.0, 4.0, (4.0, -3.0), sizes=(32, 128)), side=32)
    found = align_registered(pair.lr_hsi, pair.hr_msi, psf="estimate")
    assert found.finding is not None and found.finding.severity == NOTE
    assert "+4.00 rows, -3.00 columns" in found.finding.found
    # The coarse pixels whose cells lie in the sharp image: all but the last row and the first column.
    np.testing.assert_array_equal(found.aligned.observation.hr_msi.cube, pair.hr_msi.cube[4:, 1:125])


@pytest.mark.slow
def test_a_small_shift_is_left_to_an_estimated_psf() -> None:
    pair = placed_pair(similarity(0.0, 4.0, (0.8, -1.1), sizes=(24, 96)), side=24, sharp_side=96)
    left = align_registered(pair.lr_hsi, pair.hr_msi, psf="estimate").aligned
    assert left.observation.hr_msi is pair.hr_msi
    assert align_registered(pair.lr_hsi, pair.hr_msi).aligned.nesting is not None
    assert align_registered(pair.lr_hsi, pair.hr_msi, search=False).registration is None


def test_an_aligned_pair_is_the_same_object_and_another_place_an_error() -> None:
    pair = placed_pair(similarity(0.0, 4.0, (0.0, 0.0), sizes=(16, 64)), side=16, sharp_side=64)
    found = align_registered(pair.lr_hsi, pair.hr_msi)
    assert found.aligned.observation.hr_msi is pair.hr_msi
    assert found.finding is not None and found.finding.severity == OK
    other = Scene(np.random.default_rng(0).random((64, 64, 3), np.float32))
    refused = align_registered(pair.lr_hsi, other)
    assert [finding.severity for finding in refused.warnings] == [ERROR]
    with pytest.raises(ValueError, match="matches lr_hsi nowhere beyond chance"):
        align_registered(pair.lr_hsi, replace(other, cube=other.cube[:-3]))


@pytest.mark.parametrize("name", ["lr_hsi", "hr_msi"])
def test_an_image_without_any_data_is_refused_by_its_name(name: str) -> None:
    scene = Scene(np.random.default_rng(0).random((64, 64, 31)), 400 + 10.0 * np.arange(31))
    pair = hsr_tf.simulate(scene, scale=4)
    images = {"lr_hsi": pair.lr_hsi, "hr_msi": pair.hr_msi}
    images[name] = replace(images[name], nodata_mask=np.ones(images[name].shape[:2], bool))
    with pytest.raises(ValueError, match=f"{name}: expected data in some pixels"):
        align_registered(**images)


def test_a_given_transform_is_used_as_it_is() -> None:
    pair = placed_pair(similarity(2.0, 4.0, (0.0, 0.0), sizes=(16, 64)), side=16, sharp_side=64)
    known = Transform(pair.matrix, (16, 16), (64, 64))
    found = align_registered(pair.lr_hsi, pair.hr_msi, transform=known)
    assert found.registration is None
    expected = align(pair.lr_hsi, pair.hr_msi, transform=known).observation.hr_msi.cube
    np.testing.assert_array_equal(found.aligned.observation.hr_msi.cube, expected)
