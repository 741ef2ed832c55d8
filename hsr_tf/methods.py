"""The registry of methods: one name for each, what it needs, and how it is built.

A module registers its method where it defines it; `names` and `describe` import those modules on first use.
An installed package adds methods of its own by an entry point of the group "hsr_tf.methods" that names the
module which registers them; `hsr_tf.conformance` tests them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from hsr_tf import checks

_PROVIDERS = ("hsr_tf.closed_forms.bases", "hsr_tf.networks", "hsr_tf.solvers")
_REGISTRY: dict[str, Method] = {}
KINDS = ("closed_form", "network", "solver", "image_network")
NEEDS = ("psf", "srf", "weights", "kernel")
FUSION_KINDS = KINDS[:3]
ENTRY_POINTS = "hsr_tf.methods"


@dataclass(frozen=True)
class Method:
    """What the project knows of a method.

    Attributes:
        name: as users type it.
        kind: "closed_form" (no training), "network" (trained weights) or "solver" (iterates on one scene),
            which fuse two images; "image_network" (trained weights), which enlarges a single one.
        summary: one line.
        source: the paper, or what it is.
        needs: what must be given beside the images, among "psf", "srf", "weights" and, of single images, the
            blur "kernel".
        build: makes the callable: a network class for the two kinds of networks, else a factory that takes an
            ObservationModel.
    """

    name: str
    kind: str
    summary: str
    source: str
    needs: tuple[str, ...]
    build: Callable[..., Any]


def register(
    name: str, *, kind: str, summary: str, source: str, needs: tuple[str, ...] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Class or function decorator that puts a method into the registry under `name`.

    Raises:
        ValueError: when the name is taken, or the kind or a need is none of the known ones.
    """
    checks.require_choice("kind", kind, KINDS)
    for need in needs:
        checks.require_choice("needs", need, NEEDS)

    def add(build: Callable[..., Any]) -> Callable[..., Any]:
        known = _REGISTRY.get(name)
        checks.require(
            known is None or known.build.__qualname__ == build.__qualname__,
            "name",
            expected="a name that is free",
            received=repr(name),
            remedy="choose another",
        )
        _REGISTRY[name] = Method(name, kind, summary, source, needs, build)
        return build

    return add


def get(name: str, kinds: tuple[str, ...] = KINDS) -> Method:
    """The method of this name, which must be of one of these kinds.

    Raises:
        ValueError: for a name that is unknown or of another kind; the message lists those that would do.
    """
    _load()
    checks.require_choice("method", name, [known for known in _REGISTRY if _REGISTRY[known].kind in kinds])
    return _REGISTRY[name]


def names(kind: str | None = None) -> list[str]:
    """The known names, sorted; of one kind where it is given."""
    _load()
    return sorted(name for name, method in _REGISTRY.items() if kind in (None, method.kind))


def describe() -> list[Method]:
    """Every method, closed-form ones first, those of single images last."""
    _load()
    return sorted(_REGISTRY.values(), key=lambda method: (KINDS.index(method.kind), method.name))


def _load() -> None:
    for provider in _PROVIDERS:
        importlib.import_module(provider)
    for added in metadata.entry_points(group=ENTRY_POINTS):
        try:
            added.load()
        except Exception as error:
            raise checks.InputError(
                "methods",
                expected=f"{added.value} to register methods",
                received=f"{type(error).__name__}: {error}",
                remedy="mend or uninstall the package that names it as an entry point",
            ) from error
