"""A small server for tests of the client: TensorFlow Serving's methods, answered by functions of arrays."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np

from serving import messages
from serving.tensors import to_array, to_tensor_proto

Arrays = dict[str, np.ndarray]
Answer = Callable[[Arrays], Mapping[str, Any]]


@dataclass(eq=False)
class FakeModel:
    """What is answered, and what was asked.

    Attributes:
        signatures: by name.
        failures: code and message of the next calls, which then are not answered.
        calls: names of the signatures asked for, failed calls too.
        tokens: headers of the calls.
        statuses: version, state's number and error of each version.
        version: the one that is served; others are not found.
    """

    signatures: dict[str, Answer]
    failures: list[tuple[grpc.StatusCode, str]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    statuses: list[tuple[int, int, str]] = field(default_factory=list)
    version: int = 1
    turn: Any = field(default_factory=threading.Lock)

    def predict(self, request: Any, context: Any) -> Any:
        """Answer or fail."""
        name = request.model_spec.signature_name
        with self.turn:
            self.calls.append(name)
            self.tokens.append(dict(context.invocation_metadata()).get("authorization"))
            failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            context.abort(*failure)
        if request.model_spec.version.value not in (0, self.version):
            context.abort(grpc.StatusCode.NOT_FOUND, f"no version {request.model_spec.version.value}")
        if name not in self.signatures:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no signature {name}")
        found = self.signatures[name]({k: to_array(v) for k, v in request.inputs.items()})
        answer = messages.PredictResponse(model_spec=request.model_spec)
        answer.model_spec.version.value = self.version
        for key, value in found.items():
            answer.outputs[key].CopyFrom(to_tensor_proto(value))
        return answer

    def status(self, request: Any, context: Any) -> Any:
        """Every version."""
        del request, context
        answer = messages.GetModelStatusResponse()
        for version, state, said in self.statuses:
            one = answer.model_version_status.add(version=version, state=state)
            one.status.error_message = said
        return answer


def metadata_of(**changes: Any) -> Answer:
    """The signature `metadata` of a network of single pictures, with changes."""
    told = {
        "kind": "image_network",
        "method": "vdsr",
        "scale": None,
        "num_channels": 1,
        "num_bands": None,
        "reach": 1,
        "signatures": {"serving_default": ["lr_image"], "metadata": []},
        **changes,
    }
    return lambda inputs: {"metadata": json.dumps(told)}


@contextmanager
def serving(model: FakeModel, credentials: Any = None) -> Iterator[str]:
    """The address of a server that answers as the model does."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(8), options=options)
    methods = {
        "tensorflow.serving.PredictionService": {"Predict": (model.predict, messages.PredictRequest)},
        "tensorflow.serving.ModelService": {"GetModelStatus": (model.status, messages.GetModelStatusRequest)},
    }
    for service, known in methods.items():
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                function,
                request_deserializer=kind.FromString,
                response_serializer=lambda answer: answer.SerializeToString(),
            )
            for name, (function, kind) in known.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("localhost:0", credentials)
    server.start()
    try:
        yield f"{'127.0.0.1' if credentials is None else 'localhost'}:{port}"
    finally:
        server.stop(0).wait()
