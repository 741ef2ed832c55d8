"""A fusion from file to file within a limit of memory: planned, surveyed, run tile by tile, joined.

Every finished tile stays on disk (`draft`) until the output is whole, so that the same call goes on where an
earlier one was killed, and ends with the same bytes. The result tells no time, which would differ.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hsr_tf import checks, io, methods
from hsr_tf.georeference import Georeference
from hsr_tf.io.stream import CubeHeader
from hsr_tf.memory import GIB
from hsr_tf.networks.fusion_model import cameras_to_dict
from hsr_tf.networks.pretrained import ModelCard
from hsr_tf.networks.selection import find_card
from hsr_tf.physics.cameras import CameraChoice
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.repair import Repaired
from hsr_tf.scene import Observation
from hsr_tf.streaming import cameras as choosing
from hsr_tf.streaming.draft import Draft, draft_folder, opened, require_space
from hsr_tf.streaming.files import opened_image, stamp
from hsr_tf.streaming.job import FOUND, JOB, SHARED, Found, Job, Scenery, Stage, opened_scenery
from hsr_tf.streaming.memory import peak_bytes
from hsr_tf.streaming.plan import demand, planned
from hsr_tf.streaming.runner import MethodTiles, extents, method_tiles, stored, survey_stage
from hsr_tf.streaming.survey import hole_lines, probe, surveyed

NOT_INHERITED = ("source", "white_level", "channels", "simulated_")


@dataclass(frozen=True, eq=False)
class StreamRequest:
    """What is asked for.

    Attributes:
        lr_hsi, hr_msi: files of X and Y.
        output: file of the estimate, of a format that is written part by part.
        memory_limit: bytes that the process stays below.
        method: name in the registry.
        options: of a solver, `name=value`.
        weights: folder of a trained model; by default the shipped one for these sizes.
        adapt: adapt the network to each window.
        psf, srf: as `hsr_tf.fuse` takes them.
        seed: of what a solver draws.
        restart: throw away the unfinished tiles of another request.
    """

    lr_hsi: Path
    hr_msi: Path
    output: Path
    memory_limit: int
    method: str = "spectral_ls"
    options: tuple[str, ...] = ()
    weights: Path | None = None
    adapt: bool = False
    psf: Any = None
    srf: Any = None
    seed: int = 0
    restart: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        stage: its name: survey, factor, estimate, ..., writing.
        done, total: tiles of the stage.
        megapixels: sharp pixels of a whole stage, in millions.
    """

    stage: str
    done: int
    total: int
    megapixels: float


@dataclass(frozen=True)
class Streamed:
    """What became of a request.

    Attributes:
        lr_shape, hr_shape: of X and Y.
        shape: of the estimate.
        num_tiles: that the scene was cut into.
        kept: tiles, of all stages, that an earlier run had finished.
        seconds: this run took.
        peak_bytes: the most memory that this process held.
        metadata: of the estimate.
    """

    lr_shape: tuple[int, int, int]
    hr_shape: tuple[int, int, int]
    shape: tuple[int, int, int]
    num_tiles: int
    kept: int
    seconds: float
    peak_bytes: int
    metadata: dict[str, Any]


