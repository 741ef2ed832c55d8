"""Beside an exported model stand requests as TensorFlow Serving reads them, and the model answers them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from export.warm_up import FILE, write_warm_up
from tests.exports_for_tests import Exports

EXPECTED = {
    "vdsr": {"serving_default": {"lr_image": (1, 32, 32, 1)}, "picture": {"image_bytes": (), "scale": ()}},
    "srmdnf": {"serving_default": {"lr_image": (1, 32, 32, 1), "kernel": (1, 21, 21)}},
    "ssf_resnet": {
        "serving_default": {"lr_hsi": (1, 16, 16, 5), "hr_msi": (1, 64, 64, 3)},
        "fit": {"lr_hsi": (1, 16, 16, 5), "hr_msi": (1, 64, 64, 3)},
        "fuse_part": {
            "lr_hsi": (1, 16, 16, 5),
            "hr_msi": (1, 64, 64, 3),
            "spectral_map": (1, 10, 5),
            "trust": (1, 1, 1, 1),
        },
    },
}


def requests_of(folder: Path) -> list[Any]:
    """What the file holds."""
    from tensorflow_serving.apis import prediction_log_pb2

    records = tf.data.TFRecordDataset(str(folder / "assets.extra" / FILE)).as_numpy_iterator()
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    assert {log.WhichOneof("log_type") for log in logs} == {"predict_log"}
    return [log.predict_log.request for log in logs]


@pytest.mark.parametrize("method", EXPECTED)
def test_the_requests_are_answered(method: str, exports: Exports) -> None:
    pytest.importorskip("tensorflow_serving")
    one = exports.get(method, "spectral_ls" if method == "ssf_resnet" else "none")
    signatures, found = one.signatures, {}
    for request in requests_of(one.folder):
        assert request.model_spec.name == method
        name = request.model_spec.signature_name
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        found[name] = {key: value.shape for key, value in inputs.items()}
        tensors = {key: tf.constant(v.item() if v.dtype == object else v) for key, v in inputs.items()}
        estimate = signatures[name](**tensors).get("estimate", tf.zeros(()))
        assert np.isfinite(estimate).all()
    assert found == EXPECTED[method]


def test_without_the_messages_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.warns(
        UserWarning, match=r"tensorflow-serving-api is not installed; install hsr_tf\[serving\]"
    ):
        assert write_warm_up(tmp_path, "vdsr", [], scale=1) is None
