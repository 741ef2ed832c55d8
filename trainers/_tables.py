"""Tables of an evaluation: scores.csv, scores.json, scores.md, and the groups that means are taken over."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hsr_tf.files import replacing_file

Row = TypeVar("Row")
Key = TypeVar("Key", bound=Hashable)
Plain = dict[str, Any]


def grouped(rows: Sequence[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    """Return the rows by their key, in the order of their first appearance."""
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


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
    found = {"protocol": protocol, "rows": list(map(_finite, rows)), "mean": list(map(_finite, means))}
    texts = {
        "scores.csv": table.getvalue(),
        "scores.json": json.dumps(found, indent=1, allow_nan=False) + "\n",
        "scores.md": text,
    }
    for name, content in texts.items():
        with replacing_file(folder / name) as draft:
            Path(draft).write_text(content, encoding="utf-8")


def _finite(values: Plain) -> Plain:
    """Infinite scores, for which JSON has no number, become None."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
