"""A server of exported models over gRPC, wire-compatible with TensorFlow Serving, and its client."""

import sys

from hsr_tf.console.errors import require_for_commands
from hsr_tf.process import prepare

prepare()
require_for_commands(
    {
        "serving.server": ("grpc", "grpc_health", "prometheus_client", "tensorflow_serving"),
        "serving.client": ("grpc",),
    }
)
# The server starts without TensorFlow's messages; the client and imports of a module load nothing.
if sys.argv[:1] == ["-m"] and "serving.server" in sys.orig_argv:
    from hsr_tf.console.terminal import load_keras

    load_keras()
