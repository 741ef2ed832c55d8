"""The report in a real browser: divider, bands, spectra by mouse and by keyboard, no error, no request.

Pictures of the page go to $HSR_ARTIFACTS, or to pytest's folder.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsr_tf.report.html import ReportData, write_report
from tests.report.scene_for_report import NASTY, small_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT = 60_000
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield found
        found.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    return write_report(small_report(title=NASTY), tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory) -> Path:
    named = os.environ.get("HSR_ARTIFACTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Opened:
    """A page in the browser, and what it complained of and asked for."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        self.page = self.context.new_page()
        self.page.on(
            "console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        begin = time.perf_counter()
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]", timeout=WAIT)
        self.seconds = time.perf_counter() - begin

    def plotted(self, name: str) -> np.ndarray:
        data = self.page.evaluate("Object.entries(window.hsrReport.plotted()).map(([k, v]) => [k, [...v]])")
        return np.asarray(dict(data)[name], float)

    def place(self) -> tuple[int, int]:
        found = self.page.evaluate("[window.hsrReport.spectra().row, window.hsrReport.spectra().column]")
        return found[0], found[1]

    def colour(self, side: str, x: float, y: float) -> list[int]:
        code = (
            "([side, x, y]) => { const c = document.getElementById(`canvas-${side}`);"
            " return [...c.getContext('2d').getImageData(x * c.width, y * c.height, 1, 1).data]; }"
        )
        return self.page.evaluate(code, [side, x, y])


@pytest.fixture
def opened(browser, report) -> Iterator[Opened]:
    found = Opened(browser, report)
    yield found
    assert found.complaints == []
    assert found.requests == [report.as_uri()]
    found.context.close()


def expected_colour(data, value, band):
    """Viridis at the place of a value between the cuts of the band's truth."""
    from matplotlib import colormaps

    low, high = np.percentile(data.reference[..., band], [0.5, 99.5])
    return np.round(
        255 * np.asarray(colormaps["viridis"](float(np.clip((value - low) / (high - low), 0, 1))))
    )


