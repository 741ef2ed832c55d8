"""What lies beside a cube in files of named arrays (NumPy, MATLAB): one array for each field of its header.

`wavelength_nm`, `fwhm_nm`, `good_bands`, `gain`, `offset` (C,), `band_names` (text), `transform` (six numbers
in the order of rasterio), `crs_wkt`, `nodata`, `white_level`, `nodata_mask` (row, col), `name`, and
`metadata` and `sensor_model` as JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.geo.georeference import Georeference
from hsr_tf.geo.sensor_model import SensorModel
from hsr_tf.io.account import Account
from hsr_tf.io.arrays import (
    WHITE_LEVEL_NAMES,
    axes_guess,
    find_white_level,
    likely_layout,
    metadata_to_text,
)
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.nanometres import Listing, number_or_nan, spectral_lists

WAVELENGTH_NAMES = ("wavelength_nm", "wavelengths_nm", "wavelengths", "wavelength", "bands")
NAMES = (
    *WAVELENGTH_NAMES, *WHITE_LEVEL_NAMES, "fwhm_nm", "good_bands", "gain", "offset", "band_names",
    "transform", "crs_wkt", "sensor_model", "nodata", "nodata_mask", "name", "metadata",
)  # fmt: skip
SHORTEST_NM, AMBIGUOUS = 100, ("bands",)


def companion_arrays(header: CubeHeader) -> dict[str, Any]:
    """Return the arrays to write beside a cube."""
    grid = header.georeference
    found: dict[str, Any] = {
        "name": header.name,
        "metadata": metadata_to_text(header.metadata),
        "wavelength_nm": header.wavelengths_nm,
        "fwhm_nm": header.fwhm_nm,
        "good_bands": _bytes(header.good_bands),
        "band_names": None if header.band_names is None else np.array(header.band_names, dtype=str),
        "transform": None if grid is None else np.array(grid.transform),
        "crs_wkt": None if grid is None else grid.crs,
        "nodata": header.nodata,
        "sensor_model": None if header.sensor_model is None else json.dumps(header.sensor_model.plain()),
        "white_level": None if header.scale else header.white_level,
        "nodata_mask": _bytes(header.nodata_mask),
        **header.scale,
    }
    return {name: value for name, value in found.items() if value is not None}


def stated_layout(held: Mapping[str, Any]) -> str | None:
    """Return the order of the axes that a text `layout` beside the cube states, or None."""
    return _text(held.get("layout")) or None


def companion_layout(shape: tuple[int, ...], held: Mapping[str, Any], default: str, account: Account) -> str:
    """Return the order of the axes of a cube that states none: by its wavelengths, else by its lengths.

    Args:
        shape: of the array, without further axes of length one.
        held: the arrays beside it, by name.
        default: the order of the format.
        account: takes down a guess.
    """
    if len(shape) != 3:
        return default
    counts = {np.size(held[name]) for name in WAVELENGTH_NAMES if name in held}
    axes = [axis for axis, length in enumerate(shape) if length in counts]
    usual = default.split(",").index("band")
    if usual in axes:
        return default
    if len(axes) == 1:
        words = ["row", "col"]
        words.insert(axes[0], "band")
        account.take(f"the bands lie on axis {axes[0] + 1} of {shape}, which is as long as the wavelengths")
        return ",".join(words)
    likely = likely_layout(shape, default)
    if likely != default:
        account.take(*axes_guess(shape, likely))
    return likely


def companion_header(
    path: Path,
    held: Mapping[str, Any],
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    *,
    given: float | None,
    account: Account,
) -> CubeHeader:
    """Return the header of a cube from the arrays beside it; those of another size belong to something else.

    Args:
        path: the file.
        held: the arrays by name.
        shape: (H, W, C).
        dtype: type of the stored values.
        given: the white level that the caller gives.
        account: takes down what was used and what was left.

    Raises:
        OSError: a white level that is no positive number.
    """
    num_bands, grid = shape[2], None
    terms = account.numbers("transform", held.get("transform"), 6)
    if terms is not None:
        with suppress(ValueError):
            grid = Georeference(tuple(terms.tolist()), _text(held.get("crs_wkt")) or None)
    metadata = None
    with suppress(ValueError):
        metadata = json.loads(_text(held.get("metadata")))
    names = np.asarray(held.get("band_names"))
    texts = None if names.dtype.kind != "U" else [str(one) for one in names.ravel()]
    found_names = account.texts("band_names", texts, num_bands)
    gain, offset = (account.numbers(name, held.get(name), num_bands) for name in ("gain", "offset"))
    wavelengths, widths = _spectral(held, num_bands, account)
    mask = held.get("nodata_mask")
    if mask is not None and np.shape(mask) != shape[:2]:
        account.leave("nodata_mask", f"its shape {np.shape(mask)} is not that of the image {shape[:2]}")
        mask = None
    simple = ("name", "metadata", "nodata", "crs_wkt", "sensor_model", *WHITE_LEVEL_NAMES, "nodata_mask")
    account.use(*(name for name in simple if name in held and (name != "nodata_mask" or mask is not None)))
    return CubeHeader(
        shape=shape,
        dtype=dtype,
        name=_text(held.get("name")),
        metadata=metadata if isinstance(metadata, dict) else {},
        wavelengths_nm=wavelengths,
        fwhm_nm=widths,
        # MATLAB pads texts to one length.
        band_names=None if found_names is None else tuple(name.rstrip(" ") for name in found_names),
        good_bands=account.flags("good_bands", held.get("good_bands"), num_bands),
        georeference=grid,
        sensor_model=_sensor_model(held.get("sensor_model")),
        nodata=number_or_nan(held.get("nodata")),
        white_level=find_white_level(path, held, given=given),
        gain=gain,
        offset=0.0 if gain is None or offset is None else offset,
        nodata_mask=mask,
        used=account.used,
        findings=account.findings,
    )


def leave_others(names: Iterable[str], key: str, account: Account) -> None:
    """Take down the arrays that are neither the cube nor known beside it."""
    account.use(key)
    account.leave_all("arrays", sorted(name for name in names if name != key and name not in NAMES))


def _bytes(values: NDArray[Any] | None) -> NDArray[np.uint8] | None:
    return None if values is None else np.asarray(values).astype(np.uint8)


def _spectral(
    held: Mapping[str, Any], num_bands: int, account: Account
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Return wavelengths and widths in nanometres.

    `bands` may hold indices; so may whole numbers below 100 under any name, which are taken for neither.
    Other numbers below 100 are micrometres.
    """
    centres = []
    for name in (name for name in WAVELENGTH_NAMES if name in held):
        values = np.asarray(held[name])
        is_list = values.dtype.kind in "uif" and values.size > 0
        if is_list and bool(np.all(values >= SHORTEST_NM)):
            centres.append(Listing(name, values, "nm"))
        elif name in AMBIGUOUS:
            continue
        elif is_list and not name.endswith("_nm") and bool((values != np.rint(values)).any()):
            centres.append(Listing(name, values, "um"))
            account.take(f"{name} has no unit; values up to {np.max(values):g} are taken as micrometres")
        else:
            account.leave(name, f"holds other than numbers from {SHORTEST_NM}, taken as no nanometres")
    return spectral_lists(centres, [Listing("fwhm_nm", held.get("fwhm_nm"), "nm")], num_bands, account)


def _sensor_model(value: Any) -> SensorModel | None:
    with suppress(ValueError, RecursionError):
        return SensorModel.of(json.loads(_text(value)))
    return None


def _text(value: Any) -> str:
    is_text = value is not None and np.asarray(value).dtype.kind == "U" and np.size(value)
    return str(np.asarray(value).ravel()[0]) if is_text else ""
