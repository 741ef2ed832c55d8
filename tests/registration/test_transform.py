"""A transform is saved and loaded, inverted, and told in words; a bad file is one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hsr_tf.checks import FileError
from hsr_tf.registration.transform import Transform, load_transform
from tests.registered_for_tests import similarity

SIZES = (20, 24), (140, 170)


def bent() -> Transform:
    field = np.random.default_rng(0).normal(0, 1, (4, 5, 2))
    matrix = similarity(30.0, 7.3, (4.0, 2.0), sizes=(20, 140))
    matrix[2, :2] = 1e-3, 2e-3
    return Transform(matrix, *SIZES, field)


def test_a_saved_transform_is_loaded_as_it_was(tmp_path: Path) -> None:
    bent().save(tmp_path / "t.json")
    found = load_transform(tmp_path / "t.json")
    np.testing.assert_array_equal(found.matrix, bent().matrix)
    np.testing.assert_array_equal(found.displacement, bent().displacement)
    assert (found.lr_size, found.hr_size) == SIZES


def test_the_inverse_comes_back() -> None:
    places = np.random.default_rng(1).uniform(1, 19, (50, 2))
    np.testing.assert_allclose(bent().to_coarse(bent().to_sharp(places)), places, atol=1e-5)


def test_the_words_say_what_was_done() -> None:
    matrix = similarity(1.0, 7.3, (5.5, -2.1), sizes=(35, 256))
    line = Transform(matrix, (35, 35), (256, 256)).line
    assert line == "rotated by 1.00 degrees, shifted by (+5.50, -2.10) sharp pixels, ratio 7.30"
    mirrored = Transform(similarity(0.0, 4.0, (0.0, 0.0), mirrored=True, sizes=(16, 64)), (16, 16), (64, 64))
    assert mirrored.line == "mirrored (left to right), ratio 4.00"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "cannot be read as JSON"),
        ("[1, 2]", "holds no transform"),
        (json.dumps({"matrix": np.eye(3).tolist()}), "holds no transform"),
        (
            json.dumps(
                {
                    "format": "hsr_tf transform",
                    "matrix": [[1, 2], [3, 4]],
                    "lr_size": [4, 4],
                    "hr_size": [8, 8],
                }
            ),
            "no usable transform",
        ),
        (
            json.dumps(
                {
                    "format": "hsr_tf transform",
                    "matrix": [[1, 2, 0], [2, 4, 0], [0, 0, 1]],
                    "lr_size": [4, 4],
                    "hr_size": [8, 8],
                }
            ),
            "no usable transform",
        ),
        (
            json.dumps(
                {
                    "format": "hsr_tf transform",
                    "matrix": np.eye(3).tolist(),
                    "lr_size": "big",
                    "hr_size": [8, 8],
                }
            ),
            "no usable transform",
        ),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FileError, match=said) as error:
        load_transform(path)
    assert "\n" not in str(error.value)


def test_a_transform_of_other_images_is_refused() -> None:
    with pytest.raises(ValueError, match="between images of 20x24 and 140x171"):
        bent().fits((20, 24), (140, 171))
