"""What is wrong with a pair is found and told, what is right is not complained of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import hsr_tf
from hsr_tf.fusion.alignment import require_fusable_sizes
from hsr_tf.fusion.check import ERROR, NOTE, OK, WARNING, Finding, check_pair
from hsr_tf.fusion.check.orientation import (
    likenesses,
    orientation_findings,
)
from hsr_tf.fusion.check.values import snr_db
from hsr_tf.fusion.check.verdict import verdict_on
from hsr_tf.fusion.registered import align_registered
from hsr_tf.geo.georeference import Georeference
from hsr_tf.scene import Observation, Scene
from tests.fusion.check_for_tests import CAVE_NM, SCALE, on, sharp_scene, untold


@pytest.fixture(scope="module")
def pair() -> Observation:
    return hsr_tf.simulate(sharp_scene(), scale=SCALE, psf="gaussian:fwhm=4.4", snr_db=(45.0, 45.0))


def test_a_simulated_pair_is_fusable_and_needs_no_camera_flags(pair: Observation) -> None:
    found = check_pair(pair.lr_hsi, pair.hr_msi)
    assert found.fusable
    assert {finding.severity for finding in found.findings} == {OK}
    assert dict(found.flags) == {}
    assert "Gaussian, sigma 1.869" in on(found, "cameras")[0].found


def test_unknown_cameras_are_estimated_and_the_flags_say_so(pair: Observation) -> None:
    sharp = np.roll(pair.hr_msi.cube, 1, axis=1)  # the sharp image lies one column to the right
    found = check_pair(untold(pair.lr_hsi), untold(pair.hr_msi, cube=sharp))
    assert found.fusable
    assert dict(found.flags) == {"psf": "estimate", "srf": "estimate"}
    assert found.cameras is not None
    assert found.cameras.found is not None
    np.testing.assert_allclose(found.cameras.found.shift, (0, 1), atol=0.15)
    (shift,) = on(found, "shift")
    assert shift.severity == NOTE
    assert 'psf="estimate"' in shift.advice
    (psf,) = on(found, "psf")
    assert [float(word) for word in psf.found.split()[0:3:2]] == pytest.approx([4.4, 4.4], rel=0.12)
    assert [finding.severity for finding in on(found, "agreement")] == [OK]


@pytest.mark.parametrize(
    ("severities", "severity", "said"),
    [
        ({"grids": OK, "noise": OK}, OK, "the pair can be fused"),
        ({"grids": NOTE}, OK, "the pair can be fused (1 note)"),
        ({"noise": WARNING, "values": WARNING}, WARNING, "can be fused, with 2 warnings (noise, values)"),
        ({"ground": WARNING, "noise": WARNING}, WARNING, "doubtful that the images show the same"),
        ({"orientation": ERROR, "noise": WARNING}, ERROR, "cannot be fused as it is: 1 error (orientation)"),
    ],
)
def test_the_verdict_follows_the_findings(severities: dict[str, str], severity: str, said: str) -> None:
    verdict = verdict_on(Finding(level, topic, "found") for topic, level in severities.items())
    assert verdict.severity == severity
    assert said in verdict.line


def test_images_too_small_for_an_estimate_need_both_cameras() -> None:
    rows = hsr_tf.simulate(sharp_scene(8, 128), scale=SCALE)
    found = check_pair(untold(rows.lr_hsi), untold(rows.hr_msi))
    (cameras,) = on(found, "cameras")
    assert (cameras.severity, cameras.advice) == (
        ERROR,
        "give both cameras (psf and srf), or a larger part of both images",
    )
    assert (found.fusable, found.flags, found.verdict.severity) == (False, (), ERROR)
    known = check_pair(untold(rows.lr_hsi), untold(rows.hr_msi), psf="gaussian", srf="nikon_d700")
    assert known.fusable
    assert dict(known.flags)["psf"] == "gaussian"
    for method in ("spectral_ls", "auto"):
        made = hsr_tf.fuse(rows, method, psf="gaussian", srf="nikon_d700").estimate
        assert np.isfinite(made.cube).all()


def test_a_shift_beyond_the_first_search_that_is_found_is_taken_up() -> None:
    scene = sharp_scene(128, 128)
    pair = hsr_tf.simulate(scene, scale=SCALE)
    moved = np.roll(pair.hr_msi.cube, (4, -3), (0, 1))[16:-16, 16:-16]
    coarse = untold(pair.lr_hsi, cube=pair.lr_hsi.cube[4:-4, 4:-4])
    found = check_pair(coarse, untold(pair.hr_msi, cube=moved))
    (shift,) = on(found, "registration")
    assert shift.severity == NOTE
    assert "+4.00 rows, -3.00 columns" in shift.found
    assert "takes the shift up" in shift.advice
    assert dict(found.flags)["psf"] == "estimate"
    (rest,) = on(found, "shift")
    assert rest.severity == OK


def test_the_right_way_round_survives_a_shift_and_noise(pair: Observation) -> None:
    rng = np.random.default_rng(0)
    moved = np.roll(pair.hr_msi.cube, (5, -3), (0, 1))
    noisy = Scene(moved + rng.normal(0, 0.05, moved.shape))
    (finding,) = orientation_findings(likenesses(pair.lr_hsi, noisy))
    assert finding.severity == OK


def test_exchanged_rows_and_columns_are_told_where_the_sizes_do_not_divide(pair: Observation) -> None:
    exchanged = untold(pair.hr_msi, cube=pair.hr_msi.cube.swapaxes(0, 1))
    found = check_pair(pair.lr_hsi, exchanged, registration="off")
    assert not found.fusable
    assert "grids" in [finding.topic for finding in found.findings]
    assert any("rows and columns exchanged" in finding.advice for finding in on(found, "orientation"))


def test_exchanged_rows_and_columns_are_registered(pair: Observation) -> None:
    exchanged = untold(pair.hr_msi, cube=pair.hr_msi.cube.swapaxes(0, 1))
    found = check_pair(untold(pair.lr_hsi), exchanged, estimate=False)
    assert found.fusable
    assert found.aligned is not None
    np.testing.assert_array_equal(found.aligned.observation.hr_msi.cube, pair.hr_msi.cube)
    (finding,) = on(found, "registration")
    assert finding.severity == NOTE
    assert "mirrored" in finding.found


def test_sizes_without_a_whole_ratio_are_registered(pair: Observation) -> None:
    cut = untold(pair.hr_msi, cube=pair.hr_msi.cube[:-3])
    found = check_pair(untold(pair.lr_hsi), cut, estimate=False)
    assert found.fusable
    assert found.aligned is not None
    whole = pair.hr_msi.cube[:-4]
    np.testing.assert_array_equal(found.aligned.observation.hr_msi.cube[: len(whole)], whole)


def another_place(pair: Observation) -> tuple[Scene, Scene]:
    other = hsr_tf.simulate(sharp_scene(seed=99), scale=SCALE)
    return pair.lr_hsi, other.hr_msi


def swapped(pair: Observation) -> tuple[Scene, Scene]:
    return pair.hr_msi, pair.lr_hsi


def odd_sizes(pair: Observation) -> tuple[Scene, Scene]:
    return pair.lr_hsi, untold(another_place(pair)[1], cube=another_place(pair)[1].cube[:-3])


def one_size(pair: Observation) -> tuple[Scene, Scene]:
    return pair.lr_hsi, untold(pair.lr_hsi, cube=pair.lr_hsi.cube[..., ::8], wavelengths_nm=None)


def far_apart(pair: Observation) -> tuple[Scene, Scene]:
    first = Georeference((4, 0, 0, 0, -4, 0))
    second = Georeference((1, 0, 9000, 0, -1, 0))
    return replace(pair.lr_hsi, georeference=first), replace(pair.hr_msi, georeference=second)


@pytest.mark.parametrize(
    ("change", "topic", "said"),
    [
        (another_place, "registration", "match nowhere beyond chance"),
        (swapped, "files", "swapped"),
        (odd_sizes, "grids", "whole multiple"),
        (one_size, "grids", "one size"),
        (far_apart, "grids", "no coarse pixel in common"),
    ],
)
def test_what_cannot_be_fused_is_an_error_with_advice(
    pair: Observation, change: Callable[[Observation], tuple[Scene, Scene]], topic: str, said: str
) -> None:
    found = check_pair(*change(pair), estimate=False)
    assert not found.fusable
    assert found.flags == ()
    errors = [finding for finding in found.findings if finding.severity == ERROR]
    assert said in next(finding for finding in errors if finding.topic == topic).found
    assert all(finding.advice for finding in errors)


@pytest.mark.parametrize(("factor", "word"), [(100.0, "per cent"), (4095.0, "counts")])
def test_other_units_are_a_warning_and_the_response_takes_them_up(
    pair: Observation, factor: float, word: str
) -> None:
    found = check_pair(pair.lr_hsi, untold(pair.hr_msi, cube=pair.hr_msi.cube * factor), estimate=False)
    (finding,) = on(found, "values")
    assert found.fusable
    assert finding.severity == WARNING
    assert word in finding.found
    assert "takes it up" in finding.advice


def test_dead_noisy_and_saturated_samples_are_named(pair: Observation) -> None:
    cube = pair.lr_hsi.cube.copy()
    cube[..., 7] = 0
    cube[..., 20] += np.random.default_rng(1).normal(0, 0.2, cube.shape[:2])
    cube[:6, :6, 12] = cube[..., 12].max() * 1.2
    mask = np.zeros(cube.shape[:2], bool)
    mask[-2:, -3:] = True
    found = check_pair(untold(pair.lr_hsi, cube=cube, nodata_mask=mask), pair.hr_msi, estimate=False)
    told = " ".join(finding.found for finding in on(found, "samples"))
    assert "dead band 8 at 470 nm" in told
    assert "saturated" in told
    assert "6 pixels without data" in told
    noise = on(found, "noise")[0]
    assert noise.severity == WARNING
    assert "600 nm" in noise.found


@pytest.mark.parametrize("channels", [1, 3])
def test_the_noise_of_few_channels_is_measured_within_two_decibels(channels: int) -> None:
    rng = np.random.default_rng(5)
    smooth = ndimage.gaussian_filter(rng.random((200, 160, channels)), (9, 9, 0)) + 0.3
    level = float(np.sqrt(np.square(smooth).mean()))
    for wanted in (25.0, 35.0):
        noisy = Scene(smooth + rng.normal(0, level * 10 ** (-wanted / 20), smooth.shape))
        np.testing.assert_allclose(snr_db(noisy), wanted, atol=2)


def test_wavelengths_are_compared(pair: Observation) -> None:
    infrared = replace(pair.hr_msi, wavelengths_nm=np.array([450.0, 550.0, 830.0]))
    (finding,) = on(check_pair(pair.lr_hsi, infrared, estimate=False), "wavelengths")
    assert (finding.severity, "3 at 830 nm" in finding.found) == (WARNING, True)
    micro = replace(pair.lr_hsi, wavelengths_nm=CAVE_NM / 1000)
    (finding,) = on(check_pair(micro, pair.hr_msi, estimate=False), "wavelengths")
    assert "micrometres" in finding.found


@pytest.mark.parametrize(
    ("srf", "severity", "said"),
    [
        ("sentinel2a:B04,B03,B02", OK, "covers the channels"),
        ("sentinel2a:B04,B03,B08", ERROR, "B08 0 %"),
        ("sentinel2a:B05,B03,B02", WARNING, "B05"),
        ("sentinel2a", ERROR, "13 channels"),
    ],
)
def test_a_named_response_is_held_against_the_bands(
    pair: Observation, srf: str, severity: str, said: str
) -> None:
    found = check_pair(pair.lr_hsi, pair.hr_msi, srf=srf, estimate=False)
    (finding,) = on(found, "response")
    assert finding.severity == severity
    assert said in finding.found


def test_bands_too_coarse_for_a_channel_are_a_warning(pair: Observation) -> None:
    coarse = replace(pair.lr_hsi, wavelengths_nm=np.arange(400.0, 1601.0, 40.0))
    found = check_pair(coarse, pair.hr_msi, srf="sentinel2a:B08,B05,B03", estimate=False)
    assert [finding.severity for finding in on(found, "response")] == [WARNING, OK]
    assert "too far apart for channels of sentinel2a" in on(found, "response")[0].found
    assert "B05 10 %" in on(found, "response")[0].found


def test_grids_that_differ_are_told_as_notes(pair: Observation) -> None:
    coarse = Georeference((4.0, 0, 0.3, 0, -4.0, 0), None)
    sharp = Georeference((1.0, 0, 0, 0, -1.0, 0), None)
    placed = replace(pair.lr_hsi, georeference=coarse), replace(pair.hr_msi, georeference=sharp)
    found = check_pair(*placed, estimate=False)
    assert found.fusable
    assert any(f.severity == NOTE and "left to the PSF" in f.found for f in on(found, "grids"))


def test_cameras_that_are_given_are_held_against_the_pair(pair: Observation) -> None:
    images = untold(pair.lr_hsi), untold(pair.hr_msi)
    right = check_pair(*images, psf="gaussian:fwhm=4.4", srf="nikon_d700")
    assert [finding.severity for finding in on(right, "cameras")] == [OK]
    assert dict(right.flags) == {"psf": "gaussian:fwhm=4.4", "srf": "nikon_d700"}
    wrong = check_pair(*images, psf="gaussian:fwhm=4.4", srf="sigma_sdmerill_npl")
    (finding,) = on(wrong, "cameras")
    assert finding.severity == WARNING
    assert any("400 to 680 nm only" in finding.found for finding in on(wrong, "response"))
    assert finding.advice == "estimate both cameras"
    assert dict(wrong.flags) == {"psf": "estimate", "srf": "estimate"}
    assert wrong.verdict.severity == WARNING
    assert wrong.verdict.line.startswith("the pair can be fused, with ")
    assert all(f.topic in wrong.verdict.line for f in wrong.findings if f.severity == WARNING)
    with pytest.raises(ValueError, match="psf"):
        check_pair(*images, psf="gausian", srf="nikon_d700")


def bad_pairs() -> dict[str, tuple[Scene, Scene]]:
    """A pair of 16 x 16 coarse pixels, and what can be wrong with one."""
    made = hsr_tf.simulate(sharp_scene(64, 64), scale=SCALE, snr_db=(40.0, 40.0))
    x, y = made.lr_hsi.cube[..., ::3], made.hr_msi.cube
    hole, hr_hole = np.zeros((16, 16), bool), np.zeros((64, 64), bool)
    hole[3:6, 4:9], hr_hole[:20] = True, True

    def marked(cube: np.ndarray, value: float) -> np.ndarray:
        cube = cube.copy()
        cube[2:5, 3:8] = value
        return cube

    cubes = {
        "fine": (x, y),
        "one row": (x[:1], y[:4]),
        "one column": (x[:, :1], y[:, :4]),
        "one coarse pixel": (x[:1, :1], y[:4, :4]),
        "16 coarse pixels": (x[:4, :4], y[:16, :16]),
        "36 coarse pixels": (x[:6, :6], y[:24, :24]),
        "one band": (x[..., :1], y),
        "one channel": (x, y[..., :1]),
        "more channels than bands": (x[..., :2], y),
        "wrong size": (x, y[:63, ::-1][::-1, :7]),
        "three rows fewer": (x, y[:61]),
        "half the rows": (x, y[:32]),
        "same size": (np.repeat(y, 4, 2), y),
        "swapped": (y, x),
        "flat cube": (np.full_like(x, 0.4), y),
        "flat image": (x, np.full_like(y, 0.4)),
        "flat channel": (x, np.where(np.arange(3) == 1, np.float32(0.4), y)),
        "black": (np.zeros_like(x), np.zeros_like(y)),
        "fill value in the cube": (marked(x, -9999.0), y),
        "fill value in the image": (x, marked(y, -9999.0)),
        "huge": (1e30 * x, 1e30 * y),
        "tiny": (1e-30 * x, 1e-30 * y),
        "other units": (10000 * x, y),
        "negative": (-x, y),
    }
    pairs = {name: (Scene(a), Scene(b)) for name, (a, b) in cubes.items()}
    holes = {
        "hole in the cube": (hole, None),
        "hole in the image": (None, hr_hole),
        "no data in the cube": (np.ones_like(hole), None),
        "no data in the image": (None, np.ones_like(hr_hole)),
        "one pixel with data": (np.arange(256).reshape(16, 16) != 77, None),
    }
    return pairs | {n: (Scene(x, nodata_mask=a), Scene(y, nodata_mask=b)) for n, (a, b) in holes.items()}


FUSABLE = {"fine", "36 coarse pixels", "one channel", "more channels than bands", "flat channel"}
FUSABLE |= {
    "tiny",
    "other units",
    "hole in the cube",
    "hole in the image",
    "three rows fewer",
    "half the rows",
}
KINDS, QUICK = tuple(bad_pairs()), {"fine", "one channel", "hole in the cube"}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("estimate", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "kind", [k if k in QUICK or k not in FUSABLE else pytest.param(k, marks=pytest.mark.slow) for k in KINDS]
)
def test_what_check_calls_fusable_is_fused_with_its_flags(kind: str, estimate: bool) -> None:
    lr_hsi, hr_msi = bad_pairs()[kind]
    found = check_pair(lr_hsi, hr_msi, estimate=estimate)
    assert found.fusable == (kind in FUSABLE)
    assert found.fusable or (not found.flags and found.verdict.color == "red")
    if found.fusable:
        flags = dict(found.flags)
        observation = align_registered(lr_hsi, hr_msi, psf=flags["psf"]).aligned.observation
        solution = hsr_tf.fuse(observation, "spectral_ls", psf=flags["psf"], srf=flags["srf"])
        assert np.isfinite(solution.estimate.cube).all()


@pytest.mark.parametrize("kind", ["one row", "one column", "one coarse pixel", "same size"])
def test_sizes_that_the_commands_do_not_fuse_are_refused_by_both(kind: str) -> None:
    pair = bad_pairs()[kind]
    found = check_pair(*pair, psf="gaussian")
    assert not found.fusable and "grids" in {one.topic for one in found.findings if one.severity == ERROR}
    observation = align_registered(*pair).aligned.observation
    with pytest.raises(ValueError, match=r"(lr_hsi: expected at least 2 rows|hr_msi: expected an image)"):
        require_fusable_sizes(observation.lr_hsi.shape[:2], observation.scale)


def test_a_fill_value_is_named_with_the_command_that_marks_it() -> None:
    pairs = bad_pairs()
    for kind, name in (("fill value in the cube", "lr_hsi"), ("fill value in the image", "hr_msi")):
        (finding,) = on(check_pair(*pairs[kind], estimate=False), "nodata")
        assert finding.found.startswith(f"{name}: 15 pixels hold -9999, far from all other values")
        assert finding.severity == ERROR and finding.advice.endswith("--nodata=-9999")
    for kind in ("fine", "hole in the cube", "flat channel", "black"):
        assert not on(check_pair(*pairs[kind], estimate=False), "nodata")
