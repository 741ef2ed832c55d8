"""`hsr check`: whether a coarse cube and a sharp image can be fused, and with which flags."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from hsr_tf.cli.pair import PairFiles
from hsr_tf.cli.words import HrKey, LrKey, Psf, Srf, require_apart, require_json, write_json
from hsr_tf.report import terminal

EXAMPLES = (
    "hsr check --lr_hsi=x.h5 --hr_msi=y.h5",
    "hsr check --lr_hsi=x.h5 --hr_msi=sentinel.tif --srf=sentinel2a:B02,B03,B04,B08 --picture=pair.png",
    "hsr check --lr_hsi=both.h5 --hr_msi=both.h5 --hr_key=pan --json=findings.json",
)
NOT_FUSABLE = 1


def check(
    lr_hsi: Annotated[Path, typer.Option("--lr_hsi", help="The coarse hyperspectral cube.")],
    hr_msi: Annotated[Path, typer.Option("--hr_msi", help="The sharp colour or multispectral image.")],
    lr_key: LrKey = None,
    hr_key: HrKey = None,
    psf: Psf = None,
    srf: Srf = None,
    quick: Annotated[bool, typer.Option("--quick", help="Do not estimate the cameras.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the findings to this file as well.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw both images and a checkerboard of them into this file (.png).")
    ] = None,
) -> int:
    """Look at a pair before it is fused: grids, orientation, values, noise, cameras.

    Ends with the command that fuses the pair. Exit code 0: it can be
    fused; 1: it cannot as it is; 2: a file cannot be read.
    """
    _require_outputs(json_file, picture, [lr_hsi, hr_msi])
    with terminal.working("reading the two images"):
        images = PairFiles(lr_hsi, hr_msi, lr_key, hr_key).read()
    with terminal.working("looking at the pair"):
        terminal.load_keras()
        from hsr_tf.pair_check import check_pair
        from hsr_tf.report.pair_screen import findings_table, verdict

        found = check_pair(*images, psf=psf, srf=srf, estimate=not quick)
    inputs = {"lr_hsi": str(lr_hsi), "hr_msi": str(hr_msi), "lr_key": lr_key, "hr_key": hr_key}
    command = _fuse_command({**inputs, **dict(found.flags)}) if found.fusable else ""
    terminal.show(findings_table(found.findings))
    terminal.show(verdict(found.findings))
    if json_file is not None:
        write_json(json_file, _as_json(found, command))
        typer.echo(f"wrote {json_file}")
    if picture is not None and found.aligned is not None:
        from hsr_tf.report.pair_picture import pair_picture

        pair_picture(picture, found.aligned.observation, title=f"{lr_hsi.name} and {hr_msi.name}")
        typer.echo(f"drew {picture}")
    if command:
        terminal.show(Text.assemble(("\nto fuse it:\n", "cyan"), command))
    return 0 if found.fusable else NOT_FUSABLE


def _require_outputs(json_file: Path | None, picture: Path | None, inputs: list[Path]) -> None:
    from hsr_tf.report.canvas import require_png

    if picture is not None:
        require_png(picture)
    for path in (json_file, picture):
        if path is not None:
            require_json(path)
            require_apart([path], inputs)


def _fuse_command(flags: dict[str, Any]) -> str:
    """The command line that fuses the pair as the check suggests."""
    given = {**flags, "output": "fused.h5"}
    words = [f"--{name}={shlex.quote(str(value))}" for name, value in given.items() if value is not None]
    return " ".join(["hsr", "fuse", *words])


def _as_json(found: Any, command: str) -> dict[str, Any]:
    cameras = None if found.cameras is None else found.cameras.found
    data: dict[str, Any] = {
        "fusable": found.fusable,
        "findings": [asdict(finding) for finding in found.findings],
        "flags": dict(found.flags),
        "command": command or None,
    }
    if found.aligned is not None:
        data["scale"] = found.aligned.observation.scale
    if cameras is not None:
        data["cameras"] = {
            "psf": cameras.psf.kernel.tolist(),
            "shift_pixels": list(cameras.shift),
            "srf": cameras.srf.tolist(),
            "differ": cameras.explained.tolist(),
        }
    return data
