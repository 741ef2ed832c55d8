"""Command-line trainers: `python -m trainers.fusion --flagfile=configs/...` and their siblings."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from hsr_tf.console.terminal import load_keras

load_keras()
