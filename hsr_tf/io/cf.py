"""A cube as CF variables, the common form of NetCDF and Zarr: what is written, and what is understood.

Written: `cube` (band, y, x) with `_FillValue`, `scale_factor` and `add_offset` (value = scale_factor * stored
+ add_offset; where they differ from band to band, which CF cannot say, the variables `gain` and `offset`),
`wavelength` and `fwhm` (band) in nm, `band_name`, `good_band`, `nodata_mask` (y, x), the centres of rows and
columns `y` and `x` if the grid is not rotated, and the grid mapping `spatial_ref` with `crs_wkt` and GDAL's
`GeoTransform`. CF conventions 1.11, sections 3, 5.6 and 8.1; the standard name of wavelengths is
radiation_wavelength.
Read: also other names of dimensions and variables, variables in groups (`sensor_band_parameters/wavelengths`
of EMIT), any order of axes, axes of length one beside the three, grids given by `y` and `x` alone; axes of
latitudes and longitudes without a grid mapping are those of EPSG:4326.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.geo.crs import crs_object, readable_crs
from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.account import Account
from hsr_tf.io.arrays import band_reader, choose_key, kept_axes, plain_value
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.nanometres import Listing, number_or_nan, numbers, spectral_lists, unit_in_name
from hsr_tf.io.own_record import OwnRecord, record_from_text, record_to_text
from hsr_tf.io.source import BandSource, ReadRequest, decoded

CUBE, RECORD, GRID = "cube", "hsr_record", "spatial_ref"
CONVENTIONS, STANDARD_NAME = "CF-1.11", "radiation_wavelength"
BAND_DIMS = ("band", "bands", "wavelength", "wavelengths", "channel", "channels", "spectral", "wl")
ROW_DIMS = ("y", "row", "rows", "line", "lines", "lat", "latitude", "northing", "downtrack")
COL_DIMS = (
    "x", "col", "cols", "column", "columns", "sample", "samples", "lon", "longitude", "easting", "crosstrack",
)  # fmt: skip
WAVELENGTH_NAMES = (
    "wavelength", "wavelengths", "wavelength_nm", "wavelengths_nm", "radiation_wavelength", "wl",
)  # fmt: skip
WIDTH_NAMES = ("fwhm", "fwhm_nm", "bandwidth")
GOOD_NAMES = ("good_band", "good_bands", "good_wavelengths", "bbl")
LATITUDES, LONGITUDES = ("lat", "latitude"), ("lon", "longitude")
ON_ITS_GRID = "hsr convert A B --ortho puts it on the grid of its lookup table"
DEGREES = ("degrees_north", "degree_north", "degrees_east", "degree_east")
LATITUDE_LONGITUDE = "EPSG:4326"
OF_THE_CUBE = (
    "_FillValue", "missing_value", "scale_factor", "add_offset", "grid_mapping", "coordinates", "band_names",
)  # fmt: skip
LISTS: dict[str, dict[str, Any]] = {
    "wavelength": {"units": "nm", "standard_name": STANDARD_NAME, "long_name": "centre of the band"},
    "fwhm": {"units": "nm", "long_name": "full width at half maximum of the band"},
    "good_band": {"long_name": "1 for good bands, 0 for those of the bad-band list"},
    "gain": {"long_name": "of value = gain * stored + offset"},
    "offset": {"long_name": "of value = gain * stored + offset"},
}
UTM_SCALE = 0.9996
LONGEST_AXIS = 10_000_000
EVENNESS = 1e-3


@dataclass(frozen=True, eq=False)
class CfVariable:
    """A small variable: its dimensions, values and attributes."""

    dims: tuple[str, ...]
    values: NDArray[Any]
    attributes: Mapping[str, Any]


def global_attributes(header: CubeHeader) -> dict[str, Any]:
    """Return the attributes of the file."""
    return {"Conventions": CONVENTIONS, "title": header.name or "cube", RECORD: record_to_text(header)}


def cube_attributes(header: CubeHeader) -> dict[str, Any]:
    """Return the attributes of the cube, the fill value left out."""
    attributes: dict[str, Any] = {"long_name": "spectral cube", "units": "1"}
    if header.gain is not None and not _varies(header):
        attributes |= {"scale_factor": float(header.gain), "add_offset": float(header.offset)}
    elif header.integer_level is not None:
        attributes |= {"scale_factor": 1 / header.integer_level, "add_offset": 0.0}
    if header.georeference is not None:
        attributes["grid_mapping"] = GRID
    beside = [name for name, one in small_variables(header).items() if one.dims == ("band",)]
    return attributes | ({"coordinates": " ".join(beside)} if beside else {})


def fill_value(header: CubeHeader) -> Any:
    """Return the nodata value in the type of the cube, or None."""
    held, dtype = header.storable_nodata, np.dtype(header.dtype)
    return None if held is None else dtype.type(int(held) if dtype.kind in "ui" else held)


def _varies(header: CubeHeader) -> bool:
    """Return whether gain or offset differ from band to band, which the attributes of CF cannot say."""
    return header.gain is not None and max(np.ndim(header.gain), np.ndim(header.offset)) > 0


def small_variables(header: CubeHeader) -> dict[str, CfVariable]:
    """Return every variable but the cube and the names of the bands."""
    good, mask = header.good_bands, header.nodata_mask
    lists: dict[str, Any] = {
        "wavelength": header.wavelengths_nm,
        "fwhm": header.fwhm_nm,
        "good_band": None if good is None else np.asarray(good).astype(np.int8),
        **(header.scale if _varies(header) else {}),
    }
    found = {
        name: CfVariable(("band",), np.asarray(values), LISTS[name])
        for name, values in lists.items()
        if values is not None
    }
    if mask is not None:
        about = {"long_name": "1 where there is no data"}
        found["nodata_mask"] = CfVariable(("y", "x"), np.asarray(mask).astype(np.uint8), about)
    return found | _grid_variables(header)


def chunk_shape(header: CubeHeader, tile: tuple[int, int]) -> tuple[int, int, int]:
    """(C, rows, columns) of a chunk that holds all bands of a tile."""
    height, width, num_bands = header.shape
    return num_bands, min(height, tile[0]), min(width, tile[1])


@dataclass(frozen=True, eq=False)
class Variables:
    """Undecoded variables of a file, those of groups by their paths, and the attributes of the file."""

    variables: Mapping[str, Any]
    attrs: Mapping[str, Any]

    @classmethod
    def of(cls, datasets: Mapping[str, Any]) -> Variables:
        """Return those of xarray data sets by the path of their group, "" for the file itself."""
        found = {
            f"{group}/{name}" if group else str(name): one
            for group, dataset in datasets.items()
            for name, one in dataset.variables.items()
        }
        return cls(found, dict(datasets[""].attrs))


def cf_source(path: Path, held: Variables, request: ReadRequest, *, format_name: str) -> BandSource:
    """Return the cube of a file as a source of bands.

    Raises:
        OSError: no or several cubes, an unknown key.
        ValueError: a layout that does not name the three axes.
    """
    account = Account(one_of_several=request.key is not None)
    shapes = {n: tuple(map(int, one.shape)) for n, one in held.variables.items() if one.dtype.kind in "uif"}
    shapes = {name: shape for name, shape in shapes.items() if len(shape) > 1}
    key = choose_key(path, shapes, request.key, preferred=(CUBE,))
    cube = held.variables[key]
    dropped = {str(cube.dims[axis]): 0 for axis in set(range(cube.ndim)) - {*kept_axes(cube.shape)}}
    if dropped:
        cube = cube.isel(dropped)
        account.take(f"the axis {', '.join(dropped)} of length one is dropped")
    account.use(key)
    layout = request.layout or _layout(held, cube)
    shape, stored = band_reader(cube, layout)
    record = record_from_text(_text(held.attrs.get(RECORD)))
    about = _About(held, cube, layout, shape, account)
    dtype = np.dtype(cube.dtype).newbyteorder("=")

    def read(bands: slice, rows: slice, cols: slice) -> NDArray[Any]:
        return np.asarray(stored(bands, rows, cols), dtype)

    wavelengths, widths = spectral_lists(
        about.lists(WAVELENGTH_NAMES, STANDARD_NAME), about.lists(WIDTH_NAMES), shape[2], account
    )
    header = CubeHeader(
        shape=shape,
        dtype=dtype,
        wavelengths_nm=wavelengths,
        metadata=about.metadata(record),
        nodata_mask=about.mask(),
        nodata=number_or_nan(cube.attrs.get("_FillValue", cube.attrs.get("missing_value"))),
        fwhm_nm=widths,
        band_names=about.names(),
        good_bands=about.good_bands(),
        georeference=about.grid(),
        **about.scaling(record, dtype),
    )
    about.leave_the_rest(key, {*dropped})
    return BandSource(
        path,
        format_name,
        replace(record.complete(header), used=account.used, findings=account.findings),
        decoded(path, format_name, read),
        chunks=about.chunks(),
        storage=f"axes {', '.join(map(str, cube.dims))}",
    )


@dataclass(frozen=True, eq=False)
class _About:
    """What the variables beside a cube say of it."""

    held: Variables
    cube: Any
    layout: str
    shape: tuple[int, int, int]
    account: Account
    looked_at: set[str] = field(default_factory=set)

    def dim(self, axis: str) -> str | None:
        """Return the name of the dimension that is the band, row or col axis."""
        words = [word.strip().lower() for word in self.layout.split(",")]
        return str(self.cube.dims[words.index(axis)]) if self.cube.ndim == 3 else None

    def find(self, *names: str) -> Iterator[tuple[str, Any]]:
        """Variables of these names, in the file itself first, then in its groups."""
        for name in names:
            for path, one in self.held.variables.items():
                if path == name or path.endswith(f"/{name}"):
                    yield path, one

    def per_band(self, *names: str) -> tuple[str, NDArray[Any]] | None:
        """Return the first variable of these names with one value per band, and its path."""
        for path, one in self.find(*names):
            if tuple(one.dims) == (self.dim("band"),):
                self.looked_at.add(path)
                return path, np.asarray(one.values)
        return None

    def lists(self, names: tuple[str, ...], standard_name: str = "") -> Iterator[Listing]:
        """Variables of such a name or standard name on the band axis, each with its unit."""
        standard = [
            n
            for n, one in self.held.variables.items()
            if standard_name and one.attrs.get("standard_name") == standard_name
        ]
        for path, one in (*((n, self.held.variables[n]) for n in standard), *self.find(*names)):
            if path not in self.looked_at and one.ndim == 1 and one.dtype.kind in "uif":
                self.looked_at.add(path)
                units = unit_in_name(path, _text(one.attrs.get("units")))
                yield Listing(path, np.asarray(one.values), units)

    def metadata(self, record: OwnRecord) -> dict[str, Any]:
        """Return the attributes of the file, and those of the cube that have no field."""
        own = {str(name): plain_value(value) for name, value in self.held.attrs.items()}
        if own.get("title") == (record.info.name or CUBE):
            own.pop("title")
        own = {name: value for name, value in own.items() if name not in (RECORD, "Conventions")}
        beside = {} if RECORD in self.held.attrs else self.cube.attrs
        kept = {str(name): plain_value(value) for name, value in beside.items() if name not in OF_THE_CUBE}
        return {**own, **{name: value for name, value in kept.items() if name not in own}}

    def names(self) -> tuple[str, ...] | None:
        """Return names of the bands from a variable or an attribute."""
        values = self.per_band("band_name", "band_names")
        listed = self.cube.attrs.get("band_names") if values is None else values[1]
        if listed is None or np.ndim(listed) != 1:
            return None
        found = [str(plain_value(name)) for name in listed]
        return self.account.texts("band_names" if values is None else values[0], found, self.shape[2])

    def good_bands(self) -> NDArray[np.bool_] | None:
        """Return the bad-band list as True for good bands."""
        found = self.per_band(*GOOD_NAMES)
        return None if found is None else self.account.flags(*found, self.shape[2])

    def mask(self) -> NDArray[np.bool_] | None:
        """Return the mask, if there is one of the size of the cube."""
        variable = self.held.variables.get("nodata_mask")
        if variable is None or tuple(variable.shape) != self.shape[:2] or variable.dtype.kind not in "buif":
            return None
        self.looked_at.add("nodata_mask")
        self.account.use("nodata_mask")
        return np.asarray(variable.values) != 0

    def scaling(self, record: OwnRecord, dtype: np.dtype[Any]) -> dict[str, Any]:
        """Return white level, or gain and offset."""
        per_band = [self.per_band(name) for name in ("gain", "offset")]
        gains, offsets = (
            None if one is None else self.account.numbers(*one, self.shape[2]) for one in per_band
        )
        if gains is not None:
            return {"gain": gains, "offset": 0.0 if offsets is None else offsets}
        named = ("scale_factor", "add_offset")
        scale, shift = (self.account.numbers(name, self.cube.attrs.get(name), 1) for name in named)
        if scale is None and shift is None:
            return {}
        gain, offset = 1.0 if scale is None else float(scale[0]), 0.0 if shift is None else float(shift[0])
        return record.scaling(gain, offset, dtype)

    def grid(self) -> Georeference | None:
        """Return the transform of the grid mapping, else that of evenly spaced rows and columns."""
        variables = self.held.variables
        name = _text(self.cube.attrs.get("grid_mapping")).split(":")[0].strip()
        name = name if name in variables else GRID
        mapping = variables.get(name)
        attributes = {} if mapping is None else mapping.attrs
        texts = [_text(attributes.get(one)) for one in ("crs_wkt", "spatial_ref")]
        crs = readable_crs(texts[0]) or readable_crs(texts[1])
        if mapping is not None:
            self.looked_at.add(name)
            if crs is None:
                kind = _text(attributes.get("grid_mapping_name")) or "no name"
                self.account.leave(name, f"a grid mapping ({kind}) without a crs_wkt that is understood")
            else:
                self.account.use(name)
        terms = numbers(_text(attributes.get("GeoTransform")).replace(",", " ").split(), 6)
        dims = [self.dim(axis) or "" for axis in ("row", "col")]
        lines, samples = (variables.get(dim) for dim in dims)
        self.looked_at.update(dims)
        try:
            if terms is not None:
                x, a, b, y, d, e = terms.tolist()
                return Georeference((a, b, x, d, e, y), crs)
            rows, cols = (_even_axis(axis) for axis in (lines, samples))
            if rows is None or cols is None:
                return None
            if mapping is None and _are_degrees(dims, lines, samples):
                crs = readable_crs(LATITUDE_LONGITUDE)
                self.account.take(f"the axes are latitudes and longitudes, of {LATITUDE_LONGITUDE}")
            self.account.use(*dims)
            return Georeference((cols[1], 0.0, cols[0], 0.0, rows[1], rows[0]), crs)
        except ValueError:
            return None

    def leave_the_rest(self, key: str, dropped: set[str]) -> None:
        """Take down the variables that nothing was read from."""
        known = {key, *self.looked_at, *dropped, *map(str, self.cube.dims)}
        others = {name: one for name, one in self.held.variables.items() if name not in known}
        places = [n for n, one in others.items() if n.split("/")[-1].lower() in (*LATITUDES, *LONGITUDES)]
        places = [n for n in places if tuple(others[n].shape) == self.shape[:2]]
        if places:
            why = "places of every pixel, no grid is derived from them"
            has_table = any(True for _ in self.find("glt_x"))
            advice = ON_ITS_GRID if has_table else "project the image onto a grid"
            self.account.leave(", ".join(places), why, advice)
        self.account.leave_all("variables", [name for name in others if name not in places])

    def chunks(self) -> tuple[int, int, int] | None:
        """(bands, rows, columns) of a chunk."""
        held = self.cube.encoding.get("preferred_chunks") or self.cube.encoding.get("chunksizes")
        if not held or self.cube.ndim != 3:
            return None
        sizes = held if isinstance(held, Mapping) else dict(zip(self.cube.dims, held, strict=False))
        try:
            return tuple(int(sizes[self.dim(axis)]) for axis in ("band", "row", "col"))  # type: ignore[return-value]
        except KeyError:
            return None


def _are_degrees(dims: list[str], rows: Any, cols: Any) -> bool:
    """Return whether two axes are latitudes and longitudes, by their names, units or standard names."""
    for dim, axis, names in zip(dims, (rows, cols), (LATITUDES, LONGITUDES), strict=True):
        units = _text(axis.attrs.get("units")).strip().lower()
        standard = _text(axis.attrs.get("standard_name")).strip().lower()
        if not (standard in names or units in DEGREES or (dim.lower() in names and not units)):
            return False
    return bool(np.abs(rows.values).max() <= 90 and np.abs(cols.values).max() <= 360)


def _layout(dataset: Variables, cube: Any) -> str:
    """Return the order of the axes by the names of the dimensions, by default band, row, col."""
    if cube.ndim != 3:
        return "band,row,col"
    dims = [str(name) for name in cube.dims]
    spectral = [str(one.dims[0]) for one in dataset.variables.values() if _is_spectral(one)]
    named = [n for n in dataset.variables if n.split("/")[-1].lower() in WAVELENGTH_NAMES]
    spectral += [str(dataset.variables[n].dims[0]) for n in named if dataset.variables[n].ndim == 1]
    axes: list[str | None] = [None, None, None]
    for known, axis in (((*spectral, *BAND_DIMS), "band"), (ROW_DIMS, "row"), (COL_DIMS, "col")):
        place = next((i for name in known for i, dim in enumerate(dims) if dim.lower() == name.lower()), None)
        if place is not None and axes[place] is None:
            axes[place] = axis
    left = [axis for axis in ("band", "row", "col") if axis not in axes]
    return ",".join(axis if axis is not None else left.pop(0) for axis in axes)


def _is_spectral(variable: Any) -> bool:
    return variable.ndim == 1 and variable.attrs.get("standard_name") == STANDARD_NAME


def _even_axis(variable: Any) -> tuple[float, float] | None:
    """Outer corner of the first pixel and step of evenly spaced centres; None of anything else."""
    if variable is None or variable.ndim != 1 or not 2 <= variable.size <= LONGEST_AXIS:
        return None
    centres = numbers(variable.values, int(variable.size)) if variable.dtype.kind in "uif" else None
    if centres is None:
        return None
    step = float(centres[-1] - centres[0]) / (centres.size - 1)
    even = step != 0 and bool(np.all(np.abs(np.diff(centres) - step) <= EVENNESS * abs(step)))
    return (float(centres[0]) - step / 2, step) if even else None


def _grid_variables(header: CubeHeader) -> dict[str, CfVariable]:
    grid = header.georeference
    if grid is None:
        return {}
    a, b, c, d, e, f = grid.transform
    attributes: dict[str, Any] = {"GeoTransform": " ".join(repr(term) for term in (c, a, b, f, d, e))}
    geographic = False
    if grid.crs is not None:
        crs = crs_object(grid.crs)
        geographic = bool(crs.is_geographic)
        attributes |= {"crs_wkt": crs.to_wkt(), "spatial_ref": crs.to_wkt()}
        code = crs.to_epsg() or 0
        if geographic:
            attributes["grid_mapping_name"] = "latitude_longitude"
        elif 32601 <= code <= 32660 or 32701 <= code <= 32760:  # UTM; other systems have their WKT alone
            attributes |= {
                "grid_mapping_name": "transverse_mercator",
                "longitude_of_central_meridian": float(6 * (code % 100) - 183),
                "latitude_of_projection_origin": 0.0,
                "scale_factor_at_central_meridian": UTM_SCALE,
                "false_easting": 500_000.0,
                "false_northing": 0.0 if code < 32700 else 10_000_000.0,
            }
    found = {GRID: CfVariable((), np.array(0, np.int32), attributes)}
    if b == 0 and d == 0:
        height, width, _ = header.shape
        rows, cols = f + e * (np.arange(height) + 0.5), c + a * (np.arange(width) + 0.5)
        words = [("latitude", "degrees_north"), ("longitude", "degrees_east")]
        if not geographic:
            words = [(f"projection_{axis}_coordinate", "m") for axis in ("y", "x")]
        for name, values, (standard, units) in zip(("y", "x"), (rows, cols), words, strict=True):
            found[name] = CfVariable((name,), values, {"standard_name": standard, "units": units})
    return found


def _text(value: Any) -> str:
    return "" if value is None else str(plain_value(value))
