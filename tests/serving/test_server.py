"""The program itself: killed and started again it answers again; SIGTERM lets requests in flight finish."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf

from tests.app_for_tests import call_app
from tests.serving.serving_for_tests import Client, ask, doubled, eventually, put_model, sample

BUSY_SECONDS, BUSY_UNTIL_KILLED, START_SECONDS = 1.0, 30.0, 200.0


@dataclass
class Program:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    lines: list[str]
    port: int
    metrics_port: int

    def metric(self, name: str) -> float:
        """The sum over all labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as page:
            found = re.findall(rf"^{name}(?:{{.*}})? (\S+)", page.read().decode(), re.MULTILINE)
        return sum(map(float, found))

    @property
    def num_waiting(self) -> float:
        return self.metric("hsr_queue_requests")


@contextmanager
def running(root: Path, repository: Path, port: int = 0, *more: str) -> Iterator[Program]:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        metrics_port = free.getsockname()[1]
    command = [sys.executable, "-m", "serving.server", f"--model_base_path={root}", f"--port={port}"]
    options = [f"--metrics_port={metrics_port}", "--poll_seconds=0.1", "--log_requests"]
    process = subprocess.Popen(
        [*command, *options, *more], cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.strip())
            if line.startswith("listening on"):
                break
        assert lines, process.communicate()
        yield Program(process, lines, int(lines[-1].rpartition(":")[2]), metrics_port)
    finally:
        process.kill()
        process.communicate()


def begin_two(program: Program, client: Client, seconds: float) -> list[Any]:
    """Two requests in flight: one is computed, one waits."""
    request = ask(signature="slow", seconds=np.float64(seconds))
    calls = [client.prediction.Predict.future(request, 60.0) for _ in range(2)]
    eventually(lambda: program.num_waiting == 1 or calls[0].done())
    return calls


@pytest.mark.slow
def test_it_survives_being_killed(tmp_path: Path, repository: Path) -> None:
    put_model(tmp_path, 1)
    with running(tmp_path, repository) as killed:
        client = Client.at(killed.port)
        calls = begin_two(killed, client, BUSY_UNTIL_KILLED)
        killed.process.kill()
        assert {call.exception().code() for call in calls} == {grpc.StatusCode.UNAVAILABLE}
    with running(tmp_path, repository, killed.port) as again:
        assert again.port == killed.port
        x = sample(0)
        np.testing.assert_allclose(Client.at(again.port).predict(ask(x=x))["y"], doubled(x), rtol=1e-6)


def test_it_tells_what_it_serves_answers_and_ends_in_peace(tmp_path: Path, repository: Path) -> None:
    put_model(tmp_path, 1)
    with running(tmp_path, repository) as program:
        assert program.lines[0].startswith("serving toy version 1: ")
        assert "serving_default(x float32 (?, ?, 3))" in program.lines[0]
        client, x = Client.at(program.port), sample(0)
        np.testing.assert_allclose(client.predict(ask(x=x))["y"], doubled(x), rtol=1e-6)
        calls = begin_two(program, client, BUSY_SECONDS)
        program.process.send_signal(signal.SIGTERM)
        answers = [tf.make_ndarray(call.result().outputs["seconds"]) for call in calls]
        assert answers == [BUSY_SECONDS] * 2
        _, logged = program.process.communicate(timeout=START_SECONDS)
        assert program.process.returncode == 0
        assert logged.count("signature=slow") == 2 and logged.count("code=OK") == 3


@pytest.mark.slow
def test_what_outlasts_the_draining_is_cut_off_and_the_program_ends(tmp_path: Path, repository: Path) -> None:
    put_model(tmp_path, 1)
    with running(tmp_path, repository, 0, "--drain_seconds=0.2") as program:
        calls = begin_two(program, Client.at(program.port), BUSY_UNTIL_KILLED)
        program.process.send_signal(signal.SIGTERM)
        cut_off = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert {call.exception(BUSY_UNTIL_KILLED / 2).code() for call in calls} <= cut_off
        _, logged = program.process.communicate(timeout=BUSY_UNTIL_KILLED / 2)
        assert program.process.returncode == 0
        assert "--drain_seconds ended before all requests were answered" in logged


def test_without_models_to_look_at_it_ends_with_one_line(tmp_path: Path) -> None:
    ended = call_app("serving.server", f"--model_base_path={tmp_path / 'absent'}")
    assert (ended.code, ended.output) == (2, "")
    assert ended.last_error.startswith("error: ") and "absent: is no folder" in ended.last_error
