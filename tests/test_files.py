"""Output paths are refused before any work, by one check; JSON files hold what JSON knows."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from hsr_tf.files import plain, require_apart, require_output, write_json


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
