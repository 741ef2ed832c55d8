"""Options of a method in words: `name=value`, typed by the fields of a solver's configuration, a frozen
dataclass, or by the arguments of a network.

Values are what Python would print: numbers, true or false, words, `none` where the field may be None, and
numbers or words with an x between them for tuples (4x8), with commas between tuples of tuples (4x8,2x3).
"""

from __future__ import annotations

import inspect
import os
import types
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hsr_tf import checks
from hsr_tf.methods import Method, get

AUTO = "auto"
WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def with_options(method: Method, texts: Iterable[str]) -> Method:
    """The method with some fields of its configuration set.

    Args:
        method: any; one without configuration takes no options.
        texts: `name=value`, later ones win.

    Raises:
        ValueError: a name that is no field (the known ones are listed, with the nearest), a value of another
            type, or one that the configuration refuses.
    """
    given = list(texts)
    if not given:
        return method
    config = default_config(method)
    known = [] if config is None else [field.name for field in fields(config)]
    checks.require(
        bool(known),
        "option",
        expected=f"none for {method.name}, which has no options",
        received=", ".join(given),
        remedy="leave them out",
    )
    hints = get_type_hints(type(config))
    changes = _read_options(method, given, {name: hints[name] for name in known})
    assert config is not None
    return configured(method, replace(config, **changes))


def network_options(network: Method, texts: Iterable[str]) -> dict[str, Any]:
    """Arguments of a network, beside its specification, by name.

    Args:
        network: a method whose `build` is a network class with annotated arguments.
        texts: `name=value`, later ones win.

    Raises:
        ValueError: a name that is no argument (the known ones are listed), or a value of another type.
    """
    hints = get_type_hints(inspect.unwrap(getattr(network.build, "__init__")))  # noqa: B009
    return _read_options(network, texts, {name: hints[name] for name in _network_defaults(network)})


def adapted(network: Method, weights: str | os.PathLike[str] | None, texts: Iterable[str] = ()) -> Method:
    """The solver `adapt`, started from a trained network.

    Args:
        network: a method of kind "network"; of "auto" those whose weights fit the pair are taken.
        weights: folder of its trained model, None for the shipped one.
        texts: options of `adapt`, as in `with_options`.

    Raises:
        ValueError: for a method that is not trained.
    """
    checks.require(
        network.kind == "network" or network.name == AUTO,
        "adapt",
        expected="a trained network to start from (method=ms_ssfnet, for example)",
        received=network.name,
        remedy="leave adapt out, or name a network",
    )
    named = [] if network.name == AUTO else [f"network={network.name}"]
    start = [*named, *([] if weights is None else [f"weights={os.fspath(weights)}"])]
    return with_options(get("adapt"), [*start, *texts])


def configured(method: Method, config: Any) -> Method:
    """The method built with this configuration."""
    return replace(method, builder=partial(method.build, config=config))


def default_config(method: Method) -> Any | None:
    """The configuration that the method is built with when none is given; None where it has none."""
    parameter = inspect.signature(method.build).parameters.get("config")
    default = None if parameter is None or parameter.default is inspect.Parameter.empty else parameter.default
    return default if is_dataclass(default) else None


def describe_options(method: Method) -> list[str]:
    """Every option as `name=value` with its default: a solver's configuration, a network's arguments."""
    if method.kind in ("network", "image_network"):
        return [f"{name}={_in_words(value)}" for name, value in _network_defaults(method).items()]
    config = default_config(method)
    if config is None:
        return []
    return [f"{field.name}={_in_words(getattr(config, field.name))}" for field in fields(config)]


def _network_defaults(network: Method) -> dict[str, Any]:
    """The arguments of a network's constructor beside its specification, with their defaults."""
    constructor = inspect.unwrap(getattr(network.build, "__init__"))  # noqa: B009
    parameters = list(inspect.signature(constructor).parameters.values())[2:]
    return {p.name: p.default for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD}


def _read_options(method: Method, texts: Iterable[str], hints: dict[str, Any]) -> dict[str, Any]:
    """Values by name of `name=value`, of the types that are known by name."""
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        checks.require(
            bool(equals), "option", expected="name=value", received=repr(text), remedy="write the value too"
        )
        checks.require_choice(f"option of {method.name}", name, hints)
        values[name] = _typed(name, value, hints[name])
    return values


def _in_words(value: Any) -> str:
    if isinstance(value, tuple | list):
        nested = any(isinstance(part, tuple | list) for part in value)
        return ("," if nested else "x").join(map(_in_words, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _typed(name: str, text: str, kind: Any) -> Any:
    """The value of a field of this type."""
    try:
        return _convert(text, kind)
    except ValueError:
        words = getattr(kind, "__name__", str(kind)) if get_origin(kind) is None else str(kind)
        raise checks.InputError(
            f"option {name}", expected=words, received=repr(text), remedy=f"write --option={name}=VALUE"
        ) from None


def _convert(text: str, kind: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _first_that_fits(text, inner)
    if origin is Literal:
        if text not in map(str, inner):
            raise ValueError(text)
        return next(value for value in inner if str(value) == text)
    if origin in (tuple, list, Sequence):
        kinds = [part for part in inner if part is not Ellipsis] or [str]
        nested = get_origin(kinds[0]) in (tuple, list)
        parts = (text if nested else text.replace("x", ",")).split(",") if text else []
        return tuple(_convert(part, kinds[min(i, len(kinds) - 1)]) for i, part in enumerate(parts))
    if kind is bool:
        if text.lower() not in WORDS:
            raise ValueError(text)
        return WORDS[text.lower()]
    return kind(text) if kind in (int, float, Path) else text


def _first_that_fits(text: str, kinds: tuple[Any, ...]) -> Any:
    if type(None) in kinds and text.lower() == "none":
        return None
    for kind in sorted((k for k in kinds if k is not type(None)), key=lambda k: k is str):
        try:
            return _convert(text, kind)
        except ValueError:
            continue
    raise ValueError(text)
