"""The search for PSF, response and shift of a pair: shapes first, then a free kernel near the best one.

`estimate_psf_srf` runs it and says what it finds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import special
from scipy.optimize import least_squares

from hsr_tf.arrays import ops
from hsr_tf.closed_forms.noise_level import image_noise
from hsr_tf.physics.psf import Psf, default_support
from hsr_tf.physics.psf_shift import centroid, on_support, shifted_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.solvers.cameras.coarse_pixels import (
    FEWEST_PIXELS,
    CoarsePixels,
    coarse_pixels,
    held_out_blocks,
    margin_of,
)
from hsr_tf.solvers.cameras.components import num_components, on_components
from hsr_tf.solvers.cameras.psf_refine import SMALLEST_GAIN, KernelRefinement, held_out_error
from hsr_tf.solvers.cameras.psf_shapes import STEP_SIZES, DetectorShape, GaussianShape, PsfShape
from hsr_tf.solvers.cameras.response_fit import ResponseFit, bell_widths
from hsr_tf.solvers.cameras.trimming import (
    CLEAR_GAIN,
    ENOUGH_PIXELS,
    agreeing_pixels,
    gap_sizes,
    least_absolute,
    trimmed_mean,
)
from hsr_tf.solvers.solver import Cube
from hsr_tf.typing import Array, Mask

KEPT_MASS, SMALLEST_SUM = 0.9999, 0.5
ROUNDING = 1e-6
START_WEIGHT = 1e-6
NUM_ALTERNATIONS, NUM_TRIMS, SETTLED = 4, 6, 0.01
CLEAN = 0.01
JUDGED, USUAL, NOISE_EXCESS = 0.8, (0.05, 0.95), 1.25


@dataclass(frozen=True)
class PsfSrfConfig:
    """Options of `estimate_psf_srf`.

    Attributes:
        max_shift: largest shift of the colour image that is looked for, in sharp pixels along rows or
            columns; None for s / 4, at least 2.
        max_support: largest support of the PSF in cells of s pixels.
        max_refinements: rounds of free refinement after the parametric shapes; 0 keeps the best shape.
        offset: whether each channel may have a constant offset (dark current, haze) that R does not explain.
        radiometry: find out whether Y has a tone curve or offsets, and undo them; `offset` is of no effect
            then (see `radiometry_search`).
        curve: the tone curve where it is known, `radiometry` looks for offsets alone then; None to look for
            it.
    """

    max_shift: float | None = None
    max_support: float = 6.0
    max_refinements: int = 3
    offset: bool = False
    radiometry: bool = False
    curve: str | None = None


@dataclass(frozen=True, eq=False)
class CameraFit:
    """A kernel and the response that goes with it.

    Attributes:
        shape: the family that the kernel is, or started from.
        parameters: of the shape.
        kernel: (n, n), shift within.
        response: R, (C, c).
        weights: (c,) of the response's prior.
        misfit: |X R - D Y| relative to the deviation of D Y, mean square over the channels.
        refined: whether the kernel left its shape.
    """

    shape: PsfShape
    parameters: Array
    kernel: Array
    response: Array
    weights: Array
    misfit: float
    refined: bool


def search_shapes(scale: int) -> tuple[PsfShape, ...]:
    """The shapes that a search tries, in order."""
    windowed = GaussianShape(window=float(default_support(scale)), name="windowed Gaussian")
    return windowed, DetectorShape(), GaussianShape()


def largest_shift(scale: int, config: PsfSrfConfig) -> float:
    """The shift in sharp pixels up to which a search begins."""
    return max(2.0, scale / 4) if config.max_shift is None else config.max_shift


def first_support(scale: int, config: PsfSrfConfig) -> int:
    """Taps of the kernels that a search begins with."""
    return max(3 * scale, default_support(scale) + 2 * int(np.ceil(largest_shift(scale, config))))


class CameraSearch:
    """The state of one search.

    Args:
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (s h, s w, c).
        scale: s.
        config: options.
        counted: (h, w), False for coarse pixels to leave out; None for none.

    Attributes:
        best: the fit that explains most.
        counted: (h, w), the coarse pixels that take part, see `leave_out_changes`.
    """

    best: CameraFit
    _pixels: CoarsePixels
    _response: ResponseFit

    def __init__(
        self,
        lr_hsi: Cube,
        hr_msi: Cube,
        scale: int,
        config: PsfSrfConfig,
        counted: Mask | None = None,
    ) -> None:
        self._recorded = lr_hsi, hr_msi
        self._rank = num_components(lr_hsi)
        if self._rank is not None:
            lr_hsi = on_components(lr_hsi, self._rank)
        self._images, self._scale, self._config = (lr_hsi, hr_msi), scale, config
        self._given: Mask = np.ones(lr_hsi.shape[:2], bool) if counted is None else counted
        self.counted: Mask = self._given
        self._width, *self._narrower = bell_widths(lr_hsi.shape[2])
        reach = largest_shift(scale, config)
        self._observe(first_support(scale, config))
        # The position of the usual Gaussian that explains most, on a grid of eighths of a cell.
        spacing, shape, taps = max(1.0, self._scale / 8), GaussianShape(), self._pixels.num_taps
        places = spacing * np.arange(-(reach // spacing), reach // spacing + 1)
        weights = np.full(
            self._images[1].shape[2], START_WEIGHT * float(np.square(self._pixels.spectra).sum())
        )

        def misfit(place: tuple[float, float]) -> float:
            kernel = shape.kernel(shape.start(self._scale, place), taps)
            return float(np.square(self._residual(kernel, weights)).sum())

        grid = [(float(row), float(column)) for row in places for column in places]
        self._start = min(sorted(grid, key=lambda place: np.hypot(*place)), key=misfit)
        self._refinement: KernelRefinement | None = None
        self._tried = 0

    def try_shape(self, shape: PsfShape) -> None:
        """Fit a shape, on a wider support where it asks for one, and keep it if it explains more."""
        fit = self._fitted(shape, shape.start(self._scale, self._start))
        wanted = int(np.ceil(min(2 * shape.reach(fit.parameters), self._widest())))
        if wanted > self._pixels.num_taps and (self._tried == 0 or fit.misfit < self.best.misfit):
            self._observe(wanted)
            fit = self._fitted(shape, fit.parameters)
        self._tried += 1
        if self._tried == 1 or fit.misfit < self.best.misfit:
            self.best = fit
            self._narrow_channels()

    def leave_out_changes(self) -> None:
        """Leave out pixels that the best fit does not explain, where the others are better explained then.

        Pixels and fit follow each other (see `trimming`), from a response of least absolute deviations; the
        kernel is fitted anew where the pixels settle.
        """
        if self.best.misfit < CLEAN:
            return
        inside = self._inside()
        before = self.counted, self._pixels, self._response, self.best
        usual = float(np.median(self._gap_sizes(inside)[inside]))
        best, pixels = self.best, self._pixels
        response = least_absolute(pixels, pixels.colours(best.kernel), self._response, best.response)
        self.best = replace(best, response=response)
        settled = False
        for _ in range(NUM_TRIMS):
            kept = agreeing_pixels(self._gap_sizes(self.counted & inside), inside) | (self._given & ~inside)
            if settled and (kept == self.counted).all():
                break
            settled = float((kept != self.counted).mean()) < SETTLED
            self.counted = kept
            self._observe(self._pixels.num_taps)
            best = self.best
            if settled:
                self.best = self._fitted(best.shape, best.parameters)
            else:
                self.best = self._with_response(best.shape, best.parameters, best.kernel, best.weights)
        if float(np.median(self._gap_sizes(inside)[inside])) > (1 - CLEAR_GAIN) * usual:
            self.counted, self._pixels, self._response, self.best = before
        elif (self.counted != self._given).any():
            self._narrow_channels()

    def refine(self) -> bool:
        """One round of free refinement; whether it changed anything."""
        if self.best.misfit < ROUNDING:
            return False
        if self._refinement is None:
            self._refinement = self._prepared()
        found = self._refinement.refine(self.best.kernel, self.best.weights)
        if not np.isfinite(found.strength):
            return False
        best = self.best
        self.best = self._with_response(best.shape, best.parameters, found.kernel, best.weights, refined=True)
        return True

    def centred(self) -> tuple[Psf, tuple[float, float]]:
        """The PSF about its centre of mass, and the shift of the colour image.

        The shape is drawn anew in the middle; only what the refinement added is interpolated.
        """
        best, taps = self.best, self.best.kernel.shape[0]
        row, column = centroid(Psf(best.kernel))
        kernel = best.shape.kernel(best.shape.moved(best.parameters, (-row, -column)), taps)
        if best.refined:
            added = best.kernel - best.shape.kernel(best.parameters, taps)
            parts = [shifted_psf(Psf(part), (row, column)).kernel * part.sum() for part in _signed(added)]
            kernel = np.maximum(on_support(kernel, parts[0].shape) + parts[0] - parts[1], 0.0)
        return Psf(kernel, f"estimated, {self.name}"), (-row, -column)

    @property
    def name(self) -> str:
        """What the kernel is."""
        return self.best.shape.name + (" + free" if self.best.refined else "")

    def _observe(self, num_taps: int) -> None:
        """Take the coarse pixels for a support of `num_taps`, one more where the parity of s asks for it."""
        taps = num_taps + (num_taps - self._scale) % 2
        centred, counted = self._config.offset, self.counted
        self._pixels = coarse_pixels(*self._images, self._scale, taps, centred=centred, counted=counted)
        self._response = ResponseFit(self._pixels.spectra, self._width, self._rank)

    def _narrow_channels(self) -> None:
        """Let the response's channels be narrower as long as pixels held out are explained better."""
        if not self._narrower or self.best.misfit < ROUNDING:
            return
        error = self.held_out_error()
        while self._narrower and self.best.misfit >= ROUNDING:
            narrower = self._narrower[0]
            before = self._width, self._response
            self._width = narrower
            self._response = ResponseFit(self._pixels.spectra, narrower, self._rank)
            fit = self._fitted(self.best.shape, self.best.parameters)
            narrow_error = self.held_out_error(fit)
            if narrow_error > (1 - SMALLEST_GAIN) * error:
                self._width, self._response = before
                return
            error, self.best = narrow_error, fit
            self._narrower.pop(0)

    def agreeing(self) -> Mask:
        """(h, w), the pixels that take part and whose support lies inside the image."""
        return self.counted & self._inside()

    def _inside(self) -> Mask:
        """(h, w), the pixels that may take part and whose support lies inside the image."""
        inside = np.zeros(self.counted.shape, bool)
        margin = margin_of(self._pixels.num_taps, self._scale)
        height, width = self._images[0].shape[:2]
        inside[margin : height - margin, margin : width - margin] = True
        return inside & self._given

    def _gap_sizes(self, usual: Mask) -> Array:
        """(h, w), what the best fit leaves of every pixel, relative to deviation and offset of some."""
        lr_hsi, hr_msi = self._images
        blurred = self._blurred(hr_msi)
        gap = lr_hsi @ self.best.response - blurred
        if self._config.offset:
            gap -= np.median(gap[usual], 0)
        return gap_sizes(gap, blurred, usual)

    def _blurred(self, hr_msi: Cube) -> Array:
        """D Y by the best kernel, (h, w, c), mirrored at the edges."""
        spatial = SpatialDegradation(Psf(self.best.kernel), self._scale)
        return np.asarray(ops.convert_to_numpy(spatial.forward(hr_msi[None])), np.float64)[0]

    def held_out_error(self, fit: CameraFit | None = None) -> float:
        """Error of a fit, by default the best, on the pixels held out, over the deviation of D Y there."""
        fit, pixels = fit or self.best, self._pixels
        train = ResponseFit(pixels.spectra[~pixels.held_out], self._width)
        return held_out_error(pixels, train, fit.kernel, fit.weights)

    @property
    def left_out(self) -> Mask:
        """(h, w), the pixels that `leave_out_changes` left out."""
        return self._given & ~self.counted

    @property
    def num_judged(self) -> int:
        """The number of pixels that `usual_error` looks at, one at the least."""
        inside = self._inside()
        return max(1, int((held_out_blocks(inside.shape) & inside).sum()))

    def usual_error(self, hr_msi: Cube | None = None) -> float:
        """Error of the best fit on pixels held out, the worst fifth not counted, over the deviation of D Y.

        The same pixels are judged whatever takes part in the fit, so that searches can be compared. The
        deviation is that of D Y between its 5th and 95th percentile: a curve that leaves all contrast to a
        few highlights, and these to the worst fifth, would seem to fit otherwise.

        Args:
            hr_msi: another Y, to which the response is fitted anew; None for that of the search.
        """
        images = self._images[0], self._images[1] if hr_msi is None else hr_msi
        blurred, inside = self._blurred(images[1]), self._inside()
        held_out = held_out_blocks(inside.shape) & inside
        train = self.counted & inside & ~held_out
        train = train if train.sum() >= FEWEST_PIXELS // 2 else inside & ~held_out
        spectra, colours = images[0][train].astype(np.float64), blurred[train]
        means = (spectra.mean(0), colours.mean(0)) if self._config.offset else (0.0, 0.0)
        every = max(1, len(spectra) // ENOUGH_PIXELS)
        fit = ResponseFit((spectra - means[0])[::every], self._width, self._rank)
        response, _ = fit.fit((colours - means[1])[::every], self.best.weights)
        wanted = blurred[held_out]
        gap = (images[0][held_out] - means[0]) @ response - (wanted - means[1])
        deviation = np.clip(wanted, *np.quantile(wanted, USUAL, axis=0)).std(0) + 1e-30
        return float(np.sqrt(trimmed_mean(np.square(gap / deviation).mean(1), JUDGED)))

    def is_noise(self) -> bool:
        """Whether noise explains what the best fit leaves of all but the worst fifth of the coarse pixels."""
        response, kernel = self.best.response, self.best.kernel
        lr_noise, hr_noise = (np.square(image_noise(image)) for image in self._recorded)
        variance = np.square(response).T @ lr_noise + np.square(kernel).sum() * hr_noise
        inside = self._inside()
        gap = (self._images[0] @ response - self._blurred(self._images[1]))[inside]
        if self._config.offset:
            gap = gap - gap.mean(0)
        sizes = np.square(gap / np.sqrt(variance + 1e-30)).sum(1)
        by_chance = 2 * float(special.gammaincinv(gap.shape[1] / 2, JUDGED))  # of a chi-squared law
        return bool(np.quantile(sizes, JUDGED) < NOISE_EXCESS**2 * by_chance)

    def _widest(self) -> float:
        """The largest support: as the options say, and four coarse pixels inside the image at the least."""
        smallest = min(self._images[0].shape[:2])
        return self._scale * min(self._config.max_support, smallest - 4)

    def _prepared(self) -> KernelRefinement:
        """Pixels and kernel on the smallest support that holds the standard PSF and all but 1e-4 of this."""
        kernel, scale = self.best.kernel, self._scale
        off = np.abs(centroid(Psf(kernel))).max()
        taps = default_support(scale) + 2 * int(np.ceil(off + 1))
        while taps < len(kernel) and on_support(kernel, (taps, taps)).sum() < KEPT_MASS:
            taps += 2
        self._observe(taps)
        cut = on_support(kernel, (taps, taps))
        best = self.best
        self.best = self._with_response(best.shape, best.parameters, cut / cut.sum(), best.weights)
        return KernelRefinement(self._pixels, self._width)

    def _residual(self, kernel: Array, weights: Array) -> Array:
        """What no response explains of D_k Y, each channel over its deviation; its squares sum to a mean."""
        colours = self._pixels.colours(kernel)
        if kernel.sum() < SMALLEST_SUM:  # the shape left its support: no fit, not a perfect one
            return np.full(colours.size, 1.0)
        left = self._response.unexplained(colours, weights)
        return (left / (colours.std(0) * np.sqrt(colours.size) + 1e-30)).ravel()

    def _fitted(self, shape: PsfShape, parameters: Array) -> CameraFit:
        """Gauss-Newton on the parameters, and the weights of the response's prior, in turn."""
        taps = self._pixels.num_taps
        low, high = shape.bounds(self._scale, taps)
        fit = self._with_response(shape, parameters, shape.kernel(parameters, taps), None)
        for _ in range(NUM_ALTERNATIONS):
            weights = fit.weights

            def residual(found: Array, weights: Array = weights) -> Array:
                return self._residual(shape.kernel(found, taps), weights)

            start = np.clip(fit.parameters, low + 1e-9, high - 1e-9)
            found = least_squares(residual, start, bounds=(low, high), x_scale=STEP_SIZES, max_nfev=25).x
            fit = self._with_response(shape, found, shape.kernel(found, taps), weights)
            if np.abs(np.log(fit.weights / weights)).max() < 0.3:
                break
        return fit

    def _with_response(
        self,
        shape: PsfShape,
        parameters: Array,
        kernel: Array,
        weights: Array | None,
        *,
        refined: bool = False,
    ) -> CameraFit:
        """The kernel with the response that goes with it."""
        colours = self._pixels.colours(kernel)
        response, weights = self._response.fit(colours, weights)
        gap = self._pixels.spectra @ response - colours
        misfit = float(np.sqrt(np.mean(np.square(gap).mean(0) / (colours.var(0) + 1e-30))))
        return CameraFit(shape, parameters, kernel, response, weights, misfit, refined)


def _signed(values: Array) -> tuple[Array, Array]:
    """Positive and negative part; a part that is nothing is a trace in the middle, so that it has a sum."""
    trace = np.zeros_like(values)
    trace[tuple(n // 2 for n in values.shape)] = 1e-30
    return np.maximum(values, 0.0) + trace, np.maximum(-values, 0.0) + trace
