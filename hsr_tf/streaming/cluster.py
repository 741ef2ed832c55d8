"""The tiles of a job over a Dask cluster: tasks that read the inputs and write their own files and chunks.

Every machine sees the inputs, the output's folder and this package under the same names. A task is a stage
and the number of a tile; it keeps its tile in the draft and answers the number, so that nothing large passes
the scheduler, and a task that is done twice writes the same file twice. Dask gives the tasks of a worker that
died to others. The output is a Zarr store with one chunk a tile, which takes its name when all are there.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsr_tf import checks
from hsr_tf.imports import require_package
from hsr_tf.io.header import CubeHeader

RETRIES = 5
STORE, WRITTEN = "store.zarr", "written"
# A worker that computes holds Python's lock for seconds, and one that starts loads TensorFlow first.
PATIENCE = {
    "distributed.comm.timeouts.connect": "300s",
    "distributed.comm.timeouts.tcp": "300s",
    "distributed.scheduler.worker-ttl": "30 minutes",
}
LOCAL = re.compile(r"local(?::([1-9][0-9]*))?")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
ONE_THREAD = dict.fromkeys(THREADS, "1")
_open: dict[str, tuple[Any, ExitStack]] = {}


class DaskWorkers:
    """Who does the tiles: the workers of a cluster.

    Args:
        client: a `distributed.Client`.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        addresses = client.scheduler_info(n_workers=-1)["workers"]
        # kept, since Dask drops tasks whose answers nobody holds
        self._loading = [
            client.submit(load, pure=False, workers=[address], key=f"load-{address}") for address in addresses
        ]

    def run(self, draft: Any, stage: Any, missing: list[int]) -> Iterator[int]:
        """The numbers of the tiles as they are finished."""
        from distributed import as_completed

        folder = str(draft.folder)
        futures = [
            self.client.submit(run_tile, folder, stage.name, index, pure=False, retries=RETRIES)
            for index in missing
        ]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            self.client.cancel(futures)

    def write(self, output: Path, header: CubeHeader, pair: Any, method: Any) -> Iterator[int]:
        """The store, each chunk written by a worker; it takes its name with the last one."""
        from hsr_tf import io
        from hsr_tf.streaming.output import OutputTiles
        from hsr_tf.tiling.stages import Stage

        draft, tiles = pair.store, OutputTiles(pair, method)
        side = tiles.side
        store, target = draft.folder / STORE, Path(os.path.realpath(output))
        if not any(draft.has(WRITTEN, i) for i in range(len(tiles))):
            shutil.rmtree(store, ignore_errors=True)
            io.new_zarr_store(store, header, tile=(side, side))
        draft.save_json("nodata", {"nodata": header.nodata})
        stage = Stage(WRITTEN, len(tiles), lambda index: None)
        missing = [i for i in range(len(tiles)) if not draft.has(WRITTEN, i)]
        yield from self.run(draft, stage, missing)
        if target.exists():
            os.rename(target, draft.folder / "replaced.zarr")
        os.rename(store, target)


@contextmanager
def connected(address: str, memory_limit: int) -> Iterator[DaskWorkers]:
    """The workers behind a scheduler's address, or local processes for "local" and "local:2".

    Args:
        address: tcp://host:8786, local (a process a core) or local:N.
        memory_limit: bytes that each local process stays below.

    Raises:
        ValueError: neither an address nor local.
        MissingPackage: Dask is not installed.
        OSError: no scheduler answers.
    """
    local = LOCAL.fullmatch(address)
    checks.require(
        local is not None or "://" in address,
        "dask",
        expected="the address of a scheduler (tcp://host:8786), local, or local:2 for two processes",
        received=repr(address),
        remedy="start one with dask scheduler, or use local",
    )
    with ExitStack() as stack:
        dask, distributed = require_package("dask"), require_package("distributed")
        stack.enter_context(dask.config.set(PATIENCE))
        if local is None:
            client = _client(distributed.Client, address)
            stack.callback(client.close)
            yield DaskWorkers(client)
            return
        count = int(local.group(1) or os.cpu_count() or 1)
        cluster = stack.enter_context(
            distributed.LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                silence_logs=logging.ERROR,
                memory_limit=None,
                env={**ONE_THREAD, "TF_CPP_MIN_LOG_LEVEL": "3"},
            )
        )
        yield DaskWorkers(stack.enter_context(distributed.Client(cluster)))


def load() -> None:
    """What every tile needs, in a worker; seconds that it has while the command itself is loading."""
    _one_thread()
    import hsr_tf.streaming.steps  # noqa: F401


def run_tile(folder: str, field: str, index: int) -> int:
    """One tile of one stage, in a worker; answers its number."""
    _one_thread()
    from hsr_tf.streaming.draft import Draft
    from hsr_tf.streaming.job import FOUND
    from hsr_tf.streaming.steps import SURVEY_HR

    draft = Draft(Path(folder))
    if draft.has(field, index):
        return index
    opened = _opened(draft, FOUND if field != SURVEY_HR else SURVEY_HR)
    if field == WRITTEN:
        _write(draft, opened, index)
    else:
        opened.stages[field].run(index)
    return index


@dataclass(frozen=True, eq=False)
class _Opened:
    """A job as a worker holds it between tiles."""

    pair: Any
    method: Any
    stages: dict[str, Any]


def _opened(draft: Any, state: str) -> _Opened:
    """The job of a draft, opened once a process; the next state of it takes the place of the last."""
    from hsr_tf.streaming.job import FOUND, JOB, Found, Job, opened_files
    from hsr_tf.streaming.output import OutputTiles
    from hsr_tf.streaming.steps import job_method, survey_stage

    marker = draft.folder / f"{FOUND if state == FOUND else JOB}.json"
    name = f"{marker} {marker.stat().st_mtime_ns}"
    if name in _open:
        return _open[name][0]
    for _, stack in _open.values():
        stack.close()
    _open.clear()
    job, stack = Job.of(draft.load_json(JOB)), ExitStack()
    found = Found.of(draft.load_json(FOUND)) if state == FOUND else None
    pair = stack.enter_context(opened_files(job, draft, found))
    method = None if found is None else job_method(job, pair)
    if method is None:
        stages = [survey_stage(pair)]
    else:
        stages = [*method.stages(), *OutputTiles(pair, method).stages()]
    opened = _Opened(pair, method, {stage.name: stage for stage in stages})
    _open[name] = (opened, stack)
    return opened


def _write(draft: Any, opened: _Opened, index: int) -> None:
    """One finished tile into its chunk of the store."""
    from hsr_tf import io
    from hsr_tf.streaming.output import OutputTiles

    nodata, tiles = draft.load_json("nodata")["nodata"], OutputTiles(opened.pair, opened.method)
    values = tiles.values(index, nodata)
    io.open_zarr_tiles(draft.folder / STORE).write(*tiles.region(index).slices, values)
    draft.save(WRITTEN, index, np.zeros(0, np.uint8))


def _client(kind: Any, address: str) -> Any:
    try:
        return kind(address, timeout="10s")
    except (OSError, TimeoutError) as error:
        raise checks.file_error(
            address, "no scheduler answers", "start one with dask scheduler, and check the address"
        ) from error


def _one_thread() -> None:
    """One thread a worker, where TensorFlow is not loaded yet and nobody said otherwise."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
