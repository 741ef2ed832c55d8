"""RGB and YCbCr of ITU-R BT.601 with the ranges of television, as MATLAB's rgb2ycbcr computes them.

All values are fractions: R, G, B in [0, 1] give Y in [16, 235] / 255 and Cb, Cr in [16, 240] / 255. Channels
come last. NumPy arrays are converted by NumPy and stay so, tensors by `keras.ops`, which is loaded for them
alone. The matrix is BT.601's, with the digits that MATLAB's documentation gives (65.481, 128.553, ...);
its inverse is computed from it, so that there and back changes nothing but the last digit.
"""

from __future__ import annotations

import numpy as np

from hsr_tf import checks
from hsr_tf.typing import Tensor

# Rows Y, Cb, Cr; columns R, G, B; in steps of 1/255.
MATRIX = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
OFFSET = np.array([16.0, 128.0, 128.0]) / 255
Y_OF_BLACK, Y_OF_WHITE = 16 / 255, 235 / 255


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """Y, Cb and Cr (..., 3) of R, G and B (..., 3) in [0, 1]; floating point, nothing is rounded.

    Raises:
        ValueError: when the last axis is not of three channels.
    """
    _require_three("rgb", rgb)
    return _product(rgb, MATRIX.T) + _as(rgb, OFFSET)


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    """The inverse of `rgb_to_ycbcr`; colours that no RGB triple has fall outside [0, 1].

    Raises:
        ValueError: when the last axis is not of three channels.
    """
    _require_three("ycbcr", ycbcr)
    return _product(ycbcr - _as(ycbcr, OFFSET), np.linalg.inv(MATRIX).T)


def rgb_to_y(rgb: Tensor) -> Tensor:
    """The luminance Y alone, (..., 3) -> (..., 1), in [16, 235] / 255.

    Raises:
        ValueError: when the last axis is not of three channels.
    """
    _require_three("rgb", rgb)
    return _product(rgb, MATRIX[:1].T) + Y_OF_BLACK


def gray_to_y(gray: Tensor) -> Tensor:
    """Y of gray values in [0, 1], that is of R = G = B."""
    return Y_OF_BLACK + (Y_OF_WHITE - Y_OF_BLACK) * gray


def y_to_gray(y: Tensor) -> Tensor:
    """The inverse of `gray_to_y`."""
    return (y - Y_OF_BLACK) / (Y_OF_WHITE - Y_OF_BLACK)


def luma_8bit(picture: np.ndarray) -> np.ndarray:
    """Y rounded to whole steps, as rgb2ycbcr gives it for 8-bit pictures.

    Papers score on it: their reference is this array divided by 255.

    Args:
        picture: (H, W, 3) uint8 RGB; (H, W) or (H, W, 1) gray, which counts as R = G = B.

    Returns:
        (H, W) uint8 in 16 ... 235; halves are rounded up.

    Raises:
        ValueError: another type or shape.
    """
    picture = np.asarray(picture)
    gray = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 1)
    checks.require(
        picture.dtype == np.uint8 and (gray or (picture.ndim == 3 and picture.shape[2] == 3)),
        "picture",
        expected="(H, W, 3) or gray, uint8",
        received=f"{picture.shape}, {picture.dtype}",
        remedy="drop alpha and scale it to 0 ... 255 first",
    )
    channels = picture.reshape(*picture.shape[:2], -1).astype(np.float64)
    weights = np.full(1, MATRIX[0].sum()) if gray else MATRIX[0]
    return np.floor(channels @ weights + 16 + 0.5).astype(np.uint8)


def _product(image: Tensor, matrix: np.ndarray) -> Tensor:
    """(..., n) times (n, m), of the image's type."""
    if isinstance(image, np.ndarray):
        return (image.reshape(-1, image.shape[-1]) @ _as(image, matrix)).reshape(*image.shape[:-1], -1)
    from keras import ops

    return ops.matmul(image, _as(image, matrix))


def _as(x: Tensor, values: np.ndarray) -> Tensor:
    if isinstance(x, np.ndarray):
        return values.astype(x.dtype)
    from keras import ops

    return ops.convert_to_tensor(values, dtype=x.dtype)


def _require_three(name: str, image: Tensor) -> None:
    checks.require(
        image.shape[-1] == 3,
        name,
        expected="three channels along the last axis",
        received=str(tuple(image.shape)),
        remedy="repeat a gray picture three times, and drop alpha",
    )
