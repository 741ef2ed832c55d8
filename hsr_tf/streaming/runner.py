"""The stages of a job for its kind of method, and the finished tiles as they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hsr_tf.networks import pretrained
from hsr_tf.solvers.solver import Controls
from hsr_tf.streaming.closed_form import CLOSED_FORMS
from hsr_tf.streaming.draft import Draft
from hsr_tf.streaming.files import Cube
from hsr_tf.streaming.job import Job, Scenery, Stage
from hsr_tf.streaming.networks import BasedNetwork, WindowedNetwork, is_based
from hsr_tf.streaming.survey import Extent
from hsr_tf.streaming.windows import SolverTiles

SURVEY_LR, SURVEY_HR = "survey_lr_hsi", "survey_hr_msi"


class MethodTiles(Protocol):
    """A method in parts."""

    def stages(self) -> list[Stage]:
        """Its passes over the tiles, in order."""

    def final(self, index: int) -> Cube:
        """The estimate (s h, s w, bands) of a tile, once all stages are through."""


def method_tiles(job: Job, scenery: Scenery) -> MethodTiles:
    """The method of a job in parts; `preparation.require_tileable` has accepted it.

    Raises:
        KeyError: a closed form that has no tiled form; it is never replaced by another.
        ValueError: a network that cannot be run in parts.
    """
    method = job.chosen()
    if method.kind == "solver":
        assert job.window is not None
        solver = method.build(scenery.found.cameras)
        return SolverTiles(scenery, solver, job.window, Controls(job.seed, None))
    if method.kind == "network":
        assert job.weights is not None
        model = pretrained.load_model(Path(job.weights))
        return BasedNetwork(scenery, model) if is_based(model) else WindowedNetwork(scenery, model)
    tiles: MethodTiles = CLOSED_FORMS[method.name](scenery)
    return tiles


def survey_stage(scenery: Scenery) -> Stage:
    """The first pass: the values and holes of every tile."""

    def run(index: int) -> None:
        place = scenery.grid.place(index)
        coarse = Extent.of(scenery.lr_hsi, place.rows, place.cols)
        sharp = Extent.of(scenery.hr_msi, *place.finer(scenery.grid.scale))
        scenery.draft.save(SURVEY_LR, index, coarse.numbers())
        scenery.draft.save(SURVEY_HR, index, sharp.numbers())

    return Stage(SURVEY_HR, len(scenery.grid), run)


def extents(draft: Draft, num_tiles: int) -> tuple[Extent, Extent]:
    """What the first pass found of X and Y."""
    lr_hsi, hr_msi = (
        Extent.joined(draft.load(field, index) for index in range(num_tiles))
        for field in (SURVEY_LR, SURVEY_HR)
    )
    return lr_hsi, hr_msi


def stored(scenery: Scenery, tiles: MethodTiles, index: int, nodata: float | None) -> NDArray[Any]:
    """A tile with every band, as it is written: `nodata` where one of the images has no data."""
    values = tiles.final(index)
    if scenery.found.after is not None:
        values = values @ scenery.found.after
    holes = scenery.holes(scenery.grid.place(index))
    if holes is not None:
        values[holes] = np.float32(0.0 if nodata is None else nodata)
    return values
