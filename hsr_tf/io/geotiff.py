"""GeoTIFF, cloud-optimised too, by rasterio: grid, nodata, scale and offset per band, names, wavelengths.

One suffix, two readers. A TIFF whose first page has one of the tags that only geographic programs write
(pixel scale, tie points, transformation, GeoKeys, rational polynomials, GDAL's metadata and nodata value) is
read here; every other one is a picture or a stack of pages for `hsr_tf.io.tiff`, which knows depths, pages
and orders of axes that GDAL does not. Files of this module always carry GDAL's metadata, so each comes back
the way it went. `save` writes a picture if that loses nothing that is known of the bands or the ground, else
this form.

GDAL opens a file only after tifffile has checked its pages: one image, real numbers, blocks of a size that
memory holds. Its GTiff driver alone is allowed, no other file beside the image is opened (no .aux.xml, .ovr,
.tfw), and the name is the absolute one of a file that exists, so neither a virtual format nor a remote file
can be reached.
Written: BigTIFF, tiles of 256 x 256 per band, deflate with a predictor (lossless); `cog=True` turns it into a
cloud-optimised file with overviews by GDAL's COG driver.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error, require
from hsr_tf.files import replacing_file
from hsr_tf.geo.crs import crs_object
from hsr_tf.geo.georeference import Georeference
from hsr_tf.imports import deferred
from hsr_tf.io.account import Account
from hsr_tf.io.companion_files import leave_beside
from hsr_tf.io.gdal_calls import gdal_options, one_line_errors
from hsr_tf.io.geotiff_model import model_profile, sensor_model, written_model
from hsr_tf.io.geotiff_tags import RECORD, band_facts, free_tags, write_tags
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.nanometres import numbers
from hsr_tf.io.opacity import ALPHA_NAMES, FROM_ALPHA, FROM_MASK, split_opacity
from hsr_tf.io.opacity import REPORT as OPACITY
from hsr_tf.io.orientation import REPORT as ORIENTED
from hsr_tf.io.orientation import upright_source
from hsr_tf.io.own_record import OwnRecord, record_from_text
from hsr_tf.io.source import (
    BandSource,
    MaskReader,
    PartReader,
    ReadRequest,
    decoded,
    decoding,
    refuse_options,
)
from hsr_tf.io.stream import CubeWriter, PartsWriter
from hsr_tf.io.tiff_pages import (
    blocks_end,
    damage_raised,
    is_image,
    open_pages,
    orientation_of,
    require_blocks,
)

if TYPE_CHECKING:
    import tifffile
else:
    tifffile = deferred("tifffile")

FORMAT = "GeoTIFF"
GEOGRAPHIC_TAGS = (33550, 33922, 34264, 34735, 42112, 42113, 50844)
LARGEST_BLOCK_BYTES = 2**30
TILE, SMALLEST_TILE = 256, 16
PALETTE, MULTIPLIED_ALPHA = 3, 1
UNPLACED = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@contextmanager
def open_geotiff(path: Path, request: ReadRequest) -> Iterator[BandSource]:
    """Open a GeoTIFF as a source of bands, read in windows.

    Raises:
        OSError: a damaged file, several images, complex values, blocks beyond any memory.
        ValueError: a key or layout, which mean nothing here.
    """
    import rasterio

    refuse_options(path, request, FORMAT)
    orientation, multiplied = _require_readable(path)
    with decoding(path, FORMAT), gdal_options():
        dataset = rasterio.open(path.resolve(), driver="GTiff", sharing=False)
    try:
        with decoding(path, FORMAT), gdal_options():
            source = dataset_source(path, dataset, request, multiplied=multiplied)
            if source.header.georeference is None:
                source = upright_source(source, orientation)
            elif orientation != 1:
                line = "not applied: the grid places rows and columns as they are stored"
                metadata = {**source.header.metadata, ORIENTED: f"{orientation} in the file, {line}"}
                source = replace(source, header=replace(source.header, metadata=metadata))
        yield source
    finally:
        dataset.close()


@contextmanager
def create_geotiff(path: Path, header: CubeHeader, *, cog: bool = False) -> Iterator[CubeWriter]:
    """A GeoTIFF that is written part by part; it appears when the block ends without error.

    Raises:
        OSError: a full disk.
        ValueError: a type of number that TIFF does not know, a coordinate system that PROJ does not know.
    """
    import rasterio

    options = _profile(header)
    with replacing_file(path) as temporary:
        draft = temporary.with_name(f"{temporary.name}.tif.tmp") if cog else temporary
        try:
            with gdal_options(), one_line_errors(path):
                dataset = rasterio.open(draft, "w", **options)
            try:
                with gdal_options(), one_line_errors(path):
                    write_tags(dataset, header)
                    if header.scale:
                        dataset.scales, dataset.offsets = (each.tolist() for each in header.scale.values())
                    elif header.integer_level is not None:
                        dataset.scales = [1 / header.integer_level] * header.shape[2]

                def write(rows: slice, cols: slice, values: NDArray[Any]) -> None:
                    bands_first = np.ascontiguousarray(np.moveaxis(values, -1, 0))
                    with gdal_options(), one_line_errors(path):
                        dataset.write(bands_first, window=_window(rows, cols, dataset))

                yield PartsWriter(write)
            finally:
                with gdal_options(), one_line_errors(path):
                    dataset.close()
            if cog:
                from rasterio.shutil import copy

                is_float = options["predictor"] == 3
                profile = {"driver": "COG", "compress": "DEFLATE", "bigtiff": "YES"}
                profile["predictor"] = "FLOATING_POINT" if is_float else "STANDARD"
                profile["overview_resampling"] = "average" if is_float else "nearest"
                with gdal_options(), one_line_errors(path):
                    copy(draft, temporary, **profile)
            _require_complete(path, temporary, header)
        finally:
            if cog:
                draft.unlink(missing_ok=True)


def _require_readable(path: Path) -> tuple[int, bool]:
    """Refuse by tifffile what GDAL would crash on or take all memory for.

    Returns:
        What rasterio does not say: the orientation, and whether alpha is multiplied in.
    """
    with open_pages(path, FORMAT) as file, decoding(path, FORMAT), damage_raised():
        page, kinds = file.pages[0], {(p.shape, str(p.dtype)) for p in file.pages if is_image(p)}
        require_blocks(path, file.pages, FORMAT)
        size, dtype = (int(page.imagelength), int(page.imagewidth)), page.dtype
        block = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, size[1])
        block = (int(block[0]), int(block[1]))  # a damaged tag may hold several numbers
        depth = int(page.samplesperpixel) if int(page.planarconfig) == 1 else 1
        orientation, num_blocks = orientation_of(page), len(page.dataoffsets)
        photometric, extras = int(page.photometric), [int(kind) for kind in page.extrasamples]
    if len(kinds) != 1:
        raise file_error(path, f"holds {len(kinds)} images of different kinds", "save one image per file")
    if dtype is None or np.dtype(dtype).kind not in "uif":
        raise file_error(path, f"holds values of type {dtype}, not real numbers", "convert them first")
    if min(*size, *block, num_blocks) < 1:
        raise file_error(path, f"its image is empty {size}", "give a file that holds data")
    rows, cols = (min(length, limit) for length, limit in zip(block, size, strict=True))
    if rows * cols * depth * np.dtype(dtype).itemsize > LARGEST_BLOCK_BYTES:
        raise file_error(path, f"its blocks of {rows}x{cols} are beyond 1 GiB", "write it in tiles")
    if photometric == PALETTE:
        raise file_error(path, "its pixels are stored as a colour palette", "save it as gray or RGB")
    return orientation, MULTIPLIED_ALPHA in extras


def dataset_source(path: Path, dataset: Any, request: ReadRequest, *, multiplied: bool) -> BandSource:
    """Return the source of an open data set; `multiplied` says whether alpha is multiplied in."""
    from rasterio.enums import MaskFlags

    alpha, kinds = _opacity_band(dataset, request.alpha), dataset.mask_flag_enums[0]
    bands = [band for band in range(1, dataset.count + 1) if band != alpha]
    types = {dataset.dtypes[band - 1] for band in bands}
    if len(types) != 1:
        raise file_error(path, f"its bands are of different types ({', '.join(sorted(types))})", "unite them")
    dtype, record = np.dtype(types.pop()), record_from_text(dataset.tags().get(RECORD))

    def read(bands: slice, rows: slice, cols: slice) -> NDArray[Any]:
        indexes = [band + 1 for band in range(*bands.indices(dataset.count))]
        with gdal_options():
            return np.asarray(dataset.read(indexes, window=_window(rows, cols, dataset)))

    def read_mask(rows: slice, cols: slice) -> NDArray[np.bool_]:
        with gdal_options():
            return np.asarray(dataset.read_masks(1, window=_window(rows, cols, dataset)) == 0)

    reader: PartReader = read
    mask_reader: MaskReader | None = None
    opacity: dict[str, str] = {}
    if alpha is not None:
        reader, mask_reader = split_opacity(read, alpha - 1, num_bands=len(bands), multiplied=multiplied)
        opacity = {OPACITY: FROM_ALPHA}
    elif MaskFlags.per_dataset in kinds and MaskFlags.alpha not in kinds:
        mask_reader, opacity = read_mask, {OPACITY: FROM_MASK}
    account = Account()
    with gdal_options():
        model = sensor_model(dataset, account)
    grid = _grid(dataset, record, account, alone=model is None)
    if alpha is None and request.alpha == "mask":
        account.leave("alpha", "the file has no alpha channel", "leave --alpha out")
    leave_beside(path, account)
    header = CubeHeader(
        shape=(dataset.height, dataset.width, len(bands)),
        dtype=dtype,
        metadata={**free_tags(dataset), **opacity},
        nodata=None if dataset.nodata is None else float(dataset.nodata),
        georeference=grid,
        sensor_model=model,
        **band_facts(dataset, bands, account),
        **_scaling(dataset, bands, record, dtype),
    )
    block, interleave = dataset.block_shapes[0], dataset.profile.get("interleave", "band")
    storage = [f"{'tiles' if dataset.profile.get('tiled') else 'strips'} of {block[0]}x{block[1]}"]
    storage.append(f"by {interleave}")
    if dataset.compression is not None:
        storage.append(f"{dataset.compression.name.lower()} compressed")
    if dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG":
        storage.append("cloud-optimised")
    return BandSource(
        path,
        FORMAT,
        replace(record.complete(header), used=account.used, findings=account.findings),
        decoded(path, FORMAT, reader),
        mask_reader,
        chunks=(len(bands) if interleave == "pixel" else 1, int(block[0]), int(block[1])),
        storage=", ".join(storage),
    )


def _grid(dataset: Any, record: OwnRecord, account: Account, *, alone: bool) -> Georeference | None:
    """Return the grid. A file without a transformation has none: rasterio's identity stands for its lack.

    Ground control points and rational polynomials give no grid.
    """
    crs = None if dataset.crs is None else dataset.crs.to_wkt()
    if dataset.transform.is_identity:
        own = record.info.georeference
        if own is not None and own.transform == UNPLACED:
            return Georeference(UNPLACED, crs)
        if crs is not None:
            why = "the file has no transformation, so no grid is known"
            account.leave("coordinate system", why, matters=alone)
        return None
    with suppress(ValueError):  # a transformation that cannot be turned back
        a, b, c, d, e, f = map(float, dataset.transform[:6])
        account.use("transform", *(["coordinate system"] if crs is not None else []))
        return Georeference((a, b, c, d, e, f), crs)
    account.leave("transform", "it cannot be inverted, no grid is known")
    return None


def _opacity_band(dataset: Any, wanted: str | None) -> int | None:
    """Return the number, from 1, of the band that holds opacity; None without one."""
    from rasterio.enums import ColorInterp

    if wanted == "band":
        return None

    for band, kind in enumerate(dataset.colorinterp, start=1):
        if kind == ColorInterp.alpha and dataset.count > 1:
            tags = (dataset.tags(band), dataset.tags(band, ns="IMAGERY"))
            has_wavelength = any("wavelength" in name.lower() for one in tags for name in one)
            name = (dataset.descriptions[band - 1] or "").strip().lower()
            if wanted == "mask" or (not has_wavelength and name in ALPHA_NAMES):
                return band
    return None


def _scaling(dataset: Any, bands: list[int], record: OwnRecord, dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return white level, or gain and offset of each band."""
    kept = np.asarray(bands) - 1
    scales, offsets = (np.asarray(each, np.float64)[kept] for each in (dataset.scales, dataset.offsets))
    if bool((scales == 1).all()) and not offsets.any() and record.white_level != 1:
        # NBITS: fewer bits than the type has
        bits = numbers(dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS"), 1)
        known = bits is not None and 1 < bits[0] < 16
        return {"white_level": float(2 ** int(bits[0]) - 1)} if bits is not None and known else {}
    return record.scaling(scales, offsets, dtype)


def _window(rows: slice, cols: slice, dataset: Any) -> Any:
    from rasterio.windows import Window

    return Window.from_slices(rows, cols, height=dataset.height, width=dataset.width)


def _profile(header: CubeHeader) -> dict[str, Any]:
    from rasterio.dtypes import check_dtype

    height, width, num_bands = header.shape
    dtype = np.dtype(header.dtype).newbyteorder("=")
    require(
        bool(check_dtype(dtype.name)) and dtype.kind in "uif",
        "dtype",
        expected="integers of 8 to 64 bits, float32 or float64",
        received=dtype.name,
        remedy="convert with --dtype=float32",
    )
    options: dict[str, Any] = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": num_bands,
        "dtype": dtype.name,
        "tiled": True,
        "blockxsize": min(TILE, -(-width // SMALLEST_TILE) * SMALLEST_TILE),
        "blockysize": min(TILE, -(-height // SMALLEST_TILE) * SMALLEST_TILE),
        "interleave": "band",
        "compress": "deflate",
        "zlevel": 3,
        "predictor": 3 if dtype.kind == "f" else 2,
        "bigtiff": "yes",
        "photometric": "minisblack",
        "nodata": header.storable_nodata,
    }
    options |= model_profile(written_model(header))
    if header.georeference is not None:
        from rasterio.transform import Affine

        options["transform"] = Affine(*header.georeference.transform)
        if header.georeference.crs is not None:
            options["crs"] = crs_object(header.georeference.crs)
    return options


def _require_complete(path: Path, written: Path, header: CubeHeader) -> None:
    """Refuse a file whose index GDAL could not write: it reports a full disk only in its log."""
    import tifffile

    remedy = "free some space or choose another place"
    try:
        with tifffile.TiffFile(written) as file:
            page = file.pages[0]
            whole = page.imagelength == header.shape[0] and blocks_end(page) <= written.stat().st_size
    except Exception as error:  # what tifffile raises on a file without an index
        raise file_error(path, "cannot be written in full", remedy) from error
    if not whole:
        raise file_error(path, "cannot be written in full", remedy)
