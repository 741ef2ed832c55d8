"""Whether two images show the same ground the same way round: correlation under the eight symmetries.

The sharp image, reduced to the coarse pixels by means over cells, is regressed on the four leading principal
components of the coarse cube. The multiple correlation (adjusted for the number of regressors, mean of the
channels) needs no response and no units; both images are smoothed by one coarse pixel first, so that a shift
of a pixel or a noisy band does not hide it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hsr_tf.pair_check.findings import ERROR, OK, WARNING, Finding
from hsr_tf.scene import Scene

Array = NDArray[np.float64]
NUM_COMPONENTS, SMOOTHING, LARGEST_SIDE = 4, 1.0, 256
CLEARLY, SAME_PLACE, HARDLY = 0.1, 0.6, 0.3
# What the sharp image needs: quarter turns counterclockwise, after an exchange of rows and columns or not.
SYMMETRIES = (
    ("as it is", 0, False),
    ("turned by 90 degrees counterclockwise", 1, False),
    ("turned by 180 degrees", 2, False),
    ("turned by 90 degrees clockwise", 3, False),
    ("with rows and columns exchanged", 0, True),
    ("mirrored top to bottom", 1, True),
    ("with rows and columns exchanged and turned by 180 degrees", 2, True),
    ("mirrored left to right", 3, True),
)


@dataclass(frozen=True)
class Likeness:
    """How much a symmetry of the sharp image is like the coarse one.

    Attributes:
        how: the symmetry in words.
        correlation: 0 to 1.
    """

    how: str
    correlation: float


def likenesses(lr_hsi: Scene, hr_msi: Scene) -> list[Likeness]:
    """The symmetries under which the sizes fit, "as it is" first, and the correlation of each."""
    components = _components(lr_hsi)
    found = []
    for how, turns, exchanged in SYMMETRIES:
        sharp = turned(_filled(hr_msi), turns, exchanged=exchanged)
        cells = cell_means(sharp, lr_hsi.shape[:2])
        if cells is not None:
            found.append(Likeness(how, _correlation(components, cells, _step(lr_hsi))))
    return found


def turned(cube: NDArray[Any], turns: int, *, exchanged: bool) -> NDArray[Any]:
    """A cube (H, W, C) under a symmetry; see `SYMMETRIES`."""
    return np.rot90(cube.swapaxes(0, 1) if exchanged else cube, turns)


def cell_means(cube: NDArray[Any], size: tuple[int, int]) -> Array | None:
    """(h, w, c) means over s x s pixels; None where the sizes have no ratio s."""
    (height, width), (rows, cols, channels) = size, cube.shape
    scale = rows // height
    if scale < 1 or (height * scale, width * scale) != (rows, cols):
        return None
    return np.asarray(cube.reshape(height, scale, width, scale, channels).mean((1, 3), dtype=np.float64))


def orientation_findings(found: list[Likeness]) -> list[Finding]:
    """The verdict on these likenesses, of which the first is that of the images as they are if it fits."""
    if not found:
        return []
    best = max(found, key=lambda likeness: likeness.correlation)
    straight = found[0].correlation if found[0].how == SYMMETRIES[0][0] else 0.0
    if best.correlation > max(straight + CLEARLY, SAME_PLACE):
        said = (
            f"hr_msi is like lr_hsi {best.how} (correlation {best.correlation:.2f}, {straight:.2f} as it is)"
        )
        return [Finding(ERROR, "orientation", said, f"save hr_msi {best.how}")]
    told = f"the images go together as they are (correlation {straight:.2f})"
    if straight >= SAME_PLACE:
        return [Finding(OK, "orientation", told)]
    said = f"the images hardly go together (correlation {straight:.2f}, {best.correlation:.2f} {best.how})"
    advice = "check that both show the same ground at about the same time, and register them"
    return [Finding(WARNING if straight >= HARDLY else ERROR, "orientation", said, advice)]


def _step(scene: Scene) -> int:
    return max(1, -(-max(scene.shape[:2]) // LARGEST_SIDE))


def _filled(scene: Scene) -> NDArray[np.float32]:
    """The cube with the mean of its data where it has none."""
    mask = scene.nodata_mask
    if mask is None or mask.all():
        return scene.cube
    return np.where(mask[..., None], scene.cube[~mask].mean(0), scene.cube)


def _components(scene: Scene) -> Array:
    """(h, w, n) leading principal components of the standardised bands, smoothed."""
    step = _step(scene)
    cube = _filled(scene).astype(np.float64)
    cube = ndimage.gaussian_filter(cube, (SMOOTHING * step, SMOOTHING * step, 0))[::step, ::step]
    pixels = cube.reshape(-1, cube.shape[2])
    spread = pixels.std(0)
    pixels = (pixels - pixels.mean(0))[:, spread > 0] / spread[spread > 0]
    if not pixels.shape[1]:
        return np.zeros((*cube.shape[:2], 1))
    leading = np.linalg.eigh(pixels.T @ pixels)[1][:, -NUM_COMPONENTS:]
    return np.asarray((pixels @ leading).reshape(*cube.shape[:2], -1))


def _correlation(components: Array, cells: Array, step: int) -> float:
    cells = ndimage.gaussian_filter(cells, (SMOOTHING * step, SMOOTHING * step, 0))[::step, ::step]
    regressors = components.reshape(-1, components.shape[2])
    regressors = np.column_stack([np.ones(len(regressors)), regressors])
    values = cells.reshape(-1, cells.shape[2])
    left = values - regressors @ np.linalg.lstsq(regressors, values, rcond=None)[0]
    total = np.square(values - values.mean(0)).sum(0)
    spare = max(1, len(values) - regressors.shape[1])
    unexplained = np.square(left).sum(0) / np.maximum(total, 1e-30) * (len(values) - 1) / spare
    return float(np.sqrt(np.clip(1.0 - unexplained[total > 0], 0, 1).mean())) if (total > 0).any() else 0.0
