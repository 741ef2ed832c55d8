"""`colour_kernel`: a map from colours to spectra that needs no PSF, knows noise, and leaves holes out."""

from __future__ import annotations

import numpy as np

from hsr_tf.closed_forms.bicubic import Bicubic
from hsr_tf.closed_forms.colour_features import ColourFeatures, ColourMetric, kernel_values
from hsr_tf.closed_forms.colour_kernel import CHOSEN_KERNEL, ColourKernel
from hsr_tf.physics.nodata import Holes
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import gaussian_psf
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.tiling.stages import MemoryStore, SharedStore, run_stages
from hsr_tf.typing import Cube
from tests.closed_forms.test_agreeing_pair import changed_pair
from tests.closed_forms.test_map_fit import simulated
from tests.solvers.scenes import cameras, mixture, pair, psnr

CUBE, MODEL = mixture(48, 64, 9), cameras(9)
LR_HSI, HR_MSI = pair(CUBE, MODEL)


def estimate(lr_hsi: Cube, model: ObservationModel = MODEL, holes: Holes = Holes()) -> Cube:
    staged = ColourKernel(model).tiles(ArrayPair((lr_hsi, HR_MSI), model, holes))
    run_stages(staged.stages())
    return staged.finish(0)


def test_it_is_better_than_bicubic_by_far_and_does_not_look_at_the_psf() -> None:
    found = estimate(LR_HSI)
    bicubic = np.asarray(Bicubic(MODEL)(LR_HSI[None], HR_MSI[None]))[0]
    assert psnr(CUBE, found) > psnr(CUBE, bicubic) + 10
    other = cameras(9, psf=gaussian_psf(4, fwhm=9.0))
    np.testing.assert_array_equal(estimate(LR_HSI, other), found)


def test_pixels_without_data_take_no_part() -> None:
    missing = np.zeros(LR_HSI.shape[:2], bool)
    missing[3:6, 2:9] = True
    spoilt = LR_HSI.copy()
    spoilt[missing] = 7.0
    holes = Holes(missing)
    np.testing.assert_array_equal(estimate(spoilt, holes=holes), estimate(LR_HSI, holes=holes))


def test_changed_ground_does_not_change_the_map() -> None:
    """The map is fitted to X alone; ground that X does not show has no part in its complexity either."""
    found = []
    for scene in (simulated(3), changed_pair()):
        staged = ColourKernel(scene.model).tiles(ArrayPair((scene.lr_hsi, scene.hr_msi), scene.model))
        run_stages(staged.stages())
        found.append(scene.psnr(staged.finish(0), (slice(60, None), slice(None))))
    assert found[1] > found[0] - 0.3


def test_the_noise_of_the_features_is_that_of_draws() -> None:
    rng = np.random.default_rng(1)
    colours, variance = rng.standard_normal((200, 3)), np.array([1e-4, 0.0, 4e-4])
    features = ColourFeatures.of(colours[:12], ColourMetric(np.full(3, -3.0), 1.0), 2.0)
    told = features.noise(colours, variance)
    total = np.zeros_like(told)
    for _ in range(400):
        change = features(colours + rng.standard_normal(colours.shape) * np.sqrt(variance)) - features(
            colours
        )
        total += change.T @ change / len(colours) / 400
    assert np.abs(total - told).max() < 0.05 * np.abs(told).max()


def test_pixels_of_the_same_hue_are_alike_in_units_of_brightness() -> None:
    colours = np.array([[2.0, 3.0, 4.0]])
    plain, bright = ColourMetric(np.zeros(3), np.inf), ColourMetric(np.zeros(3), 1e-6)
    shares = []
    for metric in (plain, bright):
        kernel = [
            kernel_values(a, b, metric, 1.0)[0, 0] for a, b in ((colours, 2 * colours), (colours, colours))
        ]
        own = kernel_values(2 * colours, 2 * colours, metric, 1.0)[0, 0]
        shares.append(kernel[0] / np.sqrt(kernel[1] * own))
    assert shares[0] < 1e-3 and shares[1] > 0.999


def test_fits_that_share_their_choice_repeat_the_kernel_of_the_first() -> None:
    shared = SharedStore()
    first, second, alone = (
        ColourKernel(MODEL).fitting(ArrayPair((lr_hsi, HR_MSI), MODEL, store=store))
        for lr_hsi, store in ((LR_HSI, shared), (LR_HSI[::-1].copy(), shared), (LR_HSI, MemoryStore()))
    )
    for fitting in (first, second, alone):
        run_stages(fitting.survey())
    chosen = shared.load_json(CHOSEN_KERNEL)
    assert chosen is not None
    assert chosen["lengths"] == alone.found().length == second.found().length
    assert chosen["ridges"] == second.found().ridge
    np.testing.assert_allclose(chosen["levels"], alone.found().relative_level)
