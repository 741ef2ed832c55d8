"""The functions of an exported model, on tensors and, for networks of single pictures, on encoded pictures.

Fusion models: `serving_default` takes lr_hsi (B, h, w, C) and hr_msi (B, s h, s w, c), of any sizes. Over the
base "spectral_ls" a scene can be fused in tiles: `fit` takes the whole scene and returns what its tiles
share, spectral_map (B, K, C) and trust (B, 1, 1, 1); `fuse_part` takes these beside both images of a tile.

All models: `metadata` takes nothing and returns one string, the JSON text of a
`hsr_tf.networks.model_info.ModelInfo`.

Networks of single images: `serving_default` is the network itself, lr_image (B, h, w, C) and, for networks
that take the blur, kernel (B, k, k); networks without a factor of their own take the enlarged picture there.
`picture` takes image_bytes, one encoded PNG or JPEG, and returns image_bytes, a PNG: luminance by the
network, colour and alpha bicubic, as `hsr_tf.upscale` does it in one piece. For networks without a factor of
their own it also takes the factor, `scale`. Pictures are decoded to 8 bits and made upright, as their EXIF
orientation says; the answer holds no metadata. Transparency without a channel of its own and further frames
of an animation are ignored. Pictures that claim more than `MOST_PIXELS` pixels, in or out, are refused before
they are decoded: clients send larger ones in tiles. The scans of a progressive JPEG are not counted: give
requests a deadline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import tensorflow as tf
from keras import ops

from export.orientation import orientation, upright
from hsr_tf.arrays.color import rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.networks.image_network import ImageNetwork
from hsr_tf.networks.model_info import DEFAULT, FIT, FUSE_PART, METADATA, PICTURE
from hsr_tf.physics.resize import bicubic_enlarge_by
from hsr_tf.pictures.transparency import fill_hidden
from hsr_tf.typing import Tensor

MOST_PIXELS = 2**22
SMALLEST, SMALLEST_OF_OWN_FACTOR, PNG_HEADER = 2, 24, 33
GRAY, GRAY_ALPHA, COLOUR_ALPHA, JPEG = 0, 4, 6, -1
PNG_MAGIC, JPEG_MAGIC = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff"


@dataclass(frozen=True, eq=False)
class Signature:
    """One function of an exported model.

    Attributes:
        name: of the signature.
        function: answers a dictionary of tensors.
        inputs: in the order of the function's arguments, named as they are.
    """

    name: str
    function: Callable[..., dict[str, Tensor]]
    inputs: tuple[tf.TensorSpec, ...]


def fusion_signatures(model: FusionModel) -> list[Signature]:
    """`serving_default` of a fusion model and, over the base "spectral_ls", `fit` and `fuse_part`."""
    config = model.config

    def fuse(lr_hsi: Tensor, hr_msi: Tensor) -> dict[str, Tensor]:
        return {"estimate": model({"lr_hsi": lr_hsi, "hr_msi": hr_msi})}

    def fuse_part(lr_hsi: Tensor, hr_msi: Tensor, spectral_map: Tensor, trust: Tensor) -> dict[str, Tensor]:
        shared = {"spectral_map": spectral_map, "trust": trust}
        return {"estimate": model({"lr_hsi": lr_hsi, "hr_msi": hr_msi, **shared})}

    images = (_images("lr_hsi", config.num_bands), _images("hr_msi", config.num_channels))
    found = [Signature(DEFAULT, fuse, images)]
    if config.base == "spectral_ls":
        num_features = 1 + config.num_channels * (config.num_channels + 3) // 2
        shared = (
            tf.TensorSpec((None, num_features, config.num_bands), tf.float32, "spectral_map"),
            tf.TensorSpec((None, 1, 1, 1), tf.float32, "trust"),
        )
        found.append(Signature(FIT, model.shared, images))
        found.append(Signature(FUSE_PART, fuse_part, images + shared))
    return found


def metadata_signature(text: str) -> Signature:
    """`metadata`, which answers the text."""

    def metadata() -> dict[str, Tensor]:
        return {"metadata": tf.constant(text)}

    return Signature(METADATA, metadata, ())


def image_signatures(network: ImageNetwork) -> list[Signature]:
    """`serving_default` and, for networks that need nothing but the picture, `picture`."""
    names = [given.name for given in network.inputs]

    def estimate(*tensors: Tensor) -> dict[str, Tensor]:
        return dict(network(dict(zip(names, tensors, strict=True)), training=False))

    specs = [tf.TensorSpec((None, *given.shape[1:]), tf.float32, given.name) for given in network.inputs]
    found = [Signature(DEFAULT, estimate, tuple(specs))]
    if names == ["lr_image"]:
        found.append(_picture_signature(PictureFunction(network)))
    return found


def _picture_signature(function: PictureFunction) -> Signature:
    encoded = tf.TensorSpec((), tf.string, "image_bytes")
    if function.network.spec.scale is not None:
        return Signature(PICTURE, function.enlarged, (encoded,))
    return Signature(PICTURE, function.enlarged_by, (encoded, tf.TensorSpec((), tf.float64, "scale")))


class PictureFunction:
    """Encoded pictures in, PNG out.

    Args:
        network: on `lr_image` alone, of one channel (Y) or three.
    """

    def __init__(self, network: ImageNetwork) -> None:
        self.network = network

    def enlarged(self, image_bytes: Tensor) -> dict[str, Tensor]:
        """By the network's own factor."""
        scale = self.network.spec.scale
        assert scale is not None
        image_bytes = checked(image_bytes, float(scale), smallest=SMALLEST_OF_OWN_FACTOR)
        rgba = decoded(image_bytes)
        return self._answer(rgba, bicubic_enlarge_by(rgba, float(scale)), image_bytes)

    def enlarged_by(self, image_bytes: Tensor, scale: Tensor) -> dict[str, Tensor]:
        """By any factor from 1 on."""
        with tf.control_dependencies(
            [tf.debugging.Assert((scale >= 1) & (scale < 1e3), ["scale: expected 1 to 999, received", scale])]
        ):
            scale = tf.identity(scale)
        image_bytes = checked(image_bytes, scale)
        large = bicubic_enlarge_by(decoded(image_bytes), scale)
        return self._answer(large, large, image_bytes)

    def _answer(self, seen: Tensor, large: Tensor, image_bytes: Tensor) -> dict[str, Tensor]:
        """The network on `seen` (1, h, w, 4), joined with the bicubic picture `large` (1, H, W, 4)."""
        rgb = seen[..., :3]
        outputs = self.network({"lr_image": rgb if self._in_colour else rgb_to_y(rgb)}, training=False)
        colours = outputs["estimate"]
        if not self._in_colour:
            ycbcr = rgb_to_ycbcr(large[..., :3])
            colours = ycbcr_to_rgb(ops.concatenate([colours, ycbcr[..., 1:]], -1))
        joined = ops.concatenate([colours, large[..., 3:]], -1)[0]
        rounded = tf.cast(tf.round(tf.clip_by_value(joined, 0.0, 1.0) * 255.0), tf.uint8)
        answer = {"image_bytes": encoded_like(rounded, image_bytes)}
        return answer | ({"kernel": outputs["kernel"]} if "kernel" in outputs else {})

    @property
    def _in_colour(self) -> bool:
        return self.network.spec.num_channels == 3


