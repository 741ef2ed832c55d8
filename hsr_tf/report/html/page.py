"""The page: template, style and script filled with a report's data, and written whole or not at all.

Jinja escapes every text; JSON lies in script elements with `<` written as an escape, so that no name of a
file or value of a header can end them.
"""

from __future__ import annotations

import json
import math
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.resources import Resources
from jinja2 import Environment
from markupsafe import Markup

from hsr_tf import __version__
from hsr_tf.files import HTML, replacing_file, require_suffix
from hsr_tf.findings import ERROR, WARNING
from hsr_tf.metrics.table import Metric, metrics_for
from hsr_tf.report.html.plots import make_plots
from hsr_tf.report.html.quality_maps import ANGLE, TITLES, Quality, quality
from hsr_tf.report.html.report_data import ReportData
from hsr_tf.report.html.views import Views, described, make_views, texts
from hsr_tf.wording import as_flags, number, signed

HERE = Path(__file__).resolve().parent
LONGEST_VALUE = 2000
MODES = {"true": "True colour", "spread": "Three bands", "false": "False colour"}


def write_report(data: ReportData, path: str | os.PathLike[str]) -> Path:
    """Write the report as one HTML file, which appears whole or not at all.

    Raises:
        ValueError: `path` does not end in .html.
        OSError: the file cannot be written; what was there before stays.
    """
    target = require_suffix("report", path, HTML)
    text = render(data)
    with replacing_file(target) as draft:
        draft.write_text(text, encoding="utf-8")
    return target


def render(data: ReportData) -> str:
    """The text of the page."""
    found = quality(data) if data.estimates else None
    views = make_views(data, found) if found is not None else None
    plots = make_plots(data, views, found)
    kernel = None if data.cameras is None else data.cameras.psf
    cameras_note = "" if data.cameras is None else data.cameras.origin
    if data.cameras is not None and data.cameras.shift_pixels and any(data.cameras.shift_pixels):
        rows, columns = map(signed, data.cameras.shift_pixels)
        moved = f"The sharp image is displaced by {rows} rows, {columns} columns."
        cameras_note = f"{cameras_note} {moved}".strip()
    notes = list(data.notes)
    if views is not None and views.stride > 1:
        ordinal = {2: "second", 3: "third"}.get(views.stride, f"{views.stride}th")
        shown = (
            f"Of {data.size[0]} rows × {data.size[1]} columns, this page shows every {ordinal} row and column"
        )
        notes.append(f"{shown}; the scores count all pixels.")
    sources = Resources(mode="inline", components=["bokeh"], log_level="error").js_raw
    environment = Environment(autoescape=True)
    environment.filters["as_flags"] = as_flags
    template = environment.from_string((HERE / "page.html").read_text(encoding="utf-8"))
    scene = _scene_words(data, views, found) if views is not None and found is not None else {}
    return template.render(
        version=__version__,
        title=data.title or "Report",
        facts=_facts(data),
        verdict=data.verdict,
        warnings=[one for one in data.findings if one.severity in (WARNING, ERROR)],
        notes=notes,
        scores=_score_table(data.scores, list(data.estimates)),
        plots=plots.names,
        cameras_note=cameras_note,
        has_true_srf=data.cameras is not None and data.cameras.true_srf is not None,
        kernel_aspect=1.0 if kernel is None else np.shape(kernel)[0] / np.shape(kernel)[1],
        curves=list(data.curves),
        command=shlex.join(str(word) for word in data.command),
        configuration=list(_flat(data.configuration)),
        has_scene=views is not None,
        plots_json=_json(plots.text),
        # Bokeh's own script, and none of other packages that extend Bokeh in this process.
        bokeh=Markup("\n").join(Markup(f"<script>\n{code}\n</script>") for code in sources),
        style=Markup((HERE / "style.css").read_text(encoding="utf-8")),
        viewer=Markup((HERE / "viewer.js").read_text(encoding="utf-8")),
        **{"views_json": _json(None), "coded": {}, **scene},
    )


