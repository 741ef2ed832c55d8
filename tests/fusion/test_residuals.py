"""Residuals beyond the noise are found, warned of once and shown alike; those of good estimates are not."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import hsr_tf
from hsr_tf import cli
from hsr_tf.closed_forms.noise_level import relative_noise
from hsr_tf.fusion.residuals import ResidualWarning, residual_findings
from hsr_tf.scene import Observation, Scene
from hsr_tf.streaming.request import StreamRequest
from hsr_tf.streaming.streamed import fuse_files
from hsr_tf.wording import number, percent, signed, size_words
from tests.fusion.test_check import CAVE_NM, SCALE, sharp_scene

NOISES = (None, 40.0, 30.0, 20.0)


def observed(snr: float | None = None, *, seed: int = 3) -> Observation:
    return hsr_tf.simulate(sharp_scene(64, 64, seed=seed), scale=SCALE, snr_db=(snr, snr))


def mismatched() -> Observation:
    """The coarse cube of one scene and the sharp image of another, which has more contrast."""
    other = sharp_scene(64, 64, seed=99)
    other = Scene((8 * (other.cube - other.cube.min())).astype(np.float32), CAVE_NM)
    return Observation(observed(40.0).lr_hsi, hsr_tf.simulate(other, scale=SCALE).hr_msi, SCALE)


@pytest.mark.parametrize("snr", NOISES)
def test_an_estimate_that_leaves_the_noise_has_no_finding(snr: float | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResidualWarning)
        solution = hsr_tf.fuse(observed(snr))
    assert solution.findings == ()


@pytest.mark.parametrize("snr", NOISES[1:])
def test_the_relative_noise_is_the_one_that_was_added(snr: float) -> None:
    pair = observed(snr)
    for image in (pair.lr_hsi, pair.hr_msi):
        assert relative_noise(image.cube) == pytest.approx(10 ** (-snr / 20), rel=0.25)


@pytest.mark.parametrize(
    ("residuals", "topics"),
    [
        ((0.02, 0.02), []),
        ((0.001, None), []),
        ((0.3, 0.02), ["lr_hsi residual"]),
        ((0.02, 1.0), ["hr_msi residual"]),
        ((None, 0.3), ["hr_msi residual"]),
    ],
)
def test_a_residual_over_the_noise_is_a_finding(
    residuals: tuple[float | None, float | None], topics: list[str]
) -> None:
    assert [finding.topic for finding in residual_findings(observed(30.0), *residuals)] == topics


def test_a_residual_that_noise_explains_is_none() -> None:
    assert residual_findings(observed(20.0), 0.12, 0.12) == ()
    assert len(residual_findings(observed(40.0), 0.12, 0.12)) == 2


def test_images_of_two_scenes_warn_once_with_the_findings_of_the_solution() -> None:
    with pytest.warns(UserWarning) as told:
        solution = hsr_tf.fuse(mismatched(), "spectral_ls")
    assert [str(warning.message) for warning in told] == [finding.line for finding in solution.findings]
    late = [str(warning.message) for warning in told if warning.category is ResidualWarning]
    topics = {finding.line: finding.topic for finding in solution.findings}
    assert [topics[line].split()[-1] for line in late] == ["agreement", "residual"]
    assert not any("e+" in line for line in late) and solution.verdict.color == "red"


@pytest.mark.parametrize("more", [("--report={folder}/r.html",), ("--stream", "--strict")])
def test_the_command_ends_with_verdict_and_finding_and_exit_code_three_where_it_is_strict(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    words = [
        "fuse",
        "--method=spectral_ls",
        "--register=off",
        f"--output={tmp_path}/z.h5",
        *(word.format(folder=tmp_path) for word in more),
    ]
    for pair, is_bad in ((mismatched(), True), (observed(40.0), False)):
        hsr_tf.save(pair.lr_hsi, tmp_path / "x.h5")
        hsr_tf.save(pair.hr_msi, tmp_path / "y.h5")
        capfd.readouterr()
        code = cli.run([*words, f"--lr_hsi={tmp_path}/x.h5", f"--hr_msi={tmp_path}/y.h5"])
        out, err = capfd.readouterr()
        assert code == (3 if is_bad and "--strict" in more else 0)
        assert "residuals" in out and (tmp_path / "z.h5").is_file()
        assert ("+ nothing speaks against the estimate" in out) == (not is_bad)
        warned = [line for line in err.splitlines() if "the estimate does not explain" in line]
        assert bool(warned) == is_bad
        said = [line for line in err.splitlines() if not line.startswith("strict: the verdict is ")]
        assert not is_bad or said[-1] in warned
        if "--stream" not in more:
            page = (tmp_path / "r.html").read_text(encoding="utf-8")
            assert ('<p class="banner" role="alert">' in page) == is_bad
            assert ("Verdict: green" in page) == (not is_bad)


def test_a_streamed_estimate_has_the_residuals_of_the_whole_one(tmp_path: Path) -> None:
    pair = observed(30.0)
    hsr_tf.save(pair.lr_hsi, tmp_path / "x.h5")
    hsr_tf.save(pair.hr_msi, tmp_path / "y.h5")
    done = fuse_files(StreamRequest(tmp_path / "x.h5", tmp_path / "y.h5", tmp_path / "z.h5", 64 * 10**9))
    whole = hsr_tf.fuse(pair)
    assert done.residuals.findings == ()
    assert done.residuals.lr_hsi == pytest.approx(whole.lr_hsi_residual, rel=1e-3)
    assert done.residuals.hr_msi == pytest.approx(whole.hr_msi_residual, rel=1e-3)


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.024, "2.4 %"),
        (0.996, "100 %"),
        (1.254, "125 %"),
        (4.9e30, "over 1000 %"),
        (np.inf, "over 1000 %"),
        (1e-7, "under 0.001 %"),
        (0.000016, "0.0016 %"),
    ],
)
def test_percentages_have_no_exponent(share: float, said: str) -> None:
    assert percent(share) == said


def test_zero_has_no_sign() -> None:
    assert (signed(-0.001), signed(0.0), signed(-3.0), signed(1.5)) == ("0.00", "0.00", "-3.00", "+1.50")


def test_sizes_are_width_by_height_of_pictures_and_rows_first_of_cubes() -> None:
    assert size_words((480, 640)) == "640 x 480 pixels"
    assert size_words((480, 640, 31)) == "480x640x31"


@pytest.mark.parametrize(
    ("value", "text"), [(-9999.0, "-10000"), (0.0748812, "0.0749"), (0.0, "0"), (12345.6, "12300")]
)
def test_numbers_have_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert number(value) == text
