"""The picture sheet of a scene: inputs, truth and estimates in colour, error and angle maps, PSNR, spectra.

One PNG image a scene. The top row holds renderings; under each estimate lie its two maps, on scales that all
estimates share; under the inputs lie one PSNR curve an estimate and the spectra of three marked pixels. It
is built of matplotlib's objects alone: no pyplot, no state outside the call, the same pixels every time.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FormatStrFormatter, MaxNLocator

from hsr_tf.files import require_suffix
from hsr_tf.metrics.table import get
from hsr_tf.report.canvas import (
    DPI,
    LINE_COLOURS,
    LINE_DASHES,
    NOTE_POINTS,
    QUIET,
    axes_at,
    blank,
    caption,
    fit_text,
    quiet_axes,
    root_ticks,
    save_png,
)
from hsr_tf.report.content import Result, SheetData
from hsr_tf.report.render import (
    DisplayBands,
    SpectralAxis,
    Stretch,
    choose_points,
    display_bands,
    display_channels,
)

__all__ = ["DPI", "SheetData", "draw_sheet", "picture_sheet"]

POINT_COLOURS = ("#E69F00", "#F0E442", "#FFFFFF")
TRUTH_WIDTH = 2.6


@dataclass(frozen=True)
class Grid:
    """Places in inches: three rows of panels, three columns of inputs, one an estimate, then colour bars."""

    panel_width: float
    panel_height: float
    num_estimates: int

    LEFT: ClassVar[float] = 0.2
    RIGHT: ClassVar[float] = 0.95
    TOP: ClassVar[float] = 0.6
    BOTTOM: ClassVar[float] = 0.5
    COLUMN_GAP: ClassVar[float] = 0.14
    HEADER: ClassVar[float] = 0.5

    @classmethod
    def of(cls, height: int, width: int, num_estimates: int) -> Grid:
        side, ratio = 2.15, math.sqrt(width / height)
        return cls(min(max(side * ratio, 1.7), 3.6), min(max(side / ratio, 1.5), 3.6), num_estimates)

    @property
    def width(self) -> float:
        columns = 3 + self.num_estimates
        return self.LEFT + columns * self.panel_width + (columns - 1) * self.COLUMN_GAP + self.RIGHT

    @property
    def height(self) -> float:
        return self.TOP + 3 * (self.HEADER + self.panel_height) + self.BOTTOM

    def left(self, column: int) -> float:
        return self.LEFT + column * (self.panel_width + self.COLUMN_GAP)

    def bottom(self, row: int) -> float:
        return self.height - self.TOP - (row + 1) * (self.HEADER + self.panel_height)

    def panel(self, figure: Figure, row: int, column: int) -> Axes:
        return axes_at(figure, self.left(column), self.bottom(row), self.panel_width, self.panel_height)


@dataclass(frozen=True, eq=False)
class _Sheet:
    """The figure being drawn, its places, and what goes on it."""

    figure: Figure
    grid: Grid
    data: SheetData
    results: Sequence[Result]
    points: Sequence[tuple[int, int]]
    bands: DisplayBands


def picture_sheet(path: str | os.PathLike[str], data: SheetData) -> Path:
    """Draw the sheet of one scene as a PNG file, which appears whole or not at all.

    Returns:
        The path written.

    Raises:
        ValueError: `path` does not end in .png.
        OSError: the file cannot be written; what was there before stays.
    """
    require_suffix("path", path, (".png",))
    return save_png(draw_sheet(data), path)


def draw_sheet(data: SheetData) -> Figure:
    """The sheet as a matplotlib figure, for callers who save it in another form."""
    truth, peak = data.reference, data.data_range
    results = [Result.of(n, cube, reference=truth, data_range=peak) for n, cube in data.estimates.items()]
    height, width, num_bands = data.reference.shape
    grid = Grid.of(height, width, len(results))
    figure = blank(grid.width, grid.height)
    points = choose_points(data.reference, [result.error for result in results])
    automatic = display_bands(num_bands, data.wavelengths_nm)
    bands = automatic if data.hsi_bands is None else DisplayBands(data.hsi_bands, true_colour=False)
    sheet = _Sheet(figure, grid, data, results, points, bands)
    for draw in (_draw_headline, _draw_renderings, _draw_maps, _draw_legend, _draw_curves, _draw_spectra):
        draw(sheet)
    return figure


def _draw_headline(sheet: _Sheet) -> None:
    data, grid = sheet.data, sheet.grid
    height, width, num_bands = data.reference.shape
    span = ""
    if data.wavelengths_nm is not None:
        span = f", {min(data.wavelengths_nm):.0f} to {max(data.wavelengths_nm):.0f} nm"
    kind, picked = "colours" if sheet.bands.true_colour else "false colours", sheet.bands.indices
    colours = f"{kind} from bands {', '.join(str(i + 1) for i in picked)}"
    if data.wavelengths_nm is not None:
        colours = f"{kind} from {', '.join(f'{data.wavelengths_nm[i]:.0f}' for i in picked)} nm"
    note = f"×{data.scale}  ·  {height} × {width} pixels  ·  {num_bands} bands{span}  ·  {colours}"
    left, top = grid.LEFT / grid.width, grid.height
    style: dict[str, Any] = {"fontsize": 13, "fontweight": "bold", "parse_math": False}
    fit_text(
        sheet.figure.text(left, (top - 0.3) / top, data.title, **style), grid.width - grid.LEFT - grid.RIGHT
    )
    sheet.figure.text(left, (top - 0.52) / top, note, fontsize=9, color=QUIET, parse_math=False)


def _draw_renderings(sheet: _Sheet) -> None:
    data, bands = sheet.data, sheet.bands
    height, width, _ = data.reference.shape
    truth = bands.pick(data.reference)
    shared = Stretch.of(truth, balanced=not bands.true_colour)
    sharp = display_channels(data.hr_msi, data.msi_channels)
    own = Stretch.of(sharp, balanced=not bands.true_colour)
    low_size = " × ".join(str(side) for side in data.lr_hsi.shape[:2])
    channels = data.hr_msi.shape[-1]
    low, high = f"{low_size}, {data.lr_hsi.shape[-1]} bands", f"{height} × {width}, {channels} channel"
    _show(sheet, 0, "LR cube", low, shared.apply(bands.pick(data.lr_hsi)))
    _show(sheet, 1, "HR image", f"{high}{'s' * (channels > 1)}", own.apply(sharp))
    axes = _show(sheet, 2, "Truth", f"{height} × {width}", shared.apply(truth))
    for number, (row, column) in enumerate(sheet.points, start=1):
        axes.text(column + 0.5, row + 0.5, str(number), **_badge(number))
    for column, result in enumerate(sheet.results, start=3):
        score = f"PSNR {get('psnr_bands').text(float(np.mean(result.psnr)))}"
        _show(sheet, column, result.name, score, shared.apply(bands.pick(result.cube)))


def _show(sheet: _Sheet, column: int, name: str, note: str, picture: np.ndarray) -> Axes:
    height, width, _ = sheet.data.reference.shape
    axes = _image_axes(sheet, 0, column)
    axes.imshow(
        picture,
        extent=(0, width, height, 0),
        interpolation="nearest" if picture.shape[0] < height else "antialiased",
    )
    _caption(sheet, axes, name, note)
    return axes


def _badge(number: int) -> dict[str, Any]:
    box = {"boxstyle": "circle,pad=0.25", "facecolor": POINT_COLOURS[number - 1], "edgecolor": "black"}
    centred = {"ha": "center", "va": "center", "fontsize": 7.5, "fontweight": "bold"}
    return {**centred, "bbox": box, "color": "black"}


def _draw_maps(sheet: _Sheet) -> None:
    """Rows of maps on one scale; colours follow its square root, so that good estimates look different."""
    errors = [f"RMSE {get('rmse_255').text(result.rmse)}" for result in sheet.results]
    angles = [f"SAM {get('sam_degrees').number(result.sam)}°" for result in sheet.results]
    rows = (("error", errors, "mean |error| × 255"), ("angle", angles, "spectral angle, degrees"))
    height, width, _ = sheet.data.reference.shape
    for row, (field, notes, label) in enumerate(rows, start=1):
        maps = [getattr(result, field) for result in sheet.results]
        values = np.concatenate([values[np.isfinite(values)] for values in maps])
        top = max(float(np.percentile(values, 99.5)) if values.size else 0.0, 1e-6)
        colours = colormaps["viridis" if row == 2 else "magma"].with_extremes(bad="#B0B0B0")
        for column, (picture, note) in enumerate(zip(maps, notes, strict=True), start=3):
            axes = _image_axes(sheet, row, column)
            scale = PowerNorm(0.5, 0, top, clip=False)
            drawn = axes.imshow(picture, cmap=colours, norm=scale, extent=(0, width, height, 0))
            _caption(sheet, axes, "", note)
        grid = sheet.grid
        place = axes_at(sheet.figure, grid.left(3 + len(maps)), grid.bottom(row), 0.12, grid.panel_height)
        bar = sheet.figure.colorbar(drawn, cax=place, extend="max")
        bar.set_ticks(root_ticks(top))
        bar.ax.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        bar.ax.tick_params(labelsize=NOTE_POINTS, length=2.5)
        bar.set_label(label, fontsize=NOTE_POINTS)


def _draw_legend(sheet: _Sheet) -> None:
    names = ["truth", *(result.name for result in sheet.results)]
    styles: list[tuple[str, Any]] = [("black", "-"), *zip(LINE_COLOURS, LINE_DASHES, strict=True)]
    handles = [Line2D([], [], color=colour, linestyle=dash, lw=1.6) for colour, dash in styles[: len(names)]]
    handles[0].set_linewidth(TRUTH_WIDTH)
    grid = sheet.grid
    top = grid.bottom(0) - 0.1
    legend = sheet.figure.legend(
        handles,
        [str(number) for number in range(len(names))],
        loc="upper left",
        bbox_to_anchor=(grid.left(0) / grid.width, top / grid.height),
        ncols=3,
        frameon=False,
        fontsize=NOTE_POINTS,
        borderpad=0,
        borderaxespad=0,
        handlelength=2.6,
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)
        fit_text(text, grid.panel_width - 0.55)


def _draw_curves(sheet: _Sheet) -> None:
    grid = sheet.grid
    left, right = grid.left(0) + 0.45, grid.left(2) + grid.panel_width - 0.1
    axes = axes_at(sheet.figure, left, grid.bottom(1) + 0.08, right - left, grid.panel_height - 0.2)
    for number, result in enumerate(sheet.results):
        _plot(
            axes, sheet.data, result.psnr, color=LINE_COLOURS[number], linestyle=LINE_DASHES[number], lw=1.4
        )
    _dress(axes, sheet.data, "PSNR per band, dB")


def _draw_spectra(sheet: _Sheet) -> None:
    grid, data = sheet.grid, sheet.data
    for number, (row, column) in enumerate(sheet.points, start=1):
        left = grid.left(number - 1) + 0.45
        width = grid.panel_width - 0.55
        axes = axes_at(sheet.figure, left, grid.bottom(2), width, grid.panel_height)
        _plot(
            axes, data, data.reference[row, column], color="black", linestyle="-", lw=TRUTH_WIDTH, alpha=0.85
        )
        for index, result in enumerate(sheet.results):
            style = {"color": LINE_COLOURS[index], "linestyle": LINE_DASHES[index], "lw": 1.3}
            _plot(axes, data, result.cube[row, column], **style)
        _dress(axes, data, "value" if number == 1 else "")
        top = 1 + 0.12 / grid.panel_height
        axes.text(0.04, top, str(number), transform=axes.transAxes, **_badge(number))
        place = f"row {row}, column {column}"
        axes.text(0.14, top, place, transform=axes.transAxes, fontsize=NOTE_POINTS, va="center", color=QUIET)


def _plot(axes: Axes, data: SheetData, values: np.ndarray, **style: Any) -> None:
    """A curve over the wavelengths, or the band numbers from 1; it breaks where bands were taken out."""
    axis = SpectralAxis.of(len(values), data.wavelengths_nm)
    axes.plot(axis.positions, axis.arrange(values), **style)


def _dress(axes: Axes, data: SheetData, label: str) -> None:
    quiet_axes(axes, "band" if data.wavelengths_nm is None else "wavelength, nm", label)
    axes.xaxis.set_major_locator(
        MaxNLocator(4 if axes.bbox.width < 300 else 9, integer=True, steps=[1, 2, 5, 10])
    )
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.margins(x=0.01)


def _image_axes(sheet: _Sheet, row: int, column: int) -> Axes:
    axes = sheet.grid.panel(sheet.figure, row, column)
    axes.set_anchor("NW")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
    return axes


def _caption(sheet: _Sheet, axes: Axes, name: str, note: str) -> None:
    """A quiet line above a picture and, above that, a bold name."""
    for text in caption(axes, name, note, above=5):
        fit_text(text, sheet.grid.panel_width)
