"""Points and polynomials of a part, and of other pixels, name the same ground as GDAL computes it."""

from __future__ import annotations

import numpy as np
import pytest
from rasterio.rpc import RPC
from rasterio.transform import RPCTransformer

from hsr_tf.cube_info import CubeInfo
from hsr_tf.geo.sensor_model import (
    GROUND,
    PIXELS,
    TERMS,
    GroundPoint,
    RationalPolynomials,
    SensorModel,
)

RNG = np.random.default_rng(0)


def _terms() -> dict[str, tuple[float, ...]]:
    """A view that is close to affine, with small terms of every order."""
    small = 1e-3 * RNG.standard_normal((4, 20))
    small[1, 0] = small[3, 0] = 1.0
    small[0, 2], small[2, 1] = -1.0, 1.0
    terms = {name: tuple(row) for name, row in zip(TERMS[:2] + TERMS[2:], small[[0, 1, 2, 3]], strict=True)}
    terms |= {"line_off": (120.5,), "line_scale": (130.0,), "samp_off": (90.25,), "samp_scale": (95.0,)}
    ground = {"height_off": 100.0, "height_scale": 500.0, "lat_off": 46.0, "lat_scale": 0.1}
    ground |= {"long_off": 2.5, "long_scale": 0.2}
    return terms | {name: (value,) for name, value in ground.items()}


MODEL = SensorModel(
    (GroundPoint(10.0, 20.0, 2.5, 46.0, 7.0, "a", "peak"), GroundPoint(0.5, 0.5, 2.4, 46.1)),
    "EPSG:4326",
    RationalPolynomials(_terms()),
)


def pixels(model: SensorModel, places: np.ndarray) -> np.ndarray:
    """(n, 2), rows and columns from the outer corner of the first pixel, of (longitude, latitude, height)."""
    assert model.polynomials is not None
    terms = model.polynomials.terms
    single = {name: terms[name][0] for name in (*PIXELS, *GROUND)}
    made = RPC(**single, **{name: list(terms[name]) for name in TERMS})
    with RPCTransformer(made) as transformer:
        return np.array(transformer.rowcol(*places.T, op=lambda value: value)).T


def places() -> np.ndarray:
    spread = RNG.uniform(-1, 1, (6, 3))
    return np.array([2.5, 46.0, 100.0]) + spread * [0.15, 0.08, 200.0]


def test_a_part_sees_the_same_ground() -> None:
    ground = places()
    moved = pixels(MODEL.window(12, 7), ground)
    np.testing.assert_allclose(moved, pixels(MODEL, ground) - [12, 7], atol=1e-6)
    assert [(p.row, p.col) for p in MODEL.window(12, 7).points] == [(-2, 13), (-11.5, -6.5)]


@pytest.mark.parametrize("factor", [4.0, 0.25, 3.65])
def test_other_pixels_see_the_same_ground(factor: float) -> None:
    ground = places()
    scaled = pixels(MODEL.coarser(factor), ground)
    np.testing.assert_allclose(scaled, pixels(MODEL, ground) / factor, atol=1e-6)
    assert MODEL.coarser(factor).points[0].row == pytest.approx(10 / factor)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_a_flipped_image_sees_the_same_ground(axes: tuple[int, ...]) -> None:
    size, ground = np.array([240, 180]), places()
    expected = pixels(MODEL, ground)
    expected[:, axes] = (size - expected)[:, axes]
    flipped = MODEL.flipped(axes, (240, 180))
    np.testing.assert_allclose(pixels(flipped, ground), expected, atol=1e-6)
    point = np.array([10.0, 20.0])
    point[list(axes)] = (size - point)[list(axes)]
    assert (flipped.points[0].row, flipped.points[0].col) == tuple(point)


def test_pixels_of_other_lengths_and_widths_see_the_same_ground() -> None:
    ground = places()
    moved = pixels(MODEL.on_pixels((2.5, 1.7), (3.0, -4.5)), ground)
    np.testing.assert_allclose(moved, (pixels(MODEL, ground) - [3.0, -4.5]) / [2.5, 1.7], atol=1e-6)


def test_plain_data_come_back_and_others_are_no_model() -> None:
    assert SensorModel.of(MODEL.plain()) == MODEL
    for wrong in (None, [], {}, {"points": [1]}, {**MODEL.plain(), "polynomials": {"line_off": [1.0]}}):
        assert SensorModel.of(wrong) is None


def test_coefficients_that_are_missing_or_not_finite_are_refused() -> None:
    for terms in ({}, {**_terms(), "lat_off": (float("nan"),)}, {**_terms(), "line_num_coeff": (1.0,)}):
        with pytest.raises(ValueError, match="20 numbers for each of line_num_coeff"):
            RationalPolynomials(terms)


def test_a_cube_crops_scales_and_inherits_its_model() -> None:
    coarse = CubeInfo(sensor_model=MODEL)
    assert coarse.cropped(slice(3, 9), slice(2, 5)).sensor_model == MODEL.window(3, 2)
    assert coarse.sharpened_by(CubeInfo(), 4).sensor_model == MODEL.coarser(0.25)
    sharp = SensorModel((GroundPoint(1, 2, 3, 4),))
    assert coarse.sharpened_by(CubeInfo(sensor_model=sharp), 4).sensor_model == sharp
