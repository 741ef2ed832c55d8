"""Pictures on a device: read by Pillow, enlarged by a TFLite file, written.

PNG and JPEG of 8 bits, gray or RGB, with or without alpha, upright as their orientation says; profile, EXIF
and resolution are kept, colour chunks of PNG (gAMA, cHRM, cICP) are not. They go through
`hsr_tf.pictures.tiles`, as those of `hsr_tf.upscale` do. A file of fixed sizes sees windows of its size;
where a picture ends inside a window, the window goes on mirrored, and the pixels that look past the end (as
many as the model's reach) may differ from those of a file without fixed sizes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from export.cubes import pad_mirrored
from export.tflite_model import TFLiteModel, require_kind
from hsr_tf import checks
from hsr_tf.files import replacing_file
from hsr_tf.networks.model_info import SINGLE_IMAGE
from hsr_tf.pictures.tiles import (
    SMALLEST_SIDE,
    Enlarged,
    PictureGrid,
    PictureModel,
    PictureTiles,
    TileControls,
    enlarge,
    require_scale,
)
from hsr_tf.tiling.memory import require_memory

DEFAULT_TILE = 256
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
LONGEST_JPEG_SIDE = 65535
PNG_START, PNG_DEPTH_AT = b"\x89PNG\r\n\x1a\n", 24
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture of 8 bits, upright.

    Attributes:
        values: (H, W, C) uint8; C is 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGB, alpha).
        icc_profile: what its colours mean; None for sRGB.
        exif: the EXIF block without an orientation; None without any.
        dpi: pixels per inch, horizontally and vertically; None where they are not known.
    """

    values: np.ndarray
    icc_profile: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None


