"""Warm-up requests: a server runs them when it loads a model, so that the first client does not wait.

TensorFlow Serving reads them from assets.extra/tf_serving_warmup_requests: a TFRecord of PredictionLog, here
one PredictRequest of a small size for each signature that takes inputs.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from export.signatures import Signature

FILE = "tf_serving_warmup_requests"
SIDE = 32


def write_warm_up(folder: Path, model: str, signatures: Sequence[Signature], *, scale: int) -> Path | None:
    """Write the requests into `folder`, assets.extra of an exported model.

    Args:
        folder: that exists.
        model: its name at the server.
        signatures: what it answers.
        scale: sharp pixels per coarse pixel, 1 where the size stays the same.

    Returns:
        The file; None where the messages are not installed, with a warning.
    """
    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError:
        problem = "no warm-up requests are written, as tensorflow-serving-api is not installed"
        warnings.warn(f"{problem}; install hsr_tf[serving]", stacklevel=2)
        return None
    with tf.io.TFRecordWriter(str(folder / FILE)) as file:
        for signature in (one for one in signatures if one.inputs):
            request = predict_pb2.PredictRequest()
            request.model_spec.name, request.model_spec.signature_name = model, signature.name
            for spec in signature.inputs:
                request.inputs[spec.name].CopyFrom(tf.make_tensor_proto(small_input(spec, scale)))
            log = prediction_log_pb2.PredictLog(request=request)
            file.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
    return folder / FILE


def small_input(spec: tf.TensorSpec, scale: int) -> Any:
    """A value that the input `spec` of a signature takes: an image of some contrast, or weights of sum 1."""
    if spec.name == "image_bytes":
        steps = np.arange(SIDE**2 * 3, dtype=np.uint32) * 7919 % 256
        return tf.io.encode_png(steps.reshape(SIDE, SIDE, 3).astype(np.uint8)).numpy()
    if spec.name == "scale":
        return np.float64(2.0)
    sides = {"lr_image": SIDE, "lr_hsi": SIDE // 2, "hr_msi": SIDE // 2 * scale}
    shape = [1 if length is None else length for length in spec.shape]
    if spec.name not in sides:
        return np.full(shape, 1 / np.prod(shape), np.float32)
    shape[1:3] = [sides[spec.name]] * 2
    steps = np.arange(np.prod(shape), dtype=np.int64) * 7919 % 251
    return (steps / np.float32(250)).reshape(shape).astype(np.float32)
