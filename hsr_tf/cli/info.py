"""`hsr info`: what a file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsr_tf.cli import words
from hsr_tf.console import terminal

EXAMPLES = (
    "hsr info balloons.h5",
    "hsr info a_folder_of_png_bands",
    "hsr info both.mat --key=HS",
    "hsr info cube.npz --layout=row,col,band",
    "hsr info https://example.org/scene.tif --allow_remote",
)


def info(
    file: Annotated[Path, typer.Argument(help="A cube or image file, or a folder of PNG bands.")],
    key: Annotated[str | None, typer.Option(help="Which array, where the file holds several.")] = None,
    layout: Annotated[str | None, typer.Option(help="Order of its axes, e.g. row,col,band.")] = None,
    nodata: words.Nodata = None,
    alpha: words.Alpha = None,
    allow_remote: words.AllowRemote = False,
) -> None:
    """Show what a file holds: size, wavelengths, scaling, values, metadata.

    "used" lists what the program takes from the file, "not used" what it
    leaves, "reading" what it takes for granted.
    """
    from hsr_tf import io
    from hsr_tf.io.source import ReadRequest
    from hsr_tf.io.summary import summarise
    from hsr_tf.report.screen import facts, file_facts

    with terminal.working("reading"):
        request = ReadRequest(
            key, layout, in_parts=True, nodata=nodata, alpha=alpha, allow_remote=allow_remote
        )
        with io.open_reader(file, request) as reader:
            summary = summarise(reader)
    terminal.show(facts(file_facts(summary)))
