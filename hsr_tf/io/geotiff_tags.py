"""Metadata of bands in GeoTIFF files, as GDAL keeps them.

Read, the first that is there for every band: the band's own `wavelength` with `wavelength_units` (as GDAL's
ENVI driver and the EnMAP-Box write), `CENTRAL_WAVELENGTH_UM` and `FWHM_UM` of its IMAGERY domain, and lists
over all bands in the file's metadata, plain or in the ENVI domain (`wavelength`, `fwhm`, `bbl`, in braces or
not). Written: the first two (the second is in micrometres and rounded to a picometre), `bbl` per band, and a
record of what GDAL has no field for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hsr_tf.io.account import Account
from hsr_tf.io.geotiff_model import written_model
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.nanometres import Listing, spectral_lists, unit_in_name
from hsr_tf.io.own_record import record_to_text

RECORD = "HSR_RECORD"
WAVELENGTH_KEYS = ("wavelength", "wavelengths", "center_wavelength", "central_wavelength", "wavelength_nm")
WIDTH_KEYS = ("fwhm", "bandwidth", "fwhm_nm")
UNIT_KEYS = ("wavelength_units", "wavelength units", "wavelength_unit", "units")
BAD_KEYS = ("bbl", "bad_band_multiplier")
OF_THE_BANDS = {*WAVELENGTH_KEYS, *WIDTH_KEYS, *UNIT_KEYS, *BAD_KEYS, RECORD.lower(), "area_or_point"}
BAND_LABEL = re.compile(r"band_\d+")
Tags = Mapping[str, str]


def band_facts(dataset: Any, bands: Sequence[int], account: Account) -> dict[str, Any]:
    """Return what an open rasterio data set says of these bands (from 1), as arguments of a header."""
    own, imagery = ([_lower(dataset.tags(band, ns=name)) for band in bands] for name in (None, "IMAGERY"))
    whole = [_lower(dataset.tags(ns=name)) for name in (None, "ENVI")]
    units = {_first(tags, UNIT_KEYS) for tags in own}

    def lists(keys: tuple[str, ...], in_micrometres: str) -> Iterator[Listing]:
        name = f"{keys[0]} of the bands"
        if len(units) == 1:
            yield Listing(name, _column(own, keys, account), _unit(own[0], keys))
        elif _column(own, keys, account) is not None:
            account.leave(name, "in several units")
        yield Listing(in_micrometres, _column(imagery, (in_micrometres,), account), "um")
        for tags in whole:
            found = next((key for key in keys if key in tags), keys[0])
            yield Listing(found, _words(_first(tags, keys)), _unit(tags, keys))

    wavelengths, widths = spectral_lists(
        lists(WAVELENGTH_KEYS, "central_wavelength_um"),
        lists(WIDTH_KEYS, "fwhm_um"),
        len(bands),
        account,
    )
    good = (_column(own, BAD_KEYS, account), *(_words(_first(tags, BAD_KEYS)) for tags in whole))
    found = (account.flags("bbl", one, len(bands)) for one in good)
    names = tuple(dataset.descriptions[band - 1] or "" for band in bands)
    if any(names):
        account.use("descriptions of the bands")
    return {
        "wavelengths_nm": wavelengths,
        "fwhm_nm": widths,
        "good_bands": next((one for one in found if one is not None), None),
        "band_names": names if any(names) else None,
    }


def free_tags(dataset: Any) -> dict[str, str]:
    """Return the metadata of the file that are about no single band."""
    kept = {name: text for name, text in dataset.tags().items() if name.lower() not in OF_THE_BANDS}
    return {name: text for name, text in kept.items() if not BAND_LABEL.fullmatch(name.lower())}


def write_tags(dataset: Any, header: CubeHeader) -> None:
    """Write the metadata of a new file and of its bands."""
    has_field = written_model(header) == header.sensor_model
    kept = replace(header, sensor_model=None) if has_field else header
    dataset.update_tags(**{RECORD: record_to_text(kept)})
    for index in range(header.shape[2]):
        own: dict[str, str] = {}
        imagery: dict[str, str] = {}
        for name, values in (("wavelength", header.wavelengths_nm), ("fwhm", header.fwhm_nm)):
            if values is not None:
                own |= {name: repr(float(values[index])), "wavelength_units": "Nanometers"}
                domain_name = {"wavelength": "CENTRAL_WAVELENGTH_UM", "fwhm": "FWHM_UM"}[name]
                imagery[domain_name] = f"{float(values[index]) / 1000:.6f}"
        if header.good_bands is not None:
            own["bbl"] = str(int(header.good_bands[index]))
        if own:
            dataset.update_tags(index + 1, **own)
        if imagery:
            dataset.update_tags(index + 1, ns="IMAGERY", **imagery)
    if header.band_names is not None:
        dataset.descriptions = tuple(header.band_names)


def _lower(tags: Tags) -> dict[str, str]:
    return {name.lower(): text for name, text in tags.items()}


def _first(tags: Tags, keys: tuple[str, ...]) -> str | None:
    return next((tags[key] for key in keys if key in tags), None)


def _unit(tags: Tags, keys: tuple[str, ...]) -> str | None:
    return unit_in_name(next((key for key in keys if key in tags), ""), _first(tags, UNIT_KEYS))


def _column(bands: list[dict[str, str]], keys: tuple[str, ...], account: Account) -> list[str] | None:
    """Return the value of each band; None if one has none."""
    found = [text for tags in bands if (text := _first(tags, keys)) is not None]
    if 0 < len(found) < len(bands):
        account.leave(f"{keys[0]} of the bands", f"{len(found)} values where {len(bands)} are needed")
    return found if len(found) == len(bands) else None


def _words(text: str | None) -> list[str] | None:
    """Return a list over all bands that is one text."""
    return None if text is None else [word for word in re.split(r"[,\s{}]+", text[:1_000_000]) if word]
