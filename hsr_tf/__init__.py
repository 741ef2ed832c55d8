"""Hyperspectral and image super-resolution with TensorFlow and Keras.

The public names are loaded on first use: `import hsr_tf` and reading files need no deep-learning framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hsr_tf import methods as methods
    from hsr_tf.fusion import fuse as fuse
    from hsr_tf.fusion import simulate as simulate
    from hsr_tf.io import load as load
    from hsr_tf.io import save as save
    from hsr_tf.metrics import scorecard as scorecard
    from hsr_tf.scene import Observation as Observation
    from hsr_tf.scene import Scene as Scene

__version__ = "0.1.0"

_HOMES = {
    "Observation": "hsr_tf.scene",
    "Scene": "hsr_tf.scene",
    "fuse": "hsr_tf.fusion",
    "load": "hsr_tf.io",
    "methods": "hsr_tf.methods",
    "save": "hsr_tf.io",
    "scorecard": "hsr_tf.metrics",
    "simulate": "hsr_tf.fusion",
}

__all__ = ["Observation", "Scene", "fuse", "load", "methods", "save", "scorecard", "simulate"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(_HOMES[name])
    value = home if home.__name__ == f"{__name__}.{name}" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
