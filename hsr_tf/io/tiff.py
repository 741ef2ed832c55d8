"""TIFF pictures and cubes: 8, 16 and 32-bit integers and floating point, one page or one page per band.

Read: one page gives its channels, several pages of one size give one band each; a layout given by the caller
overrides the order that the file declares. An alpha channel and a transparency mask become the mask of pixels
without data, and an orientation tag is applied. A picture of a palette or with white as zero is left to
`hsr_tf.io.tiff_picture`. Integers are divided by their white level (`hsr_tf.io.white_level`),
floating-point values are taken as they are.
Written: 1 or 3 bands, 16 bits, clipped to [0, 1] with a warning; pixels without data become
transparent black.
TIFF 6.0, section 18 (extra samples), tags NewSubfileType and Orientation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error
from hsr_tf.files import replacing_file
from hsr_tf.imports import deferred
from hsr_tf.io import geotiff
from hsr_tf.io.account import Account
from hsr_tf.io.arrays import axes_guess, band_reader, likely_layout
from hsr_tf.io.companion_files import leave_beside
from hsr_tf.io.format import PartsFormat, WriteOptions
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.opacity import FROM_ALPHA, FROM_MASK, split_opacity
from hsr_tf.io.opacity import REPORT as OPACITY
from hsr_tf.io.orientation import upright_source
from hsr_tf.io.picture_formats import PICTURE_BANDS, SOFTWARE, held_gib, picture_source, scene_picture
from hsr_tf.io.source import (
    BandSource,
    MaskReader,
    ReadRequest,
    decoded,
    decoding,
    refuse_options,
    require_real,
    require_room,
)
from hsr_tf.io.stream import CubeWriter
from hsr_tf.io.tiff_pages import damage_raised, is_image, open_pages, orientation_of, require_blocks
from hsr_tf.io.tiff_picture import read_tiff_picture, write_tiff_picture
from hsr_tf.scene import Scene

tifffile = deferred("tifffile")

FORMAT = "TIFF"
LOOKED_UP = (0, 3)  # white as zero, a colour palette
MULTIPLIED_ALPHA, ALPHA = 1, (1, 2)
FULL_RANGE = 65535.0
SIDES = (".msk", ".aux.xml", ".ovr")
LEFT_TAGS = {700: "XMP", 33723: "IPTC", 34377: "Photoshop", 34675: "ICC profile", 34853: "GPS"}


class Tiff(PartsFormat):
    """TIFF files: GeoTIFF, pictures, and stacks of one page per band."""

    name = "TIFF"
    suffixes = (".tif", ".tiff")
    reads = "GeoTIFF, cloud-optimised too; pictures of 8, 16, 32 bits; one page per band"
    writes = "GeoTIFF, `--cog` too; pictures of 1 or 3 bands, 16 bits, clipped to [0, 1]"
    options = ("cog",)
    keeps_mask = False

    def files(self, path: Path) -> tuple[Path, ...]:
        sides = (path.with_name(path.name + suffix) for suffix in SIDES)
        return (path, *(side for side in sides if side.is_file()))

    @contextmanager
    def open(self, path: Path, request: ReadRequest) -> Iterator[BandSource]:
        with open_pages(path, FORMAT) as file, decoding(path, FORMAT), damage_raised():
            page = file.pages[0] if len(file.pages) else None
            tags = () if page is None else page.tags
            is_geographic = any(code in tags for code in geotiff.GEOGRAPHIC_TAGS)
            needs_colours = page is not None and int(page.photometric) in LOOKED_UP
        if is_geographic:
            with geotiff.open_geotiff(path, request) as source:
                yield source
        elif needs_colours:
            refuse_options(path, request, f"{FORMAT} pictures")
            yield picture_source(path, read_tiff_picture(path, held_gib(request)), FORMAT)
        else:
            refuse_options(path, replace(request, layout=None), FORMAT)
            with open_pages(path, FORMAT) as file:
                yield _pages_source(path, file, request)

    def new(
        self, path: Path, header: CubeHeader, options: WriteOptions
    ) -> AbstractContextManager[CubeWriter]:
        return geotiff.create_geotiff(path, header, cog=options.cog)

    def save(self, scene: Scene, path: Path) -> None:
        # A scene that holds more, or has other bands, than a picture can.
        beyond = (scene.georeference, scene.fwhm_nm, scene.band_names, scene.good_bands, scene.nodata)
        if scene.num_bands not in PICTURE_BANDS or any(one is not None for one in beyond):
            super().save(scene, path)
            return
        picture = scene_picture(scene, path)
        with replacing_file(path) as temporary:
            write_tiff_picture(picture, temporary)


def _pages_source(path: Path, file: Any, request: ReadRequest) -> BandSource:
    """Return one picture, or one page per band, as a source; pages are then read a few at a time."""
    with decoding(path, FORMAT), damage_raised():
        num_pages = sum(not page.is_mask for page in file.pages)
        series = [one for one in file.series if is_image(one.keyframe)]
        require_blocks(path, [page for one in series for page in one.pages], FORMAT)
        shapes = {tuple(page.shape) for one in series[:1] for page in one.pages if page is not None}
    if not num_pages:
        problem = f"cannot be read as {FORMAT}, it is damaged or cut short (it has no page)"
        raise file_error(path, problem, "fetch or write it again")
    if len(series) != 1:
        sizes = ", ".join("x".join(str(length) for length in one.shape) for one in series[:6])
        several = f"holds {len(series)} pictures of different kinds ({sizes})"
        problem = several if series else "holds no picture"
        raise file_error(path, problem, "save one picture, or one page per band, in a file")
    if len(shapes) > 1:
        sizes = ", ".join("x".join(map(str, one)) for one in sorted(shapes)[:6])
        raise file_error(path, f"its pages have different sizes ({sizes})", "save bands of one size")
    array = _Pages(path, series[0], num_pages)
    page = array.keyframe
    require_real(path, array.dtype)
    require_room(path, array.stored_shape, array.dtype, request)
    account, layout = Account(), request.layout or array.layout
    if request.layout is None and array.is_shaped:
        layout = likely_layout(array.shape, array.layout)
        if layout != array.layout:
            account.take(*axes_guess(array.shape, layout))
    (height, width, num_bands), read = band_reader(array, layout)
    leave_beside(path, account)
    left = [name for code, name in LEFT_TAGS.items() if code in page.tags]
    account.leave_all("tags", left)
    extras = [int(kind) for kind in page.extrasamples]
    alpha = next((i for i, kind in enumerate(extras) if kind in ALPHA), None)
    alpha = None if request.alpha == "band" else alpha
    read_mask: MaskReader | None = None
    opacity: dict[str, str] = {}
    if alpha is not None and num_bands == page.samplesperpixel > 1:
        num_bands -= 1
        multiplied = extras[alpha] == MULTIPLIED_ALPHA
        place = num_bands + 1 - len(extras) + alpha
        read, read_mask = split_opacity(read, place, num_bands=num_bands, multiplied=multiplied)
        opacity = {OPACITY: FROM_ALPHA}
    else:
        with decoding(path, FORMAT), damage_raised():
            masks = [page for page in file.pages if page.is_mask and not page.is_reduced]
        masks = [page for page in masks if (page.imagelength, page.imagewidth) == (height, width)]
        if masks:
            with decoding(path, FORMAT), damage_raised():
                without = np.asarray(masks[0].asarray()).reshape(height, width) == 0
            read_mask, opacity = (lambda rows, cols: without[rows, cols]), {OPACITY: FROM_MASK}
    header = CubeHeader(
        shape=(height, width, num_bands),
        dtype=array.dtype,
        white_level=FULL_RANGE if str(page.software).startswith(SOFTWARE) else None,
        metadata=opacity,
        used=account.used,
        findings=account.findings,
    )
    source = BandSource(path, FORMAT, header, decoded(path, FORMAT, read), read_mask)
    return upright_source(source, orientation_of(page))


class _Pages:
    """A TIFF series as an array without axes of length one, read page by page where pages come first.

    Args:
        path: the file.
        series: what tifffile found.
        num_pages: pages in the file.
    """

    def __init__(self, path: Path, series: Any, num_pages: int) -> None:
        kept = [i for i, axis in enumerate(series.axes) if axis in "YX" or series.shape[i] > 1]
        axes = "".join(series.axes[i] for i in kept)
        self.shape = tuple(int(series.shape[i]) for i in kept)
        self.ndim = len(kept)
        self._series, self.is_shaped = series, series.kind == "shaped"
        self.keyframe, self.dtype = series.keyframe, np.dtype(series.dtype)
        self.stored_shape = tuple(map(int, series.shape))
        self._whole: NDArray[Any] | None = None
        others = [axis for axis in axes if axis not in "YX"]
        if self.ndim not in (2, 3) or "Y" not in axes or "X" not in axes:
            problem = f"holds an array of {self.ndim} dimensions {series.shape}, not one picture or one cube"
            raise file_error(path, problem, "save one cube per file")
        names = {"Y": "row", "X": "col", **dict.fromkeys(others, "band")}
        self.layout = ",".join(names[axis] for axis in axes) if self.ndim == 3 else "band,row,col"
        self._by_page = self.ndim == 3 and num_pages == len(series.pages) == self.shape[0] > 1

    def __getitem__(self, window: Any) -> NDArray[Any]:
        with damage_raised():
            if self._by_page and isinstance(window, tuple) and window[0] != slice(None):
                pages = range(*window[0].indices(self.shape[0]))
                return np.stack([self._series.pages[page].asarray() for page in pages])[:, *window[1:]]
            if self._whole is None:
                self._whole = self._series.asarray().reshape(self.shape)
            return np.asarray(self._whole[window])
