"""`hsr evaluate`: an estimate held against the truth."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hsr_tf.cli.words import Report
from hsr_tf.console import terminal
from hsr_tf.files import HTML, require_output, write_json

EXAMPLES = (
    "hsr evaluate --reference=balloons.h5 --estimate=sharp.h5 --scale=8",
    "hsr evaluate --reference=balloons.h5 --estimate=sharp.h5 --scale=8 --json=scores.json",
    "hsr evaluate --reference=balloons.h5 --estimate=sharp.h5 --scale=8 --report=report.html",
)


def evaluate(
    reference: Annotated[Path, typer.Option(help="The true sharp cube.")],
    estimate: Annotated[Path, typer.Option(help="The estimated cube; it is clipped to [0, 1] first.")],
    scale: Annotated[int, typer.Option(help="Scale factor between the fused resolutions, for ERGAS.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the scores to this file as well.")
    ] = None,
    report: Report = None,
) -> None:
    """Score an estimate against the truth: PSNR, RMSE, SSIM, SAM, ERGAS.

    Pixels without data in either of them do not count.
    """
    from hsr_tf import io

    if json_file is not None:
        require_output("json", json_file, inputs=[reference, estimate])
    if report is not None:
        require_output("report", report, inputs=[reference, estimate], suffixes=HTML)
    with terminal.working("reading the two cubes"):
        truth, guess = io.load(reference), io.load(estimate)
    with terminal.working("scoring"):
        from hsr_tf.metrics.full_reference import scorecard
        from hsr_tf.report.screen import scorecard_table
        from hsr_tf.scene import pixels_with_data

        same = truth.shape == guess.shape  # else scorecard says so
        counted = pixels_with_data(truth, guess) if same else None
        card = scorecard(truth, guess, scale=scale, counted=counted)
    terminal.show(scorecard_table(card))
    if "verdict" in guess.metadata:
        typer.echo(f"the verdict of its fusion: {guess.metadata['verdict']}")
    if json_file is not None:
        write_json(
            json_file,
            {
                "reference": str(reference),
                "estimate": str(estimate),
                "scale": scale,
                "scores": card.as_dict(),
            },
        )
        typer.echo(f"wrote {json_file}")
    if report is not None:
        with terminal.working("writing the report"):
            from hsr_tf.report.html import write_report
            from hsr_tf.report.scene_report import estimate_report

            name = str(guess.metadata.get("method", "")) or estimate.stem
            data = estimate_report((name, guess), truth, scale=scale)
            write_report(replace(data, command=("hsr", *sys.argv[1:])), report)
        typer.echo(f"wrote {report}")
