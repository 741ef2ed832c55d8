"""How pixels of an image that lies on no grid see the ground: control points and rational polynomials.

Nothing is projected by them here. They are kept, so that another program can do it: the part of an image, and
an image of other pixels on the same ground, get those that belong to it.

Conventions are GDAL's. Ground control points count rows and columns from the outer corner of the first pixel.
Rational polynomial coefficients (RPC, the RPC00B form of NITF) count them from its centre.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from hsr_tf.checks import require

CENTRE = 0.5
NUM_TERMS = 20
TERMS = ("line_num_coeff", "line_den_coeff", "samp_num_coeff", "samp_den_coeff")
PIXELS = ("line_off", "line_scale", "samp_off", "samp_scale")
GROUND = ("height_off", "height_scale", "lat_off", "lat_scale", "long_off", "long_scale")
ERRORS = ("err_bias", "err_rand")


@dataclass(frozen=True)
class GroundPoint:
    """A place in an image of which the ground is known.

    Attributes:
        row, col: in pixels.
        x, y, z: in the units of the coordinate system.
        name, note: texts of the file.
    """

    row: float
    col: float
    x: float
    y: float
    z: float = 0.0
    name: str = ""
    note: str = ""


@dataclass(frozen=True)
class RationalPolynomials:
    """Quotients of polynomials from longitude, latitude and height to rows and columns.

    Args:
        terms: the numbers by name: those of `TERMS` (20 each), `PIXELS`, `GROUND`, and `ERRORS` where known.

    Raises:
        ValueError: a name that is missing, another number of terms, or numbers that are not finite.
    """

    terms: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        counts = {**dict.fromkeys(TERMS, NUM_TERMS), **dict.fromkeys((*PIXELS, *GROUND), 1)}
        given = {name: tuple(map(float, values)) for name, values in self.terms.items()}
        fit = all(len(given.get(name, ())) == count for name, count in counts.items())
        finite = all(math.isfinite(value) for name in counts for value in given.get(name, ()))
        require(
            fit and finite,
            "rational polynomials",
            expected=f"{NUM_TERMS} numbers for each of {', '.join(TERMS)}, one for each offset and scale",
            received=str({name: len(values) for name, values in given.items()}),
            remedy="leave them out",
        )
        object.__setattr__(self, "terms", given)

    def on_pixels(self, steps: tuple[float, float], first: tuple[float, float]) -> RationalPolynomials:
        """Return those of an image that starts elsewhere, with pixels `steps` times as long and wide."""
        terms = dict(self.terms)
        for name, step, start in zip(("line", "samp"), steps, first, strict=True):
            offset = (terms[f"{name}_off"][0] + CENTRE - start) / step - CENTRE
            terms |= {f"{name}_off": (offset,), f"{name}_scale": (terms[f"{name}_scale"][0] / step,)}
        return RationalPolynomials(terms)

    def flipped(self, axes: tuple[int, ...], size: tuple[int, int]) -> RationalPolynomials:
        """Return those of the image of (rows, columns) that is flipped along these axes."""
        terms = dict(self.terms)
        for axis in axes:
            name = ("line", "samp")[axis]
            terms[f"{name}_off"] = (size[axis] - 1 - terms[f"{name}_off"][0],)
            terms[f"{name}_num_coeff"] = tuple(-value for value in terms[f"{name}_num_coeff"])
        return RationalPolynomials(terms)


@dataclass(frozen=True)
class SensorModel:
    """What is known of the geometry of an image beside a grid.

    Attributes:
        points: ground control points.
        crs: their coordinate reference system as WKT, or None.
        polynomials: from the ground to the image, or None.
    """

    points: tuple[GroundPoint, ...] = ()
    crs: str | None = None
    polynomials: RationalPolynomials | None = None

    def window(self, row: int, col: int) -> SensorModel:
        """Return that of the part of the image that begins at this pixel."""
        return self.on_pixels((1.0, 1.0), (row, col))

    def coarser(self, factor: float) -> SensorModel:
        """Return that of the same ground with pixels `factor` times as long on each side."""
        return self.on_pixels((factor, factor), (0, 0))

    def on_pixels(self, steps: tuple[float, float], first: tuple[float, float]) -> SensorModel:
        """Return that of other pixels along the same rows and columns.

        Args:
            steps: (rows, columns) from one of them to the next.
            first: the outer corner of the first one.
        """
        (down, across), (row, col) = steps, first
        points = tuple(
            replace(one, row=(one.row - row) / down, col=(one.col - col) / across) for one in self.points
        )
        made = None if self.polynomials is None else self.polynomials.on_pixels(steps, first)
        return replace(self, points=points, polynomials=made)

    def flipped(self, axes: tuple[int, ...], size: tuple[int, int]) -> SensorModel:
        """Return that of the image of (rows, columns) that is flipped along these axes, 0 for rows."""
        rows, cols = size
        points = self.points
        if 0 in axes:
            points = tuple(replace(one, row=rows - one.row) for one in points)
        if 1 in axes:
            points = tuple(replace(one, col=cols - one.col) for one in points)
        made = None if self.polynomials is None else self.polynomials.flipped(axes, size)
        return replace(self, points=points, polynomials=made)

    @property
    def words(self) -> str:
        """What it consists of, for a message."""
        kinds = []
        if self.points:
            kinds.append(f"{len(self.points)} ground control points (GCP)")
        if self.polynomials is not None:
            kinds.append("rational polynomials (RPC)")
        return " and ".join(kinds)

    def plain(self) -> dict[str, Any]:
        """Return data for JSON."""
        terms = None if self.polynomials is None else dict(self.polynomials.terms)
        return {"points": [asdict(one) for one in self.points], "crs": self.crs, "polynomials": terms}

    @classmethod
    def of(cls, data: Any) -> SensorModel | None:
        """Return the inverse of `plain`; None for anything else.

        Args:
            data: as read from JSON.
        """
        try:
            points = tuple(_point(one) for one in data["points"])
            terms, crs = data["polynomials"], data["crs"]
            polynomials = None if terms is None else RationalPolynomials(terms)
            return cls(points, None if crs is None else str(crs), polynomials)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return None


def _point(data: Mapping[str, Any]) -> GroundPoint:
    place = {name: float(data[name]) for name in ("row", "col", "x", "y", "z")}
    if not all(map(math.isfinite, place.values())):
        raise ValueError("a place that is not finite")
    return GroundPoint(**place, name=str(data["name"]), note=str(data["note"]))
