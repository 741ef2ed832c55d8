"""The sheet of a single picture: the truth and its estimates, whole and in a crop, and their kernels.

One PNG image. The first row holds the pictures whole, with a frame around the crop; the second the crop, each
pixel as a square; where kernels were found, a third row holds them, all on one scale. The crop is where the
estimates are worst.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.lib.stride_tricks import sliding_window_view

from hsr_tf import checks
from hsr_tf.report.canvas import axes_at, blank, caption, headline, save_png

LEFT, TOP, GAP, CAPTION, PANEL = 0.2, 0.55, 0.15, 0.42, 2.3
FRAME = "#D55E00"


@dataclass(frozen=True, eq=False)
class PictureSheetData:
    """What the sheet of one picture shows.

    Attributes:
        title: what it is.
        truth: (H, W, 3) or (H, W, 1) in [0, 1].
        estimates: the same, by name, in the order of the columns.
        notes: a line for each of them, such as its score.
        kernels: (k, k) by name; the true one under "truth".
        crop_size: side of the crop in pixels.
    """

    title: str
    truth: np.ndarray
    estimates: Mapping[str, np.ndarray]
    notes: Mapping[str, str] = field(default_factory=dict)
    kernels: Mapping[str, np.ndarray] = field(default_factory=dict)
    crop_size: int = 64

    def __post_init__(self) -> None:
        for name, picture in self.estimates.items():
            checks.require(
                picture.shape == self.truth.shape,
                "estimates",
                expected=f"pictures of {self.truth.shape}",
                received=f"{picture.shape} of {name}",
                remedy="crop them to the part that was scored",
            )


def draw_picture_sheet(path: str | os.PathLike[str], data: PictureSheetData) -> Path:
    """Draw the sheet as a PNG file, which appears whole or not at all.

    Raises:
        ValueError: `path` does not end in .png.
        OSError: the file cannot be written; what was there before stays.
    """
    pictures = {"truth": data.truth, **data.estimates}
    rows, columns = (slice(start, start + data.crop_size) for start in choose_crop(data))
    height = PANEL * min(1.6, data.truth.shape[0] / data.truth.shape[1])
    heights = [height, PANEL, *([PANEL / 2] if data.kernels else [])]
    width = 2 * LEFT + len(pictures) * (PANEL + GAP) - GAP
    figure = blank(width, TOP + sum(heights) + len(heights) * CAPTION)
    headline(figure, data.title)
    for column, (name, picture) in enumerate(pictures.items()):
        whole = _panel(figure, heights, (0, column), name, note=data.notes.get(name, ""))
        whole.imshow(_colours(picture), interpolation="antialiased", aspect="auto")
        corner = (columns.start - 0.5, rows.start - 0.5)
        whole.add_patch(Rectangle(corner, data.crop_size, data.crop_size, fill=False, ec=FRAME, lw=1.2))
        part = _panel(figure, heights, (1, column), "", note="" if column else "crop")
        part.imshow(_colours(picture[rows, columns]), interpolation="nearest")
        if name in data.kernels:
            kernel = _panel(figure, heights, (2, column), "", note="kernel")
            top = max(float(values.max()) for values in data.kernels.values())
            kernel.imshow(data.kernels[name], cmap="magma", vmin=0.0, vmax=top, interpolation="nearest")
    return save_png(figure, path)


def choose_crop(data: PictureSheetData) -> tuple[int, int]:
    """Row and column where the crop begins: of steps of a quarter crop, that of the largest squared error.

    The errors of all estimates are added; the crop lies inside the picture.
    """
    error = sum(np.square(picture - data.truth).mean(-1) for picture in data.estimates.values())
    error = np.zeros(data.truth.shape[:2]) if isinstance(error, int) else error
    sides, step = [min(data.crop_size, n) for n in error.shape], max(1, data.crop_size // 4)
    sums = sliding_window_view(error, sides)[::step, ::step].sum((-2, -1), dtype=np.float64)
    row, column = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(row) * step, int(column) * step


def _panel(figure: Figure, heights: list[float], place: tuple[int, int], name: str, *, note: str) -> Any:
    """Axes without ticks in a row and column, a bold name and a quiet note above."""
    row, column = place
    bottom = sum(heights[row + 1 :]) + CAPTION * (len(heights) - row - 1) + 0.08
    side = heights[row] if row else PANEL
    axes = axes_at(figure, LEFT + column * (PANEL + GAP), bottom, side, heights[row])
    axes.set_xticks([])
    axes.set_yticks([])
    caption(axes, name, note, above=4)
    return axes


def _colours(picture: np.ndarray) -> np.ndarray:
    shown = np.clip(picture, 0.0, 1.0)
    return np.repeat(shown, 3, -1) if shown.shape[-1] == 1 else shown
