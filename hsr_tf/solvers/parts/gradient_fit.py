"""The loop of the learnt solvers: a tf.GradientTape step on one scene, averaged weights, early stopping.

A step draws what it needs from the seed and its own number, so a checkpoint of weights, averages, optimiser
and step number is all that a resumed fit needs to end as an uninterrupted one.
"""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
import tensorflow as tf

from hsr_tf import checks
from hsr_tf.files import replacing_file
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.solvers.solver import Controls, Cube, Iterations, Step

Values = list[np.ndarray]


@dataclass(frozen=True)
class LinearRates:
    """A learning rate that rises linearly, then falls linearly.

    Attributes:
        first, peak, last: the rate at the start, where it is largest, and at the end.
        rise: share of the steps in which it rises, 0 to 1.
    """

    first: float
    peak: float
    last: float
    rise: float

    def schedule(self, num_steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
        """The rates of so many steps."""
        return _LinearSchedule(self, num_steps)


class _LinearSchedule(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, rates: LinearRates, num_steps: int) -> None:
        self._rates, self._num_steps = rates, num_steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        rates, share = self._rates, tf.cast(step, tf.float32) / self._num_steps
        risen = rates.first + (rates.peak - rates.first) * share / max(rates.rise, 1e-9)
        fallen = rates.peak + (rates.last - rates.peak) * (share - rates.rise) / max(1 - rates.rise, 1e-9)
        return tf.where(share < rates.rise, risen, fallen)

    def get_config(self) -> dict[str, Any]:
        """What makes an equal schedule."""
        return {"rates": self._rates, "num_steps": self._num_steps}


@dataclass(frozen=True)
class FitPlan:
    """How the weights are fitted.

    Attributes:
        num_steps: most steps.
        learning_rate: at the start, from which it falls to nothing along a cosine; or how it rises and falls.
        ema: momentum of the averaged weights that are used, 0 for the last ones.
        check_every: steps between two looks at the held-out samples, and between checkpoints.
        patience: looks without a gain after which the fit stops; 0 for never.
    """

    num_steps: int = 300
    learning_rate: float | LinearRates = 3e-3
    ema: float = 0.98
    check_every: int = 25
    patience: int = 2

    def schedule(self) -> keras.optimizers.schedules.LearningRateSchedule:
        """The learning rate of each step."""
        if isinstance(self.learning_rate, LinearRates):
            return self.learning_rate.schedule(self.num_steps)
        return keras.optimizers.schedules.CosineDecay(self.learning_rate, self.num_steps)


@dataclass(frozen=True, eq=False)
class VariableGroup:
    """Variables with an Adam and a learning rate of their own.

    Attributes:
        variables: of the task.
        learning_rate: at the start, from which it falls to nothing along a cosine.
        beta_2: Adam's memory of squared gradients; below its 0.999 where they shrink by orders of magnitude.
    """

    variables: Sequence[keras.Variable]
    learning_rate: float
    beta_2: float = 0.99


@dataclass(frozen=True)
class FitTask:
    """What is fitted.

    Attributes:
        name: of the solver.
        variables: all that is learnt at the rate of the plan.
        loss: a function of a step number (tf.int32) that gives the scalar loss, in TensorFlow operations.
        held_out_error: the error of the current variables on samples that the loss never sees; None for no
            early stopping.
        estimate: the sharp cube of the current variables.
        fingerprint: arrays and words that tell this fit from another, for checkpoints.
        seconds_before: that the solver took before the fit; callbacks count them too.
        groups: variables beside `variables`, each group with a rate of its own.
        model: the cameras of the current variables, where they are learnt.
    """

    name: str
    variables: Sequence[keras.Variable]
    loss: Callable[[tf.Tensor], tf.Tensor]
    held_out_error: Callable[[], float] | None
    estimate: Callable[[], Cube]
    fingerprint: Sequence[Any] = ()
    seconds_before: float = 0.0
    groups: Sequence[VariableGroup] = ()
    model: Callable[[], ObservationModel] | None = None

    @property
    def learnt(self) -> list[keras.Variable]:
        """All variables, those of the groups last."""
        return [*self.variables, *(variable for group in self.groups for variable in group.variables)]


@dataclass(frozen=True)
class FitResult:
    """How a fit ended; the variables hold the best values found.

    Attributes:
        iterations: steps done.
        converged: whether it came to its end or stopped early, not for time.
        best_step: the step of the values kept.
        held_out_error: their error, nan without early stopping.
        start_error: the error before the first step, likewise.
    """

    iterations: int
    converged: bool
    best_step: int
    held_out_error: float
    start_error: float


class GradientFit:
    """Fits the variables of a task.

    Args:
        task: what is fitted.
        plan: how.
        controls: time limit, callback, checkpoint, progress.
    """

    def __init__(self, task: FitTask, plan: FitPlan, controls: Controls) -> None:
        self._task, self._plan, self._controls = task, plan, controls
        self._variables = task.learnt
        self._optimizers = [(keras.optimizers.Adam(plan.schedule()), len(task.variables))]
        for group in task.groups:
            rates = keras.optimizers.schedules.CosineDecay(group.learning_rate, plan.num_steps)
            optimizer = keras.optimizers.Adam(rates, beta_2=group.beta_2)
            self._optimizers.append((optimizer, len(group.variables)))
        for optimizer, mine in self._split(self._variables):
            optimizer.build(mine)
        self._averages = [tf.Variable(variable.numpy()) for variable in self._variables]
        self._step = tf.function(self._take_step, autograph=False)
        self._best: Values = []
        self._trace = {"best_step": 0, "best": np.inf, "start": np.inf, "misses": 0, "done": 0}

    def run(self) -> FitResult:
        """Fit, then leave the best values in the variables."""
        began = time.perf_counter()
        if not self._restore():
            self._look(0)
            self._trace["start"] = self._trace["best"]
        controls = self._since(time.perf_counter() - began)
        iterations = Iterations(
            self._task.name, self._plan.num_steps, controls, start=int(self._trace["done"])
        )
        for step in iterations:
            loss = float(self._step(tf.constant(step, tf.int32)))
            checks.require(
                bool(np.isfinite(loss)),
                "loss",
                expected="a finite number",
                received=f"{loss} at step {step + 1}",
                remedy="use a smaller learning_rate",
            )
            iterations.report(loss, self._current_estimate, self._task.model)
            self._after(step + 1, iterations)
        if self._task.held_out_error is not None and iterations.done % self._plan.check_every:
            self._look(iterations.done)
        self._adopt(self._best if self._task.held_out_error is not None else self._kept())
        # Let go of the compiled step: it holds the images of the scene in a ring of references.
        del self._step
        gc.collect()
        at_the_end = iterations.converged or iterations.done == self._plan.num_steps
        return FitResult(
            iterations.done,
            at_the_end,
            int(self._trace["best_step"]) if self._task.held_out_error else iterations.done,
            float(self._trace["best"]),
            float(self._trace["start"]),
        )

    def _take_step(self, step: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = self._task.loss(step)
        gradients = tape.gradient(loss, self._variables)
        for optimizer, pairs in self._split(list(zip(gradients, self._variables, strict=True))):
            optimizer.apply(*map(list, zip(*pairs, strict=True)))
        momentum = tf.minimum(self._plan.ema, (tf.cast(step, tf.float32) + 1.0) / 10.0)
        for average, variable in zip(self._averages, self._variables, strict=True):
            value = tf.convert_to_tensor(variable)
            average.assign(value + momentum * (average - value) if self._plan.ema > 0 else value)
        return loss

    def _split(self, parts: list[Any]) -> Iterator[tuple[keras.Optimizer, list[Any]]]:
        """Each optimizer with its part of what goes with the variables."""
        first = 0
        for optimizer, count in self._optimizers:
            yield optimizer, parts[first : first + count]
            first += count

    def _since(self, seconds: float) -> Controls:
        """The controls after the first look, with time left for the last one; callbacks count all of it."""
        limit, observe = self._controls.max_seconds, self._controls.callback
        before = self._task.seconds_before + seconds

        def callback(step: Step) -> None:
            if observe is not None:
                observe(replace(step, seconds=before + step.seconds))

        left = None if limit is None else max(1e-3, limit - 2 * seconds)
        return replace(self._controls, max_seconds=left, callback=callback)

    def _after(self, step: int, iterations: Iterations) -> None:
        self._trace["done"] = step
        if step % self._plan.check_every:
            return
        self._look(step)
        if self._plan.patience and self._trace["misses"] >= self._plan.patience:
            iterations.finish()
        self._save()

    def _look(self, step: int) -> None:
        """Measure the averaged weights on what was held out, and keep them where they are the best."""
        if self._task.held_out_error is None:
            return
        before = self._kept(current=True)
        self._adopt(self._kept())
        error = float(self._task.held_out_error())
        if error < self._trace["best"]:
            self._best = self._kept(current=True)
            self._trace.update(best=error, best_step=step, misses=0)
        else:
            self._trace["misses"] += 1
        self._adopt(before)

    def _current_estimate(self) -> Cube:
        before = self._kept(current=True)
        self._adopt(self._kept())
        try:
            return self._task.estimate()
        finally:
            self._adopt(before)

    def _kept(self, *, current: bool = False) -> Values:
        source = self._variables if current else self._averages
        return [np.array(variable.numpy()) for variable in source]

    def _adopt(self, values: Values) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)

    def _states(self) -> list[Any]:
        moments = [state for optimizer, _ in self._optimizers for state in optimizer.variables]
        return [*self._variables, *self._averages, *moments]

    def _save(self) -> None:
        path = self._controls.checkpoint
        if path is None:
            return
        arrays: dict[str, Any] = {"fingerprint": np.array(self._fingerprint())}
        arrays |= {f"state_{i}": np.asarray(state.numpy()) for i, state in enumerate(self._states())}
        arrays |= {f"best_{i}": value for i, value in enumerate(self._best)}
        arrays |= {f"trace_{name}": np.float64(value) for name, value in self._trace.items()}
        with replacing_file(path) as draft, draft.open("wb") as file:
            np.savez(file, **arrays)

    def _restore(self) -> bool:
        path = self._controls.checkpoint
        if path is None or not path.is_file():
            return False
        try:
            with np.load(path, allow_pickle=False) as file:
                held = {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
            raise checks.file_error(
                path, "is no checkpoint of a solver", "remove it to start anew"
            ) from error
        checks.require(
            str(held.get("fingerprint")) == self._fingerprint(),
            "checkpoint",
            expected="one of the same images, options and seed",
            received=str(path),
            remedy="remove it, or name another file",
        )
        for i, state in enumerate(self._states()):
            state.assign(held[f"state_{i}"])
        self._best = [held[f"best_{i}"] for i in range(sum(name.startswith("best_") for name in held))]
        self._trace = {name: float(held[f"trace_{name}"]) for name in self._trace}
        return True

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(f"{self._task.name} {self._plan} {self._controls.seed}".encode())
        for part in self._task.fingerprint:
            digest.update(part.tobytes() if isinstance(part, np.ndarray) else str(part).encode())
        return digest.hexdigest()
