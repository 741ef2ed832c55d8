"""A file appears whole or not at all; output paths are refused before any work; JSON holds plain values."""

from __future__ import annotations

import errno
import json
import math
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from hsr_tf.files import plain, replacing_file, replacing_folder, require_apart, require_output, write_json
from hsr_tf.io import load, save
from hsr_tf.io.guarded import GuardedFile
from hsr_tf.scene import Scene

NAMES = ["a.h5", "a.mat", "a.npz", "a.png", "a.tif", "folder"]
OLD = Scene(np.full((40, 41, 3), 0.25))
NEW = Scene(np.random.default_rng(0).random((40, 41, 3)))


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("had_old", [False, True])
def test_saving_leaves_nothing_but_the_file(name: str, had_old: bool, tmp_path: Path) -> None:
    if had_old:
        save(OLD, tmp_path / name)
    save(NEW, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    np.testing.assert_allclose(load(tmp_path / name).cube, NEW.cube, atol=1 / 65535)


FILL_THE_DISK = """
    import resource, sys
    import numpy as np
    from hsr_tf.io import save
    from hsr_tf.scene import Scene
    limit = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        save(Scene(np.random.default_rng(0).random((40, 41, 3))), sys.argv[1])
    except OSError as error:
        print(error)
"""


@contextmanager
def files_limited_to(num_bytes: int) -> Iterator[None]:
    """Writes beyond so many bytes a file fail, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_disk_that_takes_no_more_gives_one_line_and_leaves_the_old_file(
    name: str, share: float, tmp_path: Path
) -> None:
    full_size = len(max(everything(save(NEW, tmp_path / name).parent).values(), key=len))
    save(OLD, tmp_path / name)
    before = everything(tmp_path)
    with pytest.raises(OSError) as caught, files_limited_to(int(full_size * share)):
        save(NEW, tmp_path / name)
    assert str(caught.value).startswith(
        f"{tmp_path / name}: cannot be written (File too large); nothing was written"
    )
    assert "\n" not in str(caught.value)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("limit", [300, 8000])
def test_hdf5_does_not_bring_the_process_down_on_a_full_disk(limit: int, tmp_path: Path) -> None:
    done = run_python(FILL_THE_DISK, str(tmp_path / "a.h5"), str(limit))
    assert done.returncode == 0 and done.stderr == "" and done.stdout.count("\n") == 1


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("call", ["fsync", "rename"])
@pytest.mark.parametrize(("failure", "kind"), [(full, OSError), (interrupted, KeyboardInterrupt)])
def test_a_failure_at_the_last_step_leaves_the_old_file_and_no_temporary(
    name: str,
    call: str,
    failure: Callable[..., None],
    kind: type[BaseException],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if call == "rename" and name != "folder":
        call = "replace"
    save(OLD, tmp_path / name)
    before = everything(tmp_path)
    monkeypatch.setattr(os, call, failure)
    with pytest.raises(kind) as caught:
        save(NEW, tmp_path / name)
    monkeypatch.undo()
    if kind is OSError:
        assert "No space left on device" in str(caught.value) and "\n" not in str(caught.value)
        assert caught.value.errno == errno.ENOSPC
    assert everything(tmp_path) == before


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(OLD, tmp_path / "folder")
    before, rename, calls = everything(tmp_path), os.rename, []

    def second_fails(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", second_fails)
    with pytest.raises(KeyboardInterrupt):
        save(NEW, tmp_path / "folder")
    assert everything(tmp_path) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_any_error_in_the_middle_removes_the_temporary(error: type[BaseException], tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"old")
    with pytest.raises(error), replacing_file(tmp_path / "a.h5") as temporary:
        temporary.write_bytes(b"half")
        raise error
    with pytest.raises(error), replacing_folder(tmp_path / "f") as fresh:
        (fresh / "x").write_bytes(b"half")
        raise error
    assert everything(tmp_path) == {"a.h5": b"old"}


@pytest.mark.parametrize("name", ["a.h5", "folder"])
def test_a_killed_writer_leaves_the_old_file_whole(name: str, tmp_path: Path) -> None:
    save(OLD, tmp_path / name)
    code = """
        import sys
        import numpy as np
        from hsr_tf.io import save
        from hsr_tf.scene import Scene
        scene = Scene(np.random.default_rng(0).random((700, 700, 31)))
        print("ready", flush=True)
        save(scene, sys.argv[1])
        print("done", flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / name)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 20
    while not list(tmp_path.glob(".*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(0.05)
    writer.send_signal(signal.SIGKILL)
    assert writer.communicate()[0] == "" and writer.returncode == -signal.SIGKILL
    np.testing.assert_allclose(load(tmp_path / name).cube, OLD.cube, atol=1e-5)


def test_places_that_cannot_be_written_are_refused_before_anything_is_touched(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "family.png").write_bytes(b"x")
    (tmp_path / "link.h5").symlink_to("/dev/null")
    before = everything(tmp_path)
    refused = {
        tmp_path / "none" / "a.h5": "the folder .* does not exist; make it first",
        tmp_path / "file": "is a file; give the name of a folder",
        photos: r"other files in it \(family.png\)",
        tmp_path / "link.h5": "neither a file nor a folder",
    }
    for path, words in refused.items():
        with pytest.raises(OSError, match=words):
            save(NEW, path)
    assert everything(tmp_path) == before and Path("/dev/null").is_char_device()


def test_a_link_stays_a_link_and_its_target_is_replaced_with_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real = save(OLD, tmp_path / "real" / "a.npz")
    real.chmod(0o640)
    (tmp_path / "a.npz").symlink_to(real)
    save(NEW, tmp_path / "a.npz")
    assert (tmp_path / "a.npz").is_symlink() and real.stat().st_mode & 0o777 == 0o640
    np.testing.assert_array_equal(load(real).cube, NEW.cube)


def test_new_files_have_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    for name in NAMES:
        path = save(NEW, tmp_path / name)
        inside = path / "band_01.png" if path.is_dir() else path
        assert inside.stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "d").mkdir()
    assert (tmp_path / "folder").stat().st_mode == (tmp_path / "d").stat().st_mode


def test_a_guarded_file_remembers_its_first_failure_and_never_raises_it_early(tmp_path: Path) -> None:
    guarded = GuardedFile(tmp_path / "x")
    assert guarded.write(b"abc") == 3
    with files_limited_to(4):
        assert guarded.write(b"defg") == 4 and guarded.truncate(100) == 100
    with pytest.raises(OSError, match="File too large"):
        guarded.raise_failure()
    guarded.close()


def test_a_path_that_can_be_written_is_returned_as_it_is(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.touch()
    assert require_output("output", old, inputs=[tmp_path / "x.h5"], suffixes=(".json",)) == old
    assert require_output("report", tmp_path / "run" / "r.html", made=tmp_path / "run").name == "r.html"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none/a.png", "the folder .* does not exist; make it first"),
        ("folder", "is a folder; give the name of a file"),
        ("read.png", "is an input as well; write to another name"),
        ("old.png", "exists; add --overwrite"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused_with_its_name(
    tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / "folder").mkdir()
    for file in ("read.png", "old.png"):
        (tmp_path / file).touch()
    with pytest.raises(OSError, match=words) as refused:
        require_output("output", tmp_path / name, inputs=[tmp_path / "read.png"], free="add --overwrite")
    assert str(refused.value).startswith(str(tmp_path / name))


def test_a_wrong_suffix_names_the_argument() -> None:
    with pytest.raises(ValueError, match=r"^picture: expected a name that ends in \.png, got 'a\.jpg'"):
        require_output("picture", "a.jpg", suffixes=(".png",))


def test_an_input_is_known_by_any_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "hard").hardlink_to(tmp_path / "a")
    for name in ("link", "hard"):
        with pytest.raises(OSError, match="is an input as well"):
            require_apart([tmp_path / name], [tmp_path / "a"])
    require_apart([tmp_path / "b"], [tmp_path / "a", tmp_path / "missing"])


def test_json_files_hold_plain_values(tmp_path: Path) -> None:
    values = {"a": np.arange(3), 1: np.float32(0.5), "bad": [math.inf, math.nan], "path": Path("x")}
    assert plain(values) == {"a": [0, 1, 2], "1": 0.5, "bad": [None, None], "path": "x"}
    write_json(tmp_path / "v.json", values)
    assert json.loads((tmp_path / "v.json").read_text()) == plain(values)
