"""The sheet of a picture: the whole with a marked rectangle, and what each estimate makes of that part.

One PNG image. Above, the truth with a frame around the rectangle, and an overlay, whose left half is one
estimate and whose right half is another, e.g. nearest neighbours and a network. Below, the rectangle as every
estimate has it, each pixel as a square, with its scores; where kernels were found, they lie under it, all on
one scale. Unless it is given, the rectangle is where the estimates are worst.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.lib.stride_tricks import sliding_window_view

from hsr_tf import checks
from hsr_tf.metrics.cameras import kernel_l1
from hsr_tf.metrics.table import get
from hsr_tf.report.canvas import axes_at, blank, caption, fit_text, headline, save_png
from hsr_tf.tiling.region import Region

LEFT, TOP, GAP, CAPTION, PANEL, WHOLE = 0.2, 0.55, 0.15, 0.42, 2.3, 3.4
# Below each other: the pictures as a whole, parts in rows of so many, kernels half as large.
PER_ROW = 6
FRAME = "#D55E00"
NEAREST = "nearest"


@dataclass(frozen=True, eq=False)
class PictureSheetData:
    """What the sheet of one picture shows.

    Attributes:
        title: what it is.
        truth: (H, W, 3) or (H, W, 1) in [0, 1].
        estimates: the same, by name, in the order of the columns; the overlay has the one called "nearest",
            or else the first, on the left, and the last on the right.
        notes: a line for each of them, such as its score.
        kernels: (k, k) by name; the true one under "truth".
        crop_size: side of the rectangle in pixels, where it is chosen here.
        rectangle: the part that is enlarged; None to choose it.

    Raises:
        ValueError: estimates of another size than the truth, or a rectangle that leaves it.
    """

    title: str
    truth: np.ndarray
    estimates: Mapping[str, np.ndarray]
    notes: Mapping[str, str] = field(default_factory=dict)
    kernels: Mapping[str, np.ndarray] = field(default_factory=dict)
    crop_size: int = 64
    rectangle: Region | None = None

    def __post_init__(self) -> None:
        for name, picture in self.estimates.items():
            checks.require(
                picture.shape == self.truth.shape,
                "estimates",
                expected=f"pictures of {self.truth.shape}",
                received=f"{picture.shape} of {name}",
                remedy="crop them to the part that was scored",
            )
        size = (self.truth.shape[0], self.truth.shape[1])
        marked = self.rectangle
        checks.require(
            marked is None or marked.intersection(Region.whole(size)) == marked,
            "rectangle",
            expected=f"row,column,height,width inside {size[0]} rows x {size[1]} columns",
            received="" if marked is None else ",".join(map(str, vars(marked).values())),
            remedy="move it, or leave it out",
        )

    @property
    def part(self) -> Region:
        """The rectangle given, or the one where the estimates are worst."""
        if self.rectangle is not None:
            return self.rectangle
        row, column = choose_crop(self)
        height, width = (min(self.crop_size, n) for n in self.truth.shape[:2])
        return Region(row, column, height, width)


def draw_picture_sheet(path: str | os.PathLike[str], data: PictureSheetData) -> Path:
    """Draw the sheet as a PNG file, which appears whole or not at all.

    Raises:
        ValueError: `path` does not end in .png.
        OSError: the file cannot be written; what was there before stays.
    """
    pictures, part = {"truth": data.truth, **data.estimates}, data.part
    names = list(pictures)
    num_columns = min(PER_ROW, max(len(names), 2))
    rows = [names[start : start + num_columns] for start in range(0, len(names), num_columns)]
    tall = PANEL * min(1.6, max(0.4, part.height / part.width))
    below = PANEL / 2 + CAPTION if data.kernels else 0.0
    width = 2 * LEFT + num_columns * (PANEL + GAP) - GAP
    wholes = _whole_size(data.truth, (width - 2 * LEFT - GAP) / 2)
    figure = blank(width, TOP + wholes[1] + CAPTION + len(rows) * (tall + CAPTION + below) + 0.1)
    headline(figure, data.title)
    bottom = 0.1 + len(rows) * (tall + CAPTION + below)
    _draw_wholes(figure, data, part, bottom, wholes)
    top = max((float(values.max()) for values in data.kernels.values()), default=1.0)
    for shown in rows:
        bottom -= tall + CAPTION
        for column, name in enumerate(shown):
            left = LEFT + column * (PANEL + GAP)
            axes = _panel(axes_at(figure, left, bottom, PANEL, tall), name, note=data.notes.get(name, ""))
            axes.imshow(_colours(pictures[name][part.slices]), interpolation="nearest")
            if name in data.kernels:
                place = axes_at(figure, left, bottom - below, PANEL / 2, PANEL / 2)
                kernel = _panel(place, "", note=_kernel_note(name, data.kernels))
                kernel.imshow(data.kernels[name], cmap="magma", vmin=0, vmax=top, interpolation="nearest")
        bottom -= below
    return save_png(figure, path)


def choose_crop(data: PictureSheetData) -> tuple[int, int]:
    """Row and column where the crop begins: of steps of a quarter crop, that of the largest squared error.

    The errors of all estimates but nearest neighbours are added; the crop lies inside the picture.
    """
    counted = {name: one for name, one in data.estimates.items() if name != NEAREST} or data.estimates
    error = sum(np.square(picture - data.truth).mean(-1) for picture in counted.values())
    error = np.zeros(data.truth.shape[:2]) if isinstance(error, int) else error
    sides, step = [min(data.crop_size, n) for n in error.shape], max(1, data.crop_size // 4)
    sums = sliding_window_view(error, sides)[::step, ::step].sum((-2, -1), dtype=np.float64)
    row, column = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(row) * step, int(column) * step


def _whole_size(truth: np.ndarray, room: float) -> tuple[float, float]:
    """Width and height in inches of a picture that is shown as a whole, in so much room for its width."""
    ratio = truth.shape[0] / truth.shape[1]
    width = min(room, WHOLE / ratio)
    return width, width * ratio


def _draw_wholes(
    figure: Figure, data: PictureSheetData, part: Region, bottom: float, size: tuple[float, float]
) -> None:
    """The truth with the frame and, of two estimates or more, the overlay."""
    width, height = data.truth.shape[1], data.truth.shape[0]
    where = f"rows {part.row} to {part.rows.stop - 1}, columns {part.column} to {part.columns.stop - 1}"
    shown = [("truth", where, data.truth)]
    names = list(data.estimates)
    if len(names) > 1:
        first = NEAREST if NEAREST in names[:-1] else names[0]
        half = np.arange(width)[None, :, None] < width // 2
        mixed = np.where(half, data.estimates[first], data.estimates[names[-1]])
        shown.append((f"{first} | {names[-1]}", "left and right half", mixed))
    for column, (name, note, picture) in enumerate(shown):
        place = axes_at(figure, LEFT + column * (size[0] + GAP), bottom, *size)
        axes = _panel(place, name, note=note, width=size[0])
        axes.imshow(_colours(picture), interpolation="antialiased", aspect="auto")
        corner = (part.column - 0.5, part.row - 0.5)
        axes.add_patch(Rectangle(corner, part.width, part.height, fill=False, ec=FRAME, lw=1.2))
        if column:
            axes.plot([width // 2 - 0.5] * 2, [-0.5, height - 0.5], color="white", lw=1.0)


def _kernel_note(name: str, kernels: Mapping[str, np.ndarray]) -> str:
    """What stands above a kernel: how far it is from the true one, where that is known."""
    if name == "truth" or "truth" not in kernels:
        return "kernel"
    return f"kernel, L1 {get('kernel_l1', 'psf').number(kernel_l1(kernels['truth'], kernels[name]))}"


def _panel(axes: Axes, name: str, *, note: str, width: float = PANEL) -> Any:
    """Axes without ticks, a bold name and a quiet note above."""
    axes.set_xticks([])
    axes.set_yticks([])
    for text in caption(axes, name, note, above=4):
        fit_text(text, width)
    return axes


def _colours(picture: np.ndarray) -> np.ndarray:
    shown = np.clip(picture, 0.0, 1.0)
    return np.repeat(shown, 3, -1) if shown.shape[-1] == 1 else shown
