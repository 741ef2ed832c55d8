"""Finite differences of an image, their adjoint, the inverse that ADMM needs, the shrinkage of vector TV."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Image = NDArray[np.float32]
NUM_THREADS = 2


class Gradients:
    """Forward differences along rows and columns of (H, W, K), zero across the border or wrapping around.

    Args:
        shape: (H, W).
        border: "mirrored" (no difference across the border) or "circular".
    """

    def __init__(self, shape: tuple[int, int], border: str) -> None:
        self._wraps = border == "circular"
        turns = [(2.0 if self._wraps else 1.0) * np.pi * np.arange(n) / n for n in shape]
        if self._wraps:
            turns[1] = turns[1][: shape[1] // 2 + 1]
        rows, columns = (2.0 - 2.0 * np.cos(turn) for turn in turns)
        self._spectrum = (rows[:, None] + columns[None])[..., None].astype(np.float32)

    def forward(self, image: Image) -> Image:
        """(H, W, K) to (2, H, W, K)."""
        differences = np.zeros((2, *image.shape), image.dtype)
        np.subtract(image[1:], image[:-1], out=differences[0, :-1])
        np.subtract(image[:, 1:], image[:, :-1], out=differences[1, :, :-1])
        if self._wraps:
            differences[0, -1] = image[0] - image[-1]
            differences[1, :, -1] = image[:, 0] - image[:, -1]
        return differences

    def adjoint(self, differences: Image) -> Image:
        """(2, H, W, K) to (H, W, K)."""
        down, right = differences
        image = np.zeros(down.shape, down.dtype)
        image[:-1] -= down[:-1]
        image[1:] += down[:-1]
        image[:, :-1] -= right[:, :-1]
        image[:, 1:] += right[:, :-1]
        if self._wraps:
            image[-1] -= down[-1]
            image[0] += down[-1]
            image[:, -1] -= right[:, -1]
            image[:, 0] += right[:, -1]
        return image

    def invert(self, image: Image) -> Image:
        """(1 + adjoint forward)^-1 of (H, W, K), exactly: DCT-II, or DFT where it wraps around."""
        axes = (0, 1)
        gain = 1.0 + self._spectrum
        if self._wraps:
            spectrum = scipy.fft.rfft2(image, axes=axes, workers=NUM_THREADS) / gain
            back = scipy.fft.irfft2(spectrum, s=image.shape[:2], axes=axes, workers=NUM_THREADS)
        else:
            spectrum = scipy.fft.dctn(image, axes=axes, norm="ortho", workers=NUM_THREADS) / gain
            back = scipy.fft.idctn(spectrum, axes=axes, norm="ortho", workers=NUM_THREADS)
        return np.asarray(back, image.dtype)


def lengths(differences: Image) -> Image:
    """Length of each pixel's gradient over both directions and all bands, (1, H, W, 1)."""
    return np.asarray(np.sqrt(np.einsum("dhwk,dhwk->hw", differences, differences))[None, :, :, None])


def shrink(differences: Image, threshold: Image | float) -> Image:
    """Each pixel's gradient shortened by `threshold`, at most to zero: the proximal map of vector TV."""
    length = lengths(differences)
    return differences * np.maximum(1.0 - threshold / np.maximum(length, 1e-12), 0.0).astype(np.float32)
