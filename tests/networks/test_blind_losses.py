"""Eq. 3: each term by a plain formula, weights, networks trained in parts, refused weights."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import tensorflow as tf

from hsr_tf.networks.blind_losses import BlindLoss, BlindTruth, BlindWeights
from hsr_tf.physics.kernel_code import gaussian_code
from hsr_tf.physics.kernel_shapes import gaussian_kernels

CODE = gaussian_code()


def case() -> tuple[dict[str, tf.Tensor], BlindTruth]:
    rng = np.random.default_rng(0)

    def picture(*size: int) -> tf.Tensor:
        return tf.constant(rng.random((2, *size, 1)), tf.float32)

    outputs = {name: picture(4, 6) for name in ("pseudo_lr", "pseudo_lr_middle")}
    outputs |= {name: picture(8, 12) for name in ("estimate", "estimate_middle")}
    outputs |= {name: gaussian_kernels(tf.constant([0.7, 3.0])) for name in ("kernel", "kernel_middle")}
    return outputs, BlindTruth(picture(8, 12), picture(4, 6), gaussian_kernels(tf.constant([1.0, 2.0])))


def test_the_terms_are_those_of_the_equation() -> None:
    outputs, truth = case()
    terms = BlindLoss(CODE).terms(outputs, truth)
    for name, output, reference in (
        ("image", "estimate", truth.hr_image),
        ("image_middle", "estimate_middle", truth.hr_image),
        ("pseudo_lr", "pseudo_lr", truth.lr_image),
        ("pseudo_lr_middle", "pseudo_lr_middle", truth.lr_image),
    ):
        np.testing.assert_allclose(terms[name], np.mean((outputs[output] - reference) ** 2), rtol=1e-6)
    difference = np.reshape(outputs["kernel"] - truth.kernel, (2, 441))
    np.testing.assert_allclose(terms["kernel_code"], np.abs(difference @ CODE.basis).mean(), rtol=1e-5)
    np.testing.assert_allclose(terms["kernel_norm"], 1, rtol=1e-6)
    assert "kernel_code_middle" not in terms


def test_the_loss_is_the_weighted_sum() -> None:
    outputs, truth = case()
    weights = BlindWeights(*np.arange(1.0, 8.0))
    loss = BlindLoss(CODE, weights)
    expected = sum(asdict(weights)[name] * float(term) for name, term in loss.terms(outputs, truth).items())
    assert float(loss(outputs, truth)) == pytest.approx(expected)
    assert len(loss.terms(outputs, truth)) == 7


def test_a_perfect_answer_costs_only_the_constant_norm() -> None:
    _, truth = case()
    outputs = {"estimate": truth.hr_image, "pseudo_lr": truth.lr_image, "kernel": truth.kernel}
    assert float(BlindLoss(CODE)(outputs, truth)) == pytest.approx(1)
    assert float(BlindLoss(CODE, BlindWeights(kernel_norm=0))(outputs, truth)) == 0


def test_terms_without_output_or_weight_are_left_out() -> None:
    outputs, truth = case()
    assert set(BlindLoss(CODE).terms({"estimate": outputs["estimate"]}, truth)) == {"image"}
    only = BlindWeights(0, 0, 0, 0, 1, 0)
    assert set(BlindLoss(CODE, only).terms(outputs, truth)) == {"kernel_code"}
    with pytest.raises(ValueError, match="outputs: expected one that a term of positive weight looks at"):
        BlindLoss(CODE, only)({"estimate": outputs["estimate"]}, truth)


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
def test_weights_that_are_none_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="image: expected a weight of 0 or more"):
        replace(BlindWeights(), image=value)
