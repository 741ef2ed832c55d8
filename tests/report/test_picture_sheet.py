"""The sheet of a picture: the crop lies where the estimates are worst, and every part is drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from hsr_tf.report.picture_sheet import PictureSheetData, choose_crop, draw_picture_sheet
from hsr_tf.tiling.region import Region


def data(*, crop_size: int = 16, channels: int = 3, kernels: bool = False) -> PictureSheetData:
    truth = np.full((40, 56, channels), 0.5, np.float32)
    spoilt = truth.copy()
    spoilt[25:33, 41:49] += 0.3
    estimates = {"bicubic": truth.copy(), "network": spoilt}
    spot = np.eye(5)[:, ::-1] / 5
    found = {"truth": spot, "network": spot[::-1]} if kernels else {}
    return PictureSheetData("p", truth, estimates, {"network": "30 dB"}, found, crop_size)


@pytest.mark.parametrize("crop_size", [12, 16, 24])
def test_the_crop_holds_what_is_wrong(crop_size: int) -> None:
    row, column = choose_crop(data(crop_size=crop_size))
    assert row <= 25 and row + crop_size >= 33
    assert column <= 41 and column + crop_size >= 49
    assert row + crop_size <= 40 and column + crop_size <= 56


def test_a_picture_smaller_than_the_crop_is_shown_from_its_corner() -> None:
    assert choose_crop(data(crop_size=64)) == (0, 0)


@pytest.mark.parametrize(("channels", "kernels"), [(3, False), (1, True)])
def test_pictures_kernels_and_frames_are_drawn(tmp_path: Path, channels: int, kernels: bool) -> None:
    path = draw_picture_sheet(tmp_path / "sheet.png", data(channels=channels, kernels=kernels))
    drawn = imagecodecs.png_decode(path.read_bytes())[..., :3].astype(int)
    orange = (np.abs(drawn - [0xD5, 0x5E, 0x00]).sum(-1) < 12).any(axis=0)
    assert orange.sum() > 60
    without = draw_picture_sheet(tmp_path / "plain.png", data(channels=channels))
    height = imagecodecs.png_decode(without.read_bytes()).shape[0]
    assert (drawn.shape[0] > height) == kernels


def test_the_rectangle_given_is_shown_and_must_lie_inside() -> None:
    plain = data()
    marked = replace(plain, rectangle=Region(2, 30, 8, 26))
    assert marked.part == Region(2, 30, 8, 26)
    assert plain.part == Region(*choose_crop(plain), 16, 16)
    with pytest.raises(ValueError, match="rectangle: expected row,column,height,width inside 40 rows x 56"):
        replace(plain, rectangle=Region(2, 31, 8, 26))


def test_the_overlay_is_half_nearest_neighbours_and_half_the_last_estimate(tmp_path: Path) -> None:
    black, white = (np.full((40, 40, 1), value, np.float32) for value in (0.0, 1.0))
    grey = np.full((40, 40, 1), 0.5, np.float32)
    sheet = PictureSheetData("p", grey, {"bicubic": grey, "nearest": black, "network": white})
    drawn = imagecodecs.png_decode(draw_picture_sheet(tmp_path / "s.png", sheet).read_bytes())[..., :3]
    row = drawn[drawn.shape[0] // 4].mean(-1)
    halves = [np.flatnonzero(row == value) for value in (0, 255)]
    assert halves[0].size > 100 and halves[1].max() > halves[0].max()


def test_estimates_of_another_size_and_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="estimates: expected pictures of"):
        PictureSheetData("p", np.zeros((8, 8, 3)), {"bicubic": np.zeros((8, 7, 3))})
    with pytest.raises(ValueError, match=r"path: expected a name that ends in \.png"):
        draw_picture_sheet(tmp_path / "sheet.jpg", data())
