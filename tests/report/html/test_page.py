"""The report: one page without references to others, text that stays text, values that can be read back."""

from __future__ import annotations

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsr_tf.report.html import ReportData, write_report
from hsr_tf.report.html.band_coding import BYTES_PER_GROUP, CodedCube, Quantiser, coded, packed
from hsr_tf.report.html.page import render
from hsr_tf.report.html.quality_maps import HR_RESIDUAL, LR_RESIDUAL, quality
from hsr_tf.report.html.views import make_views
from hsr_tf.report.render import SpectralAxis, false_colour_bands
from hsr_tf.scene import Scene
from tests.report.scene_for_report import NASTY, small_report

SIDE_LIMIT = 25e6


class Page(HTMLParser):
    """The elements of a page: by id their texts, and every attribute that could ask for another file."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.title = ""
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self._open = [tag, found.get("id", "")]
        self.texts.setdefault(found.get("id", ""), "")
        self.sources += [value for name, value in attrs if name in ("src", "href", "data", "poster")]

    def handle_data(self, data):
        if self._open:
            self.texts[self._open[1]] = self.texts.get(self._open[1], "") + data
            if self._open[0] == "title":
                self.title += data


def band_of(code: CodedCube, number: int) -> np.ndarray:
    """One band (H, W) of a coded cube as the page reads it, NaN where there is no value."""
    first = code.starts[number]
    groups = -(-code.sizes[number] // BYTES_PER_GROUP)
    letters = code.text[4 * first // 3 : 4 * first // 3 + 4 * groups]
    found = base64.b64decode(letters)[: code.sizes[number]]
    return code.quantiser.inverse(unpacked(found, code.shape[:2]))


def unpacked(data: bytes, shape: tuple[int, int]) -> np.ndarray:
    """The inverse of `packed`, row by row and value by value as a browser does it."""
    height, width = shape
    planes = np.frombuffer(zlib.decompress(data), np.uint8).reshape(2, height, width).astype(np.int32)
    folded = planes[0] | planes[1] << 8
    differences = np.where(folded & 1, -(folded + 1) // 2, folded // 2).tolist()
    rows: list[list[int]] = []
    for y, row in enumerate(differences):
        above = rows[y - 1] if y else None
        values: list[int] = []
        for x, difference in enumerate(row):
            values.append(difference + _expected(values, above, x))
        rows.append(values)
    return np.asarray(rows, np.uint16)


def _expected(row: list[int], above: list[int] | None, x: int) -> int:
    if above is None:
        return row[x - 1] if x else 0
    if x == 0:
        return above[0]
    left, upper, corner = row[x - 1], above[x], above[x - 1]
    if corner >= max(left, upper):
        return min(left, upper)
    return max(left, upper) if corner <= min(left, upper) else left + upper - corner


@pytest.fixture(scope="module")
def page() -> tuple[ReportData, str]:
    data = small_report(title=NASTY, configuration={NASTY: NASTY}, notes=(NASTY,))
    names = {NASTY: data.estimates["method_0"]}
    return data, render(
        small_report(title=NASTY, configuration={NASTY: NASTY}, notes=(NASTY,), estimates=names)
    )


@given(
    arrays.arrays(
        np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 7)), elements=st.integers(0, 2**15 - 1)
    )
)
def test_integers_come_back_as_they_were(codes):
    np.testing.assert_array_equal(unpacked(packed(codes), codes.shape), codes)


@pytest.mark.parametrize("bits", [8, 12, 14])
def test_values_come_back_within_half_a_step_and_gaps_stay_gaps(bits):
    cube = np.random.default_rng(0).normal(size=(13, 7, 3))
    cube[2, 3] = np.nan
    code = coded(cube, bits=bits)
    back = np.stack([band_of(code, number) for number in range(3)], axis=-1)
    half = code.quantiser.step / 2
    assert half == pytest.approx((np.nanmax(cube) - np.nanmin(cube)) / (2**bits - 2) / 2)
    assert np.isnan(back[2, 3]).all()
    assert np.nanmax(np.abs(back - cube)) <= half * (1 + 1e-9)


def test_a_constant_cube_keeps_its_value():
    code = coded(np.full((4, 5, 2), 0.25), bits=12)
    np.testing.assert_allclose(band_of(code, 1), 0.25)


def test_spectra_read_from_the_page_are_within_the_precision_it_states(tmp_path):
    data = small_report()
    found = Page(write_report(data, tmp_path / "r.html").read_text(encoding="utf-8"))
    payload = json.loads(found.texts["report-data"])
    versions = {version["name"]: (number, version) for number, version in enumerate(payload["versions"])}
    wanted = {"Truth": data.reference, "LR cube": data.lr_hsi.cube, **data.estimates}
    for name, cube in wanted.items():
        number, version = versions[name]
        steps = Quantiser(version["low"], version["step"], 14)
        shape = (version["height"], version["width"], version["bands"])
        code = CodedCube(shape, steps, version["starts"], version["sizes"], found.texts[f"cube-{number}"])
        back = np.stack([band_of(code, band) for band in range(shape[2])], axis=-1)
        assert np.abs(back - cube).max() <= version["step"] * 0.501
        assert version["step"] <= np.ptp(cube) / 4000


def test_the_page_names_no_other_file_and_has_every_part(page):
    found = Page(page[1])
    assert {source for source in found.sources if not source.startswith(("#", "data:"))} == set()
    assert "@import" not in page[1].split("<body>")[0] and "url(" not in page[1].split("<body>")[0]
    assert {
        "plot-spectra",
        "plot-psnr",
        "plot-kernel",
        "plot-response",
        "plot-curve-0",
        "stage",
    } <= found.texts.keys()
    assert "hsr fuse '--lr_hsi=a b.h5'" in page[1].replace("&#39;", "'")


def test_names_are_shown_as_they_are_and_never_run(page):
    found = Page(page[1])
    assert found.title.strip() == NASTY
    body = page[1].split("<body>")[1]
    assert NASTY not in page[1]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body
    assert json.loads(found.texts["report-data"])["versions"][2]["name"] == NASTY
    assert not re.search(r"\son\w+=", body.split("<script")[0])


@pytest.mark.slow
def test_a_scene_of_512_x_512_x_31_stays_below_25_mb(tmp_path):
    rng = np.random.default_rng(1)
    coarse = rng.random((33, 33, 31)).astype(np.float32)
    cube = np.kron(coarse, np.ones((16, 16, 1), np.float32))[:512, :512]
    cube = 0.8 * cube + 0.02 * rng.random(cube.shape, np.float32)
    estimates = {name: cube + 0.01 * rng.random(cube.shape, np.float32) for name in ("a", "b")}
    data = ReportData(title="large", estimates=estimates, reference=cube, lr_hsi=Scene(cube[::8, ::8]))
    path = write_report(data, tmp_path / "large.html")
    assert 1e6 < path.stat().st_size < SIDE_LIMIT


def test_a_scene_over_a_megapixel_is_thinned_with_a_note():
    cube = np.zeros((1300, 1000, 1), np.float32)
    cube[::2, ::2] = 0.5
    data = ReportData(title="wide", estimates={"a": cube})
    views = make_views(data, quality(data))
    assert views.stride == 2
    np.testing.assert_array_equal(views.versions[0].cube, cube[::2, ::2])
    assert "this page shows every second row and column" in render(data)


def test_residuals_are_percentages_in_the_table_of_scores():
    scores = {"a": {"lr_hsi_residual": 0.1064, "hr_msi_residual": 1.9e-7, "seconds": 0.28}}
    text = render(ReportData(title="residuals", scores=scores))
    assert "LR-HSI residual" in text and "HR-MSI residual" in text
    assert "<td>11 %</td><td>under 0.001 %</td><td>0.28</td>" in text


def test_residuals_are_zero_for_the_cube_that_explains_both_images():
    data = small_report(reference=None)
    exact = {"exact": np.asarray(small_report().reference)}
    found = quality(small_report(reference=None, estimates=exact))
    assert [part.kind for part in found.maps] == [LR_RESIDUAL, HR_RESIDUAL]
    assert max(float(part.values.max()) for part in found.maps) < 1e-3
    assert min(float(part.values.mean()) for part in quality(data).maps) > 0.05


def test_errors_are_those_of_the_metrics(page):
    data = small_report()
    error = next(part for part in quality(data).maps if part.method == "method_1" and part.kind == "error")
    clipped = np.clip(data.estimates["method_1"], 0, 1)
    np.testing.assert_allclose(
        error.values, np.abs(clipped - data.reference).mean(-1) * 255, rtol=1e-4, atol=1e-4
    )


def test_false_colours_take_the_infrared_where_it_is_and_differ_from_true_ones():
    wide = np.linspace(400, 1000, 61)
    assert [wide[i] for i in false_colour_bands(61, wide).indices] == pytest.approx([860, 650, 550])
    visible = np.linspace(400, 700, 31)
    assert len(set(false_colour_bands(31, visible).indices)) == 3


def test_spectra_break_where_bands_were_taken_out_and_follow_the_wavelengths():
    axis = SpectralAxis.of(5, np.array([500.0, 400.0, 410.0, 510.0, 420.0]))
    np.testing.assert_array_equal(axis.bands, [1, 2, 4, -1, 0, 3])
    np.testing.assert_array_equal(axis.arrange(np.arange(5.0)), [1, 2, 4, np.nan, 0, 3])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"estimates": {}, "curves": {}, "scores": {}}, "estimates: expected an estimate"),
        ({"reference": np.zeros((3, 3, 9))}, "reference: expected"),
        ({"hr_msi": Scene(np.zeros((5, 5, 3)))}, "hr_msi: expected 32 x 48"),
        ({"lr_hsi": Scene(np.zeros((7, 12, 9)))}, "hr_msi: expected a whole multiple"),
        ({"wavelengths_nm": np.ones(4)}, "wavelengths_nm: expected 9"),
        ({"estimates": {"a": np.full((32, 48, 9), np.nan)}}, "estimate: expected finite"),
        ({"estimates": {str(i): np.zeros((32, 48, 9)) for i in range(6)}}, "estimates: expected at most 5"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(changes, said):
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        small_report(**changes)
    assert "\n" not in str(caught.value)


def test_another_suffix_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.html"):
        write_report(small_report(), tmp_path / "report.txt")
    assert list(tmp_path.iterdir()) == []


def test_an_old_report_stays_when_the_new_one_cannot_be_written(tmp_path, monkeypatch):
    path = tmp_path / "r.html"
    path.write_text("old")
    monkeypatch.setattr(
        Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(OSError, match="No space left"):
        write_report(small_report(), path)
    monkeypatch.undo()
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_report_without_a_scene_has_curves_and_scores():
    whole = small_report()
    text = render(ReportData(title="training", curves=whole.curves, scores=whole.scores))
    assert 'id="plot-curve-0"' in text and 'id="stage"' not in text
