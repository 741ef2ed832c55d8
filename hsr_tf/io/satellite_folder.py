"""A folder of Sentinel-2 or Landsat bands as one image: a SAFE product, or the files of single bands.

Sentinel-2: `..._B02_10m.jp2` (level 2A) or `..._B02.jp2` (1C), in the folder itself or in the GRANULE folders
of a SAFE product; `MTD_MSIL2A.xml` or `MTD_MSIL1C.xml` has the quantification and, since processing baseline
04.00, the offset of each band (value = (stored + offset) / quantification). Bands of 20 m are resampled to
10 m (bilinear); those of 60 m, for the atmosphere, are left.
Landsat 5 to 9: `..._SR_B2.TIF` (level 2) or `..._B2.TIF` (level 1); `..._MTL.txt` has gain and offset of each
band. Reflectance of level 1 is not corrected for the height of the sun. The panchromatic, cirrus and thermal
bands are left; the panchromatic band can be given as a file of its own.
0 marks pixels without data. Wavelengths and widths are those of `hsr_tf.physics.sensors`. Names in `key`,
such as "B02,B03,B04,B08", choose bands.
Sentinel-2 products specification (ESA, S2-PDGS-TAS-DI-PSD), Landsat collection 2 data format control book
(USGS, LSDS-1328).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error, require
from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.account import Account
from hsr_tf.io.format import Format
from hsr_tf.io.gdal_calls import gdal_options
from hsr_tf.io.geotiff import open_geotiff
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.satellite_scale import BandScale, landsat_scale, sentinel_scale
from hsr_tf.io.source import BandSource, ReadRequest, decoded, decoding, refuse_options
from hsr_tf.physics.sensors import sensor_bands

FORMAT = "Sentinel-2, Landsat"
SENTINEL = re.compile(
    r"(?P<scene>.*_)?(?P<band>B(?:0[1-9]|1[0-2]|8A))(?:_(?P<size>10|20|60)m)?\.(?:jp2|tiff?)", re.IGNORECASE
)
LANDSAT = re.compile(
    r"(?P<scene>L[A-Z]0(?P<number>[5789])_.*_)(?:SR_)?(?P<band>B(?:1[01]|[1-9]))\.tiff?", re.IGNORECASE
)
PLACES = ("*", "IMG_DATA/*", "IMG_DATA/R*m/*", "GRANULE/*/IMG_DATA/*", "GRANULE/*/IMG_DATA/R*m/*")
USED = {
    "sentinel": ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"),
    "landsat5": ("B1", "B2", "B3", "B4", "B5", "B7"),
    "landsat7": ("B1", "B2", "B3", "B4", "B5", "B7"),
    "landsat8": ("B1", "B2", "B3", "B4", "B5", "B6", "B7"),
    "landsat9": ("B1", "B2", "B3", "B4", "B5", "B6", "B7"),
}
LARGEST_FACTOR = 6
Window = Callable[[slice, slice], NDArray[Any]]


@dataclass(frozen=True)
class SatelliteFolder:
    """The files of a scene.

    Attributes:
        sensor: a name of `hsr_tf.physics.sensors`.
        files: one for each band, by its name.
        known: whether the names of the files tell the sensor.
    """

    sensor: str
    files: Mapping[str, Path]
    known: bool = True

    @property
    def is_sentinel(self) -> bool:
        """Whether it is of Sentinel-2."""
        return self.sensor.startswith("sentinel")


@dataclass(frozen=True, eq=False)
class _Band:
    """An open band: its size, grid, type, and a function that reads a window (rows, columns)."""

    size: tuple[int, int]
    grid: Georeference | None
    dtype: np.dtype[Any]
    read: Window


class SatelliteBands(Format):
    """Folders of Sentinel-2 and Landsat bands."""

    name = FORMAT
    reads = "a SAFE folder or a folder of bands (JP2, TIFF): 10 m and 20 m, or 30 m, as one image"
    is_folder = True
    holds_cubes = False

    def recognises(self, path: Path) -> bool:
        return path.is_dir() and find_bands(path) is not None

    def files(self, path: Path) -> tuple[Path, ...]:
        found = find_bands(path)
        return (path,) if found is not None else ()

    @contextmanager
    def open(self, path: Path, request: ReadRequest) -> Iterator[BandSource]:
        refuse_options(path, replace(request, key=None), FORMAT)
        folder = find_bands(path)
        assert folder is not None
        account = Account()
        names = _chosen(folder, request.key, account)
        scale_of = sentinel_scale if folder.is_sentinel else landsat_scale
        scale = scale_of(path, list(folder.files.values()), names, account)
        with ExitStack() as stack:
            bands = [stack.enter_context(_open_band(folder.files[name])) for name in names]
            yield _joined(path, folder, dict(zip(names, bands, strict=True)), scale, account)


def find_bands(path: Path) -> SatelliteFolder | None:
    """Return the bands of a scene in a folder, the finest file of each; None if it holds no such scene."""
    entries = sorted(one for place in PLACES for one in path.glob(place) if one.is_file())
    landsat = [(match, one) for one in entries if (match := LANDSAT.fullmatch(one.name))]
    if landsat:
        number, scene = landsat[0][0]["number"], landsat[0][0]["scene"]
        files = {m["band"].upper(): one for m, one in landsat if m["scene"] == scene}
        return SatelliteFolder(f"landsat{number}", files)
    sentinel = [(match, one) for one in entries if (match := SENTINEL.fullmatch(one.name))]
    finest: dict[str, tuple[int, Path]] = {}
    for match, one in sentinel:
        size, band = int(match["size"] or 0), match["band"].upper()
        if band not in finest or size < finest[band][0]:
            finest[band] = size, one
    if len(finest) < 2:
        return None
    texts = [str(path.resolve()), *(one.name for _, one in finest.values())]
    platform = next((m[1].lower() for text in texts if (m := re.search(r"S2([AB])_", text))), None)
    files = {name: one for name, (_, one) in finest.items()}
    return SatelliteFolder(f"sentinel2{platform or 'a'}", files, known=platform is not None)


def _chosen(folder: SatelliteFolder, key: str | None, account: Account) -> list[str]:
    """Return the names of the bands to read, in the order of the sensor."""
    usual = USED["sentinel" if folder.is_sentinel else folder.sensor]
    order = [band.channel for band in sensor_bands(folder.sensor)]
    if key is not None:
        wanted = [word.strip().upper() for word in key.split(",") if word.strip()]
        missing = [name for name in wanted if name not in folder.files or name not in order]
        require(
            bool(wanted) and not missing,
            "key",
            expected=f"bands of {', '.join(sorted(folder.files))}",
            received=key,
            remedy='give e.g. "B02,B03,B04,B08"',
        )
        names = wanted
    else:
        names = [name for name in order if name in usual and name in folder.files]
    account.use(*(folder.files[name].name for name in names))
    account.leave_all("bands", sorted(set(folder.files) - set(names)))
    if not folder.known:
        account.take(f"the files do not name the satellite, {folder.sensor} is taken")
    return names


@contextmanager
def _open_band(path: Path) -> Iterator[_Band]:
    """Open the only band of a JP2 or TIFF file."""
    if path.suffix.lower() != ".jp2":
        with open_geotiff(path, ReadRequest()) as source:
            if source.shape[2] != 1:
                raise file_error(path, f"holds {source.shape[2]} bands, not one", "give one file per band")
            only = slice(0, 1)
            yield _Band(
                source.shape[:2],
                source.header.georeference,
                source.dtype,
                lambda rows, cols: source.read(only, rows, cols)[0],
            )
        return
    import rasterio
    from rasterio.windows import Window as Place

    with decoding(path, "JPEG 2000"), gdal_options():
        dataset = rasterio.open(path.resolve(), driver="JP2OpenJPEG", sharing=False)
    try:
        size = int(dataset.height), int(dataset.width)

        def read(rows: slice, cols: slice) -> NDArray[Any]:
            with gdal_options():
                place = Place.from_slices(rows, cols, height=size[0], width=size[1])
                return np.asarray(dataset.read(1, window=place))

        grid = None
        if dataset.crs is not None and not dataset.transform.is_identity:
            a, b, c, d, e, f = map(float, dataset.transform[:6])
            grid = Georeference((a, b, c, d, e, f), dataset.crs.to_wkt())
        yield _Band(size, grid, np.dtype(dataset.dtypes[0]), read)
    finally:
        dataset.close()


def _joined(
    path: Path,
    folder: SatelliteFolder,
    bands: Mapping[str, _Band],
    scale: BandScale,
    account: Account,
) -> BandSource:
    """Return the bands as one image in the finest pixels."""
    finest = max(bands.values(), key=lambda one: one.size)
    factors = {name: _factor(path, name, one, finest) for name, one in bands.items()}
    coarse = [name for name, factor in factors.items() if factor > 1]
    if coarse:
        times = " and ".join(sorted({str(factors[name]) for name in coarse}))
        said = f"{', '.join(coarse)} have pixels {times} times as large, resampled (bilinear) to the finest"
        account.take(said)
    names, height_width = list(bands), finest.size
    dtypes = {one.dtype for one in bands.values()}
    if len(dtypes) != 1:
        raise file_error(path, f"its bands are of types {sorted(map(str, dtypes))}", "fetch it again")
    readers = [finer_window(one.read, one.size, factors[name]) for name, one in bands.items()]
    native = [one.read for name, one in bands.items() if factors[name] == 1]

    def read(chosen: slice, rows: slice, cols: slice) -> NDArray[Any]:
        down, across = _whole(rows, height_width[0]), _whole(cols, height_width[1])
        return np.stack([one(down, across) for one in readers[chosen]])

    def mask(rows: slice, cols: slice) -> NDArray[np.bool_]:
        down, across = _whole(rows, height_width[0]), _whole(cols, height_width[1])
        without = native[0](down, across) == 0
        for one in native[1:] if without.any() else ():
            without &= one(down, across) == 0
        return np.asarray(without)

    known = {band.channel: band for band in sensor_bands(folder.sensor)}
    edges = np.array([[known[name].lower_nm, known[name].upper_nm] for name in names])
    header = CubeHeader(
        shape=(*height_width, len(names)),
        dtype=dtypes.pop(),
        name=path.resolve().name,
        wavelengths_nm=edges.mean(1),
        fwhm_nm=np.diff(edges, axis=1)[:, 0],
        band_names=tuple(names),
        georeference=finest.grid,
        nodata=0.0,
        gain=scale.gain,
        offset=scale.offset,
        metadata={"sensor": folder.sensor},
        used=account.used,
        findings=account.findings,
    )
    return BandSource(path, FORMAT, header, decoded(path, FORMAT, read), mask, storage="one file per band")


def finer_window(read: Window, size: tuple[int, int], factor: int) -> Window:
    """Return a reader of windows of an image in pixels `factor` times as small, interpolated bilinearly.

    Values lie at the centres of pixels; beyond the outermost centres the nearest ones are taken. Windows are
    parts of the whole: nothing depends on where they begin.

    Args:
        read: reads a window of the image.
        size: (rows, columns) of the image.
        factor: fine pixels per pixel along one side.
    """
    if factor == 1:
        return read

    def finer(rows: slice, cols: slice) -> NDArray[Any]:
        (first, down), (left, across) = (
            _weights(part, factor, length) for part, length in zip((rows, cols), size, strict=True)
        )
        top, side = slice(first, first + down.shape[1]), slice(left, left + across.shape[1])
        stored = read(top, side)
        values = down @ stored.astype(np.float64) @ across.T
        whole = stored.dtype.kind in "ui"
        return np.asarray((np.rint(values) if whole else values).astype(stored.dtype))

    return finer


def _weights(part: slice, factor: int, length: int) -> tuple[int, NDArray[np.float64]]:
    """Return the first pixel that fine pixels of `part` lie on, and the weight of it and the following."""
    places = np.clip((np.arange(part.start, part.stop) + 0.5) / factor - 0.5, 0, length - 1)
    below = np.minimum(places.astype(int), max(0, length - 2))
    first = int(below[0])
    last = min(length - 1, int(below[-1]) + 1)
    weights = np.zeros((len(places), last - first + 1))
    index, share = np.arange(len(places)), places - below
    weights[index, below - first] = 1 - share
    weights[index, np.minimum(below + 1, last) - first] += share
    return first, weights


def _factor(path: Path, name: str, band: _Band, finest: _Band) -> int:
    """Return how many pixels of the finest band a pixel of this one spans along one side."""
    factor = round(finest.size[0] / band.size[0])
    fits = (band.size[0] * factor, band.size[1] * factor) == finest.size and 1 <= factor <= LARGEST_FACTOR
    if fits and band.grid is not None and finest.grid is not None:
        fine = finest.grid.coarser(factor).transform
        fits = bool(np.allclose(fine, band.grid.transform, rtol=0, atol=1e-3 * finest.grid.pixel_size[0]))
    if not fits:
        sizes = f"{band.size[0]}x{band.size[1]} and {finest.size[0]}x{finest.size[1]}"
        raise file_error(path, f"its band {name} does not lie on the grid of the finest ({sizes})", "crop it")
    return factor


def _whole(part: slice, length: int) -> slice:
    return slice(*part.indices(length)[:2])
