"""Optimisers and learning rates of the training runs, the modern ones and those of the published recipes."""

from __future__ import annotations

import math
import re
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from hsr_tf import checks
from trainers._run import RunPlan

OPTIMIZERS = ("adam", "adamw", "muon", "sgd")
SCHEDULES = ("constant", "cosine", "steps")
AVERAGED_TIMES = 10.0


def make_optimizer(plan: RunPlan) -> keras.optimizers.Optimizer:
    """The plan's optimiser with its schedule, its clipping and averaged weights.

    Raises:
        ValueError: for a schedule "steps" without `decay_every`, or a `clip_theta` for another optimiser than
            "sgd".
    """
    checks.require_choice("optimizer", plan.optimizer, OPTIMIZERS)
    checks.require_choice("schedule", plan.schedule, SCHEDULES)
    checks.require(
        plan.schedule != "steps" or plan.decay_every > 0,
        "decay_every",
        expected="a positive number of steps for the schedule steps",
        received=str(plan.decay_every),
        remedy="give --decay_every, e.g. a quarter of --num_steps",
    )
    checks.require(
        not plan.muon_excludes or plan.optimizer == "muon",
        "muon_excludes",
        expected="the optimizer muon beside it",
        received=f"the optimizer {plan.optimizer}",
        remedy="give --optimizer=muon, or leave it out",
    )
    checks.require(
        plan.clip_theta == 0 or plan.optimizer == "sgd",
        "clip_theta",
        expected=f"0 with the optimizer {plan.optimizer}, whose update has no size that follows the gradient",
        received=str(plan.clip_theta),
        remedy="use --clip_norm, or --optimizer=sgd",
    )
    schedule: keras.optimizers.schedules.LearningRateSchedule
    if plan.schedule == "steps":
        schedule = StepDecay(plan.learning_rate, plan.warmup_steps, plan.decay_every, plan.decay_factor)
    else:
        num_steps = plan.num_steps if plan.schedule == "cosine" else 0
        schedule = WarmUp(plan.learning_rate, plan.warmup_steps, num_steps)
    shared = {
        "learning_rate": schedule,
        "global_clipnorm": plan.clip_norm or None,
        "use_ema": plan.ema > 0,
        "ema_momentum": averaging(plan),
    }
    if plan.optimizer == "sgd":
        optimizer = ClippedSGD(
            momentum=plan.momentum, theta=plan.clip_theta, penalty=plan.weight_decay, **shared
        )
    elif plan.optimizer == "adam":
        optimizer = keras.optimizers.Adam(**shared)
    elif plan.optimizer == "muon":
        decay = {"weight_decay": plan.weight_decay, "adam_weight_decay": plan.weight_decay}
        excluded = ["^" + re.escape(start) for start in plan.muon_excludes]
        optimizer = ConvolutionMuon(exclude_layers=excluded, **decay, **shared)
    else:
        optimizer = keras.optimizers.AdamW(weight_decay=plan.weight_decay, **shared)
    return keras.mixed_precision.LossScaleOptimizer(optimizer) if plan.dtype == "mixed_float16" else optimizer


def averaging(plan: RunPlan) -> float:
    """Momentum of the averaged weights: that of the plan, but that they span a tenth of the run at most.

    The average begins with the first weights: at 0.998 these are 28 % of it after 600 steps. Spectral-ResNet
    at x16 was at 23.6 dB in validation after 623 steps, with the limit at 30.3 dB after 503. A run that
    --max_seconds ends before its steps has more of the first weights.
    """
    return min(plan.ema, max(0.0, 1.0 - AVERAGED_TIMES / plan.num_steps))


class OwnSeeds(keras.random.SeedGenerator):
    """Seeds that differ from device to device; those of the first are those of one device alone."""

    def next(self, ordered: bool = True) -> Any:
        """The next seed, (2,)."""
        seed = super().next(ordered)
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return seed
        place = tf.cast(context.replica_id_in_sync_group, seed.dtype) * tf.constant(_STRIDE, seed.dtype)
        return seed + tf.stack([place, tf.zeros_like(place)])


_STRIDE = 0x3C6EF372 // 2


