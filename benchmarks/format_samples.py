"""Files that other programs write and read, one field at a time, for `benchmarks.format_fields`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
from numpy.typing import NDArray
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC

from hsr_tf.typing import Array

FIELDS = (
    "values", "scale", "wavelengths", "units", "fwhm", "names", "good_bands", "nodata", "mask", "alpha",
    "orientation", "grid", "crs", "gcp", "rpc",
)  # fmt: skip
SUFFIXES = {
    "HDF5": ".h5",
    "ENVI": ".img",
    "GeoTIFF": ".tif",
    "NetCDF": ".nc",
    "Zarr": ".zarr",
    "MATLAB": ".mat",
    ".npz": ".npz",
    "PNG": ".png",
    "JPEG": ".jpg",
    "folder of PNG": "",
}
Writer = Callable[[Path], Path]
Check = Callable[[Path], bool]


@dataclass(frozen=True, eq=False)
class Sample:
    """A cube of 5 x 6 pixels and 4 bands, and all that can be known of it."""

    cube: NDArray[Any]
    wavelengths_nm: Array
    fwhm_nm: Array
    band_names: tuple[str, ...] = ("blue", "green", "red", "nir")
    good_bands: tuple[bool, ...] = (True, False, True, True)
    nodata: int = 7
    gain: float = 0.0001
    offset: float = 0.02
    transform: tuple[float, float, float, float, float, float] = (2.0, 0.0, 300_000.0, 0.0, -2.0, 5_900_000.0)
    crs: str = "EPSG:32633"

    @property
    def hole(self) -> Any:
        """(5, 6), True where there is no data."""
        mask = np.zeros(self.cube.shape[:2], bool)
        mask[1, 2] = True
        return mask

    def cube_of(self, num_bands: int) -> Any:
        """The bands of a file: all, or the first of a picture."""
        return self.cube[..., :num_bands]

    def scaled_of(self, num_bands: int) -> Any:
        """Their values."""
        return self.gain * self.cube_of(num_bands) + self.offset


def _sample() -> Sample:
    cube = np.random.default_rng(0).integers(100, 9000, (5, 6, 4)).astype(np.uint16)
    cube[1, 2] = 7
    return Sample(cube, np.array([480.0, 560.0, 660.0, 850.0]), np.array([65.0, 35.0, 30.0, 105.0]))


SAMPLE = _sample()
UPRIGHT = np.linspace(0, 1, 30).reshape(6, 5)  # a ramp, which is stored rotated
FIRST = np.ascontiguousarray(np.moveaxis(SAMPLE.cube, -1, 0))


def polynomials() -> RPC:
    """Return coefficients of a view from above."""
    constant, line = [1.0] + [0.0] * 19, [0.0, 0.0, -1.0] + [0.0] * 17
    sample = [0.0, 1.0] + [0.0] * 18
    return RPC(100.0, 500.0, 46.0, 0.1, constant, line, 2.5, 2.5, 2.0, 0.1, constant, sample, 3.0, 3.0)


def _envi(folder: Path, fields: dict[str, Any] | None = None) -> Path:
    spectral.io.envi.save_image(str(folder / "a.hdr"), SAMPLE.cube, ext=".img", metadata=fields or {})
    return folder / "a.hdr"


def _geotiff(folder: Path, *, tags: tuple[dict[str, str], ...] = (), **profile: Any) -> Path:
    size = {"count": 4, "height": 5, "width": 6, "dtype": "uint16"}
    extra = {
        name: profile.pop(name) for name in ("scales", "offsets", "descriptions", "mask") if name in profile
    }
    options = {**size, **profile}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(folder / "a.tif", "w", driver="GTiff", **options) as file,
    ):
        file.write(FIRST)
        for index, one in enumerate(tags, start=1):
            file.update_tags(index, **one)
        if "mask" in extra:
            file.write_mask(extra.pop("mask"))
        for name, value in extra.items():
            setattr(file, name, value)
    return folder / "a.tif"


def _tags(name: str, values: Any, **more: str) -> tuple[dict[str, str], ...]:
    return tuple({name: str(value), **more} for value in values)


def _xarray(folder: Path, suffix: str, *, attributes: dict[str, Any] | None = None, **variables: Any) -> Path:
    cube = (("band", "y", "x"), FIRST, attributes or {})
    coordinates = {name: variables.pop(name) for name in ("x", "y") if name in variables}
    data = xarray.Dataset({"cube": cube, **variables}, coords=coordinates)
    path = folder / f"a{suffix}"
    if suffix == ".nc":
        data.to_netcdf(path, engine="h5netcdf")
    else:
        data.to_zarr(path, zarr_format=3, consolidated=False)
    return path


def _hdf5(folder: Path, *, attributes: dict[str, Any] | None = None, **arrays: Any) -> Path:
    with h5py.File(folder / "a.h5", "w") as file:
        file["data"] = FIRST
        file["data"].attrs["interleave"] = "bsq"
        file["data"].attrs.update(attributes or {})
        for name, values in arrays.items():
            file[name] = values[0] if isinstance(values, tuple) else values
            if isinstance(values, tuple):
                file[name].attrs["units"] = values[1]
    return folder / "a.h5"


def _mat(folder: Path, **arrays: Any) -> Path:
    scipy.io.savemat(folder / "a.mat", {"cube": SAMPLE.cube, **arrays})
    return folder / "a.mat"


def _npz(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "a.npz", cube=SAMPLE.cube, **arrays)
    return folder / "a.npz"


def _picture(folder: Path, suffix: str, values: Any, **more: Any) -> Path:
    Image.fromarray(values).save(folder / f"a{suffix}", **more)
    return folder / f"a{suffix}"


def _turned(folder: Path, suffix: str) -> Path:
    """A ramp stored as orientation 6 says: the first row is the right side of the upright picture."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.rint(np.rot90(UPRIGHT) * 255).astype(np.uint8)
    return _picture(folder, suffix, np.dstack([stored] * 3), exif=exif, quality=100, subsampling=0)


