"""A loaded version tells what a model refused, and nothing that is its own business."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.loaded import WARM_UP_FILE, Endpoint, LoadedVersion, first_line, load_version, read_metadata
from serving.refusal import Refusal
from serving.requests import Signature, Slot
from serving.tensors import Limits
from tests.serving.serving_for_tests import ask, put_model, sample

Code = grpc.StatusCode
SECRET = "/home/somebody/secret.py"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (tf.errors.InvalidArgumentError(None, None, "too dark\nsecret"), Code.INVALID_ARGUMENT, "too dark"),
        (tf.errors.ResourceExhaustedError(None, None, SECRET), Code.RESOURCE_EXHAUSTED, "memory"),
        (MemoryError(SECRET), Code.RESOURCE_EXHAUSTED, "memory"),
        (tf.errors.InternalError(None, None, SECRET), Code.INTERNAL, "the model failed"),
        (RuntimeError(SECRET), Code.INTERNAL, "the model failed"),
    ],
)
def test_failures_have_their_code_and_no_secrets(error: Exception, code: Code, said: str) -> None:
    def failing(**_: Any) -> dict[str, Any]:
        raise error

    endpoint = Endpoint("toy", Signature("serving_default", {}, {}), failing)
    with pytest.raises(Refusal, match=said) as caught:
        endpoint.compute({"x": np.ones(1)})
    assert caught.value.code == code and "secret" not in str(caught.value)


def test_the_message_of_an_operation_is_found_in_what_is_around_it() -> None:
    wrapped = (
        "Graph execution error:\n\nDetected at node Decode defined at (most recent call last):\n"
        f'  File "{SECRET}", line 7, in f\n\n<stack traces unavailable>\n2 root error(s) found.\n'
        "  (0) INVALID_ARGUMENT:  assertion failed: [x: too dark] [7]\n\t [[{{node Assert}}]] [Op:__f_1]"
    )
    assert first_line(wrapped) == "assertion failed: [x: too dark] [7]"
    assert first_line("Matrix size-incompatible [[{{node m}}]] [Op:f]") == "Matrix size-incompatible"
    assert first_line("") == "the model refused the request"
    assert len(first_line("x" * 9999)) == 500


def test_signatures_are_read_and_only_those_with_samples_are_batched(tmp_path: Path) -> None:
    loaded = LoadedVersion("toy", 1, put_model(tmp_path, 1))
    signatures = {name: endpoint.signature for name, endpoint in loaded.endpoints.items()}
    assert str(signatures["serving_default"]) == "serving_default(x float32 (?, ?, 3))"
    assert str(signatures["echo"]) == "echo(text string ())"
    batchable = [name for name, endpoint in loaded.endpoints.items() if endpoint.is_batchable]
    assert batchable == ["serving_default"]
    fixed, free = Slot("y", 1, (3,)), Slot("x", 1, (-1, 3))
    assert not Signature("s", {"x": free}, {"y": fixed}).is_batchable
    assert not Signature("s", {"x": free}, {"y": Slot("y", 1, None)}).is_batchable
    with pytest.raises(ValueError, match="did you mean 'echo'"):
        loaded.endpoint("ecko")


def test_what_is_no_saved_model_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(OSError, match="is no SavedModel"):
        read_metadata(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ValueError, match='one graph with the tag "serve", got 0'):
        read_metadata(tmp_path)


def test_requests_to_warm_up_that_are_of_no_use_stop_the_load(tmp_path: Path) -> None:
    folder, log = put_model(tmp_path, 1), prediction_log_pb2.PredictionLog()
    (folder / WARM_UP_FILE).parent.mkdir()
    for wrong, said in ((ask(z=sample(0)), "unknown 'z'"), (None, "logs of Predict")):
        log.Clear()
        if wrong is not None:
            log.predict_log.request.CopyFrom(wrong)
        with tf.io.TFRecordWriter(str(folder / WARM_UP_FILE)) as file:
            file.write(log.SerializeToString())
        with pytest.raises(ValueError, match=said):
            load_version("toy", 1, folder, Limits())
    (folder / WARM_UP_FILE).write_bytes(b"damaged" * 9)
    with pytest.raises(tf.errors.DataLossError):
        load_version("toy", 1, folder, Limits())
