"""The misfit benchmark: its simulated pairs against formulas and scikit-image, its table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d
from skimage.transform import AffineTransform, warp

import hsr_tf
from benchmarks import misfits
from benchmarks._misfit_pairs import (
    CASES,
    FWHM_PER_SIGMA,
    Ground,
    Simulator,
    View,
    changed,
    seen,
    srgb_jpeg,
    turned,
    with_noise,
)
from benchmarks.misfits import Outcome, Row, cells, on_grid_of, psnr
from hsr_tf.data.scenes import data_root
from hsr_tf.scene import Scene
from hsr_tf.solvers.cameras.psf_srf import PsfSrfConfig, estimate_psf_srf

SIDE, MARGIN, SCALE = 64, 40, 8
WAVES = ((0.010, 0.016), (0.021, -0.007), (-0.004, 0.013), (0.018, 0.018))  # cycles per sharp pixel


def wave(rows: np.ndarray, cols: np.ndarray, sigma: float = 0.0) -> np.ndarray:
    """(..., 4), one wave a band, in pixels of the part, behind a Gaussian PSF."""
    bands = []
    for along, across in WAVES:
        damping = np.exp(-2 * np.pi**2 * sigma**2 * (along**2 + across**2))
        bands.append(0.5 + 0.4 * damping * np.sin(2 * np.pi * (along * rows + across * cols) + 0.3))
    return np.stack(bands, -1)


@pytest.fixture(scope="module")
def made() -> Simulator:
    rows, cols = np.mgrid[: SIDE + 2 * MARGIN, : SIDE + 2 * MARGIN] - MARGIN
    cube, place = wave(rows, cols), np.array([450.0, 500.0, 550.0, 600.0])
    table = (np.array([400.0, 500.0, 700.0]), np.array([[1.0, 0.0, 0.2], [0.5, 1.0, 0.2], [0.0, 0.4, 1.0]]))
    other = np.random.default_rng(1).random((SIDE, SIDE, 4))
    return Simulator(Ground(cube, SIDE, place, table, other), SCALE)


@pytest.mark.parametrize("degrees", [0.3, 5.0, 90.0])
def test_the_coarse_pixels_of_a_rotated_cube_see_the_rotated_places(made: Simulator, degrees: float) -> None:
    pair = made.rotated(degrees).misfit
    place, middle = SCALE * (np.arange(SIDE // SCALE) + 0.5) - 0.5, (SIDE - 1) / 2
    rows, cols = np.meshgrid(place - middle, place - middle, indexing="ij")
    angle = np.deg2rad(degrees)
    there = np.cos(angle) * rows - np.sin(angle) * cols, np.sin(angle) * rows + np.cos(angle) * cols
    expected = wave(there[0] + middle, there[1] + middle, SCALE / FWHM_PER_SIGMA)
    np.testing.assert_allclose(pair.lr_hsi, expected, atol=2e-5)


def test_a_rotation_agrees_with_scikit_image(made: Simulator) -> None:
    aligned, rotated = (seen(made.ground, View(1, turned(angle), border="larger")) for angle in (0.0, 5.0))
    middle = (SIDE - 1) / 2
    to_middle = AffineTransform(translation=(-middle, -middle))
    # scikit-image turns (column, row), from the output to the input, hence the other way.
    back = to_middle + AffineTransform(rotation=np.deg2rad(-5.0)) + to_middle.inverse
    warped = warp(aligned[..., 0], back, order=5)
    inner = slice(20, -20), slice(20, -20)  # away from the borders, where the splines differ
    np.testing.assert_allclose(rotated[..., 0][inner], warped[inner], atol=1e-4)


def test_shift_and_ratio_see_the_places_they_say(made: Simulator) -> None:
    for pair, ratio, shift in (
        (made.shifted().misfit, 8.0, (5.5, -2.5)),
        (made.other_ratio().misfit, 7.3, (0, 0)),
    ):
        place = ratio * (np.arange(int(SIDE / ratio)) + 0.5) - 0.5
        rows, cols = np.meshgrid(place + shift[0], place + shift[1], indexing="ij")
        np.testing.assert_allclose(pair.lr_hsi, wave(rows, cols, ratio / FWHM_PER_SIGMA), atol=2e-5)
    assert made.other_ratio().without.ratio == 7


def test_only_what_the_coarse_cube_sees_counts(made: Simulator) -> None:
    counted = made.rotated(5.0).misfit.counted
    assert counted[SIDE // 2, SIDE // 2] and not counted[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    shifted = made.shifted().misfit.counted
    assert not shifted[:13].any() and shifted[14, 32] and shifted[-3, 32]


def test_the_zero_border_is_that_of_a_convolution_with_zeros(made: Simulator) -> None:
    pair = made.zero_border().misfit
    taps = np.exp(-0.5 * np.square((np.arange(40) - 19.5) / (SCALE / FWHM_PER_SIGMA)))
    kernel = np.outer(taps, taps) / taps.sum() ** 2
    blurred = convolve2d(made.ground.part[..., 0], kernel)  # centred between pixels, as coarse pixels are
    np.testing.assert_allclose(pair.lr_hsi[..., 0], blurred[23:-16:8, 23:-16:8], atol=1e-5)
    assert pair.lr_hsi[0, 0, 0] < 0.9 * made.clean.lr_hsi[0, 0, 0]


def test_values_change_as_named(made: Simulator) -> None:
    clean = made.clean.hr_msi
    np.testing.assert_allclose(CASES["gain 0.55 and offset 0.08"](made).misfit.hr_msi, 0.55 * clean + 0.08)
    values = srgb_jpeg(clean)
    assert np.abs(values**2.2 - clean).max() < 0.05 and np.abs(values - clean).max() > 0.1
    assert np.abs(255 * values - np.round(255 * values)).max() < 1e-9


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_the_share_of_ground_changes(made: Simulator, share: float) -> None:
    mask = changed(256, 8, share, np.random.default_rng(0))
    assert mask.mean() == pytest.approx(share, abs=0.002)
    twins = made.changed_ground(share)
    differ = (twins.misfit.hr_msi != twins.without.hr_msi).any(-1)
    assert 0 < differ.mean() <= 1.3 * share and not (differ & twins.misfit.counted).any()


def test_noise_has_its_levels() -> None:
    rng = np.random.default_rng(0)
    image = rng.random((200, 200, 3)) + 0.5
    noise = with_noise(image, np.array([25.0, 32.0, 40.0]), rng) - image
    levels = 10 * np.log10(np.square(image).mean((0, 1)) / noise.var((0, 1)))
    np.testing.assert_allclose(levels, [25.0, 32.0, 40.0], atol=0.2)


def test_bands_of_two_widths_and_their_exact_weights(made: Simulator) -> None:
    twins = made.two_spectrometers()
    pair, weights = twins.without, twins.without.response
    assert set(pair.widths_nm) == {3.0, 12.0} and weights is not None
    steps = np.diff(pair.wavelengths_nm)
    assert set(np.round(steps, 6)) == {3.0, 7.5, 12.0}
    assert np.abs(pair.truth @ weights[1] - pair.hr_msi).max() < 0.01
    assert pair.truth.shape[2] == len(pair.wavelengths_nm) == pair.lr_hsi.shape[2]


def test_holes_do_not_count(made: Simulator) -> None:
    pair = made.nodata_strip().misfit
    assert pair.hr_hole.any() and pair.lr_hole.any()
    coarse = np.kron(pair.lr_hole, np.ones((SCALE, SCALE), bool))
    assert not (pair.counted & (pair.hr_hole | coarse)).any() and pair.counted.mean() > 0.5


def test_an_estimate_is_compared_on_its_own_grid(made: Simulator) -> None:
    pair = made.other_ratio().misfit
    rows, cols = pair.lr_hsi.shape[:2]
    place = [7.3 / 7 * (np.arange(7 * length) + 0.5) - 0.5 for length in (rows, cols)]
    resampled = wave(*np.meshgrid(*place, indexing="ij"))
    assert psnr(pair, Scene(resampled)) > 60
    assert psnr(pair, Scene(pair.truth[3:-5, 2:-4])) > 100
    hidden = np.zeros(pair.truth.shape[:2], bool)
    hidden[:40] = True
    assert psnr(pair, Scene(pair.truth, nodata_mask=hidden)) is None
    assert not on_grid_of(pair, np.zeros((100, 100, 4)))[1].any()


def test_the_table_says_what_is_lost_in_silence() -> None:
    green = Outcome(40.0, "green", "green", "", 1.0)
    row = Row("flowers", "rotation 1 degree", "auto", green, replace(green, psnr=38.6))
    assert not row.fails and cells(row)[3:6] == ["40.00", "38.60", "-1.40"]
    silent = replace(row, case="zero border")
    assert silent.fails and not replace(silent, misfit=replace(green, psnr=30.0, fuse="red")).fails
    assert replace(silent, misfit=replace(green, psnr=None)).fails


@pytest.mark.slow
def test_a_pair_goes_through_check_and_fusion(made: Simulator) -> None:
    # Long waves alone would match at many places, which the registration says.
    texture = gaussian_filter(np.random.default_rng(0).standard_normal(made.ground.cube.shape), (2, 2, 0))
    ground = replace(made.ground, cube=made.ground.cube + texture)
    pair = Simulator(ground, 4).clean
    found = misfits.outcome(pair, "spectral_ls", max_seconds=60.0)
    assert found.psnr is not None and found.psnr > 40 and found.fuse == "green"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fake_and_real_peppers", "cd"])
@pytest.mark.parametrize("snr_db", [30.0, 25.0])
def test_noise_on_dark_scenes_is_no_tone_curve(name: str, snr_db: float) -> None:
    root = data_root()
    if root is None:
        pytest.skip("needs the data folder")
    scene = hsr_tf.load(root / "hsi" / "cave_train" / f"{name}.h5")
    cube = scene.cube[128:384, 128:384].astype(np.float64)
    table = misfits.read_table(str(misfits.NIKON))
    pair = Simulator(Ground(cube, 128, scene.wavelengths_nm, table, cube), 4, snr_db).clean
    images = (image.astype(np.float32) for image in (pair.lr_hsi, pair.hr_msi))
    found = estimate_psf_srf(*images, 4, PsfSrfConfig(radiometry=True))
    assert found.radiometry.is_identity and found.explained.max() < 0.03
    assert not found.disagreeing.any()
