"""Places of one grid on another: affine maps and coordinate systems, which are PROJ's, by rasterio."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hsr_tf.checks import InputError
from hsr_tf.geo.georeference import Georeference
from hsr_tf.geo.nesting import PixelMap, Places

if TYPE_CHECKING:
    from rasterio.crs import CRS

PLANE = "EPSG:3857"


def pixel_map(coarse: Georeference, sharp: Georeference) -> PixelMap:
    """Places on one grid to places on the other; a system that one of them does not tell is the other's.

    Raises:
        ValueError: a coordinate system that is not understood.
    """
    systems = coordinate_systems(coarse, sharp)
    straight = systems[0] == systems[1]

    def to_sharp(places: Places) -> Places:
        x, y = _placed(coarse.at, places)
        if not straight:
            x, y = _transformed(systems, x, y)
        return np.stack(_placed(sharp.pixel, np.stack([x, y], 1)), 1)

    return PixelMap(to_sharp, straight)


def coordinate_systems(first: Georeference, second: Georeference) -> tuple[CRS, CRS]:
    """Their coordinate systems; a plane where neither tells one.

    Raises:
        ValueError: a coordinate system that is not understood.
    """
    known = [None if grid.crs is None else _system(grid.crs) for grid in (first, second)]
    fallback = known[0] or known[1] or _system(PLANE)
    return known[0] or fallback, known[1] or fallback


def system_name(system: CRS) -> str:
    """Its EPSG code, else the name that it gives itself."""
    code = system.to_epsg()
    return f"EPSG:{code}" if code else " ".join(system.to_wkt().split('"')[1:2]) or "its own system"


@lru_cache(maxsize=16)
def _system(text: str) -> CRS:
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            "crs",
            expected="a coordinate system as WKT or EPSG code",
            received=f"{text[:60]!r} ({reason})",
            remedy="repair it, or take it out of the file",
        ) from error


def _transformed(systems: tuple[CRS, CRS], x: Places, y: Places) -> tuple[Places, Places]:
    """Places of one coordinate system in another."""
    from rasterio import warp

    try:
        first, second = warp.transform(*systems, x, y)
    except Exception as error:  # GDAL's errors have no public class of their own
        reason = " ".join(str(error).split())[:120]
        names = f"{system_name(systems[0])} to {system_name(systems[1])}"
        span = f"x {np.min(x):.6g} to {np.max(x):.6g}, y {np.min(y):.6g} to {np.max(y):.6g}"
        raise InputError(
            "lr_hsi",
            expected=f"places that both coordinate systems know ({names})",
            received=f"{span} ({reason})",
            remedy="check the transform and the coordinate system of both files",
        ) from error
    return np.asarray(first), np.asarray(second)


def _placed(convert: Callable[..., Any], places: Places) -> tuple[Places, Places]:
    """A conversion of two numbers, of two columns at once."""
    first, second = convert(places[:, 0], places[:, 1])
    return first, second
