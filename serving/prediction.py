"""PredictionService: Predict and GetModelMetadata, as TensorFlow Serving answers them.

Classify, Regress and MultiInference take tf.Examples, which no exported model does: UNIMPLEMENTED.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from serving.batching import MOST_JOINED, Job, Scheduler
from serving.calls import Gate, answering
from serving.catalog import Catalog
from serving.loaded import LoadedVersion
from serving.refusal import Refusal, shortened
from serving.requests import read_inputs
from serving.telemetry import Call, Telemetry
from serving.tensors import Limits, write_array

INVALID = grpc.StatusCode.INVALID_ARGUMENT
SIGNATURE_DEF = "signature_def"


@dataclass(frozen=True, eq=False)
class Shared:
    """State that all services share."""

    catalog: Catalog
    scheduler: Scheduler
    telemetry: Telemetry
    limits: Limits
    gate: Gate


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The service.

    Args:
        shared: what it works with.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def Predict(self, request: Any, context: Any) -> Any:
        """Check the request, queue it, and encode the outputs."""
        call, shared = Call("Predict"), self._shared
        with answering(call, context, shared.telemetry):
            shared.gate.enter(context)
            spec = request.model_spec
            with shared.catalog.lease(spec.name, chosen_version(spec), spec.version_label) as loaded:
                call.model, call.version = loaded.name, loaded.version
                answer = self._predict(request, loaded, call=call, context=context)
        return answer

    def _predict(self, request: Any, loaded: LoadedVersion, *, call: Call, context: Any) -> Any:
        remaining = context.time_remaining()
        try:
            endpoint = loaded.endpoint(request.model_spec.signature_name)
            call.signature = endpoint.signature.name
            limits = self._shared.limits.of_model(endpoint.bytes_per_value)
            inputs = read_inputs(endpoint.signature, request.inputs, limits)
        except ValueError as error:
            raise Refusal(INVALID, str(error)) from error
        call.shapes = " ".join(f"{name}{array.shape}" for name, array in inputs.items())
        wanted = _wanted(list(endpoint.signature.outputs), list(request.output_filter))
        deadline = None if remaining is None else time.monotonic() + remaining
        joined = min(MOST_JOINED, limits.pixels)
        job = Job(endpoint, inputs, deadline, tiles=endpoint.tiles, max_values=joined)
        # The outputs; the job leaves the queue when its client goes.
        scheduler = self._shared.scheduler
        scheduler.put(job)
        if not context.add_callback(lambda: scheduler.drop(job)):
            scheduler.drop(job)
        outputs = job.wait()
        answer = _encoded({name: outputs[name] for name in wanted}, self._shared.limits)
        _name(answer.model_spec, loaded)
        answer.model_spec.signature_name = endpoint.signature.name
        return answer

    def GetModelMetadata(self, request: Any, context: Any) -> Any:
        """The signatures of a version."""
        call, shared, spec = Call("GetModelMetadata"), self._shared, request.model_spec
        with answering(call, context, shared.telemetry):
            shared.gate.enter(context)
            fields = list(request.metadata_field)
            if fields != [SIGNATURE_DEF]:
                given = ", ".join(shortened(field) for field in fields[:5]) or "nothing"
                raise Refusal(INVALID, f"metadata_field: expected {SIGNATURE_DEF}, got {given}; correct it")
            with shared.catalog.lease(spec.name, chosen_version(spec), spec.version_label) as loaded:
                call.model, call.version = loaded.name, loaded.version
                answer = get_model_metadata_pb2.GetModelMetadataResponse()
                _name(answer.model_spec, loaded)
                answer.metadata[SIGNATURE_DEF].Pack(loaded.metadata)
        return answer

    def Classify(self, request: Any, context: Any) -> Any:
        """Not served."""
        return self._not_served("Classify", context)

    def Regress(self, request: Any, context: Any) -> Any:
        """Not served."""
        return self._not_served("Regress", context)

    def MultiInference(self, request: Any, context: Any) -> Any:
        """Not served."""
        return self._not_served("MultiInference", context)

    def _not_served(self, method: str, context: Any) -> None:
        with answering(Call(method), context, self._shared.telemetry):
            raise Refusal(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not served; use Predict")


def chosen_version(spec: Any) -> int | None:
    """The version in a ModelSpec; None without one, which some clients write as 0."""
    return spec.version.value or None


def _name(spec: Any, loaded: LoadedVersion) -> None:
    spec.name = loaded.name
    spec.version.value = loaded.version


def _wanted(known: list[str], chosen: list[str]) -> list[str]:
    """The requested outputs, by default all."""
    unknown = [name for name in chosen if name not in known]
    if unknown:
        said = f"output_filter: expected some of {', '.join(known)}, got {shortened(unknown[0])}; correct it"
        raise Refusal(INVALID, said)
    return chosen or known


def _encoded(outputs: dict[str, np.ndarray], limits: Limits) -> Any:
    """A PredictResponse; Refusal: RESOURCE_EXHAUSTED for answers above the message limit."""
    num_bytes = sum(array.nbytes for array in outputs.values())
    if num_bytes <= limits.message_bytes:
        answer = predict_pb2.PredictResponse()
        for name, array in outputs.items():
            write_array(array, answer.outputs[name])
        num_bytes = answer.ByteSize()
    if num_bytes > limits.message_bytes:
        said = f"the answer has {num_bytes} bytes, a message at most {limits.message_bytes}"
        raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{said}; send smaller tiles")
    return answer
