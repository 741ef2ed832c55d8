"""The passes of a job, and the finished tiles as they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.fusion.pipeline import staged_method
from hsr_tf.solvers.solver import Controls
from hsr_tf.streaming.draft import Draft
from hsr_tf.streaming.job import FilesPair, Job
from hsr_tf.streaming.survey import Extent
from hsr_tf.tiling.stages import Stage, StagedMethod

SURVEY_LR, SURVEY_HR = "survey_lr_hsi", "survey_hr_msi"


def job_method(job: Job, pair: FilesPair) -> StagedMethod:
    """The method of a job over its tiles; `plan` has accepted it."""
    return staged_method(
        pair,
        job.chosen(),
        weights=None if job.weights is None or job.adapt else Path(job.weights),
        controls=Controls(job.seed),
        window=job.window,
    )


def survey_stage(pair: FilesPair) -> Stage:
    """The first pass: the values and holes of every tile."""

    def run(index: int) -> None:
        region = pair.grid.region(index)
        places = (region, region.scaled(pair.grid.scale))
        for field, image, place in zip((SURVEY_LR, SURVEY_HR), pair.images, places, strict=True):
            pair.store.save(field, index, Extent.of(image, place).numbers())

    return Stage(SURVEY_HR, len(pair.grid), run)


def extents(draft: Draft, num_tiles: int) -> tuple[Extent, Extent]:
    """What the first pass found of X and Y."""
    lr_hsi, hr_msi = (
        Extent.joined(draft.load(field, index) for index in range(num_tiles))
        for field in (SURVEY_LR, SURVEY_HR)
    )
    return lr_hsi, hr_msi


def finished_tile(
    pair: FilesPair, method: StagedMethod, index: int, nodata: float | None
) -> NDArray[np.float32]:
    """A tile with every band, as it is written: `nodata` where one of the images has no data."""
    values: NDArray[Any] = method.finish(index)
    if pair.found.after is not None:
        values = values @ pair.found.after
    holes = pair.missing(pair.grid.region(index)).of_estimate(pair.grid.scale)
    if holes is not None:
        values[holes] = np.float32(0.0 if nodata is None else nodata)
    return values