def _with_alpha(folder: Path, suffix: str) -> Path:
    values = np.dstack([(SAMPLE.cube[..., :3] >> 6).astype(np.uint8), np.where(SAMPLE.hole, 0, 255)])
    return _picture(folder, suffix, values.astype(np.uint8))


def _band_folder(folder: Path, *, listed: bool = False) -> Path:
    (folder / "bands").mkdir()
    for index, band in enumerate(FIRST):
        Image.fromarray(band).save(folder / "bands" / f"b{index}.png")
    if listed:
        np.savetxt(folder / "bands" / "wavelength_nm.txt", SAMPLE.wavelengths_nm)
    return folder / "bands"


def ground_points() -> list[GroundControlPoint]:
    """Return a point at each corner."""
    return [GroundControlPoint(row, col, 10.0 + col, 50.0 - row) for row in (0, 5) for col in (0, 6)]


_UM = [str(value / 1000) for value in SAMPLE.wavelengths_nm]
_NM = [str(value) for value in SAMPLE.wavelengths_nm]
_WIDTHS = [str(value) for value in SAMPLE.fwhm_nm]
FLAGS = [int(good) for good in SAMPLE.good_bands]
_MAP = ["UTM", "1", "1", "300000", "5900000", "2", "2", "33", "North", "WGS-84", "units=Meters"]
_AFFINE = rasterio.Affine(*SAMPLE.transform)
X, Y = 300_001.0 + 2 * np.arange(6), 5_899_999.0 - 2 * np.arange(5)
_WKT = rasterio.crs.CRS.from_string(SAMPLE.crs).to_wkt()
_SPATIAL = ((), np.int32(0), {"crs_wkt": _WKT})
_GRAY8 = (SAMPLE.cube[..., 0] >> 6).astype(np.uint8)
_ATTRIBUTES: dict[str, Any] = {"scale_factor": SAMPLE.gain, "add_offset": SAMPLE.offset}


def _cf(suffix: str) -> dict[str, Writer]:
    write = partial(_xarray, suffix=suffix)
    band = ("band", SAMPLE.wavelengths_nm)
    return {
        "values": write,
        "scale": partial(write, attributes=_ATTRIBUTES),
        "wavelengths": partial(write, wavelength=(*band, {"units": "nm"})),
        "units": partial(write, wavelength=("band", SAMPLE.wavelengths_nm / 1000, {"units": "um"})),
        "fwhm": partial(write, wavelength=(*band, {"units": "nm"}), fwhm=("band", SAMPLE.fwhm_nm)),
        "names": partial(write, band_name=("band", np.array(SAMPLE.band_names, dtype=object))),
        "good_bands": partial(write, good_band=("band", np.array(FLAGS))),
        "nodata": partial(write, attributes={"_FillValue": np.uint16(SAMPLE.nodata)}),
        "mask": partial(write, nodata_mask=(("y", "x"), SAMPLE.hole.astype(np.uint8))),
        "grid": partial(write, x=("x", X), y=("y", Y)),
        "crs": partial(
            write, x=("x", X), y=("y", Y), spatial_ref=_SPATIAL, attributes={"grid_mapping": "spatial_ref"}
        ),
    }


