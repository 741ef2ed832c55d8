"""`hsr report`: one HTML file that shows a result, from the folder of a run or from files."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsr_tf import checks
from hsr_tf.cli import words
from hsr_tf.console import terminal
from hsr_tf.files import HTML, require_output

if TYPE_CHECKING:
    from hsr_tf.findings import Finding
    from hsr_tf.fusion.registered import Registered
    from hsr_tf.scene import Observation, Scene

Given = tuple[Any, Any]
EXAMPLES = (
    "hsr report --run=runs/mine --output=report.html",
    "hsr report --lr_hsi=x.h5 --hr_msi=y.tif --estimate=z.h5 --output=report.html",
    "hsr report --lr_hsi=x.h5 --hr_msi=y.tif --estimate=z.h5 --transform=t.json --output=r.html",
    "hsr report --lr_hsi=x.h5 --hr_msi=y.h5 --estimate=z.h5 --reference=truth.h5 --output=r.html",
)


def report(
    output: Annotated[Path, typer.Option(help="The page to write (.html).")],
    run: Annotated[Path | None, typer.Option(help="The --run_dir of a trainer.")] = None,
    lr_hsi: Annotated[Path | None, typer.Option("--lr_hsi", help="The coarse hyperspectral cube.")] = None,
    hr_msi: Annotated[
        Path | None, typer.Option("--hr_msi", help="The sharp colour or multispectral image.")
    ] = None,
    estimate: Annotated[
        list[Path] | None, typer.Option(help="The estimated sharp cube; may be repeated up to five times.")
    ] = None,
    reference: Annotated[Path | None, typer.Option(help="The true sharp cube, where it is known.")] = None,
    psf: words.Psf = None,
    srf: words.Srf = None,
    lr_key: words.LrKey = None,
    hr_key: words.HrKey = None,
    lr_white_level: words.LrWhiteLevel = None,
    hr_white_level: words.HrWhiteLevel = None,
    wavelengths: words.Wavelengths = None,
    lr_layout: words.LrLayout = None,
    hr_layout: words.HrLayout = None,
    nodata: words.Nodata = None,
    alpha: words.Alpha = None,
    allow_remote: words.AllowRemote = False,
    register: words.Register = "auto",
    transform: words.TransformFile = None,
) -> None:
    """Write one HTML file that shows a result; it opens without a network.

    Compare versions beside a divider, move through the bands, click for
    spectra; error and angle maps (or, without the truth, what the two
    images leave unexplained), cameras, curves, scores, configuration.
    The images are registered and paired as by hsr fuse.
    """
    images = {"lr_hsi": lr_hsi, "hr_msi": hr_msi, "estimate": estimate}
    named = [name for name, path in {**images, "reference": reference}.items() if path]
    checks.require(
        all(images.values()) if run is None else not named,
        "run",
        expected="the folder of a run, or lr_hsi, hr_msi and estimate",
        received=", ".join([*(["run"] if run else []), *named]) or "none",
        remedy="give --run=DIR, or --lr_hsi, --hr_msi and --estimate",
    )
    given = [path for path in (lr_hsi, hr_msi, reference, *(estimate or ())) if path is not None]
    require_output("output", output, inputs=given, suffixes=HTML)
    with terminal.working("reading the result"):
        if run is None:
            assert lr_hsi and hr_msi and estimate
            beside = words.Beside((lr_layout, hr_layout), nodata, alpha, allow_remote)
            levels = lr_white_level, hr_white_level
            reading = words.pair_reading((lr_key, hr_key), levels, wavelengths, beside)
            pair = words.PairFiles(lr_hsi, hr_msi, reading).read()
            registered = words.brought_together(pair, register, transform, psf=psf)
            data = _from_files(registered, estimate, reference, (psf, srf))
        else:
            terminal.load_keras()
            from hsr_tf.report.run_folder import run_report

            data = run_report(run)
    with terminal.working("writing the report"):
        from hsr_tf.report.html import write_report

        write_report(data, output)
    typer.echo(f"wrote {output}  {output.stat().st_size / 1e6:.1f} MB")


def _from_files(registered: Registered, estimates: list[Path], reference: Path | None, given: Given) -> Any:
    """What a report shows of files."""
    from hsr_tf import io
    from hsr_tf.findings import estimate_verdict
    from hsr_tf.fusion.alignment import require_fused_from
    from hsr_tf.fusion.cameras import ESTIMATE
    from hsr_tf.fusion.quality import assessed_cameras

    aligned = registered.aligned
    observation = aligned.observation
    cubes = {path: io.load(path) for path in estimates}
    truth = None if reference is None else io.load(reference)
    for path, cube in cubes.items():
        require_fused_from(aligned, cube, name=f"estimate {path}")
    if truth is not None:
        require_fused_from(aligned, truth, name="reference")
        truth = aligned.on_cells(truth)
    cubes = {path: aligned.on_cells(cube) for path, cube in cubes.items()}
    terminal.load_keras()
    from hsr_tf.report.scene_report import scene_report, shown_cameras

    named = words.by_name(cubes)
    psf, srf = given
    choice = None
    if ESTIMATE in given:  # once for all estimates
        choice = assessed_cameras(observation, psf, srf, srf_needed=False)
        observation = observation.linear(choice.radiometry)
        psf = choice.model.spatial.psf if psf == ESTIMATE else psf
        srf = choice.model.spectral if srf == ESTIMATE else srf
    cameras = shown_cameras(observation, psf=psf, srf=srf, choice=choice)
    data = scene_report(observation, named, reference=truth, cameras=cameras)
    settings = {name: dict(cube.metadata) for name, cube in named.items()}
    data = replace(data, configuration=settings, command=("hsr", *sys.argv[1:]), notes=aligned.lines)
    left = _unexplained(observation, named, (psf, srf))
    findings = (*registered.warnings, *(left or ()))
    judged = left is not None or bool(findings)
    return replace(data, findings=findings, verdict=estimate_verdict(findings) if judged else None)


def _unexplained(
    observation: Observation, estimates: Mapping[str, Scene], given: Given
) -> tuple[Finding, ...] | None:
    """What estimates leave of the images beyond noise; None unless both cameras are given or recorded."""
    from hsr_tf.fusion.quality import assess
    from hsr_tf.fusion.residuals import residual_findings
    from hsr_tf.physics.cameras import GIVEN, TOLD, choose_cameras

    choice = choose_cameras(observation, psf=given[0], srf=given[1], srf_needed=False)
    if not {choice.psf_origin, choice.srf_origin} <= {GIVEN, TOLD}:
        return None
    findings = []
    for name, scene in estimates.items():
        found = assess(observation, scene, psf=given[0], srf=given[1]).figures.consistency
        for finding in residual_findings(observation, found.lr_hsi_residual, found.hr_msi_residual):
            findings.append(replace(finding, found=f"{name}: {finding.found}"))
    return tuple(findings)
