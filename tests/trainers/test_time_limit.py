"""A training run with a limit of time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keras
import pytest

from trainers._optimizers import make_optimizer
from trainers._run import Run, RunPlan, Validation


def plan_with(run_dir: Path, max_seconds: float | None) -> RunPlan:
    return RunPlan(
        run_dir=run_dir,
        num_steps=50,
        batch_size=1,
        optimizer="adam",
        learning_rate=1e-3,
        schedule="constant",
        warmup_steps=0,
        weight_decay=0.0,
        clip_norm=0.0,
        ema=0.0,
        dtype="float32",
        jit_compile=False,
        seed=0,
        checkpoint_every=1000,
        validate_every=1000,
        max_seconds=max_seconds,
    )


@pytest.mark.parametrize(("max_seconds", "steps"), [(3.5, 5), (None, 50), (1000.0, 50)])
def test_the_clock_starts_after_the_first_step_and_ends_with_validation_and_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_seconds: float | None, steps: int
) -> None:
    """Time is a counter here: a step takes a second, the first one (which compiles) a hundred."""
    clock = {"now": 0.0}
    monkeypatch.setattr("trainers._run.time.monotonic", lambda: clock["now"])
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    plan = plan_with(tmp_path, max_seconds)
    run = Run(plan, model, make_optimizer(plan))

    def train_step(index: int) -> float:
        clock["now"] += 1.0 if index else 100.0
        return 1.0

    batches: Iterator[tuple[int]] = ((index,) for index in range(1000))
    scores = run.loop(batches, train_step, lambda: Validation({"psnr": 30.0}))
    assert int(run.step.numpy()) == steps
    assert scores == {"psnr": 30.0}
    again = Run(plan, model, make_optimizer(plan))
    assert again.restore() == steps
