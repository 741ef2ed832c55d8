"""`hsr quality`: figures of an estimate without a truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hsr_tf.cli import words
from hsr_tf.console import terminal
from hsr_tf.files import require_output, write_json

EXAMPLES = (
    "hsr quality --lr_hsi=x.h5 --hr_msi=y.h5 --estimate=sharp.h5",
    "hsr quality --lr_hsi=x.h5 --hr_msi=y.tif --estimate=z.h5 --psf=gaussian:fwhm=6 --json=quality.json",
    "hsr quality --lr_hsi=x.h5 --hr_msi=y.tif --estimate=z.h5 --transform=transform.json",
    "hsr quality --lr_hsi=both.mat --lr_key=HS --hr_msi=both.mat --hr_key=PAN --estimate=z.h5",
)


def quality(
    lr_hsi: words.LrHsi,
    hr_msi: words.HrMsi,
    estimate: Annotated[Path, typer.Option(help="The sharp cube that was fused from them.")],
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
    psf: words.Psf = None,
    srf: words.Srf = None,
    srf_outside: words.SrfOutside = "error",
    register: words.Register = "auto",
    transform: words.TransformFile = None,
    linearize: words.Linearize = "auto",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file as well.")
    ] = None,
) -> None:
    """Judge an estimate without a truth: does it explain both images, and the QNR family.

    --psf and --srf default to the cameras recorded in the files,
    otherwise gaussian and nikon_d700; estimate finds them from the two
    images. The images are registered and paired as by hsr fuse, and the
    estimate must lie on the pixels of its result.
    """
    from hsr_tf import io
    from hsr_tf.fusion.alignment import require_fused_from

    beside = words.Beside((lr_layout, hr_layout), nodata, alpha, allow_remote)
    levels = lr_white_level, hr_white_level
    reading = words.pair_reading((lr_key, hr_key), levels, wavelengths, beside)
    pair = words.PairFiles(lr_hsi, hr_msi, reading)
    if json_file is not None:
        require_output("json", json_file, inputs=[*pair.paths, estimate])
    with terminal.working("reading the images and the estimate"):
        fused = io.load(estimate)
        registered = words.brought_together(pair.read(), register, transform, psf=psf)
        aligned = registered.aligned
        observation = replace(aligned.observation, linearize=linearize)
        require_fused_from(aligned, fused)
    with terminal.working("judging"):
        from hsr_tf.fusion.quality import assess
        from hsr_tf.report.screen import quality_table

        response = words.given_srf(srf, srf_outside, observation.lr_hsi)
        found = assess(observation, aligned.on_cells(fused), psf=psf, srf=response)
    for line in aligned.lines:
        typer.echo(f"grids: {line}")
    terminal.show(quality_table(found.figures, psf=found.psf, srf=found.srf))
    for finding in registered.warnings:
        terminal.warn(finding.line)
    if json_file is not None:
        inputs = {"lr_hsi": str(lr_hsi), "hr_msi": str(hr_msi), "estimate": str(estimate)}
        cameras = {"psf": found.psf, "srf": found.srf}
        nesting = aligned.nesting
        placed = {"transform": None if nesting is None else nesting.transform.as_dict()}
        write_json(json_file, {**inputs, **cameras, **placed, "figures": found.figures.as_dict()})
        typer.echo(f"wrote {json_file}")
