"""Compiled functions of TensorFlow run line by line, for tests that call them only a few times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf


@contextmanager
def without_tracing() -> Iterator[None]:
    """Within the block `tf.function` traces nothing, and calls what it was given."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)
