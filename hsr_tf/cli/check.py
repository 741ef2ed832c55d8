"""`hsr check`: whether a coarse cube and a sharp image can be fused, and with which flags."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from hsr_tf import checks
from hsr_tf.cli import words
from hsr_tf.console import terminal
from hsr_tf.files import require_output, write_json
from hsr_tf.wording import as_flags

EXAMPLES = (
    "hsr check --lr_hsi=x.h5 --hr_msi=y.h5",
    "hsr check --lr_hsi=x.h5 --hr_msi=sentinel.tif --srf=sentinel2a:B02,B03,B04,B08 --picture=pair.png",
    "hsr check --lr_hsi=both.h5 --hr_msi=both.h5 --hr_key=pan --json=findings.json",
    "hsr check --lr_hsi=cube.mat --hr_msi=photo.jpg --wavelengths=400:700:10 --lr_white_level=4095",
)
NOT_FUSABLE = 1
SHOWN = ("severity", "topic", "found", "advice")


def check(
    lr_hsi: words.LrHsi,
    hr_msi: words.HrMsi,
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
    register: words.Register = "auto",
    transform: words.TransformFile = None,
    linearize: words.Linearize = "auto",
    quick: Annotated[bool, typer.Option("--quick", help="Do not estimate the cameras.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the findings to this file as well.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw both images and a checkerboard of them into this file (.png).")
    ] = None,
) -> int:
    """Look at a pair before it is fused: grids, orientation, values, noise, cameras.

    Ends with a verdict and the command that fuses the pair and carries
    out the advice. Exit code 0: it can be fused, perhaps with warnings;
    1: something has to be done first; 2: a file cannot be read.
    """
    if json_file is not None:
        require_output("json", json_file, inputs=[lr_hsi, hr_msi])
    if picture is not None:
        require_output("picture", picture, inputs=[lr_hsi, hr_msi], suffixes=(".png",))
    beside = words.Beside((lr_layout, hr_layout), nodata, alpha, allow_remote)
    levels = lr_white_level, hr_white_level
    reading = words.pair_reading((lr_key, hr_key), levels, wavelengths, beside)
    with terminal.working("reading the two images"):
        images = words.PairFiles(lr_hsi, hr_msi, reading).read()
    with terminal.working("looking at the pair"):
        from hsr_tf.fusion.check import OK, check_pair
        from hsr_tf.io.remote_names import shown_name
        from hsr_tf.registration.transform import load_transform
        from hsr_tf.report.screen import findings_table, verdict_line

        checks.require_choice("register", register, words.REGISTER)
        known: Any = register if transform is None else load_transform(transform)
        found = check_pair(
            images.lr_hsi,
            images.hr_msi,
            psf=psf,
            srf=srf,
            linearize=linearize,
            estimate=not quick,
            registration=known,
        )
    inputs: dict[str, Any] = {
        "lr_hsi": shown_name(lr_hsi),
        "hr_msi": shown_name(hr_msi),
        "lr_key": lr_key,
        "hr_key": hr_key,
    }
    inputs |= {"lr_white_level": lr_white_level, "hr_white_level": hr_white_level, "wavelengths": wavelengths}
    inputs |= {"lr_layout": lr_layout, "hr_layout": hr_layout, "nodata": nodata, "alpha": alpha}
    if transform is not None:
        inputs["transform"] = str(transform)
    elif register != words.REGISTER[0]:
        inputs["register"] = register
    given = {**inputs, **dict(found.flags), "output": "fused.h5"}
    flags = [f"--{name}={shlex.quote(str(value))}" for name, value in given.items() if value is not None]
    flags += ["--allow_remote"] if allow_remote else []
    command = " ".join(["hsr", "fuse", *flags]) if found.fusable else ""
    terminal.show(findings_table(found.findings))
    terminal.show(verdict_line(found.verdict))
    if json_file is not None:
        write_json(json_file, _as_json(found, command))
        typer.echo(f"wrote {json_file}")
    if picture is not None and found.aligned is not None:
        from hsr_tf.report.pair_picture import pair_picture

        pair_picture(picture, found.aligned.observation, title=f"{lr_hsi.name} and {hr_msi.name}")
        typer.echo(f"drew {picture}")
    if command:
        heading = "to fuse it:" if found.verdict.severity == OK else "to fuse it in spite of the warnings:"
        terminal.show(Text.assemble((f"\n{heading}\n", "cyan"), command))
    return 0 if found.fusable else NOT_FUSABLE


def _as_json(found: Any, command: str) -> dict[str, Any]:
    cameras = None if found.cameras is None else found.cameras.found
    findings = [
        {**{name: getattr(one, name) for name in SHOWN}, "advice": as_flags(one.advice)}
        for one in found.findings
    ]
    data: dict[str, Any] = {
        "fusable": found.fusable,
        "verdict": asdict(found.verdict),
        "findings": findings,
        "flags": dict(found.flags),
        "command": command or None,
    }
    if found.aligned is not None:
        data["scale"] = found.aligned.observation.scale
        nesting = found.aligned.nesting
        data["transform"] = None if nesting is None else nesting.transform.as_dict()
    if cameras is not None:
        data["cameras"] = {
            "psf": cameras.psf.kernel.tolist(),
            "shift_pixels": list(cameras.shift),
            "srf": cameras.srf.tolist(),
            "gain": cameras.srf.sum(0).tolist(),
            "radiometry": cameras.radiometry.as_dict(),
            "differ": cameras.explained.tolist(),
        }
    return data
