"""Folders of scenes: every format that holds cubes counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsr_tf.data.scenes import crop_to_multiple, find_scenes, load_scenes, top_left
from hsr_tf.geo.georeference import Georeference
from hsr_tf.io import save
from hsr_tf.io.format import WritableFormat
from hsr_tf.io.formats import formats
from hsr_tf.scene import Scene

CUBES = [one for one in formats() if one.holds_cubes and isinstance(one, WritableFormat)]


def scene() -> Scene:
    return Scene(np.random.default_rng(0).random((4, 5, 6), np.float32))


def test_a_folder_may_mix_every_format_that_holds_cubes(tmp_path: Path) -> None:
    written = [save(scene(), tmp_path / f"scene{i}{(*f.suffixes, '')[0]}") for i, f in enumerate(CUBES)]
    found = find_scenes(tmp_path, default="")
    names = [path.with_suffix(".img") if path.suffix == ".hdr" else path for path in written]
    assert found == sorted(names) and len(found) >= 8
    for loaded in load_scenes(found):
        np.testing.assert_allclose(loaded.cube, scene().cube, atol=1 / 65535)


@pytest.mark.parametrize(
    "name", ["picture.png", "notes.txt", ".hidden.h5", "alone.hdr", "alone.dat", "empty"]
)
def test_other_files_are_left_out(tmp_path: Path, name: str) -> None:
    save(scene(), tmp_path / "a.h5")
    (tmp_path / name).mkdir() if name == "empty" else (tmp_path / name).write_bytes(b"ENVI")
    assert find_scenes(tmp_path, default="") == [tmp_path / "a.h5"]


def test_a_folder_without_scenes_names_the_suffixes(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"holds no scene \(\.h5, .*\.tif, .*or folders of PNG bands\)"):
        find_scenes(tmp_path, default="")


def test_cropped_scenes_keep_what_is_known_of_them() -> None:
    grid = Georeference((10.0, 0, 500.0, 0, -10.0, 900.0))
    whole = Scene(np.ones((5, 7, 2)), np.array([500.0, 600]), georeference=grid, band_names=("a", "b"))
    for part, size in ((top_left(whole, 3), (3, 3)), (crop_to_multiple(whole, 2), (4, 6))):
        assert part.shape[:2] == size and part.georeference == grid and part.band_names == ("a", "b")
    assert top_left(whole, None).shape == whole.shape
