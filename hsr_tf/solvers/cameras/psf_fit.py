"""The PSF of a pair whose response is known: X R = D_k Y is linear in the kernel k.

A detector element behind Gaussian optics and a Gaussian, each with its position, are fitted to the coarse
pixels whose support of three cells, or five, lies inside the image (`coarse_pixels`), so that nothing is
assumed of what is past the edge. Pixels of changed ground count less (a robust loss), and channels count by
their contrast. The better shape is kept: with a handful of parameters it needs few pixels, and noise hardly
moves it. Without the response both cameras are estimated together (`estimate_psf_srf`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hsr_tf.imports import deferred
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.psf_shift import centroid
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.solvers.cameras.coarse_pixels import CoarsePixels, coarse_pixels, margin_of
from hsr_tf.solvers.cameras.psf_shapes import STEP_SIZES, DetectorShape, GaussianShape, PsfShape
from hsr_tf.typing import Array, Cube, Mask

optimize = deferred("scipy.optimize")

FEWEST_CELLS, FEWEST_PIXELS, MOST_ROWS = 4, 16, 4000
SUPPORTS, SPARE_MASS, NO_SHIFT, NO_SLANT = (3, 5), 1e-4, 0.02, 0.2
WIDTHS = (0.01, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
OPTICS, OUTLIER, MOST_STEPS = (0.15, 0.5), 3.0, 40
STEP, TINY = 1e-6, 1e-30


@dataclass(frozen=True, eq=False)
class PsfFit:
    """A PSF that explains a pair.

    Attributes:
        psf: k, its position within.
        shift: (rows, columns) in sharp pixels by which the colour image lies off the coarse cube.
        misfit: |X R - D Y| relative to the deviation of X R, of a usual pixel.
    """

    psf: Psf
    shift: tuple[float, float]
    misfit: float


def fit_psf(
    lr_hsi: Cube, hr_msi: Cube, response: Array, scale: int, *, counted: Mask | None = None
) -> PsfFit | None:
    """The PSF of two images, where the response of the colour camera is known.

    Args:
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (s h, s w, c).
        response: R, (C, c), in the units of Y over those of X.
        scale: s.
        counted: (h, w), False for pixels without data; None for none.

    Returns:
        None where Y has no contrast. Where fewer than 4 x 4 coarse pixels see the whole support, the width of
        the optics alone is found, with the border (`SpatialDegradation`) that explains all pixels best.
    """
    if (hr_msi.std((0, 1)) <= 0).any():
        return None
    found: _Shape | None = None
    for cells in SUPPORTS:
        taps = cells * scale
        if min(lr_hsi.shape[:2]) - 2 * margin_of(taps, scale) < FEWEST_CELLS:
            break
        if found is not None and 2 * found.shape.reach(found.parameters) <= found.taps:
            break  # the support holds the PSF
        pixels = coarse_pixels(lr_hsi, hr_msi, scale, taps, centred=False, counted=counted)
        if len(pixels.spectra) < FEWEST_PIXELS:
            break
        problem = _Problem(pixels, response, taps)
        found = min((problem.fitted(shape, start, scale) for shape, start in _starts(scale)), key=_misfit)
    if found is None:
        return _fitted_width(lr_hsi @ response, hr_msi, scale, counted)
    found = replace(found, parameters=_simplified(found.shape, found.parameters, scale))
    kernel = _trimmed(found.shape.kernel(found.parameters, found.taps))
    row, column = centroid(Psf(kernel))
    return PsfFit(Psf(kernel, f"estimated, {found.shape.name}"), (-row, -column), found.misfit)


@dataclass(frozen=True, eq=False)
class _Shape:
    """A fitted shape, on a support of `taps` x `taps`."""

    shape: PsfShape
    parameters: Array
    taps: int
    misfit: float


def _fitted_width(colours: Array, hr_msi: Cube, scale: int, counted: Mask | None) -> PsfFit | None:
    """An element of s x s pixels behind the optics that explain the colours (h, w, c) best."""
    inside = np.ones(colours.shape[:2], bool) if counted is None else counted
    best: tuple[float, Array] | None = None
    for width in WIDTHS:
        parameters = DetectorShape().start(scale, (0.0, 0.0))
        parameters[4] = np.log(width * scale)
        kernel = _trimmed(DetectorShape().kernel(parameters, 3 * scale))
        if len(kernel) > min(hr_msi.shape[:2]):
            break
        for border in ("mirrored", "zero"):
            spatial = SpatialDegradation(Psf(kernel), scale, border=border)
            gap = colours - np.asarray(spatial.forward(hr_msi[None]))[0]
            misfit = float(np.square(gap[inside]).sum() / max(np.square(colours[inside]).sum(), TINY))
            best = (misfit, kernel) if best is None or misfit < best[0] else best
    if best is None:
        return None
    return PsfFit(Psf(best[1], "estimated, detector"), (0.0, 0.0), float(np.sqrt(best[0])))


def _simplified(shape: PsfShape, parameters: Array, scale: int) -> Array:
    """The parameters without a tiny shift or slant: symmetric, separable kernels have a fast inverse."""
    parameters = parameters.copy()
    if np.hypot(*parameters[:2]) < NO_SHIFT * scale:
        parameters[:2] = 0.0
    if isinstance(shape, GaussianShape) and abs(parameters[3]) < NO_SLANT * np.exp(parameters[4]):
        parameters[3] = 0.0
    return parameters


def _trimmed(kernel: Array) -> Array:
    """The kernel without the rings around it that hold next to nothing."""
    while len(kernel) > 3 and 1.0 - kernel[1:-1, 1:-1].sum() < SPARE_MASS:
        kernel = kernel[1:-1, 1:-1]
    return np.asarray(kernel / kernel.sum())


def _misfit(found: _Shape) -> float:
    return found.misfit


def _starts(scale: int) -> list[tuple[PsfShape, Array]]:
    """The usual Gaussian, and elements of s x s pixels behind sharp and soft optics."""
    starts: list[tuple[PsfShape, Array]] = [(GaussianShape(), GaussianShape().start(scale, (0.0, 0.0)))]
    for share in OPTICS:
        start = DetectorShape().start(scale, (0.0, 0.0))
        start[4] = np.log(share * scale)
        starts.append((DetectorShape(), start))
    return starts


class _Problem:
    """The residuals of a kernel, channels in units of their deviation."""

    def __init__(self, pixels: CoarsePixels, response: Array, num_taps: int) -> None:
        every = -(-len(pixels.spectra) * response.shape[1] // MOST_ROWS)
        self._num_taps = num_taps
        colours = pixels.spectra[::every] @ response
        unit = np.maximum(colours.std(0), TINY)
        self._colours = (colours / unit).T.ravel()
        taps = pixels.taps[:, ::every] / unit[:, None, None, None]
        self._taps = taps.reshape(len(self._colours), -1)

    def residual(self, kernel: Array) -> Array:
        """D_k Y - X R, one value for each channel and pixel."""
        return np.asarray(self._taps @ kernel.ravel() - self._colours)

    def _slopes(self, shape: PsfShape, parameters: Array) -> Array:
        """What `residual` changes by with each parameter: one product for all changes of the kernel."""
        kernels = [shape.kernel(parameters + step, self._num_taps) for step in STEP * np.eye(len(parameters))]
        changes = np.stack(kernels) - shape.kernel(parameters, self._num_taps)
        return np.asarray(self._taps @ (changes.reshape(len(changes), -1).T / STEP))

    def fitted(self, shape: PsfShape, start: Array, scale: int) -> _Shape:
        """The shape with the smallest robust residual."""
        taps = self._num_taps
        low, high = shape.bounds(scale, taps)
        parameters = np.clip(start, low + 1e-6, high - 1e-6)
        usual = max(float(np.median(np.abs(self.residual(shape.kernel(parameters, taps))))), 1e-4)
        for _ in range(2):
            found = optimize.least_squares(
                lambda p: self.residual(shape.kernel(p, taps)),
                parameters,
                jac=lambda p: self._slopes(shape, p),
                bounds=(low, high),
                x_scale=STEP_SIZES,
                loss="soft_l1",
                f_scale=OUTLIER * usual,
                max_nfev=MOST_STEPS,
            )
            parameters = np.clip(found.x, low + 1e-6, high - 1e-6)
            usual = max(float(np.median(np.abs(found.fun))), 1e-6)
        misfit = float(np.sqrt(np.mean(np.minimum(np.square(found.fun), (OUTLIER * usual) ** 2))))
        return _Shape(shape, found.x, taps, misfit)
