"""What a foreign format has no field for, kept beside its own fields as one text in JSON.

ENVI headers, GeoTIFF tags and CF attributes hold wavelengths, grid and scaling in fields of their own, which
other programs read and change. Free metadata, the name of the scene and the exact text of band names and
coordinate system go into this record. The field of the format takes precedence over the record, which another
program may have copied from a different part of the image.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.cube_info import CubeInfo
from hsr_tf.geo.georeference import Georeference
from hsr_tf.geo.sensor_model import SensorModel
from hsr_tf.io.arrays import metadata_to_text
from hsr_tf.io.header import CubeHeader

LONGEST_RECORD = 10_000_000


@dataclass(frozen=True, eq=False)
class OwnRecord:
    """The content of a record.

    Args:
        info: name, metadata, exact names of the bands, exact grid, and the sensor model.
        white_level: stored value that stands for 1.0, or None.
    """

    info: CubeInfo = field(default_factory=CubeInfo)
    white_level: float | None = None

    def scaling(
        self, gain: NDArray[Any] | float, offset: NDArray[Any] | float, dtype: np.dtype[Any]
    ) -> dict[str, Any]:
        """Return the scale that a format states, as arguments of a header.

        That is the white level of the record as long as the gain still is one over it, else gain and offset
        if they are usable, else nothing.
        """
        level = self.white_level
        if (
            level is not None
            and dtype.kind in "ui"
            and bool(np.all(np.equal(gain, 1 / level)))
            and not np.any(offset)
        ):
            return {"white_level": level}
        usable = np.all(np.isfinite(gain)) and np.all(np.isfinite(offset)) and np.all(gain)
        return {"gain": gain, "offset": offset} if usable else {}

    def complete(self, header: CubeHeader) -> CubeHeader:
        """Return what the fields of a format say, with name, metadata and exact texts of the record.

        Exact names replace those of the format if it has as many, and an exact grid one that is the same to a
        millionth of a pixel.
        """
        found, kept = header.band_names, self.info.band_names
        if found is not None and kept is not None and len(kept) == header.shape[2]:
            found = kept
        from hsr_tf.geo.crs import same_crs

        grid, exact = header.georeference, self.info.georeference
        if grid is not None and exact is not None:
            tolerance = 1e-6 * min(exact.pixel_size)
            near = np.allclose(grid.transform, exact.transform, rtol=0, atol=tolerance)
            grid = exact if near and same_crs(grid.crs, exact.crs) else grid
        return replace(
            header,
            name=self.info.name,
            metadata={**header.metadata, **self.info.metadata},
            band_names=found,
            georeference=grid,
            sensor_model=_whole_model(header.sensor_model, self.info.sensor_model),
        )


def _whole_model(found: SensorModel | None, kept: SensorModel | None) -> SensorModel | None:
    """The sensor model of the fields of a format, with the points for which it has no field."""
    if found is None or kept is None:
        return found or kept
    return kept if not found.points and found.polynomials == kept.polynomials else found


def record_to_text(header: CubeHeader) -> str:
    """Return the record of a header as JSON."""
    grid = header.georeference
    kept: dict[str, Any] = {
        "name": header.name,
        "metadata": json.loads(metadata_to_text(header.metadata)),
        "band_names": header.band_names,
        "white_level": header.white_level,
        "transform": None if grid is None else grid.transform,
        "crs": None if grid is None else grid.crs,
        "sensor_model": None if header.sensor_model is None else header.sensor_model.plain(),
    }
    return json.dumps({name: value for name, value in kept.items() if value not in (None, "", {})})


def record_from_text(text: str | None) -> OwnRecord:
    """Return the record of such a text; an empty one of anything else."""
    if not text or len(text) > LONGEST_RECORD:
        return OwnRecord()
    try:
        kept = json.loads(text)
        metadata, names, level = (kept.get(name) for name in ("metadata", "band_names", "white_level"))
        usable = isinstance(level, int | float) and math.isfinite(level) and level > 0
        crs, grid = kept.get("crs"), None
        if "transform" in kept:
            grid = Georeference(tuple(kept["transform"]), None if crs is None else str(crs))
        info = CubeInfo(
            name=str(kept.get("name", "")),
            metadata=metadata if isinstance(metadata, dict) else {},
            band_names=tuple(map(str, names)) if isinstance(names, list) else None,
            georeference=grid,
            sensor_model=SensorModel.of(kept.get("sensor_model")),
        )
        return OwnRecord(info, float(level) if usable else None)
    except (ValueError, AttributeError, TypeError, RecursionError, OverflowError):
        return OwnRecord()
