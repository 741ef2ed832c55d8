"""Steps common to all calls: the gate that closes at shutdown, the metrics, the log line."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from serving.refusal import Refusal
from serving.telemetry import Call, Telemetry

LOGGER = logging.getLogger("serving")
REQUESTS = logging.getLogger("serving.requests")


class Gate:
    """Lets calls in until it is closed, and knows when the last one that was let in is answered."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._num_inside, self._is_closed = 0, False

    def enter(self, context: Any) -> None:
        """Count a call until its answer has been sent; Refusal: UNAVAILABLE once the gate is closed."""
        with self._changed:
            if self._is_closed:
                raise Refusal(grpc.StatusCode.UNAVAILABLE, "the server is going down; ask another one")
            self._num_inside += 1
        if not context.add_callback(self._leave):
            self._leave()

    def _leave(self) -> None:
        with self._changed:
            self._num_inside -= 1
            self._changed.notify_all()

    def close(self, timeout: float) -> bool:
        """Whether, within `timeout` seconds of closing, nobody is inside any more."""
        with self._changed:
            self._is_closed = True
            return self._changed.wait_for(lambda: self._num_inside == 0, timeout)


@contextmanager
def answering(call: Call, context: Any, telemetry: Telemetry) -> Iterator[None]:
    """Answer a call: a `Refusal` becomes its status, any other error INTERNAL."""
    started, code, said = time.monotonic(), grpc.StatusCode.OK, ""
    try:
        yield
    except Refusal as refusal:
        code, said = refusal.code, str(refusal)
    except Exception:
        LOGGER.exception("%s failed", call.method)
        code, said = grpc.StatusCode.INTERNAL, "the server failed; its log says why"
    seconds = time.monotonic() - started
    telemetry.answered(call, code.name, seconds)
    REQUESTS.info(
        "%s model=%s version=%d signature=%s inputs=%s ms=%.1f code=%s",
        *(call.method, call.model, call.version, call.signature, call.shapes, seconds * 1e3, code.name),
    )
    if code != grpc.StatusCode.OK:
        context.abort(code, said)
