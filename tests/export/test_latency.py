"""Files of one model are timed in turns, after a warm-up, at the size that the card tells."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from export import latency
from export.latency import NUM_TIMED, TIMED_SIDE, Latency, latencies
from export.trials import Trial


def test_files_are_timed_in_turns_at_no_more_than_256_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[tuple[str, int]] = []
    shapes: set[tuple[int, ...]] = set()

    class Recorded:
        """Takes any size; notes who was run."""

        input_shapes: ClassVar = {"lr_hsi": (1, -1, -1, 3), "hr_msi": (1, -1, -1, 1)}

        def __init__(self, path: Path, *, num_threads: int) -> None:
            self.told = (path.name, num_threads)

        def run(self, inputs: dict[str, np.ndarray]) -> None:
            runs.append(self.told)
            shapes.update(value.shape for value in inputs.values())

    monkeypatch.setattr(latency, "TFLiteModel", Recorded)
    inputs = {"lr_hsi": np.zeros((1, 40, 50, 3)), "hr_msi": np.zeros((1, 400, 500, 1))}
    trial = Trial("scene", inputs, np.zeros((400, 500, 3)), 10)
    assert len(latencies([Path("a"), Path("b")], trial)) == 2
    turns = [("a", 1), ("b", 1)] * (1 + NUM_TIMED) + [("a", 2), ("b", 2)] * (1 + NUM_TIMED)
    assert runs == turns
    assert shapes == {(1, 25, 25, 3), (1, TIMED_SIDE, TIMED_SIDE, 1)}


def test_the_median_is_taken_and_the_warm_up_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, durations = [0.0], iter([99.0, 1.0, 5.0, 2.0, 70.0, 3.0] * 2)

    class Slow:
        """Takes the next duration."""

        input_shapes: ClassVar = {"lr_image": (1, -1, -1, 1)}

        def __init__(self, path: Path, *, num_threads: int) -> None:
            pass

        def run(self, inputs: dict[str, np.ndarray]) -> None:
            clock[0] += next(durations)

    monkeypatch.setattr(latency, "TFLiteModel", Slow)
    monkeypatch.setattr(latency, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    trial = Trial("picture", {"lr_image": np.zeros((1, 8, 8, 1))}, np.zeros((8, 8, 1)), 1)
    assert latencies([Path("a")], trial) == [Latency(3.0, 3.0)]
    assert not list(durations)