def test_a_click_plots_the_spectra_of_every_version_at_that_place(opened):
    data, stage = small_report(), opened.page.locator("#stage")
    box = stage.bounding_box()
    stage.click(position={"x": (37.5 / 48) * box["width"], "y": (9.5 / 32) * box["height"]})
    opened.page.wait_for_function("window.hsrReport.spectra().column === 37")
    assert opened.place() == (9, 37)
    for name, spectrum in (
        ("v0", data.lr_hsi.cube[9 // 4, 37 // 4]),
        ("v2", data.estimates["method_0"][9, 37]),
        ("v3", data.estimates["method_1"][9, 37]),
        ("v4", data.reference[9, 37]),
    ):
        np.testing.assert_allclose(opened.plotted(name), spectrum, atol=1.5e-4)
    np.testing.assert_allclose(opened.plotted("x"), data.wavelengths_nm)
    assert "row 9, column 37, coarse cell 2, 9" in opened.page.inner_text("#where")
    opened.page.locator("summary").first.click()
    assert f"{data.reference[9, 37, 0]:.3f}"[:4] in opened.page.inner_text("#values")


def test_a_photograph_is_shown_in_the_colours_of_its_file(browser, tmp_path):
    pixels = np.full((24, 32, 3), 0.5, np.float32)
    colours = np.float32([[210, 20, 20], [20, 140, 40], [30, 50, 200], [128, 128, 128]])
    for place, colour in enumerate(colours):
        pixels[:, 8 * place : 8 * place + 8] = colour / 255
    path = write_report(ReportData(title="photograph", estimates={"a": pixels}), tmp_path / "photograph.html")
    opened = Opened(browser, path)
    opened.page.wait_for_timeout(300)
    for place, colour in enumerate(colours):
        np.testing.assert_allclose(opened.colour("left", (place + 0.5) / 4, 0.5)[:3], colour, atol=1)
    opened.context.close()


def test_arrows_and_enter_choose_a_place_without_a_mouse(opened):
    row, column = opened.place()
    opened.page.focus("#stage")
    for key in ("ArrowDown", "ArrowDown", "ArrowLeft"):
        opened.page.keyboard.press(key)
    assert opened.place() == (row, column)
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_function(f"window.hsrReport.spectra().row === {row + 2}")
    assert opened.place() == (row + 2, column - 1)


def test_the_band_slider_shows_that_band_of_both_versions_on_one_scale(opened):
    data = small_report()
    opened.page.locator('input[name="mode"][value="band"]').check(force=True)
    opened.page.select_option("#palette", "viridis")
    opened.page.select_option("#left", label="Truth")
    opened.page.locator("#band").fill("7")
    opened.page.wait_for_function("window.hsrReport.state.band === 7")
    opened.page.wait_for_timeout(300)
    assert "8, 647.5 nm" in opened.page.inner_text("#band-name")
    for side, cube in (("left", data.reference), ("right", data.estimates["method_0"])):
        found = opened.colour(side, 30.5 / 48, 20.5 / 32)[:3]
        np.testing.assert_allclose(found, expected_colour(data, cube[20, 30, 7], 7)[:3], atol=3)
    opened.page.focus("#band")
    opened.page.keyboard.press("ArrowRight")
    opened.page.wait_for_function("window.hsrReport.state.band === 8")


def test_the_divider_moves_by_mouse_and_by_keyboard(opened):
    divider = opened.page.locator("#divider")
    box, stage = divider.bounding_box(), opened.page.locator("#stage").bounding_box()
    opened.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    opened.page.mouse.down()
    opened.page.mouse.move(stage["x"] + 0.25 * stage["width"], box["y"] + 60, steps=4)
    opened.page.mouse.up()
    assert divider.get_attribute("aria-valuenow") == "25"
    assert "25%" in opened.page.locator("#canvas-right").evaluate("e => e.style.clipPath")
    divider.focus()
    opened.page.keyboard.press("ArrowRight")
    assert divider.get_attribute("aria-valuenow") == "27"
    opened.page.keyboard.press("End")
    assert divider.get_attribute("aria-valuenow") == "100"
    opened.page.keyboard.press("Home")
    assert divider.get_attribute("aria-valuenow") == "0"


def test_a_place_is_chosen_in_a_map_too(opened):
    plot = opened.page.locator("#plot-map-0")
    plot.scroll_into_view_if_needed()
    frame = opened.page.evaluate(
        "(() => { const v = Bokeh.index.find_one(Bokeh.documents.at(-1).get_model_by_name('map-0'));"
        " const b = v.frame.bbox; return [b.x, b.y, b.width, b.height]; })()"
    )
    plot.click(position={"x": frame[0] + frame[2] * 10.5 / 48, "y": frame[1] + frame[3] * 25.5 / 32})
    opened.page.wait_for_function("window.hsrReport.spectra().column === 10")
    assert opened.place() == (25, 10)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "width"), [("desktop", 1280), ("phone", 390)])
def test_the_page_fits_its_screen_and_opens_soon(browser, report, artifacts, name, width, scheme):
    phone = {"has_touch": True, "is_mobile": True} if name == "phone" else {}
    size = {"width": width, "height": 844}
    opened = Opened(browser, report, viewport=size, color_scheme=scheme, **phone)
    print(f"{name}, {scheme}: open after {opened.seconds:.2f} s")
    opened.page.wait_for_timeout(300)
    opened.page.screenshot(path=artifacts / f"report_{name}_{scheme}.png", full_page=True)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.page.evaluate("window.hsrReport.failures") == []
    ink = opened.page.evaluate("getComputedStyle(document.body).color")
    assert (ink == "rgb(232, 234, 237)") == (scheme == "dark")
    assert opened.complaints == []
    opened.context.close()
