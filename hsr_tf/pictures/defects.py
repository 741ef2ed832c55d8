"""Noise and compression of a picture, which networks trained on clean pictures sharpen.

Noise: the difference operator N of Immerkaer, "Fast noise variance estimation", Computer Vision and Image
Understanding 64(2), 1996, which no plane and no straight edge along an axis raises. Departure: not the mean
over the picture, which texture raises, but the smoothest tenth of its blocks of 8 x 8 pixels, so that the
estimate is about 15 % low. Colour pictures are also measured in G - (R + B) / 2, where texture, which is
alike in all channels, cancels and the noise of each channel does not.
"""

from __future__ import annotations

import numpy as np

BLOCK, PERCENT = 8, 10
NOISY = 7.0
LOW_QUALITY = 75
AGAINST_RED_AND_BLUE = np.array([-0.5, 1, -0.5], np.float32)


def noise_level(values: np.ndarray) -> float:
    """Estimate the deviation of white noise in steps of 1 / 255; 0 for pictures too small to tell.

    Args:
        values: (H, W, C) uint8 or uint16; with 2 or 4 channels the last one is alpha, which is left out.
    """
    steps = values[..., : 3 if values.shape[2] >= 3 else 1] * np.float32(255 / np.iinfo(values.dtype).max)
    levels = [_smoothest(steps.mean(axis=-1))]
    if steps.shape[2] == 3:
        levels.append(_smoothest(steps @ AGAINST_RED_AND_BLUE) / float(np.sqrt(1.5)))
    return max(levels)


def _smoothest(image: np.ndarray) -> float:
    """The deviation of noise in the smoothest tenth of the blocks of (H, W)."""
    along = image[:-2] - 2 * image[1:-1] + image[2:]
    both = along[:, :-2] - 2 * along[:, 1:-1] + along[:, 2:]
    height, width = (n - n % BLOCK for n in both.shape)
    if not height or not width:
        return 0.0
    blocks = both[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return float(np.percentile(np.sqrt((blocks**2).mean(axis=(1, 3))) / 6, PERCENT))


def defect(values: np.ndarray, jpeg_quality: int | None) -> str | None:
    """What makes a picture unfit for networks trained on clean pictures, in words; None for nothing found.

    Args:
        values: (H, W, C) uint8 or uint16.
        jpeg_quality: of the file; None for other formats.
    """
    if jpeg_quality is not None and jpeg_quality <= LOW_QUALITY:
        return f"is a JPEG of quality {jpeg_quality}"
    level = noise_level(values)
    return f"looks noisy (deviation about {level:.0f} of 255)" if level >= NOISY else None
