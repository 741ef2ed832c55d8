"""Every response that has a name: the project's own, Earth observation sensors, cameras of colour-science.

A name or the path of a CSV file may be followed by the channels to take: `sentinel2a:B02,B03,B04,B08`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

from hsr_tf import checks
from hsr_tf.physics import sensors
from hsr_tf.physics.response_table import ResponseTable, read_response_csv

SHIPPED = {"nikon_d700": "nikon_d700.csv"}


@dataclass(frozen=True)
class ResponseEntry:
    """What a list of the named responses shows.

    Attributes:
        name: to be given as a response.
        title: the sensor or camera.
        channels: names of its channels.
        range_nm: the shortest and longest wavelength that it sees.
        source: where the figures are from.
    """

    name: str
    title: str
    channels: tuple[str, ...]
    range_nm: tuple[float, float]
    source: str


def response_names() -> list[str]:
    """Every response that has a name: shipped ones, sensors, then the cameras of colour-science."""
    return [*SHIPPED, *sensors.sensor_names(), *_colour_cameras()]


def response_entries() -> list[ResponseEntry]:
    """The named responses and what is known of each."""
    return [_entry(name) for name in response_names()]


def find_table(name: str | os.PathLike[str]) -> ResponseTable:
    """The table of a name or file, of all its channels or of those named after a colon.

    Raises:
        OSError: a file that is missing or no response table.
        ValueError: an unknown name or channel; the message lists the known ones.
    """
    text, channels = _split(os.fspath(name))
    table = _whole_table(text)
    return table.only(channels) if channels else table


def _split(text: str) -> tuple[str, tuple[str, ...]]:
    """A name or path, and the channels after its last colon; the path itself may hold colons."""
    head, colon, tail = text.rpartition(":")
    if not colon or os.sep in tail or Path(text).is_file():
        return text, ()
    return head, tuple(part.strip() for part in tail.split(",") if part.strip())


def _whole_table(text: str) -> ResponseTable:
    if text in SHIPPED:
        with resources.as_file(resources.files("hsr_tf.physics") / "responses" / SHIPPED[text]) as path:
            return read_response_csv(path)
    if text in sensors.TITLES:
        return sensors.sensor_table(text)
    if Path(text).suffix or os.sep in text:
        return read_response_csv(text)
    cameras = _colour_cameras()
    checks.require_choice("srf", text, response_names())
    from colour import MSDS_CAMERA_SENSITIVITIES

    table = MSDS_CAMERA_SENSITIVITIES[cameras[text]]
    values = table.values.astype(float)
    return ResponseTable(table.wavelengths.astype(float), values, tuple(table.labels), cameras[text])


def _entry(name: str) -> ResponseEntry:
    table = _whole_table(name)
    if name in sensors.TITLES:
        title, source = sensors.TITLES[name], sensors.SOURCE
    elif name in SHIPPED:
        title, source = "Nikon D700", "table of the hyperspectral-RGB fusion papers"
    else:
        title, source = table.name, "measured, colour-science"
    return ResponseEntry(name, title, table.channels, table.range_nm(), source)


@lru_cache
def _colour_cameras() -> dict[str, str]:
    """Our spelling of each camera name of colour-science, e.g. nikon_5100_npl, and theirs."""
    from colour import MSDS_CAMERA_SENSITIVITIES

    return {
        name.lower().replace(" ", "_").replace("(", "").replace(")", ""): name
        for name in MSDS_CAMERA_SENSITIVITIES
    }
