"""The fitting loop: what was best on the samples held out is kept, whatever comes after it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from hsr_tf.solvers.parts.gradient_fit import FitPlan, FitResult, FitTask, GradientFit
from hsr_tf.solvers.solver import Controls, Step

BEST, GOAL = 0.5, 2.0


def fitted(
    patience: int, *, hold_out: bool = True, num_steps: int = 200, controls: Controls = Controls()
) -> tuple[float, FitResult]:
    """A number that the loss draws from 0 to GOAL, past BEST, where the held-out error is smallest."""
    number = keras.Variable(0.0)
    task = FitTask(
        name="number",
        variables=[number],
        loss=lambda step: tf.square(tf.convert_to_tensor(number) - GOAL),
        held_out_error=(lambda: abs(float(number.numpy()) - BEST)) if hold_out else None,
        estimate=lambda: np.zeros((1, 1, 1), np.float32),
        seconds_before=1000.0,
    )
    plan = FitPlan(num_steps=num_steps, learning_rate=0.05, ema=0.0, check_every=2, patience=patience)
    result = GradientFit(task, plan, controls).run()
    return float(number.numpy()), result


@pytest.mark.parametrize("patience", [0, 3])
def test_the_values_of_the_smallest_held_out_error_are_kept(patience: int) -> None:
    value, result = fitted(patience)
    assert value == pytest.approx(BEST, abs=0.06)
    assert result.held_out_error == pytest.approx(abs(value - BEST), abs=1e-6)
    assert 0 < result.best_step < result.iterations
    assert result.start_error == BEST and result.converged


def test_it_stops_after_as_many_looks_without_a_gain_as_it_has_patience() -> None:
    _, result = fitted(patience=3)
    assert result.iterations == result.best_step + 3 * 2
    assert fitted(patience=0)[1].iterations == 200


def test_without_held_out_samples_the_last_values_are_kept() -> None:
    value, result = fitted(patience=3, hold_out=False)
    assert value == pytest.approx(GOAL, abs=0.1)
    assert result.best_step == result.iterations == 200
    assert np.isinf(result.held_out_error) or np.isnan(result.held_out_error)


def test_the_course_counts_what_the_solver_took_before_and_the_limit_does_not() -> None:
    seen = list[Step]()
    _, result = fitted(0, num_steps=6, controls=Controls(max_seconds=500.0, callback=seen.append))
    assert result.iterations == len(seen) == 6
    seconds = [step.seconds for step in seen]
    assert seconds == sorted(seconds) and 1000 < seconds[0] < 1500
