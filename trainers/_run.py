"""What every training run has: its plan, averaged weights, checkpoints, progress, TensorBoard.

A run is a function of its flags. The batch of step n depends on the seed and n alone, so a checkpoint of
weights, optimiser, random state and step is all that a resumed run needs to end as an uninterrupted one.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from hsr_tf import checks
from trainers._hosts import join_hosts, lost_host, these_hosts, told_by_chief

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Validation:
    """What a validation found: scores by name, and pictures (H, W, 3) uint8 by name for TensorBoard."""

    scores: Mapping[str, float]
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class RunPlan:
    """How a run goes; the fields are the flags of the same names.

    A trainer turns `epochs`, where they are given, into `num_steps`.
    """

    run_dir: Path
    num_steps: int
    batch_size: int
    optimizer: str
    learning_rate: float
    schedule: str
    warmup_steps: int
    weight_decay: float
    clip_norm: float
    ema: float
    dtype: str
    jit_compile: bool
    seed: int
    checkpoint_every: int
    validate_every: int
    max_seconds: float | None = None
    momentum: float = 0.9
    decay_every: int = 0
    decay_factor: float = 0.1
    clip_theta: float = 0.0
    muon_excludes: Sequence[str] = ()
    epochs: float | None = None


def has_checkpoint(run_dir: Path) -> bool:
    """Whether a run of this folder can go on."""
    return tf.train.latest_checkpoint(run_dir / CHECKPOINTS) is not None


class Run:
    """One training run in its folder.

    Args:
        plan: how it goes.
        model: what is trained; its weights exist.
        optimizer: built here for the model's weights.
        states: further Keras variables to keep, such as those of random generators.

    Attributes:
        step: how many steps are done.
        kept: every variable of a checkpoint.

    Of several hosts the first writes to the run's folder; the others keep the checkpoints that TensorFlow has
    them write too in a temporary one, log nothing and show no progress.
    """

    def __init__(
        self,
        plan: RunPlan,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        states: Sequence[Any] = (),
    ) -> None:
        self.plan, self.model, self.optimizer = plan, model, optimizer
        optimizer.build(model.trainable_variables)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        kept = [variable.value for variable in (*model.variables, *optimizer.variables, *states)]
        self.kept = [self.step, *kept]
        checkpoint = tf.train.Checkpoint(step=self.step, variables=kept)
        self._hosts = these_hosts()
        self._aside = None if self._hosts.is_chief else TemporaryDirectory(prefix="hsr_host_")
        folder = plan.run_dir if self._aside is None else Path(self._aside.name)
        self._manager = tf.train.CheckpointManager(checkpoint, folder / CHECKPOINTS, max_to_keep=2)
        self._checkpoint = checkpoint
        self._times: tuple[float, float] | None = None  # seconds of waiting for batches, and in all
        logs = str(plan.run_dir / "tensorboard")
        chief = self._hosts.is_chief
        self.writer = tf.summary.create_file_writer(logs) if chief else tf.summary.create_noop_writer()

    @property
    def input_share(self) -> float:
        """Fraction of the time of all steps but the first in which they waited for their patches."""
        waited, total = self._times or (0.0, 0.0)
        return waited / total if total else 0.0

    def restore(self) -> int:
        """Go back to the last checkpoint, if there is one; the step to go on from."""
        if self._manager.latest_checkpoint:
            self._checkpoint.restore(self._manager.latest_checkpoint).assert_consumed()
        return int(self.step.numpy())

    def save(self) -> None:
        """Write a checkpoint of the step just done."""
        self._manager.save(checkpoint_number=int(self.step.numpy()))

    def loop(
        self, batches: Iterator[Any], train_step: Callable[..., Any], validate: Callable[[], Validation]
    ) -> dict[str, float]:
        """Train to the last step or to the end of the time, with progress, checkpoints and validation.

        Args:
            batches: one a step, from the current step on.
            train_step: takes what a batch holds, updates the weights, answers the loss.
            validate: scores and pictures of the model; called with its averaged weights.

        Returns:
            The last validation's scores.

        Raises:
            ValueError: when the loss is no longer finite; the last good checkpoint stays.
            ConnectionError: when another host is gone.
            KeyboardInterrupt: on Ctrl-C or SIGTERM, after a checkpoint.
        """
        scores: dict[str, float] = {}
        start, mean_loss = int(self.step.numpy()), 0.0
        deadline = math.inf
        with (
            _terminating(),
            tqdm(
                total=self.plan.num_steps,
                initial=start,
                unit="step",
                dynamic_ncols=True,
                disable=not self._hosts.is_chief,
            ) as bar,
        ):
            try:
                for step in range(start, self.plan.num_steps):
                    loss = self._loss_of(train_step, batches, step)
                    self._require_finite(loss, step)
                    self.step.assign(step + 1)
                    mean_loss = loss if step == start else 0.98 * mean_loss + 0.02 * loss
                    bar.update()
                    if step == start and self.plan.max_seconds:
                        deadline = time.monotonic() + self.plan.max_seconds
                    last = step + 1 == self.plan.num_steps or self._is_over(deadline)
                    if (step + 1) % 20 == 0:
                        self._log({"loss": loss}, step)
                        bar.set_postfix_str(_status(mean_loss, scores))
                    if last or (step + 1) % self.plan.validate_every == 0:
                        scores = self._validate(validate, step)
                        if self._hosts.is_chief:
                            bar.write(f"step {step + 1}: {_status(mean_loss, scores)}")
                    if last or (step + 1) % self.plan.checkpoint_every == 0:
                        self.save()
                    if last:
                        break
            except KeyboardInterrupt:
                self.save()
                raise
        return scores

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Within the block the model has the averaged weights, if the plan keeps any."""
        if self.plan.ema <= 0:
            yield
            return
        current = [variable.numpy() for variable in self.model.trainable_variables]
        self.optimizer.finalize_variable_values(self.model.trainable_variables)
        try:
            yield
        finally:
            for variable, value in zip(self.model.trainable_variables, current, strict=True):
                variable.assign(value)

    def _loss_of(self, train_step: Callable[..., Any], batches: Iterator[Any], step: int) -> float:
        """Take a step; the first, which compiles, is not timed."""
        begin = time.monotonic()
        try:
            batch = next(batches)
            ready = time.monotonic()
            loss = float(train_step(*batch))
            if self._times is not None:
                self._times = (self._times[0] + ready - begin, self._times[1] + time.monotonic() - begin)
            self._times = self._times or (0.0, 0.0)
            return loss
        except tf.errors.OpError as error:
            if not self._hosts.are_several:
                raise
            raise lost_host(error, step, self._last_saved()) from None

    def _is_over(self, deadline: float) -> bool:
        """Whether the time is up, by the chief's clock."""
        if math.isinf(deadline):
            return False
        late = time.monotonic() > deadline
        return bool(told_by_chief(join_hosts(), late)) if self._hosts.are_several else late

    def _validate(self, validate: Callable[[], Validation], step: int) -> dict[str, float]:
        with self.averaged_weights():
            found = validate()
        self._log({f"validation/{name}": score for name, score in found.scores.items()}, step)
        with self.writer.as_default(step=step + 1):
            for name, picture in found.pictures.items():
                tf.summary.image(f"validation/{name}", picture[None])
        return dict(found.scores)

    def _require_finite(self, loss: float, step: int) -> None:
        if not math.isfinite(loss):
            raise checks.InputError(
                "loss",
                expected="a finite number",
                received=f"{loss} at step {step + 1}",
                remedy="start again with a lower --learning_rate, a longer --warmup_steps, --clip_norm=1 or "
                f"--dtype=float32 (the checkpoint of step {self._last_saved()} is kept)",
            )

    def _last_saved(self) -> str:
        latest = self._manager.latest_checkpoint
        return latest.rpartition("-")[2] if latest else "0, the start,"

    def _log(self, scalars: Mapping[str, float], step: int) -> None:
        with self.writer.as_default(step=step + 1):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
            tf.summary.scalar("learning_rate", float(self.optimizer.learning_rate))


@contextmanager
def _terminating() -> Iterator[None]:
    """SIGTERM counts as Ctrl-C within the block."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _status(loss: float, scores: Mapping[str, float]) -> str:
    return ", ".join([f"loss {loss:.3e}", *(f"{name} {score:.2f}" for name, score in scores.items())])
