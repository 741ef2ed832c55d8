"""The largest rectangle of coarse pixels in which both images have data, for what filled holes would mislead.

Estimates of PSF and response believe every pixel; the corners that a reprojected cube leaves empty, filled
from their neighbours for the solve, would pass for blur.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hsr_tf.scene import Observation
from hsr_tf.tiling.region import Region

LARGEST_SIDE, FEWEST_PIXELS = 256, 12


def largest_rectangle(mask: NDArray[np.bool_]) -> Region:
    """The rectangle of most pixels that are all True; empty where none is.

    Row by row, the largest rectangle below the histogram of True pixels above it, by a stack. Masks of more
    than 256 pixels a side are looked at in blocks, which have to be True throughout.
    """
    step = max(1, -(-max(mask.shape) // LARGEST_SIDE))
    height, width = (n // step for n in mask.shape)
    cut = mask[: height * step, : width * step]
    blocks: NDArray[np.bool_] = np.asarray(cut.reshape(height, step, width, step).all((1, 3)))
    best, found = 0, (0, 0, 0, 0)
    depths = np.zeros(width, int)
    for row in range(height):
        depths = np.where(blocks[row], depths + 1, 0)
        stack: list[tuple[int, int]] = []
        for col, depth in enumerate([*depths.tolist(), 0]):
            start = col
            while stack and stack[-1][1] >= depth:
                start, tall = stack.pop()
                if tall * (col - start) > best:
                    best, found = tall * (col - start), (row + 1 - tall, row + 1, start, col)
            stack.append((start, depth))
    top, bottom, left, right = (step * place for place in found)
    return Region(top, left, bottom - top, right - left)


def part_of(observation: Observation, part: Region) -> Observation:
    """These coarse pixels and the sharp ones on them, without grids and masks: for estimates only."""
    scale = observation.scale
    lr_hsi, hr_msi = (
        replace(image, cube=image.cube[region.slices], nodata_mask=None, georeference=None)
        for image, region in ((observation.lr_hsi, part), (observation.hr_msi, part.scaled(scale)))
    )
    return Observation(lr_hsi, hr_msi, scale)


def estimable_part(
    observation: Observation, trusted: NDArray[np.bool_]
) -> tuple[Observation, NDArray[np.bool_] | None]:
    """What cameras are estimated from: images, and the coarse pixels that count, None for all.

    Pixels count that are trusted with all their neighbours, which a blur mixes in. Where the largest
    rectangle of trusted pixels has as many of these, it is the images.

    Args:
        observation: X (h, w, C) and Y.
        trusted: (h, w), False where either image has no data.
    """
    if trusted.all():
        return observation, None
    counted = ndimage.binary_erosion(trusted, np.ones((3, 3)), border_value=1)
    part = whole_part(observation, trusted)
    if part is observation:
        return observation, counted if counted.sum() >= FEWEST_PIXELS**2 else None
    height, width = part.lr_hsi.shape[:2]
    inside = max(0, height - 2) * max(0, width - 2)
    return (observation, counted) if counted.sum() > inside else (part, None)


def whole_part(observation: Observation, trusted: NDArray[np.bool_]) -> Observation:
    """The part of most coarse pixels that are all trusted; all of it where that is too small to learn from.

    Args:
        observation: X (h, w, C) and Y.
        trusted: (h, w), False where either image has no data.
    """
    if trusted.all():
        return observation
    part = largest_rectangle(trusted)
    return part_of(observation, part) if min(part.size) >= FEWEST_PIXELS else observation
