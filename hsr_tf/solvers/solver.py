"""What every solver has in common: how it is run, what it reports while it runs, what it returns.

A solver fits one scene, X (h, w, C) and Y (s h, s w, c), with no training set. It gets arrays and gives an
`Outcome`; `hsr_tf.fuse` turns that into a `Solution`. Iterations run inside `Iterations`, which keeps the
time, shows the progress and calls back, so that every solver stops in the same way.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hsr_tf import checks
from hsr_tf.closed_forms.agreeing_pair import AgreeingPair
from hsr_tf.imports import deferred
from hsr_tf.physics.nodata import is_enough
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.radiometry import AS_RECORDED, Radiometry
from hsr_tf.typing import Cube as Cube
from hsr_tf.typing import Mask

if TYPE_CHECKING:
    import tqdm
else:
    tqdm = deferred("tqdm")

LARGEST_SIDE = 768  # sharp pixels a side that solvers with many images of the scene hold within 4 GB


@dataclass(frozen=True)
class Step:
    """What a callback sees after an iteration.

    Attributes:
        solver: name of the method.
        iteration: number of iterations done, from 1.
        most: the largest number there can be.
        seconds: since the solver began.
        objective: what is minimised, None where this iteration did not compute it.
        estimate: gives the current sharp cube (H, W, C); it is computed only when called.
        model: gives the current cameras, where the solver learns them step by step.
    """

    solver: str
    iteration: int
    most: int
    seconds: float
    objective: float | None
    estimate: Callable[[], Cube]
    model: Callable[[], ObservationModel] | None = None


@dataclass(frozen=True)
class Controls:
    """How a solver is run, whatever it solves.

    Attributes:
        seed: of all that is drawn.
        max_seconds: time after which the best estimate so far is returned; None for no limit.
        callback: called after every iteration; what it raises ends the solver.
        checkpoint: file (.npz) that a long solver writes now and then and goes on from; None for none.
        progress: whether a bar with the time left is shown on stderr.
    """

    seed: int = 0
    max_seconds: float | None = None
    callback: Callable[[Step], None] | None = None
    checkpoint: Path | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        checks.require(
            self.max_seconds is None or self.max_seconds > 0,
            "max_seconds",
            expected="a positive number of seconds",
            received=str(self.max_seconds),
            remedy="leave it out for no limit",
        )


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a solver found.

    Attributes:
        estimate: Z, (H, W, C) float32, not clipped.
        iterations: their number.
        converged: whether it stopped by its own criterion, not for time or the cap.
        psf: where the solver estimated it, centred: its shift is in `shift`.
        srf: (C, c) where the solver estimated it.
        shift: (rows, columns) in sharp pixels by which the colour image lies off the coarse cube, where the
            solver estimated it.
        radiometry: what the solver found and undid in Y.
        details: plain values to record with the result.
    """

    estimate: Cube
    iterations: int
    converged: bool
    psf: Psf | None = None
    srf: NDArray[np.float64] | None = None
    shift: tuple[float, float] | None = None
    radiometry: Radiometry = AS_RECORDED
    details: Mapping[str, Any] = field(default_factory=dict)


class Solver(ABC):
    """One method with its options; `solve` may be called again and again.

    Attributes:
        largest_side: sharp pixels a side that are solved at once, for memory; None for any number. `fuse`
            gives larger scenes to `InWindows`.
        in_windows: whether a scene larger than memory may be solved in overlapping windows whose estimates
            are blended and then made to agree with both images, as `InWindows` does. A solver with a
            `largest_side` may; any other is refused there unless it sets this.
        explains_both: whether it explains both images through the cameras that it is given; it is then given
            a pair without what they show differently (`hsr_tf.closed_forms.agreeing_pair`).
        from_scratch: whether it starts from random weights, so that only its last estimate is worth judging.
    """

    largest_side: ClassVar[int | None] = None
    in_windows: ClassVar[bool] = False
    explains_both: ClassVar[bool] = True
    from_scratch: ClassVar[bool] = False

    @abstractmethod
    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """The sharp cube.

        Args:
            lr_hsi: X, (h, w, C) float32, finite.
            hr_msi: Y, (s h, s w, c) float32, finite.
            controls: seed, time limit, callback, progress.
        """

    def solve_counted(self, lr_hsi: Cube, hr_msi: Cube, counted: Mask, controls: Controls) -> Outcome:
        """The same for an image of which some coarse pixels do not count; they hold a filled-in spectrum.

        Args:
            lr_hsi, hr_msi, controls: as `solve`.
            counted: (h, w), False for pixels that are to be left out where the solver can do so.
        """
        del counted
        return self.solve(lr_hsi, hr_msi, controls)

    def solve_agreeing(self, images: AgreeingPair, controls: Controls) -> Outcome:
        """The same for a pair without what its images show differently, whose map is surveyed."""
        counted, pair = images.counted, (images.lr_hsi, images.hr_msi)
        if counted.all() or not is_enough(int(counted.sum()), counted.size):
            return self.solve(*pair, controls)
        return self.solve_counted(*pair, counted, controls)

    def blurred(self, images: AgreeingPair, controls: Controls) -> Cube | None:
        """D Z, (h, w, C), of such a pair; None where it takes the estimate Z."""
        del images, controls
        return None


