"""From two images to one sharp cube: `simulate` and `fuse`, loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hsr_tf.fusion.api import fuse as fuse
    from hsr_tf.fusion.api import simulate as simulate

__all__ = [
    "fuse",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("hsr_tf.fusion.api"), name)
