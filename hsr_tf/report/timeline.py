"""Quality against time: the course of one solver, and methods side by side."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from hsr_tf.checks import require
from hsr_tf.metrics.table import get
from hsr_tf.report.canvas import (
    LINE_COLOURS,
    NAME_POINTS,
    NOTE,
    NOTE_POINTS,
    QUIET,
    axes_at,
    blank,
    headline,
    quiet_axes,
    save_png,
)

MARKERS = "osD^vPX<>pdh"
LEGEND, REACH_DB, FLOOR_REACH_DB = 1.6, 10.0, 3.0
SMALLEST_SPAN_DB = 0.5


@dataclass(frozen=True, eq=False, kw_only=True)
class Course:
    """How one run went.

    Attributes:
        title: headline.
        seconds: of every sample, increasing.
        objective: what was minimised, NaN where it was not computed.
        psnr: dB, NaN where it was not measured; all NaN without a truth.
        floors: PSNR of other methods, drawn as lines.
        kernel_l1: of the PSF, where it is learnt and the true one is known; NaN elsewhere, or empty.
        response_sam_degrees: of the response, likewise.
    """

    title: str
    seconds: Sequence[float]
    objective: Sequence[float]
    psnr: Sequence[float]
    floors: Mapping[str, float] = field(default_factory=dict)
    kernel_l1: Sequence[float] = ()
    response_sam_degrees: Sequence[float] = ()


@dataclass(frozen=True)
class Mark:
    """One method at one scale: mean time and mean PSNR."""

    method: str
    group: str
    seconds: float
    psnr: float


def course_sheet(path: str | os.PathLike[str], course: Course) -> Path:
    """Draw PSNR and objective over time as a PNG file, which appears whole or not at all.

    Raises:
        ValueError: no sample, or a `path` that does not end in .png.
        OSError: the file cannot be written; what was there before stays.
    """
    return save_png(draw_course(course), path)


def draw_course(course: Course) -> Figure:
    """The course as a matplotlib figure: PSNR (where it is known), objective, then learnt cameras."""
    require(
        len(course.seconds) > 0,
        "seconds",
        expected="at least one sample",
        received="none",
        remedy="run at least one iteration",
    )
    seconds = np.asarray(course.seconds, np.float64)
    curves = {"PSNR, dB": np.asarray(course.psnr, np.float64)}
    curves["objective"] = np.asarray(course.objective, np.float64)
    curves["kernel L1"] = np.asarray(course.kernel_l1, np.float64)
    curves["response SAM, degrees"] = np.asarray(course.response_sam_degrees, np.float64)
    shown = {name: values for name, values in curves.items() if np.isfinite(values).any()}
    figure = blank(7.0, 0.95 + 2.2 * max(1, len(shown)))
    headline(figure, course.title)
    for number, (name, values) in enumerate(shown.items()):
        axes = figure.add_subplot(len(shown), 1, number + 1)
        _draw_curve(axes, seconds, values, name, course.floors if name.startswith("PSNR") else {})
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.11, right=0.97, top=1 - 0.5 / height, bottom=0.45 / height, hspace=0.28)
    return figure


def _draw_curve(
    axes: Axes, seconds: np.ndarray, values: np.ndarray, name: str, floors: Mapping[str, float]
) -> None:
    known = np.isfinite(values)
    axes.plot(seconds[known], values[known], color=LINE_COLOURS[0], lw=1.5, marker=".", markersize=4)
    near = {label: level for label, level in floors.items() if level > values[known].min() - FLOOR_REACH_DB}
    for number, (label, level) in enumerate(near.items(), start=1):
        colour = LINE_COLOURS[number % len(LINE_COLOURS)]
        axes.axhline(level, color=colour, lw=1.2, linestyle=(0, (5, 2)))
        at: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "xytext": (-3, 3), "ha": "right"}
        axes.annotate(f"{label} {level:.2f}", (1, level), color=colour, **at, **NOTE)
    quiet_axes(axes, "seconds", name)
    axes.set_xlim(0, 1.02 * float(seconds.max()) + 1e-6)
    if name.startswith("PSNR"):
        best = int(np.nanargmax(values))
        axes.margins(y=0.12)
        low, high = axes.get_ylim()
        spare = max(0.0, SMALLEST_SPAN_DB - (high - low)) / 2
        axes.set_ylim(low - spare, high + spare)
        axes.ticklabel_format(axis="y", useOffset=False)
        early = seconds[best] < 0.25 * seconds.max()
        side: dict[str, Any] = (
            {"xytext": (2, 5), "ha": "left"} if early else {"xytext": (-2, 5), "ha": "right"}
        )
        text = f"{values[best]:.2f} dB at {seconds[best]:.0f} s"
        axes.annotate(text, (seconds[best], values[best]), color=QUIET, **side, **NOTE)
    elif name == "objective" and values[known].min() > 0 and values[known].max() > 10 * values[known].min():
        axes.set_yscale("log")


def time_sheet(
    path: str | os.PathLike[str], marks: Sequence[Mark], *, title: str, limit: float | None = None
) -> Path:
    """Draw PSNR against time, a mark a method, a panel a group, as a PNG file.

    Args:
        path: ends in .png.
        marks: what is shown; the groups come in their order.
        title: headline.
        limit: seconds, drawn as a line.
    """
    return save_png(draw_times(marks, title=title, limit=limit), path)


def draw_times(marks: Sequence[Mark], *, title: str, limit: float | None = None) -> Figure:
    """The marks as a matplotlib figure, time on a logarithmic axis."""
    require(len(marks) > 0, "marks", expected="at least one", received="none", remedy="score a method")
    groups, names = (list(dict.fromkeys(getattr(m, key) for m in marks)) for key in ("group", "method"))
    width, height = 0.75 + 3.6 * len(groups) + LEGEND, max(3.9, 1.0 + 0.2 * len(names))
    figure = blank(width, height)
    headline(figure, title)
    for column, group in enumerate(groups):
        axes = axes_at(figure, 0.6 + 3.6 * column, 0.5, 3.1, height - 1.15)
        _draw_marks(axes, [mark for mark in marks if mark.group == group], names, limit)
        axes.set_title(group, fontsize=NAME_POINTS, fontweight="bold", loc="left")
        quiet_axes(axes, "seconds", get("psnr_bands").title if column == 0 else "")
    handles = [Line2D([], [], label=name, **_style(number)) for number, name in enumerate(names)]
    corner = ((width - LEGEND - 0.05) / width, (height - 0.62) / height)
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=corner, frameon=False, fontsize=NOTE_POINTS
    )
    return figure


def _draw_marks(axes: Axes, marks: Sequence[Mark], names: Sequence[str], limit: float | None) -> None:
    """Marks within reach of the best one; the others are named at the lower edge."""
    axes.set_xscale("log")
    seconds = np.maximum([mark.seconds for mark in marks], 1e-2)
    best = max(mark.psnr for mark in marks)
    levels = [mark.psnr for mark in marks if mark.psnr >= best - REACH_DB]
    spread = max(best - min(levels), 1.0)
    axes.set_ylim(min(levels) - 0.2 * spread, best + 0.12 * spread)
    for mark, place in zip(marks, seconds, strict=True):
        number = names.index(mark.method)
        if mark.psnr >= best - REACH_DB:
            axes.plot(place, mark.psnr, **_style(number))
            continue
        axes.plot(place, axes.get_ylim()[0], clip_on=False, zorder=4, **_style(number))
        at: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "xytext": (7, 4)}
        axes.annotate(f"{mark.psnr:.1f} dB, below", (place, 0), color=QUIET, **at, **NOTE)
    ends = [seconds.min() / 1.8, seconds.max() * 1.8]
    if limit is not None:
        axes.axvline(limit, color=QUIET, lw=0.9, linestyle=(0, (2, 2)))
        ends[1] = max(ends[1], limit * 1.3)
    axes.set_xlim(ends[0], ends[1])
    axes.xaxis.set_major_locator(LogLocator(10))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _style(number: int) -> dict[str, Any]:
    """Marker and colour of a method; five colours and ten markers go round at different paces."""
    return {
        "marker": MARKERS[number % len(MARKERS)],
        "color": LINE_COLOURS[number % len(LINE_COLOURS)],
        "linestyle": "none",
        "markersize": 7,
        "markeredgecolor": "white",
        "markeredgewidth": 0.6,
    }
