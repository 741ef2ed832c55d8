"""The page of `hsr demo` in a real browser: drop, press, watch, look, download; bounded, and nothing left.

Pictures of the page go to $HSR_ARTIFACTS, or to pytest's folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hsr_tf import io
from hsr_tf.scene import Observation

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
)
WAIT = 120_000
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps what was uploaded."""
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def address(temporary: Path) -> Iterator[str]:
    """The page of a server that takes one MiB; it ends by Ctrl-C and leaves nothing."""
    command = [sys.executable, "-c", "from hsr_tf.cli import main; main()", "demo"]
    command += ["--port=0", "--no-show", "--max_upload_mib=1"]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        line = next(line for line in server.stdout if line.startswith("open "))
        yield line.split()[1]
        server.send_signal(signal.SIGINT)
        assert server.wait(60) in (0, 130)
    assert not list(temporary.glob("hsr_demo_*"))


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    """A tab, and in `complaints` and `strangers` what it complained of and asked others for."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        tab = browser.new_page(viewport={"width": 1300, "height": 900})
        tab.set_default_timeout(WAIT)
        tab.complaints, tab.strangers = [], []
        tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tab.on("console", lambda m: tab.complaints.append(m.text) if m.type == "error" else None)
        own = (address, "data:", "blob:", "about:")
        tab.on("request", lambda r: None if r.url.startswith(own) else tab.strangers.append(r.url))
        tab.goto(address)
        tab.wait_for_selector("input[type=file]", state="attached")
        yield tab
        browser.close()


def picture(tab: Any, name: str, tmp_path: Path) -> None:
    folder = Path(os.environ.get("HSR_ARTIFACTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=folder / f"demo_{name}.png")


def test_a_pair_is_dropped_fused_looked_at_and_downloaded(
    page: Any, observation: Observation, temporary: Path, tmp_path: Path
) -> None:
    for place, name in enumerate(("lr_hsi", "hr_msi")):
        path = io.save(getattr(observation, name), tmp_path / f"{name}.h5")
        page.locator("input[type=file]").nth(place).set_input_files(path)
    page.get_by_text("Upload complete", exact=True).nth(1).wait_for()
    page.get_by_role("button", name="Fuse").click()
    report = page.frame_locator("iframe")
    report.get_by_text("True colour").wait_for()
    assert "mixture" in report.locator("h1").inner_text()
    assert "auto" in report.locator("body").inner_text()  # the method that is chosen unless a visitor does
    picture(page, "pair", tmp_path)
    with page.expect_download() as waited:
        page.get_by_role("link", name="sharp.h5").click()
    found = io.load(shutil.move(waited.value.path(), tmp_path / "found.h5"))
    assert found.shape == (*observation.hr_msi.shape[:2], observation.lr_hsi.num_bands)
    assert list(temporary.glob("hsr_demo_*"))
    assert page.complaints == [] and page.strangers == []


def test_a_photograph_is_enlarged_and_a_wrong_file_is_told(page: Any, tmp_path: Path) -> None:
    page.get_by_text("A photograph", exact=True).click()
    (tmp_path / "broken.png").write_bytes(b"no picture")
    pixels = np.random.default_rng(2).integers(0, 256, (24, 36, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    chooser = page.locator("input[type=file]").last
    chooser.set_input_files(tmp_path / "broken.png")
    page.get_by_text("Upload complete", exact=True).wait_for()
    page.get_by_role("button", name="Enlarge").click()
    page.locator(".hsr-error").wait_for()
    assert "photograph.png" in page.locator(".hsr-error").inner_text()
    picture(page, "error", tmp_path)
    page.reload()
    page.get_by_text("A photograph", exact=True).click()
    page.locator("input[type=file]").last.set_input_files(tmp_path / "photo.png")
    page.get_by_text("Upload complete", exact=True).wait_for()
    page.get_by_role("button", name="Enlarge").click()
    headline = page.frame_locator("iframe").locator("h1")
    headline.wait_for()
    assert headline.inner_text() == "Photograph, ×2"
    picture(page, "photograph", tmp_path)
    assert page.strangers == []


def test_an_upload_beyond_the_limit_is_not_taken(page: Any, tmp_path: Path) -> None:
    (tmp_path / "large.h5").write_bytes(bytes(3 * 2**20))
    page.locator("input[type=file]").first.set_input_files(tmp_path / "large.h5")
    page.get_by_text("Maximum total size exceeded").first.wait_for()
    picture(page, "too_large", tmp_path)
    page.get_by_role("button", name="Fuse").click()
    page.locator(".hsr-error").wait_for()
    assert "lr_hsi: drop the file here first" in page.locator(".hsr-error").inner_text()
