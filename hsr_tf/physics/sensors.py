"""Responses of Earth observation sensors by name, from the band edges that their operators publish.

No measured table is shipped. Each band is exp(-ln 2 |(wavelength - centre) / (width / 2)|^p), a box with
smooth edges whose half maxima lie at the published ones (`responses/sensors.csv` names the sources); p, the
steepness, is 8, or what fits public measured tables of that sensor best: 12 for the sharp filters of
Sentinel-2, the Operational Land Imager and RapidEye, 3 for Ikonos, and 4 for QuickBird, which is of its kind.
Slopes, ripples and side lobes of the real filters are missing: brought to bands of 10 nm these curves lie 0.2
to 8 degrees (spectral angle, 3 to 4 in the mean of Sentinel-2 and the Operational Land Imagers, 7 of Ikonos)
from measured ones, 10 for the near infrared of Ikonos and the panchromatic band of Landsat 7, 14 for B08 of
Sentinel-2, which falls off towards the red. A measured table as a CSV file is better where there is one.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np

from hsr_tf import checks
from hsr_tf.physics.response_table import ResponseTable

FIRST_NM, LAST_NM, STEP_NM = 300.0, 2600.0, 1.0
SOURCE = "band edges as published, smooth-edged boxes"
TITLES = {
    "sentinel2a": "Sentinel-2A MSI",
    "sentinel2b": "Sentinel-2B MSI",
    "landsat5": "Landsat 5 TM",
    "landsat7": "Landsat 7 ETM+",
    "landsat8": "Landsat 8 OLI",
    "landsat9": "Landsat 9 OLI-2",
    "eo1_ali": "EO-1 ALI",
    "ikonos": "Ikonos",
    "quickbird": "QuickBird",
    "geoeye1": "GeoEye-1",
    "worldview2": "WorldView-2",
    "worldview3": "WorldView-3",
    "rapideye": "RapidEye",
}


@dataclass(frozen=True)
class SensorBand:
    """One band of a sensor.

    Attributes:
        channel: its name.
        lower_nm: where the response reaches half of its maximum, in nanometres.
        upper_nm: where it falls below that again.
        steepness: p of its edges.
    """

    channel: str
    lower_nm: float
    upper_nm: float
    steepness: float

    def response(self, wavelengths_nm: np.ndarray) -> np.ndarray:
        """(n,) with a maximum of 1 at the centre."""
        off = np.abs(wavelengths_nm - (self.lower_nm + self.upper_nm) / 2)
        return np.exp(-np.log(2.0) * (2 * off / (self.upper_nm - self.lower_nm)) ** self.steepness)


def sensor_names() -> list[str]:
    """The sensors that have a name."""
    return list(TITLES)


def sensor_bands(name: str) -> tuple[SensorBand, ...]:
    """The bands of a sensor, in the order of its specification.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
    """
    checks.require_choice("sensor", name, TITLES)
    return _all_bands()[name]


def sensor_table(name: str) -> ResponseTable:
    """The response of a sensor, 300 to 2600 nm in steps of 1 nm; arguments and errors as `sensor_bands`.

    Outside of its bands a sensor is blind, so that no band of a cube lies outside this table.
    """
    bands = sensor_bands(name)
    grid = np.arange(FIRST_NM, LAST_NM + STEP_NM / 2, STEP_NM)
    values = np.stack([band.response(grid) for band in bands], 1)
    return ResponseTable(grid, values, tuple(band.channel for band in bands), name)


@lru_cache
def _all_bands() -> dict[str, tuple[SensorBand, ...]]:
    text = (resources.files("hsr_tf.physics") / "responses" / "sensors.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    found: dict[str, tuple[SensorBand, ...]] = {}
    for row in rows:
        edges = (float(row[key]) for key in ("lower_nm", "upper_nm", "steepness"))
        found[row["sensor"]] = (*found.get(row["sensor"], ()), SensorBand(row["channel"], *edges))
    return found
