"""Whether two images show the same ground the same way round: correlation against chance, in 8 orientations.

The sharp image, reduced to the coarse pixels by means over cells, is compared with components of the coarse
cube as in `hsr_tf.registration.match`. Departure: the best of the nearby shifts counts, so that a small
displacement hides nothing; the thresholds were set on unrelated crops of real scenes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.findings import ERROR, OK, WARNING, Finding
from hsr_tf.registration.match import (
    FEWEST_PIXELS,
    LOBE,
    NUM_COMPONENTS,
    UNLIKELY,
    around,
    band_passed,
    explained_by_shift,
    likelihood,
    principal,
    standardised,
)
from hsr_tf.scene import Scene
from hsr_tf.typing import Array

NUM_FILTERED, LARGEST_SIDE, NEARBY = 12, 256, 1
SAME_CHANCE, OTHER_CHANCE, UNLIKE_CHANCE = UNLIKELY, -7.0, -2.0
SAME_CORRELATION, OTHER_CORRELATION, CONCLUSIVE, DECISIVE = 0.4, 0.6, 0.95, 0.6
DISPLACED_CORRELATION, RIVAL_CHANCE, RIVAL_SHARE = 0.7, 2.5, 0.65
# What the sharp image needs: quarter turns counterclockwise, after an exchange of rows and columns or not.
SYMMETRIES = (
    ("as it is", 0, False),
    ("rotated by 90 degrees counterclockwise", 1, False),
    ("rotated by 180 degrees", 2, False),
    ("rotated by 90 degrees clockwise", 3, False),
    ("with rows and columns exchanged", 0, True),
    ("flipped top to bottom", 1, True),
    ("with rows and columns exchanged and rotated by 180 degrees", 2, True),
    ("flipped left to right", 3, True),
)
AS_IT_IS = SYMMETRIES[0][0]


@dataclass(frozen=True)
class Likeness:
    """How well an orientation of the sharp image matches the coarse one.

    Attributes:
        how: the orientation in words.
        correlation: R, 0 to 1, the best within a coarse pixel of the place that the sizes imply.
        log10_chance: decimal logarithm of the probability that unrelated images reach it at one shift.
        shift: (rows, columns) in coarse pixels at which R is largest of all shifts; what the sharp image
            shows at p lies in the coarse image at p - shift.
        shifted: R there.
        log10_shifted: as `log10_chance`, of `shifted`.
        needed: the correlation that unrelated images reach at one shift in ten thousand; 1 where any would.
    """

    how: str
    correlation: float
    log10_chance: float
    shift: tuple[int, int]
    shifted: float
    log10_shifted: float
    needed: float


def likenesses(lr_hsi: Scene, hr_msi: Scene) -> list[Likeness]:
    """Compare the images in every orientation whose sizes fit, "as it is" first."""
    step = max(1, -(-max(lr_hsi.shape[:2]) // LARGEST_SIDE))
    # (h, w, p) orthonormal principal components of the filtered cube; p is 0 for a flat one.
    cube = _reduced(_filled(lr_hsi), step)
    leading, energy = principal(standardised(cube.reshape(-1, cube.shape[2])), NUM_FILTERED)
    passed = band_passed(leading.reshape(*cube.shape[:2], len(energy)))
    found, energy = principal(passed.reshape(len(leading), len(energy)), NUM_COMPONENTS)
    components = np.asarray((found / np.sqrt(energy)).reshape(*cube.shape[:2], len(energy)))
    maps = {}
    for how, turns, exchanged in SYMMETRIES:
        cells = cell_means(turned(_filled(hr_msi), turns, exchanged=exchanged), lr_hsi.shape[:2])
        if cells is not None:
            maps[how] = explained_by_shift(components, band_passed(_reduced(cells, step)))
    if not maps:
        return []
    peak = np.unravel_index(np.argmax(np.stack(list(maps.values()))), (len(maps), *components.shape[:2]))
    chance = np.ones((len(maps), *components.shape[:2]), bool)
    chance[peak[0]] &= ~around(components.shape[:2], (int(peak[1]), int(peak[2])), LOBE)
    mean = float(np.stack(list(maps.values()))[chance].mean()) if chance.any() else 1.0
    return [_likeness(how, found, (components.shape[2], mean), step) for how, found in maps.items()]


def turned(cube: NDArray[Any], turns: int, *, exchanged: bool) -> NDArray[Any]:
    """Rotate or flip a cube (H, W, C); see `SYMMETRIES`."""
    return np.rot90(cube.swapaxes(0, 1) if exchanged else cube, turns)


def cell_means(cube: NDArray[Any], size: tuple[int, int]) -> Array | None:
    """(h, w, c) means over s x s pixels; None where the sizes have no ratio s."""
    (height, width), (rows, cols, channels) = size, cube.shape
    scale = rows // height
    if scale < 1 or (height * scale, width * scale) != (rows, cols):
        return None
    return np.asarray(cube.reshape(height, scale, width, scale, channels).mean((1, 3), dtype=np.float64))


def other_orientation(found: list[Likeness]) -> Likeness | None:
    """The rotation or flip that matches beyond chance while the image as it is does not; None without one."""
    if not found:
        return None
    best = max(found, key=lambda likeness: likeness.correlation)
    straight = found[0] if found[0].how == AS_IT_IS else None
    if best is straight or best.log10_chance > OTHER_CHANCE or best.correlation < OTHER_CORRELATION:
        return None
    beaten = straight is None or best.log10_chance < 2 * straight.log10_chance
    return best if beaten else None


def orientation_findings(found: list[Likeness]) -> list[Finding]:
    """Judge these likenesses, of which the first is that of the image as it is if the sizes fit."""
    other = other_orientation(found)
    if other is not None:
        straight = found[0].correlation if found[0].how == AS_IT_IS else 0.0
        figures = f"correlation {other.correlation:.2f}; {straight:.2f} as it is"
        said = f"hr_msi matches lr_hsi {other.how} ({figures})"
        return [Finding(ERROR, "orientation", said, f"save hr_msi {other.how}")]
    if not found or found[0].how != AS_IT_IS:
        return []
    return [_rival_finding(found) or _straight_finding(found[0])]


def _rival_finding(found: list[Likeness]) -> Finding | None:
    """A warning where images that match as they are match clearly better in another orientation."""
    straight, best = found[0], max(found, key=lambda likeness: likeness.correlation)
    better = best.log10_chance < straight.log10_chance - RIVAL_CHANCE
    halved = 1 - best.correlation**2 < RIVAL_SHARE * (1 - straight.correlation**2)
    if not _matches(straight) or not (better and halved):
        return None
    said = (
        f"the images match as they are (correlation {straight.correlation:.2f}), and better with hr_msi "
        f"{best.how} ({best.correlation:.2f})"
    )
    return Finding(
        WARNING, "orientation", said, f"compare both images by eye; hr_msi may have to be {best.how}"
    )


def _matches(straight: Likeness) -> bool:
    return straight.log10_chance <= SAME_CHANCE and straight.correlation >= SAME_CORRELATION


def _straight_finding(straight: Likeness) -> Finding:
    """The finding on the images as they are."""
    figures = f"correlation {straight.correlation:.2f}; chance reaches {straight.needed:.2f}"
    if _matches(straight):
        return Finding(OK, "orientation", f"the images match as they are ({figures})")
    rows, cols = straight.shift
    if straight.log10_shifted <= OTHER_CHANCE and straight.shifted >= DISPLACED_CORRELATION:
        said = (
            f"the images match displaced only: hr_msi lies about {rows:+d} rows, {cols:+d} columns (coarse "
            f"pixels) off lr_hsi (correlation {straight.shifted:.2f} there, "
            f"{straight.correlation:.2f} as they are)"
        )
        return Finding(ERROR, "orientation", said, "register the two images first")
    if straight.needed > CONCLUSIVE:
        said = f"too few or too flat pixels to tell whether both images show the same ground ({figures})"
        return Finding(
            WARNING, "orientation", said, "use a larger part of both images, or compare them by eye"
        )
    advice = "check that both show the same ground at about the same time, and register them"
    if straight.log10_chance > UNLIKE_CHANCE and straight.needed < DECISIVE:
        said = f"the images have no more in common than unrelated ones ({figures})"
        return Finding(ERROR, "orientation", said, advice)
    said = f"the images hardly have more in common than unrelated ones ({figures})"
    return Finding(WARNING, "orientation", said, advice)


def _filled(scene: Scene) -> NDArray[np.float32]:
    """The cube with the mean of its data where it has none."""
    mask = scene.nodata_mask
    if mask is None or mask.all():
        return scene.cube
    return np.where(mask[..., None], scene.cube[~mask].mean(0), scene.cube)


def _reduced(cube: NDArray[Any], step: int) -> Array:
    """Means over step x step pixels, without what does not fill a cell."""
    rows, cols = (max(1, length // step) for length in cube.shape[:2])
    cells = cell_means(cube[: rows * step, : cols * step], (rows, cols))
    return np.asarray(cube, np.float64) if cells is None else cells


def _likeness(how: str, explained: Array, chance: tuple[int, float], step: int) -> Likeness:
    """The likeness of an orientation from R^2 at every shift, the number of components and R^2 by chance."""
    num_components, mean = chance
    size = explained.shape
    near = float(explained[around((size[0], size[1]), (0, 0), NEARBY)].max())
    row, col = (int(place) for place in np.unravel_index(np.argmax(explained), size))
    best = float(explained[row, col])
    if not num_components or not best or explained.size < FEWEST_PIXELS:
        return Likeness(how, near**0.5, 0.0, (0, 0), near**0.5, 0.0, 1.0)
    shift = tuple(
        step * (place if place <= length // 2 else place - length)
        for place, length in zip((row, col), size, strict=True)
    )
    (log_near, needed), (log_best, _) = (likelihood(value, num_components, mean) for value in (near, best))
    return Likeness(how, np.sqrt(near).item(), log_near, (shift[0], shift[1]), best**0.5, log_best, needed)
