"""Speed measurements: `python -m benchmarks.fusion`."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from hsr_tf.console.terminal import load_keras

load_keras()
