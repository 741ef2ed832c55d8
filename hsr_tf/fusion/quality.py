"""Quality without a truth, from Python: `assess` an estimate, or try a method one scale down by `wald`.

Wald's protocol (Wald, Ranchin, Mangolini, Photogramm. Eng. Remote Sens. 63(6), 1997): both images are
degraded by the scale s, the method fuses them, and the result is held against X as observed. The filters:

    X' = D X  and  Y' = D Y,

the PSF of the hyperspectral camera and its sampling for both. Y' has to show what a colour camera of the
resolution of X would see, and without noise D Y = D (Z R) = (D Z) R = X R is just that, so that X', Y' are a
pair of the same two cameras whose truth is X; any other filter for Y would break it. X' takes the same PSF,
in pixels of its own sharp image, as a camera s times as coarse would have.

Departures: the kernel is that of the camera, not a Gaussian matched to its MTF at Nyquist; noise becomes less
by the blur, so that noisy images look better one scale down than they are.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hsr_tf import checks, methods
from hsr_tf.arrays import ops
from hsr_tf.fusion import api as fusion
from hsr_tf.fusion.cameras import Asked, Sample, chosen_cameras, with_known_radiometry
from hsr_tf.fusion.repair import repair
from hsr_tf.metrics.full_reference import Scorecard, scorecard
from hsr_tf.metrics.no_reference import NoReference, no_reference
from hsr_tf.physics.cameras import UNKNOWN, CameraChoice, PsfLike, SrfLike
from hsr_tf.physics.nodata import Holes
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.scene import Observation, Scene, Solution, pixels_with_data
from hsr_tf.solvers.solver import Controls

FEW_PIXELS = 64
SMALLEST = 11


@dataclass(frozen=True)
class Assessment:
    """Figures of an estimate without a truth.

    Attributes:
        figures: consistency and the QNR family.
        psf: the PSF that was taken for D, and where it is known from.
        srf: the response that was taken for R, likewise.
    """

    figures: NoReference
    psf: str
    srf: str


@dataclass(frozen=True, eq=False)
class WaldTrial:
    """A method one scale down.

    Attributes:
        scores: of the fused cube against X.
        solution: what the method gave for X' and Y'; its estimate is on the grid of X.
        observation: X' and Y'.
        reference: X, cropped to a multiple of s.
    """

    scores: Scorecard
    solution: Solution
    observation: Observation
    reference: Scene


def assess(
    observation: Observation,
    estimate: Scene,
    *,
    psf: PsfLike | None = None,
    srf: SrfLike | None = None,
    data_range: float = 1.0,
) -> Assessment:
    """How far an estimate explains both images, and the QNR family; see `hsr_tf.metrics.no_reference`.

    Args:
        observation: X and Y, with masks where they have any.
        estimate: Z, on the pixels of Y with the bands of X.
        psf, srf: the cameras, as in `hsr_tf.fuse`.
        data_range: the peak of the data.

    Raises:
        ValueError, OSError: cameras or an estimate that do not fit the images.
    """
    choice = assessed_cameras(observation, psf, srf, srf_needed=False)
    known = choice.srf_origin != UNKNOWN
    linear = observation.linear(choice.radiometry)
    figures = no_reference(linear, estimate, choice.model, srf_known=known, data_range=data_range)
    return Assessment(figures, choice.psf_line, choice.srf_line)


def wald(
    observation: Observation,
    method: str | methods.Method = "auto",
    *,
    psf: PsfLike | None = None,
    srf: SrfLike | None = None,
    weights: str | os.PathLike[str] | None = None,
    controls: Controls | None = None,
) -> WaldTrial:
    """Fuse X' and Y' of an observation, and score the result against X.

    Args:
        observation: X and Y; rows and columns at the end that make no whole cell of s coarse pixels are left
            out, pixels without data and those of X' and Y' that they are mixed into do not count.
        method, psf, srf, weights, controls: as in `hsr_tf.fuse`; cameras that are to be estimated are found
            from the whole images, once. A checkpoint is not used, as it would be that of another fit.

    Warns:
        UserWarning: fewer than 64 pixels in X', too few for most methods; and what `fuse` warns of.

    Raises:
        ValueError: X smaller than 2 s or 11 pixels along a side; and what `fuse` raises.
    """
    scale = observation.scale
    whole = repair(observation, keep_bands=True).observation
    _require_size(whole.lr_hsi.shape, scale)
    known = methods.get(method, methods.FUSION_KINDS) if isinstance(method, str) else method
    choice = assessed_cameras(observation, psf, srf, srf_needed="srf" in known.needs)
    whole = whole.linear(choice.radiometry)
    rows, columns = (n - n % scale for n in whole.lr_hsi.shape[:2])
    masks = observation.lr_hsi.nodata_mask, observation.hr_msi.nodata_mask
    reference = _cropped(whole.lr_hsi, masks[0], (rows, columns))
    sharp = _cropped(whole.hr_msi, masks[1], (scale * rows, scale * columns))
    reduced = _reduced(reference, sharp, choice.model.spatial)
    found = fusion.fuse(
        reduced,
        known,
        psf=choice.model.spatial.psf,
        srf=None if choice.srf_origin == UNKNOWN else choice.model.spectral,
        weights=weights,
        controls=replace(controls or Controls(), checkpoint=None),
    )
    counted = pixels_with_data(reference, found.estimate)
    scores = scorecard(reference, found.estimate, scale=scale, counted=counted)
    return WaldTrial(scores, found, reduced, reference)


def assessed_cameras(
    observation: Observation, psf: PsfLike | None, srf: SrfLike | None, *, srf_needed: bool
) -> CameraChoice:
    """The cameras by which an estimate is judged: given, recorded, by default, or estimated from both images.

    Args:
        observation: X and Y.
        psf, srf: as in `hsr_tf.fuse`.
        srf_needed: whether a response that is not known is the default one.
    """
    repaired = repair(observation, keep_bands=True)
    sample = Sample(repaired.observation, repaired.holes)
    asked = Asked(psf, srf, observation.linearize)
    found = chosen_cameras(sample, observation, asked, srf_needed=srf_needed)
    return with_known_radiometry(found, sample, asked).choice


def _reduced(lr_hsi: Scene, hr_msi: Scene, spatial: SpatialDegradation) -> Observation:
    """X' and Y': both by D; of their metadata only what does not tell of a simulation is kept."""
    coarse, sharp = (_degraded(spatial, scene.cube) for scene in (lr_hsi, hr_msi))
    metadata = [
        {name: value for name, value in scene.metadata.items() if not name.startswith("simulated_")}
        for scene in (lr_hsi, hr_msi)
    ]
    return Observation(
        Scene(coarse, lr_hsi.wavelengths_nm, lr_hsi.name, metadata[0], _mixed_holes(spatial, lr_hsi)),
        Scene(sharp, hr_msi.wavelengths_nm, hr_msi.name, metadata[1], _mixed_holes(spatial, hr_msi)),
        spatial.scale,
    )


def _mixed_holes(spatial: SpatialDegradation, scene: Scene) -> NDArray[np.bool_] | None:
    """Where D mixes pixels without data in; None for nowhere."""
    if scene.nodata_mask is None:
        return None
    height, width = (n // spatial.scale for n in scene.shape[:2])
    return ~Holes(None, scene.nodata_mask).clean(spatial, (height, width))


def _degraded(spatial: SpatialDegradation, cube: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(ops.convert_to_numpy(spatial.forward(ops.convert_to_tensor(cube[None]))))[0]


def _cropped(scene: Scene, mask: NDArray[np.bool_] | None, size: tuple[int, int]) -> Scene:
    """The first rows and columns of a scene that was filled, with its mask as it came."""
    rows, columns = (slice(0, n) for n in size)
    mask = None if mask is None or not mask[rows, columns].any() else mask[rows, columns]
    return replace(scene, cube=scene.cube[rows, columns], nodata_mask=mask)


def _require_size(shape: tuple[int, ...], scale: int) -> None:
    smallest = max(2 * scale, SMALLEST)
    checks.require(
        min(shape[:2]) >= smallest,
        "lr_hsi",
        expected=f"at least {smallest}x{smallest} pixels, to be made {scale} times coarser and scored",
        received=f"{shape[0]}x{shape[1]}",
        remedy="give a larger part of the scene",
    )
    left = (shape[0] // scale) * (shape[1] // scale)
    if left < FEW_PIXELS:
        warnings.warn(
            f"one scale down lr_hsi has only {left} pixels; methods fitted to a single scene, such as "
            "spectral_ls, are worse with so few, so these scores are not reliable",
            stacklevel=3,
        )
