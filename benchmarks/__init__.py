"""Speed measurements: `python -m benchmarks.fusion`."""

from hsr_tf.console.terminal import load_keras
from hsr_tf.process import prepare

prepare()
load_keras()
