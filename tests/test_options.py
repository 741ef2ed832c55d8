"""Options in words become fields of the right type; mistyped ones are refused with what was meant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from hsr_tf.methods import Method, get
from hsr_tf.options import adapted, default_config, describe_options, network_options, with_options
from tests.solver_for_tests import BlendedConfig, blended


@dataclass(frozen=True)
class Everything:
    count: int = 1
    rate: float = 0.5
    fast: bool = False
    word: str = "a"
    choice: Literal["noise", "images"] = "noise"
    pair: tuple[int, int] = (1, 2)
    many: tuple[float, ...] = ()
    table: tuple[tuple[float, float], ...] = ((1.0, 2.0),)
    limit: float | None = None
    folder: Path | None = None


def build(model: Any, config: Everything = Everything()) -> Everything:
    del model
    return config


METHOD = Method("all", "solver", "s", "t", (), build)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("count=-3", -3),
        ("rate=1e-3", 1e-3),
        ("fast=true", True),
        ("fast=no", False),
        ("word=x=y", "x=y"),
        ("choice=images", "images"),
        ("pair=4x8", (4, 8)),
        ("many=0.5,2", (0.5, 2.0)),
        ("table=1x2,0.5x3", ((1.0, 2.0), (0.5, 3.0))),
        ("limit=none", None),
        ("limit=3", 3.0),
        ("folder=a/b", Path("a/b")),
    ],
)
def test_values_have_the_type_of_their_field(text: str, value: Any) -> None:
    config = with_options(METHOD, [text]).build(None)
    found = getattr(config, text.partition("=")[0])
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cuont=3", "option of all: expected one of choice, count, .*did you mean 'count'"),
        ("count", "option: expected name=value, got 'count'"),
        ("count=3.5", "option count: expected int, got '3.5'"),
        ("fast=perhaps", "option fast: expected bool, got 'perhaps'"),
        ("choice=noisy", "option choice: expected .*'noise', 'images'"),
        ("limit=soon", "option limit: expected float | None, got 'soon'"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_options(METHOD, [text])


def test_the_last_of_two_wins_and_none_changes_nothing() -> None:
    assert with_options(METHOD, ["count=2", "count=5"]).build(None).count == 5
    assert with_options(METHOD, []) is METHOD


def test_methods_without_options_say_so() -> None:
    with pytest.raises(ValueError, match="option: expected none for bicubic"):
        with_options(get("bicubic"), ["a=1"])
    assert default_config(get("bicubic")) is None and describe_options(get("bicubic")) == []


def test_options_are_described_as_they_are_written() -> None:
    method = Method("blended", "solver", "s", "t", (), blended)
    assert "table=1.0x2.0" in describe_options(METHOD)
    texts = describe_options(method)
    assert texts == ["num_iterations=2", "step=0.5", "sizes=4x8", "note=none", "quick=false"]
    assert default_config(with_options(method, texts)) == BlendedConfig()


def test_arguments_of_a_network_are_described() -> None:
    network = Method("deep", "image_network", "s", "t", (), Network)
    assert describe_options(network) == ["depth=20", "residual=true", "word=none"]
    assert "num_blocks=5" in describe_options(get("ssf_resnet"))
    assert "num_layers=16" in describe_options(get("dhsis"))


def test_adapt_starts_from_the_network_that_is_named(tmp_path: Path) -> None:
    found = default_config(adapted(get("ms_ssfnet"), tmp_path, ["num_steps=3"]))
    assert (found.network, found.weights, found.num_steps) == ("ms_ssfnet", tmp_path, 3)
    assert default_config(adapted(get("auto"), None)).network == ""
    with pytest.raises(ValueError, match=r"adapt: expected a trained network.* got bicubic"):
        adapted(get("bicubic"), None)


class Network:
    """Stands for a network class, whose arguments are its options."""

    def __init__(self, spec: Any, *, depth: int = 20, residual: bool = True, word: str | None = None) -> None:
        self.given = (spec, depth, residual, word)


def test_arguments_of_a_network_are_options_of_their_types() -> None:
    network = Method("deep", "image_network", "s", "t", (), Network)
    options = network_options(network, ["depth=10", "residual=no", "word=none", "depth=12"])
    assert options == {"depth": 12, "residual": False, "word": None}
    assert network.build("spec", **options).given == ("spec", 12, False, None)
    assert network_options(network, []) == {}
    assert network_options(get("srcnn"), ["sizes=9x5x5"]) == {"sizes": (9, 5, 5)}
    assert network_options(get("ms_ssfnet"), ["num_levels=2"]) == {"num_levels": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dept=3", "did you mean 'depth'"),
        ("depth=x", "expected int"),
        ("depth", "name=value"),
        ("spec=1", "one of"),
    ],
)
def test_other_arguments_of_a_network_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network_options(Method("deep", "image_network", "s", "t", (), Network), [text])
