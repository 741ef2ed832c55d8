"""Methods side by side: estimates, maps of the spectral angle and of the error, on scales that all share.

As figures 3 and 4 of X.-H. Han, Y. Zheng, Y.-W. Chen, "Multi-level and Multi-scale Spatial and Spectral
Fusion CNN for Hyperspectral Image Super-resolution", ICCV Workshops 2019, which show the 25th band and its
absolute error. One PNG image: three rows a scene, a column a method, in the first one the truth and the
legends. The colours of the maps follow the square root of their values, so that good estimates look
different.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter

from hsr_tf.checks import require
from hsr_tf.files import require_suffix
from hsr_tf.metrics.full_reference import Scorecard
from hsr_tf.metrics.table import get
from hsr_tf.report.canvas import (
    NOTE_POINTS,
    axes_at,
    blank,
    caption,
    fit_text,
    headline,
    root_ticks,
    save_png,
)
from hsr_tf.report.content import Result
from hsr_tf.report.render import Stretch, display_bands
from hsr_tf.scene import Scene

LEFT, RIGHT, TOP, BOTTOM = 0.2, 0.2, 0.62, 0.15
WIDTH, GAP, NAMED, PLAIN, BETWEEN = 1.9, 0.1, 0.43, 0.24, 0.2
HIGHEST, LOWEST = 1.5, 0.5
ANGLE, ERROR = "viridis", "magma"
NO_DATA = "#B0B0B0"
TOP_PERCENT = 99.5


@dataclass(frozen=True, eq=False)
class MethodMap:
    """What the figure shows of one estimate.

    Attributes:
        name: of the method.
        picture: (H, W, 3) in [0, 1].
        angle: (H, W), spectral angle in degrees; NaN where there is none.
        error: (H, W), absolute error times 255, mean over the bands or that of one band.
        notes: lines above the three: PSNR, SAM, RMSE.
    """

    name: str
    picture: np.ndarray
    angle: np.ndarray
    error: np.ndarray
    notes: tuple[str, str, str]


@dataclass(frozen=True, eq=False)
class SceneMaps:
    """What the figure shows of one scene.

    Attributes:
        title: name of the scene.
        truth: (H, W, 3) in [0, 1].
        methods: of each estimate, in the order of the columns.
        band: number of the band that is shown, from 0; None for colours and the mean over the bands.
    """

    title: str
    truth: np.ndarray
    methods: tuple[MethodMap, ...]
    band: int | None = None


def scene_maps(
    reference: Scene,
    estimates: Mapping[str, np.ndarray],
    scores: Mapping[str, Scorecard],
    *,
    band: int | None = None,
    counted: np.ndarray | None = None,
) -> SceneMaps:
    """Compute what the figure shows of a scene.

    Args:
        reference: the truth.
        estimates: (H, W, C) by method; clipped to [0, 1].
        scores: of each of them.
        band: show this band, from 0, in grey, and its error; None for colours and the mean error.
        counted: (H, W), which pixels have data; the maps of the others are empty.

    Raises:
        ValueError: a band that the scene has not.
    """
    require(
        band is None or 0 <= band < reference.num_bands,
        "band",
        expected=f"a band from 1 to {reference.num_bands}",
        received=str(None if band is None else band + 1),
        remedy="leave it out for the mean over all bands",
    )
    bands = display_bands(reference.num_bands, reference.wavelengths_nm)
    shown = [band] * 3 if band is not None else list(bands.indices)
    truth = reference.cube[..., shown]
    stretch = Stretch.of(truth, balanced=band is None and not bands.true_colour)
    methods = []
    for name, cube in estimates.items():
        result = Result.of(name, cube, reference=reference.cube)
        error, rmse = result.error, scores[name].rmse_255
        if band is not None:
            error = 255 * np.abs(result.cube[..., band] - reference.cube[..., band])
            rmse = float(np.sqrt(np.mean(np.square(error if counted is None else error[counted]))))
        if counted is not None:
            error, result.angle[~counted] = np.where(counted, error, np.nan), np.nan
        notes = (
            f"PSNR {get('psnr_bands').text(scores[name].psnr_bands)}",
            f"SAM {get('sam_degrees').number(scores[name].sam_degrees)}°",
            f"RMSE {get('rmse_255').text(rmse)}",
        )
        picture = stretch.apply(result.cube[..., shown])
        methods.append(MethodMap(str(name), picture, result.angle, np.asarray(error, np.float32), notes))
    return SceneMaps(reference.name or "scene", stretch.apply(truth), tuple(methods), band)


def method_maps(path: str | os.PathLike[str], scenes: Sequence[SceneMaps], *, title: str) -> Path:
    """Draw the figure as a PNG file, which appears whole or not at all.

    Raises:
        ValueError: `path` does not end in .png.
        OSError: the file cannot be written; what was there before stays.
    """
    require_suffix("path", path, (".png",))
    return save_png(draw_maps(scenes, title=title), path)


def draw_maps(scenes: Sequence[SceneMaps], *, title: str) -> Figure:
    """The figure; methods that a scene lacks leave their place empty."""
    names = list(dict.fromkeys(one.name for scene in scenes for one in scene.methods))
    heights = [
        WIDTH * min(HIGHEST, max(LOWEST, scene.truth.shape[0] / scene.truth.shape[1])) for scene in scenes
    ]
    tall = sum(NAMED + 2 * PLAIN + 3 * height for height in heights) + BETWEEN * (len(scenes) - 1)
    width = LEFT + (len(names) + 1) * (WIDTH + GAP) - GAP + RIGHT
    figure = blank(width, TOP + tall + BOTTOM)
    band = scenes[0].band
    what = "mean over the bands" if band is None else f"band {band + 1}"
    headline(figure, title, f"spectral angle, and absolute error ({what}); all on one scale")
    tops = [_top([one.angle for scene in scenes for one in scene.methods])]
    tops.append(_top([one.error for scene in scenes for one in scene.methods]))
    bottom = tall + BOTTOM
    for scene, height in zip(scenes, heights, strict=True):
        _draw_scene(figure, scene, names, (bottom, height), tops)
        bottom -= NAMED + 2 * PLAIN + 3 * height + BETWEEN
    return figure


def _top(maps: Sequence[np.ndarray]) -> float:
    """Where the colours end: the median of the maps' high percentiles, so that a bad one hides no other."""
    known = [values[np.isfinite(values)] for values in maps]
    high = [float(np.percentile(values, TOP_PERCENT)) for values in known if values.size]
    return max(float(np.median(high)) if high else 0.0, 1e-6)


