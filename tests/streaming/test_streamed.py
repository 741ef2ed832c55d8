"""Fused tile by tile is fused whole; what was finished before a kill stays done and changes nothing."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from hsr_tf import io, methods
from hsr_tf.fusion.api import fuse
from hsr_tf.fusion.pipeline import require_tileable
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.scene import Observation
from hsr_tf.solvers.parts.in_windows import SolverTiles
from hsr_tf.solvers.solver import Controls, Outcome, Solver
from hsr_tf.streaming import draft as drafts
from hsr_tf.streaming import plan
from hsr_tf.streaming.request import StreamRequest
from hsr_tf.streaming.streamed import fuse_files
from hsr_tf.tiling.stages import run_stages
from tests.streaming.pairs import with_holes_and_a_dead_band, write_images, write_pair
from tests.streaming.runs import DyingAfter

PLENTY = 64 * 10**9


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 4 coarse pixels at x8, which divide neither 9 nor 13."""
    monkeypatch.setattr(plan, "LARGEST_TILE", 32)
    monkeypatch.setattr(plan, "SMALLEST_TILE", 4)


def request_for(folder: Path, **changes: object) -> StreamRequest:
    asked = StreamRequest(folder / "x.h5", folder / "y.h5", folder / "z.h5", PLENTY, method="spectral_ls")
    return replace(asked, **changes)  # type: ignore[arg-type]


def largest_gap(folder: Path, expected: np.ndarray) -> float:
    return float(np.abs(io.load(folder / "z.h5").cube - expected).max())


@pytest.mark.parametrize(
    "method", ["bicubic", "spectral_ls", pytest.param("ms_ssfnet", marks=pytest.mark.slow), "auto"]
)
def test_tiles_make_the_whole(tmp_path: Path, method: str) -> None:
    pair = write_pair(tmp_path)
    done = fuse_files(request_for(tmp_path, method=method))
    assert done.num_tiles == 12
    assert largest_gap(tmp_path, fuse(pair, method).estimate.cube) < 1e-5
    assert not drafts.draft_folder(tmp_path / "z.h5").exists()


def test_the_output_tells_bands_grid_and_cameras(tmp_path: Path) -> None:
    pair = write_pair(tmp_path)
    fuse_files(request_for(tmp_path))
    told, whole = io.load(tmp_path / "z.h5"), fuse(pair, "spectral_ls").estimate
    assert told.georeference == whole.georeference
    np.testing.assert_array_equal(told.wavelengths_nm, whole.wavelengths_nm)
    assert told.metadata["method"] == "spectral_ls"
    assert told.metadata["psf"] == whole.metadata["psf"]
    assert told.metadata["trust"] == pytest.approx(whole.metadata["trust"], abs=1e-4)


@pytest.mark.parametrize("method", ["spectral_ls", pytest.param("ms_ssfnet", marks=pytest.mark.slow)])
def test_holes_and_dead_bands_are_repaired_as_in_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    pair = write_images(tmp_path, *with_holes_and_a_dead_band(write_pair(tmp_path)))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fuse_files(request_for(tmp_path, method=method))
    lines = [str(one.message) for one in told]
    assert any("1 dead band 6" in line for line in lines)
    assert any(line.startswith("hr_msi: 238 pixels without data (rows 40 to 56") for line in lines)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = fuse(pair, method).estimate
    found = io.load(tmp_path / "z.h5")
    assert found.nodata_mask is not None
    np.testing.assert_array_equal(found.nodata_mask, whole.nodata_mask)
    # the map of the whole is fitted in float32, whose rounding shows where images disagree
    assert np.abs(found.cube - whole.cube).max() < 2e-4
    monkeypatch.setattr(plan, "LARGEST_TILE", 4096)
    assert fuse_files(request_for(tmp_path, method=method)).num_tiles == 1
    assert np.abs(io.load(tmp_path / "z.h5").cube - found.cube).max() < 1e-5


