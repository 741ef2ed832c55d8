"""What the trainers of networks share: model, optimiser and run on devices of one host or several, the step.

Each device has a share of the batch; their gradients are averaged, and clipped after that, so that any number
of them takes the step that one device would take with the whole batch. A trainer says what its loss is and
how it is validated; everything else is here and in `_run`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import keras
import tensorflow as tf

from hsr_tf import checks
from hsr_tf.data.patches import Share
from hsr_tf.typing import Tensor
from trainers._hosts import join_hosts, shares_of, take_from_chief, these_hosts
from trainers._optimizers import OwnSeeds, make_optimizer
from trainers._run import Run, RunPlan, Validation


class BatchSource(Protocol):
    """What hands out the batches of a run; see `hsr_tf.data.patches.PatchSource`."""

    def steps_of(self, epochs: float) -> int:
        """Steps in which everything is shown `epochs` times."""
        ...

    def batch(self, step: Any) -> Any:
        """The batch of one step."""
        ...

    def dataset(self, start_step: int, num_steps: int, share: Share = ...) -> tf.data.Dataset:
        """Pairs of patches and their numbers, from one step to another."""
        ...


class Trainer(ABC):
    """A model in training.

    Args:
        plan: how the run goes.
        build: makes the model; called where its variables belong.
        source: the patches.
    """

    model: Any

    def __init__(self, plan: RunPlan, build: Callable[[], keras.Model], source: BatchSource) -> None:
        if plan.epochs is not None:
            plan = replace(plan, num_steps=source.steps_of(plan.epochs))
        self.plan, self.source = plan, source
        self.strategy = device_strategy()
        self._num_shares = shares_of(self.strategy, plan.batch_size)
        checks.require(
            not (plan.jit_compile and these_hosts().are_several),
            "jit_compile",
            expected="false where several hosts share a step, as XLA does not compile what they exchange",
            received="true",
            remedy="leave it out",
        )
        with self.strategy.scope():
            self.model = build()
            self.optimizer = make_optimizer(plan)
            self.seeds = OwnSeeds(plan.seed)
            self.run = Run(plan, self.model, self.optimizer, [self.seeds.state])
        if self._num_shares > 1:
            # Keras clips the gradient of each device and then sums them. Averaged before, clipping sees the
            # gradient of the whole batch, as on one device, and there is nothing left to sum.
            inner = getattr(self.optimizer, "inner_optimizer", self.optimizer)
            inner._all_reduce_sum_gradients = list
        # Without AutoGraph: no branch hangs on a tensor, and rewriting the sources takes half of the tracing.
        self.train_step = tf.function(self._distributed_step, jit_compile=plan.jit_compile, autograph=False)

    @abstractmethod
    def loss(self, patches: Any, index: Tensor) -> Tensor:
        """The loss of a batch: patches (B, p, p, C), and for each the number of the image it is from.

        Other sources than `PatchSource` give what their trainer takes.

        Called while gradients are recorded; what is drawn at random comes from `self.seeds`.
        """

    @abstractmethod
    def validate(self) -> Validation:
        """Return scores and pictures of the model as it is."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what the card of the trained model says about its data, as plain values."""

    @abstractmethod
    def gains(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Return decibels over bicubic interpolation on the validation images, by how these were reduced."""

    def train(self) -> dict[str, float]:
        """Train, or go on, to the last step; the averaged weights end up in the model.

        Returns:
            The scores of the last validation.
        """
        self.run.restore()
        take_from_chief(self.strategy, self.run.kept)
        start = int(self.run.step.numpy())
        scores = self.run.loop(iter(self._batches(start)), self.train_step, self.validate)
        if not scores:
            with self.run.averaged_weights():
                scores = dict(self.validate().scores)
        if self.plan.ema > 0:
            self.optimizer.finalize_variable_values(self.model.trainable_variables)
        return scores

    def _batches(self, start: int) -> Any:
        """The batches from a step on; of each the shares of this host's devices."""
        if self._num_shares == 1:
            return self.source.dataset(start, self.plan.num_steps)

        def of_this_host(context: tf.distribute.InputContext) -> tf.data.Dataset:
            count = self._num_shares // context.num_input_pipelines
            share = Share(context.input_pipeline_id * count, count, self._num_shares)
            # Endless, so that the hosts need not ask each other before every step whether there is one.
            return self.source.dataset(start, self.plan.num_steps, share).repeat()

        return self.strategy.distribute_datasets_from_function(of_this_host)

    def _step(self, patches: Tensor, index: Tensor) -> Tensor:
        weights = self.model.trainable_variables
        with tf.GradientTape() as tape:
            loss = self.loss(patches, index)
            scaled = self.optimizer.scale_loss(loss)
        self.optimizer.apply(self._averaged(tape.gradient(scaled, weights)), weights)
        return loss

    def _averaged(self, gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
        """The mean over all devices, of the gradients that there are."""
        if self._num_shares == 1:
            return list(gradients)
        context = tf.distribute.get_replica_context()
        known = [gradient for gradient in gradients if gradient is not None]
        means = iter(context.all_reduce(tf.distribute.ReduceOp.MEAN, known))
        return [None if gradient is None else next(means) for gradient in gradients]

    def _distributed_step(self, patches: Tensor, index: Tensor) -> Tensor:
        if self._num_shares == 1:
            return self._step(patches, index)
        each = self.strategy.run(self._step, args=(patches, index))
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, each, axis=None)


def device_strategy() -> tf.distribute.Strategy:
    """Every device of this host, and of the others that TF_CONFIG tells of."""
    return join_hosts()
