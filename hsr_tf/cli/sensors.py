"""`hsr sensors`: the responses that have a name, and their curves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsr_tf import checks
from hsr_tf.console import terminal
from hsr_tf.files import require_output

EXAMPLES = (
    "hsr sensors",
    "hsr sensors --name=sentinel2a --picture=sentinel2a.png",
    "hsr sensors --name=sentinel2a:B02,B03,B04,B08 --picture=sentinel2a.png",
    "hsr sensors --name=my_camera.csv --picture=my_camera.png",
)


def sensors(
    name: Annotated[
        str | None, typer.Option(help="A sensor of the list, or a CSV file; :B02,B03 selects channels.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw its curves into this file (.png).")] = None,
) -> None:
    """List the sensors and cameras whose response --srf takes by name."""
    checks.require(
        picture is None or name is not None,
        "name",
        expected="the sensor to draw",
        received="none",
        remedy="give e.g. --name=sentinel2a",
    )
    if picture is not None:
        require_output("picture", picture, suffixes=(".png",))
    with terminal.working("loading the responses"):
        from hsr_tf.report.screen import bands_table, sensors_table

        if name is None:
            from hsr_tf.physics.response_library import response_entries

            entries = response_entries()
    if name is None:
        terminal.show(sensors_table(entries))
        return
    from hsr_tf.physics import sensors as library
    from hsr_tf.physics.response_library import find_table

    table = find_table(name)
    known, title = table.name in library.TITLES, library.TITLES.get(table.name, table.name)
    if known:
        bands = {band.channel: band for band in library.sensor_bands(table.name)}
        terminal.show(bands_table(bands[channel] for channel in table.channels))
    else:
        low, high = table.range_nm()
        typer.echo(f"{title}: {', '.join(table.channels)}, {low:.0f} to {high:.0f} nm")
    if picture is not None:
        from hsr_tf.report.pair_picture import responses_picture

        note = library.SOURCE if known else "as the table has it, each channel to a maximum of 1"
        responses_picture(picture, table, title=title, note=note)
        typer.echo(f"drew {picture}")
