"""Sets of pictures are found in the folders that they are distributed in, with no picture too many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hsr_tf.data.picture_sets import PICTURE_SETS, set_pictures


def draw(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(folder / name)


def selfexsr(folder: Path, title: str, number: int) -> None:
    """The layout of SelfExSR: all sets side by side, each in three scales, LR and HR in one folder."""
    for scale in (2, 3, 4):
        names = [f"img_{i:03d}_SRF_{scale}_{kind}.png" for i in range(1, number + 1) for kind in ("HR", "LR")]
        draw(folder / title / f"image_SRF_{scale}", *names)


@pytest.mark.parametrize(("name", "number"), [("set5", 5), ("set14", 14)])
def test_a_set_of_selfexsr_is_found_beside_the_others(name: str, number: int, tmp_path: Path) -> None:
    for other in ("Set5", "Set14"):
        selfexsr(tmp_path, other, PICTURE_SETS[other.lower()].number)
    found = [path.name for path in set_pictures(name, tmp_path)]
    assert found == [f"img_{i:03d}_SRF_4_HR.png" for i in range(1, number + 1)]
    assert set_pictures(name, tmp_path / PICTURE_SETS[name].title) == set_pictures(name, tmp_path)


def test_bsd100_is_the_test_part_of_bsds300_and_div2k_its_validation_part(tmp_path: Path) -> None:
    draw(tmp_path / "BSDS300" / "images" / "train", "8049.jpg")
    draw(tmp_path / "BSDS300" / "images" / "test", "3096.jpg", "38092.jpg")
    draw(tmp_path / "div" / "DIV2K_train_HR", "0001.png")
    draw(tmp_path / "div" / "DIV2K_valid_HR", "0801.png")
    assert [path.stem for path in set_pictures("bsd100", tmp_path)] == ["3096", "38092"]
    assert [path.stem for path in set_pictures("div2k", tmp_path / "div")] == ["0801"]


def test_the_folder_of_another_set_is_refused(tmp_path: Path) -> None:
    draw(tmp_path, *(f"{i}.png" for i in range(6)))
    with pytest.raises(OSError, match="holds 6 pictures, Set5 has 5; give the folder of Set5"):
        set_pictures("set5", tmp_path)
    assert len(set_pictures("set14", tmp_path)) == 6
    with pytest.raises(ValueError, match="data_set: expected one of bsd100, div2k, set14, set5, urban100"):
        set_pictures("set15", tmp_path)
