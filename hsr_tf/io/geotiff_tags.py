"""What GeoTIFF files tell of their bands in GDAL's metadata, and how it is written.

Read, the first that is there for every band: the band's own `wavelength` with `wavelength_units` (as GDAL's
ENVI driver and the EnMAP-Box write), `CENTRAL_WAVELENGTH_UM` and `FWHM_UM` of its IMAGERY domain, and lists
over all bands in the file's metadata, plain or in the ENVI domain (`wavelength`, `fwhm`, `bbl`, in braces or
not). Written: the first two (the second is in micrometres and rounded to a picometre), `bbl` a band, and a
record of what GDAL has no field for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.io.nanometres import flags, nanometres
from hsr_tf.io.own_record import record_to_text
from hsr_tf.io.stream import CubeHeader

RECORD = "HSR_RECORD"
WAVELENGTH_KEYS = ("wavelength", "wavelengths", "center_wavelength", "central_wavelength", "wavelength_nm")
WIDTH_KEYS = ("fwhm", "bandwidth", "fwhm_nm")
UNIT_KEYS = ("wavelength_units", "wavelength units", "wavelength_unit", "units")
BAD_KEYS = ("bbl", "bad_band_multiplier")
OF_THE_BANDS = {*WAVELENGTH_KEYS, *WIDTH_KEYS, *UNIT_KEYS, *BAD_KEYS, RECORD.lower(), "area_or_point"}
BAND_LABEL = re.compile(r"band_\d+")
Tags = Mapping[str, str]


@dataclass(frozen=True)
class BandTags:
    """What the tags tell of the bands; None where they do not."""

    wavelengths_nm: NDArray[np.float64] | None
    fwhm_nm: NDArray[np.float64] | None
    good_bands: NDArray[np.bool_] | None


def band_tags(dataset: Any) -> BandTags:
    """Wavelengths, widths and the bad-band list of an open rasterio data set."""
    count = dataset.count
    bands = [_lower(dataset.tags(band)) for band in range(1, count + 1)]
    imagery = [_lower(dataset.tags(band, ns="IMAGERY")) for band in range(1, count + 1)]
    whole = [_lower(dataset.tags()), _lower(dataset.tags(ns="ENVI"))]
    centres = _lengths(bands, WAVELENGTH_KEYS, count)
    if centres is None:
        centres = nanometres(_column(imagery, ("central_wavelength_um",)), "um", count)
    widths = _lengths(bands, WIDTH_KEYS, count)
    if widths is None:
        widths = nanometres(_column(imagery, ("fwhm_um",)), "um", count)
    for tags in whole:
        units = _first(tags, UNIT_KEYS)
        centres = _or(centres, lambda t=tags, u=units: _listed_lengths(t, WAVELENGTH_KEYS, u, count))
        widths = _or(widths, lambda t=tags, u=units: _listed_lengths(t, WIDTH_KEYS, u, count))
    good = flags(_column(bands, BAD_KEYS), count)
    for tags in whole:
        good = _or(good, lambda t=tags: flags(_words(_first(t, BAD_KEYS)), count))
    return BandTags(centres, widths, good)


def free_tags(dataset: Any) -> dict[str, str]:
    """The file's metadata that are about no single band."""
    kept = {name: text for name, text in dataset.tags().items() if name.lower() not in OF_THE_BANDS}
    return {name: text for name, text in kept.items() if not BAND_LABEL.fullmatch(name.lower())}


def written_tags(header: CubeHeader) -> dict[str, str]:
    """The file's metadata."""
    return {RECORD: record_to_text(header)}


def written_band_tags(header: CubeHeader) -> Iterator[tuple[int, dict[str, str], dict[str, str]]]:
    """For each band its number from 1, its own metadata, and those of its IMAGERY domain."""
    for index in range(header.shape[2]):
        own: dict[str, str] = {}
        imagery: dict[str, str] = {}
        if header.wavelengths_nm is not None:
            own |= {"wavelength": repr(float(header.wavelengths_nm[index])), "wavelength_units": "Nanometers"}
            imagery["CENTRAL_WAVELENGTH_UM"] = f"{float(header.wavelengths_nm[index]) / 1000:.6f}"
        if header.fwhm_nm is not None:
            own["fwhm"] = repr(float(header.fwhm_nm[index]))
            own["wavelength_units"] = "Nanometers"
            imagery["FWHM_UM"] = f"{float(header.fwhm_nm[index]) / 1000:.6f}"
        if header.good_bands is not None:
            own["bbl"] = str(int(header.good_bands[index]))
        yield index + 1, own, imagery


def _or(found: Any, other: Any) -> Any:
    return other() if found is None else found


def _lower(tags: Tags) -> dict[str, str]:
    return {name.lower(): text for name, text in tags.items()}


def _first(tags: Tags, keys: tuple[str, ...]) -> str | None:
    return next((tags[key] for key in keys if key in tags), None)


def _column(bands: list[dict[str, str]], keys: tuple[str, ...]) -> list[str] | None:
    found = [_first(tags, keys) for tags in bands]
    return [text for text in found if text is not None] if all(text is not None for text in found) else None


def _lengths(bands: list[dict[str, str]], keys: tuple[str, ...], count: int) -> NDArray[np.float64] | None:
    texts = _column(bands, keys)
    if texts is None:
        return None
    units = {_first(tags, UNIT_KEYS) for tags in bands}
    return nanometres(texts, next(iter(units)), count) if len(units) == 1 else None


def _words(text: str | None) -> list[str] | None:
    return None if text is None else [word for word in re.split(r"[,\s{}]+", text[:1_000_000]) if word]


def _listed_lengths(
    tags: Tags, keys: tuple[str, ...], units: str | None, count: int
) -> NDArray[np.float64] | None:
    words = _words(_first(tags, keys))
    return None if words is None else nanometres(words, units, count)
