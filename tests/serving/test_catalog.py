"""Versions come and go without a gap: half-copied ones wait, broken ones leave the old one in its place."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from serving.catalog import Catalog, State
from serving.folders import ModelSettings, Policy
from serving.loaded import Users
from serving.refusal import Refusal
from serving.telemetry import Telemetry


class Shelf:
    """A catalog of empty models, looked at by hand; a graph file that says "broken" cannot be loaded."""

    def __init__(self, root: Path) -> None:
        self.root, self.loads = root, list[int]()
        self.catalog = Catalog(root, self.load, poll_seconds=1.0, telemetry=Telemetry())

    def load(self, name: str, version: int, folder: Path) -> Any:
        self.loads.append(version)
        if (folder / "saved_model.pb").read_text() == "broken":
            raise OSError("the file is damaged\nin line 7")
        return SimpleNamespace(name=name, version=version, users=Users())

    def put(self, version: int | str, text: str = "graph") -> Path:
        folder = self.root / "toy" / str(version)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "saved_model.pb").write_text(text)
        return folder

    def look(self, times: int = 2) -> None:
        for _ in range(times):
            self.catalog.look()

    def answering(self, **spec: Any) -> int:
        with self.catalog.lease("toy", **spec) as loaded:
            return loaded.version

    @property
    def states(self) -> dict[int, State]:
        return {status.version: status.state for status in self.catalog.statuses("toy")}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def test_the_latest_version_is_served_and_names_that_are_none_are_not(shelf: Shelf) -> None:
    for name in (2, 10, 9, 0, ".11", "12a", "-14", "٣", str(2**63)):
        shelf.put(name)
    (shelf.root / "toy" / "99").write_text("a file")
    (shelf.root / ".hidden" / "1").mkdir(parents=True)
    shelf.look()
    assert shelf.loads == [10] and shelf.answering() == 10
    assert shelf.states == {10: State.AVAILABLE}
    with pytest.raises(Refusal, match="hidden"):
        shelf.catalog.statuses(".hidden")


def test_leading_zeros_of_a_version_do_not_count(shelf: Shelf) -> None:
    shelf.put(9)
    shelf.put("00000123")
    shelf.look()
    assert shelf.loads == [123] and shelf.answering(version=123) == 123


def test_folders_that_are_passed_over_are_named_once(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("7", "007", "latest", ".draft"):
        shelf.put(name)
    (shelf.root / "toy" / "3").mkdir()
    with caplog.at_level("WARNING", "serving"):
        shelf.look(4)
    named = sorted(record.getMessage().partition(":")[0] for record in caplog.records)
    assert named == sorted(str(shelf.root / "toy" / name) for name in ("007", "latest"))
    assert shelf.loads == [7]
    shelf.catalog.configure([ModelSettings("toy", shelf.root / "toy", Policy())])
    with caplog.at_level("WARNING", "serving"):
        shelf.look(4)
    assert "3: passed over until it holds saved_model.pb" in caplog.records[-1].getMessage()
    assert len(caplog.records) == 3


def test_a_half_copied_folder_waits_until_it_is_whole(shelf: Shelf) -> None:
    shelf.put(1)
    shelf.look()
    folder = shelf.root / "toy" / "2"
    folder.mkdir()
    (folder / "variables").write_text("some")
    shelf.look(3)
    assert shelf.answering() == 1 and shelf.states[2] == State.START
    shelf.put(2)
    shelf.look(1)
    (folder / "variables").write_text("some more")
    shelf.look(1)
    assert shelf.loads == [1]
    shelf.look(1)
    assert shelf.loads == [1, 2] and shelf.answering() == 2
    assert shelf.states == {1: State.END, 2: State.AVAILABLE}


def test_a_broken_version_leaves_the_old_one_and_is_tried_again_when_it_changes(shelf: Shelf) -> None:
    shelf.put(1)
    shelf.look()
    shelf.put(2, "broken")
    shelf.look(5)
    assert shelf.loads == [1, 2] and shelf.answering() == 1
    broken = shelf.catalog.statuses("toy")[0]
    assert (broken.version, broken.state) == (2, State.END)
    assert broken.error == "OSError: the file is damaged"
    shelf.put(2, "mended")
    shelf.look()
    assert shelf.answering() == 2 and shelf.catalog.statuses("toy")[0].error == ""


def test_at_the_start_a_broken_version_gives_way_to_the_one_before(shelf: Shelf) -> None:
    shelf.put(1)
    shelf.put(2, "broken")
    shelf.look()
    assert shelf.answering() == 1


def test_a_replaced_version_stays_until_its_last_request_is_done(shelf: Shelf) -> None:
    shelf.put(1)
    shelf.look()
    with shelf.catalog.lease("toy") as old:
        shelf.put(2)
        shelf.look(3)
        assert shelf.states[1] == State.UNLOADING and shelf.answering() == 2 and old.version == 1
    shelf.look(1)
    assert shelf.states[1] == State.END


def test_a_deleted_version_goes_and_the_one_before_comes_back(shelf: Shelf) -> None:
    shelf.put(1)
    folder = shelf.put(2)
    shelf.look()
    remove(folder)
    shelf.look(3)
    assert shelf.answering() == 1 and shelf.states[2] == State.END
    shelf.put(2)
    shelf.look()
    assert shelf.answering() == 2
    remove(shelf.root / "toy" / "1")
    remove(folder)
    shelf.look(1)
    with pytest.raises(Refusal, match="no model 'toy' is served") as caught:
        shelf.answering()
    assert caught.value.code == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        (Policy(count=2), [3, 2]),
        (Policy(), [1, 2, 3]),
        (Policy(versions=(1,)), [1]),
        (Policy(count=9), [3, 2, 1]),
    ],
)
def test_the_policy_says_which_versions_answer(policy: Any, served: list[int], shelf: Shelf) -> None:
    for version in (1, 2, 3):
        shelf.put(version)
    shelf.look()
    labels = {"stable": served[0]}
    shelf.catalog.configure([ModelSettings("toy", shelf.root / "toy", policy, labels)])
    shelf.look()
    for version in (1, 2, 3):
        if version in served:
            assert shelf.answering(version=version) == version
        else:
            with pytest.raises(Refusal, match=f"no version {version} of toy"):
                shelf.answering(version=version)
    assert shelf.answering(label="stable") == served[0] and shelf.answering() == max(served)
    with pytest.raises(Refusal, match="there is: stable"):
        shelf.answering(label="canary")


def test_a_label_moves_when_its_new_version_answers(shelf: Shelf) -> None:
    shelf.put(1)
    shelf.look()

    def configure(version: int) -> None:
        labels = {"stable": version}
        folder = shelf.root / "toy"
        shelf.catalog.configure([ModelSettings("toy", folder, Policy(versions=(version,)), labels)])

    configure(1)
    shelf.put(2)
    configure(2)
    assert shelf.answering(label="stable") == 1
    shelf.look(1)
    assert shelf.answering(label="stable") == 1
    shelf.look()
    assert shelf.answering(label="stable") == 2
    shelf.put(3, "broken")
    configure(3)
    shelf.look()
    assert shelf.answering(label="stable") == 2


def refused(shelf: Shelf, name: str = "toy", **spec: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(Refusal) as caught, shelf.catalog.lease(name, **spec):
        pass
    return caught.value.code, str(caught.value)


def test_what_will_be_there_soon_is_told_from_what_will_not(shelf: Shelf) -> None:
    coming = (grpc.StatusCode.UNAVAILABLE, "model 'toy' is still loading; ask again later")
    shelf.put(1)
    assert refused(shelf) == coming
    with pytest.raises(Refusal, match="still loading"):
        shelf.catalog.statuses("toy")
    shelf.look(1)
    assert refused(shelf) == refused(shelf, version=1) == coming
    assert refused(shelf, "other") == (
        grpc.StatusCode.NOT_FOUND,
        "no model 'other' is served; there is: none",
    )
    shelf.look(1)
    shelf.put(2)
    shelf.look(1)
    assert refused(shelf, version=2) == coming and shelf.answering() == 1
    assert refused(shelf, version=3)[0] == grpc.StatusCode.NOT_FOUND
    shelf.catalog.configure([ModelSettings("twin", shelf.root / "toy", Policy(versions=(1,)))])
    assert refused(shelf, "twin")[0] == grpc.StatusCode.UNAVAILABLE
    shelf.look()
    assert refused(shelf) == (grpc.StatusCode.NOT_FOUND, "no model 'toy' is served; there is: twin")


def test_a_model_that_cannot_be_loaded_is_not_waited_for(shelf: Shelf) -> None:
    shelf.put(1, "broken")
    shelf.look()
    assert refused(shelf)[0] == grpc.StatusCode.NOT_FOUND


def test_models_that_are_configured_no_more_go(shelf: Shelf) -> None:
    shelf.put(1)
    shelf.look()
    shelf.catalog.configure([])
    shelf.look()
    assert shelf.states == {1: State.END}
    assert shelf.catalog.available() == []


def test_a_root_that_cannot_be_read_changes_nothing(shelf: Shelf) -> None:
    shelf.put(1)
    shelf.look()
    shelf.root.rename(shelf.root.with_name("away"))
    shelf.look()
    assert shelf.answering() == 1


def test_a_folder_without_versions_is_named_once(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    (shelf.root / "bare").mkdir()
    shelf.put("1")
    with caplog.at_level("WARNING", "serving"):
        shelf.look(4)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == f"{shelf.root / 'bare'}: holds no version; export one into it, e.g. as 1"