Tell = Callable[[Progress], None]


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
        UserWarning: what `hsr_tf.fuse` warns of, but for saturated samples.

    Raises:
        ValueError: images that do not fit each other or the method, a limit that is too low, unfinished tiles
            of another request, a method that cannot be run in parts.
        OSError: files that are missing or damaged, too little space on the disk; finished tiles are kept.
    """
    began, workers = time.perf_counter(), workers or Here()
    with ExitStack() as stack:
        max_gib = request.memory_limit / 2 / GIB
        images = [
            stack.enter_context(opened_image(name, path, max_gib=max_gib))
            for name, path in (("lr_hsi", request.lr_hsi), ("hr_msi", request.hr_msi))
        ]
        headers = images[0].header, images[1].header
        scale = scale_of(headers[0].shape, headers[1].shape)
        _require_one_grid(headers, scale)
        _require_output(request.output, headers[1])
        card = _card(request, headers, scale)
        draft = stack.enter_context(
            opened(draft_folder(request.output), _fingerprint(request, card), restart=request.restart)
        )
        job = _job(request, card, draft, headers, scale)
        return _Run(request, job, draft, tell, workers).fuse(headers, card, began)


def scale_of(lr_shape: tuple[int, int, int], hr_shape: tuple[int, int, int]) -> int:
    """The ratio of the sizes of Y and X.

    Raises:
        ValueError: sizes that do not divide, or by other factors along rows than along columns.
    """
    ratios = [b / a for a, b in zip(lr_shape[:2], hr_shape[:2], strict=True)]
    checks.require(
        ratios[0] == ratios[1] and ratios[0] == int(ratios[0]) and ratios[0] >= 1,
        "hr_msi",
        expected=f"a whole multiple of the {lr_shape[0]}x{lr_shape[1]} pixels of lr_hsi on both axes",
        received=f"{hr_shape[0]}x{hr_shape[1]} pixels (ratios {ratios[0]:g} and {ratios[1]:g})",
        remedy="crop both files to the same ground, and check that they are not swapped",
    )
    return int(ratios[0])


class _Run:
    """One call, over the draft of its request."""

    def __init__(self, request: StreamRequest, job: Job, draft: Draft, tell: Tell, workers: Any) -> None:
        self.request, self.job, self.draft, self.tell, self.workers = request, job, draft, tell, workers
        self.kept = 0
        rows, cols = job.size
        self.megapixels = rows * cols * job.scale**2 / 1e6

    def fuse(self, headers: tuple[CubeHeader, CubeHeader], card: ModelCard | None, began: float) -> Streamed:
        found = self._found(headers, card)
        with opened_scenery(self.job, self.draft, found) as scenery:
            tiles = method_tiles(self.job, scenery)
            for stage in tiles.stages():
                self._through(stage)
            header = self._header(headers, found)
            written = self.workers.write(self.request.output, header, scenery, tiles)
            for done, _ in enumerate(written, start=1):
                self.tell(Progress("writing", done, len(scenery.grid), self.megapixels))
        self.draft.remove()
        return Streamed(
            lr_shape=headers[0].shape,
            hr_shape=headers[1].shape,
            shape=header.shape,
            num_tiles=len(self.job.grid),
            kept=self.kept,
            seconds=time.perf_counter() - began,
            peak_bytes=peak_bytes(),
            metadata=dict(header.metadata),
        )

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

    def _found(self, headers: tuple[CubeHeader, CubeHeader], card: ModelCard | None) -> Found:
        """What the first pass finds; its warnings are given again by every call."""
        if self.draft.told(FOUND) is None:
            with opened_scenery(self.job, self.draft, None) as scenery:
                self._through(survey_stage(scenery))
            self.draft.tell(FOUND, self._settled(headers, card))
        told = self.draft.told(FOUND)
        assert told is not None
        for line in told["lines"]:
            warnings.warn(line, stacklevel=4)
        return Found.of(told)

    def _settled(self, headers: tuple[CubeHeader, CubeHeader], card: ModelCard | None) -> dict[str, Any]:
        """Bands, cameras and warnings as plain data."""
        method, scale = self.job.chosen(), self.job.scale
        seen = extents(self.draft, len(self.job.grid))
        left_out = surveyed(headers, seen, scale, keep_bands=False)
        keep = method.kind == "network"
        repaired = surveyed(headers, seen, scale, keep_bands=True) if keep else left_out
        told = {"psf": self.request.psf, "srf": self.request.srf}
        asked = probe(headers, seen, scale)
        choice = choosing.chosen_cameras(repaired, asked, method, told)
        data = _bands(left_out, keep) | {"holes": [extent.num_holes > 0 for extent in seen]}
        lines = [*repaired.findings, *hole_lines(seen)]
        choice, more = self._cameras(data, choice, (asked, card))
        return {
            **data,
            "cameras": cameras_to_dict(choice.model),
            "lines": lines + more,
            "psf": f"{choice.model.spatial.psf.name} ({choice.psf_origin})",
            "srf": f"{choice.model.spectral.name} ({choice.srf_origin})",
        }

    def _cameras(
        self, data: dict[str, Any], choice: CameraChoice, asked: tuple[Observation, ModelCard | None]
    ) -> tuple[CameraChoice, list[str]]:
        """The cameras with what is estimated of them, and lines about those that do not fit."""
        observation, card = asked
        if card is not None and not self.job.adapt:
            return choosing.of_network(card, observation, choice)
        method = self.job.chosen()
        told = {"psf": self.request.psf, "srf": self.request.srf}
        known = Found.of({**data, "cameras": cameras_to_dict(choice.model)})
        with opened_scenery(self.job, self.draft, known) as scenery:
            choice = choosing.with_estimates(scenery, choice, told, self.job.seed)
            return choice, choosing.suspected(scenery, choice, method)

    def _header(self, headers: tuple[CubeHeader, CubeHeader], found: Found) -> CubeHeader:
        """What the output tells: the bands of X, the grid of Y, the method and its cameras."""
        lr_hsi, hr_msi = headers
        told, shared = self.draft.told(FOUND) or {}, self.draft.told(SHARED) or {}
        nodata = lr_hsi.nodata if hr_msi.nodata is None else hr_msi.nodata
        if nodata is None and any(found.holes):
            nodata = 0.0
        kept = {n: v for n, v in lr_hsi.metadata.items() if not n.startswith(NOT_INHERITED)}
        about = {"method": self.job.chosen().name, "scale_factor": self.job.scale}
        about |= {name: told[name] for name in ("psf", "srf")}
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
            georeference=_sharp_grid(headers, self.job.scale),
            nodata=nodata,
            white_level=None,
            gain=None,
            offset=0.0,
            metadata={**kept, **about},
        )


def _card(request: StreamRequest, headers: tuple[CubeHeader, CubeHeader], scale: int) -> ModelCard | None:
    """The trained model of a network."""
    known = methods.get(request.method, methods.FUSION_KINDS)
    checks.require(
        request.weights is None or known.kind == "network",
        "weights",
        expected=f"none for {known.name}, which is not trained",
        received=str(request.weights),
        remedy="leave them out, or choose a network",
    )
    checks.require(
        known.kind != "solver" or {"psf", "srf"} <= set(known.needs),
        "method",
        expected="one that is told the cameras, which all parts of a large scene share",
        received=f"{known.name}, which finds them anew in each",
        remedy="use e.g. deep_prior with psf=estimate and srf=estimate",
    )
    if known.kind != "network":
        return None
    num_bands, num_channels = headers[0].shape[2], headers[1].shape[2]
    return find_card(known.name, request.weights, scale=scale, num_bands=num_bands, num_channels=num_channels)


def _fingerprint(request: StreamRequest, card: ModelCard | None) -> dict[str, Any]:
    """All that decides the result, as plain data."""
    words = {name: _in_words(getattr(request, name)) for name in ("psf", "srf")}
    return {
        "lr_hsi": dict(stamp(request.lr_hsi)),
        "hr_msi": dict(stamp(request.hr_msi)),
        "method": request.method,
        "options": list(request.options),
        "weights": None if card is None else _digest(card.folder),
        "adapt": request.adapt,
        **words,
        "seed": request.seed,
        "memory_limit": request.memory_limit,
    }


def _in_words(camera: Any) -> str | None:
    if isinstance(camera, SpectralResponse):
        return hashlib.sha256(np.ascontiguousarray(camera.matrix).tobytes()).hexdigest()
    if camera is not None and Path(str(camera)).is_file():
        return f"{camera} {_digest(Path(str(camera)))}"
    return None if camera is None else str(camera)


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the files of a folder."""
    digest = hashlib.sha256()
    for entry in sorted(path.iterdir()) if path.is_dir() else [path]:
        digest.update(entry.read_bytes())
    return digest.hexdigest()


