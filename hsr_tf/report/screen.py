"""What the `hsr` command shows on a terminal: scores, files, pairs, sensors, methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.table import Column, Table
from rich.text import Text

from hsr_tf.findings import ERROR, NOTE, OK, WARNING, Finding, Verdict
from hsr_tf.metrics.table import metrics_for
from hsr_tf.wording import as_flags, percent, signed

if TYPE_CHECKING:
    from hsr_tf.io import FileSummary
    from hsr_tf.methods import Method
    from hsr_tf.metrics.full_reference import Scorecard
    from hsr_tf.metrics.no_reference import NoReference
    from hsr_tf.physics.response_library import ResponseEntry
    from hsr_tf.physics.sensors import SensorBand
    from hsr_tf.scene import Observation, Solution

HIDDEN = ("white_level", "white_level_origin", "white_level_sample", "source", "source_findings", "scene")
LONGEST_VALUE = 100
FOLLOWED, MORE_THAN_NOISE = 0.5, 1.5
SYMBOLS = {OK: ("+", "green"), NOTE: ("i", "cyan"), WARNING: ("!", "yellow"), ERROR: ("x", "bold red")}


def plain_table(*columns: Column | str) -> Table:
    """Return a table with a line below its head and no frame."""
    return Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)


def scorecard_table(card: Scorecard) -> Table:
    """Return the scores of one estimate, and which way is better."""
    table = plain_table(
        "score", Column("value", justify="right", style="bold"), Column("better", style="dim")
    )
    scores = card.by_name()
    for metric in metrics_for():
        table.add_row(metric.label, metric.text(scores.get(metric.name)), metric.better)
    if card.zero_spectra:
        table.add_row("pixels without an angle (a zero spectrum)", f"{card.zero_spectra:.0f}", "")
    return table


def scorecards_table(cards: Mapping[str, Scorecard]) -> Table:
    """Return the scores of several estimates, a column each, the best ones marked."""
    names = [Column(name, justify="right") for name in cards]
    table = plain_table("score", *names, Column("better", style="dim"))
    scores = [card.by_name() for card in cards.values()]
    for metric in metrics_for():
        values = [one.get(metric.name) for one in scores]
        known = [value for value in values if value is not None]
        best = metric.best(known) if known else None
        cells = [Text(metric.text(value), "bold" if value == best else "") for value in values]
        table.add_row(metric.label, *cells, metric.better)
    return table


def facts(rows: Iterable[tuple[str, str]]) -> Text:
    """Names on the left, values on the right, a line each; rows without a value are left out."""
    kept = [(name, value) for name, value in rows if value]
    width = max(len(name) for name, _ in kept)
    lines = [Text.assemble((f"{name:<{width}}  ", "cyan"), value) for name, value in kept]
    return Text("\n").join(lines)


def fusion_facts(observation: Observation, solution: Solution) -> list[tuple[str, str]]:
    """Return how a fusion went: method, weights, cameras, and the residuals of the two images."""
    metadata = solution.estimate.metadata
    sizes = ["x".join(map(str, s.shape)) for s in (observation.lr_hsi, observation.hr_msi, solution.estimate)]
    iterations = shift = ""
    if solution.iterations is not None:
        ended = "converged" if solution.converged else "stopped at its iteration or time limit"
        iterations = f"{solution.iterations}, {ended}"
    if solution.shift_pixels is not None:
        rows, columns = map(signed, solution.shift_pixels)
        shift = f"the colour image lies {rows} rows, {columns} columns off the coarse cube"
    return [
        ("method", f"{metadata['method']}, x{observation.scale}"),
        ("sizes", f"{sizes[0]} + {sizes[1]} -> {sizes[2]} in {solution.seconds:.2f} s"),
        *metadata_facts(metadata),
        ("iterations", iterations),
        ("shift", shift),
        ("residuals", residual_words(solution.lr_hsi_residual, solution.hr_msi_residual)),
    ]


def _why_not_trusted(metadata: Mapping[str, Any]) -> str:
    """Return in words why an estimate does not follow both images exactly; empty where it does."""
    noise, gap = metadata.get("noise_explains"), metadata["disagreement"]
    if noise is None or metadata.get("trust", 1.0) > FOLLOWED:
        return ""
    if gap > MORE_THAN_NOISE * noise:
        return f", their noise by {percent(noise)}: to follow both exactly would add an error of that size"
    rounded = gap <= MORE_THAN_NOISE * metadata["rounding_explains"]
    why = "the rounding of hr_msi to the levels of its file" if rounded else "their noise"
    return f", as {why} explains: to follow both exactly would add it to the estimate"


def metadata_facts(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the metadata of an estimate record: weights, cameras, and trust in the images."""
    weights, trust = str(metadata.get("weights", "")), ""
    if "weights_origin" in metadata:
        weights = f"{weights} ({metadata['weights_origin']})"
    if "trust" in metadata:
        trust = f"{100 * metadata['trust']:.0f} %"
    if "disagreement" in metadata:
        trust += f"; where both images show the same they differ by {percent(metadata['disagreement'])}"
        trust += _why_not_trusted(metadata)
    return [
        ("chosen", chosen_words(metadata)),
        ("weights", weights),
        ("psf", metadata["psf"]),
        ("srf", metadata["srf"]),
        ("radiometry", metadata.get("radiometry", "")),
        ("trust", trust),
    ]


