"""Amounts of memory in words, tiles within them, parts of images with holes."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy import ndimage

from hsr_tf.streaming.files import Image
from hsr_tf.streaming.memory import parse_memory
from hsr_tf.tiling.region import Region, best_tile


@pytest.mark.parametrize(
    ("text", "num_bytes"),
    [
        ("3GB", 3 * 10**9),
        ("500MB", 5 * 10**8),
        ("2GiB", 2**31),
        ("512 mib", 2**29),
        ("1.5gb", 15 * 10**8),
        ("4096B", 4096),
    ],
)
def test_words_are_bytes(text: str, num_bytes: int) -> None:
    assert parse_memory(text) == num_bytes


@pytest.mark.parametrize(
    "text", ["", "3", "GB", "3 elephants", "-3GB", "0GB", "3GB!", "1e400GB", "nan GB", "3,5GB"]
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="memory_limit: expected a positive number and a unit"):
        parse_memory(text)


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([2, 3, 8, 16]), st.integers(1, 500))
def test_the_best_tile_is_within_the_limit(rows: int, cols: int, scale: int, most: int) -> None:
    assert 1 <= best_tile((rows, cols), scale, most) <= max(1, most)


class Reader:
    """An image in memory that is read in parts."""

    def __init__(self, cube: np.ndarray, mask: np.ndarray) -> None:
        self.cube, self.mask, self.shape = cube, mask, cube.shape

    def read_with_mask(self, rows: slice, cols: slice) -> tuple[np.ndarray, np.ndarray]:
        return self.cube[rows, cols].copy(), self.mask[rows, cols]


@pytest.mark.parametrize("seed", range(4))
def test_a_part_is_filled_as_the_whole_is(seed: int) -> None:
    generator = np.random.default_rng(seed)
    cube = generator.random((150, 170, 2)).astype(np.float32)
    mask = ndimage.gaussian_filter(generator.random((150, 170)), 6 + 4 * seed) > 0.5
    cube[mask] = 0
    nearest = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    image = Image("hr_msi", Reader(cube, mask), holes=True)  # type: ignore[arg-type]
    inner = Region(40, 50, 41, 61).slices
    found = image.filled(*inner)
    other = np.abs(found - cube[tuple(nearest)][inner]).max(-1) > 0
    assert other.mean() < 0.2  # of several nearest pixels any may be taken
    assert mask[inner][other].all()
    np.testing.assert_array_equal(found[~mask[inner]], cube[inner][~mask[inner]])


def test_nothing_but_holes_is_zero(tmp_path: Path) -> None:
    mask = np.ones((9, 11), bool)
    image = Image("lr_hsi", Reader(np.zeros((9, 11, 3), np.float32), mask), holes=True)  # type: ignore[arg-type]
    assert not image.filled(slice(2, 5), slice(0, 4)).any()
