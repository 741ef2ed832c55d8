"""What the two images say about the blur, where nobody does: the PSF, and what lies outside the scene."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hsr_tf.fusion.valid_region import whole_part
from hsr_tf.physics.cameras import DEFAULT, ESTIMATED, GIVEN, TOLD, CameraChoice
from hsr_tf.physics.nodata import Holes
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.scene import Observation
from hsr_tf.typing import Array

if TYPE_CHECKING:
    from hsr_tf.solvers.cameras.psf_fit import PsfFit

SMALLEST_SIDE, CLEARLY_LESS, ALIKE, TINY = 3, 0.7, 0.8, 1e-30


def found_psf(choice: CameraChoice, images: Observation, holes: Holes) -> PsfFit | None:
    """The PSF that explains the images where none is known and the response is; else None.

    Args:
        choice: the cameras so far.
        images: X and Y, linear in light.
        holes: where they hold no data.
    """
    if choice.psf_origin != DEFAULT or choice.srf_origin not in (GIVEN, TOLD, ESTIMATED):
        return None
    from hsr_tf.solvers.cameras.psf_fit import fit_psf

    height, width, _ = images.lr_hsi.shape
    part = whole_part(images, holes.full_cells(images.scale, (height, width)))
    return fit_psf(part.lr_hsi.cube, part.hr_msi.cube, choice.model.spectral.matrix, images.scale)


def with_psf(choice: CameraChoice, found: PsfFit) -> CameraChoice:
    """The cameras with this PSF."""
    spatial = choice.model.spatial
    spatial = SpatialDegradation(found.psf, spatial.scale, border=spatial.border)
    return replace(choice, model=replace(choice.model, spatial=spatial), psf_origin=ESTIMATED)


def with_border(choice: CameraChoice, images: Observation, holes: Holes) -> CameraChoice:
    """The cameras with zeros outside the scene where these explain the coarse pixels along its edges.

    Some programs that simulate pairs blur so. X R - D Y is compared along the edges with both borders, after
    gains that fit the inner pixels, as a wrong response must not pass for a dark edge. The fifth of the edge
    that is furthest from both does not count: changed ground must not pass for one either.

    Args:
        choice, images, holes: as for `found_psf`.
    """
    model, (height, width, _) = choice.model, images.lr_hsi.shape
    spatial = model.spatial
    if not spatial.reach_cells or min(height, width) < SMALLEST_SIDE or spatial.border != "mirrored":
        return choice
    zero = SpatialDegradation(spatial.psf, spatial.scale, border="zero")
    edge = np.ones((height, width), bool)
    edge[1:-1, 1:-1] = False
    edge &= holes.clean(spatial, (height, width))
    seen = images.lr_hsi.cube @ model.spectral.matrix
    blurred = [np.asarray(one.forward(images.hr_msi.cube[None]))[0] for one in (spatial, zero)]
    inner = seen[1:-1, 1:-1], blurred[0][1:-1, 1:-1]
    gain = np.array([_gain(*(x[..., channel] for x in inner)) for channel in range(seen.shape[2])])
    gaps = np.stack([np.square(gain * seen - one)[edge].sum(-1) for one in blurred])
    left = gaps.min(0)
    mirrored, zeros = gaps[:, left <= np.quantile(left, ALIKE)].sum(1) if left.size else (0.0, 0.0)
    if zeros >= CLEARLY_LESS * mirrored:
        return choice
    return replace(choice, model=replace(model, spatial=zero))


def _gain(seen: Array, blurred: Array) -> float:
    """The median of blurred / seen where `seen` is brighter than at half of the pixels."""
    bright = seen >= max(float(np.median(seen)), TINY)
    return float(np.median(blurred[bright] / seen[bright])) if bright.any() else 1.0
