"""Estimated cameras in a picture: the kernel beside the true one, their difference, the response's curves."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hsr_tf.checks import require
from hsr_tf.metrics.cameras import camera_scores, common_grid
from hsr_tf.metrics.table import metrics_for
from hsr_tf.report.canvas import (
    LINE_COLOURS,
    LINE_DASHES,
    NAME_POINTS,
    NOTE,
    NOTE_POINTS,
    axes_at,
    blank,
    headline,
    quiet_axes,
    save_png,
)
from hsr_tf.scene import Observation, Solution
from hsr_tf.wording import signed

SIDE, LEFT, HEAD, KERNEL_HEIGHT, CURVES = 2.2, 0.65, 0.7, 2.9, 2.1
LEFTS = (LEFT, LEFT + SIDE + 0.4, LEFT + 2 * SIDE + 1.45)
SHOWN_FROM = 2e-3
RGB_COLOURS = ("#C0392B", "#1E8449", "#1F618D")


@dataclass(frozen=True, eq=False, kw_only=True)
class CamerasData:
    """What the picture shows; a truth that is None is left out.

    Attributes:
        title: headline, usually scene and method.
        psf: (n, p) estimated kernel, centred, or None where only a response was estimated.
        srf: (C, c) estimated response, or None where only a kernel was estimated.
        true_psf: (m, q) true kernel.
        true_srf: (C, c) true response.
        shift_pixels: estimated (rows, columns) by which the colour image lies off the coarse cube.
        true_shift: the true one.
        wavelengths_nm: (C,) of the bands, or None.
        channels: names of the channels.
        origin: a line that tells where the cameras are from.

    Raises:
        ValueError: neither a kernel nor a response; a true response of another shape.
    """

    title: str
    psf: np.ndarray | None = None
    srf: np.ndarray | None = None
    true_psf: np.ndarray | None = None
    true_srf: np.ndarray | None = None
    shift_pixels: tuple[float, float] | None = None
    true_shift: tuple[float, float] | None = None
    wavelengths_nm: np.ndarray | None = None
    channels: tuple[str, ...] = ()
    origin: str = ""

    def __post_init__(self) -> None:
        require(
            self.psf is not None or self.srf is not None,
            "psf",
            expected="an estimated kernel or response",
            received="neither",
            remedy="use a method that estimates them",
        )
        if self.srf is not None and self.true_srf is not None:
            require(
                np.shape(self.srf) == np.shape(self.true_srf),
                "true_srf",
                expected=f"shape {np.shape(self.srf)}, as the estimate has",
                received=f"shape {np.shape(self.true_srf)}",
                remedy="bring it to the cube's bands",
            )

    @classmethod
    def of(cls, observation: Observation, solution: Solution, *, method: str) -> CamerasData:
        """Return the cameras that a solution estimated, under a title of scene, method and scale."""
        scene = observation.lr_hsi
        title = ", ".join(filter(None, (scene.name, f"{method}, x{observation.scale}")))
        return cls(
            title=title,
            psf=solution.psf,
            srf=solution.srf,
            shift_pixels=solution.shift_pixels,
            wavelengths_nm=scene.wavelengths_nm,
            channels=tuple(filter(None, str(observation.hr_msi.metadata.get("channels", "")).split(","))),
        )

    @property
    def channel_names(self) -> tuple[str, ...]:
        """The names of the response's channels; numbers from 1 where they are not known."""
        count = 0 if self.srf is None else np.shape(self.srf)[1]
        numbered = tuple(f"channel {i + 1}" for i in range(count))
        return self.channels if len(self.channels) == count else numbered


def cameras_sheet(path: str | os.PathLike[str], data: CamerasData) -> Path:
    """Draw the picture as a PNG file, which appears whole or not at all.

    Raises:
        ValueError: `path` does not end in .png.
        OSError: the file cannot be written; what was there before stays.
    """
    return save_png(draw_cameras(data), path)


def draw_cameras(data: CamerasData) -> Figure:
    """The picture as a matplotlib figure."""
    width = LEFTS[-1] + SIDE + 0.75
    kernel_height = KERNEL_HEIGHT if data.psf is not None else 0.0
    height = HEAD + kernel_height + (CURVES + 0.6 if data.srf is not None else 0.0)
    figure = blank(width, height)
    scores = camera_scores(data.true_psf, data.true_srf, data.psf, data.srf).as_dict()
    metrics = [m for m in (*metrics_for("psf"), *metrics_for("srf")) if scores.get(m.name) is not None]
    notes = [f"{metric.label} {metric.text(scores[metric.name])}" for metric in metrics]
    if data.shift_pixels is not None:
        truth = f" (true {', '.join(map(signed, data.true_shift))})" if data.true_shift is not None else ""
        notes.append(f"shift {', '.join(map(signed, data.shift_pixels))} px{truth}")
    headline(figure, data.title, "  ·  ".join(notes) or "no truth is known")
    if data.psf is not None:
        _draw_kernels(figure, data, bottom=height - HEAD - kernel_height + 0.45)
    if data.srf is not None:
        _draw_response(axes_at(figure, LEFT, 0.5, width - LEFT - 0.25, CURVES), data, data.srf)
    return figure


