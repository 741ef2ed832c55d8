"""The layers hold: imports run one way, frameworks stay in their place, files and functions stay small."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("hsr_tf", "trainers", "export", "serving", "benchmarks")

# Bottom first. A module imports from its own layer and from those before it.
LAYERS = (
    (
        "hsr_tf.arrays",
        "hsr_tf.checks",
        "hsr_tf.cube_info",
        "hsr_tf.files",
        "hsr_tf.findings",
        "hsr_tf.geo",
        "hsr_tf.imports",
        "hsr_tf.methods",
        "hsr_tf.options",
        "hsr_tf.process",
        "hsr_tf.radiometry",
        "hsr_tf.scene",
        "hsr_tf.tiling",
        "hsr_tf.typing",
        "hsr_tf.wording",
    ),
    ("hsr_tf.physics",),
    ("hsr_tf.metrics", "hsr_tf.registration"),
    ("hsr_tf.closed_forms",),
    ("hsr_tf.data", "hsr_tf.io"),
    ("hsr_tf.networks",),
    ("hsr_tf.pictures", "hsr_tf.solvers"),
    ("hsr_tf.conformance", "hsr_tf.console", "hsr_tf.fusion", "hsr_tf.report", "hsr_tf.streaming"),
    ("hsr_tf.web",),
    ("export", "hsr_tf.cli", "serving", "trainers"),
    ("benchmarks",),
)
RANKS = {unit: rank for rank, units in enumerate(LAYERS) for unit in units}
APART = {"export", "serving", "trainers"}
WITH_TENSORFLOW = {"benchmarks", "export", "hsr_tf.data", "hsr_tf.solvers", "serving", "trainers"}
WITHOUT_KERAS = {
    "hsr_tf",
    "hsr_tf.arrays.cubic",
    "hsr_tf.checks",
    "hsr_tf.console.errors",
    "hsr_tf.cube_info",
    "hsr_tf.files",
    "hsr_tf.findings",
    "hsr_tf.fusion.alignment",
    "hsr_tf.geo",
    "hsr_tf.io",
    "hsr_tf.metrics.calibration",
    "hsr_tf.metrics.cameras",
    "hsr_tf.metrics.q_index",
    "hsr_tf.metrics.scores",
    "hsr_tf.metrics.table",
    "hsr_tf.networks.model_info",
    "hsr_tf.pictures.tiles",
    "hsr_tf.registration",
    "hsr_tf.scene",
    "hsr_tf.tiling",
    "hsr_tf.typing",
    "hsr_tf.wording",
}
LONGEST_FILE, LONGEST_BODY = 450, 60


@dataclass(frozen=True)
class Source:
    """The text of one module."""

    text: str
    is_package: bool = False


@cache
def nodes_of(text: str) -> tuple[ast.AST, ...]:
    """The nodes of a module that are looked at here; the project is parsed once for all tests."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef)
    return tuple(node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds))


@cache
def project_sources() -> Mapping[str, Source]:
    """Every module of the project's packages by its dotted name."""
    sources = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        sources[name] = Source(path.read_text(encoding="utf-8"), is_package)
    return sources


def imported_names(name: str, source: Source) -> Iterator[str]:
    """The absolute dotted names that a module imports, wherever in it; `from a import b` gives `a.b`."""
    for node in nodes_of(source.text):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = name.split(".")
            base = parts[: len(parts) - node.level + source.is_package] if node.level else []
            parent = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{parent}.{alias.name}" for alias in node.names)


def _is_without_keras(name: str) -> bool:
    """Whether a module must not import Keras; hsr_tf itself stands for its `__init__` alone."""
    return name == "hsr_tf" or any(name == m or name.startswith(f"{m}.") for m in WITHOUT_KERAS - {"hsr_tf"})


def unit_of(name: str) -> str:
    """The member of `LAYERS` that a dotted name belongs to; the name itself where there is none."""
    parts = name.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in RANKS), name)


