"""What `hsr sensors` shows on a terminal: the named responses, and the bands of one sensor."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Column, Table

from hsr_tf.physics.response_library import ResponseEntry
from hsr_tf.physics.sensors import SensorBand
from hsr_tf.report.screen import plain_table


def sensors_table(entries: Iterable[ResponseEntry]) -> Table:
    """The named responses: name, channels, range, where the figures are from."""
    name_column, range_column = Column("name", no_wrap=True, style="bold"), Column("range, nm", no_wrap=True)
    table = plain_table(name_column, "sensor or camera", "channels", range_column, "source")
    for entry in entries:
        span = f"{entry.range_nm[0]:.0f} to {entry.range_nm[1]:.0f}"
        table.add_row(entry.name, entry.title, ", ".join(entry.channels), span, entry.source)
    return table


def bands_table(bands: Iterable[SensorBand]) -> Table:
    """The bands of one sensor."""
    names = ("centre, nm", "from, nm", "to, nm", "width, nm")
    table = plain_table("channel", *(Column(name, justify="right") for name in names))
    for band in bands:
        low, high = band.lower_nm, band.upper_nm
        values = ((low + high) / 2, low, high, high - low)
        table.add_row(band.channel, *(f"{value:.1f}" for value in values))
    return table
