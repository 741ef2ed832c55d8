"""What `hsr fuse` does beside the fusion for those without a truth: the map of sigma, and Wald's protocol."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsr_tf import checks
from hsr_tf.console import terminal
from hsr_tf.console.errors import tell

if TYPE_CHECKING:
    from hsr_tf.findings import Finding, Verdict
    from hsr_tf.fusion.alignment import Aligned
    from hsr_tf.fusion.quality import WaldTrial
    from hsr_tf.io.header import CubeHeader
    from hsr_tf.methods import Method
    from hsr_tf.scene import Observation, Scene, Solution

Uncertainty = Annotated[
    Path | None,
    typer.Option(help="Write a map of the expected error (1 sigma, every pixel and band) to this file."),
]
Wald = Annotated[
    bool, typer.Option("--wald", help="Score the method one scale down as well, against lr_hsi.")
]


Strict = Annotated[
    bool,
    typer.Option("--strict", help="End with exit code 3 unless the verdict on the estimate is green."),
]
NOT_GREEN = 3


def show_lost(estimate: Scene | CubeHeader, output: Path) -> None:
    """Show what the format of the output does not hold of the bands and the ground of an estimate."""
    from hsr_tf.findings import WARNING
    from hsr_tf.io.convert import lost_findings
    from hsr_tf.io.formats import format_for
    from hsr_tf.io.header import CubeHeader

    facts = replace(estimate.info, metadata={}).facts()
    header = CubeHeader(shape=estimate.shape, **facts)
    for finding in lost_findings(header, format_for(output)):
        terminal.warn(finding.line) if finding.severity == WARNING else typer.echo(finding.line)


@dataclass(frozen=True)
class FusionOptions:
    """Cameras, weights and controls of a fusion, see `hsr_tf.fuse`."""

    psf: Any
    srf: Any
    weights: Path | None
    controls: Any


def require_map(path: Path | None, output: Path) -> None:
    """Refuse a name for the map that could not be written, or is that of the estimate."""
    from hsr_tf import io

    if path is None:
        return
    io.writer_for(path)
    if path.absolute() == output.absolute():
        raise checks.file_error(path, "is the name of the estimate as well", "write the map to another name")


def fused(
    observation: Observation, method: Method, options: FusionOptions, *, with_map: bool
) -> tuple[Solution, Scene | None]:
    """The solution, and the map where it is wanted."""
    from hsr_tf.fusion import api as fusion

    psf, srf, weights, controls = options.psf, options.srf, options.weights, options.controls
    with residual_warnings_later():
        if not with_map:
            found = fusion.fuse(observation, method, psf=psf, srf=srf, weights=weights, controls=controls)
            return found, None
        terminal.load_keras()
        from hsr_tf.fusion.error_maps import UncertainFusion

        mapped = UncertainFusion()(observation, method, psf=psf, srf=srf, weights=weights, controls=controls)
    return mapped.solution, mapped.sigma


def one_scale_down(observation: Observation, method: Method, options: FusionOptions) -> WaldTrial:
    """Score the method one scale down, with the options of the fusion."""
    from hsr_tf.fusion.quality import wald

    psf, srf = options.psf, options.srf
    with residual_warnings_later(), terminal.working("fusing one scale down"):
        return wald(observation, method, psf=psf, srf=srf, weights=options.weights, controls=options.controls)


@contextmanager
def residual_warnings_later() -> Iterator[None]:
    """Residual findings are shown below the table, where the solution has them: no warning before."""
    from hsr_tf.fusion.residuals import ResidualWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResidualWarning)
        yield


def show_verdict(verdict: Verdict, findings: Sequence[Finding]) -> None:
    """The verdict below the table, then what was not warned of before: registration, residuals, files."""
    from hsr_tf.findings import ERROR, WARNING
    from hsr_tf.fusion.registered import TOPIC
    from hsr_tf.fusion.residuals import is_about_residuals
    from hsr_tf.io.account import FILE
    from hsr_tf.report.screen import verdict_line

    terminal.show(verdict_line(verdict))
    for finding in findings:
        about_a_file = finding.topic == FILE and finding.severity == WARNING
        if about_a_file or finding.topic == TOPIC or is_about_residuals(finding):
            terminal.warn(finding.line, error=finding.severity == ERROR)


def read_lines(solution: Solution, aligned: Aligned) -> tuple[tuple[str, Sequence[str]], ...]:
    """What was taken for granted in the files, and how the grids were brought together."""
    from hsr_tf.findings import NOTE
    from hsr_tf.io.account import FILE

    notes = [one.line for one in solution.findings if (one.topic, one.severity) == (FILE, NOTE)]
    return ("files", notes), ("grids", aligned.lines)


def verdict_code(verdict: Verdict, *, strict: bool) -> int:
    """The exit code of a fusion: 3 for a verdict that is not green where it is to be strict, else 0."""
    from hsr_tf.findings import GREEN

    if not strict or verdict.color == GREEN:
        return 0
    tell(f"strict: the verdict is {verdict.color}, exit code {NOT_GREEN}; the files are written")
    return NOT_GREEN


def show_trial(trial: WaldTrial) -> None:
    """The scores one scale down, and between which sizes they were found."""
    from hsr_tf.report.screen import scorecard_table

    sizes = ["x".join(map(str, scene.shape)) for scene in (trial.observation.lr_hsi, trial.reference)]
    table = scorecard_table(trial.scores)
    table.title, table.title_justify = f"one scale down (Wald), {sizes[0]} to {sizes[1]}", "left"
    terminal.show(table)
