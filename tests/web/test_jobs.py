"""Jobs of the web page: what the commands make, strangers' files refused in one line, nothing left behind."""

from __future__ import annotations

import io as streams
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hsr_tf import io, methods
from hsr_tf.fusion.api import fuse
from hsr_tf.networks.cards import shipped_models
from hsr_tf.scene import Observation
from hsr_tf.web.jobs import (
    REPORT,
    Job,
    Limits,
    PairTask,
    PhotographTask,
    Progress,
    pair_methods,
    photograph_methods,
    stored,
)
from tests.registered_for_tests import placed_pair, similarity

LIMITS = Limits()


@pytest.fixture
def pair(observation: Observation, tmp_path: Path) -> dict[str, dict[str, bytes]]:
    """Both files as they are dropped."""
    files = {}
    for name in ("lr_hsi", "hr_msi"):
        path = io.save(getattr(observation, name), tmp_path / f"{name}.h5")
        files[name] = {f"../../etc/{name}.h5": path.read_bytes()}
    return files


def run(task: Any) -> tuple[Job, Progress]:
    job = Job(task)
    job.start()
    assert job.wait(100)
    return job, job.progress


def pair_task(files: Mapping[str, Any], method: str = "spectral_ls", limits: Limits = LIMITS) -> PairTask:
    return PairTask(**files, method=method, estimate_cameras=False, limits=limits)


def test_a_pair_is_fused_as_the_library_does(
    pair: dict[str, dict[str, bytes]], observation: Observation
) -> None:
    job, progress = run(pair_task(pair))
    assert progress.error is None and progress.files is not None
    assert {*progress.files} == {REPORT, "sharp.h5"}
    found = io.load(progress.files["sharp.h5"])
    np.testing.assert_array_equal(found.cube, fuse(observation, "spectral_ls").estimate.cube)
    assert ("size", "24x32x7") in progress.facts
    assert all(path.parent == job.folder for path in progress.files.values())
    job.close()
    assert not job.folder.exists()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_pair_that_lies_askew_is_registered(tmp_path: Path) -> None:
    pair = placed_pair(similarity(0.0, 4.0, (4.0, -3.0), sizes=(16, 64)), side=16, sharp_side=64)
    files = {}
    for name in ("lr_hsi", "hr_msi"):
        path = io.save(getattr(pair, name), tmp_path / f"{name}.h5")
        files[name] = {path.name: path.read_bytes()}
    job, progress = run(pair_task(files, "bicubic"))
    assert progress.error is None and progress.files is not None
    assert any("registered: hr_msi shifted by (+4.00, -3.00)" in text for _, text in progress.facts)
    assert ("size", "64x64x12") in progress.facts
    assert io.load(progress.files["sharp.h5"]).shape == (64, 64, 12)
    job.close()


def test_a_photograph_is_enlarged(tmp_path: Path) -> None:
    content = streams.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 4)).astype(np.uint8)
    Image.fromarray(pixels).save(content, "PNG")
    job, progress = run(PhotographTask({"a b.PNG": content.getvalue()}, "vdsr", 1.5, LIMITS))
    assert progress.error is None and progress.files is not None
    with Image.open(progress.files["enlarged.png"]) as picture:
        assert (picture.size, picture.mode) == ((45, 30), "RGBA")
    assert b"bicubic" in progress.files[REPORT].read_bytes()
    job.close()


