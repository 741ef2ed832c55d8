"""Regions agree with NumPy's slices; parts and tiles cover an image once; windows hold what tiles need."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsr_tf.arrays.cubic import AxisResize
from hsr_tf.tiling.region import Region, TileGrid, equal_parts, even_parts, overlapping_parts, regions
from hsr_tf.tiling.tiles import plan_tiles, same_samples

SIZE = (9, 11)


@st.composite
def some_regions(draw: st.DrawFn) -> Region:
    """A region of an image of 9 x 11 pixels."""
    row, column = (draw(st.integers(0, n - 1)) for n in SIZE)
    return Region(row, column, draw(st.integers(1, SIZE[0] - row)), draw(st.integers(1, SIZE[1] - column)))


def marked(region: Region) -> np.ndarray:
    """True in the pixels of a region."""
    image = np.zeros(SIZE, bool)
    image[region.slices] = True
    return image


@given(some_regions(), some_regions())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_intersection_and_union_are_those_of_the_pixels(a: Region, b: Region) -> None:
    both = a.intersection(b)
    np.testing.assert_array_equal(
        np.zeros(SIZE, bool) if both is None else marked(both), marked(a) & marked(b)
    )
    rows, columns = np.nonzero(marked(a) | marked(b))
    assert a.union(b) == Region.of(slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))


@given(some_regions(), st.integers(0, 5), st.integers(1, 4))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_region_lies_inside_the_one_grown_around_it(region: Region, margin: int, scale: int) -> None:
    around = region.grown(margin, Region.whole(SIZE))
    image = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE)
    inner = region.inside(around)
    np.testing.assert_array_equal(image[around.slices][inner.slices], image[region.slices])
    (above, below), (left, right) = region.margins(around)
    assert (above, left) == (min(margin, region.row), min(margin, region.column))
    assert (above + region.height + below, left + region.width + right) == around.size
    fine = image.repeat(scale, 0).repeat(scale, 1)
    np.testing.assert_array_equal(
        fine[region.scaled(scale).slices], image[region.slices].repeat(scale, 0).repeat(scale, 1)
    )


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 50))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_middle_is_as_far_from_both_ends(rows: int, columns: int, side: int) -> None:
    middle = Region.middle((rows, columns), side)
    assert middle.size == (min(rows, side), min(columns, side))
    for before, after in middle.margins(Region.whole((rows, columns))):
        assert 0 <= after - before <= 1


@given(length=st.integers(1, 300), tile=st.integers(1, 90))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_parts_cover_every_sample_once_and_are_nearly_equal(length: int, tile: int) -> None:
    parts = even_parts(length, tile)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(length))
    lengths = {part.stop - part.start for part in parts}
    assert max(lengths) <= min(tile, min(lengths) + 1)
    assert len(parts) == -(-length // tile)


@given(length=st.integers(1, 200), side=st.integers(2, 60), overlap=st.integers(0, 1))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_overlapping_parts_share_what_they_should(length: int, side: int, overlap: int) -> None:
    for parts in (overlapping_parts(length, side, overlap), equal_parts(length, side)):
        assert (parts[0].start, parts[-1].stop) == (0, length)
        assert all(after.start <= before.stop for before, after in pairwise(parts))
    cut = overlapping_parts(length, side, overlap)
    assert {a.stop - b.start for a, b in pairwise(cut)} <= {overlap}
    assert {part.stop - part.start for part in equal_parts(length, side)} == {min(side, length)}


@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 12), st.integers(0, 9))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_tiles_of_a_grid_cover_every_pixel_once(rows: int, columns: int, tile: int, margin: int) -> None:
    grid = TileGrid((rows, columns), tile, 2)
    seen = np.zeros((2 * rows, 2 * columns), int)
    for index in range(len(grid)):
        region = grid.region(index)
        seen[region.scaled(2).slices] += 1
        around = region.grown(margin, grid.whole)
        near = [i for i in range(len(grid)) if around.intersection(grid.region(i))]
        assert sorted(grid.overlapping(around)) == near
    assert (seen == 1).all()


@given(
    length=st.integers(1, 200),
    scale=st.integers(1, 4),
    margin=st.integers(0, 25),
    tile=st.integers(1, 90),
    share=st.floats(0.3, 1.5),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_windows_hold_what_is_needed_and_have_one_size(
    length: int, scale: int, margin: int, tile: int, share: float
) -> None:
    num_out = max(1, int(length * scale * share))
    source = AxisResize(length * scale, num_out, share).source
    tiles = plan_tiles(
        (length, 1),
        [even_parts(num_out, tile), [slice(0, scale)]],
        scale=scale,
        margin=margin,
        sources=(source, same_samples),
    )
    assert len({one.window.size for one in tiles}) == 1
    for one in tiles:
        window, needed = one.window.rows, source(one.out.rows)
        assert 0 <= window.start <= max(0, needed.start // scale - margin)
        assert min(length, (needed.stop - 1) // scale + 1 + margin) <= window.stop <= length
        samples = range(scale * window.start, scale * window.stop)
        assert samples[one.kept.rows] == range(needed.start, needed.stop)
        assert (one.window.columns, one.kept.columns) == (slice(0, 1), slice(0, scale))


def test_windows_grow_no_further_than_the_longest() -> None:
    tiles = plan_tiles((100, 1), [even_parts(100, 25), [slice(0, 1)]], scale=1, margin=3)
    assert [one.window.rows for one in tiles] == [slice(0, 31), slice(22, 53), slice(47, 78), slice(69, 100)]


@pytest.mark.parametrize(("length", "tile"), [(0, 4), (4, 0), (4, -1)])
def test_sizes_that_are_not_positive_are_refused(length: int, tile: int) -> None:
    with pytest.raises(ValueError, match="expected a positive whole number"):
        even_parts(length, tile)


def test_regions_run_row_by_row() -> None:
    found = regions(even_parts(4, 2), even_parts(3, 3))
    assert found == [Region(0, 0, 2, 3), Region(2, 0, 2, 3)]
