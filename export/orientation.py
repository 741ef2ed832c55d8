"""The EXIF orientation of an encoded JPEG or PNG, read and applied by operators of an exported model.

A JPEG has it in its first segment APP1 that begins with `Exif`, a PNG in its chunk eXIf; both hold a small
TIFF file. Damaged or missing metadata mean orientation 1. Sources: ITU-T T.81, annex B; PNG specification,
third edition, section 11.3; CIPA DC-008 (EXIF 3.0), section 4.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from hsr_tf.typing import Tensor

TAG, SHORT, LONG = 0x0112, 3, 4
MOST_TAGS = 1024
BEYOND = 16
NOT_FOUND = -1


def orientation(image_bytes: Tensor, is_png: Tensor) -> Tensor:
    """The orientation, int64 from 1 to 8.

    Args:
        image_bytes: () string, a PNG or JPEG.
        is_png: () bool, which of the two.
    """
    data = tf.concat([tf.io.decode_raw(image_bytes, tf.uint8), tf.zeros(BEYOND, tf.uint8)], 0)
    found = tf.cond(is_png, lambda: _in_png(data), lambda: _in_jpeg(data))
    return tf.cond(found >= 0, lambda: _of_exif(data, found), lambda: tf.constant(1, tf.int64))


def upright(image: Tensor, turn: Tensor) -> Tensor:
    """Rotate and flip (h, w, C) as its orientation says."""
    image = tf.cond(turn >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    for axis, turns in ((0, (3, 4, 7, 8)), (1, (2, 3, 6, 7))):
        image = tf.cond(
            _is_one_of(turn, turns), lambda i=image, a=axis: tf.reverse(i, [a]), lambda i=image: i
        )
    return image


def _in_png(data: Tensor) -> Tensor:
    """Where the content of the chunk eXIf begins; -1 without one."""
    end = tf.size(data, tf.int64) - BEYOND

    def body(place: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
        here = _begins(data, place + 4, b"eXIf")
        return place + 12 + _number(data, place, 4, True), tf.where(here, place + 8, found)

    return _walked(body, 8, end)


def _in_jpeg(data: Tensor) -> Tensor:
    """Where the EXIF block begins among the segments before the scan; -1 without one."""
    end = tf.size(data, tf.int64) - BEYOND

    def body(place: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
        first, marker = _number(data, place, 1, True), _number(data, place + 1, 1, True)
        length = _number(data, place + 2, 2, True)
        filled = (first == 0xFF) & (marker == 0xFF)
        last = (first != 0xFF) | _is_one_of(marker, (0xDA, 0xD9)) | ((length < 2) & ~filled)
        here = (marker == 0xE1) & _begins(data, place + 4, b"Exif\0\0") & ~last
        after = tf.where(filled, place + 1, tf.where(last, end, place + 2 + length))
        return after, tf.where(here, place + 10, found)

    return _walked(body, 2, end)


def _walked(body: Any, start: int, end: Tensor) -> Tensor:
    """What `body` finds from `start` on; every step goes forward."""
    begin = (tf.constant(start, tf.int64), tf.constant(NOT_FOUND, tf.int64))
    return tf.while_loop(lambda place, found: (place < end) & (found < 0), body, begin)[1]


def _of_exif(data: Tensor, start: Tensor) -> Tensor:
    """The orientation in an EXIF block that begins there."""
    is_big = _begins(data, start, b"MM")
    first = start + _number(data, start + 4, 4, is_big)
    num_tags = tf.minimum(_number(data, first, 2, is_big), MOST_TAGS)
    places = first + 2 + 12 * tf.range(num_tags)
    right = (_number(data, places, 2, is_big) == TAG) & (_number(data, places + 4, 4, is_big) == 1)
    kinds = _number(data, places + 2, 2, is_big)
    short, long = _number(data, places + 8, 2, is_big), _number(data, places + 8, 4, is_big)
    values = tf.where(kinds == SHORT, short, tf.where(kinds == LONG, long, 1))
    known = right & (values >= 1) & (values <= 8)
    return tf.concat([tf.boolean_mask(values, known), tf.constant([1], tf.int64)], 0)[0]


def _number(data: Tensor, place: Tensor, size: int, is_big: Tensor | bool) -> Tensor:
    """The whole numbers of `size` bytes at places, int64; zeros past the end."""
    last = tf.size(data, tf.int64) - 1
    digits = [tf.cast(tf.gather(data, tf.minimum(place + i, last)), tf.int64) for i in range(size)]
    big = sum(digit * 256 ** (size - 1 - i) for i, digit in enumerate(digits))
    little = sum(digit * 256**i for i, digit in enumerate(digits))
    return tf.where(is_big, big, little)


def _begins(data: Tensor, place: Tensor, magic: bytes) -> Tensor:
    parts = [_number(data, place + i, 1, True) == byte for i, byte in enumerate(magic)]
    return tf.reduce_all(tf.stack(parts))


def _is_one_of(value: Tensor, known: Sequence[int]) -> Tensor:
    return tf.reduce_any(tf.equal(value, tf.constant(known, value.dtype)))