@keras.saving.register_keras_serializable("hsr_tf")
class ClippedSGD(keras.optimizers.SGD):
    """Gradient descent with momentum, weight decay and adjustable clipping (Kim et al. 2016, section 3.2).

        g <- clip(g, -theta / rate, theta / rate);   v <- momentum v - rate (g + penalty w);   w <- w + v

    so that one gradient moves a weight by at most theta, whatever the rate. The decay is a penalty on the
    kernels (not the biases) that enters the momentum, as the frameworks of the published recipes had it;
    Keras' own `weight_decay` stays outside. They multiplied v, here its increments, by the rate: the same but
    for the steps right after the rate has fallen.

    Args:
        theta: the largest change of a weight by one gradient; 0 for no clipping.
        penalty: factor of the weight in its gradient.
        keras_arguments: those of `keras.optimizers.SGD`.
    """

    def __init__(self, *, theta: float = 0.0, penalty: float = 0.0, **keras_arguments: Any) -> None:
        super().__init__(**keras_arguments)
        self.theta, self.penalty = theta, penalty

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One update of one variable."""
        gradient = ops.cast(gradient, variable.dtype)
        if self.theta > 0:
            limit = self.theta / ops.cast(learning_rate, variable.dtype)
            gradient = ops.maximum(ops.minimum(gradient, limit), -limit)
        if self.penalty > 0 and len(variable.shape) > 1:
            gradient = gradient + self.penalty * variable
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "theta": self.theta, "penalty": self.penalty}


@keras.saving.register_keras_serializable("hsr_tf")
class ConvolutionMuon(keras.optimizers.Muon):
    """Muon (K. Jordan et al. 2024) on the kernels of convolutions, Adam on everything else.

    Keras' Muon takes matrices alone. Here a kernel (height, width, n, m) is the matrix (height width n, m);
    its momentum is made orthogonal and scaled so that the weights move by a fifth of the rate in the mean
    square (J. Liu et al., "Muon is scalable for LLM training", 2025, eq. 4), which fits the rates of Adam.
    Kernels to or from fewer than `SMALLEST` channels (the first and the last of a network on one or three)
    keep Adam, and so do those whose path one of the regular expressions `exclude_layers` finds.
    """

    SMALLEST = 8

    def _should_use_adamw(self, variable: Any) -> bool:
        if len(variable.shape) != 4 or min(variable.shape[2:]) < self.SMALLEST:
            return True
        return any(re.search(pattern, variable.path) for pattern in self.exclude_layers)

    def _muon_update_step(self, gradient: Any, variable: Any, lr: Any, m: Any) -> None:
        self.assign_add(m, (self.momentum - 1.0) * m + gradient)
        ahead = gradient + self.momentum * m if self.nesterov else m
        matrix = ops.reshape(ahead, (-1, variable.shape[-1]))
        step = (
            self.rms_rate * max(matrix.shape) ** 0.5 * self.zeropower_via_newtonschulz5(matrix, self.ns_steps)
        )
        self.assign_sub(variable, lr * ops.reshape(step, variable.shape))


@keras.saving.register_keras_serializable("hsr_tf")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise, then constant, or half a cosine down to a thousandth of the peak at `decay_steps`."""

    def __init__(self, peak: float, warmup_steps: int, decay_steps: int) -> None:
        self.peak, self.warmup_steps, self.decay_steps = peak, warmup_steps, decay_steps

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        rise = ops.minimum(1.0, (step + 1.0) / max(1, self.warmup_steps))
        if self.decay_steps == 0:
            return self.peak * rise
        done = ops.clip(step / self.decay_steps, 0.0, 1.0)
        return self.peak * rise * (0.001 + 0.999 * 0.5 * (1.0 + ops.cos(math.pi * done)))

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "warmup_steps": self.warmup_steps, "decay_steps": self.decay_steps}


@keras.saving.register_keras_serializable("hsr_tf")
class StepDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise to `peak`, multiplied by `factor` after every `decay_every` steps."""

    def __init__(self, peak: float, warmup_steps: int, decay_every: int, factor: float = 0.1) -> None:
        self.peak, self.warmup_steps = peak, warmup_steps
        self.decay_every, self.factor = decay_every, factor

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        rise = ops.minimum(1.0, (step + 1.0) / max(1, self.warmup_steps))
        return self.peak * rise * ops.power(float(self.factor), ops.floor(step / self.decay_every))

    def get_config(self) -> dict[str, Any]:
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "decay_every": self.decay_every,
            "factor": self.factor,
        }
