"""Opacity (alpha) of an image that is to be fused: no band of it, but the mask of where it holds data.

A pixel that is fully transparent holds no data. A pixel that is partly transparent holds data, its colour as
it is without its opacity: colours that alpha was multiplied into are divided by it. Bands marked as opacity
that carry a wavelength or a name of their own stay bands: some programs mark every fourth band so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.io.source import MaskReader, PartReader

REPORT = "opacity"
FROM_ALPHA = "an alpha channel: fully transparent pixels hold no data"
FROM_MASK = "a mask in the file: masked pixels hold no data"
ALPHA_NAMES = ("", "alpha", "opacity", "transparency", "mask")


def split_opacity(
    read: PartReader, alpha: int, *, num_bands: int, multiplied: bool
) -> tuple[PartReader, MaskReader]:
    """Return readers of the bands without the opacity, and of the pixels without data.

    Args:
        read: gives all bands, opacity among them.
        alpha: index of the opacity.
        num_bands: the number of bands without it.
        multiplied: whether it was multiplied into the bands.
    """

    def opacity(rows: slice, cols: slice) -> NDArray[Any]:
        return read(slice(alpha, alpha + 1), rows, cols)

    def colours(bands: slice, rows: slice, cols: slice) -> NDArray[Any]:
        wanted = [band + (band >= alpha) for band in range(*bands.indices(num_bands))]
        values = read(slice(wanted[0], wanted[-1] + 1), rows, cols)
        if len(wanted) < len(values):
            values = values[[band - wanted[0] for band in wanted]]
        return straight(values, opacity(rows, cols)) if multiplied else values

    def transparent(rows: slice, cols: slice) -> NDArray[np.bool_]:
        return np.asarray(opacity(rows, cols)[0] == 0)

    return colours, transparent


def straight(colours: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Return colours without the alpha that was multiplied into them; 0 where nothing is seen."""
    whole = colours.dtype.kind in "ui"
    largest = float(np.iinfo(colours.dtype).max) if whole else 1.0
    opacity = alpha.astype(np.float64)
    factor = np.divide(largest, opacity, out=np.zeros_like(opacity), where=opacity > 0)
    values = colours * factor
    return (np.rint(np.minimum(values, largest)) if whole else values).astype(colours.dtype)
