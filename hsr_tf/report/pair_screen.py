"""What `hsr check` shows on a terminal: colours for those who see them, symbols for all."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Column, Table
from rich.text import Text

from hsr_tf.findings import ERROR, NOTE, OK, WARNING, Finding
from hsr_tf.fusion.check.verdict import Verdict
from hsr_tf.report.screen import plain_table
from hsr_tf.wording import as_flags

SYMBOLS = {OK: ("+", "green"), NOTE: ("i", "cyan"), WARNING: ("!", "yellow"), ERROR: ("x", "bold red")}


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
