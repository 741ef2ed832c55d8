"""The papers' tables with every method trained here at one cost: `python -m benchmarks.papers --table=vdsr`.

Each network of a table is trained for --minutes of all cores with nothing beside (see `_equal_budgets`), then
scored by `trainers.evaluate` on the protocol of its table. Stopped at any moment, the same command goes on
where it was: runs have checkpoints, and what is trained or scored in --folder is kept. `--update` writes the
table into docs/papers.md; `--only` trains some rows, and the table shows those that are done.
`--keep_weights` copies the weights of methods that have none into the package.

    python -m benchmarks.papers --table=ms_ssfnet --scale=16 --minutes=6 --update
    python -m benchmarks.papers --table=kbpn --minutes=6 --update
    python -m benchmarks.papers --table=vdsr --minutes=6 --update
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import flags

from benchmarks import _report
from benchmarks._equal_budgets import ROOT, Budget, run_to_end, train
from benchmarks._paper_tables import CUBE_COLUMNS, PaperRow, PaperTable, kbpn, ms_ssfnet, vdsr
from benchmarks._paper_weights import keep
from hsr_tf import checks
from hsr_tf.console.flag_apps import run_app
from hsr_tf.metrics.table import get
from hsr_tf.networks.cards import shipped_models

FLAGS = flags.FLAGS
PAGE = ROOT / "docs" / "papers.md"
TABLES = ("ms_ssfnet", "kbpn", "vdsr")


def define_flags() -> None:
    """Define the table, its budget and its folder."""
    flags.DEFINE_enum("table", "ms_ssfnet", TABLES, "Whose paper's table.")
    flags.DEFINE_integer("scale", 16, "Scale factor of the table of ms_ssfnet.", 2)
    flags.DEFINE_float("minutes", 12.0, "Training of each method, in minutes of all cores.", 0.01)
    flags.DEFINE_multi_string(
        "only", [], "Row to train and score, as the table names it; may be repeated (default: all)."
    )
    flags.DEFINE_string("folder", "runs/papers", "Folder of the runs and their scores.")
    flags.DEFINE_bool("update", False, "Write the table into docs/papers.md.")
    flags.DEFINE_bool("keep_weights", False, "Copy weights into the package, for methods without any.")


@dataclass(frozen=True)
class Figure:
    """A mean score and its deviation over the scenes, or None for the mean alone."""

    mean: float
    std: float | None
    digits: int

    def __str__(self) -> str:
        spread = "" if self.std is None else f" ± {self.std:.{self.digits}f}"
        return f"{self.mean:.{self.digits}f}{spread}"


def scores_of(row: PaperRow, table: PaperTable, model: Path, folder: Path) -> dict[str, Figure]:
    """Score a method by `trainers.evaluate`, or read the scores that are in the folder, by column."""
    path = folder / "scores" / "scores.json"
    if not path.is_file():
        name = f"{row.method}@{model}" if row.stages else row.method
        command = [sys.executable, "-m", "trainers.evaluate", f"--methods={name}", *table.evaluation]
        run_to_end([*command, f"--output_dir={path.parent}"])
    means = json.loads(path.read_text(encoding="utf-8"))["mean"]
    return picture_figures(means) if "--task=pictures" in table.evaluation else cube_figures(means)


def cube_figures(means: list[dict[str, Any]]) -> dict[str, Figure]:
    """Return the scores of one method on scenes by the headings of the table."""
    (found,) = means
    return {
        heading: Figure(found["mean"][name], found["std"][name], get(name).digits)
        for name, heading in CUBE_COLUMNS.items()
    }


def picture_figures(means: list[dict[str, Any]]) -> dict[str, Figure]:
    """Return the PSNR of one method by set and blur, "Set5 1.3", or by set and scale, "Set5 x2"."""
    found = {}
    for mean in means:
        case = f"x{mean['scale']:g}" if mean["sigma"] is None else f"{mean['sigma']:g}"
        found[f"{mean['set']} {case}"] = Figure(mean["psnr"], None, 2)
    return found


def markdown(table: PaperTable, scores: Mapping[str, Mapping[str, Figure]]) -> str:
    """Return the table: our figures, in parentheses the published ones; columns without scores are left out.

    Args:
        table: which.
        scores: figures by column, by the label of the row; rows without any are left out.
    """
    columns = [column for column in table.columns if any(column in found for found in scores.values())]
    lines = []
    for row in table.rows:
        if row.label in scores:
            found = scores[row.label]
            cells = [str(found.get(column, "–")) for column in columns]
            papers = [row.published.get(column) for column in columns]
            both = [f"{a} ({b})" if b else a for a, b in zip(cells, papers, strict=True)]
            lines.append([row.label, *both])
    return _report.table(["method", *columns], lines)


def chosen_table() -> PaperTable:
    """Return the table that the flags choose, with the rows of --only."""
    table = {"ms_ssfnet": lambda: ms_ssfnet(FLAGS.scale), "kbpn": kbpn, "vdsr": vdsr}[FLAGS.table]()
    for label in FLAGS.only:
        checks.require_choice("only", label, [row.label for row in table.rows])
    return table


def main() -> None:
    """Train and score what is missing, print the table."""
    table, cores = chosen_table(), int(_report.machine()["cores"])
    folder = Path(FLAGS.folder).absolute() / table.name.replace(" ", "_")
    scores = {}
    for row in table.rows:
        place = folder / row.folder
        scored = (place / "scores" / "scores.json").is_file()
        if FLAGS.only and row.label not in FLAGS.only and not scored:
            continue
        print(f"{table.name}: {row.label}", flush=True)
        model = place / str(len(row.stages)) / "model"
        if row.stages and not scored:
            model = train(row.stages, place, Budget(FLAGS.minutes, cores))
        scores[row.label] = scores_of(row, table, model, place)
        if FLAGS.keep_weights and row.stages and (kept := keep(model, place, shipped_models())):
            print(f"kept: {kept}", flush=True)
    found = markdown(table, scores)
    print(found)
    if FLAGS.update:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(_report.with_section(text, table.name, found), encoding="utf-8")


if __name__ == "__main__":
    define_flags()
    run_app(main)