def import_graph(sources: Mapping[str, Source]) -> dict[str, set[str]]:
    """Module -> the project's modules that it imports; `hsr_tf` itself, which loads lazily, imports none."""
    graph: dict[str, set[str]] = {name: set() for name in sources}
    for name in graph.keys() - {"hsr_tf"}:
        for target in imported_names(name, sources[name]):
            known = target if target in sources else target.rpartition(".")[0]
            if known in sources and known != name:
                graph[name].add(known)
    return graph


def complaint(name: str, target: str) -> str | None:
    """Why module `name` may not import the dotted name `target`, or None where it may."""
    unit, other, root = unit_of(name), unit_of(target), target.split(".")[0]
    if root == "tensorflow" and unit not in WITH_TENSORFLOW:
        return f"{name} imports tensorflow"
    if root in {"keras", "tensorflow"} and _is_without_keras(name):
        return f"{name} imports keras"
    if unit in RANKS and other in RANKS and RANKS[other] > RANKS[unit]:
        return f"{name} imports {other}, which lies above it"
    if unit != other and {unit, other} <= APART:
        return f"{name} imports {other}; {', '.join(sorted(APART))} stay apart"
    return None


def forbidden_imports(sources: Mapping[str, Source]) -> list[str]:
    """One line for each import that breaks the layers and for each module that has no layer."""
    lines = {f"{name} has no layer" for name in sources if name != "hsr_tf" and unit_of(name) not in RANKS}
    for name, source in sources.items():
        targets = set(imported_names(name, source))
        if name == "hsr_tf":
            targets = {target for target in targets if not target.startswith("hsr_tf.")}
        lines |= {line for target in targets if (line := complaint(name, target))}
    return sorted(lines)


def import_cycle(sources: Mapping[str, Source]) -> list[str]:
    """The modules of one import circle, empty where there is none."""
    try:
        TopologicalSorter(import_graph(sources)).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def long_parts(sources: Mapping[str, Source]) -> list[str]:
    """One line for each file and each function body (without its docstring) over the limit."""
    lines = []
    for name, source in sources.items():
        if (length := len(source.text.splitlines())) > LONGEST_FILE:
            lines.append(f"{name} has {length} lines")
        for node in nodes_of(source.text):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_length(node) > LONGEST_BODY:
                lines.append(f"{name}.{node.name} has a body of {body_length(node)} lines")
    return lines


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the last."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_imports_run_down_the_layers_only() -> None:
    assert forbidden_imports(project_sources()) == []


def test_imports_form_no_circle() -> None:
    assert import_cycle(project_sources()) == []


def test_files_and_function_bodies_stay_short() -> None:
    assert long_parts(project_sources()) == []


def test_nothing_draws_from_the_stateful_generators_of_tensorflow() -> None:
    """They would depend on what ran before: tests/conftest.py sets every seed but theirs."""
    folders = ("hsr_tf", "trainers", "export", "serving", "tests")
    texts = {path: path.read_text() for name in folders for path in (ROOT / name).rglob("*.py")}
    drawing = re.compile(r"\btf\.random\.(?!stateless_|split\b)\w|\btensorflow\.random import")
    assert len(texts) > 100
    assert [path for path, text in texts.items() if drawing.search(text)] == []


def test_the_project_is_read_at_all() -> None:
    assert {"hsr_tf", "hsr_tf.checks"} <= project_sources().keys()


