"""One version of a model in memory: functions, metadata, warm-up and number of users."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, prediction_log_pb2

from hsr_tf import checks
from hsr_tf.networks.model_info import DEFAULT, METADATA_FILE, ModelInfo
from serving.refusal import Refusal
from serving.requests import Signature, read_inputs
from serving.tensors import Limits
from serving.tiles import Tiles, tiles_of

LOGGER = logging.getLogger("serving")
GRAPH_FILE, TAG = "saved_model.pb", "serve"
WARM_UP_FILE = Path("assets.extra", "tf_serving_warmup_requests")
MOST_WARM_UPS, MOST_CHARACTERS = 1000, 500
UNKNOWN_BYTES_PER_VALUE = 2000.0
# What TensorFlow wraps the message of an operation in.
_WRAPPING = re.compile(
    r"^(Graph execution error:|Detected at node.*|<stack traces unavailable>|File \".*|\d+ root error.*)?$"
)
_DECORATION = re.compile(r"^\(\d+\)\s*[A-Za-z_ ]+:\s*|\s*\[\[\{\{node.*|\s*\[Op:.*")


class Endpoint:
    """One function of a loaded version.

    Args:
        model: name of the model.
        signature: what it takes and gives.
        function: takes and gives tensors by name.
        bytes_per_value: memory that it takes for each value of its largest input.
    """

    def __init__(
        self,
        model: str,
        signature: Signature,
        function: Callable[..., Mapping[str, Any]],
        *,
        bytes_per_value: float = UNKNOWN_BYTES_PER_VALUE,
    ) -> None:
        self.model, self.signature, self.bytes_per_value = model, signature, bytes_per_value
        self.tiles: Tiles | None = None
        self.siblings: Mapping[str, Endpoint] = {}
        self._function = function

    def sibling(self, signature: str) -> Endpoint:
        """Another function of the same model."""
        return self.siblings[signature]

    @property
    def is_batchable(self) -> bool:
        """As `Signature.is_batchable`."""
        return self.signature.is_batchable

    def compute(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name.

        Raises:
            Refusal: INVALID_ARGUMENT with the message of the operation that refused an input,
                RESOURCE_EXHAUSTED without memory, INTERNAL for the rest, whose reason is in the log only.
        """
        try:
            outputs = self._function(**{name: tf.constant(array) for name, array in inputs.items()})
            return {name: _as_array(tensor.numpy()) for name, tensor in outputs.items()}
        except tf.errors.InvalidArgumentError as error:
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, first_line(error.message)) from error
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            LOGGER.warning("%s %s: out of memory", self.model, self.signature.name)
            said = "not enough memory for this request; send smaller tiles"
            raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, said) from error
        except Exception as error:
            LOGGER.exception("%s %s failed", self.model, self.signature.name)
            raise Refusal(grpc.StatusCode.INTERNAL, "the model failed; the server's log says why") from error


def _as_array(value: Any) -> np.ndarray:
    """An array; a scalar string comes as bytes, which NumPy would strip of its last zeros."""
    return np.array(value, np.object_) if isinstance(value, bytes) else np.asarray(value)


def first_line(message: str) -> str:
    """The message of an operation without TensorFlow's wrapping, at most `MOST_CHARACTERS` characters."""
    lines = [line.strip() for line in message.splitlines()]
    said = (_DECORATION.sub("", line) for line in lines if not _WRAPPING.match(line))
    return next((line for line in said if line), "the model refused the request")[:MOST_CHARACTERS]


