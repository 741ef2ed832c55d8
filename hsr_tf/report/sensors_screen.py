"""What `hsr sensors` shows on a terminal: the named responses, and the bands of one sensor."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.table import Table

from hsr_tf.physics.response_library import ResponseEntry
from hsr_tf.physics.sensors import SensorBand


def sensors_table(entries: Iterable[ResponseEntry]) -> Table:
    """The named responses: name, channels, range, where the figures are from."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("name", "sensor or camera", "channels", "range, nm", "source"):
        table.add_column(
            name, no_wrap=name in ("name", "range, nm"), style="bold" if name == "name" else None
        )
    for entry in entries:
        span = f"{entry.range_nm[0]:.0f} to {entry.range_nm[1]:.0f}"
        table.add_row(entry.name, entry.title, ", ".join(entry.channels), span, entry.source)
    return table


def bands_table(bands: Iterable[SensorBand]) -> Table:
    """The bands of one sensor."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("channel", "centre, nm", "from, nm", "to, nm", "width, nm"):
        table.add_column(name, justify="left" if name == "channel" else "right")
    for band in bands:
        values = (
            (band.lower_nm + band.upper_nm) / 2,
            band.lower_nm,
            band.upper_nm,
            band.upper_nm - band.lower_nm,
        )
        table.add_row(band.channel, *(f"{value:.1f}" for value in values))
    return table
