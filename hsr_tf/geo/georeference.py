"""Where the pixels of an image lie on the ground: a coordinate system and an affine grid.

The affine convention is rasterio's: x = a col + b row + c, y = d col + e row + f, with (col, row) counted in
pixels from the outer corner of the first pixel, so that a pixel's centre lies at (col + 1/2, row + 1/2).
Nothing here needs GDAL; `hsr_tf.io` reads and writes the coordinate systems.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hsr_tf.checks import require

Affine = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Georeference:
    """The grid of an image.

    Args:
        transform: (a, b, c, d, e, f) of the affine map from pixels to the units of `crs`.
        crs: the coordinate reference system as WKT; None where the file does not tell it.

    Raises:
        ValueError: coefficients that are not six finite numbers, or that map the image to a line.
    """

    transform: Affine
    crs: str | None = None

    def __post_init__(self) -> None:
        values = tuple(float(value) for value in self.transform)
        require(
            len(values) == 6 and all(math.isfinite(value) for value in values) and _area(values) != 0,
            "transform",
            expected="six finite numbers (a, b, c, d, e, f) of an affine map that can be inverted",
            received=str(self.transform),
            remedy="give e.g. (10.0, 0, 500000.0, 0, -10.0, 4600000.0)",
        )
        object.__setattr__(self, "transform", values)

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Height and width of a pixel in the units of the coordinate system, positive."""
        a, b, _, d, e, _ = self.transform
        return math.hypot(b, e), math.hypot(a, d)

    def at(self, row: float, col: float) -> tuple[float, float]:
        """(x, y) of a place in pixels, counted from the outer corner of the first pixel."""
        a, b, c, d, e, f = self.transform
        return a * col + b * row + c, d * col + e * row + f

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """(row, col) of a place in the units of the coordinate system: the inverse of `at`."""
        a, b, c, d, e, f = self.transform
        area = _area(self.transform)
        return (a * (y - f) - d * (x - c)) / area, (e * (x - c) - b * (y - f)) / area

    def window(self, row: int, col: int) -> Georeference:
        """The grid of the part of the image that begins at this pixel."""
        a, b, _, d, e, _ = self.transform
        x, y = self.at(row, col)
        return Georeference((a, b, x, d, e, y), self.crs)

    def coarser(self, factor: float) -> Georeference:
        """The grid of the same ground with pixels `factor` times as long on each side."""
        a, b, c, d, e, f = self.transform
        return Georeference((a * factor, b * factor, c, d * factor, e * factor, f), self.crs)


def _area(transform: tuple[float, ...]) -> float:
    """a e - b d, the signed area of a pixel."""
    a, b, _, d, e, _ = transform
    return a * e - b * d