def _draw_scene(
    figure: Figure,
    scene: SceneMaps,
    names: Sequence[str],
    place: tuple[float, float],
    tops: Sequence[float],
) -> None:
    """Three rows below `place`, (upper edge, height of a panel) in inches."""
    upper, height = place
    first = upper - NAMED - height
    rows = (first, first - PLAIN - height, first - 2 * (PLAIN + height))
    truth = _panel(figure, 0, (rows[0], height))
    truth.imshow(scene.truth, interpolation="antialiased", aspect="auto")
    _name(truth, scene.title, "truth")
    labels = ("spectral angle, degrees", "|error| × 255")
    for row, (colours, top, label) in enumerate(zip((ANGLE, ERROR), tops, labels, strict=True), 1):
        _draw_legend(figure, (rows[row], height), (colours, top), label)
    for one in scene.methods:
        column = 1 + names.index(one.name)
        picture = _panel(figure, column, (rows[0], height))
        picture.imshow(one.picture, interpolation="antialiased", aspect="auto")
        _name(picture, one.name, one.notes[0])
        for row, (colours, values) in enumerate(((ANGLE, one.angle), (ERROR, one.error)), 1):
            axes = _panel(figure, column, (rows[row], height))
            scale = _scale(colours, tops[row - 1])
            drawn = axes.imshow(values, cmap=scale.cmap, aspect="auto")
            drawn.set_norm(scale.norm)
            _name(axes, "", one.notes[row])


def _scale(colours: str, top: float) -> ScalarMappable:
    cmap = colormaps[colours].with_extremes(bad=NO_DATA)
    return ScalarMappable(PowerNorm(0.5, 0, top, clip=False), cmap)


def _panel(figure: Figure, column: int, place: tuple[float, float]) -> Axes:
    """Axes without ticks in a column, at (lower edge, height) in inches."""
    axes = axes_at(figure, LEFT + column * (WIDTH + GAP), place[0], WIDTH, place[1])
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
    return axes


def _name(axes: Axes, name: str, note: str) -> None:
    for text in caption(axes, name, note, above=4):
        fit_text(text, WIDTH)


def _draw_legend(figure: Figure, place: tuple[float, float], scale: tuple[str, float], label: str) -> None:
    """A colour bar at the right edge of the first column, with its unit."""
    axes = axes_at(figure, LEFT + WIDTH - 0.16, place[0], 0.14, place[1])
    bar: Any = figure.colorbar(_scale(*scale), cax=axes, extend="max", ticklocation="left")
    bar.set_ticks(root_ticks(scale[1]))
    bar.ax.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    bar.ax.tick_params(labelsize=NOTE_POINTS, length=2.5)
    bar.set_label(label, fontsize=NOTE_POINTS)
