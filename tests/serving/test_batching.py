"""Nothing is lost, doubled or mixed up in the queue; what nobody waits for is not computed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.batching import Arrays, Job, QueuePlan, Scheduler
from serving.refusal import Refusal
from serving.telemetry import Telemetry
from serving.tiles import Compute
from tests.serving.serving_for_tests import PATIENCE, eventually


@dataclass(eq=False)
class Recorder:
    """Twice its input; refuses negative numbers; keeps what it was asked; waits for `go`."""

    is_batchable: bool = True
    model: str = "toy"
    drops_batch: bool = False
    batches: list[list[float]] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)

    def compute(self, inputs: Arrays) -> dict[str, np.ndarray]:
        x = inputs["x"]
        self.batches.append(x[:, 0].tolist())
        assert self.go.wait(PATIENCE)
        if (x < 0).any():
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "x: negative")
        return {"y": (2 * x)[:1] if self.drops_batch else 2 * x}

    def sibling(self, signature: str) -> Recorder:
        del signature
        return self


@dataclass(eq=False)
class Rows:
    """Cuts everything, one row at a time."""

    num_done: int = 0

    def cuts(self, inputs: Arrays) -> bool:
        return len(inputs["x"]) > 1

    def compute(self, inputs: Arrays, compute: Compute) -> dict[str, np.ndarray]:
        parts = []
        for start in range(len(inputs["x"])):
            parts.append(compute({"x": inputs["x"][start : start + 1]}, "serving_default")["y"])
            self.num_done += 1
        return {"y": np.concatenate(parts)}


def job(function: Recorder, *values: float, width: int = 2, seconds: float | None = None) -> Job:
    deadline = None if seconds is None else time.monotonic() + seconds
    return Job(function, {"x": np.repeat(np.array(values, "f4")[:, None], width, 1)}, deadline)


def cut(function: Recorder, *values: float, seconds: float | None = None) -> Job:
    """A job that is computed in tiles."""
    return replace(job(function, *values, seconds=seconds), tiles=Rows(), _answer=Future())


@contextmanager
def scheduled(**plan: float) -> Iterator[Scheduler]:
    scheduler = Scheduler(QueuePlan(**plan), Telemetry())  # type: ignore[arg-type]
    scheduler.start()
    yield scheduler
    scheduler.stop()


def put_behind(scheduler: Scheduler, function: Recorder, jobs: list[Job]) -> Job:
    """Queue jobs while the worker is busy with another one, which is returned."""
    first = job(function, 100.0, width=1)
    scheduler.put(first)
    eventually(lambda: function.batches == [[100.0]])
    for one in jobs:
        scheduler.put(one)
    return first


def test_what_waits_is_computed_together_and_cut_apart_again() -> None:
    function = Recorder()
    with scheduled(max_batch=4) as scheduler:
        jobs = [
            job(function, 1),
            job(function, 2, 3),
            job(function, 4, width=3),
            job(function, 5),
            job(function, 6),
        ]
        put_behind(scheduler, function, jobs)
        function.go.set()
        for one, values in zip(jobs, [[1], [2, 3], [4], [5], [6]], strict=True):
            np.testing.assert_array_equal(one.wait()["y"][:, 0], 2 * np.array(values))
    assert function.batches == [[100], [1, 2, 3, 5], [4], [6]]


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=20), st.integers(1, 6))
def test_every_request_gets_its_own_answer(sizes: list[tuple[int, int]], max_batch: int) -> None:
    function = Recorder()
    function.go.set()
    with scheduled(max_batch=max_batch, num_workers=2) as scheduler:
        jobs = [job(function, *range(10 * i, 10 * i + n), width=w) for i, (n, w) in enumerate(sizes)]
        for one in jobs:
            scheduler.put(one)
        for one in jobs:
            np.testing.assert_array_equal(one.wait()["y"], 2 * one.inputs["x"])
    assert sum(len(batch) for batch in function.batches) == sum(n for n, _ in sizes)
    assert all(len(batch) <= max(max_batch, 3) for batch in function.batches)


def test_only_the_guilty_request_gets_the_error() -> None:
    function = Recorder()
    with scheduled() as scheduler:
        jobs = [job(function, 1), job(function, -1), job(function, 2)]
        put_behind(scheduler, function, jobs)
        function.go.set()
        assert jobs[0].wait()["y"][0, 0] == 2 and jobs[2].wait()["y"][0, 0] == 4
        with pytest.raises(Refusal, match="negative"):
            jobs[1].wait()


@pytest.mark.parametrize("function", [Recorder(drops_batch=True), Recorder(is_batchable=False)])
def test_outputs_without_the_samples_are_computed_one_by_one(function: Recorder) -> None:
    with scheduled() as scheduler:
        jobs = [job(function, value) for value in (1, 2)]
        put_behind(scheduler, function, jobs)
        function.go.set()
        assert [one.wait()["y"][0, 0] for one in jobs] == [2, 4]
    assert function.batches[-2:] == [[1], [2]]


def test_a_full_queue_refuses_at_once_and_answers_what_it_took() -> None:
    function = Recorder()
    with scheduled(max_queue=3) as scheduler:
        jobs = [job(function, value) for value in (1, 2, 3)]
        first = put_behind(scheduler, function, jobs)
        with pytest.raises(Refusal, match="3 requests wait") as caught:
            scheduler.put(job(function, 4))
        assert caught.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        function.go.set()
        assert [one.wait()["y"][0, 0] for one in [first, *jobs]] == [200, 2, 4, 6]
        eventually(lambda: scheduler.num_waiting == 0)
        scheduler.put(job(function, 5))


def test_a_queue_that_holds_too_many_bytes_refuses() -> None:
    function = Recorder()
    with scheduled(max_queue_bytes=20) as scheduler:
        put_behind(scheduler, function, [job(function, 1), job(function, 2)])
        assert scheduler.num_waiting_bytes == 16
        with pytest.raises(Refusal, match="2 requests wait"):
            scheduler.put(job(function, 3))
        function.go.set()


def test_what_nobody_waits_for_is_not_computed_and_frees_its_place() -> None:
    function = Recorder()
    with scheduled(max_queue=2, max_batch=1) as scheduler:
        cancelled, expired = job(function, 1), job(function, 2, seconds=0.02)
        put_behind(scheduler, function, [cancelled, expired])
        scheduler.drop(cancelled)
        last = job(function, 3)
        scheduler.put(last)
        with pytest.raises(Refusal, match="deadline") as caught:
            expired.wait()
        assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
        function.go.set()
        assert last.wait()["y"][0, 0] == 6
        with pytest.raises(Refusal, match="cancelled"):
            cancelled.wait()
    assert function.batches == [[100], [3]]


def test_the_oldest_goes_first_whatever_its_model() -> None:
    busy, other, order = Recorder(), Recorder(model="other"), []
    other.batches = busy.batches = order
    other.go = busy.go
    with scheduled(max_batch=1) as scheduler:
        jobs = [job(busy if value % 2 else other, value) for value in range(6)]
        put_behind(scheduler, busy, jobs)
        busy.go.set()
        for one in jobs:
            one.wait()
    assert order == [[100], [0], [1], [2], [3], [4], [5]]


def test_a_batch_waits_to_fill_up_only_as_long_as_it_may() -> None:
    function = Recorder()
    function.go.set()
    with scheduled(max_batch=2, batch_timeout_ms=PATIENCE * 1e3) as scheduler:
        jobs = [job(function, 1), job(function, 2)]
        for one in jobs:
            scheduler.put(one)
        assert [one.wait()["y"][0, 0] for one in jobs] == [2, 4]
    with scheduled(max_batch=2, batch_timeout_ms=20.0) as scheduler:
        alone = job(function, 3)
        scheduler.put(alone)
        assert alone.wait()["y"][0, 0] == 6
    assert function.batches == [[1, 2], [3]]


def test_many_threads_get_their_own_answers() -> None:
    function = Recorder()
    function.go.set()
    with scheduled(max_batch=8, num_workers=2) as scheduler, ThreadPoolExecutor(32) as pool:

        def one(value: int) -> float:
            own = job(function, value)
            scheduler.put(own)
            return float(own.wait()["y"][0, 0])

        assert list(pool.map(one, range(640))) == [2 * value for value in range(640)]
    assert sorted(value for batch in function.batches for value in batch) == list(range(640))


def test_a_scheduler_that_stops_refuses_what_waits() -> None:
    function = Recorder()
    with scheduled() as scheduler:
        waiting = job(function, 1, width=3)
        put_behind(scheduler, function, [waiting])
        threading.Timer(0.05, function.go.set).start()
        scheduler.stop()
        with pytest.raises(Refusal, match="going down"):
            waiting.wait()
        with pytest.raises(Refusal, match="going down"):
            scheduler.put(job(function, 2))


@pytest.mark.parametrize("make", [job, cut])
def test_a_large_request_is_computed_in_pieces(make: Callable[..., Job]) -> None:
    function = Recorder()
    function.go.set()
    with scheduled(max_batch=2) as scheduler:
        large = make(function, 1, 2, 3, 4, 5)
        scheduler.put(large)
        np.testing.assert_array_equal(large.wait()["y"], 2 * large.inputs["x"])
    assert [len(batch) for batch in function.batches] == ([2, 2, 1] if make is job else [1] * 5)


@pytest.mark.parametrize("make", [job, cut])
@pytest.mark.parametrize("seconds", [None, 0.2])
def test_a_request_that_nobody_waits_for_ends_between_two_pieces(
    make: Callable[..., Job], seconds: float | None
) -> None:
    function = Recorder()
    with scheduled(max_batch=2) as scheduler:
        large = make(function, 1, 2, 3, 4, 5, seconds=seconds)
        scheduler.put(large)
        eventually(lambda: len(function.batches) == 1)
        if seconds is None:
            scheduler.drop(large)
        with pytest.raises(Refusal):
            large.wait()
        after = job(function, 9)
        scheduler.put(after)
        function.go.set()
        assert after.wait()["y"][0, 0] == 18
    assert function.batches[1:] == [[9]]


def test_requests_of_many_values_are_not_computed_together() -> None:
    function = Recorder()
    with scheduled(max_batch=4) as scheduler:
        jobs = [replace(job(function, value, width=3), max_values=7, _answer=Future()) for value in (1, 2, 3)]
        put_behind(scheduler, function, jobs)
        function.go.set()
        for one in jobs:
            one.wait()
    assert function.batches == [[100], [1, 2], [3]]
