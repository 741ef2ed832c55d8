"""Values that stand for "no data" in an image whose metadata does not say so, e.g. -9999 or 65535.

A fill value is the smallest or the largest of an image, occurs in two samples or more, and lies far from all
others: farther than these spread, and by half of their size. What is dark or bright in a scene has
neighbours; a fill value has none. Bands that do not vary are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsr_tf.findings import ERROR, Finding
from hsr_tf.scene import Scene
from hsr_tf.typing import Cube

FEWEST, APART, OF_SIZE, MOST_SAMPLES = 2, 2.0, 0.5, 100_000


@dataclass(frozen=True)
class FillValue:
    """A value that is none of the scene's.

    Attributes:
        value: as stored in the cube.
        num_pixels: that hold it in any band.
    """

    value: float
    num_pixels: int


def fill_value(scene: Scene) -> FillValue | None:
    """The fill value of an image, outside of its mask; None where there is none."""
    cube = scene.cube if scene.nodata_mask is None else scene.cube[~scene.nodata_mask][None]
    cube = cube[..., cube.max((0, 1)) > cube.min((0, 1))] if cube.size else cube
    if not cube.size:
        return None
    for value in (float(cube.min()), float(cube.max())):
        there = cube == value
        count = int(there.sum())
        if FEWEST <= count < cube.size and _is_apart(value, cube, there):
            return FillValue(value, int(there.any(-1).sum()))
    return None


def fill_findings(lr_hsi: Scene, hr_msi: Scene) -> list[Finding]:
    """An error per image with a fill value: it would be taken for light."""
    findings = []
    for name, scene in (("lr_hsi", lr_hsi), ("hr_msi", hr_msi)):
        found = fill_value(scene)
        if found is not None:
            said = (
                f"{name}: {found.num_pixels} pixels hold {found.value:.10g}, far from all other values: "
                "a fill value of pixels without data"
            )
            advice = f"mark the stored value as no data: --nodata={found.value:.10g}"
            findings.append(Finding(ERROR, "nodata", said, advice))
    return findings


def _is_apart(value: float, cube: Cube, there: NDArray[np.bool_]) -> bool:
    """Whether a value is far from the nearest other one, against the middle 98 % of these."""
    others = cube[~there]
    low, high = np.percentile(others[:: max(1, others.size // MOST_SAMPLES)].astype(np.float64), (1, 99))
    nearest = float(others.min() if value < others[0] else others.max())
    return abs(nearest - value) > max(APART * (high - low), OF_SIZE * max(abs(low), abs(high)))
