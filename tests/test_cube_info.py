"""`CubeInfo`: parts of a cube know what the whole knows."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from hsr_tf.cube_info import CubeInfo
from hsr_tf.geo.georeference import Georeference
from hsr_tf.geo.sensor_model import GroundPoint, SensorModel
from hsr_tf.io import CubeHeader
from hsr_tf.scene import Scene

GRID = Georeference((10.0, 0, 500.0, 0, -10.0, 900.0), "EPSG:32631")


def scene() -> Scene:
    cube = np.random.default_rng(0).random((5, 6, 4), np.float32)
    return Scene(
        cube,
        np.array([400.0, 500, 600, 700]),
        "name",
        {"instrument": "x", "source": "a.h5", "simulated_psf": "box", "white_level": 255.0},
        fwhm_nm=np.full(4, 9.0),
        band_names=("a", "b", "c", "d"),
        good_bands=np.array([True, False, True, True]),
        georeference=GRID,
        nodata=-1.0,
        sensor_model=SensorModel((GroundPoint(1.0, 2.0, 520.0, 890.0),)),
    )


def test_a_scene_and_a_header_have_every_field() -> None:
    header = CubeHeader.of(scene())
    for one in fields(CubeInfo):
        assert getattr(scene().info, one.name) is not None
        np.testing.assert_array_equal(getattr(header, one.name), getattr(scene(), one.name))


def test_selected_bands_keep_their_values() -> None:
    part = scene().select(np.array([3, 1]))
    np.testing.assert_array_equal(part.cube, scene().cube[..., [3, 1]])
    assert part.wavelengths_nm is not None and part.good_bands is not None and part.fwhm_nm is not None
    assert part.wavelengths_nm.tolist() == [700, 500] and part.good_bands.tolist() == [True, False]
    assert part.band_names == ("d", "b") and part.fwhm_nm.size == 2 and part.nodata == -1


@pytest.mark.parametrize("rows", [slice(1, 4), slice(-4, -1)])
def test_a_cropped_scene_lies_where_its_pixels_lie(rows: slice) -> None:
    part = scene().cropped(rows, slice(2, None))
    np.testing.assert_array_equal(part.cube, scene().cube[1:4, 2:])
    assert part.georeference == Georeference((10.0, 0, 520.0, 0, -10.0, 890.0), "EPSG:32631")
    assert part.band_names == scene().band_names and part.nodata == -1


def test_coarser_pixels_cover_the_same_ground() -> None:
    assert scene().at_scale(4).georeference == Georeference((40.0, 0, 500.0, 0, -40.0, 900.0), "EPSG:32631")
    assert CubeInfo().at_scale(4).georeference is None


def test_how_a_scene_was_stored_or_simulated_is_not_inherited() -> None:
    info = scene().inherited({"method": "m"})
    assert dict(info.metadata) == {"instrument": "x", "method": "m"}
    assert info.name == "name" and info.georeference == GRID and info.band_names == scene().band_names


def test_the_first_fields_of_a_scene_are_positional() -> None:
    mask = np.zeros((1, 1), bool)
    made = Scene(np.ones((1, 1, 1)), np.array([500.0]), "n", {"a": 1}, mask)
    assert made.name == "n" and made.metadata == {"a": 1} and made.nodata_mask is not None