def checked(image_bytes: Tensor, scale: Tensor | float, *, smallest: int = SMALLEST) -> Tensor:
    """The bytes, once they begin as a PNG or JPEG whose header claims a size that is of use.

    Fails for anything else, and for a picture of more than `MOST_PIXELS`, before or after the enlargement, or
    of a side below `smallest`. What follows must depend on the bytes that are returned.
    """
    is_png = _begins(image_bytes, PNG_MAGIC) & (tf.strings.length(image_bytes) >= PNG_HEADER)
    known = is_png | _begins(image_bytes, JPEG_MAGIC)
    with tf.control_dependencies([tf.debugging.Assert(known, ["image_bytes: expected a PNG or JPEG"])]):
        begun = tf.identity(image_bytes)
    size = tf.cond(is_png, lambda: _png_size(begun), lambda: tf.image.extract_jpeg_shape(begun, tf.int64)[:2])
    num_pixels = tf.reduce_prod(tf.cast(size, tf.float32)) * tf.cast(scale, tf.float32) ** 2
    fits = (num_pixels <= MOST_PIXELS) & tf.reduce_all(size >= smallest)
    said = f"image_bytes: expected sides of {smallest} or more, a result of {MOST_PIXELS} pixels or less"
    with tf.control_dependencies([tf.debugging.Assert(fits, [said, size])]):
        return tf.identity(begun)


