"""The sharp image under coarse pixels, and an estimate back on its own."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.geo.georeference import Georeference
from hsr_tf.registration.resampling import Nesting
from hsr_tf.registration.transform import Transform
from hsr_tf.scene import Scene
from tests.registered_for_tests import placed_pair, similarity


def test_pixels_are_rearranged_where_that_is_all() -> None:
    rng = np.random.default_rng(0)
    sharp = Scene(rng.random((32, 32, 2)), georeference=Georeference((1, 0, 5, 0, -1, 7)))
    nesting = Nesting(
        Transform(similarity(90.0, 4.0, (0.0, 0.0), mirrored=True, sizes=(8, 32)), (8, 8), (32, 32))
    )
    assert nesting.keeps_pixels
    seen = nesting.sharp(sharp)
    assert sorted(seen.cube.ravel()) == sorted(sharp.cube.ravel())
    back = nesting.estimate(seen, seen, sharp)
    np.testing.assert_array_equal(back.cube, sharp.cube)
    assert back.georeference == sharp.georeference


@pytest.mark.parametrize(("ratio", "scale"), [(4.0, 4), (4.01, 4), (3.6, 4), (4.3, 5)])
def test_ratios_are_rounded_up_unless_they_are_nearly_whole(ratio: float, scale: int) -> None:
    assert Nesting(Transform(np.diag([ratio, ratio, 1]), (10, 10), (45, 45))).scale == scale


def test_there_and_back_loses_no_detail_that_the_sharp_image_shows() -> None:
    pair = placed_pair(similarity(10.0, 4.0, (0.0, 0.0), sizes=(32, 128)), side=32)
    nesting = Nesting(Transform(pair.matrix, (32, 32), (128, 128)))
    seen = nesting.sharp(pair.hr_msi)
    mixing = np.array([[1.0, 0.5], [0.2, 0.3], [0.1, 0.9]])
    back = nesting.estimate(Scene(seen.cube @ mixing, nodata_mask=seen.nodata_mask), seen, pair.hr_msi)
    inner = np.s_[20:-20, 20:-20]
    assert back.nodata_mask is not None
    assert not back.nodata_mask[inner].any()
    assert back.nodata_mask[0, 0]
    np.testing.assert_allclose(back.cube[inner], (pair.hr_msi.cube @ mixing)[inner], atol=2e-3)


def test_an_estimate_of_a_small_part_is_cropped_and_keeps_its_place() -> None:
    sharp = Scene(
        np.random.default_rng(0).random((64, 64, 2)), georeference=Georeference((1, 0, 0, 0, -1, 0))
    )
    matrix = np.array([[4, 0, 20], [0, 4, 8], [0, 0, 1]], float)
    nesting = Nesting(Transform(matrix, (6, 5), (64, 64)))
    seen = nesting.sharp(sharp)
    np.testing.assert_array_equal(seen.cube, sharp.cube[20:44, 8:28])
    back = nesting.estimate(seen, seen, sharp)
    np.testing.assert_array_equal(back.cube, sharp.cube[20:44, 8:28])
    assert back.georeference == Georeference((1, 0, 8, 0, -1, -20))


def test_no_ground_in_common_is_refused() -> None:
    with pytest.raises(ValueError, match="maps all of them outside"):
        Nesting(Transform(np.array([[4, 0, 500], [0, 4, 0], [0, 0, 1]], float), (6, 5), (64, 64)))
