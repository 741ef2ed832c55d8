"""Several hosts train one model: TF_CONFIG is read with care, batches are shared, the first host writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from socket import socket
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from hsr_tf.data.patches import PatchPlan, PatchSource, Share
from tests.app_for_tests import call_app
from tests.trainers.conftest import ROOT, waves
from tests.trainers.test_fusion import stored_weights, tiny_plan, wait_for
from trainers import _hosts
from trainers._hosts import Hosts, parse_hosts, shares_of
from trainers._optimizers import make_optimizer
from trainers._run import Run, Validation

WORKERS = ["a:2222", "b:2223", "c:2224"]
FLAGS = (
    "--scale=4",
    "--patch_size=8",
    "--batch_size=4",
    "--features=4",
    "--base=spectral_ls",
    "--warmup_steps=2",
    "--validate_every=1000",
)


def told(index: int = 0, job: str = "worker", **cluster: object) -> str:
    return json.dumps({"cluster": cluster or {"worker": WORKERS}, "task": {"type": job, "index": index}})


@pytest.fixture
def fresh_hosts() -> Iterator[None]:
    """What the process knows of its hosts is forgotten before and after."""
    _hosts.join_hosts.cache_clear()
    yield
    _hosts.join_hosts.cache_clear()


def test_hosts_are_those_of_the_cluster_and_the_first_is_the_chief() -> None:
    assert [parse_hosts(told(i)) for i in range(3)] == [Hosts(tuple(WORKERS), i) for i in range(3)]
    assert [parse_hosts(told(i)).is_chief for i in range(3)] == [True, False, False]
    assert parse_hosts(told(1, chief=["d:1"], worker=WORKERS)) == Hosts(("d:1", *WORKERS), 2)
    assert parse_hosts(told(0, "chief", worker=WORKERS, chief=["d:1"])) == Hosts(("d:1", *WORKERS), 0)
    assert parse_hosts(told(0, worker=["[::1]:80"])) == Hosts(("[::1]:80",), 0)


@pytest.mark.parametrize("text", [None, "", told(0, worker=["a:1"])])
def test_one_host_is_alone_and_writes(text: str | None) -> None:
    hosts = parse_hosts(text)
    assert hosts.is_chief and not hosts.are_several


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "expected text like"),
        ("[]", "expected text like"),
        ('{"cluster": {}, "task": 1}', "expected text like"),
        ('{"cluster": {"worker": ["a:1"]}}', "expected text like"),
        (told(job="worker", index=3), "such as worker 0 to 2, got worker 3"),
        (told(index=-1), "got worker -1"),
        (told(job="chief"), "got chief 0"),
        (told(worker=WORKERS, ps=["d:1"]), "chief and worker alone, got ps, worker"),
        (told(worker=["a", "b:1"]), "addresses host:port, got a"),
        (told(worker=["a:x", "b:99999"]), "addresses host:port, got a:x, b:99999"),
        (told(worker=[]), "addresses host:port, got none"),
        (told(worker=["a:1", "a:1"]), "each address once"),
        (told(worker=["a:1"], chief=["b:1", "c:1"]), "one chief at most"),
    ],
)
def test_a_text_that_tells_no_hosts_is_one_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^TF_CONFIG: expected [^\n]*$") as caught:
        parse_hosts(text)
    assert said in str(caught.value) and "unset it" in str(caught.value)


@pytest.mark.parametrize("app", ["fusion", "single_image", "blind_sr"])
def test_a_trainer_says_so_and_does_nothing(
    app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_hosts: None
) -> None:
    monkeypatch.setenv("TF_CONFIG", told(index=7))
    ended = call_app(f"trainers.{app}", f"--run_dir={tmp_path / 'run'}")
    assert ended.code == 2 and ended.last_error.startswith("error: TF_CONFIG: expected a task")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("augment", [True, False])
def test_shares_are_the_whole_batch_each_patch_once(augment: bool) -> None:
    source = PatchSource([waves(i).cube for i in range(2)], PatchPlan(5, 12, augment=augment, seed=4))
    whole = list(source.dataset(3, 5))
    for hosts, devices in ((2, 1), (2, 3), (3, 2)):
        total = hosts * devices
        shares = [source.dataset(3, 5, Share(host * devices, devices, total)) for host in range(hosts)]
        assert shares[0].element_spec[0].shape == (12 // total, 5, 5, 6)
        parts = [list(share) for share in shares]
        for step, (patches, scenes) in enumerate(whole):
            mine = [part for own in parts for part in own[step * devices : (step + 1) * devices]]
            np.testing.assert_array_equal(np.concatenate([part[0] for part in mine]), patches)
            np.testing.assert_array_equal(np.concatenate([part[1] for part in mine]), scenes)


def test_a_batch_that_cannot_be_shared_equally_is_refused() -> None:
    three = SimpleNamespace(num_replicas_in_sync=3)
    assert shares_of(three, 6) == 3  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size: expected a multiple of 3, the devices of all hosts"):
        shares_of(three, 8)  # type: ignore[arg-type]


@pytest.mark.parametrize("index", [0, 1])
def test_the_first_host_alone_leaves_anything(
    index: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_CONFIG", told(index))
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    plan = tiny_plan(tmp_path / "run")
    run = Run(plan, model, make_optimizer(plan))
    scores = run.loop(iter([()] * 6), lambda: 1.0, lambda: Validation({"psnr": 30.0}))
    said = capsys.readouterr()
    assert scores == {"psnr": 30.0} and int(run.step.numpy()) == 6
    assert (tmp_path / "run").exists() == ("6/6" in said.err) == ("step 6" in said.out) == (index == 0)


def test_a_host_that_is_gone_is_one_line_with_the_way_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", told())
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    plan = tiny_plan(tmp_path)
    run, calls = Run(plan, model, make_optimizer(plan)), iter(range(9))

    def step() -> float:
        if next(calls) == 3:
            raise tf.errors.UnavailableError(None, None, "graph error\n at x: aborted by: worker 1\n is gone")
        return 1.0

    said = r"^TF_CONFIG: another host is gone at step 4 \(worker 1 is gone\).*checkpoint of step 2$"
    with pytest.raises(ConnectionError, match=said):
        run.loop(iter([()] * 6), step, lambda: Validation({}))


def start_all(folder: Path, ports: list[int], *flags: str) -> list[subprocess.Popen[str]]:
    """`trainers.fusion` at two hosts of loopback, each with a folder of its own."""
    workers = [f"127.0.0.1:{port}" for port in ports]
    started = []
    for index in range(len(ports)):
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_CONFIG": told(index, worker=workers)}
        command = [
            sys.executable,
            "-m",
            "trainers.fusion",
            *FLAGS,
            *flags,
            f"--run_dir={folder / str(index)}",
        ]
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=pipe, stderr=pipe)
        )
    return started


def free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def agree(found: Path, expected: Path) -> None:
    """The stored weights of two runs are the same but for the order of sums."""
    ours, theirs = stored_weights(found), stored_weights(expected)
    assert ours.keys() == theirs.keys() and len(theirs) > 10
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, atol=1e-6, err_msg=name)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hosts_end_as_one_with_the_whole_batch_also_after_one_has_died(
    tmp_path: Path, scene_folder: Path, start
) -> None:
    flags = (f"--data_dir={scene_folder}", "--num_steps=200", "--checkpoint_every=10")
    alone = start("trainers.fusion", *FLAGS, *flags, f"--run_dir={tmp_path / 'alone'}")
    _, errors = alone.communicate(timeout=280)
    assert alone.returncode == 0, errors
    chief, other = start_all(tmp_path, free_ports(2), *flags)
    wait_for(tmp_path / "0" / "checkpoints" / "checkpoint", chief, 280)
    other.kill()
    other.communicate()
    _, errors = chief.communicate(timeout=280)
    assert chief.returncode == 2, errors
    assert errors.strip().splitlines()[-1].startswith("error: TF_CONFIG: another host is gone at step ")
    assert "goes on from the checkpoint of step " in errors and not (tmp_path / "0" / "model").exists()
    for process in (both := start_all(tmp_path, free_ports(2), *flags)):
        output, errors = process.communicate(timeout=280)
        assert process.returncode == 0, errors
        assert ("trained model: " in output) == (process is both[0])
    assert "0/200" not in errors and not (tmp_path / "1").exists()
    record = json.loads((tmp_path / "0" / "model" / "model.json").read_text())["record"]
    assert record["first_step"] >= 10
    agree(tmp_path / "0" / "model", tmp_path / "alone" / "model")
