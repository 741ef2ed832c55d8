"""A running server answers as TensorFlow Serving does: right, each its own, and with the right refusals."""

from __future__ import annotations

import json
import logging
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import socket
from typing import Any

import grpc
import numpy as np
import ovmsclient
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    prediction_log_pb2,
)

from serving import client as patient
from serving.batching import QueuePlan
from serving.catalog import State
from serving.loaded import Endpoint, LoadedVersion, load_version
from serving.server import ModelServer, ServerPlan
from serving.tensors import Limits
from tests.serving.serving_for_tests import (
    PATIENCE,
    POLL_SECONDS,
    Client,
    Held,
    ask,
    code_of,
    doubled,
    eventually,
    held,
    put_model,
    sample,
    serving,
)

__all__ = ["held"]
Code = grpc.StatusCode


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the first version of the toy."""
    put_model(tmp_path, 1)
    return tmp_path


def test_an_independent_client_gets_answers_metadata_and_status(root: Path) -> None:
    with serving(root) as (server, _):
        client = ovmsclient.make_grpc_client(f"127.0.0.1:{server.port}")
        x = sample(0, rows=2)
        answer = client.predict({"x": x}, "toy")
        np.testing.assert_allclose(answer["y"], doubled(x), rtol=1e-6)
        assert answer["version"].tolist() == [1, 1]
        metadata = client.get_model_metadata("toy")
        assert metadata["model_version"] == 1
        assert metadata["inputs"]["x"]["shape"] == [-1, -1, 3]
        assert client.get_model_status("toy")[1]["state"] == "AVAILABLE"


def test_requests_are_answered_by_signature_version_and_filter(root: Path) -> None:
    with serving(root) as (_, client):
        assert client.predict(ask(signature="echo", text=b"a\0\0"))["text"] == b"<a\0\0>"
        request = ask(version=1, x=sample(1))
        request.output_filter.append("version")
        answer = client.prediction.Predict(request, PATIENCE)
        assert list(answer.outputs) == ["version"]
        assert (answer.model_spec.name, answer.model_spec.version.value) == ("toy", 1)
        assert answer.model_spec.signature_name == "serving_default"
        wanted = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        wanted.model_spec.name = "toy"
        packed = client.prediction.GetModelMetadata(wanted, PATIENCE).metadata["signature_def"]
        signatures = get_model_metadata_pb2.SignatureDefMap()
        assert packed.Unpack(signatures) and {"serving_default", "echo"} <= set(signatures.signature_def)


def bad_requests() -> dict[str, tuple[predict_pb2.PredictRequest, Code]]:
    filtered, labelled = ask(x=sample(0)), ask(x=sample(0))
    filtered.output_filter.append("z")
    labelled.model_spec.version_label = "stable"
    claim = ask(x=sample(0))
    claim.inputs["x"].tensor_content = b""
    claim.inputs["x"].float_val.append(1.0)
    claim.inputs["x"].tensor_shape.dim[1].size = 2**26
    nan = sample(0)
    nan[0, 0, 0] = np.nan
    return {
        "there is: toy": (ask("other", x=sample(0)), Code.NOT_FOUND),
        "no version 7": (ask(version=7, x=sample(0)), Code.NOT_FOUND),
        "no label 'stable'": (labelled, Code.NOT_FOUND),
        "one of echo, serving_default, slow": (ask(signature="slower", x=sample(0)), Code.INVALID_ARGUMENT),
        "some of version, y": (filtered, Code.INVALID_ARGUMENT),
        "no x, unknown 'z'": (ask(z=sample(0)), Code.INVALID_ARGUMENT),
        "got float64": (ask(x=sample(0).astype("f8")), Code.INVALID_ARGUMENT),
        "got float32 (1, 4, 2)": (ask(x=sample(0)[..., :2]), Code.INVALID_ARGUMENT),
        "1 NaN": (ask(x=nan), Code.INVALID_ARGUMENT),
        "67108864": (claim, Code.INVALID_ARGUMENT),
        "x: expected less than 1000": (ask(x=sample(0) + 2000), Code.INVALID_ARGUMENT),
    }


def test_refusals_say_what_is_wrong(root: Path) -> None:
    with serving(root) as (_, client):
        for said, (request, code) in bad_requests().items():
            with pytest.raises(grpc.RpcError) as caught:
                client.predict(request)
            assert caught.value.code() == code, said
            assert said in caught.value.details()
            assert "/" not in caught.value.details().replace("INVALID_ARGUMENT", "")
        multi = inference_pb2.MultiInferenceRequest()
        assert code_of(lambda: client.prediction.MultiInference(multi, PATIENCE)) == Code.UNIMPLEMENTED
        assert client.predict(ask(x=sample(3)))["version"] == 1


def test_messages_above_the_limit_are_refused_both_ways(root: Path) -> None:
    with serving(root, limits=Limits(message_bytes=4096)) as (_, client):
        assert code_of(lambda: client.predict(ask(x=sample(0, 2, 200)))) == Code.RESOURCE_EXHAUSTED
        long = ask(x=sample(0, rows=300, width=1))
        with pytest.raises(grpc.RpcError, match="smaller tiles"):
            client.predict(long)


def test_32_threads_get_their_own_answers(root: Path) -> None:
    with serving(root, queue=QueuePlan(num_workers=2)) as (server, client), ThreadPoolExecutor(32) as pool:

        def one(seed: int) -> float:
            x = sample(seed, rows=seed % 3 + 1, width=seed % 2 + 3)
            return float(np.abs(client.predict(ask(x=x))["y"] - doubled(x)).max())

        assert max(pool.map(one, range(320))) < 1e-4
        count = server.telemetry.registry.get_sample_value
        names = {"model": "toy", "method": "Predict", "signature": "serving_default"}
        assert count("hsr_requests_total", {**names, "code": "OK"}) == 320
        assert count("hsr_batch_samples_sum", {"model": "toy"}) == sum(seed % 3 + 1 for seed in range(320))
        assert (count("hsr_batch_samples_count", {"model": "toy"}) or 0) <= 320


def test_a_full_queue_refuses_and_all_that_was_admitted_is_answered(root: Path, held: Held) -> None:
    with serving(root, queue=QueuePlan(max_queue=4, max_batch=1)) as (server, client):
        stub = client.prediction.Predict
        first = stub.future(ask(x=sample(0)), PATIENCE)
        eventually(lambda: len(held.begun) == 1)
        waiting = [stub.future(ask(x=sample(seed)), PATIENCE) for seed in range(1, 5)]
        eventually(lambda: server.scheduler.num_waiting == 4)
        assert code_of(lambda: client.predict(ask(x=sample(9)))) == Code.RESOURCE_EXHAUSTED
        held.go.set()
        for seed, call in enumerate([first, *waiting]):
            answer = tf.make_ndarray(call.result().outputs["y"])
            np.testing.assert_allclose(answer, doubled(sample(seed)), rtol=1e-6)


def test_cancelled_and_expired_requests_are_not_computed(root: Path, held: Held) -> None:
    with serving(root, queue=QueuePlan(max_batch=1)) as (server, client):
        stub = client.prediction.Predict
        first = stub.future(ask(x=sample(0)), PATIENCE)
        eventually(lambda: len(held.begun) == 1)
        cancelled = stub.future(ask(x=sample(1)), PATIENCE)
        eventually(lambda: server.scheduler.num_waiting == 1)
        cancelled.cancel()
        eventually(lambda: server.scheduler.num_waiting == 0)
        assert code_of(lambda: client.predict(ask(x=sample(2)), timeout=0.2)) == Code.DEADLINE_EXCEEDED
        eventually(lambda: server.scheduler.num_waiting == 0)
        held.go.set()
        first.result()
        client.predict(ask(x=sample(3)))
    assert [inputs["x"][0, 0, 0] for inputs in held.begun] == [sample(0)[0, 0, 0], sample(3)[0, 0, 0]]


def test_a_new_version_takes_over_under_load_without_a_lost_request(root: Path) -> None:
    with serving(root) as (_, client), ThreadPoolExecutor(4) as pool:
        answers: list[float] = []

        def ask_until_it_is_new(seed: int) -> bool:
            while not answers or max(answers[-20:]) < 2:
                x = sample(seed)
                found = client.predict(ask(x=x))
                np.testing.assert_allclose(found["y"], doubled(x), rtol=1e-6)
                answers.append(float(found["version"][0]))
            return True

        asking = [pool.submit(ask_until_it_is_new, seed) for seed in range(4)]
        eventually(lambda: len(answers) > 20)
        put_model(root, 2)
        assert all(future.result(PATIENCE) for future in asking)
        assert set(answers) == {1.0, 2.0}
        eventually(lambda: client.states()[1].state == State.END)
        assert code_of(lambda: client.predict(ask(version=1, x=sample(0)))) == Code.NOT_FOUND


def test_the_status_of_one_version_is_told(root: Path) -> None:
    put_model(root, 2)
    with serving(root) as (_, client):
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name, request.model_spec.version.value = "toy", 2
        (told,) = client.models.GetModelStatus(request, PATIENCE).model_version_status
        assert (told.version, told.state) == (2, State.AVAILABLE)
        request.model_spec.version.value = 7
        assert code_of(lambda: client.models.GetModelStatus(request, PATIENCE)) == Code.NOT_FOUND


def test_a_broken_version_is_told_and_the_old_one_answers(root: Path) -> None:
    with serving(root) as (server, client):
        folder = root / "toy" / "2"
        folder.mkdir()
        (folder / "saved_model.pb").write_bytes(b"no graph")
        eventually(lambda: 2 in client.states() and client.states()[2].state == State.END)
        assert "SavedModel" in client.states()[2].status.error_message
        assert client.predict(ask(x=sample(0)))["version"] == 1
        assert server.telemetry.registry.get_sample_value("hsr_load_failures_total", {"model": "toy"}) == 1


def reload(client: Client, *models: dict[str, Any]) -> Any:
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.SetInParent()
    for model in models:
        entry = request.config.model_config_list.config.add(
            name=model["name"], base_path=model.get("path", "")
        )
        if "versions" in model:
            entry.model_version_policy.specific.versions.extend(model["versions"])
        entry.version_labels.update(model.get("labels", {}))
    return client.models.HandleReloadConfigRequest(request, PATIENCE).status


def test_models_versions_and_labels_are_chosen_while_it_runs(root: Path) -> None:
    put_model(root, 2)
    put_model(root, 1, name="other")
    with serving(root) as (_, client):
        assert client.predict(ask(x=sample(0)))["version"] == 2
        for bad in (
            [{"name": "toy", "path": "other", "versions": [1]}],
            [{"name": "toy", "path": "/etc", "versions": [1]}],
            [{"name": "toy", "path": "../..", "versions": [1]}],
            [{"name": "toy", "versions": [3]}],
            [{"name": "toy", "versions": [1], "labels": {"stable": 2}}],
            [{"name": "toy", "labels": {"stable": 1}}],  # the latest alone is served
            [{"name": "toy", "versions": [1]}] * 2,
            [{"name": "", "path": "toy", "versions": [1]}],
            [{"name": "absent", "versions": [1]}],
        ):
            assert reload(client, *bad).error_code == 3, bad
            assert client.predict(ask(x=sample(0)))["version"] == 2
        labels = {"stable": 1, "canary": 2}
        twin = {"name": "twin", "path": "toy", "versions": [1, 2], "labels": labels}
        assert reload(client, twin).error_code == 0
        for label, version in labels.items():
            request = ask("twin", x=sample(0))
            request.model_spec.version_label = label
            assert client.predict(request)["version"] == version
        assert code_of(lambda: client.predict(ask(x=sample(0)))) == Code.NOT_FOUND


def test_requests_in_the_folder_warm_a_version_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, compute = [], Endpoint.compute
    monkeypatch.setattr(Endpoint, "compute", lambda self, x: (begun.append(x), compute(self, x))[1])
    folder = root / "toy" / "1" / "assets.extra"
    folder.mkdir()
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(ask(x=sample(5)))
    with tf.io.TFRecordWriter(str(folder / "tf_serving_warmup_requests")) as file:
        for _ in range(2):
            file.write(log.SerializeToString())
    with serving(root):
        assert [inputs["x"][0, 0, 0] for inputs in begun] == [sample(5)[0, 0, 0]] * 2


def test_health_counts_and_log_lines_tell_what_happens(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    caplog.set_level(logging.INFO, logger="serving.requests")
    with serving(root, metrics_port=port) as (_, client):
        assert client.is_healthy() and client.is_healthy("tensorflow.serving.PredictionService")
        unknown = health_pb2.HealthCheckRequest(service="none")
        assert code_of(lambda: client.health.Check(unknown, PATIENCE)) == Code.NOT_FOUND
        client.predict(ask(x=sample(0)))
        code_of(lambda: client.predict(ask("made up", x=sample(0))))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
            text = page.read().decode()
        names = 'method="Predict",model="toy",signature="serving_default"'
        assert f'hsr_requests_total{{code="OK",{names}}} 1.0' in text
        assert f"hsr_request_seconds_count{{{names}}} 1.0" in text
        assert 'hsr_loaded_versions{model="toy"} 1.0' in text and "hsr_queue_requests 0.0" in text
        assert 'code="NOT_FOUND"' in text and "made up" not in text
    assert "toy version=1 signature=serving_default inputs=x(1, 4, 3)" in caplog.text
    assert json.dumps(float(sample(0)[0, 0, 0]))[:6] not in caplog.text


def test_a_server_without_models_waits_for_some(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, client):
        assert code_of(lambda: client.predict(ask(x=sample(0)))) == Code.NOT_FOUND
        put_model(tmp_path, 1)
        eventually(lambda: _answers(client))


def _answers(client: Client) -> bool:
    try:
        return bool(client.predict(ask(x=sample(0)))["version"] == 1)
    except grpc.RpcError as error:
        assert error.code() in (Code.NOT_FOUND, Code.UNAVAILABLE)
        return False


def test_draining_refuses_new_requests_and_answers_those_in_flight(root: Path, held: Held) -> None:
    with serving(root) as (server, client), ThreadPoolExecutor(1) as pool:
        watch = client.health.Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        first = client.prediction.Predict.future(ask(x=sample(0)), PATIENCE)
        eventually(lambda: len(held.begun) == 1)
        stopping = pool.submit(server.stop, PATIENCE)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert not client.is_healthy()
        eventually(lambda: code_of(lambda: client.predict(ask(x=sample(1)))) == Code.UNAVAILABLE)
        held.go.set()
        np.testing.assert_allclose(
            tf.make_ndarray(first.result().outputs["y"]), doubled(sample(0)), rtol=1e-6
        )
        assert stopping.result(PATIENCE)


def test_what_is_not_done_when_draining_ends_is_cut_off(root: Path, held: Held) -> None:
    with serving(root, queue=QueuePlan(max_batch=1)) as (server, client):
        stub = client.prediction.Predict
        computed = stub.future(ask(x=sample(0)), PATIENCE)
        eventually(lambda: len(held.begun) == 1)
        waiting = stub.future(ask(x=sample(1)), PATIENCE)
        eventually(lambda: server.scheduler.num_waiting == 1)
        assert not server.stop(0.2)
        for call in (computed, waiting):
            assert call.exception(PATIENCE).code() in (Code.UNAVAILABLE, Code.CANCELLED)
        held.go.set()
    assert len(held.begun) == 1


def test_a_model_that_still_loads_is_waited_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()

    def slowly(*what: Any, limits: Limits) -> LoadedVersion:
        begun.set()
        assert go.wait(PATIENCE)
        return load_version(*what, limits=limits)

    monkeypatch.setattr("serving.server.load_version", slowly)
    server = ModelServer(ServerPlan(root, port=0, poll_seconds=POLL_SECONDS)).start()
    address = f"127.0.0.1:{server.port}"
    with ThreadPoolExecutor(1) as pool, patient.Client(address, model="toy") as client:
        assert begun.wait(PATIENCE)
        raw = Client.at(server.port)
        for request in (ask(x=sample(0)), ask(version=1, x=sample(0))):
            with pytest.raises(grpc.RpcError, match="still loading; ask again") as caught:
                raw.predict(request)
            assert caught.value.code() == Code.UNAVAILABLE
        assert code_of(lambda: raw.predict(ask("other", x=sample(0)))) == Code.NOT_FOUND
        assert [one.state for one in client.status()] == ["LOADING"]
        asked = pool.submit(client.predict, {"x": sample(0)})
        go.set()
        np.testing.assert_allclose(asked.result(PATIENCE)["y"], doubled(sample(0)), rtol=1e-6)
    raw.channel.close()
    server.stop(0.0)