class Iterations:
    """The iterations of one solver: `for iteration in iterations: ...; iterations.report(objective)`.

    Iteration numbers start at `start`. It ends at `most`, when `finish` was called, or when another
    iteration like the slowest so far would pass the time limit; the first one always runs.

    Args:
        solver: name of the method, for the bar and the callback.
        most: cap of the number of iterations.
        controls: how the solver is run.
        start: number of iterations that a checkpoint holds already.
    """

    def __init__(self, solver: str, most: int, controls: Controls, *, start: int = 0) -> None:
        self.solver, self.most, self.controls = solver, most, controls
        self.done, self.converged = start, False
        self._began = time.perf_counter()
        self._bar: tqdm.tqdm[Any] | None = None

    @property
    def seconds(self) -> float:
        """Time since the solver began."""
        return time.perf_counter() - self._began

    @property
    def share(self) -> float:
        """How far the run is, 0 to 1, by iterations or by time, whichever is further."""
        limit = self.controls.max_seconds
        return min(1.0, max(self.done / max(1, self.most), self.seconds / limit if limit else 0.0))

    def __iter__(self) -> Iterator[int]:
        slowest, start = 0.0, self.done
        with self._drawn() as self._bar:
            while self.done < self.most and not self.converged:
                if self.done > start and not self._in_time(slowest):
                    return
                before = self.seconds
                yield self.done
                slowest = max(slowest, self.seconds - before)

    def _drawn(self) -> AbstractContextManager[tqdm.tqdm[Any] | None]:
        """The bar; None where no progress is shown."""
        if not self.controls.progress:
            return nullcontext()
        most, done = self.most, self.done
        return tqdm.tqdm(total=most, initial=done, desc=self.solver, unit="it", dynamic_ncols=True)

    def report(
        self,
        objective: float | None,
        estimate: Callable[[], Cube],
        model: Callable[[], ObservationModel] | None = None,
    ) -> None:
        """Count one iteration, move the bar and call back."""
        self.done += 1
        if self._bar is not None:
            self._bar.update()
            if objective is not None:
                self._bar.set_postfix_str(f"objective {objective:.4e}", refresh=False)
        if self.controls.callback is not None:
            step = Step(self.solver, self.done, self.most, self.seconds, objective, estimate, model)
            self.controls.callback(step)

    def finish(self) -> None:
        """The solver's own criterion is met: this was the last iteration."""
        self.converged = True

    def _in_time(self, next_seconds: float) -> bool:
        limit = self.controls.max_seconds
        return limit is None or self.seconds + next_seconds < limit


def counting_on(controls: Controls, done: int, most: int) -> Controls:
    """The controls of a later part of a solver: its callback goes on counting after `done`, of `most`."""
    observe = controls.callback
    if observe is None:
        return controls

    def callback(step: Step) -> None:
        observe(replace(step, iteration=done + step.iteration, most=most))

    return replace(controls, callback=callback)


def check_pair(lr_hsi: Cube, hr_msi: Cube, model: ObservationModel) -> None:
    """Refuse images that are no pair, or that the model's cameras cannot have taken.

    Args:
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (s h, s w, c).
        model: the two cameras.

    Raises:
        ValueError: arrays that are not 3-D and finite, sizes that are not in the ratio s, another number of
            bands or channels than the response has.
    """
    for name, image in (("lr_hsi", lr_hsi), ("hr_msi", hr_msi)):
        checks.require(
            image.ndim == 3 and image.size > 0,
            name,
            expected="(rows, columns, bands)",
            received=f"shape {image.shape}",
            remedy="give one scene, with its bands on the last axis",
        )
        checks.require_finite(name, image)
    num_bands, num_channels = model.spectral.matrix.shape
    rows, columns = (model.scale * n for n in lr_hsi.shape[:2])
    for name, image, shape in (
        ("lr_hsi", lr_hsi, (*lr_hsi.shape[:2], num_bands)),
        ("hr_msi", hr_msi, (rows, columns, num_channels)),
    ):
        checks.require(
            image.shape == shape,
            name,
            expected="x".join(map(str, shape)) + f", as the cameras and the scale {model.scale} have it",
            received="x".join(map(str, image.shape)),
            remedy="check the scale, the response and the crop",
        )