@pytest.mark.parametrize("noisy", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_solver_in_windows_is_that_of_the_whole(tmp_path: Path, noisy: bool) -> None:
    pair = write_pair(tmp_path, (96, 136, 31))
    if noisy:
        generator = np.random.default_rng(1)
        noise = (0.01 * generator.standard_normal(x.shape) for x in (pair.lr_hsi.cube, pair.hr_msi.cube))
        scenes = (replace(s, cube=s.cube + n) for s, n in zip((pair.lr_hsi, pair.hr_msi), noise, strict=True))
        pair = write_images(tmp_path, *scenes)
    fuse_files(request_for(tmp_path, method="sylvester"))
    assert largest_gap(tmp_path, in_windows(pair)) < 1e-5


def in_windows(pair: Observation) -> np.ndarray:
    """The whole in memory, with windows as large as the streamed ones."""
    from hsr_tf.physics.cameras import choose_cameras

    model = choose_cameras(pair, psf=None, srf=None, srf_needed=True).model
    whole = ArrayPair((pair.lr_hsi.cube, pair.hr_msi.cube), model)
    tiles = SolverTiles(whole, methods.get("sylvester").build(model), WINDOW)
    run_stages(tiles.stages())
    return tiles.finish(0)


WINDOW = 8


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LARGEST_SIDE", 8 * WINDOW)


SLOW = pytest.mark.slow


@pytest.mark.parametrize("tiles", [17, pytest.param(3, marks=SLOW), pytest.param(30, marks=SLOW)])
def test_a_run_that_was_ended_goes_on_to_the_same_bytes(tmp_path: Path, tiles: int) -> None:
    write_pair(tmp_path)
    fuse_files(request_for(tmp_path))
    expected = (tmp_path / "z.h5").read_bytes()
    (tmp_path / "z.h5").unlink()
    with pytest.raises(KeyboardInterrupt):
        fuse_files(request_for(tmp_path), workers=DyingAfter(tiles, KeyboardInterrupt()))
    assert not (tmp_path / "z.h5").exists()
    done = fuse_files(request_for(tmp_path))
    assert done.kept > 0
    assert (tmp_path / "z.h5").read_bytes() == expected


@pytest.mark.parametrize("change", ["input", "method"])
def test_another_request_does_not_go_on(tmp_path: Path, change: str) -> None:
    pair = write_pair(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fuse_files(request_for(tmp_path), workers=DyingAfter(5, KeyboardInterrupt()))
    if change == "input":
        io.save(replace(pair.hr_msi, cube=0.5 * pair.hr_msi.cube), tmp_path / "y.h5")
    asked = request_for(tmp_path, method="bicubic" if change == "method" else "spectral_ls")
    with pytest.raises(ValueError, match=r"other (hr_msi|method)") as told:
        fuse_files(asked)
    assert "--restart" in str(told.value)
    assert fuse_files(replace(asked, restart=True)).kept == 0


def test_a_full_disk_leaves_the_finished_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pair(tmp_path)
    fuse_files(request_for(tmp_path))
    expected = (tmp_path / "z.h5").read_bytes()
    written, plain = [0], np.lib.format.write_array

    def full(file, values, **options):  # type: ignore[no-untyped-def]
        written[0] += 1
        if written[0] > 30:
            file.write(b"half of a tile")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(file, values, **options)

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match=r"the disk is full.*the finished ones are kept"):
        fuse_files(request_for(tmp_path))
    monkeypatch.setattr(np.lib.format, "write_array", plain)
    assert fuse_files(request_for(tmp_path)).kept > 0
    assert (tmp_path / "z.h5").read_bytes() == expected
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.h5", "y.h5", "z.h5"]


def test_too_little_space_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pair(tmp_path)
    usage = type("Usage", (), {"free": 10**5})
    monkeypatch.setattr(drafts.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(OSError, match=r"the job needs .* MB for its tiles"):
        fuse_files(request_for(tmp_path))


def test_two_processes_do_not_share_a_draft(tmp_path: Path) -> None:
    folder = tmp_path / "draft"
    draft = partial(drafts.opened, folder, {"method": "a"}, restart=False)
    with draft(), pytest.raises(OSError, match="in use by another process"), draft():
        pass


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"memory_limit": 10**8}, "memory_limit: expected .* or more for spectral_ls"),
        ({"method": "blind_deep_prior"}, "method: expected one that is given the cameras"),
        ({"method": "spectral_lss"}, "did you mean 'spectral_ls'"),
        ({"weights": Path("w")}, "weights: expected none"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    write_pair(tmp_path)
    with pytest.raises((ValueError, OSError), match=said):
        fuse_files(request_for(tmp_path, **changes))
    assert not (tmp_path / "z.h5").exists()


def sevens(model: object) -> Callable[..., np.ndarray]:
    """A closed form whose estimate is 7 everywhere."""
    scale = model.scale  # type: ignore[attr-defined]

    def estimate(lr_hsi: np.ndarray, hr_msi: np.ndarray) -> np.ndarray:
        height, width, num_bands = np.shape(lr_hsi)[1:]
        return np.full((1, scale * height, scale * width, num_bands), 7.0, np.float32)

    return estimate


class SevenSolver(Solver):
    """The same as a solver that says nothing of windows."""

    def __init__(self, model: object) -> None:
        self._estimate = sevens(model)

    def solve(self, lr_hsi: np.ndarray, hr_msi: np.ndarray, controls: Controls = Controls()) -> Outcome:
        return Outcome(self._estimate(lr_hsi[None], hr_msi[None])[0], 1, True)


@pytest.mark.parametrize(("kind", "build"), [("closed_form", sevens), ("solver", SevenSolver)])
@pytest.mark.parametrize("with_draft", [False, True])
def test_a_registered_method_is_run_itself_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, build: object, with_draft: bool
) -> None:
    monkeypatch.setattr(methods, "_REGISTRY", dict(methods._REGISTRY))
    methods.register("sevens", kind=kind, summary="7", source="none", needs=("psf", "srf"))(build)  # type: ignore[arg-type]
    pair = write_pair(tmp_path)
    assert (fuse(pair, "sevens").estimate.cube == 7.0).all()
    if with_draft:
        with pytest.raises(KeyboardInterrupt):
            fuse_files(request_for(tmp_path), workers=DyingAfter(5, KeyboardInterrupt()))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(ValueError, match=r"method: expected one that can be run tile by tile, got sevens"):
        fuse_files(request_for(tmp_path, method="sevens", restart=with_draft))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_every_built_in_method_is_tiled_or_refused_by_name() -> None:
    kinds = {name: methods.get(name).kind for name in methods.names()}
    refused = set()
    for name in (n for n, kind in kinds.items() if kind in ("closed_form", "solver")):
        try:
            require_tileable(methods.get(name), None)
        except ValueError as error:
            assert name in str(error)
            refused.add(name)
    assert refused == {"blind_deep_prior", "spectralift"}


