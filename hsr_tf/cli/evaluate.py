"""`hsr evaluate`: estimates held against the truth."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsr_tf import checks
from hsr_tf.cli import words
from hsr_tf.console import terminal
from hsr_tf.files import HTML, require_output, write_json

if TYPE_CHECKING:
    from hsr_tf.metrics.full_reference import Scorecard
    from hsr_tf.scene import Scene

EXAMPLES = (
    "hsr evaluate --reference=balloons.h5 --estimate=sharp.h5 --scale=8",
    "hsr evaluate --reference=balloons.h5 --estimate=sharp.h5 --scale=8 --json=scores.json",
    "hsr evaluate --reference=balloons.h5 --estimate=sharp.h5 --scale=8 --report=report.html",
    "hsr evaluate --reference=z.h5 --estimate=a.h5 --estimate=b.h5 --scale=8 --maps=maps.png",
)


def evaluate(
    reference: Annotated[Path, typer.Option(help="The true sharp cube.")],
    estimate: Annotated[
        list[Path], typer.Option(help="An estimated cube, clipped to [0, 1] first; may be repeated.")
    ],
    scale: Annotated[int, typer.Option(help="Scale factor between the fused resolutions, for ERGAS.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the scores to this file as well.")
    ] = None,
    report: words.Report = None,
    maps: Annotated[
        Path | None,
        typer.Option(help="Draw the estimates and their angle and error maps side by side (.png)."),
    ] = None,
    maps_band: Annotated[
        int | None,
        typer.Option("--maps_band", help="Draw the error of this band, from 1; default: the mean."),
    ] = None,
) -> None:
    """Score estimates against the truth: PSNR, RMSE, SSIM, SAM, ERGAS.

    Pixels without data in either of them do not count.
    """
    from hsr_tf import io

    estimate = list(dict.fromkeys(estimate))
    _require_outputs({"json": json_file, "report": report, "maps": maps}, [reference, *estimate])
    checks.require(
        maps is not None or maps_band is None,
        "maps_band",
        expected="none without maps",
        received=str(maps_band),
        remedy="add --maps=FILE.png, or leave it out",
    )
    with terminal.working("reading the cubes"):
        truth = io.load(reference)
        named = words.by_name({path: io.load(path) for path in estimate})
    with terminal.working("scoring"):
        cards = {name: _score(truth, guess, scale) for name, guess in named.items()}
    _show(named, cards)
    if json_file is not None:
        write_json(json_file, _scores((reference, estimate), scale, cards))
        typer.echo(f"wrote {json_file}")
    if report is not None:
        with terminal.working("writing the report"):
            from hsr_tf.report.html import write_report
            from hsr_tf.report.scene_report import estimate_report

            data = estimate_report(named, truth, scale=scale)
            write_report(replace(data, command=("hsr", *sys.argv[1:])), report)
        typer.echo(f"wrote {report}")
    if maps is not None:
        with terminal.working("drawing the maps"):
            from hsr_tf.report.method_maps import method_maps, scene_maps
            from hsr_tf.scene import pixels_with_data

            cubes = {name: guess.cube for name, guess in named.items()}
            band = None if maps_band is None else maps_band - 1
            counted = pixels_with_data(truth, *named.values())
            shown = scene_maps(truth, cubes, cards, band=band, counted=counted)
            method_maps(maps, [shown], title=f"{shown.title}, x{scale}")
        typer.echo(f"wrote {maps}")


def _require_outputs(outputs: Mapping[str, Path | None], inputs: list[Path]) -> None:
    """Refuse names of files that cannot be written before anything is read."""
    suffixes = {"report": HTML, "maps": (".png",)}
    for name, path in outputs.items():
        if path is not None:
            require_output(name, path, inputs=inputs, suffixes=suffixes.get(name, ()))


def _score(truth: Scene, guess: Scene, scale: int) -> Scorecard:
    from hsr_tf.metrics.full_reference import scorecard
    from hsr_tf.scene import pixels_with_data

    same = truth.shape == guess.shape  # else scorecard says so
    return scorecard(truth, guess, scale=scale, counted=pixels_with_data(truth, guess) if same else None)


def _show(named: Mapping[str, Scene], cards: Mapping[str, Scorecard]) -> None:
    """The scores, and the verdicts of the fusions, where the files record them."""
    from hsr_tf.report.screen import scorecard_table, scorecards_table

    first = next(iter(cards.values()))
    terminal.show(scorecard_table(first) if len(cards) == 1 else scorecards_table(cards))
    for name, guess in named.items():
        if "verdict" in guess.metadata:
            whose = "its" if len(named) == 1 else f"the {name}"
            typer.echo(f"the verdict of {whose} fusion: {guess.metadata['verdict']}")


def _scores(files: tuple[Path, list[Path]], scale: int, cards: Mapping[str, Scorecard]) -> dict[str, object]:
    """The scores as plain data: of one estimate, or by name of several."""
    reference, estimates = files
    head: dict[str, object] = {"reference": str(reference), "scale": scale}
    rows = [
        {"estimate": str(path), "scores": card.as_dict()}
        for path, card in zip(estimates, cards.values(), strict=True)
    ]
    return (
        {**head, **rows[0]} if len(rows) == 1 else {**head, "estimates": dict(zip(cards, rows, strict=True))}
    )