def decoded(image_bytes: Tensor) -> Tensor:
    """A PNG or JPEG as R, G, B and alpha, (1, h, w, 4) float32 in [0, 1], upright; gray is R = G = B.

    Colours behind fully transparent pixels are filled from the visible ones.
    """
    png, jpeg = tf.io.decode_png, partial(tf.io.decode_jpeg, dct_method="INTEGER_ACCURATE")
    kind = _colour_type(image_bytes)
    branches = [
        (kind == JPEG, lambda: _with_alpha(jpeg(image_bytes, channels=3))),
        (kind >= GRAY_ALPHA, lambda: png(image_bytes, channels=4)),
    ]
    rgba = tf.case(branches, default=lambda: _with_alpha(png(image_bytes, channels=3)))
    rgba = upright(rgba, orientation(image_bytes, kind != JPEG))
    values = tf.ensure_shape(tf.cast(rgba, tf.float32)[None] / 255.0, (1, None, None, 4))
    return tf.cond(tf.reduce_all(values[..., 3] > 0), lambda: values, lambda: _hidden_filled(values))


def _hidden_filled(rgba: Tensor) -> Tensor:
    """The picture with colours of visible pixels behind hidden ones, as `hsr_tf.pictures.transparency`."""
    visible = tf.cast(rgba[..., 3:] > 0, tf.float32)
    mean = tf.reduce_sum(rgba[..., :3] * visible, (0, 1, 2)) / tf.maximum(tf.reduce_sum(visible), 1.0)
    return tf.ensure_shape(fill_hidden(rgba, mean, ops), (1, None, None, 4))


def encoded_like(rgba: Tensor, image_bytes: Tensor) -> Tensor:
    """(H, W, 4) uint8 as a PNG, gray and with an alpha channel where `image_bytes` is so."""
    kind = _colour_type(image_bytes)
    gray, alpha = rgba[..., :1], rgba[..., 3:]
    is_gray_jpeg = tf.cond(
        kind == JPEG,
        lambda: tf.equal(tf.image.extract_jpeg_shape(image_bytes)[2], 1),
        lambda: tf.constant(False),
    )
    branches = [
        ((kind == GRAY) | is_gray_jpeg, lambda: tf.io.encode_png(gray)),
        (kind == GRAY_ALPHA, lambda: tf.io.encode_png(tf.concat([gray, alpha], -1))),
        (kind == COLOUR_ALPHA, lambda: tf.io.encode_png(rgba)),
    ]
    return tf.case(branches, default=lambda: tf.io.encode_png(rgba[..., :3]))


def _colour_type(image_bytes: Tensor) -> Tensor:
    """That of a PNG's header, `JPEG` for a JPEG."""
    return tf.cond(_begins(image_bytes, PNG_MAGIC), lambda: _byte(image_bytes, 25), lambda: tf.constant(JPEG))


def _images(name: str, num_channels: int) -> tf.TensorSpec:
    return tf.TensorSpec((None, None, None, num_channels), tf.float32, name)


def _begins(image_bytes: Tensor, magic: bytes) -> Tensor:
    length = tf.minimum(tf.strings.length(image_bytes), len(magic))
    return tf.equal(tf.strings.substr(image_bytes, 0, length), magic)


def _byte(image_bytes: Tensor, place: int) -> Tensor:
    return tf.cast(tf.io.decode_raw(tf.strings.substr(image_bytes, place, 1), tf.uint8)[0], tf.int32)


def _png_size(image_bytes: Tensor) -> Tensor:
    """Height and width of the header; a file that ends within it fails."""
    width, height = (_big_endian(image_bytes, place) for place in (16, 20))
    return tf.stack([height, width])


def _big_endian(image_bytes: Tensor, place: int) -> Tensor:
    digits = tf.io.decode_raw(tf.strings.substr(image_bytes, place, 4), tf.uint8)
    return tf.reduce_sum(tf.cast(digits, tf.int64) * tf.constant([2**24, 2**16, 2**8, 1], tf.int64))


def _with_alpha(rgb: Tensor) -> Tensor:
    return tf.concat([rgb, tf.fill([*tf.unstack(tf.shape(rgb)[:2]), 1], tf.constant(255, tf.uint8))], -1)
