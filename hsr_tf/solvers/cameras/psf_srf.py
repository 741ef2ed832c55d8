"""Both cameras from the pair alone: the PSF k, the response R and the shift, by matching D_k Y with X R.

Without noise the coarse cube seen through the colour camera is the colour image seen through the
hyperspectral camera, X R = D_k Y. Three steps:

1. Parametric shapes (a Gaussian of any covariance, the same cut off by the standard's window, a detector
   element behind Gaussian optics), each with its position, by Gauss-Newton on the best response's residual
   (variable projection), relative to the deviation of D_k Y, which a wide kernel would make small otherwise.
2. The shape that explains best, refined by a free non-negative kernel where pixels held out say so
   (`psf_refine`).
3. The response, smooth as far as the residual asks for, and non-negative (`response_fit`).

Before these, on request, the tone curve and offsets of Y (`radiometry_search`). With more bands than a
quarter of the coarse pixels X is reduced to its leading components (`components`).

After the idea of the blind step of HySure (Simoes et al., IEEE TGRS 53(6), 2015, section V). Departures: that
alternates two quadratic problems from a strong blur of both images, without non-negativity; here the response
is eliminated, the blur starts from shapes, the sub-pixel shift is estimated, and no weight is set by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.closed_forms.spectral_ls import fuse_scene
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.radiometry import Radiometry
from hsr_tf.solvers.cameras.camera_search import CameraSearch, PsfSrfConfig, first_support, search_shapes
from hsr_tf.solvers.cameras.coarse_pixels import coarse_pixels
from hsr_tf.solvers.cameras.radiometry_search import linear_search, plain_search
from hsr_tf.solvers.solver import Controls, Cube, Iterations
from hsr_tf.typing import Array, Mask, Tensor

__all__ = ["CameraEstimate", "PsfSrfConfig", "estimate_psf_srf", "require_estimable"]


@dataclass(frozen=True, eq=False)
class CameraEstimate:
    """The two cameras.

    Attributes:
        psf: k, centred.
        shift: (rows, columns) in sharp pixels by which the colour image lies off the coarse cube:
            Y(p) shows what the coarse cube has at p - shift.
        srf: R, (C, c), non-negative, in the units of Y over those of X.
        model: both cameras, to be used as they are: its PSF holds the shift, so that a sharp cube that it
            describes lies where Y does.
        offset: (c,), added to Z R in f(Y); zeros unless the options ask for offsets and Y has some.
        radiometry: f and the offsets, which make a recorded Y fit the cameras.
        explained: (c,), |X R + offset - D Y| / |X R + offset| of each channel over the ground that both
            images show alike, without the pixels at the edges, which see past them.
        disagreeing: (h, w), the coarse pixels that the images show differently, as a moved object or a cloud
            makes them: they took no part.
        shape: name of the parametric shape that the PSF started from, "+ free" where it was refined.
        converged: whether the refinement ended by itself.
        iterations: number of steps (shapes fitted and refinements).
    """

    psf: Psf
    shift: tuple[float, float]
    srf: Array
    model: ObservationModel
    offset: Array
    radiometry: Radiometry
    explained: Array
    disagreeing: Mask
    shape: str
    converged: bool
    iterations: int


def estimate_psf_srf(
    lr_hsi: Cube,
    hr_msi: Cube,
    scale: int,
    config: PsfSrfConfig | None = None,
    controls: Controls | None = None,
    counted: Mask | None = None,
) -> CameraEstimate:
    """PSF, response and shift of two cameras from what they saw of one scene.

    Args:
        lr_hsi: X, (h, w, C), finite.
        hr_msi: Y, (s h, s w, c), finite.
        scale: s, at least 2.
        config: options.
        controls: time limit, progress and callback (whose estimate is `spectral_ls` with the cameras so far);
            nothing is drawn, so the seed is of no effect.
        counted: (h, w), False for coarse pixels to leave out, as those that see pixels without data; None for
            none.

    Raises:
        ValueError: sizes that do not fit each other, values that are not finite, an image of which fewer than
            16 coarse pixels see the whole support, a colour image without any contrast, images that no PSF
            and response relate.
    """
    config, controls = config or PsfSrfConfig(), controls or Controls()
    check_sizes(lr_hsi, hr_msi, scale)
    shapes = search_shapes(scale)
    steps = Iterations("psf_srf", len(shapes) + config.max_refinements, controls)
    looking = linear_search if config.radiometry else plain_search
    found = looking(lr_hsi, hr_msi, scale, config, counted)
    search, linear = found.search, found.radiometry.linear(hr_msi)
    for step in steps:
        if step >= len(shapes):
            if not search.refine():
                steps.finish()
        elif step > 0:  # the first shape has been tried
            search.try_shape(shapes[step])
        # The closed-form sharp cube with the cameras so far.
        steps.report(search.best.misfit, lambda: fuse_scene(_model(search, scale), lr_hsi, linear).estimate)
    model = _model(search, scale)
    explained, offset = _explained(model, lr_hsi, linear, offset=found.has_offset, counted=search.agreeing())
    _require_explained(search.best.response, explained, lr_hsi)
    psf, shift = search.centred()
    return CameraEstimate(
        psf=psf,
        shift=shift,
        srf=search.best.response,
        model=model,
        offset=offset,
        radiometry=replace(found.radiometry, offset=tuple(offset.tolist()) if found.has_offset else ()),
        explained=explained,
        disagreeing=search.left_out,
        shape=search.name,
        converged=steps.converged or config.max_refinements == 0,
        iterations=steps.done,
    )


def _require_explained(response: Array, explained: Array, lr_hsi: Cube) -> None:
    """Refuse cameras that explain nothing, as of images of other places or of too few pixels."""
    height, width, num_bands = lr_hsi.shape
    checks.require(
        bool((response.sum(0) > 0).all() and (explained < 1).all()),
        "lr_hsi",
        expected="two images of the same ground, from which PSF and response can be estimated",
        received=f"{height} x {width} pixels of {num_bands} bands that no PSF and response relate to hr_msi",
        remedy="give both cameras (psf and srf), or use a larger image",
    )


def _model(search: CameraSearch, scale: int) -> ObservationModel:
    psf = Psf(search.best.kernel, f"estimated, {search.name}")
    response = SpectralResponse(search.best.response, name="estimated")
    return ObservationModel(SpatialDegradation(psf, scale), response)


def relative_gaps(model: ObservationModel, lr_hsi: Cube, hr_msi: Cube) -> Array:
    """|X R - D Y| / |X R| of each channel, (c,)."""
    counted = np.ones(lr_hsi.shape[:2], bool)
    return _explained(model, lr_hsi, hr_msi, offset=False, counted=counted)[0]


def _explained(
    model: ObservationModel, lr_hsi: Cube, hr_msi: Cube, *, offset: bool, counted: Mask
) -> tuple[Array, Array]:
    """|X R + o - D Y| / |X R + o| and the offset o, of each channel, over the pixels that count."""
    coarse = np.asarray(ops.convert_to_numpy(model.spatial.forward(_batch(hr_msi))), np.float64)[0]
    seen, coarse = (lr_hsi.astype(np.float64) @ model.spectral.matrix)[counted], coarse[counted]
    constant = (coarse - seen).mean(0) if offset else np.zeros(seen.shape[1])
    seen = seen + constant
    gap = np.sqrt(np.square(seen - coarse).sum(0))
    return gap / np.maximum(np.sqrt(np.square(seen).sum(0)), 1e-30), constant


def _batch(cube: Cube) -> Tensor:
    return ops.convert_to_tensor(np.asarray(cube, np.float32)[None])


def require_estimable(lr_hsi: Cube, hr_msi: Cube, scale: int, config: PsfSrfConfig | None = None) -> None:
    """Raise the `ValueError` of an estimation for images of which none can be made, without making one.

    Args:
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (s h, s w, c).
        scale: s.
        config: options.
    """
    check_sizes(lr_hsi, hr_msi, scale)
    taps = first_support(scale, config or PsfSrfConfig())
    coarse_pixels(lr_hsi[..., :1], hr_msi[..., :1], scale, taps + (taps - scale) % 2, centred=False)


def check_sizes(lr_hsi: Cube, hr_msi: Cube, scale: int) -> None:
    """Raise a one-line `ValueError` unless X and Y are cubes with contrast whose sizes the scale joins."""
    checks.require(
        int(scale) == scale and scale >= 2,
        "scale",
        expected="an integer of at least 2",
        received=str(scale),
        remedy="give the sharp pixels a coarse pixel along one side",
    )
    for name, cube in (("lr_hsi", lr_hsi), ("hr_msi", hr_msi)):
        checks.require(
            np.ndim(cube) == 3,
            name,
            expected="one cube (rows, columns, bands)",
            received=f"shape {np.shape(cube)}",
            remedy="estimate scene by scene",
        )
        checks.require_finite(name, cube)
        flat = np.ptp(cube, axis=(0, 1)) == 0
        checks.require(
            not flat.all() and not (name == "hr_msi" and flat.any()),
            name,
            expected="contrast in every channel",
            received=f"{int(flat.sum())} of {len(flat)} constant",
            remedy="leave the constant ones out",
        )
    checks.require(
        lr_hsi.shape[2] > 1,
        "lr_hsi",
        expected="two bands or more, to tell what a channel sees",
        received="one",
        remedy="give both cameras (psf and srf)",
    )
    wanted = tuple(scale * n for n in lr_hsi.shape[:2])
    checks.require(
        hr_msi.shape[:2] == wanted,
        "hr_msi",
        expected=f"{wanted[0]} x {wanted[1]} pixels, {scale} times those of lr_hsi",
        received=f"{hr_msi.shape[0]} x {hr_msi.shape[1]}",
        remedy="check the scale and the crop",
    )
