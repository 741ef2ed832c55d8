"""The streaming half of `hsr fuse`: scenes that a limit of memory does not hold, and clusters."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsr_tf import checks
from hsr_tf.cli.judging import residual_warnings_later, show_lost, show_verdict
from hsr_tf.console import terminal

if TYPE_CHECKING:
    from hsr_tf.findings import Verdict
    from hsr_tf.io.pair_reading import PairReading

BYTES_A_PIXEL, PROGRAM_BYTES = 400, 800 * 10**6
MemoryLimit = Annotated[
    str | None,
    typer.Option(
        "--memory_limit",
        help="Memory limit, e.g. 3GB: larger scenes are fused in tiles, from file to file; "
        "by default half of the machine's memory.",
    ),
]
Stream = Annotated[bool, typer.Option("--stream", help="Fuse in tiles, whatever the size.")]
Restart = Annotated[bool, typer.Option("--restart", help="Discard the unfinished tiles of another request.")]
DaskAddress = Annotated[
    str | None,
    typer.Option(
        "--dask",
        help="Use a Dask cluster: tcp://host:8786, local, or local:2 for two processes; writes .zarr.",
    ),
]


@dataclass(frozen=True)
class Streaming:
    """The flags of streaming."""

    memory_limit: str | None
    stream: bool
    restart: bool
    dask: str | None


@dataclass(frozen=True)
class FuseFlags:
    """The other flags of `hsr fuse` that tiled fusion takes, and the names of those that it does not."""

    method: str
    options: tuple[str, ...]
    weights: Path | None
    adapt: bool
    psf: str | None
    srf: str | None
    srf_outside: str
    linearize: str
    seed: int
    others: tuple[str, ...]
    reading: PairReading
    transform: Path | None = None
    register: str = "off"


def is_streamed(streaming: Streaming, paths: tuple[Path, Path], reading: PairReading) -> bool:
    """Whether a pair is fused tile by tile: for a flag that says so, or for its size.

    Args:
        streaming: the flags of streaming.
        paths: of X and Y.
        reading: what the caller knows better than the files.
    """
    from hsr_tf.io.formats import format_of
    from hsr_tf.io.pair_reading import open_of_pair
    from hsr_tf.io.remote_names import remote_name
    from hsr_tf.streaming.pair import room_gib

    limit = _limit(streaming)
    if streaming.stream or streaming.dask is not None or streaming.restart:
        return True
    in_parts = all(remote_name(path) or format_of(path).reads_parts for path in paths)
    if streaming.memory_limit is None and not in_parts:
        return False  # files that are read at once are in memory anyway
    # What is replaced of the file is reported when it is read.
    requests = [replace(one, wavelengths_nm=None, nodata=None) for one in reading.requests]
    with (
        open_of_pair("lr_hsi", paths[0], replace(requests[0], max_gib=room_gib(limit))) as coarse,
        open_of_pair("hr_msi", paths[1], replace(requests[1], max_gib=room_gib(limit))) as sharp,
    ):
        rows, cols, channels = sharp.shape
        return rows * cols * (BYTES_A_PIXEL + 16 * (coarse.shape[2] + channels)) + PROGRAM_BYTES > limit


def fuse_streamed(streaming: Streaming, given: FuseFlags, paths: tuple[Path, Path, Path]) -> Verdict:
    """Fuse from file to file in tiles, show how it went, and return the verdict on the estimate.

    Args:
        streaming: the flags of streaming.
        given: the other flags.
        paths: of X, Y and the output.
    """
    checks.require(
        not given.others,
        given.others[0] if given.others else "",
        expected="none, as it is not available for tiled fusion",
        received=f"--{given.others[0]}" if given.others else "",
        remedy="leave it out, or raise --memory_limit so that the scene fits",
    )
    checks.require(
        streaming.dask is None or paths[2].suffix.lower() == ".zarr",
        "output",
        expected="a .zarr store, which many processes write at once, where --dask is given",
        received=str(paths[2]),
        remedy="name it so, and hsr convert it afterwards",
    )
    cluster: Any = nullcontext()
    if streaming.dask is not None:
        from hsr_tf.streaming.cluster import connected

        cluster = connected(streaming.dask, _limit(streaming))
    try:
        with residual_warnings_later(), cluster as workers:
            with terminal.working("loading the method"):
                terminal.load_keras()
                request = _request(streaming, given, paths)
                from hsr_tf.streaming.streamed import fuse_files
            with _bar() as tell:
                done = fuse_files(request, tell, workers)
    except KeyboardInterrupt:
        sys.stderr.write("the finished tiles are kept: run the same command again to go on\n")
        raise
    from hsr_tf import io
    from hsr_tf.report.screen import facts

    terminal.show(facts(_facts(done, paths[2])))
    with io.open_cube(paths[2]) as written:
        show_lost(written.header, paths[2])
    show_verdict(done.verdict, done.findings)
    return done.verdict


def _request(streaming: Streaming, given: FuseFlags, paths: tuple[Path, Path, Path]) -> Any:
    from hsr_tf import io
    from hsr_tf.cli.words import REGISTER, loaded_srf
    from hsr_tf.registration.transform import load_transform
    from hsr_tf.streaming.pair import room_gib
    from hsr_tf.streaming.request import StreamRequest
    from hsr_tf.streaming.survey import scene_of

    checks.require_choice("register", given.register, REGISTER)
    limit = _limit(streaming)
    srf: Any = given.srf
    if srf not in (None, "estimate") or given.srf_outside != "error":
        import numpy as np

        coarse = given.reading.requests[0]
        with io.open_reader(paths[0], replace(coarse, max_gib=room_gib(limit))) as reader:
            bands = scene_of(reader.header, np.zeros((1, 1, reader.shape[2]), np.float32))
        srf = loaded_srf(given.srf, given.srf_outside, bands)
    return StreamRequest(
        *paths,
        memory_limit=limit,
        method=given.method,
        options=given.options,
        weights=given.weights,
        adapt=given.adapt,
        psf=given.psf,
        srf=srf,
        linearize=given.linearize,
        seed=given.seed,
        restart=streaming.restart,
        reading=given.reading,
        transform=None if given.transform is None else load_transform(given.transform),
        register=given.register == REGISTER[0],
    )


def _limit(streaming: Streaming) -> int:
    from hsr_tf.streaming.memory import default_limit, parse_memory

    return default_limit() if streaming.memory_limit is None else parse_memory(streaming.memory_limit)


@contextmanager
def _bar() -> Iterator[Callable[[Any], None]]:
    """A bar a stage: tiles, time left, megapixels a second, memory; on a terminal only."""
    from tqdm import tqdm

    from hsr_tf.streaming.memory import in_words, resident_bytes

    bars: dict[str, Any] = {}
    began: dict[str, tuple[float, int]] = {}

    def tell(step: Any) -> None:
        if step.stage not in bars:
            for bar in bars.values():
                bar.close()
            bars[step.stage] = tqdm(
                total=step.total,
                initial=step.done - 1,
                desc=step.stage,
                unit="tile",
                dynamic_ncols=True,
                disable=not sys.stderr.isatty(),
            )
            began[step.stage] = (time.monotonic(), step.done)
        start, first = began[step.stage]
        rate = step.megapixels * (step.done - first) / step.total / max(time.monotonic() - start, 1e-3)
        bars[step.stage].set_postfix_str(f"{rate:.2f} Mpixel/s, {in_words(resident_bytes())}", refresh=False)
        bars[step.stage].update()

    try:
        yield tell
    finally:
        for bar in bars.values():
            bar.close()


def _facts(done: Any, output: Path) -> list[tuple[str, str]]:
    from hsr_tf.report.screen import metadata_facts, residual_words
    from hsr_tf.streaming.memory import in_words
    from hsr_tf.wording import number

    metadata, left = done.metadata, done.residuals
    sizes = [" x ".join(map(str, shape)) for shape in (done.lr_shape, done.hr_shape, done.shape)]
    rate = done.shape[0] * done.shape[1] / 1e6 / max(done.seconds, 1e-3)
    kept = f", {done.kept} of all steps kept from an earlier run" if done.kept else ""
    return [
        ("values", "; ".join(done.guesses)),
        ("grids", "; ".join(done.grids)),
        ("method", f"{metadata['method']}, x{metadata['scale_factor']}"),
        ("sizes", f"{sizes[0]} + {sizes[1]} -> {sizes[2]} in {done.seconds:.1f} s"),
        ("tiles", f"{done.num_tiles}{kept}"),
        *metadata_facts(metadata),
        ("residuals", f"{residual_words(left.lr_hsi, left.hr_msi)}, in the middle of the scene"),
        ("speed", f"{number(rate)} Mpixel/s, at most {in_words(done.peak_bytes)} of memory"),
        ("wrote", str(output)),
    ]
