"""Tables of an evaluation: scores.csv, scores.json, scores.md, and the groups that means are taken over."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hsr_tf import checks
from hsr_tf.files import replacing_file, write_json

Row = TypeVar("Row")
Key = TypeVar("Key", bound=Hashable)
Plain = dict[str, Any]


def grouped(rows: Sequence[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    """Return the rows by their key, in the order of their first appearance."""
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def weights_label(method: str, folder: str | os.PathLike[str]) -> str:
    """How tables name a method with the weights of a folder: the run's name where that is RUN/model."""
    place = Path(folder).absolute()
    return f"{method}@{place.parent.name if place.name == 'model' else place.name}"


def require_distinct(labels: Sequence[str]) -> None:
    """Refuse methods that tables would name alike.

    Raises:
        InputError: there are such, or none at all.
    """
    checks.require(
        0 < len(labels) == len(set(labels)),
        "methods",
        expected="at least one method, each once",
        received=",".join(labels) or "none",
        remedy="name folders of weights differently",
    )


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    rows = [headings, ["---"] * len(headings), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def write_tables(
    folder: Path, rows: Sequence[Plain], *, protocol: Plain, means: Sequence[Plain], text: str
) -> None:
    """Write scores.csv (the rows), scores.json (protocol, rows, means) and scores.md (the text)."""
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_json(folder / "scores.json", {"protocol": protocol, "rows": rows, "mean": means})
    for name, content in (("scores.csv", table.getvalue()), ("scores.md", text)):
        with replacing_file(folder / name) as draft:
            draft.write_text(content, encoding="utf-8")
