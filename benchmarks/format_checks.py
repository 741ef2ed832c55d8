"""How other programs tell whether a field is in a file written here, for `benchmarks.format_fields`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import rasterio
import scipy.io
import spectral
import spectral.io.envi
import xarray
from PIL import Image

from benchmarks.format_samples import (
    FIELDS,
    FIRST,
    FLAGS,
    SAMPLE,
    X,
    Y,
    ground_points,
    polynomials,
)

Check = Callable[[Path], bool]


def own_readers(name: str) -> dict[str, Check]:
    """Return, for a format, how another program tells whether a field is in a file that was written here."""
    checks: dict[str, Callable[..., bool]] = {
        "HDF5": _in_hdf5,
        "ENVI": _in_envi,
        "GeoTIFF": _in_geotiff,
        "NetCDF": partial(_in_xarray, engine="h5netcdf"),
        "Zarr": partial(_in_xarray, engine="zarr"),
        "MATLAB": lambda path, field: _in_arrays(scipy.io.loadmat(path), field),
        ".npz": lambda path, field: _in_arrays(np.load(path), field),
        "PNG": _in_picture,
        "folder of PNG": _in_folder,
    }
    check = checks.get(name)
    return {} if check is None else {field: partial(check, field=field) for field in FIELDS}


def _answer(answers: dict[str, Callable[[], bool]], field: str) -> bool:
    return field in answers and answers[field]()


def _same(found: Any, expected: Any) -> bool:
    values = np.asarray(found)
    return values.size == np.size(expected) and bool(
        np.allclose(values.ravel(), np.ravel(expected), rtol=1e-9)
    )


def _in_hdf5(path: Path, field: str) -> bool:
    with h5py.File(path) as file:
        about, lists = (
            file["cube"].attrs,
            {"wavelengths": "wavelength_nm", "fwhm": "fwhm_nm", "mask": "nodata_mask"},
        )
        expected = {"wavelengths": SAMPLE.wavelengths_nm, "fwhm": SAMPLE.fwhm_nm, "mask": SAMPLE.hole}
        if field in lists:
            return lists[field] in file and _same(file[lists[field]], expected[field])
        return _answer(
            {
                "values": lambda: bool(np.array_equal(file["cube"], FIRST)),
                "scale": lambda: (
                    _same(about["gain"], [SAMPLE.gain] * 4) and _same(about["offset"], [SAMPLE.offset] * 4)
                ),
                "names": lambda: [one.decode() for one in file["band_names"]] == [*SAMPLE.band_names],
                "good_bands": lambda: _same(file["good_bands"], FLAGS),
                "nodata": lambda: _same(about["nodata"], SAMPLE.nodata),
                "grid": lambda: _same(about["transform"], SAMPLE.transform),
                "crs": lambda: "crs_wkt" in about,
            },
            field,
        )


def _in_envi(path: Path, field: str) -> bool:
    image = spectral.io.envi.open(str(path.with_suffix(".hdr")), str(path))
    about = image.metadata
    with rasterio.open(path) as file:
        transform, crs, masks = tuple(file.transform)[:6], file.crs, file.read_masks(1)
    return _answer(
        {
            "values": lambda: bool(np.array_equal(image.load(scale=False), SAMPLE.cube)),
            "scale": lambda: _same(np.array(about["data gain values"], float), [SAMPLE.gain] * 4),
            "wavelengths": lambda: _same(image.bands.centers, SAMPLE.wavelengths_nm),
            "units": lambda: about["wavelength units"] == "Nanometers",
            "fwhm": lambda: _same(image.bands.bandwidths, SAMPLE.fwhm_nm),
            "names": lambda: about["band names"] == [*SAMPLE.band_names],
            "good_bands": lambda: _same(np.array(about["bbl"], int), FLAGS),
            "nodata": lambda: float(about["data ignore value"]) == SAMPLE.nodata,
            "mask": lambda: bool(np.array_equal(masks == 0, SAMPLE.hole)),
            "grid": lambda: _same(transform, SAMPLE.transform),
            "crs": lambda: crs is not None and crs.to_epsg() == 32633,
        },
        field,
    )


def _in_geotiff(path: Path, field: str) -> bool:
    with rasterio.open(path) as file:
        tags = [file.tags(band) for band in (1, 2, 3, 4)]
        return _answer(
            {
                "values": lambda: bool(np.array_equal(file.read(), FIRST)),
                "scale": lambda: (
                    _same(file.scales, [SAMPLE.gain] * 4) and _same(file.offsets, [SAMPLE.offset] * 4)
                ),
                "wavelengths": lambda: _same(
                    [float(one["wavelength"]) for one in tags], SAMPLE.wavelengths_nm
                ),
                "units": lambda: tags[0]["wavelength_units"] == "Nanometers",
                "fwhm": lambda: _same([float(one["fwhm"]) for one in tags], SAMPLE.fwhm_nm),
                "names": lambda: file.descriptions == SAMPLE.band_names,
                "good_bands": lambda: _same([int(one["bbl"]) for one in tags], FLAGS),
                "nodata": lambda: file.nodata == SAMPLE.nodata,
                "mask": lambda: bool(np.array_equal(file.read_masks(1) == 0, SAMPLE.hole)),
                "grid": lambda: _same(tuple(file.transform)[:6], SAMPLE.transform),
                "crs": lambda: file.crs is not None and file.crs.to_epsg() == 32633,
                "gcp": lambda: (
                    [(p.row, p.col, p.x, p.y) for p in file.gcps[0]]
                    == [(p.row, p.col, p.x, p.y) for p in ground_points()]
                ),
                "rpc": lambda: (
                    file.rpcs is not None and polynomials().to_gdal().items() <= file.rpcs.to_gdal().items()
                ),
            },
            field,
        )


def _in_xarray(path: Path, field: str, *, engine: str) -> bool:
    more: dict[str, Any] = {"consolidated": False} if engine == "zarr" else {}
    with xarray.open_dataset(path, engine=engine, decode_cf=False, **more) as data:
        about = data["cube"].attrs
        return _answer(
            {
                "values": lambda: bool(np.array_equal(data["cube"], FIRST)),
                "scale": lambda: (
                    _same(data["gain"], [SAMPLE.gain] * 4) and _same(data["offset"], [SAMPLE.offset] * 4)
                ),
                "wavelengths": lambda: _same(data["wavelength"], SAMPLE.wavelengths_nm),
                "units": lambda: data["wavelength"].attrs["units"] == "nm",
                "fwhm": lambda: _same(data["fwhm"], SAMPLE.fwhm_nm),
                "names": lambda: [str(one) for one in _names(data)] == [*SAMPLE.band_names],
                "good_bands": lambda: _same(data["good_band"], FLAGS),
                "nodata": lambda: float(about["_FillValue"]) == SAMPLE.nodata,
                "mask": lambda: bool(np.array_equal(data["nodata_mask"] != 0, SAMPLE.hole)),
                "grid": lambda: _same(data["x"], X) and _same(data["y"], Y),
                "crs": lambda: "32633" in data["spatial_ref"].attrs["crs_wkt"],
            },
            field,
        )


def _names(data: Any) -> Any:
    return data["band_name"].values if "band_name" in data else data["cube"].attrs["band_names"]


def _in_arrays(held: Any, field: str) -> bool:
    expected: dict[str, tuple[str, Any]] = {
        "values": ("cube", SAMPLE.cube),
        "scale": ("gain", [SAMPLE.gain] * 4),
        "wavelengths": ("wavelength_nm", SAMPLE.wavelengths_nm),
        "fwhm": ("fwhm_nm", SAMPLE.fwhm_nm),
        "good_bands": ("good_bands", FLAGS),
        "nodata": ("nodata", SAMPLE.nodata),
        "mask": ("nodata_mask", SAMPLE.hole),
        "grid": ("transform", SAMPLE.transform),
    }
    if field in expected:
        name, values = expected[field]
        return name in held and _same(held[name], values)
    if field == "names":
        return [str(one).strip() for one in np.ravel(held["band_names"])] == [*SAMPLE.band_names]
    return field == "crs" and "32633" in str(held["crs_wkt"])


def _in_picture(path: Path, field: str) -> bool:
    with Image.open(path) as picture:
        if field in ("mask", "alpha"):
            return picture.mode == "RGBA" and bool(
                np.array_equal(np.asarray(picture)[..., 3] == 0, SAMPLE.hole)
            )
        high = (SAMPLE.cube[..., :3] >> 8).astype(int)  # Pillow keeps the upper 8 of 16 bits
        return field == "values" and bool(np.abs(np.asarray(picture)[..., :3] - high).max() <= 1)


def _in_folder(path: Path, field: str) -> bool:
    if field == "wavelengths":
        return _same(np.loadtxt(path / "wavelength_nm.txt"), SAMPLE.wavelengths_nm[:3])
    files = sorted(path.glob("*.png"))
    return field == "values" and all(
        bool(np.array_equal(np.asarray(Image.open(file)), SAMPLE.cube[..., index]))
        for index, file in enumerate(files)
    )