def test_the_page_shows_a_photograph_in_its_own_colours() -> None:
    content = streams.BytesIO()
    pixels = np.full((24, 30, 3), (220, 90, 20), np.uint8)
    pixels[::3] //= 2
    Image.fromarray(pixels).save(content, "PNG")
    job, progress = run(PhotographTask({"a.png": content.getvalue()}, "bicubic", 2.0, LIMITS))
    assert progress.error is None and progress.files is not None
    page = progress.files[REPORT].read_text(encoding="utf-8")
    presets = re.findall(r'"name": ?"(true|spread|false)", ?"bands": ?\[([0-9, ]+)\]', page)
    assert [(name, bands.replace(" ", "")) for name, bands in presets] == [("true", "0,1,2")]
    assert '"low":[0.0,0.0,0.0],"high":[1.0,1.0,1.0]' in page and '"gamma":1.0' in page
    job.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lr_hsi": {"x.h5": b"not HDF5"}}, "lr_hsi.h5: cannot be read as HDF5"),
        ({"lr_hsi": {}}, "lr_hsi: expected one file"),
        ({"lr_hsi": {"a.h5": b"", "b.h5": b""}}, "lr_hsi: expected one file"),
        ({"lr_hsi": {"no_suffix": b"x"}}, "a name that ends in what says its format"),
        ({"lr_hsi": {"x.h5/../../y": b"x"}}, "a name that ends in what says its format"),
        ({"hr_msi": {"x.pickle": b"x"}}, "unknown suffix '.pickle'"),
    ],
)
def test_what_is_no_pair_is_refused_in_one_line(
    change: dict[str, Any], said: str, pair: dict[str, dict[str, bytes]]
) -> None:
    job, progress = run(pair_task({**pair, **change}))
    assert progress.error is not None and said in progress.error
    assert "\n" not in progress.error and str(job.folder) not in progress.error
    job.close()
    assert not job.folder.exists()


def test_a_cube_that_would_grow_too_large_is_refused(pair: dict[str, dict[str, bytes]]) -> None:
    job, progress = run(pair_task(pair, limits=Limits(max_gib=1e-5)))
    assert progress.error is not None and "GiB" in progress.error
    job.close()


class Waiting:
    """A task that goes on until it is stopped."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    def run(self, folder: Path, progress: Progress, stop: Callable[[], None]) -> Mapping[str, Path]:
        (folder / "half.h5").write_bytes(b"half")
        self.begun.set()
        while True:
            stop()


def test_a_stopped_job_ends_and_leaves_nothing() -> None:
    task = Waiting()
    job = Job(task)
    job.start()
    assert task.begun.wait(10)
    job.close()
    assert job.wait(10)
    job._thread.join(10)
    assert job.progress.error == "stopped"
    assert not job.folder.exists()


def test_jobs_take_turns() -> None:
    first, second = Job(Waiting()), Job(Waiting())
    first.start()
    assert first._task.begun.wait(10)  # type: ignore[attr-defined]
    second.start()
    assert not second._task.begun.wait(0.2)  # type: ignore[attr-defined]
    assert second.progress.stage == "waiting for its turn"
    first.close()
    assert second._task.begun.wait(10)  # type: ignore[attr-defined]
    second.close()
    assert second.wait(10)


def test_a_defect_is_told_without_its_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def run(self, folder: Path, progress: Progress, stop: Callable[[], None]) -> Mapping[str, Path]:
            raise KeyError("/secret/path")

    job, progress = run(Broken())
    assert progress.error == "the program failed (KeyError)"
    job.close()


def test_names_give_nothing_but_a_suffix(tmp_path: Path) -> None:
    files = {"/etc/x.HDR": b"header", "..\\y.IMG": b"data"}
    assert stored(files, tmp_path, "lr_hsi") == tmp_path / "lr_hsi.hdr"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lr_hsi.hdr", "lr_hsi.img"]


def test_the_methods_on_offer_need_nothing_more() -> None:
    assert {"spectral_ls", "ms_ssfnet", "deep_prior", "adapt"} <= {*pair_methods()}
    shipped = {card.config.method for card in shipped_models()}
    networks = {one.name for one in methods.describe() if one.kind == "network"}
    assert networks & {*pair_methods()} == networks & shipped
    assert pair_methods()["spectral_ls"] == "spectral_ls"
    assert "31 bands + 3 channels, x8" in pair_methods()["ms_ssfnet"]
    assert {"vdsr", "kbpn", "bicubic"} <= {*photograph_methods()}
    assert "srmdnf" not in photograph_methods()


@pytest.mark.parametrize("name", ["max_upload_mib", "max_gib", "max_seconds"])
def test_limits_that_let_nothing_through_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected a positive number"):
        Limits(**{name: 0})
