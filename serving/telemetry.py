"""Metrics of the server in Prometheus' format.

Labels hold names of served models and signatures only, never names that a request made up: a client could
otherwise fill the memory with series.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from hsr_tf import checks

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SAMPLES = (1, 2, 4, 8, 16, 32, 64)
UNKNOWN = "-"


@dataclass
class Call:
    """One request, as far as it is known by now.

    Attributes:
        method: of the service.
        model, version, signature: what answers it.
        shapes: of its inputs, e.g. "lr_image(1, 8, 8, 1)".
    """

    method: str
    model: str = UNKNOWN
    version: int = 0
    signature: str = UNKNOWN
    shapes: str = UNKNOWN


class Telemetry:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        names = ["model", "method", "signature"]
        self.requests = Counter(
            "hsr_requests", "Requests by their gRPC status code.", [*names, "code"], registry=own
        )
        self.seconds = Histogram(
            "hsr_request_seconds", "From arrival to answer.", names, registry=own, buckets=SECONDS
        )
        self.samples = Histogram(
            "hsr_batch_samples", "Samples computed together.", ["model"], registry=own, buckets=SAMPLES
        )
        self.versions = Gauge("hsr_loaded_versions", "Loaded versions.", ["model"], registry=own)
        self.failures = Counter(
            "hsr_load_failures", "Versions that could not be loaded.", ["model"], registry=own
        )

    def watch_queue(self, num_waiting: Callable[[], float], num_bytes: Callable[[], float]) -> None:
        """Report the size of the queue on every scrape."""
        waiting = Gauge("hsr_queue_requests", "Requests that wait.", registry=self.registry)
        waiting.set_function(num_waiting)
        size = Gauge("hsr_queue_bytes", "Bytes of the inputs that wait.", registry=self.registry)
        size.set_function(num_bytes)

    def answered(self, call: Call, code: str, seconds: float) -> None:
        """Count a request."""
        names = (call.model, call.method, call.signature)
        self.requests.labels(*names, code).inc()
        self.seconds.labels(*names).observe(seconds)

    def computed(self, model: str, num_samples: int) -> None:
        """Count a batch."""
        self.samples.labels(model).observe(num_samples)

    def set_loaded(self, model: str, number: int) -> None:
        """How many versions of a model answer."""
        self.versions.labels(model).set(number)

    def load_failed(self, model: str) -> None:
        """Count a version that could not be loaded."""
        self.failures.labels(model).inc()


def publish(telemetry: Telemetry, host: str, port: int) -> Callable[[], None]:
    """Publish the metrics at http://HOST:PORT/metrics, without access control.

    Returns:
        a function that ends it.

    Raises:
        OSError: when the port is not available.
    """
    try:
        server, thread = start_http_server(port, addr=host, registry=telemetry.registry)
    except OSError as error:
        raise checks.file_error(
            f"{host}:{port}", f"cannot publish metrics ({error})", "choose another --metrics_port"
        ) from error

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join(timeout=1.0)

    return end
