"""Small figures: written whole or not at all, the same pixels every time, axes in the sheets' manner."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from hsr_tf.files import replacing_file, require_suffix

DPI = 150
# Okabe and Ito's colours, which stay apart for colour-blind readers; dashes keep them apart in grey.
LINE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
LINE_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 1.5)))
NAME_POINTS, NOTE_POINTS = 9.0, 8.0
QUIET = "#444444"
NOTE: dict[str, Any] = {"textcoords": "offset points", "fontsize": NOTE_POINTS}


def blank(width: float, height: float) -> Figure:
    """An empty white figure of so many inches, drawn without a display."""
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def headline(figure: Figure, title: str, note: str = "") -> None:
    """Write a title in the upper left corner, and a quiet line below it."""
    width, height = figure.get_size_inches()
    figure.text(0.2 / width, 1 - 0.28 / height, title, fontsize=12, fontweight="bold", parse_math=False)
    figure.text(0.2 / width, 1 - 0.5 / height, note, fontsize=NAME_POINTS, color=QUIET, parse_math=False)


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches from the lower left corner."""
    whole_width, whole_height = figure.get_size_inches()
    return figure.add_axes(
        (left / whole_width, bottom / whole_height, width / whole_width, height / whole_height)
    )


def save_png(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as a PNG file, which appears whole or not at all.

    Raises:
        ValueError: `path` does not end in .png.
        OSError: the file cannot be written; what was there before stays.
    """
    target = require_suffix("path", path, (".png",))
    with replacing_file(target) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
    return target


def quiet_axes(axes: Axes, x_label: str, y_label: str) -> None:
    """Thin grid, small labels, no frame above and to the right."""
    axes.set_xlabel(x_label, fontsize=NOTE_POINTS, labelpad=2)
    axes.set_ylabel(y_label, fontsize=NOTE_POINTS, labelpad=3)
    axes.tick_params(labelsize=NOTE_POINTS, length=2.5)
    axes.grid(True, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def caption(axes: Axes, name: str, note: str, *, above: float) -> tuple[Text, Text]:
    """Write a quiet line, so many points above a picture, and above that a bold name."""
    common: dict[str, Any] = {**NOTE, "xycoords": "axes fraction", "parse_math": False}
    quiet = axes.annotate(note, (0, 1), xytext=(0, above), color=QUIET, **common)
    common["fontsize"] = NAME_POINTS
    return quiet, axes.annotate(name, (0, 1), xytext=(0, above + 11.5), fontweight="bold", **common)


def root_ticks(top: float) -> list[float]:
    """Round numbers from 0 to `top` that lie about evenly on a square-root scale."""
    step = 10.0 ** np.floor(np.log10(top))
    ladder = np.concatenate([[0.0], np.outer(step * np.array([0.01, 0.1, 1.0]), [1, 2, 5]).ravel()])
    kept = [0.0]
    for tick in ladder:
        if tick <= top and np.sqrt(tick / top) - np.sqrt(kept[-1] / top) >= 0.13:
            kept.append(float(tick))
    return kept


def fit_text(text: Text, width: float) -> None:
    """Put the text on one line and cut it, with an ellipsis, until it is at most `width` inches wide."""
    words = " ".join(text.get_text().split())
    text.set_text(words)
    figure = text.get_figure(root=True)
    room = width * figure.dpi if figure is not None else float("inf")
    while len(words) > 1 and (excess := text.get_window_extent().width / room) > 1:
        words = words[: min(len(words) - 1, int(len(words) / excess) + 2)]
        text.set_text(words.rstrip() + "…")
