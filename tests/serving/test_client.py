"""The client: tiles are the whole, patience where it helps, one line where it does not, no framework."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

from hsr_tf.pictures.tiles import PictureModel, enlarge
from serving import connection
from serving.client import Client, VersionStatus
from serving.connection import Settings
from tests.pictures.test_tiles import model_of, smoothed
from tests.serving.fake_server import Arrays, FakeModel, metadata_of, serving

ROOT = Path(__file__).resolve().parents[2]
COLOUR = np.random.default_rng(4).integers(0, 256, (23, 31, 3)).astype(np.uint8)
BUSY = grpc.StatusCode.UNAVAILABLE, "going down"
FULL = grpc.StatusCode.RESOURCE_EXHAUSTED, "64 requests wait already; try again later"
TOO_MANY = grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!"
IMPORTED = """
import sys, time
import grpc, numpy
start = time.process_time()
import serving.client
print(f"{time.process_time() - start:.2f} s", file=sys.stderr)
with serving.client.Client(sys.argv[1], model="m") as client:
    print(client.upscale(numpy.zeros((9, 7, 3), numpy.uint8), 2).image.shape)
print({"keras", "tensorflow", "tensorflow_serving", "scipy"} & set(sys.modules))
"""


@contextmanager
def asking(model: FakeModel, **settings: Any) -> Iterator[Client]:
    """A client of a server that answers as the model does."""
    with serving(model) as address, Client(address, model="m", settings=Settings(**settings)) as client:
        yield client


def picture_server(**changes: Any) -> FakeModel:
    """A model that smooths pictures, with changed metadata."""
    return FakeModel(
        {
            "metadata": metadata_of(**changes),
            "serving_default": lambda inputs: {"estimate": smoothed(inputs["lr_image"])},
        }
    )


@pytest.mark.parametrize("num_in_flight", [1, 4])
def test_a_picture_is_enlarged_as_it_is_locally(num_in_flight: int) -> None:
    model = picture_server()
    expected = enlarge(COLOUR, 2.5, model=model_of(None, 1)).image
    with asking(model, tile=23, num_in_flight=num_in_flight) as client:
        found = client.upscale(COLOUR, 2.5)
    np.testing.assert_array_equal(found.image, expected)
    assert found.kernel is None
    assert model.calls == ["metadata"] + ["serving_default"] * 12


def test_a_factor_of_its_own_and_a_kernel_are_taken_over() -> None:
    def answer(inputs: Arrays) -> Arrays:
        image = inputs["lr_image"].repeat(2, 1).repeat(2, 2)
        return {"estimate": image, "kernel": np.full((1, 3, 3), 1 / 9, np.float32)}

    model = FakeModel({"metadata": metadata_of(scale=2, reach=None), "serving_default": answer})
    local = PictureModel(2, 1, None, lambda image: (image.repeat(2, 1).repeat(2, 2), None))
    with asking(model) as client:
        found = client.upscale(COLOUR, 3)
    np.testing.assert_array_equal(found.image, enlarge(COLOUR, 3, model=local).image)
    assert found.kernel is not None
    np.testing.assert_allclose(found.kernel, 1 / 9)


def test_a_picture_is_made_by_one_version_from_its_first_tile_to_its_last() -> None:
    tiles = []

    def answer(inputs: Arrays) -> Arrays:
        tiles.append(model.version)
        if len(tiles) == 3:
            model.version = 2
        return {"estimate": inputs["lr_image"] * np.float32(1 / model.version)}

    model = FakeModel({"metadata": metadata_of(reach=0), "serving_default": answer})
    with asking(model, tile=16, num_in_flight=1) as client:
        found = client.upscale(COLOUR, 2).image
        model.version = 2
        whole = client.upscale(COLOUR, 2).image
    np.testing.assert_array_equal(found, whole)
    assert tiles[:4] == [1, 1, 1, 2]
    assert model.calls.count("metadata") == 3


def test_a_version_that_was_named_is_not_exchanged() -> None:
    model = picture_server()
    with serving(model) as address, Client(address, model="m", version=1) as client:
        client.upscale(COLOUR, 2)
        model.version = 2
        with pytest.raises(ValueError, match="no version 1"):
            client.upscale(COLOUR, 2)


def test_status_and_metadata_are_told() -> None:
    model = picture_server()
    model.statuses = [(2, 30, ""), (3, 50, "damaged")]
    with asking(model) as client:
        assert client.status() == [VersionStatus(2, "AVAILABLE", ""), VersionStatus(3, "END", "damaged")]
        assert client.metadata()["method"] == "vdsr"
    assert model.calls == ["metadata"]


@pytest.mark.parametrize("failures", [[BUSY, BUSY], [FULL], [TOO_MANY]])
def test_it_asks_again_while_the_server_is_away_or_busy(failures: list[Any]) -> None:
    model = picture_server()
    model.failures = list(failures)
    with asking(model) as client:
        assert client.metadata()["kind"] == "image_network"
    assert len(model.calls) == 1 + len(failures)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, ValueError),
        (grpc.StatusCode.NOT_FOUND, ValueError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, OSError),
        (grpc.StatusCode.UNAUTHENTICATED, OSError),
        (grpc.StatusCode.INTERNAL, OSError),
    ],
)
def test_other_failures_are_told_at_once_in_one_line(code: grpc.StatusCode, kind: type[Exception]) -> None:
    model = picture_server()
    model.failures = [(code, "its\nreason")]
    with asking(model) as client, pytest.raises(kind) as caught:
        client.predict({})
    assert str(caught.value).endswith("its reason")
    assert "\n" not in str(caught.value)
    assert len(model.calls) == 1


def test_an_answer_that_takes_too_long_is_not_waited_for() -> None:
    model = FakeModel({"serving_default": lambda inputs: time.sleep(1) or {}})
    said = r"no answer in 0\.3 s; raise the deadline"
    with asking(model, deadline_seconds=0.3) as client, pytest.raises(OSError, match=said):
        client.predict({})


def test_a_server_that_is_not_there_is_told_when_patience_ends() -> None:
    start = time.monotonic()
    client = Client("127.0.0.1:1", model="m", settings=Settings(deadline_seconds=0.8))
    with client, pytest.raises(OSError, match=r"127\.0\.0\.1:1: (cannot be reached|no answer)"):
        client.status()
    assert time.monotonic() - start < 5


def test_messages_over_the_limit_are_told_with_a_way_out() -> None:
    said = "max_message_mib: expected messages of at most 1 MiB"
    with asking(picture_server(), max_message_mib=1) as client, pytest.raises(ValueError, match=said):
        client.predict({"lr_image": np.zeros((1, 600, 600, 1), np.float32)})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda inputs: {"estimate": inputs["lr_image"][:, 1:]}, "estimate: expected the shape"),
        (lambda inputs: {"estimate": inputs["lr_image"] * np.nan}, "estimate: expected finite values"),
        (lambda inputs: {"other": inputs["lr_image"]}, "estimate: expected an answer"),
    ],
)
def test_wrong_answers_are_refused(answer: Any, said: str) -> None:
    model = FakeModel({"metadata": metadata_of(), "serving_default": answer})
    with asking(model) as client, pytest.raises(ValueError, match=said):
        client.upscale(COLOUR, 2)


def test_what_a_model_cannot_do_is_not_asked_of_it() -> None:
    told = {"serving_default": ["lr_image", "kernel"]}
    for changes, said in (
        (
            {"kind": "network", "scale": 4, "num_bands": 31},
            "expected one that enlarges pictures, got m, which fuses scenes",
        ),
        (
            {"signatures": told},
            "expected one that needs nothing but the picture, got m, which takes lr_image, k",
        ),
        ({"kind": "other"}, "expected one that python -m export.saved_model wrote"),
    ):
        model = picture_server(**changes)
        with asking(model) as client, pytest.raises(ValueError, match=said):
            client.upscale(COLOUR, 2)
        assert model.calls == ["metadata"]
    said = "expected one that fuses scenes, got m, which enlarges pictures"
    with asking(picture_server()) as client, pytest.raises(ValueError, match=said):
        client.fuse(np.zeros((2, 2, 3)), np.zeros((4, 4, 3)))


def test_a_token_is_shown_but_never_over_a_plain_connection_to_others() -> None:
    model = picture_server()
    with asking(model, token="secret") as client:
        client.metadata()
    assert model.tokens == ["Bearer secret"]
    for other in ("10.0.0.1:8500", "localhost.example:8500", "127.example:8500", "dns:127.0.0.1.example:1"):
        with pytest.raises(ValueError, match="token: expected an encrypted connection"):
            Client(other, model="m", settings=Settings(token="secret"))
    for own in ("localhost:1", "127.0.0.9:1", "[::1]:1", "ipv4:127.0.0.1:1", "unix:/tmp/x"):
        Client(own, model="m", settings=Settings(token="secret")).close()
    with pytest.raises(ValueError, match="token: expected printable characters"):
        Settings(token="secret\n")


def test_settings_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    for wrong in ({"deadline_seconds": 0}, {"tile": -1}, {"num_in_flight": 0}, {"tls_key": "key.pem"}):
        with pytest.raises(ValueError, match="expected"):
            Settings(**wrong)
    with pytest.raises(OSError, match="cannot be read"):
        Client("localhost:1", model="m", settings=Settings(tls_ca=tmp_path / "no.pem"))


def test_an_encrypted_server_is_known_by_its_certificate(tmp_path: Path) -> None:
    pair = [tmp_path / "key.pem", tmp_path / "certificate.pem"]
    words = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    line = ["openssl", *words.split(), "-keyout", pair[0], "-out", pair[1]]
    subprocess.run(line, check=True, capture_output=True)
    key, certificate = (path.read_bytes() for path in pair)
    model = picture_server()
    with serving(model, grpc.ssl_server_credentials([(key, certificate)])) as address:
        settings = Settings(tls_ca=pair[1], token="secret")
        with Client(address, model="m", settings=settings) as client:
            assert client.metadata()["reach"] == 1
        plain = Client(address, model="m", settings=Settings(deadline_seconds=0.3))
        with plain, pytest.raises(OSError, match=r"cannot be reached|no answer"):
            plain.metadata()
    assert model.tokens == ["Bearer secret"]


def test_closing_ends_the_waiting() -> None:
    model = picture_server()
    model.failures = [BUSY] * 50
    with serving(model) as address:
        client = Client(address, model="m")
        client.close()
        with pytest.raises(OSError, match="closed; make a new client"):
            client.metadata()
    assert connection.FIRST_PAUSE_SECONDS < 1


def test_asking_loads_no_framework(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(picture_server()) as address:
        answer = subprocess.run(
            [sys.executable, "-c", IMPORTED, address], cwd=ROOT, capture_output=True, text=True, check=True
        )
    assert answer.stdout.split("\n")[:2] == ["(18, 14, 3)", "set()"]
    with capsys.disabled():
        print(f"\nimport serving.client: {answer.stderr.strip()} of CPU beyond grpc and numpy")


def command(address: str, **flags: object) -> list[str]:
    """The program with flags."""
    given = [f"--{name}={value}" for name, value in {"address": address, "model": "m", **flags}.items()]
    return [sys.executable, "-m", "serving.client", *given]


def test_the_program_writes_a_picture_and_refuses_to_write_over_it(tmp_path: Path) -> None:
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    Image.fromarray(COLOUR).save(source)
    with serving(picture_server()) as address:
        line = command(address, input=source, output=target, scale=2, tile=40)
        first = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
        again = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(f"wrote {target}  62 x 46 pixels  (m, ")
    expected = enlarge(COLOUR, 2, model=model_of(None, 1)).image
    np.testing.assert_array_equal(np.asarray(Image.open(target)), expected)
    assert (again.returncode, again.stderr.startswith(f"error: {target}: exists; add --overwrite")) == (
        2,
        True,
    )


def test_an_interrupted_program_writes_nothing(tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    Image.fromarray(COLOUR).save(source)
    model = FakeModel({"metadata": metadata_of(), "serving_default": lambda inputs: time.sleep(5) or {}})
    with serving(model) as address:
        line = command(address, input=source, output=tmp_path / "out.png", tile=20)
        with subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True) as program:
            while "serving_default" not in model.calls and program.poll() is None:
                time.sleep(0.02)
            os.kill(program.pid, signal.SIGINT)
            start = time.monotonic()
            _, said = program.communicate(timeout=60)
    assert program.returncode == 130
    assert "interrupted; nothing was written" in said
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]
    assert time.monotonic() - start < 30
