"""Metrics against numbers worked by hand, scikit-image, and the identities that each of them must keep."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from hsr_tf.metrics import full_reference as metrics
from hsr_tf.metrics.full_reference import Scorecard, scorecard, summarise
from hsr_tf.metrics.table import metrics_for

PAIR_METRICS = [
    metrics.psnr_per_band,
    metrics.psnr_bands,
    metrics.psnr_cube,
    metrics.rmse_255,
    metrics.ssim,
    metrics.sam_degrees,
    metrics.sam_map,
    metrics.zero_spectra,
    metrics.error_map,
]
by_name = pytest.mark.parametrize("metric", PAIR_METRICS, ids=lambda metric: metric.__name__)


def textured_pair(height=37, width=23, num_bands=5, seed=0):
    """A non-square float64 cube with ramps and noise in [0, 1], and a disturbed copy inside [0, 1]."""
    rng = np.random.default_rng(seed)
    rows, columns, bands = np.ogrid[:height, :width, :num_bands]
    ramp = 0.2 + 0.4 * rows / height + 0.1 * columns / width + 0.05 * bands
    reference = np.clip(ramp + 0.1 * rng.standard_normal((height, width, num_bands)), 0, 1)
    estimate = np.clip(reference + 0.03 * rng.standard_normal(reference.shape), 0, 1)
    return reference, estimate


def spectra(*rows):
    """Spectra as a cube of one row."""
    return np.asarray(rows, np.float64)[None]


# Two bands, one row of two pixels.
# band 0: reference 0.5 0.5, estimate 0.6 0.4: squared errors 0.01 0.01, mse 0.01, PSNR 20 dB, mean 0.5
# band 1: reference 0.2 0.6, estimate 0.2 0.8: squared errors 0 0.04, mse 0.02, PSNR -10 log10(0.02), mean 0.4
HAND_REFERENCE = np.array([[[0.5, 0.2], [0.5, 0.6]]])
HAND_ESTIMATE = np.array([[[0.6, 0.2], [0.4, 0.8]]])


def test_psnr_worked_by_hand():
    per_band = np.asarray(metrics.psnr_per_band(HAND_REFERENCE, HAND_ESTIMATE))
    # -10 log10(0.02) = 20 - 10 log10(2) = 16.989700043360187; the cube's mse is 0.015: 18.239087409443188 dB
    np.testing.assert_allclose(per_band, [20.0, 16.989700043360187], rtol=1e-12)
    assert float(metrics.psnr_bands(HAND_REFERENCE, HAND_ESTIMATE)) == pytest.approx(
        18.494850021680094, abs=1e-12
    )
    assert float(metrics.psnr_cube(HAND_REFERENCE, HAND_ESTIMATE)) == pytest.approx(
        18.239087409443188, abs=1e-12
    )


def test_rmse_and_error_map_worked_by_hand():
    # sqrt(0.015) * 255 = 31.230994...; absolute errors 0.1 0 | 0.1 0.2, means 0.05 and 0.15
    assert float(metrics.rmse_255(HAND_REFERENCE, HAND_ESTIMATE)) == pytest.approx(
        255 * math.sqrt(0.015), rel=1e-12
    )
    np.testing.assert_allclose(metrics.error_map(HAND_REFERENCE, HAND_ESTIMATE), [[0.05, 0.15]], rtol=1e-12)


def test_ergas_worked_by_hand_and_inverse_to_the_scale():
    # mse / mean^2: 0.01 / 0.25 = 0.04 and 0.02 / 0.16 = 0.125, mean 0.0825; 100 / 4 * sqrt(0.0825)
    at_4 = float(metrics.ergas(HAND_REFERENCE, HAND_ESTIMATE, scale=4))
    assert at_4 == pytest.approx(25 * math.sqrt(0.0825), rel=1e-12)
    assert float(metrics.ergas(HAND_REFERENCE, HAND_ESTIMATE, scale=16)) == pytest.approx(at_4 / 4, rel=1e-12)


@pytest.mark.parametrize(
    ("estimate", "degrees"),
    [((3, 0, 0), 0.0), ((1, 1, 0), 45.0), ((0, 0, 2), 90.0), ((-1, 1, 0), 135.0), ((-0.5, 0, 0), 180.0)],
)
def test_sam_of_angles_known_by_hand(estimate, degrees):
    assert float(metrics.sam_degrees(spectra((1, 0, 0)), spectra(estimate))) == pytest.approx(
        degrees, abs=1e-12
    )


@pytest.mark.parametrize("degrees", [1e-6, 1e-3, 179.999, 180 - 1e-6])
def test_sam_keeps_its_digits_near_0_and_180_degrees(degrees):
    angle = math.radians(degrees)
    found = metrics.sam_degrees(spectra((1, 0)), spectra((math.cos(angle), math.sin(angle))))
    assert float(found) == pytest.approx(degrees, rel=1e-9)


def test_sam_of_identical_float32_spectra_is_exactly_zero():
    reference = textured_pair()[0].astype(np.float32)
    assert float(metrics.sam_degrees(reference, 2 * reference)) == 0.0


@pytest.mark.parametrize("factor", [1e-200, 1e-30, 7.0, 1e200])
def test_sam_does_not_depend_on_brightness(factor):
    reference, estimate = textured_pair()
    expected = float(metrics.sam_degrees(reference, estimate))
    assert float(metrics.sam_degrees(reference, factor * estimate)) == pytest.approx(expected, rel=1e-9)


def test_zero_spectra_are_left_out_of_sam_and_counted():
    reference = spectra((1, 0), (0, 0), (1, 0), (0, 0))
    estimate = spectra((1, 1), (1, 0), (0, 0), (0, 0))
    assert float(metrics.sam_degrees(reference, estimate)) == pytest.approx(45.0)
    assert int(metrics.zero_spectra(reference, estimate)) == 3
    np.testing.assert_allclose(
        metrics.sam_map(reference, estimate), [[45, np.nan, np.nan, np.nan]], rtol=1e-12
    )


def test_sam_without_any_spectrum_is_nan_and_null_in_json():
    reference = textured_pair()[0]
    card = scorecard(reference, np.zeros_like(reference), scale=8)
    assert math.isnan(card.sam_degrees) and card.zero_spectra == reference[..., 0].size
    assert card.as_dict()["sam_degrees"] is None
    assert math.isnan(float(metrics.sam_degrees(reference, np.zeros_like(reference))))


@pytest.mark.parametrize("data_range", [1.0, 255.0])
def test_psnr_agrees_with_scikit_image_band_by_band(data_range):
    reference, estimate = (cube * data_range for cube in textured_pair())
    expected = [
        peak_signal_noise_ratio(reference[..., b], estimate[..., b], data_range=data_range)
        for b in range(reference.shape[-1])
    ]
    np.testing.assert_allclose(
        metrics.psnr_per_band(reference, estimate, data_range=data_range), expected, rtol=1e-6
    )
    whole = peak_signal_noise_ratio(reference, estimate, data_range=data_range)
    assert float(metrics.psnr_cube(reference, estimate, data_range=data_range)) == pytest.approx(
        whole, rel=1e-6
    )


def skimage_ssim(reference, estimate, data_range):
    settings = {
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "data_range": data_range,
    }
    bands = range(reference.shape[-1])
    return np.mean([structural_similarity(reference[..., b], estimate[..., b], **settings) for b in bands])


@pytest.mark.parametrize("data_range", [1.0, 4095.0])
def test_ssim_agrees_with_scikit_image(data_range):
    reference, estimate = (cube * data_range for cube in textured_pair())
    found = float(metrics.ssim(reference, estimate, data_range=data_range))
    assert found == pytest.approx(skimage_ssim(reference, estimate, data_range), abs=1e-9)


def test_ssim_in_float32_agrees_with_scikit_image():
    reference, estimate = textured_pair()
    found = metrics.ssim(reference.astype(np.float32), estimate.astype(np.float32))
    assert found.dtype == "float32"
    assert float(found) == pytest.approx(skimage_ssim(reference, estimate, 1.0), abs=1e-5)


def test_ssim_of_constant_images_worked_by_hand():
    # No variance: the second factor is 1; (2 * 0.5 * 0.6 + 1e-4) / (0.25 + 0.36 + 1e-4) = 0.6001 / 0.6101
    found = metrics.ssim(np.full((11, 11, 1), 0.5), np.full((11, 11, 1), 0.6))
    assert float(found) == pytest.approx(0.6001 / 0.6101, rel=1e-9)


def test_scorecard_agrees_with_the_single_metrics_over_several_row_blocks():
    reference, estimate = textured_pair(height=metrics.ROWS_PER_BLOCK * 2 + 15, width=19, num_bands=4)
    reference[3, :5] = 0.0
    card = scorecard(reference, estimate, scale=8)
    for name in ("psnr_bands", "psnr_cube", "rmse_255", "ssim", "sam_degrees", "zero_spectra"):
        assert getattr(card, name) == pytest.approx(
            float(getattr(metrics, name)(reference, estimate)), rel=1e-12
        )
    assert card.ergas == pytest.approx(float(metrics.ergas(reference, estimate, scale=8)), rel=1e-12)
    assert card.ssim == pytest.approx(skimage_ssim(reference, estimate, 1.0), abs=1e-9)
    assert all(type(value) is float for value in list(card.by_name().values()))


@pytest.mark.parametrize(
    "height", [metrics.SSIM_WINDOW, metrics.ROWS_PER_BLOCK + 10, metrics.ROWS_PER_BLOCK + 11]
)
def test_scorecard_counts_every_window_where_blocks_end(height):
    reference, estimate = textured_pair(height=height, width=13, num_bands=2)
    assert scorecard(reference, estimate, scale=2).ssim == pytest.approx(
        float(metrics.ssim(reference, estimate)), rel=1e-12
    )


def test_scorecard_clips_the_estimate_only_and_only_when_asked():
    reference, estimate = textured_pair()
    wild = estimate.copy()
    wild[0, 0], wild[5, 7] = 1.7, -0.4
    clipped = np.clip(wild, 0, 1)
    assert scorecard(reference, wild, scale=8) == scorecard(reference, clipped, scale=8)
    unclipped = scorecard(reference, wild, scale=8, clip=False)
    assert unclipped.psnr_cube == pytest.approx(float(metrics.psnr_cube(reference, wild)), rel=1e-12)
    bright = reference + 0.5
    assert scorecard(bright, bright, scale=8).rmse_255 > 0
    assert wild[0, 0, 0] == 1.7


def test_scorecard_scales_with_data_range():
    reference, estimate = textured_pair()
    card, scaled = (
        scorecard(reference * peak, estimate * peak, scale=4, data_range=peak) for peak in (1.0, 255.0)
    )
    np.testing.assert_allclose(list(scaled.by_name().values()), list(card.by_name().values()), rtol=1e-9)


def test_identical_cubes_score_perfectly_and_fit_into_json():
    reference = textured_pair()[0]
    card = scorecard(reference, reference, scale=8)
    assert card.psnr_bands == card.psnr_cube == math.inf
    assert (card.rmse_255, card.sam_degrees, card.ergas) == (0.0, 0.0, 0.0)
    assert card.ssim == pytest.approx(1.0, abs=1e-12)
    assert json.loads(json.dumps(card.as_dict(), allow_nan=False))["psnr_bands"] is None
    assert [*card.as_dict()] == [*(metric.name for metric in metrics_for()), "zero_spectra"]


def test_summary_worked_by_hand():
    # 40, 44: mean 42, population deviation 2; an infinite score has an infinite mean and no deviation
    summary = summarise([Scorecard(40, 39, 2, 0.9, 3, 1, 0), Scorecard(44, math.inf, 4, 0.9, 5, 2, 6)])
    assert summary.count == 2
    assert summary.mean == Scorecard(42.0, math.inf, 3.0, 0.9, 4.0, 1.5, 3.0)
    assert (summary.std.psnr_bands, summary.std.rmse_255, summary.std.zero_spectra) == (2.0, 1.0, 3.0)
    assert math.isnan(summary.std.psnr_cube) and summary.std.as_dict()["psnr_cube"] is None


@by_name
def test_batched_equals_stacked_singles(metric):
    pairs = [textured_pair(seed=seed) for seed in range(3)]
    reference, estimate = (np.stack(cubes) for cubes in zip(*pairs, strict=True))
    reference[1, 2, 3] = 0.0
    singles = np.stack([np.asarray(metric(*pair)) for pair in zip(reference, estimate, strict=True)])
    batched = np.asarray(metric(reference, estimate))
    assert batched.shape == singles.shape
    np.testing.assert_allclose(batched, singles, rtol=1e-12)


@by_name
def test_compiled_tensors_equal_arrays(metric):
    reference, estimate = textured_pair()
    signature = [tf.TensorSpec([None, None, None, 5], tf.float64)] * 2
    compiled = tf.function(metric, input_signature=signature)
    found = compiled(tf.constant(reference[None]), tf.constant(estimate[None]))
    np.testing.assert_allclose(found[0], metric(reference, estimate), rtol=1e-12)


def test_ergas_compiles_and_batches():
    reference, estimate = (np.stack([cube, cube[::-1] * 0.5]) for cube in textured_pair())
    compiled = tf.function(lambda x, y: metrics.ergas(x, y, scale=8))
    singles = [float(metrics.ergas(*pair, scale=8)) for pair in zip(reference, estimate, strict=True)]
    np.testing.assert_allclose(compiled(tf.constant(reference), tf.constant(estimate)), singles, rtol=1e-12)


@pytest.mark.parametrize(
    ("given_types", "computed"),
    [
        (("float64", "float64"), "float64"),
        (("float32", "float64"), "float64"),
        (("float32", "float32"), "float32"),
        (("bfloat16", "float32"), "float32"),
        (("uint8", "uint8"), "float32"),
    ],
)
def test_precision_follows_the_cubes_but_never_below_float32(given_types, computed):
    cubes = (
        tf.cast(tf.constant(cube), kind) for cube, kind in zip(textured_pair(), given_types, strict=True)
    )
    assert metrics.psnr_bands(*cubes).dtype == computed


def test_unsigned_integers_do_not_wrap_around():
    low, high = np.full((1, 2, 3), 10, np.uint8), np.full((1, 2, 3), 20, np.uint8)
    assert float(metrics.rmse_255(low, high, data_range=255)) == pytest.approx(10.0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(11, 30), st.integers(11, 30), st.integers(1, 6))
def test_scores_do_not_depend_on_band_order_or_transposition(seed, height, width, num_bands):
    reference, estimate = textured_pair(height, width, num_bands, seed)
    card = list(scorecard(reference, estimate, scale=8).by_name().values())
    order = np.random.default_rng(seed).permutation(num_bands)
    shuffled = scorecard(reference[..., order], estimate[..., order], scale=8)
    turned = scorecard(reference.transpose(1, 0, 2), estimate.transpose(1, 0, 2), scale=8)
    np.testing.assert_allclose(list(shuffled.by_name().values()), card, rtol=1e-9)
    np.testing.assert_allclose(list(turned.by_name().values()), card, rtol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.01, 0.3))
def test_mean_of_band_psnrs_is_at_least_the_cubes(seed, noise):
    reference, _ = textured_pair(seed=seed)
    estimate = reference + noise * np.random.default_rng(seed).standard_normal(5) * np.ones_like(reference)
    assert metrics.psnr_bands(reference, estimate) >= metrics.psnr_cube(reference, estimate) - 1e-9


@by_name
def test_shapes_that_differ_are_refused(metric):
    reference, estimate = textured_pair()
    with pytest.raises(ValueError, match=r"estimate: expected the reference's shape \(37, 23, 5\), got"):
        metric(reference, estimate.transpose(1, 0, 2))
    with pytest.raises(ValueError, match=r"estimate: expected the reference's shape"):
        metric(reference, estimate[None])
    with pytest.raises(ValueError, match=r"reference: expected a cube"):
        metric(reference[..., 0], estimate[..., 0])


@by_name
def test_arrays_with_nan_are_refused_and_tensors_show_it(metric):
    reference, estimate = textured_pair()
    estimate[4, 5, 2] = np.nan
    with pytest.raises(ValueError, match=r"estimate: expected finite values, got 1 NaN"):
        metric(reference, estimate)
    if metric is not metrics.zero_spectra:
        assert np.isnan(np.asarray(metric(tf.constant(reference), tf.constant(estimate)))).any()


@pytest.mark.parametrize("bad", [0, -1.0, math.nan, math.inf, None, "255"])
def test_data_range_and_scale_that_are_not_positive_numbers_are_refused(bad):
    reference, estimate = textured_pair()
    for metric in (metrics.psnr_bands, metrics.psnr_cube, metrics.rmse_255, metrics.ssim):
        with pytest.raises(ValueError, match="data_range: expected a positive number"):
            metric(reference, estimate, data_range=bad)
    with pytest.raises(ValueError, match="data_range: expected a positive number"):
        scorecard(reference, estimate, scale=8, data_range=bad)
    with pytest.raises(ValueError, match="scale: expected a positive number"):
        scorecard(reference, estimate, scale=bad)
    with pytest.raises(ValueError, match="scale: expected a positive number"):
        metrics.ergas(reference, estimate, scale=bad)


def test_images_smaller_than_the_ssim_window_are_refused():
    reference, estimate = textured_pair(height=10, width=40)
    for score in (metrics.ssim, lambda x, y: scorecard(x, y, scale=8)):
        with pytest.raises(ValueError, match="at least 11 x 11 pixels, the window of SSIM, got 10 x 40"):
            score(reference, estimate)


def test_bands_without_signal_are_refused_by_number():
    reference, estimate = textured_pair()
    reference[..., [1, 3]] = 0.0
    for score in (metrics.ergas, scorecard):
        with pytest.raises(ValueError, match=r"mean zero in bands \[1, 3\]"):
            score(reference, estimate, scale=8)


def test_scorecard_refuses_batches_other_shapes_and_nan():
    reference, estimate = textured_pair()
    with pytest.raises(ValueError, match="reference: expected one cube"):
        scorecard(reference[None], estimate[None], scale=8)
    with pytest.raises(ValueError, match="estimate: expected the reference's shape"):
        scorecard(reference, estimate[..., :3], scale=8)
    estimate[0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="estimate: expected finite values"):
        scorecard(reference, estimate, scale=8)
    with pytest.raises(ValueError, match="cards: expected at least one"):
        summarise([])


def test_luma_scores_agree_with_scikit_image_on_8_bit_values_inside_the_border():
    rng = np.random.default_rng(5)
    reference = rng.random((31, 27, 1))
    estimate = reference + 0.1 * rng.standard_normal(reference.shape)
    truth, guess = (
        np.rint(255 * np.clip(image, 0, 1))[3:-3, 3:-3, 0].astype(np.uint8) for image in (reference, estimate)
    )
    found = metrics.luma_scores(reference, estimate, border=3)
    assert found.psnr == pytest.approx(peak_signal_noise_ratio(truth, guess), abs=1e-9)
    expected = skimage_ssim(truth[..., None].astype(np.float64), guess[..., None].astype(np.float64), 255)
    assert found.ssim == pytest.approx(expected, abs=1e-9)


def test_luma_scores_worked_by_hand():
    reference = np.full((20, 24, 1), 100 / 255, np.float32)
    estimate = reference + np.float32(5.3 / 255)
    estimate[:2], estimate[:, -2:] = 0.9, 0.1
    found = metrics.luma_scores(reference, estimate, border=2)
    assert found.psnr == pytest.approx(20 * np.log10(255 / 5), abs=1e-9)
    exact = metrics.luma_scores(reference, estimate, border=2, eight_bit=False)
    assert exact.psnr == pytest.approx(20 * np.log10(255 / 5.3), abs=1e-4)
    below_half_a_step = metrics.luma_scores(reference, reference + 0.4 / 255, border=0)
    assert (below_half_a_step.psnr, below_half_a_step.ssim) == (np.inf, 1.0)


@pytest.mark.parametrize(
    ("shape", "border", "said"),
    [((20, 20, 3), 2, "one channel"), ((14, 20, 1), 2, "at least 11 x 11"), ((20, 20), 0, "one cube")],
)
def test_luma_scores_refuse_colour_and_what_the_border_leaves_too_little_of(shape, border, said):
    image = np.zeros(shape)
    with pytest.raises(ValueError, match=said):
        metrics.luma_scores(image, image, border=border)


def test_the_rmse_of_every_image_is_that_worked_by_hand_and_at_most_that_of_the_cube() -> None:
    reference = np.full((12, 11, 2), 0.5)
    estimate = reference + np.array([0.03, 0.05])
    assert float(metrics.rmse_255_bands(reference, estimate)) == pytest.approx(255 * 0.04)
    assert float(metrics.rmse_255(reference, estimate)) == pytest.approx(255 * math.sqrt((9 + 25) / 2) / 100)
    by_name = scorecard(reference, estimate, scale=4).by_name()
    assert by_name["rmse_255_bands"] == pytest.approx(255 * 0.04) and by_name["rmse_255"] > 255 * 0.04
