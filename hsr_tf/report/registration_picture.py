"""A picture of a registration: a checkerboard of both images before and after, and the coarse grid on the
sharp image.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from hsr_tf.registration.register import Registration
from hsr_tf.registration.resampling import Nesting
from hsr_tf.registration.transform import Transform
from hsr_tf.report.canvas import LINE_COLOURS, NAME_POINTS, axes_at, blank, headline, save_png
from hsr_tf.report.pair_picture import grey
from hsr_tf.scene import Scene

SIDE, GAP, MARGIN, HEAD, FOOT = 3.4, 0.25, 0.2, 0.95, 0.2
SQUARES, LINES, ARROWS, LONGEST_SIDE = 6, 8, 12, 700


def registration_picture(
    path: str | os.PathLike[str], lr_hsi: Scene, hr_msi: Scene, found: Registration, *, title: str
) -> Path:
    """Draw a registration as a PNG file.

    Raises:
        ValueError: `path` does not end in .png.
        OSError: the file cannot be written; what was there before stays.
    """
    tall = SIDE * min(1.5, max(0.5, lr_hsi.shape[0] / lr_hsi.shape[1]))
    figure = blank(2 * MARGIN + 3 * SIDE + 2 * GAP, HEAD + tall + FOOT)
    headline(figure, title, f"hr_msi {found.transform.line}")
    panels = [("before", found.implied), ("after", found.transform)]
    for column, (name, transform) in enumerate(panels):
        axes = axes_at(figure, MARGIN + column * (SIDE + GAP), FOOT, SIDE, tall)
        axes.imshow(
            _checkerboard(lr_hsi, hr_msi, transform), cmap="gray", vmin=0, vmax=1, interpolation="nearest"
        )
        _name(axes, f"{name}: lr_hsi and hr_msi in squares")
    axes = axes_at(figure, MARGIN + 2 * (SIDE + GAP), FOOT, SIDE, tall)
    _draw_grid(axes, hr_msi, found.transform)
    _name(axes, "the grid of lr_hsi on hr_msi")
    return save_png(figure, path)


def _name(axes: Axes, name: str) -> None:
    axes.set_title(name, fontsize=NAME_POINTS, fontweight="bold", loc="left", pad=4)
    axes.set_axis_off()


def _checkerboard(lr_hsi: Scene, hr_msi: Scene, transform: Transform) -> NDArray[np.float32]:
    """Squares of both images on the pixels of the coarse one, as a transform brings them together."""
    nesting = Nesting(transform)
    sharp, coarse = grey(nesting.sharp(hr_msi)), grey(lr_hsi.cropped(*nesting.coarse))
    coarse = coarse.repeat(nesting.scale, 0).repeat(nesting.scale, 1)
    if np.corrcoef(coarse.ravel(), sharp.ravel())[0, 1] < 0:
        coarse = 1 - coarse
    side = max(1, min(coarse.shape) // SQUARES)
    rows, cols = (np.arange(n) // side for n in coarse.shape)
    mixed = np.where((rows[:, None] + cols) % 2 == 0, coarse, sharp)
    step = max(1, -(-max(mixed.shape) // LONGEST_SIDE))
    return np.asarray(mixed[::step, ::step], np.float32)


def _draw_grid(axes: Axes, hr_msi: Scene, transform: Transform) -> None:
    """Lines of the coarse grid over the sharp image, and arrows of the local displacement, enlarged."""
    height, width = hr_msi.shape[:2]
    step = max(1, -(-max(height, width) // LONGEST_SIDE))
    axes.imshow(grey(hr_msi)[::step, ::step], cmap="gray", vmin=0, vmax=1.4, extent=(0, width, height, 0))
    rows, cols = (float(n) for n in transform.lr_size)
    along = np.linspace(0, 1, 65)
    for part in np.linspace(0, 1, LINES + 1):
        for line in (
            np.column_stack([np.full(65, part * rows), along * cols]),
            np.column_stack([along * rows, np.full(65, part * cols)]),
        ):
            places = transform.to_sharp(line)
            axes.plot(places[:, 1], places[:, 0], color=LINE_COLOURS[1], linewidth=0.9)
    corner = transform.to_sharp(np.zeros((1, 2)))[0]
    axes.plot(corner[1], corner[0], "o", color=LINE_COLOURS[1], markersize=5, clip_on=False)
    if transform.displacement is not None:
        middles = (np.arange(ARROWS) + 0.5) / ARROWS
        mesh = np.stack(np.meshgrid(middles * rows, middles * cols, indexing="ij"), -1).reshape(-1, 2)
        places, moves = transform.to_sharp(mesh), transform.displaced(mesh)
        axes.quiver(
            places[:, 1], places[:, 0], moves[:, 1], moves[:, 0],
            color=LINE_COLOURS[4], angles="xy", width=0.006,
        )  # fmt: skip
    low, high = np.minimum(0, places_box(transform)[0]), np.maximum((height, width), places_box(transform)[1])
    axes.set_xlim(low[1], high[1])
    axes.set_ylim(high[0], low[0])


def places_box(transform: Transform) -> NDArray[np.float64]:
    """(2, 2), the smallest and largest row and column that the corners of the coarse image have."""
    rows, cols = transform.lr_size
    corners = transform.to_sharp(np.array([(0, 0), (0, cols), (rows, 0), (rows, cols)], float))
    return np.stack([corners.min(0), corners.max(0)])
