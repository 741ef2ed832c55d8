"""Command-line trainers: `python -m trainers.fusion --flagfile=configs/...` and their siblings."""

from hsr_tf.console.terminal import load_keras
from hsr_tf.process import prepare

prepare()
load_keras()
