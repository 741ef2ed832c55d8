"""The orientation that an exported model reads is that of Pillow; damage means upright."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from export.orientation import orientation, upright

VALUES = np.random.default_rng(3).integers(0, 256, (9, 14, 3)).astype(np.uint8)


@tf.function(input_signature=[tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.bool)], autograph=False)
def read(image_bytes: tf.Tensor, is_png: tf.Tensor) -> tf.Tensor:
    return orientation(image_bytes, is_png)


@tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.uint8), tf.TensorSpec((), tf.int64)])
def applied(image: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    return upright(image, turn)


def found_in(data: bytes, form: str) -> int:
    return int(read(tf.constant(data), tf.constant(form == "PNG")))


def encoded(form: str, exif: Image.Exif | bytes | None) -> bytes:
    with io.BytesIO() as file:
        Image.fromarray(VALUES).save(file, form, **({} if exif is None else {"exif": exif}))
        return file.getvalue()


def block(number: int, order: str = "<", kind: int = 3) -> bytes:
    """An EXIF block with a tag before the orientation."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, 2)
    value = struct.pack(f"{order}{'HH' if kind == 3 else 'I'}", *([number, 0] if kind == 3 else [number]))
    tags = struct.pack(f"{order}HHI4s", 0x010F, 2, 2, b"A\0\0\0")
    return b"Exif\0\0" + head + tags + struct.pack(f"{order}HHI", 0x0112, kind, 1) + value + bytes(4)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize("number", range(1, 9))
def test_pixels_are_upright_as_pillow_makes_them(form: str, number: int) -> None:
    data = encoded(form, block(number))
    assert found_in(data, form) == number
    image = Image.open(io.BytesIO(data))
    expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(applied(np.asarray(image), number), expected)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_both_byte_orders_and_long_numbers_are_read(form: str) -> None:
    assert [found_in(encoded(form, block(6, o, k)), form) for o in "<>" for k in (3, 4)] == [6] * 4


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_damage_means_upright(form: str) -> None:
    whole = encoded(form, block(6))
    at = whole.index(b"\x2a\0") - 2
    assert found_in(whole[: at + 12], form) == 1
    for place, byte in ((at + 4, 255), (at + 8, 0), (at + 30, 9), (at, 0)):
        data = bytearray(whole)
        data[place] = byte
        assert found_in(bytes(data), form) in (1, 6)
    assert found_in(encoded(form, None), form) == 1
    assert found_in(encoded(form, block(9)), form) == 1
    assert found_in(whole[:2], form) == found_in(b"", form) == 1


def test_the_segments_of_a_jpeg_are_walked() -> None:
    whole = encoded("JPEG", block(8))
    other = b"\xff\xe1" + struct.pack(">H", 2 + 10) + b"http://ns\0"
    assert found_in(whole[:2] + other + b"\xff" + whole[2:], "JPEG") == 8
    assert found_in(whole[:2] + b"\xff\xe1\0\0" + whole[2:], "JPEG") == 1
