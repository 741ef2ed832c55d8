"""Tiles over a Dask cluster of this machine's processes: the same result, also where a worker dies."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from hsr_tf import io
from hsr_tf.streaming import plan
from hsr_tf.streaming.cluster import connected, run_tile
from hsr_tf.streaming.draft import Draft, draft_folder
from hsr_tf.streaming.request import StreamRequest
from hsr_tf.streaming.streamed import fuse_files
from tests.streaming.pairs import write_pair
from tests.streaming.runs import AsWorkers


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LARGEST_TILE", 32)
    monkeypatch.setattr(plan, "SMALLEST_TILE", 4)


def request_for(folder: Path, name: str) -> StreamRequest:
    return StreamRequest(folder / "x.h5", folder / "y.h5", folder / name, 64 * 10**9)


def test_what_workers_run_makes_the_same_result(tmp_path: Path) -> None:
    write_pair(tmp_path)
    fuse_files(request_for(tmp_path, "z.h5"))
    fuse_files(request_for(tmp_path, "w.h5"), workers=AsWorkers())
    assert (tmp_path / "w.h5").read_bytes() == (tmp_path / "z.h5").read_bytes()


def test_a_finished_tile_is_not_done_again(tmp_path: Path) -> None:
    draft = Draft(tmp_path)
    draft.save("estimate", 3, np.zeros(1))
    assert run_tile(str(tmp_path), "estimate", 3) == 3


@pytest.mark.parametrize("words", ["localhost", "local:0", "local:two", "host:8786", ""])
def test_a_wrong_address_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match="dask: expected the address of a scheduler"), connected(words, 1):
        pass


def test_without_dask_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r'pip install "hsr_tf\[dask\]"'), connected("local:1", 1):
        pass


@pytest.mark.slow
def test_a_worker_that_dies_changes_nothing(tmp_path: Path) -> None:
    write_pair(tmp_path, (136, 136, 31))
    fuse_files(request_for(tmp_path, "z.zarr"))
    with connected("local:2", 8 * 10**9) as workers:
        fuse_files(request_for(tmp_path, "plain.zarr"), workers=workers)
    with connected("local:2", 8 * 10**9) as workers:
        killed: list[int] = []
        killer = threading.Thread(target=kill_one, args=(workers.client, tmp_path / "killed.zarr", killed))
        killer.start()
        fuse_files(request_for(tmp_path, "killed.zarr"), workers=workers)
        killer.join()
    assert len(killed) == 1
    plain, other = (io.load(tmp_path / name).cube for name in ("plain.zarr", "killed.zarr"))
    np.testing.assert_array_equal(other, plain)
    assert np.abs(plain - io.load(tmp_path / "z.zarr").cube).max() < 1e-5


def kill_one(client, output: Path, killed: list[int]) -> None:  # type: ignore[no-untyped-def]
    """Kill a worker once it has estimated some tiles."""
    tiles, end = draft_folder(output) / "estimate", time.monotonic() + 200
    while time.monotonic() < end:
        if tiles.is_dir() and len(list(tiles.glob("*.npy"))) > 2:
            found = next(iter(client.run(os.getpid).values()))
            os.kill(found, signal.SIGKILL)
            killed.append(found)
            return
        time.sleep(0.01)