@pytest.mark.parametrize(
    ("name", "said"), [("z.npz", "cannot be written part by part"), ("no/z.h5", "does not exist")]
)
def test_an_output_that_cannot_be_streamed_is_refused(tmp_path: Path, name: str, said: str) -> None:
    write_pair(tmp_path)
    with pytest.raises(OSError, match=said):
        fuse_files(request_for(tmp_path, output=tmp_path / name))


def test_a_pixel_that_is_not_finite_is_named(tmp_path: Path) -> None:
    import h5py

    write_pair(tmp_path)
    with h5py.File(tmp_path / "y.h5", "r+") as file:
        file["cube"][1, 50, 70] = np.inf
    with pytest.raises(ValueError, match=r"hr_msi: expected finite values.*\(50, 70, 1\)"):
        fuse_files(request_for(tmp_path))


COMMAND = """
import sys
from hsr_tf.streaming import plan
plan.LARGEST_TILE, plan.SMALLEST_TILE = 32, 4
from hsr_tf.cli import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_bytes(tmp_path: Path, repository: Path) -> None:
    write_pair(tmp_path, (136, 136, 31))
    flags = [f"--{n}={tmp_path / f}" for n, f in (("lr_hsi", "x.h5"), ("hr_msi", "y.h5"), ("output", "z.h5"))]
    command = [sys.executable, "-c", COMMAND, "fuse", *flags, "--stream", "--memory_limit=8GB"]
    subprocess.run(command, cwd=repository, check=True, capture_output=True)
    expected = (tmp_path / "z.h5").read_bytes()
    (tmp_path / "z.h5").unlink()
    draft = drafts.draft_folder(tmp_path / "z.h5")
    process = subprocess.Popen(command, cwd=repository, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    # auto is a mean, whose parts keep their tiles apart: those of its closed form come first
    wait_for(lambda: len(list(draft.glob("*estimate/*.npy"))) > 2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "z.h5").exists()
    answer = subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True)
    assert "kept from an earlier run" in answer.stdout
    assert (tmp_path / "z.h5").read_bytes() == expected


def wait_for(happened: Callable[[], bool], seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)
