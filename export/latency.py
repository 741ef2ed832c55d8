"""Run times of files: medians after a warm-up, measured in turns.

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
    """Median seconds of one estimate.

    Attributes:
        one_thread, two_threads: the seconds with so many.
        size: rows and columns of the estimate.
    """

    one_thread: float
    two_threads: float
    size: tuple[int, int]


def latency_of(path: Path, trial: Trial) -> Latency:
    """Of one file, as `latencies` finds it.

    Raises:
        ValueError: a file that LiteRT does not run.
    """
    (found,) = latencies([path], trial)
    if isinstance(found, Exception):
        raise found
    return found


def latencies(paths: Sequence[Path], trial: Trial) -> list[Latency | Exception]:
    """Of each file, for a part of the trial whose estimate has at most 256 x 256 pixels.

    Args:
        paths: files that take the same inputs, such as the variants of one model; those of fixed sizes are
            timed at these.
        trial: of a size that they take.

    Returns:
        For a file that fails its error; the others go on.
    """
    failures: dict[Path, Exception] = {}
    seconds: dict[tuple[Path, int], list[float]] = {(path, n): [] for path in paths for n in THREADS}
    sizes: dict[Path, tuple[int, int]] = {}
    for num_threads in THREADS:
        models: dict[Path, TFLiteModel] = {}
        for _ in range(1 + NUM_TIMED):  # the first turn is the warm-up
            for path in [path for path in paths if path not in failures]:
                try:
                    if path not in models:
                        models[path] = TFLiteModel(path, num_threads=num_threads)
                    inputs = _small(models[path], trial)
                    begin = time.perf_counter()
                    found = models[path].run(inputs)
                    seconds[path, num_threads].append(time.perf_counter() - begin)
                    rows, columns = found["estimate"].shape[1:3]
                    sizes[path] = rows, columns
                except Exception as error:
                    failures[path] = error

    def latency(path: Path) -> Latency:
        one, two = (statistics.median(seconds[path, n][1:]) for n in THREADS)
        return Latency(one, two, sizes[path])

    return [failures[path] if path in failures else latency(path) for path in paths]


def _small(model: TFLiteModel, trial: Trial) -> dict[str, np.ndarray]:
    """The upper left part of the images, where the file's sizes are free: whole coarse pixels of all of them.

    A coarse pixel is one of the smallest image, so that a picture that was enlarged before is cut as it is.
    """
    images = {name: value for name, value in trial.inputs.items() if name != "kernel"}
    coarse_rows = min(value.shape[1] for value in images.values())
    coarse_side = TIMED_SIDE // (trial.truth.shape[0] // coarse_rows)
    inputs = dict(trial.inputs)
    for name, value in images.items():
        if -1 in model.input_shapes[name]:
            side = coarse_side * (value.shape[1] // coarse_rows)
            inputs[name] = value[:, :side, :side]
    return inputs
