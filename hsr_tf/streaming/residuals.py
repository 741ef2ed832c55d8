"""What a streamed estimate leaves of the two images, measured in the middle of the scene.

The same part of the scene is used from which cameras are estimated (`hsr_tf.streaming.cameras.sample`).
Coarse pixels into which the PSF mixes pixels outside of that part, or without data, do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf import io
from hsr_tf.arrays import ops
from hsr_tf.findings import Finding
from hsr_tf.fusion.residuals import residual_findings
from hsr_tf.physics.nodata import Holes
from hsr_tf.scene import Observation, Scene
from hsr_tf.streaming.cameras import sampled
from hsr_tf.streaming.grid import Place
from hsr_tf.streaming.job import Scenery


@dataclass(frozen=True)
class Residuals:
    """Relative residuals in the middle of a scene, and what noise does not explain of them.

    Attributes:
        lr_hsi: |X - D Z| / |X|, None where no coarse pixel counts.
        hr_msi: |Y - Z R| / |Y|, None where R is not known.
        findings: see `hsr_tf.fusion.residuals`.
    """

    lr_hsi: float | None
    hr_msi: float | None
    findings: tuple[Finding, ...]


def sampled_residuals(scenery: Scenery, output: Path, *, srf_known: bool, max_gib: float) -> Residuals:
    """Compare the middle of a written estimate with the two images.

    Args:
        scenery: the images as the method is given them, and its cameras.
        output: the file of the estimate.
        srf_known: whether R is known.
        max_gib: the most memory that opening the file may take.
    """
    place, found, scale = sampled(scenery), scenery.found, scenery.grid.scale
    with io.open_cube(output, max_gib=max_gib) as reader:
        cube = reader.read(*place.finer(scale))
    cube = cube if found.before is not None else cube[..., list(found.bands)]
    lr_hsi, hr_msi = scenery.coarse(place), scenery.sharp(place)
    counted = _counted(scenery, place)
    if not counted.any():
        return Residuals(None, None, ())
    coarse = found.cameras.spatial.forward(ops.convert_to_tensor(cube[None]))
    fine = counted.repeat(scale, 0).repeat(scale, 1)
    left = [_ratio(lr_hsi, np.asarray(ops.convert_to_numpy(coarse))[0], counted), None]
    if srf_known:
        left[1] = _ratio(hr_msi, cube @ found.cameras.spectral.matrix.astype(np.float32), fine)
    images = Observation(Scene(lr_hsi, nodata_mask=~counted), Scene(hr_msi, nodata_mask=~fine), scale)
    return Residuals(left[0], left[1], residual_findings(images, left[0], left[1]))


def _counted(scenery: Scenery, place: Place) -> NDArray[np.bool_]:
    """(h, w), the coarse pixels of a place that see nothing but data of it."""
    grid, margin = scenery.grid, scenery.found.cameras.spatial.reach_cells
    size = tuple(part.stop - part.start for part in (place.rows, place.cols))
    missing = scenery.missing(place)
    seen = Holes(missing.coarse, scenery.holes(place)).clean(
        scenery.found.cameras.spatial, (size[0], size[1])
    )
    for axis, (part, length) in enumerate(zip((place.rows, place.cols), grid.size, strict=True)):
        numbers = np.arange(part.start, part.stop)
        inside = (numbers >= part.start + margin) | (part.start == 0)
        inside &= (numbers < part.stop - margin) | (part.stop == length)
        seen &= inside[:, None] if axis == 0 else inside
    return seen


def _ratio(image: NDArray[Any], explained: NDArray[Any], counted: NDArray[np.bool_]) -> float:
    """|image - explained| / |image| over the pixels that count."""
    wanted = image[counted].astype(np.float64)
    return float(np.linalg.norm(wanted - explained[counted]) / max(float(np.linalg.norm(wanted)), 1e-30))
