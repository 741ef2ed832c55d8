"""`hsr register`: where a sharp image lies on a coarse cube, as a file that fuse and check take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsr_tf.cli import words
from hsr_tf.console import terminal
from hsr_tf.files import require_output
from hsr_tf.wording import percent

EXAMPLES = (
    "hsr register --lr_hsi=x.h5 --hr_msi=y.tif --output=transform.json",
    "hsr register --lr_hsi=x.h5 --hr_msi=y.tif --output=transform.json --picture=registration.png",
    "hsr register --lr_hsi=x.h5 --hr_msi=y.tif --displacement --output=transform.json",
)
NOT_REGISTERED = 1


def register(
    lr_hsi: words.LrHsi,
    hr_msi: words.HrMsi,
    output: Annotated[Path, typer.Option(help="Output file of the transform (.json).")],
    displacement: Annotated[
        bool, typer.Option("--displacement", help="Look for a smooth local displacement as well.")
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option(help="Draw both images before and after, and the transform, into this file (.png)."),
    ] = None,
    lr_key: words.LrKey = None,
    hr_key: words.HrKey = None,
    lr_layout: words.LrLayout = None,
    hr_layout: words.HrLayout = None,
    nodata: words.Nodata = None,
    alpha: words.Alpha = None,
    allow_remote: words.AllowRemote = False,
    lr_white_level: words.LrWhiteLevel = None,
    hr_white_level: words.HrWhiteLevel = None,
    wavelengths: words.Wavelengths = None,
) -> int:
    """Find where a sharp image lies on a coarse cube: shift, rotation, ratio, mirror image, perspective.

    The transform is saved for hsr fuse and hsr check (--transform). Exit
    code 1, and no file, where the images match nowhere beyond chance.
    """
    inputs = [lr_hsi, hr_msi]
    require_output("output", output, inputs=inputs, suffixes=(".json",))
    if picture is not None:
        require_output("picture", picture, inputs=inputs, suffixes=(".png",))
    beside = words.Beside((lr_layout, hr_layout), nodata, alpha, allow_remote)
    levels = lr_white_level, hr_white_level
    reading = words.pair_reading((lr_key, hr_key), levels, wavelengths, beside)
    with terminal.working("reading the two images"):
        images = words.PairFiles(lr_hsi, hr_msi, reading).read()
    with terminal.working("registering"):
        from hsr_tf.registration.register import register as find
        from hsr_tf.report.screen import facts

        found = find(images.lr_hsi, images.hr_msi, displacement=displacement)
    if not found.accepted:
        terminal.warn(f"{found.line}; check that both files show the same ground", error=True)
        return NOT_REGISTERED
    found.transform.save(output)
    figures = f"correlation {found.match.correlation:.2f}; chance reaches {found.match.needed:.2f}"
    rows = [("transform", f"hr_msi {found.transform.line}"), ("match", figures)]
    rows.append(("unexplained", f"{percent(found.unexplained)} of the variance that both show"))
    if not found.moved:
        rows.append(("", "the images match as they are; no registration is needed"))
    terminal.show(facts([(name or "note", text) for name, text in rows]))
    if picture is not None:
        from hsr_tf.report.registration_picture import registration_picture

        title = f"{lr_hsi.name} and {hr_msi.name}"
        registration_picture(picture, images.lr_hsi, images.hr_msi, found, title=title)
        typer.echo(f"drew {picture}")
    typer.echo(f"wrote {output}")
    return 0
