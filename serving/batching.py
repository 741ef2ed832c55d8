"""One queue for all models: requests wait here, and those of equal shape are computed together.

The oldest request goes first, whatever its model. With it go those that wait for the same function with
equal dtypes and equal dimensions after the first, up to `max_batch` samples; their inputs are joined along
the first dimension and the outputs cut apart again. A batch that fails, or whose outputs do not have as many
samples as its inputs, is computed again one by one, so that no client gets an error that another request
caused. Models must treat samples independently, as all of this project do; for others set `max_batch` to 1.

A request of more samples than `max_batch`, or one that `serving.tiles` cuts, is computed in pieces. Once its
client has gone or its deadline has passed, no further piece is computed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import grpc
import numpy as np

from hsr_tf import checks
from serving.refusal import Refusal
from serving.telemetry import Telemetry
from serving.tiles import Tiles

if TYPE_CHECKING:
    from serving.loaded import Endpoint

LOGGER = logging.getLogger("serving")
Arrays = Mapping[str, np.ndarray]
MOST_JOINED = 2**20  # Values; joining larger requests gains no time.


@dataclass(frozen=True)
class QueuePlan:
    """Queueing and batching of requests.

    Attributes:
        max_batch: samples that are computed together.
        batch_timeout_ms: how long a batch waits to fill up; 0 takes only what waits already.
        max_queue: requests that wait.
        max_queue_bytes: of the inputs that wait.
        num_workers: threads that compute batches.
    """

    max_batch: int = 8
    batch_timeout_ms: float = 0.0
    max_queue: int = 64
    max_queue_bytes: int = 1 << 30
    num_workers: int = 1

    def __post_init__(self) -> None:
        checks.require_positive_integers(
            max_batch=self.max_batch,
            max_queue=self.max_queue,
            max_queue_bytes=self.max_queue_bytes,
            num_workers=self.num_workers,
        )
        checks.require_at_least("batch_timeout_ms", self.batch_timeout_ms, 0, remedy="enlarge it")


@dataclass(eq=False)
class Job:
    """One request, waiting or in work.

    Attributes:
        function: what computes it.
        inputs: by name.
        deadline: on the clock of `time.monotonic`, or None.
        tiles: how a large one is computed in tiles; None where it cannot be.
        max_values: values of its largest input that may be computed together with others.
    """

    function: Endpoint
    inputs: Arrays
    deadline: float | None = None
    tiles: Tiles | None = None
    max_values: int = MOST_JOINED
    arrived: float = field(default_factory=time.monotonic)
    _answer: Future[Arrays] = field(default_factory=Future)

    @cached_property
    def num_bytes(self) -> int:
        """Of the inputs; what the strings of an array of strings hold counts too."""
        return sum(_num_bytes(array) for array in self.inputs.values())

    @cached_property
    def num_samples(self) -> int:
        """Size of the first dimension; 1 where there is none."""
        return max((array.shape[0] for array in self.inputs.values() if array.ndim), default=1)

    @cached_property
    def num_values(self) -> int:
        """Of the largest input."""
        return max((array.size for array in self.inputs.values()), default=1)

    @cached_property
    def is_cut(self) -> bool:
        """Whether it is computed in tiles."""
        return self.tiles is not None and self.tiles.cuts(self.inputs)

    @cached_property
    def likeness(self) -> Hashable | None:
        """Equal for jobs that may be computed together; None for one that must be alone."""
        heights = {array.shape[0] if array.ndim else 0 for array in self.inputs.values()}
        if not self.function.is_batchable or len(heights) != 1 or 0 in heights or self.is_cut:
            return None
        named = sorted(self.inputs.items())
        return id(self.function), *((name, array.dtype.str, array.shape[1:]) for name, array in named)

    @property
    def is_wanted(self) -> bool:
        """Whether the client still waits for it."""
        return not self._answer.done() and (self.deadline is None or time.monotonic() < self.deadline)

    def require_wanted(self) -> None:
        """Refusal: DEADLINE_EXCEEDED or CANCELLED when nobody waits for it any more."""
        if not self.is_wanted:
            raise self._not_wanted()

    def _not_wanted(self) -> Refusal:
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer within the deadline")
        return Refusal(grpc.StatusCode.CANCELLED, "the request was cancelled")

    def finish(self, answer: Arrays | Exception) -> None:
        """Give the answer; nothing happens when there was one before."""
        with suppress(InvalidStateError):
            if isinstance(answer, Exception):
                self._answer.set_exception(answer)
            else:
                self._answer.set_result(answer)

    def give_up(self) -> None:
        """Cancel it: its client has gone."""
        self._answer.cancel()

    def wait(self) -> Arrays:
        """The outputs, when they are there.

        Raises:
            Refusal: of the function; DEADLINE_EXCEEDED; CANCELLED when the client has gone.
        """
        remaining = None if self.deadline is None else max(self.deadline - time.monotonic(), 0.0)
        try:
            return self._answer.result(remaining)
        except (TimeoutError, CancelledError) as error:
            raise self._not_wanted() from error

    def compute(self, max_batch: int) -> dict[str, np.ndarray]:
        """The outputs, in pieces where it is large.

        Args:
            max_batch: samples that are computed together.

        Raises:
            Refusal: of the function; as `require_wanted` between two pieces.
        """
        if self.is_cut:
            assert self.tiles is not None

            def compute(inputs: Arrays, signature: str) -> dict[str, np.ndarray]:
                self.require_wanted()
                return self.function.sibling(signature).compute(inputs)

            return self.tiles.compute(self.inputs, compute)
        num_samples = max(1, self.num_samples)
        fitting = self.max_values * num_samples // max(1, self.num_values)
        step = max(1, min(max_batch, fitting))
        if self.likeness is None or max_batch == 1 or num_samples <= step:
            return self.function.compute(self.inputs)
        return self._in_samples(step) or self.function.compute(self.inputs)

    def _in_samples(self, step: int) -> dict[str, np.ndarray] | None:
        """Some samples at a time; None where the outputs do not have as many samples as the inputs."""
        parts: list[dict[str, np.ndarray]] = []
        for start in range(0, self.num_samples, step):
            self.require_wanted()
            piece = {name: array[start : start + step] for name, array in self.inputs.items()}
            parts.append(self.function.compute(piece))
            size = len(next(iter(piece.values())))
            if any(array.ndim == 0 or array.shape[0] != size for array in parts[-1].values()):
                return None
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _num_bytes(array: np.ndarray) -> int:
    if array.dtype != np.object_:
        return int(array.nbytes)
    return int(array.nbytes) + sum(len(text) for text in array.ravel())


class Scheduler:
    """The queue and the threads that compute.

    Args:
        plan: sizes.
        telemetry: counts batches.
    """

    def __init__(self, plan: QueuePlan, telemetry: Telemetry) -> None:
        self.plan, self._telemetry = plan, telemetry
        self._waiting: list[Job] = []
        self._changed, self._is_stopped = threading.Condition(), False
        self._threads = [
            threading.Thread(target=self._work, name=f"compute {number}", daemon=True)
            for number in range(plan.num_workers)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads; what still waits is refused, what is being computed not waited for for long."""
        with self._changed:
            self._is_stopped = True
            left, self._waiting = self._waiting, []
            self._changed.notify_all()
        for job in left:
            job.finish(Refusal(grpc.StatusCode.UNAVAILABLE, "the server is going down; ask another one"))
        for thread in self._threads:
            thread.join(timeout=1.0)

    @property
    def num_waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @property
    def num_waiting_bytes(self) -> int:
        """Of their inputs."""
        with self._changed:
            return sum(job.num_bytes for job in self._waiting)

    def put(self, job: Job) -> None:
        """Let a job wait; Refusal: RESOURCE_EXHAUSTED at once when the queue is full."""
        with self._changed:
            size = sum(waiting.num_bytes for waiting in self._waiting) + job.num_bytes
            if len(self._waiting) >= self.plan.max_queue or size > self.plan.max_queue_bytes:
                said = f"{len(self._waiting)} requests wait already; try again later"
                raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, said)
            if self._is_stopped:
                raise Refusal(grpc.StatusCode.UNAVAILABLE, "the server is going down; ask another one")
            self._waiting.append(job)
            self._changed.notify_all()

    def drop(self, job: Job) -> None:
        """Forget a job whose client has gone: its place is free, and it is not begun any more."""
        job.give_up()
        with self._changed:
            self._waiting = [waiting for waiting in self._waiting if waiting is not job]

    def _work(self) -> None:
        while batch := self._next_batch():
            try:
                self._run(batch)
            except Exception as error:
                LOGGER.exception("a batch of %s failed", batch[0].function.model)
                for job in batch:
                    job.finish(_unforeseen(error))

    def _next_batch(self) -> list[Job]:
        """The oldest job and its like; empty when the scheduler has been stopped."""
        with self._changed:
            while not self._is_stopped:
                self._waiting = [job for job in self._waiting if job.is_wanted]
                if self._waiting:
                    return self._filled([self._waiting.pop(0)])
                self._changed.wait()
            return []

    def _filled(self, batch: list[Job]) -> list[Job]:
        """With all that is alike, as far as it fits; waits for more as long as the plan says."""
        until = batch[0].arrived + self.plan.batch_timeout_ms / 1e3
        if batch[0].likeness is None:
            return batch
        while not self._is_stopped:
            for job in list(self._waiting):
                fits = _num_samples(batch) + job.num_samples <= self.plan.max_batch
                fits = fits and sum(one.num_values for one in (*batch, job)) <= job.max_values
                if fits and job.likeness == batch[0].likeness:
                    batch.append(job)
                    self._waiting.remove(job)
            remaining = until - time.monotonic()
            if _num_samples(batch) >= self.plan.max_batch or remaining <= 0:
                break
            self._changed.wait(remaining)
        return batch

    def _run(self, batch: Sequence[Job]) -> None:
        wanted = [job for job in batch if job.is_wanted]
        if len(wanted) > 1 and self._run_together(wanted):
            return
        for job in wanted:
            if job.is_wanted:
                self._telemetry.computed(job.function.model, job.num_samples)
                try:
                    job.finish(job.compute(self.plan.max_batch))
                except Refusal as refusal:
                    job.finish(refusal)

    def _run_together(self, batch: Sequence[Job]) -> bool:
        """Whether the batch could be computed as one."""
        joined = {name: np.concatenate([job.inputs[name] for job in batch]) for name in batch[0].inputs}
        try:
            outputs = batch[0].function.compute(joined)
        except Refusal:
            return False
        total = _num_samples(batch)
        if any(array.ndim == 0 or array.shape[0] != total for array in outputs.values()):
            return False
        self._telemetry.computed(batch[0].function.model, total)
        start = 0
        for job in batch:
            end = start + job.num_samples
            job.finish({name: array[start:end] for name, array in outputs.items()})
            start = end
        return True


def _num_samples(batch: Sequence[Job]) -> int:
    return sum(job.num_samples for job in batch)


def _unforeseen(error: Exception) -> Refusal:
    is_memory = isinstance(error, MemoryError)
    code = grpc.StatusCode.RESOURCE_EXHAUSTED if is_memory else grpc.StatusCode.INTERNAL
    return Refusal(code, "not enough memory; try again later" if is_memory else "the server failed")
