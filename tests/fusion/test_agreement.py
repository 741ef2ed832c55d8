"""Images that differ by their noise agree at any level; an image off its place, and other ground, do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from hsr_tf.findings import ERROR, WARNING
from hsr_tf.fusion.agreement import ImageGap, gap_findings, measured_gap
from hsr_tf.fusion.residuals import Residuals
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf_spec import parse_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.radiometry import Radiometry
from hsr_tf.report.screen import metadata_facts

SCALE, SIDE, BANDS = 4, 128, 12
RESPONSE = np.stack([np.exp(-np.square((np.arange(BANDS) - at) / 3)) for at in (2, 6, 10)], 1)
RESPONSE /= RESPONSE.sum(0)
MODEL = ObservationModel(
    SpatialDegradation(parse_psf("gaussian:fwhm=4", SCALE), SCALE), SpectralResponse(RESPONSE)
)


def pair(snr_db: float | None, *, shift: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """X and Y of four random materials, blurred and sampled by SciPy; X lies off its place by a shift."""
    rng = np.random.default_rng(seed)
    maps = ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE, 4)), (3, 3, 0)) * 10
    shares = np.exp(maps) / np.exp(maps).sum(-1, keepdims=True)
    scene = shares @ (0.1 + ndimage.gaussian_filter1d(rng.random((4, BANDS)), 1.5))
    blurred = ndimage.gaussian_filter(scene, (4 / 2.3548, 4 / 2.3548, 0), mode="reflect")
    place = SCALE * (np.arange(SIDE // SCALE) + 0.5) - 0.5 + shift
    grid = np.meshgrid(place, place, indexing="ij")
    bands = [ndimage.map_coordinates(blurred[..., b], grid, order=5, mode="reflect") for b in range(BANDS)]
    images = [np.stack(bands, -1), scene @ RESPONSE]
    if snr_db is not None:
        images = [
            x + np.sqrt(np.square(x).mean((0, 1))) * 10 ** (-snr_db / 20) * rng.standard_normal(x.shape)
            for x in images
        ]
    return images[0].astype(np.float32), images[1].astype(np.float32)


@pytest.mark.parametrize("snr_db", [None, 40.0, 30.0, 20.0])
@pytest.mark.parametrize("seed", range(3))
def test_noise_explains_the_gap_of_images_that_fit(snr_db: float | None, seed: int) -> None:
    found = measured_gap(MODEL, *pair(snr_db, seed=seed))
    assert found is not None and found.changed < 0.01 and gap_findings(found) == ()
    if snr_db is not None:
        assert 0.7 < found.excess < 1.2


@pytest.mark.parametrize("snr_db", [None, 40.0, 30.0])
def test_an_image_off_its_place_is_found(snr_db: float | None) -> None:
    found = measured_gap(MODEL, *pair(snr_db, shift=2.5))
    assert found is not None
    findings = gap_findings(found)
    assert (findings[0].topic, findings[0].severity) == ("agreement", WARNING if snr_db else ERROR)


def test_other_ground_is_counted_apart() -> None:
    lr_hsi, hr_msi = pair(35.0)
    other = pair(35.0, seed=9)[1]
    hr_msi[16:48, 60:100] = other[16:48, 60:100]
    found = measured_gap(MODEL, lr_hsi, hr_msi)
    assert found is not None and found.excess < 1.5
    assert found.changed == pytest.approx(32 * 40 / SIDE**2, rel=0.5)
    assert [(one.severity, one.topic) for one in gap_findings(found)] == [(WARNING, "change")]


def test_pixels_that_do_not_count_change_nothing() -> None:
    lr_hsi, hr_msi = pair(35.0)
    counted = np.ones(lr_hsi.shape[:2], bool)
    counted[5:9, 5:9] = False
    lr_hsi[5:9, 5:9] = 7.0
    found = measured_gap(MODEL, lr_hsi, hr_msi, counted=counted)
    assert found is not None and gap_findings(found) == ()
    assert measured_gap(MODEL, lr_hsi, hr_msi, counted=counted & (np.arange(32) < 1)) is None


def test_figures_are_in_plain_numbers() -> None:
    lines = [one.found for one in gap_findings(ImageGap(0.0312, 0.002, 0.0512))]
    assert lines == [
        "where both images show the same they differ by 3.1 %, 15.6 times what noise explains",
        "the two images differ on 5.1 % of the ground (changed, moved, or under a cloud)",
    ]
    assert "over 1000 times" in gap_findings(ImageGap(0.5, 1e-9, 0.0))[0].found
    assert [one.severity for one in gap_findings(ImageGap(0.03, 0.001, 0.3))] == [ERROR, ERROR]
    assert [one.severity for one in gap_findings(ImageGap(0.008, 0.001, 0.0))] == [WARNING]


def test_a_photograph_that_was_processed_is_not_relied_on() -> None:
    photograph = Radiometry("sRGB")
    (found,) = gap_findings(ImageGap(0.008, 0.001, 0.0), photograph)
    assert found.severity == ERROR and "uncompressed" in found.advice
    assert gap_findings(ImageGap(0.008, 0.006, 0.0), photograph) == ()
    (offset,) = gap_findings(ImageGap(0.008, 0.001, 0.0), Radiometry(offset=(0.1, 0.1, 0.1)))
    assert offset.severity == WARNING


@pytest.mark.parametrize("snr_db", [None, 30.0])
def test_zeros_outside_are_seen_along_the_edges(snr_db: float | None) -> None:
    lr_hsi, hr_msi = pair(snr_db)
    found = measured_gap(MODEL, lr_hsi, hr_msi)
    assert found is not None and found.darker == 0
    inside = ndimage.gaussian_filter(np.ones((SIDE, SIDE)), 4 / 2.3548, mode="constant")
    lr_hsi *= inside.reshape(32, SCALE, 32, SCALE).mean((1, 3))[..., None].astype(np.float32)
    found = measured_gap(MODEL, lr_hsi, hr_msi)
    assert found is not None and 0.08 < found.darker < 0.2
    first = gap_findings(found)[0]
    assert (first.severity, first.topic) == (ERROR, "edges")


def test_an_image_that_is_darker_everywhere_is_not_darker_along_its_edges() -> None:
    lr_hsi, hr_msi = pair(None)
    found = measured_gap(MODEL, 0.6 * lr_hsi, hr_msi)
    assert found is not None and found.darker == 0
    assert [one.topic for one in gap_findings(found)] == ["agreement"]


def test_the_rounding_of_an_eight_bit_image_is_noise_and_the_screen_says_so() -> None:
    lr_hsi, hr_msi = pair(None)
    rounded = (np.round(255 * hr_msi) / 255).astype(np.float32)
    exact, found = (measured_gap(MODEL, lr_hsi, one) for one in (hr_msi, rounded))
    assert exact is not None
    assert found is not None
    assert exact.rounding == 0
    assert found.share**2 - exact.share**2 == pytest.approx(found.rounding**2, rel=0.25)
    assert found.noise >= found.rounding
    facts = {"psf": "a", "srf": "b", "trust": 0.04, "disagreement": 1.2 * found.rounding}
    facts |= Residuals(gap=found).facts
    said = dict(metadata_facts(facts))["trust"]
    assert "as the rounding of hr_msi to the levels of its file explains" in said
    facts |= {"disagreement": 9 * found.noise}
    assert "their noise by" in dict(metadata_facts(facts))["trust"]
    assert "explains" not in dict(metadata_facts({**facts, "trust": 1.0}))["trust"]
