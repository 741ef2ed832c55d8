"""BT.601 against scikit-image, against values worked by hand, and back."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops
from skimage.color import rgb2ycbcr, ycbcr2rgb

from hsr_tf.arrays import color

PICTURE = np.random.default_rng(1).integers(0, 256, (7, 5, 3)).astype(np.uint8)
FLOAT = PICTURE / 255


def converted(function, image: np.ndarray) -> np.ndarray:
    return ops.convert_to_numpy(function(ops.convert_to_tensor(image)))


def test_ycbcr_agrees_with_scikit_image() -> None:
    np.testing.assert_allclose(converted(color.rgb_to_ycbcr, FLOAT), rgb2ycbcr(FLOAT) / 255, atol=1e-12)
    single = converted(color.rgb_to_ycbcr, FLOAT.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, rgb2ycbcr(FLOAT) / 255, atol=3e-7)


def test_the_way_back_agrees_with_scikit_image_and_closes() -> None:
    ycbcr = rgb2ycbcr(FLOAT)
    np.testing.assert_allclose(converted(color.ycbcr_to_rgb, ycbcr / 255), ycbcr2rgb(ycbcr), atol=1e-12)
    there = converted(color.rgb_to_ycbcr, FLOAT.astype(np.float32))
    np.testing.assert_allclose(converted(color.ycbcr_to_rgb, there), FLOAT, atol=2e-6)


def test_the_corners_of_the_standard() -> None:
    corners = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 0, 1.0]])
    steps = 255 * converted(color.rgb_to_ycbcr, corners)
    np.testing.assert_allclose(steps[0], [16, 128, 128], atol=1e-9)
    np.testing.assert_allclose(steps[1], [235, 128, 128], atol=1e-9)
    np.testing.assert_allclose(steps[2, 2], 240, atol=1e-9)
    np.testing.assert_allclose(steps[3, 1], 240, atol=1e-9)


def test_luminance_alone_is_the_first_of_the_three() -> None:
    np.testing.assert_allclose(
        converted(color.rgb_to_y, FLOAT), converted(color.rgb_to_ycbcr, FLOAT)[..., :1], atol=1e-14
    )


def test_gray_counts_as_equal_channels() -> None:
    gray = FLOAT[..., 0]
    as_color = converted(color.rgb_to_y, np.stack([gray] * 3, -1))[..., 0]
    np.testing.assert_allclose(color.gray_to_y(gray), as_color, atol=1e-12)
    np.testing.assert_allclose(color.y_to_gray(color.gray_to_y(gray)), gray, atol=1e-14)
    steps = PICTURE[..., 0]
    np.testing.assert_array_equal(color.luma_8bit(steps), color.luma_8bit(np.stack([steps] * 3, -1)))


def test_luminance_of_8_bits_is_the_rounded_one() -> None:
    found = color.luma_8bit(PICTURE)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.rint(rgb2ycbcr(PICTURE)[..., 0]))


@pytest.mark.parametrize("function", [color.rgb_to_ycbcr, color.ycbcr_to_rgb, color.rgb_to_y])
def test_arrays_stay_arrays_and_are_what_tensors_are(function) -> None:
    for image in (FLOAT, FLOAT.astype(np.float32), FLOAT[None, ::2]):
        found = function(image)
        assert isinstance(found, np.ndarray)
        assert found.dtype == image.dtype
        np.testing.assert_allclose(found, converted(function, image), atol=2e-7)


@pytest.mark.parametrize("function", [color.rgb_to_ycbcr, color.ycbcr_to_rgb, color.rgb_to_y])
def test_other_channels_are_refused(function) -> None:
    with pytest.raises(ValueError, match=r"expected three channels .* got \(4, 6, 4\)"):
        function(np.zeros((4, 6, 4), np.float32))


@pytest.mark.parametrize("picture", [np.zeros((3, 4, 3)), np.zeros((3, 4, 4), np.uint8)])
def test_other_pictures_are_refused_by_the_8_bit_luminance(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="picture: expected"):
        color.luma_8bit(picture)