class Users:
    """Counts the requests that use something."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.number = 0

    def add(self, change: int) -> None:
        """One more, or one less."""
        with self._lock:
            self.number += change


class LoadedVersion:
    """A version folder, loaded.

    Args:
        name: of the model.
        version: its number.
        folder: a SavedModel.

    Raises:
        ValueError: when the folder holds no graph with the tag "serve".
        Exception: what TensorFlow raises for a damaged SavedModel.
    """

    def __init__(self, name: str, version: int, folder: Path) -> None:
        self.name, self.version, self.folder = name, version, folder
        self.metadata = read_metadata(folder)
        info = read_info(folder)
        bytes_per_value = (info and info.bytes_per_value) or UNKNOWN_BYTES_PER_VALUE
        # The functions hold their variables weakly: the object stays referenced.
        self._kept = tf.saved_model.load(str(folder), tags=[TAG])
        self.endpoints = {
            key: Endpoint(
                name,
                Signature.of(key, self.metadata.signature_def[key]),
                function,
                bytes_per_value=bytes_per_value,
            )
            for key, function in self._kept.signatures.items()
        }
        for endpoint in self.endpoints.values():
            endpoint.siblings = self.endpoints
        if DEFAULT in self.endpoints:
            self.endpoints[DEFAULT].tiles = tiles_of(info)
        self.users = Users()

    def endpoint(self, signature_name: str) -> Endpoint:
        """The function of this name, `serving_default` for "".

        Raises:
            ValueError: for an unknown name; the message lists the known ones.
        """
        wanted = signature_name or DEFAULT
        checks.require_choice("signature_name", wanted[:MOST_CHARACTERS], self.endpoints)
        return self.endpoints[wanted]

    def warm_up(self, limits: Limits) -> int:
        """Run the warm-up requests of the folder, so that the first client waits no longer than others.

        Returns:
            how many there were.

        Raises:
            ValueError: for more than `MOST_WARM_UPS` records, or a request that does not fit.
            Refusal, tf.errors.OpError: when one fails or the file is damaged.
        """
        number = 0
        for number, request in enumerate(_warm_up_requests(self.folder / WARM_UP_FILE), start=1):
            checks.require(
                number <= MOST_WARM_UPS,
                str(WARM_UP_FILE),
                expected=f"at most {MOST_WARM_UPS} records",
                received="more",
                remedy="keep those that differ in shape",
            )
            endpoint = self.endpoint(request.model_spec.signature_name)
            own = limits.of_model(endpoint.bytes_per_value)
            endpoint.compute(read_inputs(endpoint.signature, request.inputs, own))
        return number


def _warm_up_requests(path: Path) -> Iterator[Any]:
    """The PredictRequests of a TFRecord of PredictionLogs; none where there is no file."""
    if not path.is_file():
        return
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        checks.require(
            log.WhichOneof("log_type") == "predict_log",
            str(WARM_UP_FILE),
            expected="logs of Predict",
            received=str(log.WhichOneof("log_type")),
            remedy="leave the others out",
        )
        yield log.predict_log.request


def read_info(folder: Path) -> ModelInfo | None:
    """What `export.saved_model` recorded beside a model; None, with a line in the log, where that is damaged.

    None also for models of other programs.
    """
    if not (folder / METADATA_FILE).is_file():
        return None
    try:
        return ModelInfo.read(folder)
    except OSError as error:
        LOGGER.warning("%s; it is served without tiles", error)
        return None


def read_metadata(folder: Path) -> Any:
    """The SignatureDefMap of a version folder, from the graph with the tag "serve".

    Raises:
        ValueError: when there is no such graph, or the file is no SavedModel.
        OSError: when it cannot be read.
    """
    path = folder / GRAPH_FILE
    try:
        graphs = saved_model_pb2.SavedModel.FromString(path.read_bytes()).meta_graphs
    except Exception as error:
        if isinstance(error, OSError):
            raise
        raise checks.file_error(path, "is no SavedModel", "export the version again") from error
    found = [graph for graph in graphs if list(graph.meta_info_def.tags) == [TAG]]
    checks.require(
        len(found) == 1,
        str(path),
        expected=f'one graph with the tag "{TAG}"',
        received=str(len(found)),
        remedy="export the version again",
    )
    answer = get_model_metadata_pb2.SignatureDefMap()
    for name, definition in found[0].signature_def.items():
        answer.signature_def[name].CopyFrom(definition)
    return answer


def load_version(name: str, version: int, folder: Path, limits: Limits) -> LoadedVersion:
    """Load and warm up; errors as `LoadedVersion` and its `warm_up`."""
    loaded = LoadedVersion(name, version, folder)
    num_warm_ups = loaded.warm_up(limits)
    LOGGER.info("loaded %s version %d, %d requests to warm up", name, version, num_warm_ups)
    default = loaded.endpoints.get(DEFAULT)
    if default is not None:
        most = limits.of_model(default.bytes_per_value).pixels
        LOGGER.info("%s version %d takes inputs of at most %d values (--max_pixels)", name, version, most)
    return loaded
