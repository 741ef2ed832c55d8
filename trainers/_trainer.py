"""What the trainers of networks share: model, optimiser and run on one device or several, and the step.

A trainer says what its loss is and how it is validated; everything else is here and in `_run`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from hsr_tf.data.patches import PatchSource
from trainers._optimizers import make_optimizer
from trainers._run import Run, RunPlan, Validation

Tensor = Any


class Trainer(ABC):
    """A model in training.

    Args:
        plan: how the run goes.
        build: makes the model; called where its variables belong.
        source: the patches.
    """

    model: Any

    def __init__(self, plan: RunPlan, build: Callable[[], keras.Model], source: PatchSource) -> None:
        self.plan, self.source = plan, source
        self.strategy = device_strategy()
        with self.strategy.scope():
            self.model = build()
            self.optimizer = make_optimizer(plan)
            self.seeds = keras.random.SeedGenerator(plan.seed)
            self.run = Run(plan, self.model, self.optimizer, [self.seeds.state])
        self.train_step = tf.function(self._distributed_step, jit_compile=plan.jit_compile)

    @abstractmethod
    def loss(self, patches: Tensor, index: Tensor) -> Tensor:
        """The loss of a batch: patches (B, p, p, C), and for each the number of the image it is from.

        Called while gradients are recorded; what is drawn at random comes from `self.seeds`.
        """

    @abstractmethod
    def validate(self) -> Validation:
        """Scores and pictures of the model as it is."""

    def train(self) -> dict[str, float]:
        """Train, or go on, to the last step; the averaged weights end up in the model.

        Returns:
            The scores of the last validation.
        """
        start = self.run.restore()
        dataset = self.source.dataset(start, self.plan.num_steps)
        if self.strategy.num_replicas_in_sync > 1:
            dataset = self.strategy.experimental_distribute_dataset(dataset)
        scores = self.run.loop(iter(dataset), self.train_step, self.validate)
        scores = scores or self._final_scores()
        if self.plan.ema > 0:
            self.optimizer.finalize_variable_values(self.model.trainable_variables)
        return scores

    def _step(self, patches: Tensor, index: Tensor) -> Tensor:
        weights = self.model.trainable_variables
        with tf.GradientTape() as tape:
            loss = self.loss(patches, index)
            scaled = self.optimizer.scale_loss(loss)
        self.optimizer.apply(tape.gradient(scaled, weights), weights)
        return loss

    def _distributed_step(self, patches: Tensor, index: Tensor) -> Tensor:
        if self.strategy.num_replicas_in_sync == 1:
            return self._step(patches, index)
        each = self.strategy.run(self._step, args=(patches, index))
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, each, axis=None)

    def _final_scores(self) -> dict[str, float]:
        with self.run.averaged_weights():
            return dict(self.validate().scores)


def device_strategy() -> tf.distribute.Strategy:
    """Every accelerator of this machine where there are several, else the default device."""
    several = len(tf.config.list_physical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()
