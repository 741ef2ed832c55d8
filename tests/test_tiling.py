"""Tiles cover the output once, windows hold what the tiles look at and stay inside the picture."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsr_tf.arrays.cubic import AxisResize
from hsr_tf.tiling.axes import even_parts, plan_axis


@given(length=st.integers(1, 300), tile=st.integers(1, 90))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_parts_cover_every_sample_once_and_are_nearly_equal(length: int, tile: int) -> None:
    parts = even_parts(length, tile)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(length))
    lengths = {part.stop - part.start for part in parts}
    assert max(lengths) <= min(tile, min(lengths) + 1)
    assert len(parts) == -(-length // tile)


@given(
    length=st.integers(1, 200),
    scale=st.integers(1, 4),
    reach=st.integers(0, 25),
    tile=st.integers(1, 90),
    share=st.floats(0.3, 1.5),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_windows_hold_what_is_needed_and_have_one_length(
    length: int, scale: int, reach: int, tile: int, share: float
) -> None:
    num_out = max(1, int(length * scale * share))
    resize = AxisResize(length * scale, num_out, share)
    tiles = plan_axis(even_parts(num_out, tile), resize.source, num_samples=length, scale=scale, reach=reach)
    assert len({one.window.stop - one.window.start for one in tiles}) == 1
    for one in tiles:
        assert one.fine == resize.source(one.out)
        assert one.window.start >= 0
        assert one.window.stop <= length
        assert one.window.start <= max(0, one.fine.start // scale - reach)
        assert one.window.stop >= min(length, (one.fine.stop - 1) // scale + 1 + reach)
        samples = range(scale * one.window.start, scale * one.window.stop)
        assert samples[one.kept] == range(one.fine.start, one.fine.stop)


def test_windows_grow_no_further_than_their_longest() -> None:
    tiles = plan_axis(even_parts(100, 25), lambda part: part, num_samples=100, scale=1, reach=3)
    assert [one.window for one in tiles] == [slice(0, 31), slice(22, 53), slice(47, 78), slice(69, 100)]


@pytest.mark.parametrize(("length", "tile"), [(0, 4), (4, 0), (4, -1)])
def test_sizes_that_are_not_positive_are_refused(length: int, tile: int) -> None:
    with pytest.raises(ValueError, match="expected a positive whole number"):
        even_parts(length, tile)
