"""Pictures of a pair: both images on common ground and a checkerboard of the two; responses as curves."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from hsr_tf.physics.response_table import ResponseTable
from hsr_tf.report.canvas import (
    LINE_COLOURS,
    LINE_DASHES,
    NAME_POINTS,
    NOTE_POINTS,
    axes_at,
    blank,
    headline,
    quiet_axes,
    save_png,
)
from hsr_tf.scene import Observation, Scene

SIDE, GAP, MARGIN, HEAD, FOOT = 3.0, 0.2, 0.2, 0.75, 0.2
SQUARES = 6
LONGEST_SIDE = 900
WIDTH, HEIGHT = 9.0, 3.4


def pair_picture(path: str | os.PathLike[str], observation: Observation, *, title: str) -> Path:
    """Draw both images and a checkerboard of them, in which lines go on where the pair fits, as a PNG file.

    Raises:
        ValueError: `path` does not end in .png.
        OSError: the file cannot be written; what was there before stays.
    """
    scale = observation.scale
    coarse = grey(observation.lr_hsi).repeat(scale, 0).repeat(scale, 1)
    sharp = grey(observation.hr_msi)
    if np.corrcoef(coarse.ravel(), sharp.ravel())[0, 1] < 0:
        coarse = 1 - coarse
    side = max(1, min(coarse.shape) // SQUARES)
    rows, cols = (np.arange(n) // side for n in coarse.shape)
    is_first = (rows[:, None] + cols) % 2 == 0
    step = max(1, -(-max(sharp.shape) // LONGEST_SIDE))
    panels = [
        ("lr_hsi", coarse[::step, ::step]),
        ("hr_msi", sharp[::step, ::step]),
        ("checkerboard", np.where(is_first, coarse, sharp)[::step, ::step]),
    ]
    tall = SIDE * min(1.5, max(0.5, sharp.shape[0] / sharp.shape[1]))
    figure = blank(2 * MARGIN + 3 * SIDE + 2 * GAP, HEAD + tall + FOOT)
    headline(figure, title)
    for column, (name, image) in enumerate(panels):
        axes = axes_at(figure, MARGIN + column * (SIDE + GAP), FOOT, SIDE, tall)
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(name, fontsize=NAME_POINTS, fontweight="bold", loc="left", pad=4)
        axes.set_axis_off()
    return save_png(figure, path)


def grey(scene: Scene) -> NDArray[np.float32]:
    """Brightness, the mean of the standardised bands, its 2nd to 98th percentile from 0 to 1."""
    cube = scene.cube if scene.good_bands is None else scene.cube[..., scene.good_bands]
    cube = cube[..., :: max(1, cube.shape[-1] // 16)]
    inside = np.ones(cube.shape[:2], bool) if scene.nodata_mask is None else ~scene.nodata_mask
    pixels = cube[inside]
    image = ((cube - pixels.mean(0)) / np.maximum(pixels.std(0), 1e-12)).mean(-1)
    low, high = np.percentile(image[inside], (2, 98))
    grey = np.clip((image - low) / max(float(high - low), 1e-12), 0, 1)
    return np.where(inside, grey, np.float32(0)).astype(np.float32)


def responses_picture(path: str | os.PathLike[str], table: ResponseTable, *, title: str, note: str) -> Path:
    """Draw the curves of a response as a PNG file, each channel with a colour, a dash and its name.

    Raises:
        ValueError: `path` does not end in .png.
        OSError: the file cannot be written; what was there before stays.
    """
    figure = blank(WIDTH, HEIGHT)
    headline(figure, title, note)
    _draw_channels(axes_at(figure, 0.6, 0.5, WIDTH - 0.8, HEIGHT - 1.15), table)
    return save_png(figure, path)


def _draw_channels(axes: Axes, table: ResponseTable) -> None:
    low, high = table.range_nm(0.002)
    margin = 0.03 * (high - low)
    last = -np.inf
    raised = 0
    for channel in np.argsort([np.argmax(column) for column in table.values.T], kind="stable"):
        curve = table.values[:, channel] / table.values[:, channel].max()
        colour = LINE_COLOURS[channel % len(LINE_COLOURS)]
        dash = LINE_DASHES[channel // len(LINE_COLOURS) % len(LINE_DASHES)]
        axes.plot(table.wavelengths_nm, curve, color=colour, linestyle=dash, lw=1.4)
        axes.fill_between(table.wavelengths_nm, curve, color=colour, alpha=0.1, lw=0)
        place = float(np.mean(table.wavelengths_nm[curve >= 0.5]))
        raised = (raised + 1) % 3 if place - last < 0.04 * (high - low) else 0
        last = place
        axes.text(
            place,
            1.03 + 0.09 * raised,
            table.channels[channel],
            color=colour,
            ha="center",
            fontsize=NOTE_POINTS - 0.5,
            fontweight="bold",
            parse_math=False,
        )
    axes.set_xlim(low - margin, high + margin)
    axes.set_ylim(0, 1.32)
    axes.set_yticks([0, 0.5, 1])
    quiet_axes(axes, "wavelength, nm", "relative response")