def _job(
    request: StreamRequest,
    card: ModelCard | None,
    draft: Draft,
    headers: tuple[CubeHeader, CubeHeader],
    scale: int,
) -> Job:
    """The job that the draft holds, else a new one, planned for the limit of memory."""
    told = draft.told(JOB)
    if told is not None:
        return Job.of(told)
    num_bands, size = headers[0].shape[2], headers[0].shape[:2]
    job = Job(
        lr_hsi=str(request.lr_hsi.resolve()),
        hr_msi=str(request.hr_msi.resolve()),
        method=request.method,
        options=request.options,
        weights=None if card is None else str(card.folder.resolve()),
        adapt=request.adapt,
        seed=request.seed,
        size=size,
        scale=scale,
        tile=1,
        window=None,
        max_gib=request.memory_limit / 2 / GIB,
    )
    method = job.chosen()
    plan = planned(method, size, scale, demand(method, job.weights, num_bands, scale), request.memory_limit)
    job = replace(job, tile=plan.tile, window=plan.window)
    _require_space(draft, job, num_bands)
    draft.tell(JOB, job.as_dict())
    return job


def _require_space(draft: Draft, job: Job, num_bands: int) -> None:
    sharp, coarse = job.size[0] * job.size[1] * job.scale**2, job.size[0] * job.size[1]
    cubes = 3.4 if job.window is not None else 2.0  # a solver's overlapped windows are kept too
    require_space(draft.folder, int(4 * num_bands * (cubes * sharp + 4 * coarse)))


def _require_one_grid(headers: tuple[CubeHeader, CubeHeader], scale: int) -> None:
    """Refuse images whose grids lie elsewhere: tiles are cut by pixels, nothing is resampled here."""
    lr_hsi, hr_msi = (header.georeference for header in headers)
    if lr_hsi is None or hr_msi is None or lr_hsi.crs is None or hr_msi.crs is None:
        return
    expected = lr_hsi.coarser(1 / scale).transform
    step = max(hr_msi.pixel_size)
    apart = max(abs(a - b) for a, b in zip(expected, hr_msi.transform, strict=True))
    checks.require(
        apart <= 0.5 * step,
        "hr_msi",
        expected="the ground of lr_hsi, pixel on pixel, where a scene is fused part by part",
        received=f"a grid that lies up to {apart / step:.2g} sharp pixels off",
        remedy="crop or reproject one of them first (hsr check tells how they lie)",
    )


def _require_output(output: Path, hr_msi: CubeHeader) -> None:
    """Refuse a name whose format cannot be written part by part, before the work."""
    io.writer_for(output)

    class Tried(Exception):
        pass

    with suppress(Tried), io.create_cube(output, CubeHeader(shape=(1, 1, hr_msi.shape[2]))):
        raise Tried


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


def _sharp_grid(headers: tuple[CubeHeader, CubeHeader], scale: int) -> Georeference | None:
    """Where the sharp pixels lie, as `Observation.sharp_grid`."""
    lr_hsi, hr_msi = headers
    if hr_msi.georeference is not None or lr_hsi.georeference is None:
        return hr_msi.georeference
    return lr_hsi.georeference.coarser(1 / scale)
