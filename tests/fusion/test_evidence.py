"""Weights of a blend: those of the smallest predicted error, and few."""

from __future__ import annotations

import numpy as np

from hsr_tf.fusion.blend import Candidate
from hsr_tf.fusion.evidence import stacked_weights, usual_weights


def test_independent_errors_are_weighted_by_their_inverse_squares() -> None:
    np.testing.assert_allclose(stacked_weights(np.diag([1.0, 4.0])), [0.8, 0.2], atol=1e-3)


def test_no_weight_is_negative_and_the_mean_is_no_worse_than_the_best() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        errors = rng.standard_normal((4, 30)) * rng.random((4, 1)) + rng.standard_normal(30)
        products = errors @ errors.T / 30
        weights = stacked_weights(products)
        assert (weights >= 0).all() and np.isclose(weights.sum(), 1)
        assert weights @ products @ weights <= 1.01 * np.diag(products).min()


def test_a_candidate_that_adds_next_to_nothing_is_left_out() -> None:
    weights = stacked_weights(np.diag([1.0, 100.0]))
    assert weights.tolist() == [1.0, 0.0]


def test_doubt_draws_weights_to_the_usual_ones_and_no_further() -> None:
    errors, usual = np.array([[1.0, 0.2, 0.3], [0.2, 0.5, 0.1], [0.3, 0.1, 0.9]]), np.array([0.5, 0.0, 0.5])
    found = [stacked_weights(errors, usual, doubt) for doubt in (0.0, 0.5, 2.0, 1e4)]
    distances = [float(np.abs(weights - usual).sum()) for weights in found]
    assert distances == sorted(distances, reverse=True)
    np.testing.assert_allclose(found[0], stacked_weights(errors))
    np.testing.assert_allclose(found[-1], usual, atol=1e-3)


def test_closed_forms_that_know_the_psf_are_the_usual_ones() -> None:
    named = [Candidate.named(name) for name in ("spectral_ls", "colour_kernel", "kernel_ls")]
    assert usual_weights(named).tolist() == [0.5, 0.0, 0.5]
    assert usual_weights(named[:2]).tolist() == [1.0, 0.0]
    assert usual_weights([Candidate.named(name) for name in ("csu", "cnmf")]).tolist() == [0.5, 0.5]


def test_usual_weights_of_very_few_pixels_follow_the_errors() -> None:
    named = [Candidate.named(name) for name in ("spectral_ls", "colour_kernel", "kernel_ls")]
    np.testing.assert_allclose(usual_weights(named, np.array([2.0, 1.0, 2.0])), [1 / 6, 2 / 3, 1 / 6])
    np.testing.assert_allclose(usual_weights(named, np.array([1.0, 0.0, 1.0])), [0, 1, 0], atol=1e-9)
