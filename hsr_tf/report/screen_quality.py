"""What `hsr quality` shows: every figure without a truth, and what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.table import Column, Table

from hsr_tf.metrics.table import metrics_for
from hsr_tf.report.screen import plain_table

if TYPE_CHECKING:
    from hsr_tf.metrics.no_reference import NoReference


def quality_table(figures: NoReference, *, psf: str, srf: str) -> Table:
    """Return the figures of one estimate, under the cameras that they were found with."""
    side = figures.qnr.block_side
    value_column = Column("value", justify="right", style="bold", no_wrap=True)
    table = plain_table(Column("figure", no_wrap=True), value_column, Column("meaning", style="dim"))
    table.title, table.title_justify = f"psf {psf}, srf {srf}", "left"
    table.caption = f"D and QNR: means over blocks of {side}x{side} coarse pixels"
    table.caption_justify, values = "left", figures.by_name()
    for metric in metrics_for("images"):
        value, meaning = values[metric.name], metric.meaning or f"{metric.better} is better"
        if value is None:
            table.add_row(metric.label, "unknown", "the response is not known: give --srf")
        elif isinstance(value, tuple):  # one for every band or channel: the lowest, and which one it is
            place = f"{metric.meaning} {int(np.argmin(value)) + 1} of {len(value)}"
            meaning = f"{place}; mean of all {metric.text(float(np.mean(value)))}"
            table.add_row(metric.label, metric.text(min(value)), meaning)
        else:
            table.add_row(metric.label, metric.text(value), meaning)
    return table
