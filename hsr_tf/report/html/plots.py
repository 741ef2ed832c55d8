"""The report's plots by Bokeh: spectra, PSNR, maps with colour bars, kernel, response, curves.

Spectra and maps leave Python without values; the page fills them from its coded bands. Colours that depend on
the reader's preference for light or dark are placeholders (`INK`, `QUIET`, `GRID`), which the page replaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.core.json_encoder import serialize_json
from bokeh.document import Document
from bokeh.embed.util import standalone_docs_json_and_render_items
from bokeh.events import Tap
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    CustomJS,
    HoverTool,
    LinearColorMapper,
    Range1d,
)
from bokeh.models.annotations.geometry import Span
from bokeh.models.annotations.legends import ColorBar
from bokeh.palettes import Cividis256, Viridis256
from bokeh.plotting import figure

from hsr_tf.report.html.quality_maps import ANGLE, LABELS, Quality
from hsr_tf.report.html.report_data import Curve, ReportData
from hsr_tf.report.html.views import COARSE, FULL, Views
from hsr_tf.report.render import SpectralAxis

INK, QUIET, GRID = "#010203", "#040506", "#070809"
GAP = "#9a9a9a"
# Okabe and Ito's colours, light enough and dark enough for both backgrounds.
COLOURS = ("#0083c9", "#d9630b", "#049e76", "#c46da1", "#a8872a")
DASHES = ("solid", "dashed", "dotted", "dashdot", "dotdash")
CHANNEL_COLOURS = {3: ("#cc3311", "#13865a", "#2677bb")}
TOOLS = "pan,wheel_zoom,box_zoom,reset,save"
SCIENTIFIC_BELOW = 0.01  # long numbers, of which three have room at a colour bar
TAP = "window.hsrReport && window.hsrReport."


@dataclass(frozen=True)
class Plots:
    """The plots as Bokeh's own plain data.

    Attributes:
        text: JSON of the document, and of which root belongs into which element.
        names: of the plots; the element of a plot is called plot-NAME.
    """

    text: str = "null"
    names: tuple[str, ...] = ()


def make_plots(data: ReportData, views: Views | None, found: Quality | None) -> Plots:
    """Every plot of a report in one document, so that the maps share their ranges."""
    roots: dict[str, Any] = {}
    if views is not None and found is not None:
        roots["spectra"] = _spectra(data, views)
        if found.psnr:
            axis = SpectralAxis.of(data.size[2], data.wavelengths_nm)
            plot = _figure(_axis_label(data), "PSNR of the band, dB")
            for number, (name, values) in enumerate(found.psnr.items()):
                curve = axis.arrange(np.where(np.isfinite(values), values, np.nan))
                plot.line(axis.positions, curve, legend_label=name, **_style(number))
            roots["psnr"] = _with_legend(plot)
        roots.update(_maps(data, views, found))
    if data.cameras is not None and data.cameras.psf is not None:
        roots["kernel"] = _kernel(np.asarray(data.cameras.psf))
    if data.cameras is not None and data.cameras.srf is not None:
        roots["response"] = _response(data)
    roots.update({f"curve-{n}": _curve(curve) for n, curve in enumerate(data.curves.values())})
    if not roots:
        return Plots()
    document = Document()
    for root in roots.values():
        document.add_root(root)
    documents, (item,) = standalone_docs_json_and_render_items(list(roots.values()))
    places = {model.id: f"plot-{name}" for name, model in roots.items()}
    placed = {"docid": item.docid, "roots": places, "root_ids": list(places)}
    return Plots(serialize_json({"docs": documents, "item": placed}), tuple(roots))


def _figure(x_label: str, y_label: str, *, height: int = 300, **options: Any) -> Any:
    plot = figure(
        sizing_mode="stretch_width",
        height=height,
        tools=TOOLS,
        active_drag=None,
        active_scroll=None,
        x_axis_label=x_label,
        y_axis_label=y_label,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        **options,
    )
    plot.toolbar.logo = None
    plot.toolbar.autohide = False
    for axis in plot.axis:
        axis.axis_label_text_color = axis.major_label_text_color = INK
        axis.axis_label_text_font_style = "normal"
        axis.axis_line_color = axis.major_tick_line_color = QUIET
        axis.minor_tick_line_color = None
    plot.grid.grid_line_color = GRID
    return plot


def _style(number: int) -> dict[str, Any]:
    return {"line_color": COLOURS[number % 5], "line_dash": DASHES[number % 5], "line_width": 2}


def _axis_label(data: ReportData) -> str:
    return "band" if data.wavelengths_nm is None else "wavelength, nm"


def _spectra(data: ReportData, views: Views) -> Any:
    """One line a version; the page puts the values in, and takes a tap as the choice of a band."""
    axis = SpectralAxis.of(data.size[2], data.wavelengths_nm)
    plot = _figure(_axis_label(data), "value", height=380, name="spectra")
    empty = np.full(axis.positions.size, np.nan)
    columns: dict[str, Any] = {"x": axis.positions}
    fits = [v.kind in (FULL, COARSE) and v.cube.shape[2] == data.size[2] for v in views.versions]
    shown = [(n, v) for n, v in enumerate(views.versions) if fits[n]]
    columns.update({f"v{number}": empty for number, _ in shown})
    source = ColumnDataSource(columns, name="spectra-source")
    estimate = 0
    for number, version in sorted(shown, key=lambda entry: entry[1].name != "Truth"):
        style = _style(estimate)
        if version.name == "Truth":
            style = {"line_color": INK, "line_width": 4, "line_alpha": 0.55}
        elif version.kind == COARSE:
            style = {"line_color": QUIET, "line_dash": [2, 3], "line_width": 1.5}
        else:
            estimate += 1
        plot.line("x", f"v{number}", source=source, legend_label=version.name, **style)
    first = float(axis.positions[0])
    plot.add_layout(
        Span(location=first, dimension="height", line_color=QUIET, line_dash="dotted", name="band")
    )
    rows = [(_axis_label(data), "@x{0.#}"), *((v.name, f"@v{n}{{0.0000}}") for n, v in shown)]
    plot.add_tools(HoverTool(tooltips=rows, mode="vline", renderers=[plot.renderers[0]]))
    plot.js_on_event(Tap, CustomJS(code=f"{TAP}bandAt(cb_obj.x)"))
    return _with_legend(plot)


def _maps(data: ReportData, views: Views, found: Quality) -> dict[str, Any]:
    """A figure a map, with linked ranges and one scale of colours a kind; a tap chooses the place."""
    height, width, _ = data.size
    x_range = Range1d(start=0, end=width, bounds=(0, width))
    y_range = Range1d(start=height, end=0, bounds=(0, height))
    place = ColumnDataSource({"x": [], "y": []}, name="place-source")
    mappers = {
        kind: LinearColorMapper(
            palette=Viridis256 if kind == ANGLE else Cividis256, low=0.0, high=found.top(kind), nan_color=GAP
        )
        for kind in {part.kind for part in found.maps}
    }
    roots = {}
    for number, part in enumerate(found.maps):
        plot = _figure("", "", x_range=x_range, y_range=y_range, name=f"map-{number}")
        source = ColumnDataSource(
            {"image": [np.full((1, 1), np.nan, np.float32)]}, name=f"map-source-{number}"
        )
        plot.image(
            image="image", x=0, y=0, dw=width, dh=height, source=source, color_mapper=mappers[part.kind]
        )
        plot.scatter("x", "y", source=place, marker="cross", size=16, line_color="white", line_width=4)
        plot.scatter("x", "y", source=place, marker="cross", size=14, line_color="#d9210b", line_width=2)
        plot.grid.visible = plot.axis.visible = False
        plot.add_layout(_colour_bar(mappers[part.kind], LABELS[part.kind]), "below")
        plot.js_on_event(Tap, CustomJS(code=f"{TAP}choose(cb_obj.y, cb_obj.x)"))
        roots[f"map-{number}"] = plot
    return roots


def _colour_bar(mapper: LinearColorMapper, title: str) -> ColorBar:
    return ColorBar(
        color_mapper=mapper,
        height=12,
        padding=4,
        margin=0,
        title=title,
        title_text_color=INK,
        title_text_font_style="normal",
        major_label_text_color=INK,
        major_tick_line_color=None,
        bar_line_color=None,
        background_fill_color=None,
        border_line_color=None,
        ticker=BasicTicker(desired_num_ticks=3 if (mapper.high or 0) < SCIENTIFIC_BELOW else 5),
    )


def _kernel(kernel: np.ndarray) -> Any:
    """The kernel over its offsets from the centre, in sharp pixels."""
    rows, columns = kernel.shape
    x_range, y_range = Range1d(start=-columns / 2, end=columns / 2), Range1d(start=rows / 2, end=-rows / 2)
    plot = _figure(
        "columns from the centre, sharp pixels", "rows", x_range=x_range, y_range=y_range, name="kernel"
    )
    mapper = LinearColorMapper(palette=Viridis256, low=0.0, high=max(float(kernel.max()), 1e-30))
    plot.image(
        image=[kernel.astype(np.float32)],
        x=-columns / 2,
        y=-rows / 2,
        dw=columns,
        dh=rows,
        color_mapper=mapper,
    )
    plot.scatter([0], [0], marker="cross", size=12, line_color="white")
    plot.grid.visible = False
    plot.add_layout(_colour_bar(mapper, "weight"), "below")
    plot.add_tools(HoverTool(tooltips=[("row, column", "$y{0.0}, $x{0.0}"), ("weight", "@image{0.00000}")]))
    return plot


def _response(data: ReportData) -> Any:
    cameras = data.cameras
    assert cameras is not None
    srf = np.asarray(cameras.srf)
    axis, num_channels = SpectralAxis.of(len(srf), data.wavelengths_nm), srf.shape[1]
    plot = _figure(_axis_label(data), "response, sum 1", name="response")
    colours = CHANNEL_COLOURS.get(num_channels, COLOURS)
    for channel, name in enumerate(cameras.channel_names):
        colour = colours[channel % len(colours)]
        if cameras.true_srf is not None:
            truth = axis.arrange(_of_sum_one(cameras.true_srf[:, channel]))
            plot.line(axis.positions, truth, line_color=colour, line_width=7, line_alpha=0.3)
        style = {**_style(channel), "line_color": colour}
        plot.line(axis.positions, axis.arrange(_of_sum_one(srf[:, channel])), legend_label=str(name), **style)
    return _with_legend(plot)


def _of_sum_one(values: np.ndarray) -> np.ndarray:
    return np.asarray(values) / max(float(np.sum(values)), 1e-30)


def _curve(curve: Curve) -> Any:
    scale = "log" if curve.logarithmic else "linear"
    plot = _figure(curve.x_label, curve.y_label, y_axis_type=scale)
    for number, (name, (x, y)) in enumerate(curve.series.items()):
        known = np.isfinite(np.asarray(y, np.float64))
        places, values = np.asarray(x, np.float64)[known], np.asarray(y, np.float64)[known]
        plot.line(places, values, legend_label=name, **_style(number))
        if len(places) <= 40:
            plot.scatter(places, values, color=COLOURS[number % 5], size=5, legend_label=name)
    plot.add_tools(HoverTool(tooltips=[(curve.x_label, "@x{0.##}"), (curve.y_label, "@y{0.0000}")]))
    return _with_legend(plot)


def _with_legend(plot: Any) -> Any:
    """The legend above the plot, where it hides nothing; a click on a line's name hides the line."""
    if not plot.legend:
        return plot
    legend = plot.legend[0]
    plot.center.remove(legend)
    plot.add_layout(legend, "above")
    legend.ncols, legend.click_policy = 2, "hide"
    legend.label_text_color = INK
    legend.background_fill_color = legend.border_line_color = None
    legend.padding, legend.spacing, legend.margin, legend.label_text_font_size = 2, 12, 4, "12px"
    return plot
