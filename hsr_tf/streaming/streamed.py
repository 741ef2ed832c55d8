"""A fusion from file to file within a limit of memory: planned, surveyed, run tile by tile, joined.

Every finished tile stays on disk (`draft`) until the output is whole, so that the same call goes on where an
earlier one was killed, and ends with the same bytes. The result tells no time, which would differ.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hsr_tf import io
from hsr_tf.fusion.estimators import Cameras
from hsr_tf.fusion.repair import Repaired
from hsr_tf.fusion.residuals import ResidualWarning
from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.stream import CubeHeader
from hsr_tf.networks.cards import ModelCard
from hsr_tf.networks.fusion_model import cameras_to_dict
from hsr_tf.physics.cameras import UNKNOWN, CameraChoice
from hsr_tf.scene import Observation
from hsr_tf.streaming import cameras as choosing
from hsr_tf.streaming.draft import Draft, draft_folder, opened
from hsr_tf.streaming.job import FOUND, SHARED, Found, Job, Scenery, Stage, scenery_of
from hsr_tf.streaming.memory import peak_bytes
from hsr_tf.streaming.pair import Pair, opened_pair, room_gib
from hsr_tf.streaming.preparation import planned_job, require_output, trained_model
from hsr_tf.streaming.request import Progress, Streamed, StreamRequest, Tell, fingerprint
from hsr_tf.streaming.residuals import Residuals, sampled_residuals
from hsr_tf.streaming.runner import MethodTiles, extents, method_tiles, stored, survey_stage
from hsr_tf.streaming.survey import holes_in, probe, surveyed

NOT_INHERITED = ("source", "white_level", "channels", "simulated_")


class Here:
    """Tiles are done in this process, one after the other, and written part by part."""

    def run(self, draft: Draft, stage: Stage, missing: list[int]) -> Iterator[int]:
        """The numbers of the tiles as they are finished."""
        del draft
        for index in missing:
            stage.run(index)
            yield index

    def write(self, output: Path, header: CubeHeader, scenery: Scenery, tiles: MethodTiles) -> Iterator[int]:
        """The output from the finished tiles; it appears with the last one."""
        with io.create_cube(output, header) as writer:
            for index in range(len(scenery.grid)):
                rows, cols = scenery.grid.place(index).finer(scenery.grid.scale)
                writer.write(rows, cols, stored(scenery, tiles, index, header.nodata))
                yield index


def fuse_files(request: StreamRequest, tell: Tell = lambda _: None, workers: Any = None) -> Streamed:
    """Fuse two files into a third within the limit of memory, going on with what an earlier call finished.

    Args:
        request: what is asked for.
        tell: is told of every tile.
        workers: who does the tiles, by default this process; see `hsr_tf.streaming.cluster`.

    Warns:
        UserWarning: what `hsr_tf.fuse` warns of, but for saturated samples; residuals are those of the middle
            of the scene.

    Raises:
        ValueError: images that do not fit each other or the method, a limit that is too low, unfinished tiles
            of another request, a method that cannot be run in parts.
        OSError: files that are missing or damaged, too little space on the disk; finished tiles are kept.
    """
    began, workers = time.perf_counter(), workers or Here()
    with ExitStack() as stack:
        require_output(request.output)
        pair = stack.enter_context(
            opened_pair(request.lr_hsi, request.hr_msi, request.memory_limit, request.reading)
        )
        card = trained_model(request, pair)
        folder, asked = draft_folder(request.output), fingerprint(request, card, pair)
        draft = stack.enter_context(opened(folder, asked, restart=request.restart))
        try:
            job = planned_job(request, card, draft, pair)
            return _Run(request, job, draft, pair, tell, workers).fuse(card, began)
        except ValueError:  # what is wrong must be mended, and is another request then
            draft.remove()
            raise


class _Run:
    """One call, over the draft of its request."""

    def __init__(
        self, request: StreamRequest, job: Job, draft: Draft, pair: Pair, tell: Tell, workers: Any
    ) -> None:
        self.request, self.job, self.draft, self.pair = request, job, draft, pair
        self.tell, self.workers = tell, workers
        self.kept = 0
        rows, cols = job.size
        self.megapixels = rows * cols * job.scale**2 / 1e6

    def fuse(self, card: ModelCard | None, began: float) -> Streamed:
        found = self._found(card)
        scenery = self._scenery(found)
        tiles = method_tiles(self.job, scenery)
        for stage in tiles.stages():
            self._through(stage)
        header = self._header(found)
        written = self.workers.write(self.request.output, header, scenery, tiles)
        for done, _ in enumerate(written, start=1):
            self.tell(Progress("writing", done, len(scenery.grid), self.megapixels))
        residuals = self._residuals(scenery)
        self.draft.remove()
        lr_hsi, hr_msi = self.pair.headers
        return Streamed(
            lr_shape=lr_hsi.shape,
            hr_shape=hr_msi.shape,
            shape=header.shape,
            num_tiles=len(self.job.grid),
            kept=self.kept,
            seconds=time.perf_counter() - began,
            peak_bytes=peak_bytes(),
            metadata=dict(header.metadata),
            residuals=residuals,
            grids=self.pair.told,
            guesses=self.pair.guesses,
        )

    def _residuals(self, scenery: Scenery) -> Residuals:
        """What the written estimate leaves of both images; warn where that is more than noise."""
        told = self.draft.told(FOUND) or {}
        left = sampled_residuals(
            scenery,
            self.request.output,
            srf_known=told.get("srf_known", True),
            max_gib=room_gib(self.request.memory_limit),
        )
        for finding in left.findings:
            warnings.warn(finding.line, ResidualWarning, stacklevel=4)
        return left

    def _scenery(self, found: Found | None) -> Scenery:
        return scenery_of(self.job, self.draft, self.pair, found)

    def _through(self, stage: Stage) -> None:
        """All tiles of a stage that are missing, and what follows from them."""
        missing = [i for i in range(stage.num_tiles) if not self.draft.has(stage.field, i)]
        done = stage.num_tiles - len(missing)
        self.kept += done
        for _ in self.workers.run(self.draft, stage, missing):
            done += 1
            self.tell(Progress(stage.field, done, stage.num_tiles, self.megapixels))
        concluded = f"{stage.field}_concluded"
        if stage.conclude is not None and self.draft.told(concluded) is None:
            stage.conclude()
            self.draft.tell(concluded, {})

    def _found(self, card: ModelCard | None) -> Found:
        """What the first pass finds; its warnings are given again by every call."""
        if self.draft.told(FOUND) is None:
            self._through(survey_stage(self._scenery(None)))
            self.draft.tell(FOUND, self._settled(card))
        told = self.draft.told(FOUND)
        assert told is not None
        for line in told["lines"]:
            warnings.warn(line, stacklevel=4)
        return Found.of(told)

    def _settled(self, card: ModelCard | None) -> dict[str, Any]:
        """Bands, cameras and warnings as plain data."""
        method, scale, headers = self.job.chosen(), self.job.scale, self.pair.headers
        seen = extents(self.draft, len(self.job.grid))
        left_out = surveyed(headers, seen, scale, keep_bands=False)
        keep = method.kind == "network"
        repaired = surveyed(headers, seen, scale, keep_bands=True) if keep else left_out
        told = {"psf": self.request.psf, "srf": self.request.srf}
        asked = probe(headers, seen, scale)
        choice = choosing.chosen_cameras(repaired, asked, method, told)
        data = _bands(left_out, keep) | {"holes": [extent.num_holes > 0 for extent in seen]}
        lines = [defect.line for defect in (*repaired.findings, *holes_in(seen))]
        data["radiometry"] = choice.radiometry.as_dict()
        cameras, more = self._cameras(data, choice, (asked, card))
        choice = cameras.choice
        return {
            **data,
            "radiometry": choice.radiometry.as_dict(),
            "radiometry_line": None if cameras.srf is None else choice.radiometry.line(cameras.srf.sum(0)),
            "cameras": cameras_to_dict(choice.model),
            "lines": lines + more,
            "psf": choice.psf_line,
            "srf": choice.srf_line,
            "srf_known": choice.srf_origin != UNKNOWN,
        }

    def _cameras(
        self, data: dict[str, Any], choice: CameraChoice, asked: tuple[Observation, ModelCard | None]
    ) -> tuple[Cameras, list[str]]:
        """The cameras with what is estimated of them, and lines about those that do not fit."""
        observation, card = asked
        method = self.job.chosen()
        told = {"psf": self.request.psf, "srf": self.request.srf}
        known = Found.of({**data, "cameras": cameras_to_dict(choice.model)})
        scenery = self._scenery(known)
        cameras = choosing.with_estimates(scenery, choice, told, self.job.seed)
        lines = [] if cameras.notice is None else [cameras.notice]
        if card is not None and not self.job.adapt:
            choice, more = choosing.of_network(card, observation, cameras.choice)
            return replace(cameras, choice=choice), lines + more
        return cameras, lines + choosing.suspected(scenery, cameras.choice, method)

    def _header(self, found: Found) -> CubeHeader:
        """What the output tells: the bands of X, the grid of Y, the method and its cameras."""
        lr_hsi, hr_msi = self.pair.headers
        told, shared = self.draft.told(FOUND) or {}, self.draft.told(SHARED) or {}
        nodata = lr_hsi.nodata if hr_msi.nodata is None else hr_msi.nodata
        if nodata is None and any(found.holes):
            nodata = 0.0
        kept = {n: v for n, v in lr_hsi.metadata.items() if not n.startswith(NOT_INHERITED)}
        about = {"method": self.job.chosen().name, "scale_factor": self.job.scale}
        about |= {name: told[name] for name in ("psf", "srf")}
        if told["radiometry_line"]:
            about["radiometry"] = told["radiometry_line"]
        if self.job.weights is not None:
            about["weights"] = Path(self.job.weights).name
            about["weights_origin"] = "shipped" if self.request.weights is None else "given"
        if self.job.chosen().kind == "closed_form" and shared:
            about |= {"disagreement": shared["disagreement"], "trust": round(shared["trust"], 4)}
        rows, cols = (self.job.scale * n for n in self.job.size)
        return replace(
            lr_hsi,
            shape=(rows, cols, lr_hsi.shape[2]),
            dtype=np.dtype(np.float32),
            georeference=_sharp_grid(self.pair),
            nodata=nodata,
            white_level=None,
            gain=None,
            offset=0.0,
            metadata={**kept, **about},
        )


def _bands(repaired: Repaired, keep: bool) -> dict[str, Any]:
    """Which bands the method is given, and how the others come back."""
    every = len(repaired.bands) == repaired.source.num_bands
    mixing = None if every else repaired.mixing.astype(np.float32).tolist()
    channels = range(repaired.num_channels) if keep else repaired.channels
    return {
        "bands": [int(i) for i in repaired.bands],
        "channels": [int(i) for i in channels],
        "before": mixing if keep else None,
        "after": None if keep else mixing,
    }


def _sharp_grid(pair: Pair) -> Georeference | None:
    """Where the sharp pixels lie, as `Observation.sharp_grid`."""
    lr_hsi, hr_msi = (header.georeference for header in pair.headers)
    return hr_msi if hr_msi is not None or lr_hsi is None else lr_hsi.coarser(1 / pair.scale)
