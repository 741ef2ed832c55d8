"""Files of one model are timed in turns, after a warm-up, at the size that the card tells."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from export import latency
from export.latency import NUM_TIMED, TIMED_SIDE, Latency, latencies, latency_of
from export.trials import Trial


class Recorded:
    """Takes any size, tells `runs` who was run and `shapes` on what; enlarges to hr_msi, or as it is."""

    input_shapes: ClassVar = {
        name: (1, -1, -1, channels) for name, channels in (("lr_hsi", 3), ("hr_msi", 1), ("lr_image", 1))
    }
    runs: ClassVar[list[tuple[str, int]]] = []
    shapes: ClassVar[set[tuple[str, tuple[int, ...]]]] = set()

    def __init__(self, path: Path, *, num_threads: int) -> None:
        self.told = (path.name, num_threads)

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.runs.append(self.told)
        self.shapes.update((name, value.shape[1:3]) for name, value in inputs.items())
        return {"estimate": inputs["hr_msi" if "hr_msi" in inputs else "lr_image"]}


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> type[Recorded]:
    """In the place of LiteRT, without a memory."""
    monkeypatch.setattr(latency, "TFLiteModel", Recorded)
    Recorded.runs.clear()
    Recorded.shapes.clear()
    return Recorded


def scene(scale: int, rows: int, columns: int) -> Trial:
    """Of so many coarse pixels."""
    coarse, sharp = np.zeros((1, rows, columns, 3)), np.zeros((1, scale * rows, scale * columns, 1))
    return Trial("scene", {"lr_hsi": coarse, "hr_msi": sharp}, sharp[0], scale)


def turns(names: str, num_threads: int, rounds: int = 1 + NUM_TIMED) -> list[tuple[str, int]]:
    return [(name, num_threads) for name in names] * rounds


def test_files_are_timed_in_turns(recorded: type[Recorded]) -> None:
    assert len(latencies([Path("a"), Path("b")], scene(10, 40, 50))) == 2
    assert recorded.runs == turns("ab", 1) + turns("ab", 2)


@pytest.mark.parametrize(("scale", "coarse", "sharp"), [(10, 25, 250), (8, 32, 256), (3, 85, 255)])
def test_both_images_are_cut_to_the_same_coarse_pixels(
    scale: int, coarse: int, sharp: int, recorded: type[Recorded]
) -> None:
    """256 sharp rows under 25 coarse ones at x10 are no input of a fusion."""
    found = latency_of(Path("a"), scene(scale, 90, 100))
    assert recorded.shapes == {("lr_hsi", (coarse, coarse)), ("hr_msi", (sharp, sharp))}
    assert found.size == (sharp, sharp) and sharp <= TIMED_SIDE


def test_a_picture_that_was_enlarged_before_is_timed_at_its_own_pixels(recorded: type[Recorded]) -> None:
    luma = np.zeros((1, 300, 240, 1))
    assert latency_of(Path("a"), Trial("x3", {"lr_image": luma}, luma[0], 3)).size == (TIMED_SIDE, 240)
    assert recorded.shapes == {("lr_image", (TIMED_SIDE, 240))}


def test_a_fixed_size_is_timed_and_told(recorded: type[Recorded], monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = {"lr_hsi": (1, 40, 50, 3), "hr_msi": (1, 400, 500, 1)}
    monkeypatch.setattr(recorded, "input_shapes", fixed)
    assert latency_of(Path("a"), scene(10, 40, 50)).size == (400, 500)


@pytest.mark.parametrize("fails_with", [1, 2])
def test_a_file_that_fails_is_told_and_the_others_are_timed(
    fails_with: int, recorded: type[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recorded.run

    def broken(self: Recorded, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        answer = run(self, inputs)
        if self.told == ("b", fails_with):
            raise ValueError("inputs: expected others")
        return answer

    monkeypatch.setattr(recorded, "run", broken)
    first, failed, last = latencies([Path("a"), Path("b"), Path("c")], scene(4, 4, 4))
    assert isinstance(first, Latency) and isinstance(last, Latency)
    assert isinstance(failed, ValueError)
    alone = turns("abc", 1, 1) + turns("ac", 1, NUM_TIMED) + turns("ac", 2)
    later = turns("abc", 1) + turns("abc", 2, 1) + turns("ac", 2, NUM_TIMED)
    assert recorded.runs == (alone if fails_with == 1 else later)
    with pytest.raises(ValueError, match="inputs: expected others"):
        latency_of(Path("b"), scene(4, 4, 4))


def test_the_median_is_taken_and_the_warm_up_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, durations = [0.0], iter([99.0, 1.0, 5.0, 2.0, 70.0, 3.0] * 2)

    class Slow:
        """Takes the next duration."""

        input_shapes: ClassVar = {"lr_image": (1, -1, -1, 1)}

        def __init__(self, path: Path, *, num_threads: int) -> None:
            pass

        def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            clock[0] += next(durations)
            return {"estimate": inputs["lr_image"]}

    monkeypatch.setattr(latency, "TFLiteModel", Slow)
    monkeypatch.setattr(latency, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    trial = Trial("picture", {"lr_image": np.zeros((1, 8, 8, 1))}, np.zeros((8, 8, 1)), 1)
    assert latencies([Path("a")], trial) == [Latency(3.0, 3.0, (8, 8))]
    assert not list(durations)
