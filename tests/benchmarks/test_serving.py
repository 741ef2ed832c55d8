"""The benchmark of the server: complete figures, the same answers in every way, a load without a mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket

import numpy as np
import pytest

from benchmarks import serving as benchmark
from benchmarks.serving import Load, Overhead, Server
from serving.batching import QueuePlan
from serving.server import ModelServer, ServerPlan

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def server_here(root: Path, queue: QueuePlan) -> Iterator[Server]:
    """A server in this process, which costs no second start of TensorFlow."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        metrics_port = free.getsockname()[1]
    server = ModelServer(ServerPlan(root, port=0, metrics_port=metrics_port, queue=queue)).start()
    assert server.wait_until_loaded(60.0)
    yield Server(f"127.0.0.1:{server.port}", os.getpid(), metrics_port)
    server.stop(0.0)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    benchmark.write_models(root, with_vdsr=False)
    return root


class Sizes:
    """An echo that notes what it is sent."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def add_size(self, asked: bytes) -> bytes:
        self.seen.append(len(asked))
        return b""


def test_every_line_is_measured_in_every_way(root: Path) -> None:
    lines, sizes = [], Sizes()
    with server_here(root, QueuePlan()) as server:
        for case in benchmark.cases(64, 16, with_vdsr=False):
            line = benchmark.measure(case, root, address=server.address, echo=sizes.add_size, repeats=1)
            lines.append(line)
            assert sizes.seen.pop() == line.bytes_in
    assert [(line.bytes_in, line.bytes_out) for line in lines] == [
        (4096, 4096),
        (65536, 65536),
        (4 * (2 * 2 * 31 + 16 * 16 * 3), 4 * 16 * 16 * 31),
    ]
    assert all(min(line.bare, line.served, line.echo) > 0 for line in lines)


def test_targets_are_a_share_or_milliseconds() -> None:
    large = Overhead("large", 2048, 1024, 0.1, 0.109, 0.001, True)
    small = Overhead("small", 2048, 1024, 0.001, 0.007, 0.001, False)
    text = benchmark.overhead_table([large, small])
    assert "| large | 2 | 1 | 100.00 | 109.00 | 9.00 | 9 % | 1.00 | below 10 %: yes |" in text
    assert "| small | 2 | 1 | 1.00 | 7.00 | 6.00 | 600 % | 1.00 | below 5 ms: NO |" in text


def test_a_load_is_answered_or_refused_and_nothing_is_lost_or_mixed_up(root: Path) -> None:
    with server_here(root, QueuePlan(max_queue=1, max_batch=2)) as server:
        load = benchmark.bear(server, num_clients=24, seconds=1.5)
    assert load.answered > 0 and load.refused > 0
    assert (load.lost, load.doubled, load.mixed_up) == (0, 0, 0)
    assert min(load.resident_mib) > 0


def test_an_answer_of_another_is_noticed() -> None:
    image = np.ones((1, 2, 2, 1), np.float32)
    answer = benchmark.messages.PredictResponse()
    for values, came in ((2 * image + 4, "answered"), (2 * image + 5, "mixed_up"), (image[0], "mixed_up")):
        answer.outputs["estimate"].CopyFrom(benchmark.tensors.to_tensor_proto(values))
        assert benchmark.outcome(lambda request, timeout: answer, image) == came
    text = benchmark.load_table(Load(10, 5, 0, 0, 0, (100.0, 200.0, 230.0)), 2.0)
    assert "| 10 | 5 | 5 | 0 | 0 | 0 |" in text
    assert "200 MiB after 1 s, 230 MiB at the end (+15.0 %; flat within 10 %: NO)" in text


@pytest.mark.slow
@pytest.mark.parametrize("load", [False, True])
def test_one_command_prints_its_table_and_writes_json(load: bool, tmp_path: Path) -> None:
    flags = (
        ["--load", "--clients=4", "--seconds=2"] if load else ["--size=48", "--scene_size=16", "--repeats=1"]
    )
    command = [sys.executable, "-m", "benchmarks.serving", *flags, f"--json={tmp_path / 'serving.json'}"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "serving.json").read_text())
    if load:
        assert "| answered | a second |" in done.stdout and found["load"]["lost"] == 0
    else:
        assert "| VDSR, 48 x 48 |" in done.stdout and len(found["overheads"]) == 5