def chosen_words(metadata: Mapping[str, Any]) -> str:
    """What `auto` chose and the errors of all candidates; empty for other methods."""
    if "chosen" not in metadata:
        return ""
    judged = f" ({metadata['evidence']})" if "evidence" in metadata else ""
    return f"{metadata['chosen']}: {metadata['candidates']}{judged}"


def residual_words(lr_hsi: float | None, hr_msi: float | None) -> str:
    """The relative residuals of both images, e.g. "lr_hsi 1.2 %, hr_msi 0.8 %"."""
    known = ["unknown" if share is None else percent(share) for share in (lr_hsi, hr_msi)]
    return "lr_hsi {}, hr_msi {}".format(*known)


def file_facts(summary: FileSummary) -> list[tuple[str, str]]:
    """What a file holds, as names and values."""
    from hsr_tf.io.remote_names import shown_name

    height, width, num_bands = summary.shape
    chunks = "chunks of {} bands x {} rows x {} columns".format(*summary.chunks) if summary.chunks else ""
    rows = [
        ("file", shown_name(summary.path)),
        ("format", summary.format),
        ("scene", summary.name),
        ("size", f"{height} rows x {width} columns x {num_bands} bands, stored as {summary.dtype}"),
        ("stored", ", ".join(filter(None, (summary.storage, chunks)))),
        ("wavelengths", f"{_span(summary.wavelengths_nm)} nm" if summary.wavelengths_nm else "unknown"),
        ("widths", "" if summary.fwhm_nm is None else f"{_span(summary.fwhm_nm)} nm (FWHM)"),
        ("band names", "" if summary.band_names is None else " ... ".join(summary.band_names)),
        ("bad bands", "" if summary.num_bad_bands is None else f"{summary.num_bad_bands} of {num_bands}"),
        *_place(summary),
        ("nodata value", "" if summary.nodata is None else f"{summary.nodata:g}"),
        ("scaling", _scaling(summary)),
        ("values", f"{summary.minimum:.6g} to {summary.maximum:.6g}, mean {summary.mean:.6g}"),
    ]
    rows += [("check", line) for line in summary.doubts]
    rows.append(("used", ", ".join(summary.used)))
    rows += [(finding.topic, as_flags(finding.line)) for finding in summary.findings]
    if summary.num_not_finite:
        found = f"{summary.num_not_finite} infinite values, which a fusion refuses; repair them"
        rows.append(("not finite", found))
    if summary.num_nodata:
        rows.append(("no data", f"{summary.num_nodata} of {height * width} pixels"))
    for name, value in summary.metadata.items():
        text = " ".join(str(value).split())
        if isinstance(value, np.ndarray | list) and np.size(value) > 6:
            text = f"{'x'.join(map(str, np.shape(value)))} numbers"
        if name not in HIDDEN:
            rows.append((name, text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."))
    return rows


def methods_table(methods: Iterable[Method], shipped: Mapping[str, list[str]]) -> Table:
    """The methods, what each needs beside the two images, and for which sizes weights are shipped."""
    method_column = Column("method", style="bold", no_wrap=True)
    table = plain_table(method_column, Column("kind", no_wrap=True), "needs", "what it does")
    for method in methods:
        text = Text(method.summary)
        text.append(f" ({method.source})", style="dim")
        for line in shipped.get(method.name, []):
            text.append(f"\nshipped: {line}", style="green")
        table.add_row(method.name, method.kind.replace("_", " "), ", ".join(method.needs) or "nothing", text)
    return table


def quality_table(figures: NoReference, *, psf: str, srf: str) -> Table:
    """Return the figures of one estimate, under the cameras that they were found with."""
    side = figures.qnr.block_side
    value_column = Column("value", justify="right", style="bold", no_wrap=True)
    table = plain_table(Column("figure", no_wrap=True), value_column, Column("meaning", style="dim"))
    table.title, table.title_justify = f"psf {psf}, srf {srf}", "left"
    table.caption = f"D and QNR: means over blocks of {side}x{side} coarse pixels"
    table.caption_justify, values = "left", figures.by_name()
    for metric in metrics_for("images"):
        value, meaning = values[metric.name], metric.meaning or f"{metric.better} is better"
        if value is None:
            table.add_row(metric.label, "unknown", "the response is not known: give --srf")
        elif isinstance(value, tuple):  # one for every band or channel: the lowest, and which one it is
            place = f"{metric.meaning} {int(np.argmin(value)) + 1} of {len(value)}"
            meaning = f"{place}; mean of all {metric.text(float(np.mean(value)))}"
            table.add_row(metric.label, metric.text(min(value)), meaning)
        else:
            table.add_row(metric.label, metric.text(value), meaning)
    return table


def findings_table(findings: Iterable[Finding]) -> Table:
    """Return one line per finding: symbol and severity, what was checked, what was found, what to do."""
    table = plain_table(
        Column("", no_wrap=True),
        Column("checked", style="bold", no_wrap=True),
        Column("found", ratio=3),
        Column("what to do", ratio=2),
    )
    for finding in findings:
        symbol, style = SYMBOLS[finding.severity]
        mark = Text(f"{symbol} {finding.severity}", style=style)
        table.add_row(mark, finding.topic, Text(finding.found), Text(as_flags(finding.advice)))
    return table


def verdict_line(verdict: Verdict) -> Text:
    """The verdict in one line, green only without a warning."""
    symbol, style = SYMBOLS[verdict.severity]
    return Text(f"{symbol} {verdict.line}", style=style)


def sensors_table(entries: Iterable[ResponseEntry]) -> Table:
    """The named responses: name, channels, range, where the figures are from."""
    name_column, range_column = Column("name", no_wrap=True, style="bold"), Column("range, nm", no_wrap=True)
    table = plain_table(name_column, "sensor or camera", "channels", range_column, "source")
    for entry in entries:
        span = f"{entry.range_nm[0]:.0f} to {entry.range_nm[1]:.0f}"
        table.add_row(entry.name, entry.title, ", ".join(entry.channels), span, entry.source)
    return table


def bands_table(bands: Iterable[SensorBand]) -> Table:
    """The bands of one sensor."""
    names = ("centre, nm", "from, nm", "to, nm", "width, nm")
    table = plain_table("channel", *(Column(name, justify="right") for name in names))
    for band in bands:
        low, high = band.lower_nm, band.upper_nm
        values = ((low + high) / 2, low, high, high - low)
        table.add_row(band.channel, *(f"{value:.1f}" for value in values))
    return table


def _span(ends: tuple[float, float]) -> str:
    return f"{ends[0]:g}" if ends[0] == ends[1] else f"{ends[0]:g} to {ends[1]:g}"


def _place(summary: FileSummary) -> list[tuple[str, str]]:
    """Coordinate system, size of a pixel and the four outer corners."""
    grid = summary.georeference
    if grid is None:
        return []
    from hsr_tf.geo.crs import crs_label

    rows, cols = summary.shape[:2]
    corners = {"upper left": (0, 0), "upper right": (0, cols), "lower left": (rows, 0)}
    corners["lower right"] = (rows, cols)
    height, width = grid.pixel_size
    found = [
        ("coordinates", "unknown system" if grid.crs is None else crs_label(grid.crs)),
        ("pixel", f"{width:g} wide, {height:g} high"),
    ]
    places = {name: grid.at(*corner) for name, corner in corners.items()}
    return found + [(name, f"{x:.10g}, {y:.10g}") for name, (x, y) in places.items()]


def _scaling(summary: FileSummary) -> str:
    if summary.has_gain:
        return "gain * stored + offset, as recorded in the file"
    if summary.white_level is None:
        return "none, values are taken as stored"
    origin = {
        "file": "the white level in the file",
        "guessed": f"a guess from values up to {summary.white_level_sample:g}",
    }.get(summary.white_level_origin, summary.white_level_origin)
    return f"stored values / {summary.white_level:g} ({origin})"