def test_reading_files_loads_no_framework() -> None:
    code = "import sys, hsr_tf, hsr_tf.io, hsr_tf.scene; print({'keras', 'tensorflow'} & set(sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("hsr_tf.networks.srcnn", "import tensorflow as tf", "imports tensorflow"),
        ("hsr_tf.physics.psf", "def f():\n    from tensorflow import math", "imports tensorflow"),
        ("hsr_tf.metrics.full_reference", "import tensorflow.math", "imports tensorflow"),
        ("hsr_tf.io.hdf5", "from keras import ops", "imports keras"),
        ("hsr_tf.scene", "import keras", "imports keras"),
        ("hsr_tf", "import keras", "imports keras"),
        ("hsr_tf.arrays.axis", "from hsr_tf import metrics", "imports hsr_tf.metrics, which lies above"),
        (
            "hsr_tf.physics.psf",
            "from hsr_tf.networks.layers import x",
            "imports hsr_tf.networks, which lies above",
        ),
        ("hsr_tf.physics.psf", "from ..metrics import psnr", "imports hsr_tf.metrics, which lies above"),
        ("hsr_tf.report.sheet", "import trainers._run", "imports trainers, which lies above"),
        ("trainers.fusion", "from export import signatures", "stay apart"),
        ("serving.client", "from trainers import fusion", "stay apart"),
        ("export.verify", "import serving", "stay apart"),
        ("trainers.fusion", "import benchmarks.fusion", "imports benchmarks, which lies above"),
        ("hsr_tf.stray", "", "has no layer"),
    ],
)
def test_a_forbidden_import_is_found(name: str, text: str, said: str) -> None:
    (line,) = forbidden_imports({name: Source(text)})
    assert line.startswith(name)
    assert said in line


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "trainers.fusion",
            "import tensorflow as tf\nfrom hsr_tf.networks import ms_ssfnet\nfrom trainers import _run",
        ),
        ("hsr_tf.physics.spatial", "import keras\nfrom .psf import Psf\nfrom hsr_tf import checks"),
        ("hsr_tf", "from hsr_tf.io import load\nfrom hsr_tf.fusion.api import fuse"),
        ("hsr_tf.cli", "from hsr_tf import report, fusion"),
    ],
)
def test_an_allowed_import_is_let_through(name: str, text: str) -> None:
    assert forbidden_imports({name: Source(text)}) == []


def test_a_circle_is_found() -> None:
    circle = {
        "hsr_tf.physics": Source("from .psf import Psf", is_package=True),
        "hsr_tf.physics.psf": Source("from hsr_tf.physics import spatial"),
        "hsr_tf.physics.spatial": Source("def late():\n    import hsr_tf.physics.psf"),
    }
    assert {"hsr_tf.physics.psf", "hsr_tf.physics.spatial"} <= set(import_cycle(circle))
    circle["hsr_tf.physics.spatial"] = Source("")
    assert import_cycle(circle) == []


def test_a_long_file_and_a_long_body_are_found() -> None:
    body = "\n".join(["    x = 1"] * LONGEST_BODY)
    text = f'def f():\n    """Text.\n\n    More.\n    """\n{body}\n'
    assert long_parts({"hsr_tf.arrays.axis": Source(text)}) == []
    longer = {"hsr_tf.arrays.axis": Source(text + "    y = 2\n")}
    assert long_parts(longer) == ["hsr_tf.arrays.axis.f has a body of 61 lines"]
    assert long_parts({"hsr_tf.arrays.axis": Source("x = 1\n" * 451)}) == ["hsr_tf.arrays.axis has 451 lines"]


CROSSCUTTING = {
    "cli": {"cli", "imports", "interrupts", "pairing", "reading_flags"},
    "io": {
        "describe",
        "fuzz",
        "netcdf_zarr",
        "picture_metadata",
        "reading",
        "refused",
        "round_trip",
        "widths",
    },
    "networks": {"conformance", "conversion", "image_conformance", "published_sizes"},
    "report": {"report_in_browser"},
    "serving": {"deploy", "end_to_end", "server_export"},
    "streaming": {"held"},
    "trainers": {"several_devices", "time_limit"},
    ".": {
        "apps",
        "architecture",
        "configs",
        "documented_commands",
        "installed",
        "packaging",
        "project_files",
        "setup",
    },
}


def test_a_test_file_has_the_name_and_the_place_of_the_module_that_it_tests() -> None:
    strange = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        place, name = path.parent.relative_to(ROOT / "tests"), path.stem.removeprefix("test_")
        homes = [ROOT / "hsr_tf" / place, *([ROOT / place] if place.parts else [])]
        modules = [home / file for home in homes for file in (f"{name}.py", f"_{name}.py", name)]
        if name not in CROSSCUTTING.get(str(place), ()) and not any(module.exists() for module in modules):
            strange.append(str(path.relative_to(ROOT)))
    assert strange == []
