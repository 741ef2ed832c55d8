"""Gain and offset of the bands of Sentinel-2 and Landsat, from the metadata beside them.

See `hsr_tf.io.satellite_folder` for the products.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsr_tf.findings import WARNING
from hsr_tf.io.account import Account
from hsr_tf.io.dlr_products import parsed_xml
from hsr_tf.io.nanometres import number_or_nan

SENTINEL_METADATA = ("MTD_MSIL2A.xml", "MTD_MSIL1C.xml")
BAND_IDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
QUANTIFICATION, OFFSET_SINCE_BASELINE_4, BASELINE_4 = 10_000.0, -1000.0, 400
SURFACE, TOP = "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS", "LEVEL1_RADIOMETRIC_RESCALING"
FALLBACK_GAIN, FALLBACK_OFFSET = 2.75e-5, -0.2
LONGEST_TEXT = 2**20


@dataclass(frozen=True, eq=False)
class BandScale:
    """(C,) gain and offset of value = gain * stored + offset; None where nothing is known."""

    gain: NDArray[np.float64] | None
    offset: NDArray[np.float64] | float = 0.0


def sentinel_scale(folder: Path, files: Sequence[Path], names: Sequence[str], account: Account) -> BandScale:
    """Return the scale of bands of Sentinel-2; without metadata that of the processing baseline in the name.

    Args:
        folder: of the scene.
        files: of its bands.
        names: of the bands to read.
        account: takes down where the scale comes from.
    """
    places = [folder, *folder.resolve().parents[:5]]
    metadata = next((p / n for p in places for n in SENTINEL_METADATA if (p / n).is_file()), None)
    if metadata is None:
        text = f"{folder.resolve()} {files[0].name}"
        found = re.search(r"_N(\d{4})_", text)
        shift = OFFSET_SINCE_BASELINE_4 if found and int(found[1]) >= BASELINE_4 else 0.0
        known = (
            f"that of baseline {found[1]} in the name" if found else "0, which is wrong since baseline 04.00"
        )
        account.take(
            f"no {' or '.join(SENTINEL_METADATA)} is beside the bands: read as (value + offset) / 10000, the "
            f"offset {shift:g} is {known}",
            "put the metadata into the folder",
            severity=WARNING,
        )
        return _scaled(QUANTIFICATION, dict.fromkeys(names, shift), names)
    root = parsed_xml(metadata)
    account.use(metadata.name)
    factors = (root.findtext(f".//{name}") for name in ("BOA_QUANTIFICATION_VALUE", "QUANTIFICATION_VALUE"))
    factor = next((v for text in factors if (v := number_or_nan(text)) is not None and v > 0), None)
    if factor is None:
        account.leave("QUANTIFICATION_VALUE", f"is missing or no number; {QUANTIFICATION:g} is taken")
    shifts = dict.fromkeys(names, 0.0)
    for one in [*root.iter("BOA_ADD_OFFSET"), *root.iter("RADIO_ADD_OFFSET")]:
        index, value = one.get("band_id", ""), number_or_nan(one.text)
        if index.isdigit() and int(index) < len(BAND_IDS) and value is not None:
            shifts[BAND_IDS[int(index)]] = value
    return _scaled(factor or QUANTIFICATION, shifts, names)


def landsat_scale(folder: Path, files: Sequence[Path], names: Sequence[str], account: Account) -> BandScale:
    """Return the scale of bands of Landsat; arguments as in `sentinel_scale`."""
    is_surface = any("_SR_B" in one.name.upper() for one in files)
    metadata = next(iter(sorted(folder.glob("*_MTL.txt"))), None)
    section = SURFACE if is_surface else TOP
    if metadata is None:
        said = "no ..._MTL.txt is beside the bands"
        if not is_surface:
            account.take(f"{said}, their scale is unknown", "put it into the folder", severity=WARNING)
            return BandScale(None)
        said = f"{said}: read as {FALLBACK_GAIN:g} value {FALLBACK_OFFSET:+g}, as collection 2 has it"
        account.take(said, "put it into the folder", severity=WARNING)
        return BandScale(np.full(len(names), FALLBACK_GAIN), np.full(len(names), FALLBACK_OFFSET))
    with open(metadata, encoding="latin-1") as file:
        text = file.read(LONGEST_TEXT)
    inner = re.search(rf"GROUP = {section}\b(.*?)END_GROUP = {section}\b", text, re.DOTALL)
    values = dict(re.findall(r"(\w+) = (\S+)", inner[1] if inner else text))
    gains, offsets = (
        [number_or_nan(values.get(f"REFLECTANCE_{kind}_BAND_{name.removeprefix('B')}")) for name in names]
        for kind in ("MULT", "ADD")
    )
    if any(value is None for value in (*gains, *offsets)):
        account.leave(metadata.name, f"has no REFLECTANCE_MULT_BAND and _ADD_BAND for {', '.join(names)}")
        return BandScale(None)
    account.use(metadata.name)
    return BandScale(np.array(gains, np.float64), np.array(offsets, np.float64))


def _scaled(factor: float, shifts: dict[str, float], names: Sequence[str]) -> BandScale:
    return BandScale(
        np.full(len(names), 1 / factor), np.array([shifts.get(name, 0.0) / factor for name in names])
    )
