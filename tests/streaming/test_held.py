"""Files that can only be read at once are held once, count for the limit, and are refused beyond it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from hsr_tf import io
from hsr_tf.cli.fuse_stream import Streaming, is_streamed
from hsr_tf.fusion.api import fuse
from hsr_tf.io.pair_reading import PairReading
from hsr_tf.io.stream import CubeReader
from hsr_tf.streaming import pair as pairs
from hsr_tf.streaming import plan
from hsr_tf.streaming.request import StreamRequest
from hsr_tf.streaming.streamed import fuse_files
from hsr_tf.tiling.memory import GIB
from tests.streaming.pairs import write_pair

HELD = 900 * 10**6


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LARGEST_TILE", 32)
    monkeypatch.setattr(plan, "SMALLEST_TILE", 4)


def save_mat(path: Path, cube: np.ndarray) -> None:
    savemat(path, {"cube": cube})


def save_npz(path: Path, cube: np.ndarray) -> None:
    np.savez_compressed(path, cube=cube)


WRITERS = {".mat": save_mat, ".npz": save_npz}


@pytest.mark.parametrize("suffix", WRITERS)
def test_held_files_make_the_whole_and_are_opened_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    images = write_pair(tmp_path)
    for scene, name in ((images.lr_hsi, "x"), (images.hr_msi, "y")):
        io.save(scene, tmp_path / f"{name}{suffix}")
    paths = [tmp_path / f"{name}{suffix}" for name in "xy"]
    opened: list[Path] = []
    plain = io.open_reader

    @contextmanager
    def counted(path: Path, request: Any) -> Iterator[CubeReader]:
        opened.append(path)
        with plain(path, request) as reader:
            yield reader

    monkeypatch.setattr(io, "open_reader", counted)
    fuse_files(StreamRequest(paths[0], paths[1], tmp_path / "z.h5", 64 * 10**9, method="spectral_ls"))
    assert [path for path in opened if path in paths] == paths
    assert np.abs(io.load(tmp_path / "z.h5").cube - fuse(images, "spectral_ls").estimate.cube).max() < 1e-5


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize(("kind", "num_bytes"), [(np.float64, 8), (np.float32, 4), (np.uint8, 1)])
def test_a_file_counts_as_it_is_held(tmp_path: Path, suffix: str, kind: type, num_bytes: int) -> None:
    path = tmp_path / f"a{suffix}"
    WRITERS[suffix](path, np.ones((50, 40, 30), kind))
    gib = 50 * 40 * 30 * num_bytes / GIB
    with io.open_cube(path, max_gib=1.001 * gib) as reader:
        assert reader.shape == (50, 40, 30)
    with (
        pytest.raises(OSError, match="can only be read at once") as told,
        io.open_cube(path, max_gib=0.999 * gib),
    ):
        pass
    assert f"50x40x30 {np.dtype(kind).name}" in str(told.value)
    assert "hsr convert" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["x.npz", "y.npz"])
def test_an_image_beyond_the_limit_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    images = write_pair(tmp_path)
    asked = StreamRequest(tmp_path / "x.h5", tmp_path / "y.h5", tmp_path / "z.h5", HELD + 250_500_000)
    scene = {"x.npz": images.lr_hsi, "y.npz": images.hr_msi}[name]
    save_npz(tmp_path / name, np.broadcast_to(scene.cube, (60, *scene.shape)).reshape(-1, *scene.shape[1:]))
    monkeypatch.setattr(pairs, "resident_bytes", lambda: HELD)
    asked = replace(asked, **{{"x.npz": "lr_hsi", "y.npz": "hr_msi"}[name]: tmp_path / name})
    with pytest.raises(
        OSError, match=r"\.npz: can only be read at once.*float32 take .* GiB, more than the 0.000466"
    ):
        fuse_files(asked)
    assert not (tmp_path / ".z.h5.tiles").exists()


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("64GB", False), False),
        (("900MB", False), True),
        ((None, False), False),
        ((None, True), True),
    ],
)
def test_a_limit_that_is_asked_for_counts_for_held_files_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str | None, bool], answer: bool
) -> None:
    monkeypatch.setattr(pairs, "resident_bytes", lambda: 10**8)
    save_npz(tmp_path / "x.npz", np.ones((30, 40, 31), np.float32))
    save_mat(tmp_path / "y.mat", np.ones((300, 400, 3), np.float32))
    asked = Streaming(words[0], words[1], restart=False, dask=None)
    assert is_streamed(asked, (tmp_path / "x.npz", tmp_path / "y.mat"), PairReading()) is answer


def test_a_limit_that_holds_no_file_is_told_so(tmp_path: Path) -> None:
    save_npz(tmp_path / "x.npz", np.ones((30, 40, 31), np.float32))
    asked = Streaming("200MB", stream=False, restart=False, dask=None)
    with pytest.raises(OSError, match=r"x\.npz: can only be read at once"):
        is_streamed(asked, (tmp_path / "x.npz", tmp_path / "x.npz"), PairReading())
