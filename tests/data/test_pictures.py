"""Folders of pictures: which are found, what is held back, 8-bit values as imresize and rgb2ycbcr do."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import map_coordinates

from hsr_tf.data.pictures import NamedPicture, find_pictures, hold_back, load_picture, with_rescaled


def write(path: Path, values: np.ndarray) -> None:
    path.write_bytes(imagecodecs.png_encode(values))


def noise(*shape: int, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def test_pictures_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("b10.png", "b2.png", "a.PNG", "notes.txt"):
        write(tmp_path / name, noise(3, 4))
    assert [path.name for path in find_pictures(tmp_path)] == ["a.PNG", "b2.png", "b10.png"]


def test_a_folder_of_the_data_root_is_found_by_its_name(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "sisr" / "Set").mkdir(parents=True)
    write(tmp_path / "sisr" / "Set" / "x.png", noise(3, 4))
    monkeypatch.setenv("HSR_DATA", str(tmp_path))
    assert [path.stem for path in find_pictures("sisr/Set")] == ["x"]
    with pytest.raises(OSError, match="no such folder"):
        find_pictures("sisr/Other")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match="holds no PNG"):
        find_pictures(tmp_path / "empty")


@pytest.mark.parametrize(
    ("part", "files", "expected"),
    [
        ("training", ("DIV2K_train_HR/0001.png", "DIV2K_valid_HR/0801.png"), ["0001"]),
        ("test", ("DIV2K_train_HR/0001.png", "DIV2K_valid_HR/0801.png"), ["0801"]),
        ("training", ("Flickr2K_HR/000001.png", "Flickr2K_LR_bicubic/X2/000001x2.png"), ["000001"]),
        ("test", ("image_SRF_2/img_1_SRF_2_HR.png", "image_SRF_4/img_1_SRF_4_HR.png"), ["img_1_SRF_4_HR"]),
        ("test", ("img_2_SRF_4_HR.png", "img_2_SRF_4_LR.png"), ["img_2_SRF_4_HR"]),
        ("test", ("HR/a.png", "LR_bicubic/X2/ax2.png"), ["a"]),
        ("test", ("baby_GT.bmp", "bird_GT.bmp"), ["baby_GT", "bird_GT"]),
        ("test", ("images/train/1.jpg", "images/test/2.jpg"), ["2"]),
        ("training", ("images/train/1.jpg", "images/test/2.jpg"), ["1"]),
    ],
)
def test_public_sets_are_found_in_the_folders_that_they_come_in(
    part: str, files: tuple[str, ...], expected: list[str], tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(4, 6, 3)).save(tmp_path / name)
    found = find_pictures(tmp_path, part=part)
    assert [path.stem for path in found] == expected
    assert load_picture(found[0]).values.shape == (4, 6, 3)
    if found[0].suffix == ".bmp":
        np.testing.assert_array_equal(load_picture(found[0]).values, noise(4, 6, 3))


def test_colour_gray_alpha_and_16_bits_are_read_as_8_bits_of_one_or_three_channels(tmp_path: Path) -> None:
    colour, gray, deep = noise(5, 7, 3), noise(5, 7), noise(5, 7, 3, dtype="uint16")
    alpha = np.dstack([colour, noise(5, 7)])
    for name, values in {"colour": colour, "gray": gray, "alpha": alpha, "deep": deep}.items():
        write(tmp_path / f"{name}.png", values)
    read = {name: load_picture(tmp_path / f"{name}.png") for name in ("colour", "gray", "alpha", "deep")}
    np.testing.assert_array_equal(read["colour"].values, colour)
    np.testing.assert_array_equal(read["alpha"].values, colour)
    np.testing.assert_array_equal(read["gray"].values, gray[..., None])
    np.testing.assert_array_equal(read["gray"].luma, gray[..., None])
    assert read["deep"].values.dtype == np.uint8
    np.testing.assert_allclose(read["deep"].values / 255, deep / 65535, atol=0.5 / 255 + 1e-9)
    assert read["colour"].name == "colour"


def test_luma_of_colours_is_bt_601_on_16_to_235() -> None:
    patches = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert NamedPicture("p", patches).luma[0, :, 0].tolist() == [16, 235, 81, 145, 41]


@pytest.mark.parametrize(("number", "expected"), [(1, [5]), (2, [2, 7]), (10, list(range(10)))])
def test_what_is_held_back_is_spread_evenly(number: int, expected: list[int]) -> None:
    paths = [Path(str(place)) for place in range(11 if number == 10 else 10)]
    kept, held_back = hold_back(paths, number)
    assert len(held_back) == number and sorted(kept + held_back) == sorted(paths)
    if number < 10:
        assert [int(str(path)) for path in held_back] == expected
    with pytest.raises(ValueError, match="num_validation: expected fewer than the"):
        hold_back(paths, len(paths))


def test_sizes_are_rounded_and_those_too_small_left_out() -> None:
    rows, columns = np.mgrid[:40, :50]
    smooth = np.rint(127 + 90 * np.sin(rows / 9) * np.cos(columns / 11)).astype(np.uint8)[..., None]
    found = with_rescaled(smooth, [1, 0.8, 0.5, 0.3], smallest=20)
    assert [copy.shape for copy in found] == [(40, 50, 1), (32, 40, 1), (20, 25, 1)]
    assert all(copy.dtype == np.uint8 for copy in found)
    np.testing.assert_array_equal(found[0], smooth)
    centres = np.meshgrid((np.arange(32) + 0.5) / 0.8 - 0.5, (np.arange(40) + 0.5) / 0.8 - 0.5, indexing="ij")
    between = map_coordinates(smooth[..., 0].astype(float), centres, order=3, mode="reflect")
    np.testing.assert_allclose(found[1][..., 0], between, atol=2.5)
    with pytest.raises(ValueError, match="rescales: expected factors above 0, at most 1"):
        with_rescaled(smooth, [1.2], smallest=1)
