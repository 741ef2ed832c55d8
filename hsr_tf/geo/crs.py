"""Coordinate reference systems as text: what a `Georeference` holds, read by rasterio (GDAL and PROJ)."""

from __future__ import annotations

from typing import Any

from hsr_tf.checks import InputError

LONGEST_TEXT = 100_000


def crs_object(text: str) -> Any:
    """rasterio's object of a WKT, of "EPSG:32631", or of a PROJ string.

    Raises:
        ValueError: PROJ does not understand it.
    """
    from rasterio.crs import CRS
    from rasterio.env import Env
    from rasterio.errors import RasterioError

    try:
        with Env(OSR_DEFAULT_AXIS_MAPPING_STRATEGY="TRADITIONAL_GIS_ORDER"):
            return CRS.from_user_input(text[:LONGEST_TEXT])
    except (RasterioError, ValueError, UnicodeError) as error:
        raise InputError(
            "georeference",
            expected="a coordinate system as WKT or as an authority's code",
            received=f"{text[:60]!r} ({' '.join(str(error).split())[:80]})",
            remedy="give e.g. EPSG:32631, or leave the coordinate system out",
        ) from error


def readable_crs(text: str | None) -> str | None:
    """The text itself where PROJ understands it, else None."""
    if not text or not text.strip():
        return None
    try:
        crs_object(text)
    except ValueError:
        return None
    return text


def same_crs(first: str | None, second: str | None) -> bool:
    """Whether two texts name the same system."""
    if first is None or second is None or first == second:
        return first == second
    try:
        return bool(crs_object(first) == crs_object(second))
    except ValueError:
        return False


def esri_wkt(text: str) -> str:
    """WKT in the dialect that ENVI headers use; the code's own WKT where there is no such form."""
    crs = crs_object(text)
    return str(crs.to_wkt(version="WKT1_ESRI") or crs.to_wkt())


def crs_label(text: str) -> str:
    """A short name: the authority's code where there is one, else the name in the WKT."""
    try:
        code = crs_object(text).to_authority()
    except ValueError:
        code = None
    if code is not None:
        return ":".join(code)
    return text.split('"')[1] if text.count('"') >= 2 else text[:60]
