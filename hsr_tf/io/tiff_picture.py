"""TIFF pictures of 8 and 16 bits: gray, RGB, palettes, with alpha, orientation and colour profile.

Read: one picture of one page; white as zero is turned round, palettes are looked up, 1 to 15 bits are spread
over the next depth, colours that alpha was multiplied into are divided by it again. CMYK and other colour
spaces need a profile to become RGB and are refused. Written: zlib, alpha not multiplied in.
TIFF 6.0, sections 8 and 16 to 23.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from hsr_tf.checks import file_error
from hsr_tf.io.opacity import straight
from hsr_tf.io.picture import DEPTHS, Picture, upright, with_channels
from hsr_tf.io.source import decoding
from hsr_tf.io.tiff import FORMAT, blocks_end, damage_raised
from hsr_tf.memory import require_memory

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
ORIENTATION, PROFILE = 274, 34675
MULTIPLIED_ALPHA = 1
BIG = 2**31


def read_tiff_picture(path: Path, max_gib: float | None) -> Picture:
    """Read a TIFF picture.

    Raises:
        OSError: a file that is damaged or cut short, several pages, CMYK and other colour spaces, other
            depths, a picture beyond the limit.
    """
    with decoding(path, FORMAT), damage_raised():
        file = tifffile.TiffFile(path)
    with file:
        page = _only_page(path, file)
        with decoding(path, FORMAT):
            if blocks_end(page) > path.stat().st_size:
                raise ValueError("its values reach beyond its end")
        shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
        require_memory(path, shape, np.dtype(page.dtype).itemsize, max_gib)
        with decoding(path, FORMAT), damage_raised():
            stored = page.asarray()
            values = _spread(page, _colours(page, with_channels(_channels_last(page, stored))))
        tags = {code: page.tags[code].value for code in (ORIENTATION, PROFILE) if code in page.tags}
    orientation, profile = int(tags.get(ORIENTATION, 1)), tags.get(PROFILE)
    return Picture(upright(values, orientation), bytes(profile) if profile is not None else None, path.stem)


def write_tiff_picture(picture: Picture, file: Path) -> None:
    """Write a picture of 1 to 4 channels with its bits."""
    num_channels = picture.values.shape[2]
    with open(file, "wb") as target:
        tifffile.imwrite(
            target,
            picture.values[..., 0] if num_channels == 1 else picture.values,
            photometric="minisblack" if num_channels <= 2 else "rgb",
            planarconfig=None if num_channels == 1 else "contig",
            extrasamples=("unassalpha",) if picture.has_alpha else None,
            compression="zlib",
            predictor=True,
            iccprofile=picture.icc_profile,
            bigtiff=picture.values.nbytes > BIG,
            metadata=None,
        )


def _only_page(path: Path, file: Any) -> Any:
    """The page of the picture, once it is known to be one that can be read."""
    with decoding(path, FORMAT), damage_raised():
        pages = [page for page in file.pages if not page.is_reduced]
    if len(pages) != 1:
        raise file_error(path, f"holds {len(pages)} pages", "save one picture a file")
    page = pages[0]
    depth, extras = page.dtype, len(page.extrasamples)
    if depth is None or (depth not in DEPTHS and depth != np.dtype(bool)):
        raise file_error(path, f"its values are {depth}", "save it with 8 or 16 bits")
    kind = int(page.photometric)
    jpeg_colours = kind == YCBCR and int(page.compression) in (6, 7, 34892, 33007)
    if kind not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE) and not jpeg_colours:
        name = getattr(page.photometric, "name", str(kind))
        named = "CMYK" if name == "SEPARATED" else name
        raise file_error(path, f"its colours are stored as {named}", "save it as gray or RGB")
    num_colours = 3 if kind == RGB or jpeg_colours else 1
    if extras > 1 or page.samplesperpixel != num_colours + extras:
        problem = f"holds {page.samplesperpixel} channels, {extras} of them beside the colours"
        raise file_error(path, problem, "save it as gray or RGB, with one alpha channel at most")
    return page


def _channels_last(page: Any, stored: NDArray[Any]) -> NDArray[Any]:
    values = stored.reshape(stored.shape[-3:]) if stored.ndim > 3 else stored
    separate = values.ndim == 3 and values.shape[0] == page.samplesperpixel > 1 and page.planarconfig == 2
    return np.moveaxis(values, 0, -1) if separate else values


def _colours(page: Any, values: NDArray[Any]) -> NDArray[Any]:
    """The channels of a picture: the palette looked up, white as zero turned round, alpha divided out."""
    kind = int(page.photometric)
    if kind == PALETTE:
        table = np.asarray(page.colormap)
        looked_up = (table[:, values[..., 0]] >> 8).astype(np.uint8)
        return np.moveaxis(looked_up, 0, -1)
    if kind == WHITE_IS_ZERO:
        values = values.copy()
        values[..., 0] = _largest(page) - values[..., 0]
    if page.extrasamples and int(page.extrasamples[0]) == MULTIPLIED_ALPHA:
        values = _divided(values)
    return values


def _divided(values: NDArray[Any]) -> NDArray[Any]:
    """The colours without the alpha that was multiplied into them; black where nothing is seen."""
    alpha = values[..., -1:]
    return np.concatenate([straight(values[..., :-1], alpha), alpha], axis=-1)


def _largest(page: Any) -> Any:
    return True if page.dtype == np.dtype(bool) else np.asarray(2**page.bitspersample - 1, page.dtype)


def _spread(page: Any, values: NDArray[Any]) -> NDArray[Any]:
    """Values of 1 to 7 and 9 to 15 bits over the whole range of 8 or 16."""
    if values.dtype == np.dtype(bool):
        return values.astype(np.uint8) * np.uint8(255)
    full, held = np.iinfo(values.dtype).max, 2**page.bitspersample - 1
    if held >= full or int(page.photometric) == PALETTE:
        return values
    return np.rint(values * (full / held)).astype(values.dtype)
