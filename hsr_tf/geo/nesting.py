"""How the pixels of a coarse and of a sharp grid go together: ratio, common ground, what has to be resampled.

Places are counted in pixels from the outer corner of the first one, as in `hsr_tf.geo.georeference`. Three
cases:

- parallel grids whose ratio is whole: both images are cropped and nothing is resampled. A coarse grid that
  lies a fraction of a sharp pixel off keeps it as a shift, for the PSF: interpolating the sharp image would
  take away the detail that it is there for, and interpolating the coarse one would mix its noise.
- parallel grids of another ratio: the sharp image is resampled to the nearest whole one.
- all others (turned, or in another coordinate system): the coarse image is resampled onto cells of s x s
  sharp pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsr_tf import checks
from hsr_tf.geo.sensor_model import SensorModel

Places = NDArray[np.float64]
Mapping2D = Callable[[Places], Places]
LARGEST_DRIFT = 0.1
SMALLEST_RATIO = 1.5
NONE, COARSE, SHARP = "none", "lr_hsi", "hr_msi"


@dataclass(frozen=True)
class PixelMap:
    """Places on the coarse grid to places on the sharp one, (n, 2) rows and columns.

    Attributes:
        to_sharp: the map.
        straight: whether it is affine, as it is within one coordinate system.
    """

    to_sharp: Mapping2D
    straight: bool

    def slope(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """(2, 2) sharp rows and columns (first axis) a coarse row and column, in the middle of the image."""
        middle = np.array(size, float) / 2
        ahead, behind = (self.to_sharp(middle + step * np.eye(2)) for step in (0.5, -0.5))
        return np.asarray((ahead - behind).T)


@dataclass(frozen=True)
class GridPlan:
    """How two grids are brought together.

    Attributes:
        scale: s.
        lr_rows, lr_cols: the coarse pixels on the common ground; where the coarse image is resampled, all.
        hr_rows, hr_cols: the same of the sharp ones; where the sharp image is resampled, all.
        resampled: "none", "lr_hsi" or "hr_msi".
        shift: (rows, columns) in sharp pixels at which the first coarse pixel's corner lies off `hr_rows`
            and `hr_cols`; zero where something is resampled.
    """

    scale: int
    lr_rows: slice
    lr_cols: slice
    hr_rows: slice
    hr_cols: slice
    resampled: str
    shift: tuple[float, float] = (0.0, 0.0)


def plan_grids(mapping: PixelMap, lr_size: tuple[int, int], hr_size: tuple[int, int]) -> GridPlan | None:
    """The plan for two images of these (rows, columns); None where they have no coarse pixel in common.

    Raises:
        ValueError: coarse pixels that are no larger than the sharp ones.
    """
    slope = mapping.slope(lr_size)
    if not np.isfinite(slope).all():
        return None
    ratio = float(np.sqrt(abs(np.linalg.det(slope))))
    # Refuse pairs of which nothing can be made sharper.
    checks.require(
        ratio >= SMALLEST_RATIO,
        "hr_msi",
        expected=f"pixels at least {SMALLEST_RATIO:g} times smaller than those of lr_hsi",
        received=f"a ratio of {ratio:.3g}",
        remedy="check that the two files are not swapped" if ratio < 1 else "there is little to sharpen",
    )
    scale = max(2, round(ratio))
    drift = np.abs(slope - scale * np.eye(2)) * np.array(lr_size)
    if mapping.straight and drift.max() <= LARGEST_DRIFT:
        return _cropped(mapping, lr_size, hr_size, scale)
    if is_parallel(mapping, lr_size):
        return _sharp_resampled(mapping, lr_size, hr_size, scale)
    return _coarse_resampled(mapping, lr_size, hr_size, scale)


def _cropped(
    mapping: PixelMap, lr_size: tuple[int, int], hr_size: tuple[int, int], scale: int
) -> GridPlan | None:
    """Whole coarse pixels inside the sharp image."""
    origin = mapping.to_sharp(np.zeros((1, 2)))[0]
    whole = np.round(origin).astype(int)
    first = np.maximum(0, -(whole // scale))
    last = np.minimum(lr_size, (np.array(hr_size) - whole) // scale)
    if (last <= first).any():
        return None
    lr = [slice(int(a), int(b)) for a, b in zip(first, last, strict=True)]
    corners = [(int(o + scale * a), int(o + scale * b)) for o, a, b in zip(whole, first, last, strict=True)]
    hr = [slice(*corner) for corner in corners]
    shift = (float(origin[0] - whole[0]), float(origin[1] - whole[1]))
    return GridPlan(scale, lr[0], lr[1], hr[0], hr[1], NONE, shift)


def is_parallel(mapping: PixelMap, size: tuple[int, int]) -> bool:
    """Whether rows of an image of (rows, columns) stay rows, and pixels keep their shape."""
    if not mapping.straight:
        return False
    slope = mapping.slope(size)
    turned = np.abs(slope[[0, 1], [1, 0]]) * np.array(size)[::-1]
    down, right = slope[0, 0], slope[1, 1]
    return bool(turned.max() <= LARGEST_DRIFT and min(down, right) > 0 and abs(down / right - 1) < 0.01)


def moved_model(model: SensorModel | None, mapping: PixelMap, size: tuple[int, int]) -> SensorModel | None:
    """The sensor model of an image of (rows, columns) whose places a map takes to those of `model`.

    None where the rows and columns of the two images are not parallel.
    """
    if model is None or not is_parallel(mapping, size):
        return None
    (row, col), slope = mapping.to_sharp(np.zeros((1, 2)))[0].tolist(), mapping.slope(size)
    return model.on_pixels((float(slope[0, 0]), float(slope[1, 1])), (row, col))


def _sharp_resampled(
    mapping: PixelMap, lr_size: tuple[int, int], hr_size: tuple[int, int], scale: int
) -> GridPlan | None:
    """Whole coarse pixels inside the sharp image, which is to be resampled."""
    origin, slope = mapping.to_sharp(np.zeros((1, 2)))[0], np.diag(mapping.slope(lr_size))
    first = np.maximum(0, np.ceil((0 - origin) / slope - 1e-6)).astype(int)
    last = np.minimum(lr_size, np.floor((np.array(hr_size) - origin) / slope + 1e-6)).astype(int)
    if (last <= first).any():
        return None
    lr = [slice(int(a), int(b)) for a, b in zip(first, last, strict=True)]
    return GridPlan(scale, lr[0], lr[1], slice(0, hr_size[0]), slice(0, hr_size[1]), SHARP)


def _coarse_resampled(
    mapping: PixelMap, lr_size: tuple[int, int], hr_size: tuple[int, int], scale: int
) -> GridPlan | None:
    """Cells of s x s sharp pixels within the box around the coarse image."""
    edge = mapping.to_sharp(_outline(lr_size))
    edge = edge[np.isfinite(edge).all(1)]
    if not len(edge):
        return None
    first = np.maximum(0, np.ceil(edge.min(0) - 1e-6)).astype(int)
    cells = (np.minimum(hr_size, np.floor(edge.max(0) + 1e-6)).astype(int) - first) // scale
    if (cells < 1).any():
        return None
    hr = [slice(int(a), int(a + scale * n)) for a, n in zip(first, cells, strict=True)]
    return GridPlan(scale, slice(0, lr_size[0]), slice(0, lr_size[1]), hr[0], hr[1], COARSE)


def _outline(size: tuple[int, int], steps: int = 33) -> Places:
    """(n, 2) places along the border of an image."""
    along, (height, width) = np.linspace(0, 1, steps), size
    zero, one = np.zeros(steps), np.ones(steps)
    sides = [(along, zero), (along, one), (zero, along), (one, along)]
    return np.concatenate([np.stack([rows * height, cols * width], 1) for rows, cols in sides])
