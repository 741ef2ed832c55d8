"""Serve exported models: `python -m serving.server --model_base_path=models --port=8500`.

Implements TensorFlow Serving's protocol (PredictionService, ModelService, gRPC health) for the SavedModels in
MODEL_BASE_PATH/NAME/VERSION, and loads new versions while it runs. SIGTERM and Ctrl-C let requests in flight
finish. To serve other machines (--host), give --tls_certificate, --tls_key and --token_file or
--tls_client_ca. The metrics (--metrics_port) are plain HTTP without a token.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import tensorflow as tf
from absl import flags
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from hsr_tf import checks
from hsr_tf.console.flag_apps import run_app
from hsr_tf.tiling.memory import MEMORY_SHARE, available_bytes
from serving.batching import QueuePlan, Scheduler
from serving.calls import Gate
from serving.catalog import Catalog
from serving.loaded import load_version
from serving.prediction import PredictionService, Shared
from serving.security import Security, TokenCheck, is_loopback, read_tokens, server_credentials
from serving.status import ModelService
from serving.telemetry import Telemetry, publish
from serving.tensors import Limits

FLAGS = flags.FLAGS
MIB = 1 << 20
SERVICES = ("tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")
NUM_SPARE_CALLS = 16
SECONDS_TO_SAY_GOODBYE = 0.2


@dataclass(frozen=True)
class ServerPlan:
    """Configuration of a server.

    Attributes:
        model_base_path: folder of the models.
        host: address to listen on.
        port: of gRPC; 0 takes a free one.
        metrics_port: of the metrics; 0 for none.
        poll_seconds: between two scans of the folders.
        queue: queueing and batching of requests.
        limits: sizes of requests.
        security: access control.
    """

    model_base_path: Path
    host: str = "127.0.0.1"
    port: int = 8500
    metrics_port: int = 0
    poll_seconds: float = 2.0
    queue: QueuePlan = field(default_factory=QueuePlan)
    limits: Limits = field(default_factory=Limits)
    security: Security = field(default_factory=Security)

    def __post_init__(self) -> None:
        checks.require(
            self.queue.max_queue_bytes >= self.limits.message_bytes,
            "max_queue_mib",
            expected="at least --max_message_mib, or the largest request would never be taken",
            received=str(self.queue.max_queue_bytes / MIB),
            remedy="enlarge it",
        )
        if not self.model_base_path.is_dir():
            raise checks.file_error(
                self.model_base_path, "is no folder", "give the folder of exported models (--model_base_path)"
            )


class ModelServer:
    """A server, which listens from `start` to `stop`.

    Args:
        plan: configuration.

    Raises:
        ValueError, OSError: for unusable files of `plan.security`.
    """

    def __init__(self, plan: ServerPlan) -> None:
        self.plan, self.port = plan, 0
        self.telemetry = Telemetry()
        self.scheduler = Scheduler(plan.queue, self.telemetry)
        self.catalog = Catalog(
            plan.model_base_path,
            partial(load_version, limits=plan.limits),
            poll_seconds=plan.poll_seconds,
            telemetry=self.telemetry,
        )
        self._gate, self._is_loaded = Gate(), threading.Event()
        self._credentials = server_credentials(plan.security)
        # The health service, NOT_SERVING for all; its watchers take no thread of the calls.
        pool = ThreadPoolExecutor(1, thread_name_prefix="health")
        servicer = health.HealthServicer(experimental_non_blocking=True, experimental_thread_pool=pool)
        for name in ("", *SERVICES):
            servicer.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        self._health = servicer
        self._grpc = self._assembled()
        self._end_metrics: Callable[[], None] = lambda: None

    def _assembled(self) -> Any:
        """The gRPC server with its services."""
        num_calls = (
            self.plan.queue.max_queue
            + self.plan.queue.num_workers * self.plan.queue.max_batch
            + NUM_SPARE_CALLS
        )
        tokens = self.plan.security.token_file
        server = grpc.server(
            ThreadPoolExecutor(num_calls, thread_name_prefix="call"),
            interceptors=[TokenCheck(read_tokens(tokens), self.telemetry)] if tokens else [],
            options=[
                ("grpc.max_receive_message_length", self.plan.limits.message_bytes),
                ("grpc.max_send_message_length", self.plan.limits.message_bytes),
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=num_calls,
        )
        shared = Shared(self.catalog, self.scheduler, self.telemetry, self.plan.limits, self._gate)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(shared), server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(shared), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        return server

    def start(self) -> ModelServer:
        """Listen and start to load models; health reports SERVING after the first scan of the models.

        Raises:
            OSError: when a port is not available.
        """
        host, port = self.plan.host, self.plan.port
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if self._credentials is None:
                bound = self._grpc.add_insecure_port(address)
            else:
                bound = self._grpc.add_secure_port(address, self._credentials)
        except RuntimeError:
            bound = 0
        if not bound:
            raise checks.file_error(address, "cannot be listened at", "choose another --port or --host")
        self.port = int(bound)
        if self.plan.metrics_port:
            self._end_metrics = publish(self.telemetry, self.plan.host, self.plan.metrics_port)
        self.telemetry.watch_queue(
            lambda: self.scheduler.num_waiting, lambda: self.scheduler.num_waiting_bytes
        )
        self.scheduler.start()
        self._grpc.start()
        self.catalog.start()
        threading.Thread(target=self._open, name="open", daemon=True).start()
        return self

    def _open(self) -> None:
        self.catalog.wait_until_settled(threading.TIMEOUT_MAX)
        for name in ("", *SERVICES):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._is_loaded.set()

    def wait_until_loaded(self, timeout: float) -> bool:
        """Whether the first scan of the models ends within `timeout` seconds."""
        return self._is_loaded.wait(timeout)

    def stop(self, grace: float = 20.0) -> bool:
        """Refuse new requests, let those in flight finish, and stop.

        Returns:
            whether all of them were answered within `grace` seconds.
        """
        self._health.enter_graceful_shutdown()
        is_done = self._gate.close(grace)
        self.scheduler.stop()
        self._grpc.stop(SECONDS_TO_SAY_GOODBYE).wait()
        self.catalog.stop()
        self._end_metrics()
        return is_done


def define_flags() -> None:
    """Models, addresses, access and limits."""
    flags.DEFINE_string(
        "model_base_path", None, "Folder of the models, with NAME/VERSION in it.", required=True
    )
    flags.DEFINE_string(
        "host", "127.0.0.1", "Address to listen on; 0.0.0.0 for all addresses of this machine."
    )
    flags.DEFINE_integer("port", 8500, "Port of gRPC; 0 for any free port.", lower_bound=0, upper_bound=65535)
    flags.DEFINE_integer(
        "metrics_port", 0, "Port of the metrics; 0 for none.", lower_bound=0, upper_bound=65535
    )
    flags.DEFINE_float("poll_seconds", 2.0, "Seconds between two scans of the folders.", lower_bound=0.05)
    flags.DEFINE_float(
        "drain_seconds", 20.0, "Seconds that requests in flight get at shutdown.", lower_bound=0.0
    )
    flags.DEFINE_bool("log_requests", False, "Log one line per request, without its data.")
    flags.DEFINE_integer("num_threads", 0, "Threads per operation; 0 lets TensorFlow choose.", lower_bound=0)
    flags.DEFINE_integer("num_workers", 1, "Batches computed at the same time.", lower_bound=1)
    flags.DEFINE_integer("max_batch", 8, "Most samples per batch; 1 turns batching off.", lower_bound=1)
    flags.DEFINE_float(
        "batch_timeout_ms", 0.0, "Time that a batch waits to fill up, in milliseconds.", lower_bound=0.0
    )
    flags.DEFINE_integer("max_queue", 64, "Most requests in the queue.", lower_bound=1)
    flags.DEFINE_integer("max_queue_mib", 1024, "Most MiB of inputs in the queue.", lower_bound=1)
    flags.DEFINE_integer(
        "max_message_mib", 64, "Largest request and answer in MiB.", lower_bound=1, upper_bound=2047
    )
    flags.DEFINE_integer(
        "max_pixels",
        None,
        "Largest product of the dimensions of one input. Default: half of the available memory, divided by "
        "--num_workers and by the bytes per value that the model's export recorded; at most 67108864.",
        lower_bound=1,
    )
    flags.DEFINE_string("tls_certificate", None, "PEM file of the server's certificate chain; turns TLS on.")
    flags.DEFINE_string("tls_key", None, "PEM file of the key of --tls_certificate.")
    flags.DEFINE_string(
        "tls_client_ca", None, "PEM file of certificates; clients need a certificate that one of them signed."
    )
    flags.DEFINE_string("token_file", None, "File of access tokens, one per line; clients need one of them.")


def plan_of_flags() -> ServerPlan:
    """The configuration of the flags; errors as `ServerPlan`."""
    names = ("tls_certificate", "tls_key", "tls_client_ca", "token_file")
    files = {name: Path(FLAGS[name].value) if FLAGS[name].value else None for name in names}
    return ServerPlan(
        model_base_path=Path(FLAGS.model_base_path),
        host=FLAGS.host,
        port=FLAGS.port,
        metrics_port=FLAGS.metrics_port,
        poll_seconds=FLAGS.poll_seconds,
        queue=QueuePlan(
            max_batch=FLAGS.max_batch,
            batch_timeout_ms=FLAGS.batch_timeout_ms,
            max_queue=FLAGS.max_queue,
            max_queue_bytes=FLAGS.max_queue_mib * MIB,
            num_workers=FLAGS.num_workers,
        ),
        limits=_limits(),
        security=Security(**files),
    )


def _limits() -> Limits:
    """`--max_pixels` where it is given, otherwise half of the memory that is available for each worker."""
    num_bytes = FLAGS.max_message_mib * MIB
    if FLAGS.max_pixels is not None:
        return Limits(num_bytes, FLAGS.max_pixels)
    each = int(MEMORY_SHARE * available_bytes() / FLAGS.num_workers)
    return Limits(num_bytes, memory_bytes=max(1, each))


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    # Log loads and failures to stderr, and requests if they are wanted.
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("serving")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    logging.getLogger("serving.requests").setLevel(logging.INFO if FLAGS.log_requests else logging.WARNING)
    if FLAGS.num_threads:
        tf.config.threading.set_intra_op_parallelism_threads(FLAGS.num_threads)
    # Its `put` may be called from a signal handler; that of an Event may not.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: signals.put(number))
    server = ModelServer(plan_of_flags()).start()
    while signals.empty() and not server.wait_until_loaded(0.1):
        pass
    if signals.empty():
        models = server.catalog.available()
        for loaded in models:
            signatures = ", ".join(str(one.signature) for one in loaded.endpoints.values())
            print(f"serving {loaded.name} version {loaded.version}: {signatures}")
        if not models:
            print(f"warning: nothing to serve in {server.plan.model_base_path} yet", file=sys.stderr)
        if not is_loopback(server.plan.host):
            for warning in server.plan.security.weaknesses:
                print(f"warning: {warning}", file=sys.stderr)
            if server.plan.metrics_port:
                print(
                    "warning: --metrics_port shows the metrics to everyone who can reach it", file=sys.stderr
                )
        print(f"listening on {server.plan.host}:{server.port}", flush=True)
    signals.get()
    if not server.stop(FLAGS.drain_seconds):
        print("warning: --drain_seconds ended before all requests were answered", file=sys.stderr, flush=True)
        # What is still being computed would hold up the end of the interpreter.
        os._exit(0)


if __name__ == "__main__":
    define_flags()
    run_app(main, interrupted="nothing was served yet")
