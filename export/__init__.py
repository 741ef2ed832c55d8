"""Trained models for other programs: SavedModels for servers, TFLite files for devices, and their checks."""

import sys

from hsr_tf.console.errors import require_for_commands
from hsr_tf.process import prepare

prepare()
_CONVERTERS = ("ai_edge_litert", "ai_edge_quantizer")
require_for_commands(
    {"export.run_tflite": _CONVERTERS[:1], "export.tflite": _CONVERTERS, "export.verify": _CONVERTERS}
)
# Programs on TensorFlow start without its messages; the device runner and imports of modules load nothing.
if sys.argv[:1] == ["-m"] and {"export.saved_model", "export.tflite", "export.verify"} & {*sys.orig_argv}:
    from hsr_tf.console.terminal import load_keras

    load_keras()
