"""Small models, servers and clients for the tests of the model server."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.loaded import Endpoint
from serving.server import ModelServer, ServerPlan

POLL_SECONDS, PATIENCE = 0.05, 60.0
TOO_LARGE = 1000.0
Spec = tf.TensorSpec


class Toy(tf.Module):
    """y = 2 x + the sum of its own sample, and the version that answered."""

    def __init__(self, version: int) -> None:
        super().__init__()
        self.version = tf.Variable(float(version))

    @tf.function(input_signature=[Spec((None, None, 3), tf.float32, "x")])
    def double(self, x: Any) -> dict[str, Any]:
        small = tf.debugging.Assert(tf.reduce_all(x < TOO_LARGE), ["x: expected less than 1000"])
        with tf.control_dependencies([small]):
            y = 2.0 * x + tf.reduce_sum(x, axis=(1, 2), keepdims=True)
        return {"y": y, "version": tf.fill([tf.shape(x)[0]], self.version)}

    @tf.function(input_signature=[Spec((), tf.string, "text")])
    def echo(self, text: Any) -> dict[str, Any]:
        return {"text": tf.strings.join(["<", text, ">"])}

    @tf.function(input_signature=[Spec((), tf.float64, "seconds")])
    def slow(self, seconds: Any) -> dict[str, Any]:
        """Busy for so long."""
        end = tf.timestamp() + seconds
        turns = tf.while_loop(lambda turn: tf.timestamp() < end, lambda turn: [turn + 1], [tf.constant(0)])
        return {"seconds": seconds + 0.0 * tf.cast(turns[0], tf.float64)}


@lru_cache(maxsize=4)
def saved(version: int) -> Path:
    """A SavedModel of the toy, made once."""
    folder = Path(tempfile.mkdtemp(prefix="toy")) / str(version)
    atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)
    toy = Toy(version)
    tf.saved_model.save(
        toy, str(folder), signatures={"serving_default": toy.double, "echo": toy.echo, "slow": toy.slow}
    )
    return folder


def put_model(root: Path, version: int, name: str = "toy") -> Path:
    """A version folder that is there at once."""
    folder = root / name / str(version)
    draft = folder.with_name(f".draft{version}")
    shutil.copytree(saved(version), draft)
    draft.rename(folder)
    return folder


def doubled(x: np.ndarray) -> np.ndarray:
    """What the toy answers."""
    return 2.0 * x + x.sum(axis=(1, 2), keepdims=True)


def sample(seed: int, rows: int = 1, width: int = 4) -> np.ndarray:
    """An input of the toy unlike any other."""
    return np.random.default_rng(seed).uniform(0, 1, (rows, width, 3)).astype(np.float32)


def eventually(true: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@dataclass
class Client:
    """Stubs of the services at one address."""

    channel: grpc.Channel
    metadata: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    @classmethod
    def at(cls, port: int) -> Client:
        """A plain connection to this machine, one of its own."""
        return cls(grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]))

    def predict(self, request: Any, timeout: float = PATIENCE) -> dict[str, np.ndarray]:
        answer = self.prediction.Predict(request, timeout, metadata=self.metadata)
        return {name: tf.make_ndarray(proto) for name, proto in answer.outputs.items()}

    def states(self, name: str = "toy") -> dict[int, Any]:
        """Version -> its status."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        answer = self.models.GetModelStatus(request, PATIENCE, metadata=self.metadata)
        return {status.version: status for status in answer.model_version_status}

    def is_healthy(self, service: str = "") -> bool:
        answer = self.health.Check(health_pb2.HealthCheckRequest(service=service), PATIENCE)
        return answer.status == health_pb2.HealthCheckResponse.SERVING


def ask(name: str = "toy", signature: str = "", version: int | None = None, **inputs: Any) -> Any:
    """A PredictRequest, encoded by TensorFlow itself."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    if version is not None:
        request.model_spec.version.value = version
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


@contextmanager
def serving(root: Path, **plan: Any) -> Iterator[tuple[ModelServer, Client]]:
    """A server on a free port of this machine, once its models are loaded."""
    server = ModelServer(ServerPlan(root, port=0, poll_seconds=POLL_SECONDS, **plan)).start()
    client = Client.at(server.port)
    try:
        assert server.wait_until_loaded(PATIENCE)
        yield server, client
    finally:
        client.channel.close()
        server.stop(0.0)


def code_of(call: Callable[[], object]) -> grpc.StatusCode:
    """The status of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code()


@dataclass
class Held:
    """Computations that begin, and wait for `go`."""

    begun: list[dict[str, np.ndarray]] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    """Every computation of a model waits until the test lets it go."""
    state, compute = Held(), Endpoint.compute

    def waiting(self: Endpoint, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        state.begun.append(inputs)
        assert state.go.wait(PATIENCE)
        return compute(self, inputs)

    monkeypatch.setattr(Endpoint, "compute", waiting)
    yield state
    state.go.set()
