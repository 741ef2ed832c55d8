"""The `map info` and `coordinate system string` of ENVI headers and the grid of an image.

`map info` = {projection, x and y of a reference pixel (1 is the outer corner of the first pixel), its easting
and northing, pixel width and height, then for UTM the zone and the hemisphere, the datum, units=...,
rotation=...}. With rotation r (degrees) a step of one column is width (cos r, sin r) and a step of one row
height (sin r, -cos r); for square pixels that is what GDAL's ENVI driver reads. For others GDAL swaps width
and height in the off-diagonal terms, which turns the pixels into parallelograms. A rotation of 180 is GDAL's
mark of an image whose rows go north, mirrored and not rotated; a rotation by 180 degrees is not written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hsr_tf.checks import require
from hsr_tf.geo.crs import crs_object, esri_wkt, readable_crs
from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.envi_header import EnviHeader

WGS_84 = ("wgs-84", "wgs84", "wgs 84")
NORTHWARD = 180.0
NAD_83 = ("north america 1983", "nad83", "nad-83")


def georeference_of(header: EnviHeader) -> Georeference | None:
    """Return the grid in a header; None without one, or if it is not understood."""
    words = header.listed("map info")
    return None if words is None else map_grid(words, header.text("coordinate system string") or "")


def map_grid(words: Sequence[str], system: str) -> Georeference | None:
    """Return the grid of `map info`, or None if it is not understood.

    Args:
        words: of `map info`.
        system: the `coordinate system string`, or "".
    """
    if len(words) < 7:
        return None
    try:
        ref_x, ref_y, x, y, pixel_width, pixel_height = (float(word) for word in words[1:7])
        named = {key.strip().lower(): value for key, _, value in (word.partition("=") for word in words[7:])}
        degrees = float(named.get("rotation", "").strip().strip("{}") or 0)
        if abs(degrees) == NORTHWARD:
            degrees, pixel_height = 0.0, -pixel_height
        crs = readable_crs(system.strip().strip("{}").strip()) or readable_crs(_code(list(words)))
        turn = math.radians(degrees)
        cos, sin = (1.0, 0.0) if turn == 0 else (math.cos(turn), math.sin(turn))
        a, d = pixel_width * cos, pixel_width * sin
        b, e = pixel_height * sin, -pixel_height * cos
        corner = x - (ref_x - 1) * a - (ref_y - 1) * b, y - (ref_x - 1) * d - (ref_y - 1) * e
        return Georeference((a, b, corner[0], d, e, corner[1]), crs)
    except (ValueError, OverflowError):
        return None


def map_fields(grid: Georeference | None) -> dict[str, Any]:
    """Return the fields for this grid.

    Raises:
        ValueError: rows and columns that do not meet at a right angle, a mirrored grid, or a coordinate
            system that PROJ does not understand; ENVI has no fields for those.
    """
    if grid is None:
        return {}
    a, b, x, d, e, y = grid.transform
    height, width = grid.pixel_size
    northward = b == d == 0 and a > 0 and e > 0
    half_turn = a < 0 and abs(d) <= 1e-9 * width
    require(
        abs(a * b + d * e) <= 1e-9 * width * height and (a * e - b * d < 0 or northward) and not half_turn,
        "georeference",
        expected="rows and columns at a right angle, not rotated by 180 degrees or mirrored, as in map info",
        received=str(grid.transform),
        remedy="write .tif, .nc or .h5, or reproject the image first",
    )
    name, *others = _projection(grid)
    words: list[Any] = [name, 1.0, 1.0, x, y, width, height, *others]
    if northward:
        words.append(f"rotation={NORTHWARD}")
    elif b or d:
        words.append(f"rotation={math.degrees(math.atan2(d, a))!r}")
    fields: dict[str, Any] = {"map info": [word if isinstance(word, str) else repr(word) for word in words]}
    if grid.crs is not None:
        fields["coordinate system string"] = "{" + esri_wkt(grid.crs) + "}"
    return fields


def _projection(grid: Georeference) -> list[str]:
    """Return the name of the projection, and the words that follow the pixel size."""
    if grid.crs is None:
        return ["Arbitrary", "0", "units=Meters"]
    crs = crs_object(grid.crs)
    wkt = str(crs.to_wkt())
    datum = "WGS-84" if "WGS_1984" in wkt.replace(" ", "_") else "Unknown"
    if crs.is_geographic:
        return ["Geographic Lat/Lon", datum, "units=Degrees"]
    code = crs.to_epsg() or 0
    if 32601 <= code <= 32660 or 32701 <= code <= 32760:
        return ["UTM", str(code % 100), "North" if code < 32700 else "South", "WGS-84", "units=Meters"]
    name = wkt.split('"')[1] if wkt.count('"') >= 2 else "Projection"
    units = "Feet" if "foot" in str(crs.linear_units).lower() else "Meters"
    return [name.replace(",", " "), datum, f"units={units}"]


def _code(words: list[str]) -> str | None:
    """Return the EPSG code for map info: UTM, or latitude and longitude, on two common datums."""
    low = [word.strip().lower() for word in words]
    on_wgs = any(word in WGS_84 for word in low[7:])
    on_nad = any(word in NAD_83 for word in low[7:])
    if low[0].startswith("geographic"):
        return "EPSG:4326" if on_wgs else "EPSG:4269" if on_nad else None
    if low[0] != "utm" or len(low) < 9 or not low[7].isdigit():
        return None
    zone = int(low[7])
    if not 1 <= zone <= 60:
        return None
    if on_wgs:
        return f"EPSG:{(32700 if low[8].startswith('s') else 32600) + zone}"
    return f"EPSG:{26900 + zone}" if on_nad and zone <= 23 else None