def enlarge_picture(
    model: TFLiteModel,
    image: np.ndarray,
    scale: float,
    *,
    tile: int | None = None,
    kernel: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Enlarged:
    """Enlarge a picture by a file, as `hsr_tf.upscale` does by its network.

    Args:
        model: a file that enlarges pictures.
        image: (H, W) or (H, W, 1 to 4), see `hsr_tf.pictures.tiles.enlarge`.
        scale: the factor, at least 1; it need not be that of the file.
        tile: longest side of a tile in pixels of the result; None for 256, or what fixed sizes hold.
        kernel: (k, k) blur, for a network that takes one.
        progress: called with the number of tiles done and of all of them.

    Raises:
        ValueError: a file that fuses, a kernel too many or too few, what `enlarge` refuses, fixed sizes that
            leave no room for tiles.
        OSError: too little memory.
    """
    picture_model = _picture_model(model, kernel)
    fixed = model.fixed_size("lr_image")
    require_scale(scale)
    if fixed is not None:
        tile = _fitting_tile(picture_model, np.shape(image), scale, tile=tile, fixed=fixed)
    controls = TileControls(tile=tile or DEFAULT_TILE, progress=progress)
    return enlarge(image, scale, model=picture_model, controls=controls)


def _picture_model(model: TFLiteModel, kernel: np.ndarray | None) -> PictureModel:
    """The file as the pipeline sees it."""
    require_kind(model, SINGLE_IMAGE)
    info, takes_kernel = model.info, "kernel" in model.input_shapes
    checks.require(
        takes_kernel == (kernel is not None),
        "kernel",
        expected="the blur kernel, which this network takes" if takes_kernel else "none for this network",
        received="none" if kernel is None else "one",
        remedy="give --kernel=k.npy" if takes_kernel else "leave it out",
    )
    fixed = model.fixed_size("lr_image")
    others = {} if kernel is None else {"kernel": np.asarray(kernel, np.float32)[None]}
    factor = info.factor

    def run(lr_image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        outputs = model.run({"lr_image": pad_mirrored(lr_image, fixed), **others})
        height, width = (factor * n for n in lr_image.shape[1:3])
        found = outputs["kernel"][0] if "kernel" in outputs else None
        return outputs["estimate"][:, :height, :width], found

    return PictureModel(info.scale, info.num_channels, info.reach, run)


def _fitting_tile(
    model: PictureModel, shape: tuple[int, ...], scale: float, *, tile: int | None, fixed: tuple[int, int]
) -> int:
    """The largest tile, of at most `tile`, whose windows a file of fixed sizes takes."""
    height, width = (n if model.scale is None else max(n, SMALLEST_SIDE) for n in shape[:2])
    grid = PictureGrid(np.broadcast_to(np.uint8(0), (height, width, 1)), scale)
    longest = tile or max(grid.enlarged_size)
    while longest >= 1:
        window = PictureTiles(grid, model, tile=longest).all[0].window
        if window.height <= fixed[0] and window.width <= fixed[1]:
            return longest
        longest = longest * 15 // 16
    raise checks.InputError(
        "model",
        expected="fixed sizes that leave room for tiles to overlap",
        received=f"{fixed[0]} x {fixed[1]}",
        remedy="export larger ones, or none",
    )


def read_photo(path: Path) -> Photo:
    """Read a PNG or JPEG of 8 bits, upright, its palette resolved.

    Raises:
        OSError: a file that is missing, no such picture, an animation, damaged, of more bits, or too large
            for the memory.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                require_memory(path, (image.height, image.width, 4), 1, None)
                _require_8_bits(path, image)
                num_frames = getattr(image, "n_frames", 1)
                if num_frames > 1 and image.format == "PNG":
                    raise checks.file_error(
                        path, f"is an animation of {num_frames} frames", "save one frame as a picture"
                    )
                upright = ImageOps.exif_transpose(image)
                # Gray or RGB, with alpha where there is some.
                gray = upright.mode in ("1", "L", "LA")
                values = np.asarray(
                    upright.convert(("L" if gray else "RGB") + ("A" if upright.has_transparency_data else ""))
                )
                exif, dpi = upright.getexif(), image.info.get("dpi")
                kept = image.info.get("icc_profile"), exif.tobytes() if len(exif) else None, dpi
    except UnidentifiedImageError:
        raise checks.file_error(path, "is no PNG or JPEG picture", "convert it to one of these") from None
    except (Image.DecompressionBombError, SyntaxError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:200]
        raise checks.file_error(path, f"cannot be read ({reason})", "give another picture") from None
    except checks.FileError:
        raise
    except OSError as error:
        reason = " ".join((error.strerror or str(error)).split())[:200]
        raise checks.file_error(path, f"cannot be read ({reason})", "check the path and the file") from None
    return Photo(values[..., None] if values.ndim == 2 else values, *kept)


def _require_8_bits(path: Path, image: Image.Image) -> None:
    with open(path, "rb") as file:
        start = file.read(PNG_DEPTH_AT + 1)
    deep = start.startswith(PNG_START) and start[PNG_DEPTH_AT] > 8
    if deep or image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        problem = "holds 16 bits a channel" if deep else f"holds colours of the kind {image.mode}"
        raise checks.file_error(path, problem, "convert it to 8 bits of gray or RGB, or use hsr upscale")


def require_writable(path: Path, photo: Photo, size: tuple[int, int]) -> None:
    """Refuse what a format cannot hold, before work is put into it.

    Raises:
        ValueError: alpha, or a side too long, for a JPEG.
    """
    jpeg = FORMATS[path.suffix.lower()] == "JPEG"
    checks.require(
        not (jpeg and photo.values.shape[2] in (2, 4)),
        "output",
        expected="a PNG, as the picture has transparent parts",
        received=path.name,
        remedy="end the name in .png",
    )
    checks.require(
        not jpeg or max(size) <= LONGEST_JPEG_SIDE,
        "output",
        expected=f"a PNG for sides over {LONGEST_JPEG_SIDE} pixels",
        received=path.name,
        remedy="end the name in .png",
    )


def write_photo(photo: Photo, path: Path) -> None:
    """Write a picture, whole or not at all; errors as `hsr_tf.files.replacing_file`."""
    values = photo.values[..., 0] if photo.values.shape[2] == 1 else photo.values
    metadata = {"icc_profile": photo.icc_profile, "exif": photo.exif, "dpi": photo.dpi}
    kept = {name: value for name, value in metadata.items() if value is not None}
    image = Image.fromarray(values)
    with replacing_file(path) as draft:
        if FORMATS[path.suffix.lower()] == "JPEG":
            image.save(draft, "JPEG", quality=95, subsampling=0, **kept)
        else:
            image.save(draft, "PNG", **kept)
