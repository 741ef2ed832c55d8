"""Optimisers and rates: adjustable clipping and the decay agree with the recipe worked step by step."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.trainers.test_fusion import tiny_plan
from trainers._optimizers import ClippedSGD, ConvolutionMuon, StepDecay, make_optimizer


def test_adjustable_clipping_penalty_and_momentum_are_those_of_the_recipe():
    rate, theta, penalty, momentum = StepDecay(0.5, 0, 3, 0.1), 0.2, 0.01, 0.9
    rng = np.random.default_rng(2)
    shapes = {"kernel": (3, 4), "bias": (4,)}
    weights = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    gradients = [{name: 2 * rng.standard_normal(shape) for name, shape in shapes.items()} for _ in range(5)]
    variables = [keras.Variable(weights[name]) for name in shapes]
    optimizer = ClippedSGD(learning_rate=rate, momentum=momentum, theta=theta, penalty=penalty)
    speeds = {name: np.zeros(shape) for name, shape in shapes.items()}
    clipped = 0
    for step, given in enumerate(gradients):
        optimizer.apply([tf.constant(given[name], tf.float32) for name in shapes], variables)
        now = 0.5 * 0.1 ** (step // 3)
        for name in shapes:
            limited = np.clip(given[name], -theta / now, theta / now)
            clipped += int((limited != given[name]).sum())
            pull = penalty * weights[name] if name == "kernel" else 0.0
            speeds[name] = momentum * speeds[name] - now * (limited + pull)
            weights[name] = weights[name] + speeds[name]
    assert 10 < clipped < 70
    for variable, name in zip(variables, shapes, strict=True):
        np.testing.assert_allclose(variable.numpy(), weights[name], rtol=1e-5, atol=1e-6)


def test_one_gradient_moves_no_weight_by_more_than_theta_whatever_the_rate():
    for rate in (0.1, 1e-4):
        variable = keras.Variable([[0.0, 0.0]])
        ClippedSGD(learning_rate=rate, theta=0.01).apply([tf.constant([[1e6, -1e6]])], [variable])
        np.testing.assert_allclose(variable.numpy(), [[-0.01, 0.01]], rtol=1e-5)


def test_the_rate_falls_by_its_factor_after_every_so_many_steps():
    schedule = StepDecay(2.0, 4, 10, 0.5)
    assert [float(schedule(step)) for step in (0, 1, 3, 9)] == pytest.approx([0.5, 1.0, 2.0, 2.0])
    assert [float(schedule(step)) for step in (10, 19, 20, 35)] == pytest.approx([1.0, 1.0, 0.5, 0.25])


def test_the_plan_s_optimizer_has_its_settings_and_can_be_written_down(tmp_path: Path):
    changes = {"optimizer": "sgd", "schedule": "steps", "decay_every": 5, "clip_theta": 0.02}
    optimizer = make_optimizer(tiny_plan(tmp_path, **changes, ema=0.0, clip_norm=0.0))
    config = optimizer.get_config()
    assert (config["theta"], config["penalty"], config["momentum"]) == (0.02, 1e-3, 0.9)
    assert config["global_clipnorm"] is None and not config["use_ema"]
    again = ClippedSGD.from_config(config)
    assert again.theta == 0.02 and isinstance(again._learning_rate, StepDecay)


def test_the_average_of_a_short_run_has_next_to_nothing_of_its_first_weights(tmp_path: Path):
    plan = tiny_plan(tmp_path, num_steps=100, ema=0.998, optimizer="adam", learning_rate=1.0, clip_norm=0.0)
    optimizer, variable = make_optimizer(plan), keras.Variable([1000.0])
    for _ in range(100):
        optimizer.apply([tf.constant([1.0])], [variable])
    last = float(variable.numpy()[0])
    optimizer.finalize_variable_values([variable])
    assert abs(float(variable.numpy()[0]) - last) < 0.02 * (1000.0 - last)
    assert make_optimizer(tiny_plan(tmp_path, num_steps=9000, ema=0.998)).ema_momentum == 0.998
    assert make_optimizer(tiny_plan(tmp_path, num_steps=5, ema=0.998)).ema_momentum == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "steps"}, "decay_every: expected a positive number"),
        ({"clip_theta": 0.1}, "clip_theta: expected 0 with the optimizer adamw"),
        ({"muon_excludes": ["kernel_"]}, "muon_excludes: expected the optimizer muon"),
        ({"optimizer": "sdg"}, "did you mean 'sgd'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, changes, message):
    with pytest.raises(ValueError, match=message):
        make_optimizer(tiny_plan(tmp_path, **changes))


def test_muon_moves_a_convolution_along_an_orthogonal_matrix_and_the_rest_as_adam_does(tmp_path: Path):
    rng = np.random.default_rng(4)
    start = {
        "kernel": rng.standard_normal((3, 3, 8, 10)).astype(np.float32),
        "first": rng.standard_normal((3, 3, 1, 10)).astype(np.float32),
        "left_out": rng.standard_normal((3, 3, 8, 10)).astype(np.float32),
        "bias": rng.standard_normal(10).astype(np.float32),
    }
    gradients = [tf.constant(rng.standard_normal(value.shape), tf.float32) for value in start.values()]
    variables = [keras.Variable(value, name=name) for name, value in start.items()]
    alike = [keras.Variable(value) for value in start.values()]
    plan = tiny_plan(
        tmp_path,
        optimizer="muon",
        muon_excludes=["left_"],
        schedule="constant",
        warmup_steps=0,
        weight_decay=0.0,
        clip_norm=0.0,
        ema=0.0,
        learning_rate=0.01,
    )
    make_optimizer(plan).apply(gradients, variables)
    keras.optimizers.Adam(learning_rate=0.01).apply(gradients, alike)
    step = (start["kernel"] - variables[0].numpy()).reshape(72, 10)
    assert np.sqrt(np.mean(step**2)) == pytest.approx(0.2 * 0.01, rel=0.15)
    singular = np.linalg.svd(step, compute_uv=False)
    assert (
        singular.max() / singular.min() < 1.9 < np.linalg.svd(gradients[0].numpy().reshape(72, 10))[1].max()
    )
    assert np.vdot(step, gradients[0].numpy()) > 0
    for variable, other in zip(variables[1:], alike[1:], strict=True):
        np.testing.assert_allclose(variable.numpy(), other.numpy(), atol=1e-6)


def test_muon_s_second_step_follows_the_momentum_ahead(tmp_path: Path):
    rng = np.random.default_rng(5)
    gradients = [rng.standard_normal((1, 1, 8, 8)).astype(np.float32) for _ in range(3)]
    variable = keras.Variable(np.zeros((1, 1, 8, 8), np.float32))
    optimizer = make_optimizer(tiny_plan(tmp_path, optimizer="muon", ema=0.0, clip_norm=0.0, warmup_steps=0))
    assert isinstance(optimizer, ConvolutionMuon)
    speed = np.zeros((8, 8))
    for gradient in gradients:
        before = variable.numpy()[0, 0]
        optimizer.apply([tf.constant(gradient)], [variable])
        speed = 0.95 * speed + gradient[0, 0]
        left, _, right = np.linalg.svd(gradient[0, 0] + 0.95 * speed)
        step = before - variable.numpy()[0, 0]
        cosine = np.vdot(step, left @ right) / np.linalg.norm(step) / np.linalg.norm(left @ right)
        assert cosine > 0.97
