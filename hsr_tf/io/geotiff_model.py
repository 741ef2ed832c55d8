"""Ground control points and rational polynomials of GeoTIFF files, by rasterio."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hsr_tf.geo.crs import crs_object
from hsr_tf.geo.sensor_model import (
    ERRORS,
    GROUND,
    PIXELS,
    TERMS,
    GroundPoint,
    RationalPolynomials,
    SensorModel,
)
from hsr_tf.io.account import Account
from hsr_tf.io.header import CubeHeader

ADVICE = "project the image onto a grid, e.g. with gdalwarp, to pair it by its place"


def sensor_model(dataset: Any, account: Account) -> SensorModel | None:
    """Return the model of an open data set, or None; no grid is derived from it."""
    (listed, system), found = dataset.gcps, dataset.rpcs
    points = tuple(_point(one) for one in listed)
    polynomials = None if found is None else _polynomials(found, account)
    if points:
        account.leave(
            "GCP", f"{len(points)} ground control points are kept, no grid is derived", ADVICE, matters=False
        )
    if polynomials is not None:
        account.leave(
            "RPC", "rational polynomial coefficients are kept, no grid is derived", ADVICE, matters=False
        )
    if not points and polynomials is None:
        return None
    crs = (system.to_wkt() or None) if points and system is not None else None
    return SensorModel(points, crs, polynomials)


def written_model(header: CubeHeader) -> SensorModel | None:
    """Return what of the model of a header the fields of a GeoTIFF hold: no points beside a grid."""
    model = header.sensor_model
    return model if model is None or header.georeference is None else replace(model, points=(), crs=None)


def model_profile(model: SensorModel | None) -> dict[str, Any]:
    """Return the arguments of `rasterio.open` that write a model."""
    if model is None:
        return {}
    from rasterio.control import GroundControlPoint
    from rasterio.crs import CRS
    from rasterio.rpc import RPC

    made: dict[str, Any] = {}
    if model.points:
        made["gcps"] = [
            GroundControlPoint(one.row, one.col, one.x, one.y, one.z, one.name or None, one.note or None)
            for one in model.points
        ]
        made["crs"] = CRS() if model.crs is None else crs_object(model.crs)  # rasterio needs one
    if model.polynomials is not None:
        terms = model.polynomials.terms
        single = {name: terms[name][0] for name in (*PIXELS, *GROUND, *ERRORS) if name in terms}
        made["rpcs"] = RPC(**single, **{name: list(terms[name]) for name in TERMS})
    return made


def _point(one: Any) -> GroundPoint:
    place = float(one.row), float(one.col), float(one.x), float(one.y), float(one.z or 0.0)
    return GroundPoint(*place, str(one.id or ""), str(one.info or ""))


def _polynomials(found: Any, account: Account) -> RationalPolynomials | None:
    terms = {name: tuple(getattr(found, name)) for name in TERMS}
    terms |= {name: (float(getattr(found, name)),) for name in (*PIXELS, *GROUND)}
    known = {name: getattr(found, name) for name in ERRORS}
    terms |= {name: (float(value),) for name, value in known.items() if value is not None and value >= 0}
    try:
        return RationalPolynomials(terms)
    except ValueError:
        account.leave("RPC", "not 20 finite coefficients each")
        return None
