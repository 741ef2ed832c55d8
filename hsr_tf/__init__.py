"""Hyperspectral and image super-resolution with TensorFlow and Keras.

The public names are loaded on first use: `import hsr_tf` and reading files need no deep-learning framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hsr_tf import io as io
    from hsr_tf import methods as methods
    from hsr_tf import metrics as metrics
    from hsr_tf import physics as physics
    from hsr_tf.fusion import check as pair_check
    from hsr_tf.fusion import error_maps as error_maps
    from hsr_tf.fusion import quality as quality
    from hsr_tf.fusion.api import fuse as fuse
    from hsr_tf.fusion.api import simulate as simulate
    from hsr_tf.io import load as load
    from hsr_tf.io import save as save
    from hsr_tf.metrics.full_reference import scorecard as scorecard
    from hsr_tf.options import with_options as with_options
    from hsr_tf.pictures.api import TileControls as TileControls
    from hsr_tf.pictures.api import upscale as upscale
    from hsr_tf.registration.register import register as register
    from hsr_tf.scene import Observation as Observation
    from hsr_tf.scene import Scene as Scene
    from hsr_tf.solvers.solver import Controls as Controls

__version__ = "0.1.0"

_HOMES = {
    "Controls": "hsr_tf.solvers.solver",
    "Observation": "hsr_tf.scene",
    "Scene": "hsr_tf.scene",
    "TileControls": "hsr_tf.pictures.api",
    "error_maps": "hsr_tf.fusion.error_maps",
    "fuse": "hsr_tf.fusion.api",
    "io": "hsr_tf.io",
    "load": "hsr_tf.io",
    "methods": "hsr_tf.methods",
    "metrics": "hsr_tf.metrics",
    "pair_check": "hsr_tf.fusion.check",
    "physics": "hsr_tf.physics",
    "quality": "hsr_tf.fusion.quality",
    "register": "hsr_tf.registration.register",
    "save": "hsr_tf.io",
    "scorecard": "hsr_tf.metrics.full_reference",
    "simulate": "hsr_tf.fusion.api",
    "upscale": "hsr_tf.pictures.api",
    "with_options": "hsr_tf.options",
}

_MODULES = ("error_maps", "io", "methods", "metrics", "pair_check", "physics", "quality")

__all__ = [
    "Controls",
    "Observation",
    "Scene",
    "TileControls",
    "error_maps",
    "fuse",
    "io",
    "load",
    "methods",
    "metrics",
    "pair_check",
    "physics",
    "quality",
    "register",
    "save",
    "scorecard",
    "simulate",
    "upscale",
    "with_options",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(_HOMES[name])
    value = home if name in _MODULES else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