def _draw_kernels(figure: Figure, data: CamerasData, bottom: float) -> None:
    """True, estimated and difference, the first two on one scale; without a truth the estimate alone."""
    assert data.psf is not None
    panels: list[tuple[str, np.ndarray, dict[str, Any], Any]] = []
    if data.true_psf is None:
        found = np.asarray(data.psf) / np.sum(data.psf)
        found = found[_empty_margin(found)]
        top = float(found.max())
    else:
        truth, found = common_grid(data.true_psf, data.psf)
        margin = _empty_margin(np.maximum(found, truth))
        truth, found = truth[margin], found[margin]
        top = float(max(found.max(), truth.max()))
    shared = {"cmap": "viridis", "vmin": 0.0, "vmax": top}
    panels.append(("Estimated kernel", found, shared, data.shift_pixels))
    if data.true_psf is not None:
        reach = max(float(np.abs(found - truth).max()), 1e-3 * top)
        apart = {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach}
        panels.insert(0, ("True kernel", truth, shared, data.true_shift))
        panels.append(("Estimated − true", found - truth, apart, None))
    for column, (name, kernel, style, shift) in enumerate(panels):
        left = LEFTS[column]
        drawn = _draw_kernel(axes_at(figure, left, bottom, SIDE, SIDE), name, kernel, style, shift)
        if column >= len(panels) - 2:
            bar = figure.colorbar(drawn, cax=axes_at(figure, left + SIDE + 0.05, bottom, 0.09, SIDE))
            bar.ax.tick_params(labelsize=6.5, length=2, pad=1.5)
            bar.ax.yaxis.get_offset_text().set_fontsize(6)


def _empty_margin(kernel: np.ndarray) -> tuple[slice, slice]:
    """The part in the middle outside of which, but for a pixel, no weight is worth showing."""
    parts = []
    for axis in (0, 1):
        filled = np.flatnonzero(kernel.max(1 - axis) > SHOWN_FROM * kernel.max())
        spare = max(0, min(int(filled[0]), kernel.shape[axis] - 1 - int(filled[-1])) - 1)
        parts.append(slice(spare, kernel.shape[axis] - spare))
    return parts[0], parts[1]


def _draw_kernel(
    axes: Axes, name: str, kernel: np.ndarray, style: dict[str, Any], shift: tuple[float, float] | None
) -> Any:
    """One kernel, offsets from its centre on the axes, the centre marked, and where it looks with a shift."""
    rows, columns = ((n - 1) / 2 for n in kernel.shape)
    extent = (-columns - 0.5, columns + 0.5, rows + 0.5, -rows - 0.5)
    drawn = axes.imshow(kernel, extent=extent, interpolation="nearest", **style)
    light = "white" if style["cmap"] == "viridis" else "black"
    axes.plot(0, 0, "+", color=light, markersize=9, markeredgewidth=0.9)
    if shift is not None and max(map(abs, shift)) >= 0.05:
        axes.plot(shift[1], shift[0], "x", color="#FF5A36", markersize=7, markeredgewidth=1.6)
        place = (shift[1], shift[0])
        axes.annotate("shift", place, xytext=(6, -9), color="#FF5A36", fontweight="bold", **NOTE)
    axes.set_title(name, fontsize=NAME_POINTS, fontweight="bold", loc="left", pad=5)
    axes.tick_params(labelsize=7, length=2.5)
    axes.locator_params(nbins=5, integer=True)
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
    return drawn


def _draw_response(axes: Axes, data: CamerasData, srf: np.ndarray) -> None:
    """Curves of every channel over the wavelengths, estimated as lines, true as broad pale ones."""
    place = np.arange(1, len(srf) + 1) if data.wavelengths_nm is None else np.asarray(data.wavelengths_nm)
    order = np.argsort(place, kind="stable")
    num_channels = srf.shape[1]
    colours = RGB_COLOURS if num_channels == 3 else LINE_COLOURS
    for channel in range(num_channels):
        colour = colours[channel % len(colours)]
        dash = LINE_DASHES[channel // len(colours) % len(LINE_DASHES)]
        if data.true_srf is not None:
            truth = data.true_srf[:, channel] / data.true_srf[:, channel].sum()
            axes.plot(place[order], truth[order], color=colour, lw=5, alpha=0.28, solid_capstyle="butt")
        found = srf[:, channel] / max(srf[:, channel].sum(), 1e-30)
        name = data.channel_names[channel]
        axes.plot(place[order], found[order], color=colour, lw=1.5, linestyle=dash, label=name)
    quiet_axes(axes, "band" if data.wavelengths_nm is None else "wavelength, nm", "response, sum 1")
    axes.margins(x=0.01)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    handles = axes.get_legend_handles_labels()[0]
    if data.true_srf is not None:
        handles.append(Line2D([], [], color="#777777", lw=1.5, label="estimated"))
        handles.append(Line2D([], [], color="#777777", lw=5, alpha=0.4, label="true"))
    axes.legend(handles=handles, fontsize=NOTE_POINTS, frameon=False, ncols=2 if len(handles) > 4 else 1)
