"""The registry of methods: one name for each, what it needs, and how it is built.

The packages `hsr_tf.closed_forms`, `hsr_tf.solvers` and `hsr_tf.networks` list their methods as data in
`METHODS`: naming and describing methods imports none of them, `Method.build` imports the one that is used.
An installed package adds methods of its own by an entry point of the group "hsr_tf.methods" that names the
module which registers them (`register`); `hsr_tf.conformance` tests them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hsr_tf import checks

_PROVIDERS = ("hsr_tf.closed_forms", "hsr_tf.networks", "hsr_tf.solvers")
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
        builder: what makes the callable, or where it is: "package.module:attribute".
        any_cameras: of a network, whether the same weights fit any bands, channels, scale and cameras.
    """

    name: str
    kind: str
    summary: str
    source: str
    needs: tuple[str, ...]
    builder: Callable[..., Any] | str
    any_cameras: bool = False

    @property
    def build(self) -> Callable[..., Any]:
        """A network class, or a factory that takes an ObservationModel; imported on first use."""
        if not isinstance(self.builder, str):
            return self.builder
        module, _, attribute = self.builder.partition(":")
        built: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
        return built

    @property
    def keeps_bands(self) -> bool:
        """Whether it is a network that has to be given every band and channel, by the cameras it knows."""
        return self.kind == "network" and not self.any_cameras

    def attribute(self, name: str) -> Any:
        """An attribute of the class that is built, whatever its options; None where it has none."""
        build: Any = self.build
        while isinstance(build, partial):
            build = build.func
        return getattr(build, name, None)

    def is_built_by(self, builder: Callable[..., Any]) -> bool:
        """Whether `builder` is this method's; nothing is imported to find out."""
        if isinstance(self.builder, str):
            return self.builder == _path(builder)
        return self.builder is builder or _path(self.builder) == _path(builder)


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
        _load_built_in()
        known = _REGISTRY.get(name)
        checks.require(
            known is None or known.is_built_by(build),
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
    _load_built_in()
    if name not in _REGISTRY:
        _load_entry_points()
    checks.require_choice("method", name, [known for known in _REGISTRY if _REGISTRY[known].kind in kinds])
    return _REGISTRY[name]


def names(kind: str | None = None) -> list[str]:
    """The known names, sorted; of one kind where it is given."""
    return sorted(method.name for method in describe() if kind in (None, method.kind))


def describe() -> list[Method]:
    """Every method, closed-form ones first, those of single images last."""
    _load_built_in()
    _load_entry_points()
    return sorted(_REGISTRY.values(), key=lambda method: (KINDS.index(method.kind), method.name))


def _load_built_in() -> None:
    for provider in _PROVIDERS:
        for method in importlib.import_module(provider).METHODS:
            _REGISTRY.setdefault(method.name, method)


def _load_entry_points() -> None:
    from importlib import metadata

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


def _path(builder: Any) -> str:
    """Where a class or function is defined, as in `Method.builder`."""
    return f"{getattr(builder, '__module__', '')}:{getattr(builder, '__qualname__', '')}"