def _arrays(write: Callable[..., Path]) -> dict[str, Writer]:
    grid = np.array(SAMPLE.transform)
    return {
        "values": write,
        "scale": partial(write, gain=np.full(4, SAMPLE.gain), offset=np.full(4, SAMPLE.offset)),
        "wavelengths": partial(write, wavelength_nm=SAMPLE.wavelengths_nm),
        "fwhm": partial(write, fwhm_nm=SAMPLE.fwhm_nm),
        "names": partial(write, band_names=np.array(SAMPLE.band_names)),
        "good_bands": partial(write, good_bands=np.array(FLAGS)),
        "nodata": partial(write, nodata=float(SAMPLE.nodata)),
        "mask": partial(write, nodata_mask=SAMPLE.hole.astype(np.uint8)),
        "grid": partial(write, transform=grid),
        "crs": partial(write, transform=grid, crs_wkt=_WKT),
        "units": partial(write, wavelengths=SAMPLE.wavelengths_nm / 1000),
    }


FOREIGN: dict[str, dict[str, Writer]] = {
    "HDF5": {
        "values": _hdf5,
        "scale": partial(_hdf5, attributes=_ATTRIBUTES),
        "wavelengths": partial(_hdf5, wavelength=(SAMPLE.wavelengths_nm, "nm")),
        "units": partial(_hdf5, wavelength=(SAMPLE.wavelengths_nm / 1000, "micrometers")),
        "fwhm": partial(_hdf5, wavelength=(SAMPLE.wavelengths_nm, "nm"), fwhm=SAMPLE.fwhm_nm),
        "names": partial(_hdf5, band_names=list(SAMPLE.band_names)),
        "good_bands": partial(_hdf5, good_bands=np.array(FLAGS)),
        "nodata": partial(_hdf5, attributes={"_FillValue": SAMPLE.nodata}),
        "mask": partial(_hdf5, nodata_mask=SAMPLE.hole.astype(np.uint8)),
        "grid": partial(_hdf5, Map_Info=", ".join(_MAP)),
        "crs": partial(_hdf5, Map_Info=", ".join(_MAP)),
    },
    "ENVI": {
        "values": _envi,
        "scale": partial(
            _envi, fields={"data gain values": [SAMPLE.gain] * 4, "data offset values": [SAMPLE.offset] * 4}
        ),
        "wavelengths": partial(_envi, fields={"wavelength": _NM, "wavelength units": "nm"}),
        "units": partial(_envi, fields={"wavelength": _UM, "wavelength units": "Micrometers"}),
        "fwhm": partial(_envi, fields={"wavelength": _NM, "fwhm": _WIDTHS}),
        "names": partial(_envi, fields={"band names": list(SAMPLE.band_names)}),
        "good_bands": partial(_envi, fields={"bbl": FLAGS}),
        "nodata": partial(_envi, fields={"data ignore value": SAMPLE.nodata}),
        "grid": partial(_envi, fields={"map info": _MAP}),
        "crs": partial(_envi, fields={"map info": _MAP}),
        "gcp": partial(_envi, fields={"geo points": ["0", "0", "50", "10"]}),
        "rpc": partial(_envi, fields={"rpc info": ["1"] * 90}),
    },
    "GeoTIFF": {
        "values": partial(_geotiff, transform=_AFFINE),
        "scale": partial(_geotiff, transform=_AFFINE, scales=[SAMPLE.gain] * 4, offsets=[SAMPLE.offset] * 4),
        "wavelengths": partial(_geotiff, tags=_tags("wavelength", _NM, wavelength_units="nm")),
        "units": partial(_geotiff, tags=_tags("wavelength", _UM, wavelength_units="Micrometers")),
        "fwhm": partial(
            _geotiff,
            tags=tuple(
                {"wavelength": centre, "fwhm": width, "wavelength_units": "nm"}
                for centre, width in zip(_NM, _WIDTHS, strict=True)
            ),
        ),
        "names": partial(_geotiff, transform=_AFFINE, descriptions=SAMPLE.band_names),
        "good_bands": partial(_geotiff, tags=_tags("bbl", FLAGS)),
        "nodata": partial(_geotiff, nodata=SAMPLE.nodata),
        "mask": partial(_geotiff, transform=_AFFINE, mask=~SAMPLE.hole),
        "alpha": partial(_with_alpha, suffix=".tif"),
        "orientation": partial(_turned, suffix=".tif"),
        "grid": partial(_geotiff, transform=_AFFINE),
        "crs": partial(_geotiff, transform=_AFFINE, crs=SAMPLE.crs),
        "gcp": partial(_geotiff, gcps=ground_points(), crs="EPSG:4326"),
        "rpc": partial(_geotiff, rpcs=polynomials()),
    },
    "NetCDF": _cf(".nc"),
    "Zarr": _cf(".zarr"),
    "MATLAB": _arrays(_mat),
    ".npz": _arrays(_npz),
    "PNG": {
        "values": partial(_picture, suffix=".png", values=SAMPLE.cube[..., 0]),
        "alpha": partial(_with_alpha, suffix=".png"),
        "orientation": partial(_turned, suffix=".png"),
    },
    "JPEG": {"orientation": partial(_turned, suffix=".jpg")},
    "folder of PNG": {"values": _band_folder, "wavelengths": partial(_band_folder, listed=True)},
}
