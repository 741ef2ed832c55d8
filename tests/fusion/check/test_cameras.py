"""A check names the tone curve, gain and offset of the sharp image, and ground that changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import hsr_tf
from hsr_tf.findings import NOTE, OK, WARNING
from hsr_tf.fusion.check import check_pair
from hsr_tf.scene import Observation, Scene
from tests.fusion.check_for_tests import CAVE_NM, SCALE, on
from tests.pairs_for_tests import KnownPair, known_pair, noisy, srgb
from tests.solvers.scenes import mixture


@pytest.fixture(scope="module")
def shaded() -> KnownPair:
    return known_pair()


@pytest.fixture(scope="module")
def made() -> Observation:
    """A simulated pair, whose files say how it was made."""
    scene = Scene(mixture(80, 96, 31, num_spectra=8, edge=0.6), CAVE_NM)
    return hsr_tf.simulate(scene, scale=SCALE, snr_db=(45.0, 45.0))


@pytest.mark.parametrize(
    ("change", "severity", "said"),
    [
        pytest.param(lambda light: light, OK, "linear in light", id="linear", marks=pytest.mark.slow),
        pytest.param(
            lambda light: 0.55 * light + 0.08, NOTE, "offset 0.080", id="offset", marks=pytest.mark.slow
        ),
        pytest.param(lambda light: srgb(light, 256), NOTE, "tone curve sRGB", id="sRGB"),
    ],
)
def test_tone_curves_and_offsets_are_found_with_the_cameras(
    shaded: KnownPair, change: Callable[[Any], Any], severity: str, said: str
) -> None:
    found = check_pair(Scene(noisy(shaded.lr_hsi, 50, 1)), Scene(change(shaded.hr_msi)))
    (finding,) = on(found, "radiometry")
    assert (finding.severity, said in finding.found) == (severity, True), finding
    assert ("undoes it" in finding.advice) == (severity != OK)
    (psf,) = on(found, "psf")
    assert [float(word) for word in psf.found.split()[0:3:2]] == pytest.approx([3.76, 3.76], rel=0.05)
    assert [finding.severity for finding in on(found, "agreement")] == [OK]
    assert severity != OK or on(found, "change") == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda light: 0.55 * light, "hr_msi has other units than lr_hsi: gain 0.55"),
        (lambda light: 0.55 * light + 0.08, "hr_msi has an offset"),
        (srgb, "the tone curve sRGB"),
    ],
    ids=["gain", "offset", "sRGB"],
)
def test_known_cameras_keep_their_names_beside_a_gain_or_a_curve(
    made: Observation, change: Callable[[Any], Any], said: str
) -> None:
    changed = replace(made.hr_msi, cube=change(made.hr_msi.cube))
    found = check_pair(made.lr_hsi, changed)
    (finding,) = on(found, "radiometry")
    assert finding.severity == NOTE
    assert said in finding.found
    assert "undoes it" in finding.advice
    assert "srf" not in dict(found.flags)
    assert [finding.severity for finding in on(found, "cameras")] == [OK]


def test_known_cameras_of_linear_images_are_not_spoken_of(made: Observation) -> None:
    assert on(check_pair(made.lr_hsi, made.hr_msi), "radiometry") == []


def test_changed_ground_is_a_warning_of_its_own(shaded: KnownPair) -> None:
    changed = shaded.hr_msi.copy()
    changed[8:40, 8:36] = changed[44:76, 60:88]
    found = check_pair(Scene(noisy(shaded.lr_hsi, 50, 1)), Scene(changed))
    (finding,) = on(found, "change")
    assert finding.severity == WARNING
    assert "of the ground" in finding.found
    assert [finding.severity for finding in on(found, "agreement")] == [OK]
