"""The affine grid of an image: places and pixels are inverse to each other, parts and coarser grids stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsr_tf.geo.georeference import Georeference

TURNED = Georeference((9.0, 2.0, 500_000.0, 1.5, -10.0, 4_600_000.0), "EPSG:32631")
places = st.floats(-1e3, 1e3)


@given(places, places)
def test_a_place_and_its_pixel_are_each_others_inverse(row: float, col: float) -> None:
    assert TURNED.pixel(*TURNED.at(row, col)) == pytest.approx((row, col), abs=1e-6)


def test_the_conventions_are_rasterios() -> None:
    affine = pytest.importorskip("rasterio").Affine(*TURNED.transform)
    assert TURNED.at(3, 7) == pytest.approx(affine * (7, 3))


def test_a_part_and_a_coarser_grid_lie_where_they_lay() -> None:
    part = TURNED.window(12, 5)
    assert part.at(1, 2) == pytest.approx(TURNED.at(13, 7))
    coarse = TURNED.coarser(4)
    assert coarse.at(3, 2) == pytest.approx(TURNED.at(12, 8))
    assert coarse.coarser(0.25).transform == pytest.approx(TURNED.transform)
    assert coarse.pixel_size == pytest.approx([4 * side for side in TURNED.pixel_size])
    assert part.crs == coarse.crs == "EPSG:32631"


@pytest.mark.parametrize("transform", [(1, 0, 0, 0, 1), (1, 2, 0, 2, 4, 0), (1, 0, float("nan"), 0, 1, 0)])
def test_a_grid_that_maps_to_a_line_is_refused(transform: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="transform: expected six finite numbers"):
        Georeference(transform)  # type: ignore[arg-type]
