"""What GeoTIFF files tell of their bands in GDAL's metadata, and how it is written.

Read, the first that is there for every band: the band's own `wavelength` with `wavelength_units` (as GDAL's
ENVI driver and the EnMAP-Box write), `CENTRAL_WAVELENGTH_UM` and `FWHM_UM` of its IMAGERY domain, and lists
over all bands in the file's metadata, plain or in the ENVI domain (`wavelength`, `fwhm`, `bbl`, in braces or
not). Written: the first two (the second is in micrometres and rounded to a picometre), `bbl` a band, and a
record of what GDAL has no field for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.io.header import CubeHeader
from hsr_tf.io.nanometres import flags, spectral_lists, unit_in_name
from hsr_tf.io.own_record import record_to_text

RECORD = "HSR_RECORD"
WAVELENGTH_KEYS = ("wavelength", "wavelengths", "center_wavelength", "central_wavelength", "wavelength_nm")
WIDTH_KEYS = ("fwhm", "bandwidth", "fwhm_nm")
UNIT_KEYS = ("wavelength_units", "wavelength units", "wavelength_unit", "units")
BAD_KEYS = ("bbl", "bad_band_multiplier")
OF_THE_BANDS = {*WAVELENGTH_KEYS, *WIDTH_KEYS, *UNIT_KEYS, *BAD_KEYS, RECORD.lower(), "area_or_point"}
BAND_LABEL = re.compile(r"band_\d+")
Tags = Mapping[str, str]
_List = tuple[list[str], str | None]
_Lists = Callable[[tuple[str, ...]], _List | None]


@dataclass(frozen=True)
class BandTags:
    """What the tags tell of the bands; None where they do not."""

    wavelengths_nm: NDArray[np.float64] | None
    fwhm_nm: NDArray[np.float64] | None
    good_bands: NDArray[np.bool_] | None


def band_tags(dataset: Any, bands: Sequence[int]) -> BandTags:
    """Wavelengths, widths and the bad-band list of these bands (from 1) of an open rasterio data set."""
    count = len(bands)
    own = [_lower(dataset.tags(band)) for band in bands]
    imagery = [_lower(dataset.tags(band, ns="IMAGERY")) for band in bands]
    whole = [_lower(dataset.tags()), _lower(dataset.tags(ns="ENVI"))]
    places: list[_Lists] = [lambda keys: _one_a_band(own, keys), lambda keys: _in_micrometres(imagery, keys)]
    places += [lambda keys, tags=tags: _listed(tags, keys) for tags in whole]  # type: ignore[misc]
    centres, widths = spectral_lists(_found(places, WAVELENGTH_KEYS), _found(places, WIDTH_KEYS), len(bands))
    good = flags(_column(own, BAD_KEYS), count)
    for tags in whole:
        good = flags(_words(_first(tags, BAD_KEYS)), count) if good is None else good
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


def _found(places: list[_Lists], keys: tuple[str, ...]) -> Iterator[_List]:
    return (found for place in places if (found := place(keys)) is not None)


def _lower(tags: Tags) -> dict[str, str]:
    return {name.lower(): text for name, text in tags.items()}


def _first(tags: Tags, keys: tuple[str, ...]) -> str | None:
    return next((tags[key] for key in keys if key in tags), None)


def _column(bands: list[dict[str, str]], keys: tuple[str, ...]) -> list[str] | None:
    found = [_first(tags, keys) for tags in bands]
    return [text for text in found if text is not None] if all(text is not None for text in found) else None


def _one_a_band(bands: list[dict[str, str]], keys: tuple[str, ...]) -> _List | None:
    """A value of each band, with the unit that all bands give."""
    texts, units = _column(bands, keys), {_first(tags, UNIT_KEYS) for tags in bands}
    return (texts, _named_unit(bands[0], keys, next(iter(units)))) if texts and len(units) == 1 else None


def _in_micrometres(bands: list[dict[str, str]], keys: tuple[str, ...]) -> _List | None:
    """A value of each band in the IMAGERY domain of GDAL, which is in micrometres."""
    texts = _column(bands, ("central_wavelength_um" if keys is WAVELENGTH_KEYS else "fwhm_um",))
    return (texts, "um") if texts else None


def _listed(tags: Tags, keys: tuple[str, ...]) -> _List | None:
    """A list over all bands in one text."""
    words = _words(_first(tags, keys))
    return None if words is None else (words, _named_unit(tags, keys, _first(tags, UNIT_KEYS)))


def _named_unit(tags: Tags, keys: tuple[str, ...], units: str | None) -> str | None:
    return unit_in_name(next((key for key in keys if key in tags), ""), units)


def _words(text: str | None) -> list[str] | None:
    return None if text is None else [word for word in re.split(r"[,\s{}]+", text[:1_000_000]) if word]
