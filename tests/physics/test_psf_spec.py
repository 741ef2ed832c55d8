"""PSFs in words give the kernels that they name, and refuse what they do not know in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from hsr_tf.physics.psf import FWHM_PER_SIGMA, bicubic_psf, box_psf, gaussian_psf, identity_psf, motion_psf
from hsr_tf.physics.psf_spec import FORMS, parse_psf, recorded_words


def test_gaussian_alone_is_the_standard_psf() -> None:
    offsets = np.arange(16) - 7.5
    line = np.exp(-0.5 * (offsets / (8 / 2.35482)) ** 2)
    kernel = np.outer(line, line)
    np.testing.assert_allclose(parse_psf("gaussian", 8).kernel, kernel / kernel.sum(), atol=1e-15)


@pytest.mark.parametrize(
    ("spec", "same"),
    [
        ("gaussian:fwhm=6", gaussian_psf(8, fwhm=6, support=22)),
        ("gaussian:sigma=2.5", gaussian_psf(8, sigma=2.5, support=20)),
        ("gaussian:sigma=2.5,support=21", gaussian_psf(8, sigma=2.5, support=21)),
        ("box", box_psf(8)),
        ("box:size=5", box_psf(5)),
        ("motion:length=9,angle=30", motion_psf(8, length=9, angle_degrees=30)),
        ("bicubic", bicubic_psf(8)),
        ("identity", identity_psf(8)),
    ],
)
def test_words_give_the_kernel_they_name(spec: str, same: object) -> None:
    np.testing.assert_array_equal(parse_psf(spec, 8).kernel, same.kernel)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("width", "scale"), [("fwhm=4", 4), ("fwhm=5", 5), ("sigma=1", 8), ("fwhm=16", 4)])
def test_a_gaussian_of_a_given_width_is_that_of_scipy(width: str, scale: int) -> None:
    kernel = parse_psf(f"gaussian:{width}", scale).kernel
    name, _, number = width.partition("=")
    sigma = float(number) / (1 if name == "sigma" else FWHM_PER_SIGMA)
    size, fine = len(kernel), 10
    impulse = np.zeros((size + 2) * fine)
    impulse[len(impulse) // 2] = fine
    spread = ndimage.gaussian_filter1d(impulse, fine * sigma, truncate=5)
    expected = spread[len(impulse) // 2 + np.round((np.arange(size) - (size - 1) / 2) * fine).astype(int)]
    np.testing.assert_allclose(kernel.sum(0), expected, atol=2e-3 * expected.max())
    assert kernel.sum(0)[[0, -1]].max() < 1e-3 * kernel.sum(0).max()


def test_a_file_means_the_gaussian_that_it_was_simulated_with() -> None:
    """Words without a number of taps are from when Gaussians were cut off."""
    old, new = parse_psf("gaussian:fwhm=6", 8, recorded=True), parse_psf("gaussian:fwhm=6", 8)
    np.testing.assert_array_equal(old.kernel, gaussian_psf(8, fwhm=6).kernel)
    assert len(old.kernel) == 16
    words = recorded_words("gaussian:fwhm=6", new)
    np.testing.assert_array_equal(parse_psf(words, 8, recorded=True).kernel, new.kernel)
    assert recorded_words("gaussian", parse_psf("gaussian", 8)) == "gaussian"


def test_two_widths_and_an_angle_turn_the_wider_axis() -> None:
    level = parse_psf("gaussian:sigma=4x2", 8).kernel
    upright = parse_psf("gaussian:sigma=4x2,angle=90", 8).kernel
    np.testing.assert_allclose(upright, level.T, atol=1e-15)
    assert level.sum(0).std() < level.sum(1).std()
    fwhm = parse_psf(f"gaussian:fwhm={4 * FWHM_PER_SIGMA}x{2 * FWHM_PER_SIGMA}", 8).kernel
    np.testing.assert_allclose(fwhm, level, atol=1e-12)


def test_a_file_gives_its_kernel(tmp_path: Path) -> None:
    kernel = np.random.default_rng(0).random((5, 6))
    np.savetxt(tmp_path / "k.csv", kernel, delimiter=",")
    np.testing.assert_allclose(parse_psf(tmp_path / "k.csv", 4).kernel, kernel / kernel.sum(), atol=1e-15)
    with pytest.raises(OSError, match="no such PSF file"):
        parse_psf(tmp_path / "none.csv", 4)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("gausian", "did you mean 'gaussian'"),
        ("disc", "choose one of these"),
        ("", "choose one of these"),
        ("gaussian:fwhm", "'fwhm' is no option"),
        ("gaussian:fwhm=", "is no option"),
        ("gaussian:width=3", r"options: fwhm, sigma, angle, support"),
        ("gaussian:fwhm=3,fwhm=4", "is no option"),
        ("gaussian:fwhm=3,sigma=4", "not both"),
        ("gaussian:sigma=2x3x4", "one width, or two"),
        ("gaussian:sigma=2,angle=3", "an angle needs two widths"),
        ("gaussian:sigma=wide", "'wide' is no number"),
        ("gaussian:sigma=nan", "beyond any image"),
        ("gaussian:sigma=1e9", "beyond any image"),
        ("box:size=2.5", "positive whole number"),
        ("box:size=0", "positive whole number"),
        ("identity:size=2", r"options: none"),
        ("motion", "give the length"),
        ("motion:length=0", "a length is a positive number"),
        ("gaussian:sigma=0", "a width is a positive number"),
        ("gaussian:sigma=2x-1", "a width is a positive number"),
        ("gaussian:fwhm=-2", "a width is a positive number"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_forms(spec: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse_psf(spec, 8)
    assert all(form in str(caught.value) for form in FORMS) and "\n" not in str(caught.value)
