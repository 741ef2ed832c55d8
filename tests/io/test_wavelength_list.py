"""Wavelengths that a user gives: a range, a list or a file, of the right number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsr_tf.io import load, open_cube, save
from hsr_tf.io.convert import ConvertOptions, convert
from hsr_tf.io.wavelength_list import parse_wavelengths
from hsr_tf.scene import Scene

CUBE = np.random.default_rng(0).random((3, 4, 5), dtype=np.float32)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("400:700:10", np.arange(400, 701, 10)),
        ("700:400:-50", [700, 650, 600, 550, 500, 450, 400]),
        ("0.4:0.7:0.1", [400, 500, 600, 700]),
        ("450, 550.5,650", [450, 550.5, 650]),
        ("1640", [1640]),
    ],
)
def test_ranges_and_lists(text: str, expected: list[float]) -> None:
    np.testing.assert_allclose(parse_wavelengths(text), expected)


@pytest.mark.parametrize(
    "text", ["450\n550\n650\n", "# nm\n450, 550\n650", "0.45;0.55;0.65", "\ufeff450 550 650"]
)
def test_files_of_numbers(text: str, tmp_path: Path) -> None:
    (tmp_path / "bands.txt").write_text(text, encoding="utf-8")
    np.testing.assert_allclose(parse_wavelengths(str(tmp_path / "bands.txt")), [450, 550, 650])


def test_an_envi_header_gives_its_list(tmp_path: Path) -> None:
    save(Scene(CUBE, wavelengths_nm=[400.0, 500, 600, 700, 800]), tmp_path / "a.hdr")
    np.testing.assert_allclose(parse_wavelengths(str(tmp_path / "a.hdr")), [400, 500, 600, 700, 800])


@pytest.mark.parametrize("text", ["400:705:10", "400:700", "400:700:0", "400,,x", "-5,6", "1:2:3:4", ","])
def test_what_is_no_list_is_refused_in_one_line(text: str) -> None:
    with pytest.raises((ValueError, OSError), match="wavelengths") as caught:
        parse_wavelengths(text)
    assert "\n" not in str(caught.value)


def test_a_file_without_numbers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bands.txt").write_text("red\ngreen\n", encoding="utf-8")
    with pytest.raises(OSError, match=r"bands\.txt"):
        parse_wavelengths(str(tmp_path / "bands.txt"))


@pytest.mark.parametrize("name", ["a.h5", "a.mat", "a.npz", "a.img", "a.nc"])
def test_given_wavelengths_stand_in_every_format_and_go_through_convert(name: str, tmp_path: Path) -> None:
    path, given = save(Scene(CUBE), tmp_path / name), np.linspace(400.0, 800.0, 5)
    assert load(path, wavelengths_nm=given).wavelengths_nm.tolist() == given.tolist()
    with open_cube(path, wavelengths_nm=given) as reader:
        assert reader.header.wavelengths_nm.tolist() == given.tolist()
    written = convert(path, tmp_path / "b.h5", ConvertOptions(wavelengths_nm=given))
    assert load(written).wavelengths_nm.tolist() == given.tolist()


def test_another_number_than_of_bands_is_refused(tmp_path: Path) -> None:
    path = save(Scene(CUBE), tmp_path / "a.h5")
    with pytest.raises(
        ValueError, match=r"wavelengths: expected one for each of the 5 bands of a\.h5, got 4"
    ):
        load(path, wavelengths_nm=np.linspace(400, 700, 4))


def test_given_ones_replace_those_of_the_file_with_a_warning(tmp_path: Path) -> None:
    own, given = [400.0, 500, 600, 700, 800], np.linspace(450, 850, 5)
    path = save(Scene(CUBE, wavelengths_nm=own), tmp_path / "a.h5")
    with pytest.warns(UserWarning, match=r"its own wavelengths \(400 to 800 nm\) are replaced"):
        assert load(path, wavelengths_nm=given).wavelengths_nm.tolist() == given.tolist()
