"""What a foreign format has no field for, kept beside its own fields as one text in JSON.

ENVI headers, GeoTIFF tags and CF attributes hold wavelengths, grid and scaling in their own words, which
other programs read and change. Free metadata, the scene's name and the exact text of names and coordinate
system go into this record. Where both tell the same thing, the format's own field counts: a record that
another program carried along from a different cut of the image is not believed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.arrays import metadata_to_text
from hsr_tf.io.stream import CubeHeader

LONGEST_RECORD = 1_000_000


@dataclass(frozen=True)
class OwnRecord:
    """What was kept.

    Args:
        name: of the scene, or "".
        metadata: free metadata.
        band_names: exact names, or None.
        white_level: stored value that stands for 1.0, or None.
        georeference: the exact grid, or None.
    """

    name: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    band_names: tuple[str, ...] | None = None
    white_level: float | None = None
    georeference: Georeference | None = None


def record_to_text(header: CubeHeader) -> str:
    """The record of a header, as JSON."""
    grid = header.georeference
    kept: dict[str, Any] = {
        "name": header.name,
        "metadata": json.loads(metadata_to_text(header.metadata)),
        "band_names": None if header.band_names is None else list(header.band_names),
        "white_level": header.white_level,
        "transform": None if grid is None else list(grid.transform),
        "crs": None if grid is None else grid.crs,
    }
    return json.dumps({name: value for name, value in kept.items() if value not in (None, "", {})})


def record_from_text(text: str | None) -> OwnRecord:
    """The record of such a text; an empty one of anything else."""
    if not text or len(text) > LONGEST_RECORD:
        return OwnRecord()
    try:
        kept = json.loads(text)
        metadata, names = kept.get("metadata", {}), kept.get("band_names")
        level = kept.get("white_level")
        usable = isinstance(level, int | float) and math.isfinite(level) and level > 0
        return OwnRecord(
            name=str(kept.get("name", "")),
            metadata=metadata if isinstance(metadata, dict) else {},
            band_names=tuple(map(str, names)) if isinstance(names, list) else None,
            white_level=float(level) if usable else None,
            georeference=_grid(kept),
        )
    except (ValueError, AttributeError, TypeError, RecursionError, OverflowError):
        return OwnRecord()


def agreed_names(found: tuple[str, ...] | None, record: OwnRecord, num_bands: int) -> tuple[str, ...] | None:
    """The exact names where the format's own field has as many, else those of the field."""
    if record.band_names is not None and len(record.band_names) == num_bands and found is not None:
        return record.band_names
    return found


def agreed_grid(found: Georeference | None, record: OwnRecord) -> Georeference | None:
    """The exact grid where the format's own fields say the same to a millionth of a pixel, else theirs."""
    from hsr_tf.geo.crs import same_crs

    told = record.georeference
    if found is None or told is None:
        return found
    tolerance = 1e-6 * min(told.pixel_size)
    near = all(abs(a - b) <= tolerance for a, b in zip(found.transform, told.transform, strict=True))
    return told if near and same_crs(found.crs, told.crs) else found


def _grid(kept: Mapping[str, Any]) -> Georeference | None:
    if "transform" not in kept:
        return None
    crs = kept.get("crs")
    return Georeference(tuple(kept["transform"]), None if crs is None else str(crs))
