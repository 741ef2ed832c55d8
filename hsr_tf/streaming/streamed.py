"""A fusion from file to file within a limit of memory: planned, surveyed, run tile by tile, joined.

Every finished tile stays on disk (`draft`) until the output is whole, so that the same call goes on where an
earlier one was killed, and ends with the same bytes. The result tells no time, which would differ.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from hsr_tf import io
from hsr_tf.findings import ERROR, Finding, FindingWarning
from hsr_tf.fusion.alignment import require_fusable_sizes
from hsr_tf.fusion.cameras import Asked, Sample, fusion_cameras, with_weights
from hsr_tf.fusion.fill_values import fill_findings
from hsr_tf.fusion.pipeline import result_facts, weights_facts
from hsr_tf.fusion.repair import Repaired
from hsr_tf.fusion.residuals import ResidualWarning, measured_residuals
from hsr_tf.io.header import CubeHeader
from hsr_tf.networks.cards import ModelCard
from hsr_tf.networks.fusion_model import cameras_to_dict
from hsr_tf.physics.cameras import UNKNOWN
from hsr_tf.radiometry import AS_RECORDED
from hsr_tf.scene import Observation, Scene
from hsr_tf.solvers.solver import Controls
from hsr_tf.streaming.draft import Draft, draft_folder, opened
from hsr_tf.streaming.job import FOUND, FilesPair, Found, Job, files_pair, nothing_found
from hsr_tf.streaming.memory import peak_bytes
from hsr_tf.streaming.output import OutputTiles, kept_estimate
from hsr_tf.streaming.overview import Overview, overview
from hsr_tf.streaming.pair import Pair, opened_pair, room_gib
from hsr_tf.streaming.plan import planned_job, require_output, trained_model
from hsr_tf.streaming.request import Progress, Streamed, StreamRequest, Tell, fingerprint
from hsr_tf.streaming.steps import extents, job_method, survey_stage
from hsr_tf.streaming.survey import holes_in, probe, surveyed
from hsr_tf.tiling.region import Region
from hsr_tf.tiling.stages import Stage, StagedMethod


class Here:
    """Tiles are done in this process, one after the other, and written part by part."""

    def run(self, draft: Draft, stage: Stage, missing: list[int]) -> Iterator[int]:
        """The numbers of the tiles as they are finished."""
        del draft
        for index in missing:
            stage.run(index)
            yield index

    def write(self, output: Path, header: CubeHeader, pair: FilesPair, method: StagedMethod) -> Iterator[int]:
        """The output from the finished tiles; it appears with the last one."""
        tiles = OutputTiles(pair, method)
        with io.create_cube(output, header) as writer:
            for index in range(len(tiles)):
                writer.write(*tiles.region(index).slices, tiles.values(index, header.nodata))
                yield index


def fuse_files(request: StreamRequest, tell: Tell = lambda _: None, workers: Any = None) -> Streamed:
    """Fuse two files into a third within the limit of memory, going on with what an earlier call finished.

    Args:
        request: what is asked for.
        tell: called after every tile.
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
    found = Overview()
    require_output(request.output)
    if request.register and request.transform is None:
        tell(Progress("registering", 0, 1, 0.0))
        found = overview(request)
        tell(Progress("registering", 1, 1, 0.0))
        request = replace(request, transform=found.transform)
    with ExitStack() as stack:
        pair = stack.enter_context(
            opened_pair(
                request.lr_hsi, request.hr_msi, request.memory_limit, request.reading, request.transform
            )
        )
        require_fusable_sizes(pair.size, pair.scale)
        card = trained_model(request, pair)
        folder, asked = draft_folder(request.output), fingerprint(request, card, pair)
        draft = stack.enter_context(opened(folder, asked, restart=request.restart))
        try:
            job = planned_job(request, card, draft, pair)
            done = _Run(request, job, draft, pair, tell, workers).fuse(card, began)
        except ValueError:  # what is wrong must be mended, and is another request then
            draft.remove()
            raise
    if found.finding is None or found.finding.severity != ERROR:
        return done
    return replace(done, findings=(found.finding, *done.findings))


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
        pair = self._files(found)
        method = job_method(self.job, pair)
        tiles = OutputTiles(pair, method)
        for stage in (*method.stages(), *tiles.stages()):
            self._through(stage)
        header = self._header(found, method, card)
        written = self.workers.write(self.request.output, header, pair, method)
        for done, _ in enumerate(written, start=1):
            self.tell(Progress("writing", done, len(tiles), self.megapixels))
        # What the estimate leaves of the middle of both images; warn where that is more than noise.
        recorded, region = self._recorded(), pair.sample
        if pair.nesting is not None:
            cube, _ = kept_estimate(pair).read(region.scaled(pair.grid.scale))
        else:
            with io.open_cube(self.request.output, max_gib=room_gib(self.request.memory_limit)) as reader:
                cube = reader.read(*region.scaled(pair.grid.scale).slices)
        cube = cube if pair.found.before is not None else cube[..., list(pair.found.bands)]
        residuals = measured_residuals(
            pair,
            cube,
            region,
            model=pair.model,
            srf_known=recorded["srf_known"],
            radiometry=pair.found.radiometry,
        )
        for finding in residuals.findings:
            warnings.warn(ResidualWarning.of(finding), stacklevel=4)
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
            metadata={**header.metadata, **residuals.facts},
            residuals=residuals,
            findings=(*_findings(recorded), *residuals.findings),
            grids=self.pair.lines,
            guesses=self.pair.guesses,
        )

    def _files(self, found: Found | None) -> FilesPair:
        return files_pair(self.job, self.draft, self.pair, found)

    def _through(self, stage: Stage) -> None:
        """All parts of a stage that are missing, and what follows from them."""
        missing = [i for i in range(stage.num_parts) if not self.draft.has(stage.name, i)]
        done = stage.num_parts - len(missing)
        self.kept += done
        for _ in self.workers.run(self.draft, stage, missing):
            done += 1
            self.tell(Progress(stage.name, done, stage.num_parts, self.megapixels))
        concluded = f"{stage.name}_concluded"
        if stage.conclude is not None and self.draft.load_json(concluded) is None:
            stage.conclude()
            self.draft.save_json(concluded, {})

    def _recorded(self) -> dict[str, Any]:
        data = self.draft.load_json(FOUND)
        assert data is not None
        return data

    def _found(self, card: ModelCard | None) -> Found:
        """What the first pass finds; its warnings are given again by every call."""
        if self.draft.load_json(FOUND) is None:
            self._through(survey_stage(self._files(None)))
            self.draft.save_json(FOUND, self._settled(card))
        data = self._recorded()
        for finding in _findings(data):
            warnings.warn(FindingWarning.of(finding), stacklevel=4)
        return Found.of(data)

    def _settled(self, card: ModelCard | None) -> dict[str, Any]:
        """Bands, cameras, warnings and the metadata of the result as plain data."""
        method, scale, headers = self.job.chosen(), self.job.scale, self.pair.headers
        seen = extents(self.draft, len(self.job.grid))
        left_out = surveyed(headers, seen, scale, keep_bands=False)
        keep = method.keeps_bands
        repaired = surveyed(headers, seen, scale, keep_bands=True) if keep else left_out
        data = _bands(left_out, keep) | {"holes": [extent.num_holes > 0 for extent in seen]}
        unknown = {"cameras": cameras_to_dict(nothing_found(self.job).cameras)}
        pair = self._files(Found.of({**data, **unknown, "radiometry": AS_RECORDED.as_dict()}))
        region = pair.sample
        asked = probe(headers, seen, scale)
        images = Observation(Scene(pair.lr_hsi(region)), Scene(pair.hr_msi(region)), scale)
        sample = Sample(images, pair.missing(region))
        given = Asked(self.request.psf, self.request.srf, self.request.linearize)
        controls = Controls(self.job.seed)
        cameras = fusion_cameras(sample, asked, repaired, given, method=method, controls=controls)
        if card is not None:
            cameras = with_weights(cameras, asked, card, sample=sample, asked=given)
        choice = cameras.choice
        defects = (*repaired.findings, *holes_in(seen))
        fills = fill_findings(images.lr_hsi, images.hr_msi)
        findings = (*fills, *(defect.finding for defect in defects), *cameras.findings)
        return {
            **data,
            "radiometry": choice.radiometry.as_dict(),
            "cameras": cameras_to_dict(choice.model),
            "findings": [asdict(finding) for finding in findings],
            "facts": result_facts(method, choice, radiometry=cameras.radiometry_line()),
            "srf_known": choice.srf_origin != UNKNOWN,
        }

    def _header(self, found: Found, method: StagedMethod, card: ModelCard | None) -> CubeHeader:
        """What the output records: the bands of X, the grid of Y, the method and its cameras."""
        lr_hsi, hr_msi = self.pair.headers
        facts = self._recorded()["facts"] | weights_facts(card, given=self.request.weights is not None)
        rows, cols = (self.job.scale * n for n in self.job.size)
        info = lr_hsi.sharpened_by(hr_msi, self.job.scale, {**facts, **method.details()})
        holes, nesting = any(found.holes), self.pair.nesting
        if nesting is not None and self.pair.hr_file is not None:
            part = self.pair.hr_file.header.cropped(*nesting.box)
            model = nesting.model_on_box(info.sensor_model, part.sensor_model)
            info = replace(info, georeference=part.georeference, sensor_model=model)
            holes = holes or not nesting.covers_box
            rows, cols = Region.of(*nesting.box).size
        if info.nodata is None and holes:
            info = replace(info, nodata=0.0)
        return CubeHeader(shape=(rows, cols, lr_hsi.shape[2]), **info.facts())


def _findings(data: Mapping[str, Any]) -> tuple[Finding, ...]:
    """The findings of the first pass."""
    return tuple(
        Finding(**{**one, "flags": tuple((name, value) for name, value in one["flags"])})
        for one in data.get("findings", ())
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