def _scene_words(data: ReportData, views: Views, found: Quality) -> dict[str, Any]:
    payload = described(data, views)
    captions = []
    for part in found.maps:
        mean = float(np.nanmean(part.values)) if np.isfinite(part.values).any() else math.nan
        unit = "°" if part.kind == ANGLE else ""
        captions.append(f"{part.method}: {TITLES[part.kind]}, mean {number(mean)}{unit}")
    names = [preset["name"] for preset in payload["presets"]]
    modes = [{"value": name, "label": MODES[name]} for name in names]
    return {
        "views_json": _json(payload),
        "coded": {name: Markup(text) for name, text in texts(views).items()},
        "num_bands": data.size[2],
        "aspect": data.size[0] / data.size[1],
        "modes": [*modes, {"value": "band", "label": "One band"}, {"value": "custom", "label": "Custom RGB"}],
        "maps": captions,
        "maps_title": "Residual maps" if data.reference is None else "Error maps",
        "maps_note": "The maps pan and zoom together. Maps of one kind share a colour scale, which ends at "
        "the 99th percentile. Click a map to show the spectra of that pixel.",
        "precision": f"Values are stored with {views.bits} bits and differ from the cube by at most "
        f"{max(code.quantiser.step for code in views.codes) / 2:.2g}.",
    }


def _facts(data: ReportData) -> list[str]:
    if not data.estimates:
        return []
    height, width, num_bands = data.size
    words = [] if data.scale is None else [f"×{data.scale}"]
    words.append(f"{height} rows × {width} columns")
    span = ""
    if data.wavelengths_nm is not None:
        span = f", {min(data.wavelengths_nm):.0f} to {max(data.wavelengths_nm):.0f} nm"
    words.append(f"{num_bands} bands{span}")
    if data.hr_msi is not None:
        channels = data.hr_msi.num_bands
        words.append(f"sharp image of {channels} channel{'s' * (channels > 1)}")
    words.append("truth known" if data.reference is not None else "truth not known")
    return words


def _score_table(
    scores: Mapping[str, Mapping[str, float | None]], methods: list[str]
) -> dict[str, Any] | None:
    """Heads, and rows of cells; the best value of a column is marked where several estimates have one."""
    if not scores:
        return None
    names = list(dict.fromkeys(name for card in scores.values() for name in card))
    if not any(card.get("zero_spectra") for card in scores.values()):
        names = [name for name in names if name != "zero_spectra"]
    known = {metric.name: metric for metric in (*metrics_for("images"), *metrics_for())}
    rivals = [card for method, card in scores.items() if method in methods]
    best = {}
    for name in known.keys() & names:
        values = [value for card in rivals if (value := card.get(name)) is not None]
        if len(rivals) > 1 and values:
            best[name] = known[name].best(values)
    rows = []
    for method, card in scores.items():
        cells = [
            {
                "text": _cell(card.get(name), known.get(name)),
                "best": method in methods and card.get(name) is not None and card[name] == best.get(name),
            }
            for name in names
        ]
        rows.append({"name": method, "cells": cells})
    heads = [
        {"label": known[name].heading or known[name].label, "better": known[name].better}
        if name in known
        else {"label": name.replace("_", " "), "better": ""}
        for name in names
    ]
    return {"heads": heads, "rows": rows}


def _cell(value: float | None, metric: Metric | None) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.4g}" if metric is None else metric.text(value).replace(" degrees", "°")


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted names and texts."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _words(value)


def _words(value: Any) -> str:
    if isinstance(value, np.ndarray | list | tuple) and np.size(value) > 60:
        return f"{' × '.join(map(str, np.shape(value)))} values"
    if isinstance(value, Sequence) and not isinstance(value, str):
        text = ", ".join(map(str, value))
    else:
        text = "not set" if value is None else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]} …"


def _json(value: Any) -> Markup:
    """JSON (text, or plain data) that may stand within a script element."""
    text = (
        value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), default=np.generic.item)
    )
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
