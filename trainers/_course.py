"""The course of a solver: time, objective and, where the truth is known, quality; it outlives interrupts."""

from __future__ import annotations

import csv
import math
import time
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsr_tf.files import replacing_file
from hsr_tf.metrics.cameras import camera_scores
from hsr_tf.metrics.full_reference import psnr_bands
from hsr_tf.scene import Scene
from hsr_tf.solvers.solver import Step
from hsr_tf.typing import Array

COLUMNS = ("seconds", "iteration", "objective", "psnr_bands", "kernel_l1", "response_sam_degrees")
KERNELS = "kernels.npz"
KERNEL_SHARES = (0.0, 0.02, 0.1, 0.25, 0.5)  # of the iterations
SHARE_OF_TIME, PACE, WRITE_EVERY = 0.04, 1.08, 5.0


@dataclass(frozen=True)
class Sample:
    """One line of the course; NaN for what was not computed.

    Attributes:
        seconds: since the first start of the run, what interruptions lost left out.
        iteration: from 1.
        objective: what is minimised.
        psnr_bands: of the iterate, clipped, in dB.
        kernel_l1: of the iterate's PSF, a shift within it, where it is learnt and the true one is known.
        response_sam_degrees: of its response, likewise.
    """

    seconds: float
    iteration: int
    objective: float
    psnr_bands: float
    kernel_l1: float = math.nan
    response_sam_degrees: float = math.nan


class Recorder:
    """A callback that records a course in a CSV file, at most 4 % of the time for the quality.

    Args:
        path: where the course lies; what is there already is gone on with.
        truth: the sharp cube, or None where it is not known.
        cameras: the true PSF, as it lies on the sharp image, and response; None where they are not known.
        keep_kernels: keep the PSF of the first iteration and of `KERNEL_SHARES` of all of them, in
            `kernels.npz` beside the course.

    Attributes:
        seconds_before: seconds that earlier starts of this run have taken.
        kernels: PSF by iteration, where they are kept and learnt.
    """

    def __init__(
        self,
        path: Path,
        truth: Scene | None = None,
        cameras: tuple[Array | None, Array | None] = (None, None),
        *,
        keep_kernels: bool = False,
    ) -> None:
        self.path, self._truth, self._cameras = path, truth, cameras
        self.samples = read_course(path)
        self._kernel_path = path.with_name(KERNELS) if keep_kernels else None
        self.kernels = read_kernels(self._kernel_path) if self._kernel_path else {}
        self.seconds_before = self.samples[-1].seconds if self.samples else 0.0
        self._started = False
        self._next, self._last_written = 0.0, time.monotonic()

    def __call__(self, step: Step) -> None:
        """Note an iteration, if it is time for it."""
        if not self._started:  # what a start from an earlier iteration does again is dropped
            self.samples = [sample for sample in self.samples if sample.iteration < step.iteration]
            self.seconds_before = self.samples[-1].seconds if self.samples else 0.0
            self.kernels = {at: kernel for at, kernel in self.kernels.items() if at < step.iteration}
            self._started = True
        if self._kernel_path and step.model is not None and self._is_stage(step):
            self.kernels[step.iteration] = step.model().spatial.psf.kernel
        if step.seconds < self._next and step.iteration < step.most:
            return
        begin, quality, truth = time.monotonic(), math.nan, self._truth
        if truth is not None and (estimate := step.estimate()).shape == truth.cube.shape:
            quality = float(psnr_bands(truth.cube, np.clip(estimate, 0.0, 1.0)))
        model = None if step.model is None else step.model()
        learnt = (None, None) if model is None else (model.spatial.psf.kernel, model.spectral.matrix)
        scores = camera_scores(*self._cameras, *learnt)
        self.samples.append(
            Sample(
                self.seconds_before + step.seconds,
                step.iteration,
                math.nan if step.objective is None else float(step.objective),
                quality,
                math.nan if scores.kernel_l1 is None else scores.kernel_l1,
                math.nan if scores.response_sam_degrees is None else scores.response_sam_degrees,
            )
        )
        cost = time.monotonic() - begin
        self._next = max(step.seconds * PACE, step.seconds + cost / SHARE_OF_TIME)
        if time.monotonic() - self._last_written > WRITE_EVERY:
            self.write()

    def _is_stage(self, step: Step) -> bool:
        """Whether a share of `KERNEL_SHARES` is reached of which no kernel is kept."""
        stages = {max(1, math.ceil(share * step.most)) for share in KERNEL_SHARES}
        return sum(step.iteration >= stage for stage in stages) > len(self.kernels)

    def finish(self, seconds: float, iteration: int, psnr: float) -> None:
        """Add the result, which may be better than the last iterate, and write the file."""
        self.samples.append(Sample(self.seconds_before + seconds, iteration, math.nan, psnr))
        self.write()

    def write(self) -> None:
        """Write the file, whole or not at all."""
        with replacing_file(self.path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for sample in self.samples:
                writer.writerow("" if value != value else f"{value:.8g}" for value in astuple(sample))
        if self._kernel_path and self.kernels:
            with replacing_file(self._kernel_path) as draft, draft.open("wb") as opened:
                arrays: dict[str, Any] = {str(at): kernel for at, kernel in self.kernels.items()}
                np.savez(opened, **arrays)
        self._last_written = time.monotonic()


def read_kernels(path: Path) -> dict[int, Array]:
    """The kernels of a file that `Recorder` wrote, by iteration; none where there is no file."""
    if not path.is_file():
        return {}
    with np.load(path) as file:
        return {int(name): file[name] for name in file.files}


def read_course(path: Path) -> list[Sample]:
    """The samples of a file that `Recorder` wrote; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    values = [[float(row[name]) if row.get(name) else math.nan for name in COLUMNS] for row in rows]
    return [Sample(seconds, int(iteration), *rest) for seconds, iteration, *rest in values]
