"""How long files take: medians after a warm-up, taken in turns.

On a machine with other work the same file takes twice as long a minute later. Files that are timed in turns
are slowed alike, so that their order holds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.tflite_model import TFLiteModel
from export.trials import Trial

NUM_TIMED, TIMED_SIDE = 5, 256
THREADS = (1, 2)


@dataclass(frozen=True)
class Latency:
    """Median seconds of one estimate with one thread and with two."""

    one_thread: float
    two_threads: float


def latencies(paths: Sequence[Path], trial: Trial) -> list[Latency]:
    """Of each file, for a part of the trial whose estimate has at most 256 x 256 pixels.

    Args:
        paths: files that take the same inputs, such as the variants of one model.
        trial: of a size that they take.
    """
    seconds = (_medians([TFLiteModel(path, num_threads=n) for path in paths], trial) for n in THREADS)
    return [Latency(one, two) for one, two in zip(*seconds, strict=True)]


def _medians(models: Sequence[TFLiteModel], trial: Trial) -> list[float]:
    given = [_small(model, trial) for model in models]
    for model, inputs in zip(models, given, strict=True):
        model.run(inputs)
    rounds = [
        [_seconds(model, inputs) for model, inputs in zip(models, given, strict=True)]
        for _ in range(NUM_TIMED)
    ]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def _seconds(model: TFLiteModel, inputs: dict[str, np.ndarray]) -> float:
    begin = time.perf_counter()
    model.run(inputs)
    return time.perf_counter() - begin


def _small(model: TFLiteModel, trial: Trial) -> dict[str, np.ndarray]:
    """The upper left part of the images, where the file's sizes are free."""
    inputs = dict(trial.inputs)
    for name in inputs.keys() - {"kernel"}:
        side = TIMED_SIDE * inputs[name].shape[1] // trial.truth.shape[0]
        if -1 in model.input_shapes[name]:
            inputs[name] = inputs[name][:, :side, :side]
    return inputs
