"""One axis: Keys' kernel, a dense reference, parts that are those of the whole, no framework loaded."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from hsr_tf.arrays.cubic import AxisResize, axis_table, keys_cubic
from hsr_tf.physics.resize import BicubicResize

ROOT = Path(__file__).resolve().parents[2]
FACTORS = [0.2, 0.25, 1 / 3, 0.5, 0.7, 1.0, 1.3, 2.0, 2.5, 3.0, 4.0]
BLOCKED = """
import sys
class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("keras", "tensorflow", "scipy", "h5py", "imagecodecs", "tifffile"):
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Refusing())
import numpy as np
import hsr_tf.arrays.color, hsr_tf.arrays.cubic, hsr_tf.pictures.tiles, hsr_tf.tiling.tiles
from hsr_tf.pictures.tiles import PictureModel, enlarge
model = PictureModel(2, 1, 0, lambda image: (image.repeat(2, 1).repeat(2, 2), None))
print(enlarge(np.zeros((9, 7, 4), np.uint8), 2.5, model=model).image.shape)
"""


def cubic(t: float) -> float:
    """Keys' kernel, a = -1/2, as he writes it."""
    t = abs(t)
    if t < 1:
        return (1.5 * t - 2.5) * t * t + 1
    return ((-0.5 * t + 2.5) * t - 4) * t + 2 if t < 2 else 0.0


def dense(size: int, out_size: int, factor: float) -> np.ndarray:
    """One axis as a matrix, entry by entry: the kernel about each output's centre, folded at mirrors."""
    stretch = min(factor, 1.0)
    matrix = np.zeros((out_size, size))
    for i in range(out_size):
        centre = (i + 0.5) / factor - 0.5
        first, last = math.floor(centre - 2 / stretch) - 1, math.ceil(centre + 2 / stretch) + 1
        for j in range(first, last + 1):
            source = j
            while not 0 <= source < size:
                source = -1 - source if source < 0 else 2 * size - 1 - source
            matrix[i, source] += cubic((centre - j) * stretch)
    return matrix / matrix.sum(1, keepdims=True)


@given(size=st.integers(1, 17), factor=st.sampled_from(FACTORS), antialias=st.booleans())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_table_is_the_dense_matrix(size: int, factor: float, antialias: bool) -> None:
    if not antialias and factor < 1:
        return
    length = math.ceil(size * factor)
    table = axis_table(size, length, factor, antialias=antialias)
    found = np.zeros((length, size))
    np.add.at(found, (np.arange(length)[:, None], table.indices), table.weights)
    np.testing.assert_allclose(found, dense(size, length, factor), atol=1e-14)
    assert table.indices.min() >= 0
    assert table.indices.max() < size
    assert (table.weights != 0).any(axis=0).all()


def test_the_kernel_is_keys_cubic() -> None:
    points = np.linspace(-2.5, 2.5, 101)
    np.testing.assert_allclose(keys_cubic(points), [cubic(t) for t in points], atol=1e-14)
    assert keys_cubic(np.array([0.0, 1.0, 2.0])).tolist() == [1, 0, 0]
    shifts = np.arange(-3, 4) + np.linspace(0, 1, 11)[:, None]
    np.testing.assert_allclose(keys_cubic(shifts).sum(1), 1, atol=1e-14)


@pytest.mark.parametrize("factor", [2.5, 3.0, 1.0, 0.3])
def test_a_part_of_an_axis_is_that_part_of_the_whole(factor: float) -> None:
    image = np.random.default_rng(6).random((1, 23, 17, 2)).astype(np.float32)
    operator = BicubicResize((23, 17), factor)
    whole = np.asarray(operator.forward(tf.constant(image)))
    found = image
    parts = (slice(2, operator.output_size[0] - 1), slice(1, operator.output_size[1]))
    for axis, part in zip((1, 2), parts, strict=True):
        resize = AxisResize(image.shape[axis], operator.output_size[axis - 1], factor)
        source = resize.source(part)
        assert source.stop - source.start <= (part.stop - part.start) / factor + 4 / min(factor, 1) + 2
        window = found[:, source] if axis == 1 else found[:, :, source]
        found = resize.forward(window, axis, part)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, whole[:, parts[0], parts[1]], atol=1e-6)


def test_an_axis_refuses_a_factor_that_is_not_positive() -> None:
    with pytest.raises(ValueError, match="factor: expected a positive number"):
        AxisResize(4, 8, 0.0)


def test_an_axis_refuses_empty_images() -> None:
    with pytest.raises(ValueError, match="size: expected positive sizes"):
        AxisResize(0, 8, 2.0)


def test_enlarging_needs_no_framework() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", BLOCKED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "(23, 18, 4)"
