"""The table of fields in docs/formats.md is what the benchmark measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import _report, format_fields


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_page_shows_the_table_that_is_measured() -> None:
    text = format_fields.PAGE.read_text(encoding="utf-8")
    assert _report.with_section(text, "fields", format_fields.table()) == text


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "field", "marks"),
    [("ENVI", "wavelengths", "R W"), ("ENVI", "rpc", "!"), ("GeoTIFF", "rpc", "R W"), ("PNG", "grid", "")],
)
def test_single_cells_are_measured(name: str, field: str, marks: str, tmp_path: Path) -> None:
    assert format_fields.cell(name, field, tmp_path) == marks


def test_a_table_takes_the_place_of_the_old_one_between_the_marks() -> None:
    marks = "a\n<!-- fields: begin -->\n{}\n<!-- fields: end -->\nb\n"
    assert _report.with_section(marks.format("old"), "fields", "new") == marks.format("new")
