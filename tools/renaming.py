"""Copy modules of this checkout under other package names, for what is installed from it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

APPS = ("trainers", "export", "serving")


def modules_of(root: Path, packages: Iterable[str]) -> list[str]:
    """The dotted names of all modules of some packages; a package has the name of its folder."""
    paths = sorted(path for package in packages for path in (root / package).rglob("*.py"))
    return [_dotted(path.relative_to(root)) for path in paths]


def imported_modules(root: Path, roots: Iterable[str]) -> list[str]:
    """Some modules of this checkout and those that they import, wherever in them, and these in turn."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        path = _file(root, name)
        if name in found or path is None:
            continue
        found.add(name)
        parents = [name.rpartition(".")[0]] if "." in name else []
        waiting += [*parents, *_imports(ast.parse(path.read_text(encoding="utf-8")))]
    return sorted(found)


def copy_renamed(root: Path, target: Path, modules: Iterable[str], names: Mapping[str, str]) -> None:
    """Copy modules into `target` with their packages renamed, in names of files and in the text.

    Args:
        root: the checkout.
        target: a folder; packages are made in it.
        modules: dotted names.
        names: new dotted name of each package at the top, e.g. {"export": "hsr_tf.export"}.
    """
    modules = list(modules)
    below = "|".join({re.escape(name.split(".")[1]) for name in modules if "." in name})
    pattern = re.compile(rf"(?<![\w./-])({'|'.join(names)})(?=\.({below})\b| import )")
    for module in modules:
        source = _file(root, module)
        assert source is not None, module
        top, _, rest = module.partition(".")
        path = target.joinpath(*names[top].split("."), *rest.split("."))
        path = path / "__init__.py" if source.name == "__init__.py" else path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8")
        path.write_text(pattern.sub(lambda found: names[found[1]], text), encoding="utf-8")


def _dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _file(root: Path, name: str) -> Path | None:
    """The file of a module of this checkout; None for anything else."""
    path = root.joinpath(*name.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _imports(node: ast.AST) -> Iterator[str]:
    """The dotted names that are imported below a node, but for those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from _imports(child)
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
